"""The policy simulator: what the policies of a principal, or given ones, would decide.

Source: the API reference of `SimulatePrincipalPolicy` and `SimulateCustomPolicy`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from pileus.access.contract import Identities
from pileus.access.evaluate import IdentityPolicies, decide, evaluate
from pileus.access.policy import Policy, PolicyError, compile_policy
from pileus.access.request import Call, Circumstances
from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.arn import parse_arn
from pileus.kernel.errors import NotBuilt
from pileus.kernel.principal import Principal
from pileus.services.iam import errors
from pileus.services.iam.entities import KINDS, arn_of, load
from pileus.services.iam.paging import listing, page
from pileus.services.iam.records import Group, Role, User
from pileus.store.contract import Reader

_NOT_BUILT = ("ResourceHandlingOption", "PolicyExclusionList", "OrderedOrganizationPolicyInputList")


class _Source(NamedTuple):
    """A policy, and what the answer calls it."""

    id: str
    document: str
    policy: Policy


class _Call(Call):
    """A call that remembers which condition keys were asked for in vain."""

    __slots__ = ("missing",)

    def __init__(self, principal: Principal, action: str, resource: str, keys: dict[str, list[str]]) -> None:
        super().__init__(principal, action, resource, dict(keys), Circumstances())
        self.missing: set[str] = set()

    def lookup(self, name: str) -> Sequence[str] | None:
        found = super().lookup(name)
        if found is None:
            self.missing.add(name)
        return found


async def simulate_principal_policy(ctx: Context, tx: Reader, request: Request) -> Answer:
    arn = request["PolicySourceArn"]
    parsed = parse_arn(arn)
    kinds: dict[str, type[User | Group | Role]] = {"user": User, "group": Group, "role": Role}
    kind = parsed and kinds.get(parsed.resource.partition("/")[0])
    if parsed is None or parsed.service != "iam" or kind is None:
        raise errors.invalid_input(f"Invalid Entity Arn: {arn}")
    entity = await load(tx, ctx.account, kind, arn.rpartition("/")[2])
    sources = await _sources(ctx, tx, entity)
    if isinstance(entity, User):
        for name in entity.groups:
            sources += await _sources(ctx, tx, await load(tx, ctx.account, Group, name))
    boundary = None
    if not isinstance(entity, Group) and entity.boundary:
        document = await ctx.cloud.part(Identities).managed_policy(entity.boundary, tx)
        boundary = [] if document is None else [compile_policy(document)]
    caller = Principal(
        kind="role" if isinstance(entity, Role) else "user",
        account=ctx.account,
        arn=arn_of(ctx.account, entity),
        id=entity.id,
        name=entity.name,
        tags={} if isinstance(entity, Group) else entity.tags,
    )
    sources += _given(request.get("PolicyInputList", ()), "PolicyInputList")
    return _results(ctx, request, caller, sources, boundary, principal=True)


async def simulate_custom_policy(ctx: Context, tx: Reader, request: Request) -> Answer:
    caller = Principal(kind="user", account=ctx.account, arn=request.get("CallerArn", ""))
    sources = _given(request["PolicyInputList"], "PolicyInputList")
    return _results(ctx, request, caller, sources, None, principal=False)


async def _sources(ctx: Context, tx: Reader, entity: User | Group | Role) -> list[_Source]:
    kind = KINDS[type(entity)]
    found = [(f"{kind}_{entity.name}_{name}", text) for name, text in entity.inline.items()]
    for arn in entity.attached:
        document = await ctx.cloud.part(Identities).managed_policy(arn, tx)
        if document is not None:
            found.append((arn.rpartition("/")[2], document))
    return [_Source(id, document, compile_policy(document)) for id, document in found]


def _given(documents: Sequence[str], name: str) -> list[_Source]:
    found = []
    for number, document in enumerate(documents, 1):
        try:
            found.append(_Source(f"{name}.{number}", document, compile_policy(document)))
        except PolicyError as error:
            raise errors.invalid_input(f"Invalid policy in {name}: {error}") from None
    return found


def _results(
    ctx: Context,
    request: Request,
    caller: Principal,
    sources: list[_Source],
    boundary: Sequence[Policy] | None,
    *,
    principal: bool,
) -> Answer:
    for name in _NOT_BUILT:
        if name in request:
            raise NotBuilt(f"iam:{ctx.operation} with {name}")
    if "PermissionsBoundaryPolicyInputList" in request:
        given = _given(request["PermissionsBoundaryPolicyInputList"], "PermissionsBoundaryPolicyInputList")
        boundary = [source.policy for source in given]
    resource_policies = _given([request["ResourcePolicy"]] if "ResourcePolicy" in request else [], "ResourcePolicy")
    context = {
        entry["ContextKeyName"]: list(entry.get("ContextKeyValues", ()))
        for entry in request.get("ContextEntries", ())
        if "ContextKeyName" in entry
    }
    policies = IdentityPolicies([source.policy for source in sources], boundary)
    resources = request.get("ResourceArns", ["*"])
    results = []
    for action in request["ActionNames"]:
        each = [
            _one(_Call(caller, action, resource, context), policies, sources, resource_policies, boundary)
            for resource in resources
        ]
        decisions = {one["EvalResourceDecision"] for one in each}
        worst = next((one for one in ("explicitDeny", "implicitDeny") if one in decisions), "allowed")
        result: Answer = {
            "EvalActionName": action,
            "EvalResourceName": resources[0] if len(resources) == 1 else "*",
            "EvalDecision": worst,
            "MatchedStatements": each[0]["MatchedStatements"] if len(each) == 1 else [],
            "MissingContextValues": sorted({name for one in each for name in one["MissingContextValues"]}),
        }
        if principal:
            result["OrganizationsDecisionDetail"] = {"AllowedByOrganizations": True}
        if boundary is not None:
            result["PermissionsBoundaryDecisionDetail"] = each[0]["PermissionsBoundaryDecisionDetail"]
        if principal or len(resources) > 1:
            result["EvalDecisionDetails"] = {}
            result["ResourceSpecificResults"] = each
        results.append(result)
    return listing("EvaluationResults", *page(results, request))


def _one(
    call: _Call,
    policies: IdentityPolicies,
    sources: list[_Source],
    resource_policies: list[_Source],
    boundary: Sequence[Policy] | None,
) -> Answer:
    decision = evaluate(call, policies, [source.policy for source in resource_policies])
    allowed = "allowed" if decision.allowed else "explicitDeny" if decision.explicit else "implicitDeny"
    matched = [
        {"SourcePolicyId": source.id, "SourcePolicyType": kind, "StartPosition": start, "EndPosition": end}
        for kind, group in (("IAM Policy", sources), ("Resource Policy", resource_policies))
        for source in group
        for (start, end), statement in zip(_positions(source.document), source.policy.statements, strict=True)
        # A denial is explained by what denies, anything else by what allows.
        if statement.allow is not decision.explicit and statement.applies(call)
    ]
    answer: Answer = {
        "EvalResourceName": call.resource,
        "EvalResourceDecision": allowed,
        "MatchedStatements": matched,
        "MissingContextValues": sorted(call.missing),
    }
    if boundary is not None:
        detail = {"AllowedByPermissionsBoundary": decide(boundary, call) is True}
        answer["PermissionsBoundaryDecisionDetail"] = detail
    return answer


def _positions(document: str) -> Iterator[tuple[Answer, Answer]]:
    """Where each statement of a document begins and ends, line and column from 1."""
    decoder = json.JSONDecoder()
    statements = decoder.decode(document)["Statement"]
    # The key cannot stand in a string before it: of a policy's other members, Id alone is free text.
    at = document.index(":", re.search(r'(?<=[{,\s])"Statement"(?=\s*:)', document).end()) + 1  # type: ignore[union-attr]
    for _ in range(len(statements) if isinstance(statements, list) else 1):
        while document[at] in " \t\r\n[,":
            at += 1
        _, end = decoder.raw_decode(document, at)
        yield _position(document, at), _position(document, end)
        at = end


def _position(document: str, offset: int) -> Answer:
    line_start = document.rfind("\n", 0, offset) + 1
    return {"Line": document.count("\n", 0, offset) + 1, "Column": offset - line_start + 1}
