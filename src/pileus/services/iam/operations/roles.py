"""Roles."""

from __future__ import annotations

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.services.iam import attached, errors, keys, tags
from pileus.services.iam.documents import check_trust_policy
from pileus.services.iam.entities import find, load, new_id, remove, role_answer, save, tag_list
from pileus.services.iam.paging import listing, page, scan
from pileus.services.iam.records import Role, decode
from pileus.store.contract import Reader, Transaction


async def create_role(ctx: Context, tx: Transaction, request: Request) -> Answer:
    name = request["RoleName"]
    if await find(tx, ctx.account, Role, name) is not None:
        raise errors.already_exists(f"Role with name {name} already exists.")
    check_trust_policy(request["AssumeRolePolicyDocument"])
    role = Role(
        name=name,
        id=new_id(Role, ctx.cloud.ids),
        path=request.get("Path", "/"),
        created=float(int(ctx.now)),
        trust=request["AssumeRolePolicyDocument"],
        description=request.get("Description"),
        max_session_s=request.get("MaxSessionDuration", 3600),
        tags=tags.merged({}, request.get("Tags", ())),
    )
    await attached.set_boundary(ctx, tx, role, request.get("PermissionsBoundary", ""))
    save(ctx, tx, role)
    return {"Role": role_answer(ctx.account, role, created=True)}


async def get_role(ctx: Context, tx: Reader, request: Request) -> Answer:
    return {"Role": role_answer(ctx.account, await load(tx, ctx.account, Role, request["RoleName"]))}


async def list_roles(ctx: Context, tx: Reader, request: Request) -> Answer:
    prefix = request.get("PathPrefix", "/")

    async def view(key: bytes, value: bytes) -> Answer | None:
        role = decode(value, Role)
        return role_answer(ctx.account, role, detail=False) if role.path.startswith(prefix) else None

    return listing("Roles", *await scan(tx, keys.entities(ctx.account, "role"), request, view))


async def update_role(ctx: Context, tx: Transaction, request: Request) -> Answer:
    role = await _modifiable(ctx, tx, request)
    role.description = request.get("Description", role.description)
    role.max_session_s = request.get("MaxSessionDuration", role.max_session_s)
    save(ctx, tx, role)
    return {}


async def update_role_description(ctx: Context, tx: Transaction, request: Request) -> Answer:
    role = await _modifiable(ctx, tx, request)
    role.description = request["Description"]
    save(ctx, tx, role)
    return {"Role": role_answer(ctx.account, role, detail=False)}


async def update_assume_role_policy(ctx: Context, tx: Transaction, request: Request) -> None:
    role = await _modifiable(ctx, tx, request)
    check_trust_policy(request["PolicyDocument"])
    role.trust = request["PolicyDocument"]
    save(ctx, tx, role)


async def delete_role(ctx: Context, tx: Transaction, request: Request) -> None:
    role = await _modifiable(ctx, tx, request)
    start, end = keys.profiles_of_role(ctx.account, role.name)
    if await tx.scan(start, end, limit=1):
        raise errors.delete_conflict("Cannot delete entity, must remove roles from instance profile first.")
    attached.check_bare(role)
    await attached.set_boundary(ctx, tx, role, "")
    remove(ctx, tx, role)


async def put_role_permissions_boundary(ctx: Context, tx: Transaction, request: Request) -> None:
    role = await _modifiable(ctx, tx, request)
    await attached.set_boundary(ctx, tx, role, request["PermissionsBoundary"])
    save(ctx, tx, role)


async def delete_role_permissions_boundary(ctx: Context, tx: Transaction, request: Request) -> None:
    role = await _modifiable(ctx, tx, request)
    if not role.boundary:
        raise errors.no_such_entity(f"Role {role.name} does not have a permissions boundary.")
    await attached.set_boundary(ctx, tx, role, "")
    save(ctx, tx, role)


async def tag_role(ctx: Context, tx: Transaction, request: Request) -> None:
    role = await _modifiable(ctx, tx, request)
    role.tags = tags.merged(role.tags, request["Tags"])
    save(ctx, tx, role)


async def untag_role(ctx: Context, tx: Transaction, request: Request) -> None:
    role = await _modifiable(ctx, tx, request)
    role.tags = tags.without(role.tags, request["TagKeys"])
    save(ctx, tx, role)


async def list_role_tags(ctx: Context, tx: Reader, request: Request) -> Answer:
    role = await load(tx, ctx.account, Role, request["RoleName"])
    return listing("Tags", *page(tag_list(role.tags), request))


async def _modifiable(ctx: Context, tx: Transaction, request: Request) -> Role:
    role = await load(tx, ctx.account, Role, request["RoleName"])
    attached.modifiable(role)
    return role


async def attach_role_policy(ctx: Context, tx: Transaction, request: Request) -> None:
    await attached.attach(ctx, tx, Role, request["RoleName"], request["PolicyArn"])


async def detach_role_policy(ctx: Context, tx: Transaction, request: Request) -> None:
    await attached.detach(ctx, tx, Role, request["RoleName"], request["PolicyArn"])


async def list_attached_role_policies(ctx: Context, tx: Reader, request: Request) -> Answer:
    return await attached.list_attached(ctx, tx, Role, request["RoleName"], request)


async def put_role_policy(ctx: Context, tx: Transaction, request: Request) -> None:
    await attached.put_inline(ctx, tx, Role, request["RoleName"], request)


async def get_role_policy(ctx: Context, tx: Reader, request: Request) -> Answer:
    return await attached.get_inline(ctx, tx, Role, request["RoleName"], request)


async def delete_role_policy(ctx: Context, tx: Transaction, request: Request) -> None:
    await attached.delete_inline(ctx, tx, Role, request["RoleName"], request)


async def list_role_policies(ctx: Context, tx: Reader, request: Request) -> Answer:
    return await attached.list_inline(ctx, tx, Role, request["RoleName"], request)
