"""What the three batch operations share: ten entries with ids of their own, each with an outcome of its own."""

from __future__ import annotations

import re
from typing import Any

from pileus.kernel.errors import AWSError
from pileus.services.sqs import errors

ENTRIES_MAX = 10
_ID = re.compile(r"[A-Za-z0-9_-]{1,80}")
_CODES = {
    "InvalidParameterValueException": "InvalidParameterValue",
    "MissingRequiredParameterException": "MissingParameter",
}


def check_entries(entries: list[dict[str, Any]], kind: str) -> None:
    """What fails a batch as a whole. `kind` is the entries' shape."""
    if not entries:
        raise errors.empty_batch(kind)
    if len(entries) > ENTRIES_MAX:
        raise errors.too_many_entries(len(entries))
    seen: set[str] = set()
    for entry in entries:
        entry_id = entry["Id"]
        if not _ID.fullmatch(entry_id):
            raise errors.bad_entry_id()
        if entry_id in seen:
            raise errors.repeated_entry_id(entry_id)
        seen.add(entry_id)


def failed(entry: dict[str, Any], error: AWSError) -> dict[str, Any]:
    return {
        "Id": entry["Id"],
        "SenderFault": error.fault == "client",
        "Code": _CODES.get(error.code, error.code),
        "Message": error.message,
    }


def outcome(successful: list[dict[str, Any]], failures: list[dict[str, Any]]) -> dict[str, Any]:
    """An answer says only what there is."""
    answer: dict[str, Any] = {}
    if successful:
        answer["Successful"] = successful
    if failures:
        answer["Failed"] = failures
    return answer
