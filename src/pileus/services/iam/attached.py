"""Attaching managed policies to users, groups and roles, and keeping inline ones: the same for the three."""

from __future__ import annotations

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.arn import parse_arn
from pileus.services.iam import errors, keys, managed
from pileus.services.iam.documents import check_inline_policy
from pileus.services.iam.entities import KINDS, document_answer, load, save
from pileus.services.iam.paging import listing, page
from pileus.services.iam.records import Group, Role, User
from pileus.store.contract import Reader, Transaction

POLICIES_MAX = 10
_QUOTAS = {User: "PoliciesPerUser", Group: "PoliciesPerGroup", Role: "PoliciesPerRole"}

Owner = User | Group | Role


def modifiable(owner: Owner) -> None:
    """Raise UnmodifiableEntity for a service-linked role."""
    if isinstance(owner, Role) and owner.path.startswith("/aws-service-role/"):
        raise errors.unmodifiable(owner.name)


async def attach(ctx: Context, tx: Transaction, kind: type[Owner], name: str, arn: str) -> None:
    managed.check_arn(arn)
    owner = await load(tx, ctx.account, kind, name)
    modifiable(owner)
    if await managed.find(tx, ctx.account, arn) is None:
        raise errors.policy_not_attachable(arn)
    if arn in owner.attached:
        return
    if len(owner.attached) >= POLICIES_MAX:
        raise errors.quota_exceeded(_QUOTAS[kind], POLICIES_MAX)
    owner.attached.append(arn)
    save(ctx, tx, owner)
    tx.put(keys.related(ctx.account, "attached", arn, KINDS[kind], owner.name), b"")


async def detach(ctx: Context, tx: Transaction, kind: type[Owner], name: str, arn: str) -> None:
    managed.check_arn(arn)
    owner = await load(tx, ctx.account, kind, name)
    modifiable(owner)
    if arn not in owner.attached:
        raise errors.policy_not_found(arn)
    owner.attached.remove(arn)
    save(ctx, tx, owner)
    tx.delete(keys.related(ctx.account, "attached", arn, KINDS[kind], owner.name))


def policy_answer(arn: str) -> Answer:
    return {"PolicyName": arn.rpartition("/")[2], "PolicyArn": arn}


async def list_attached(ctx: Context, tx: Reader, kind: type[Owner], name: str, request: Request) -> Answer:
    owner = await load(tx, ctx.account, kind, name)
    prefix = request.get("PathPrefix", "/")
    arns = [arn for arn in owner.attached if _path(arn).startswith(prefix)]
    found, marker = page(arns, request)
    return listing("AttachedPolicies", [policy_answer(arn) for arn in found], marker)


def _path(arn: str) -> str:
    parsed = parse_arn(arn)
    assert parsed is not None
    return parsed.resource.removeprefix("policy").rpartition("/")[0] + "/"


async def put_inline(ctx: Context, tx: Transaction, kind: type[Owner], name: str, request: Request) -> None:
    owner = await load(tx, ctx.account, kind, name)
    modifiable(owner)
    policy, document = request["PolicyName"], request["PolicyDocument"]
    others = {other: text for other, text in owner.inline.items() if other != policy}
    check_inline_policy(document, KINDS[kind], owner.name, others)
    owner.inline[policy] = document
    save(ctx, tx, owner)


async def get_inline(ctx: Context, tx: Reader, kind: type[Owner], name: str, request: Request) -> Answer:
    owner = await load(tx, ctx.account, kind, name)
    policy = request["PolicyName"]
    if policy not in owner.inline:
        raise errors.inline_policy_not_found(KINDS[kind], policy)
    member = f"{KINDS[kind].capitalize()}Name"
    return {member: owner.name, "PolicyName": policy, "PolicyDocument": document_answer(owner.inline[policy])}


async def delete_inline(ctx: Context, tx: Transaction, kind: type[Owner], name: str, request: Request) -> None:
    owner = await load(tx, ctx.account, kind, name)
    modifiable(owner)
    policy = request["PolicyName"]
    if policy not in owner.inline:
        raise errors.inline_policy_not_found(KINDS[kind], policy)
    del owner.inline[policy]
    save(ctx, tx, owner)


async def list_inline(ctx: Context, tx: Reader, kind: type[Owner], name: str, request: Request) -> Answer:
    owner = await load(tx, ctx.account, kind, name)
    found, marker = page(sorted(owner.inline), request)
    return listing("PolicyNames", found, marker)


async def set_boundary(ctx: Context, tx: Transaction, owner: User | Role, arn: str) -> None:
    """Make a managed policy the boundary of a user or role ("" takes it away); does not save the owner."""
    kind = KINDS[type(owner)]
    if arn:
        managed.check_arn(arn)
        if await managed.find(tx, ctx.account, arn) is None:
            raise errors.policy_not_attachable(arn)
        tx.put(keys.related(ctx.account, "bounded", arn, kind, owner.name), b"")
    if owner.boundary and owner.boundary != arn:
        tx.delete(keys.related(ctx.account, "bounded", owner.boundary, kind, owner.name))
    owner.boundary = arn


def check_bare(owner: Owner) -> None:
    """Raise DeleteConflict while policies hang on it."""
    if owner.attached:
        raise errors.delete_conflict("Cannot delete entity, must detach all policies first.")
    if owner.inline:
        raise errors.delete_conflict("Cannot delete entity, must delete policies first.")
