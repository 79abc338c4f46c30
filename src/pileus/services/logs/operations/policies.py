"""Resource policies of an account: which AWS services may write into its log groups.

Source: the API reference's pages of these operations, "Enabling logging from AWS services" of the CloudWatch Logs user
guide; recorded answers.
"""

from __future__ import annotations

from typing import Any

import orjson

from pileus.access.policy import PolicyError, compile_policy
from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.errors import AWSError, NotBuilt
from pileus.kernel.paging import page_token
from pileus.services.logs import errors, keys
from pileus.services.logs.paging import place
from pileus.services.logs.records import ResourcePolicy, decode, encode
from pileus.store.contract import Reader, Transaction

# "Up to 10 resource policies per Region per account".
POLICIES_MAX = 10
DOCUMENT_CHARS_MAX = 5120
PAGE = 50


async def put_resource_policy(ctx: Context, tx: Transaction, request: Request) -> Answer:
    _refuse_unbuilt(request)
    name, document = request.get("policyName"), request.get("policyDocument")
    if not name or not document:
        raise errors.invalid("Both policyName and policyDocument must be specified.")
    _check(document)
    key = keys.resource_policy(ctx.account, ctx.region, name)
    if await tx.get(key) is None and len(await _all(ctx, tx)) >= POLICIES_MAX:
        raise AWSError("LimitExceededException", "Resource limit exceeded.")
    policy = ResourcePolicy(name=name, document=document, updated_ms=int(ctx.now * 1000))
    tx.put(key, encode(policy))
    return {"resourcePolicy": _shown(policy)}


def _check(document: str) -> None:
    try:
        parsed = orjson.loads(document)
    except orjson.JSONDecodeError:
        parsed = None
    statements = parsed.get("Statement") if isinstance(parsed, dict) else None
    statements = [statements] if isinstance(statements, dict) else statements
    if (
        len(document) > DOCUMENT_CHARS_MAX
        or not isinstance(statements, list)
        or not all(isinstance(one, dict) and {"Effect", "Principal", "Action"} <= one.keys() for one in statements)
    ):
        raise errors.invalid("Resource policy is not valid")
    try:
        # What cannot be evaluated would keep all services out of every group.
        compile_policy(parsed)
    except PolicyError:
        raise errors.invalid("Resource policy is not valid") from None


def _refuse_unbuilt(request: Request) -> None:
    if request.get("resourceArn") or request.get("policyScope", "ACCOUNT") != "ACCOUNT":
        raise NotBuilt("Policies of single log groups")


def _shown(policy: ResourcePolicy) -> Answer:
    return {
        "policyName": policy.name,
        "policyDocument": policy.document,
        "lastUpdatedTime": policy.updated_ms,
        "policyScope": "ACCOUNT",
    }


async def delete_resource_policy(ctx: Context, tx: Transaction, request: Request) -> None:
    _refuse_unbuilt(request)
    name = request.get("policyName", "")
    key = keys.resource_policy(ctx.account, ctx.region, name)
    if await tx.get(key) is None:
        raise AWSError("ResourceNotFoundException", f"Policy with name [{name}] does not exist.")
    tx.delete(key)


async def describe_resource_policies(ctx: Context, tx: Reader, request: Request) -> Answer:
    _refuse_unbuilt(request)
    start, end = keys.resource_policies(ctx.account, ctx.region)
    limit = request.get("limit") or PAGE
    at = place(request["nextToken"], start, end) if request.get("nextToken") else start
    entries = await tx.scan(at, end, limit=limit + 1)
    shown: Answer = {"resourcePolicies": [_shown(decode(ResourcePolicy, data)) for _, data in entries[:limit]]}
    if len(entries) > limit:
        shown["nextToken"] = page_token(entries[limit][0], start)
    return shown


async def _all(ctx: Context, tx: Reader) -> list[ResourcePolicy]:
    entries = await tx.scan(*keys.resource_policies(ctx.account, ctx.region), limit=POLICIES_MAX)
    return [decode(ResourcePolicy, data) for _, data in entries]


async def account_policies(ctx: Context, tx: Reader, request: Request) -> Any:
    """What the account's policies say: the manifest's resource policy of what services write."""
    documents = [orjson.loads(policy.document) for policy in await _all(ctx, tx)]
    return documents or None
