"""Function policies, by statement and whole: AddPermission, RemovePermission, GetPolicy, PutResourcePolicy,
GetResourcePolicy, DeleteResourcePolicy."""

from __future__ import annotations

import json
import re
from typing import Any

from pileus.access.policy import compile_policy
from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.arn import parse_arn
from pileus.kernel.errors import AWSError, NotBuilt
from pileus.services.lambda_ import errors, keys
from pileus.services.lambda_.lookup import find_alias, find_function, find_version, get_alias, get_latest
from pileus.services.lambda_.names import LATEST, Target, is_alias, is_version, parse, parse_own
from pileus.services.lambda_.permissions import document
from pileus.services.lambda_.records import Alias, Policy, Version, decode, encode
from pileus.store.contract import Reader, Transaction

# "Function resource-based policy: 20 KB".
POLICY_BYTES_MAX = 20_480
_SERVICE = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*\.(amazonaws\.com(\.cn)?|amazon\.com)")
_ACCOUNT = re.compile(r"\d{12}")


def _principal(text: str) -> str | dict[str, str]:
    if text == "*":
        return "*"
    if _ACCOUNT.fullmatch(text):
        return {"AWS": f"arn:aws:iam::{text}:root"}
    if (arn := parse_arn(text)) is not None and arn.service in ("iam", "sts"):
        return {"AWS": text}
    if _SERVICE.fullmatch(text):
        return {"Service": text}
    raise errors.invalid_parameter("The provided principal was invalid. Please check the principal and try again.")


def _conditions(request: Request) -> dict[str, dict[str, Any]]:
    equals: dict[str, Any] = {}
    for member, key in (
        ("SourceAccount", "AWS:SourceAccount"),
        ("EventSourceToken", "lambda:EventSourceToken"),
        ("PrincipalOrgID", "aws:PrincipalOrgID"),
        ("FunctionUrlAuthType", "lambda:FunctionUrlAuthType"),
    ):
        if request.get(member):
            equals[key] = request[member]
    out: dict[str, dict[str, Any]] = {}
    if equals:
        out["StringEquals"] = equals
    if request.get("InvokedViaFunctionUrl") is not None:
        out["Bool"] = {"lambda:InvokedViaFunctionUrl": str(request["InvokedViaFunctionUrl"]).lower()}
    if request.get("SourceArn"):
        out["ArnLike"] = {"AWS:SourceArn": request["SourceArn"]}
    return out


async def _holder(tx: Reader, at: Target) -> Version | Alias:
    """What the policy belongs to; its revision id counts."""
    if not at.qualifier:
        return await get_latest(tx, at)
    if is_version(at.qualifier):
        version = await find_version(tx, at, at.qualifier)
        if version is None:
            raise errors.function_not_found(at.asked_arn)
        return version
    if not is_alias(at.qualifier):
        raise errors.function_not_found(at.asked_arn)
    return await get_alias(tx, at, at.qualifier)


def _save(ctx: Context, tx: Transaction, at: Target, holder: Version | Alias, policy: Policy) -> None:
    holder.revision = ctx.cloud.ids.uuid()
    key = keys.version(at, holder.version) if isinstance(holder, Version) else keys.alias(at, holder.name)
    tx.put(key, encode(holder))
    if policy.statements:
        tx.put(keys.policy(at), encode(policy))
    else:
        tx.delete(keys.policy(at))


async def _policy(tx: Reader, at: Target) -> Policy | None:
    data = await tx.get(keys.policy(at))
    return decode(Policy, data) if data is not None else None


async def add_permission(ctx: Context, tx: Transaction, request: Request) -> Answer:
    at = parse_own(ctx, request["FunctionName"], request.get("Qualifier") or "")
    if at.qualifier == LATEST:
        raise errors.invalid_parameter("We currently do not support adding policies for $LATEST.")
    if await find_function(tx, at) is None:
        raise errors.function_not_found(at.arn)
    holder = await _holder(tx, at)
    principal = _principal(request["Principal"])
    if request.get("RevisionId") not in (None, holder.revision):
        raise errors.revision_mismatch()
    policy = await _policy(tx, at) or Policy()
    sid = request["StatementId"]
    if any(statement.get("Sid") == sid for statement in policy.statements):
        raise errors.statement_exists(sid)
    statement: dict[str, Any] = {
        "Sid": sid,
        "Effect": "Allow",
        "Principal": principal,
        "Action": request["Action"],
        "Resource": at.asked_arn,
    }
    if conditions := _conditions(request):
        statement["Condition"] = conditions
    policy.statements.append(statement)
    _check_size(policy)
    _save(ctx, tx, at, holder, policy)
    return {"Statement": json.dumps(statement, separators=(",", ":"))}


def _check_size(policy: Policy) -> None:
    size = len(json.dumps(document(policy), separators=(",", ":")))
    if size > POLICY_BYTES_MAX:
        raise AWSError(
            "PolicyLengthExceededException",
            f"The final policy size ({size}) is bigger than the limit ({POLICY_BYTES_MAX}).",
            Type="User",
        )


async def get_policy(ctx: Context, tx: Reader, request: Request) -> Answer:
    at = parse(ctx, request["FunctionName"], request.get("Qualifier") or "")
    policy = await _policy(tx, at)
    if policy is None:
        raise errors.not_found("The resource you requested does not exist.")
    holder = await _holder(tx, at._replace(qualifier="" if at.qualifier == LATEST else at.qualifier))
    return {
        "Policy": json.dumps(document(policy), separators=(",", ":")),
        "RevisionId": holder.revision,
    }


async def remove_permission(ctx: Context, tx: Transaction, request: Request) -> None:
    at = parse_own(ctx, request["FunctionName"], request.get("Qualifier") or "")
    if at.qualifier == LATEST:
        at = at._replace(qualifier="")
    if await find_function(tx, at) is None:
        raise errors.not_found(f"No policy found for: {at.asked_arn}")
    if at.qualifier and is_alias(at.qualifier) and not await find_alias(tx, at, at.qualifier):
        raise errors.alias_not_found(at.asked_arn)
    holder = await _holder(tx, at)
    policy = await _policy(tx, at)
    if policy is None:
        raise errors.not_found("No policy is associated with the given resource.")
    if request.get("RevisionId") not in (None, holder.revision):
        raise errors.revision_mismatch()
    sid = request["StatementId"]
    left = [statement for statement in policy.statements if statement.get("Sid") != sid]
    if len(left) == len(policy.statements):
        raise errors.not_found(f"Statement {sid} is not found in resource policy.")
    policy.statements = left
    _save(ctx, tx, at, holder, policy)


# whole policies


def _resource(ctx: Context, request: Request) -> Target:
    arn = parse_arn(request["ResourceArn"])
    assert arn is not None, "the modelled pattern takes ARNs only"
    if arn.resource.startswith("runtime/"):
        raise NotBuilt("Policies of Lambda runtimes")
    at = parse_own(ctx, request["ResourceArn"])
    return at._replace(qualifier="" if at.qualifier == LATEST else at.qualifier)


async def put_resource_policy(ctx: Context, tx: Transaction, request: Request) -> Answer:
    at = _resource(ctx, request)
    if await find_function(tx, at) is None:
        raise errors.function_not_found(at.arn)
    holder = await _holder(tx, at)
    if request.get("RevisionId") not in (None, holder.revision):
        raise errors.revision_mismatch()
    try:
        given = json.loads(request["Policy"])
        compile_policy(given)
    except (ValueError, RecursionError) as error:
        raise errors.invalid_parameter(f"The provided policy is invalid: {error}") from None
    statements = given["Statement"]
    policy = Policy(
        statements=statements if isinstance(statements, list) else [statements],
        version=given.get("Version") or "2008-10-17",
        id=given.get("Id") or "default",
    )
    if any("Principal" not in statement for statement in policy.statements):
        raise errors.invalid_parameter("The provided policy is invalid: a statement must contain a principal")
    _check_size(policy)
    _save(ctx, tx, at, holder, policy)
    return {"Policy": json.dumps(document(policy), separators=(",", ":")), "RevisionId": holder.revision}


async def get_resource_policy(ctx: Context, tx: Reader, request: Request) -> Answer:
    at = _resource(ctx, request)
    policy = await _policy(tx, at)
    if policy is None:
        raise errors.not_found("The resource you requested does not exist.")
    holder = await _holder(tx, at)
    return {"Policy": json.dumps(document(policy), separators=(",", ":")), "RevisionId": holder.revision}


async def delete_resource_policy(ctx: Context, tx: Transaction, request: Request) -> None:
    at = _resource(ctx, request)
    if await find_function(tx, at) is None:
        raise errors.function_not_found(at.arn)
    holder = await _holder(tx, at)
    if await _policy(tx, at) is None:
        raise errors.not_found("No policy is associated with the given resource.")
    if request.get("RevisionId") not in (None, holder.revision):
        raise errors.revision_mismatch()
    _save(ctx, tx, at, holder, Policy())
