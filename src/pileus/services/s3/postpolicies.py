"""POST policies: what the document that was signed lets a form ask for.

Sources: "POST policy", "Creating a POST policy" in the Amazon S3 API Reference; recorded answers.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

from pileus.kernel.errors import AWSError
from pileus.services.s3 import errors

# Fields that need no condition.
_FREE = frozenset(("x-amz-signature", "signature", "awsaccesskeyid", "policy", "file"))
_IGNORED = "x-ignore-"


class Sizes(NamedTuple):
    least: int = 0
    most: int | None = None


def _invalid(message: str) -> AWSError:
    return AWSError("InvalidPolicyDocument", f"Invalid Policy: {message}", status=400)


def _denied(message: str) -> AWSError:
    return errors.access_denied(f"Invalid according to Policy: {message}")


def check(text: str, fields: Mapping[str, str], bucket: str, now: float) -> Sizes:
    """How large the file may be; raises where the policy does not let the form through."""
    try:
        document = orjson.loads(base64.b64decode(text, validate=False))
    except (binascii.Error, ValueError, RecursionError):
        raise _invalid("Invalid JSON.") from None
    if not isinstance(document, dict):
        raise _invalid("Invalid JSON.")
    if "expiration" not in document:
        raise _invalid("Policy missing expiration.")
    if now >= _time(document["expiration"]):
        raise _denied("Policy expired.")
    conditions = document.get("conditions")
    if not isinstance(conditions, list):
        raise _invalid("Policy missing conditions.")
    values = {**fields, "bucket": bucket}
    named = set()
    sizes = Sizes()
    for condition in conditions:
        operator, name, value = _parts(condition)
        if operator == "content-length-range":
            sizes = _sizes(name, value)
            continue
        field = name.removeprefix("$").lower() if isinstance(name, str) else ""
        named.add(field)
        if not name.startswith("$") or not _holds(operator, field, values.get(field), value):
            raise _failed(operator, name, value)
    extra = [name for name in fields if name not in named and name not in _FREE and not name.startswith(_IGNORED)]
    if extra:
        raise _denied(f"Extra input fields: {extra[0]}")
    return sizes


def _time(text: Any) -> float:
    try:
        when = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise _invalid(f"Invalid 'expiration' value: '{text}'") from None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _parts(condition: Any) -> tuple[str, Any, Any]:
    if isinstance(condition, dict):
        if len(condition) != 1:
            raise _invalid("Invalid Simple-Condition: Simple-Conditions must have exactly one property specified.")
        ((name, value),) = condition.items()
        if not isinstance(value, str):
            raise _invalid("Invalid Simple-Condition: value must be a string.")
        return "eq", f"${name}", value
    if not isinstance(condition, list) or len(condition) != 3 or not isinstance(condition[0], str):
        raise _invalid("Invalid Condition: must be an object or a list of three elements.")
    operator = condition[0].lower()
    if operator not in ("eq", "starts-with", "content-length-range"):
        raise _invalid(f"Invalid Condition: unknown operation '{condition[0]}'.")
    if operator != "content-length-range" and not all(isinstance(one, str) for one in condition):
        raise _invalid("Invalid Condition: all elements must be strings.")
    return operator, condition[1], condition[2]


def _failed(operator: str, name: Any, value: Any) -> AWSError:
    shown = ", ".join(orjson.dumps(str(one)).decode() for one in (operator, name, value))
    return _denied(f"Policy Condition failed: [{shown}]")


def _sizes(least: Any, most: Any) -> Sizes:
    try:
        return Sizes(int(least), int(most))
    except (TypeError, ValueError):
        raise _failed("content-length-range", least, most) from None


def _holds(operator: str, field: str, given: str | None, value: str) -> bool:
    if operator == "eq":
        return given == value
    if given is None:
        return False
    # Several types may be given at once: each must begin so.
    every = given.split(",") if field == "content-type" else [given]
    return all(one.strip().startswith(value) for one in every)
