"""Assuming roles."""

from __future__ import annotations

import re
from typing import Any

from pileus.access.authorize import caller, log_denial
from pileus.access.contract import AssumableRole, Identities
from pileus.access.evaluate import evaluate
from pileus.access.policy import compile_policy
from pileus.access.request import Call, Circumstances
from pileus.access.sessions import Sessions, issue_session, role_session
from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.arn import parse_arn
from pileus.kernel.errors import NotBuilt
from pileus.services.sts import errors
from pileus.services.sts.credentials import credentials_answer
from pileus.services.sts.session_policies import Passed, passed
from pileus.store.contract import Reader

DURATION_DEFAULT_S = 3600
# A session that assumes a role gets an hour at most, whatever the role allows.
CHAINED_DURATION_MAX_S = 3600

_ROLE_ARN = re.compile(r"arn:[a-z-]+:iam::\d{12}:role/[\x21-\x7e]+")


async def assume_role(ctx: Context, tx: Reader, request: Request) -> Answer:
    """Source: the API reference of `AssumeRole`, "Using IAM roles" (IAM User Guide)."""
    role_arn, session_name = request["RoleArn"], request["RoleSessionName"]
    if not _ROLE_ARN.fullmatch(role_arn):
        raise errors.validation_error(f"{role_arn} is invalid")
    for member in ("SerialNumber", "TokenCode", "ProvidedContexts"):
        if member in request:
            raise NotBuilt(f"sts:AssumeRole with {member}")
    identities = ctx.cloud.part(Identities)
    given = await passed(request, identities, tx)
    role = await identities.assumable_role(role_arn, tx)
    source_identity = request.get("SourceIdentity", ctx.principal.source_identity)
    await _authorize(ctx, tx, role, given, request)
    assert role is not None
    duration_s = request.get("DurationSeconds", DURATION_DEFAULT_S)
    if ctx.principal.kind == "role" and duration_s > CHAINED_DURATION_MAX_S:
        raise errors.validation_error(
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
        )
    if duration_s > role.max_session_s:
        raise errors.validation_error("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
    arn = parse_arn(role_arn)
    assert arn is not None
    principal = role_session(
        account=arn.account,
        role_arn=role_arn,
        role_id=role.id,
        session_name=session_name,
        session_policies=given.documents,
        tags={**role.tags, **given.tags},
        source_identity=source_identity,
    )
    issued = issue_session(ctx.cloud.part(Sessions), ctx.cloud.ids, principal, now=ctx.now, duration_s=duration_s)
    answer: Answer = {
        "Credentials": credentials_answer(issued),
        "AssumedRoleUser": {"AssumedRoleId": principal.id, "Arn": principal.arn},
    }
    if given.packed_size is not None:
        answer["PackedPolicySize"] = given.packed_size
    if source_identity:
        answer["SourceIdentity"] = source_identity
    return answer


async def _authorize(ctx: Context, tx: Reader, role: AssumableRole | None, given: Passed, request: Request) -> None:
    """Every action that the request implies must be allowed, by the role's trust policy in any case."""
    principal, role_arn = ctx.principal, request["RoleArn"]
    actions = ["sts:AssumeRole"]
    if given.tags:
        actions.append("sts:TagSession")
    if "SourceIdentity" in request:
        actions.append("sts:SetSourceIdentity")
    if role is None:
        raise errors.not_authorized(caller(principal), actions[0], role_arn)
    mode = ctx.cloud.settings.iam
    if mode == "off":
        return
    policies = await ctx.cloud.part(Identities).policies(principal, tx)
    session: list[Any] | None = None
    if principal.session_policies or principal.kind == "federated":
        session = [compile_policy(document) for document in principal.session_policies]
    arn = parse_arn(role_arn)
    around = Circumstances(ctx.region, ctx.now, ctx.http.source_ip, ctx.http.user_agent, ctx.http.secure)
    for action in actions:
        call = Call(principal, action, role_arn, _conditions(request, given), around)
        decision = evaluate(
            call,
            policies,
            [role.trust_policy],
            session,
            same_account=arn is not None and arn.account == principal.account,
            must_be_named=True,
        )
        if decision.allowed:
            continue
        if mode == "enforce":
            raise errors.not_authorized(caller(principal), action, role_arn)
        log_denial(call, decision)


def _conditions(request: Request, given: Passed) -> dict[str, str | list[str]]:
    conditions: dict[str, str | list[str]] = {"sts:RoleSessionName": request["RoleSessionName"]}
    if "ExternalId" in request:
        conditions["sts:ExternalId"] = request["ExternalId"]
    if "SourceIdentity" in request:
        conditions["sts:SourceIdentity"] = request["SourceIdentity"]
    if "TransitiveTagKeys" in request:
        conditions["sts:TransitiveTagKeys"] = request["TransitiveTagKeys"]
    if given.tags:
        conditions["aws:TagKeys"] = list(given.tags)
        conditions |= {f"aws:RequestTag/{key}": value for key, value in given.tags.items()}
    return conditions
