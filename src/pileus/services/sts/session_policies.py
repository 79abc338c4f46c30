"""Policies and tags that are passed to a session.

Source: "Passing session policies", "Passing session tags in AWS STS" (IAM User Guide).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from pileus.access.contract import Identities
from pileus.access.policy import PolicyError, compile_policy
from pileus.cloud.manifest import Request
from pileus.services.sts import errors
from pileus.store.contract import Reader

# What passed policies and tags may take together, bytes, as STS packs them.
PACKED_SIZE_MAX = 2048
POLICY_ARNS_MAX = 10
TAGS_MAX = 50


class Passed(NamedTuple):
    documents: list[dict[str, Any]]
    tags: dict[str, str]
    # Percent of what is allowed; None where nothing was passed.
    packed_size: int | None


async def passed(request: Request, identities: Identities, tx: Reader) -> Passed:
    """What the request passes to the session; raises AWS's error where it cannot be."""
    documents: list[dict[str, Any]] = []
    size = 0
    if "Policy" in request:
        text = request["Policy"]
        documents.append(_document(text))
        size += len(orjson.dumps(documents[0]))
    arns = [one["arn"] for one in request.get("PolicyArns", ()) if "arn" in one]
    if len(arns) > POLICY_ARNS_MAX:
        raise errors.validation_error(
            "1 validation error detected: Value at 'policyArns' failed to satisfy constraint: "
            f"Member must have length less than or equal to {POLICY_ARNS_MAX}"
        )
    for arn in arns:
        managed = await identities.managed_policy(arn, tx)
        if managed is None:
            raise errors.malformed_policy(f"The policy {arn} does not exist or is not attachable.")
        documents.append(orjson.loads(managed))
        size += len(arn)
    tags = _tags(request)
    size += sum(len(key) + len(value) for key, value in tags.items())
    percent = -(-size * 100 // PACKED_SIZE_MAX)
    if percent > 100:
        raise errors.packed_policy_too_large(percent)
    return Passed(documents, tags, percent if documents or tags else None)


def _document(text: str) -> dict[str, Any]:
    try:
        policy = compile_policy(text)
    except PolicyError:
        raise errors.malformed_policy("Syntax errors in policy.") from None
    if any(statement.names_principals for statement in policy.statements):
        raise errors.malformed_policy("Policy document should not specify a principal.")
    document: dict[str, Any] = orjson.loads(text)
    return document


def _tags(request: Request) -> dict[str, str]:
    tags: dict[str, str] = {}
    seen: set[str] = set()
    for tag in request.get("Tags", ()):
        key = tag["Key"]
        if key.lower() in seen:
            raise errors.invalid_parameter("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
        seen.add(key.lower())
        tags[key] = tag["Value"]
    if len(tags) > TAGS_MAX:
        raise errors.invalid_parameter(f"A session can have at most {TAGS_MAX} tags.")
    for key in request.get("TransitiveTagKeys", ()):
        if key.lower() not in seen:
            raise errors.invalid_parameter("The specified transitive tag key must be included in the requested tags.")
    return tags
