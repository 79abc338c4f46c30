"""Groups and who is in them."""

from __future__ import annotations

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.services.iam import attached, errors, keys
from pileus.services.iam.entities import KINDS, find, group_answer, load, new_id, remove, save, user_answer
from pileus.services.iam.paging import listing, page, scan
from pileus.services.iam.records import Group, User, decode
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import unpack

GROUPS_PER_USER_MAX = 10


async def create_group(ctx: Context, tx: Transaction, request: Request) -> Answer:
    name = request["GroupName"]
    if await find(tx, ctx.account, Group, name) is not None:
        raise errors.already_exists(f"Group with name {name} already exists.")
    group = Group(
        name=name, id=new_id(Group, ctx.cloud.ids), path=request.get("Path", "/"), created=float(int(ctx.now))
    )
    save(ctx, tx, group)
    return {"Group": group_answer(ctx.account, group)}


async def get_group(ctx: Context, tx: Reader, request: Request) -> Answer:
    group = await load(tx, ctx.account, Group, request["GroupName"])

    async def view(key: bytes, value: bytes) -> Answer:
        return user_answer(ctx.account, await _member(ctx, tx, key), detail=False)

    answer = listing("Users", *await scan(tx, keys.members(ctx.account, group.name), request, view))
    return {"Group": group_answer(ctx.account, group), **answer}


async def list_groups(ctx: Context, tx: Reader, request: Request) -> Answer:
    prefix = request.get("PathPrefix", "/")

    async def view(key: bytes, value: bytes) -> Answer | None:
        group = decode(value, Group)
        return group_answer(ctx.account, group) if group.path.startswith(prefix) else None

    return listing("Groups", *await scan(tx, keys.entities(ctx.account, "group"), request, view))


async def list_groups_for_user(ctx: Context, tx: Reader, request: Request) -> Answer:
    user = await load(tx, ctx.account, User, request["UserName"])
    names, marker = page(sorted(user.groups, key=str.lower), request)
    groups = [await load(tx, ctx.account, Group, name) for name in names]
    return listing("Groups", [group_answer(ctx.account, group) for group in groups], marker)


async def update_group(ctx: Context, tx: Transaction, request: Request) -> None:
    group = await load(tx, ctx.account, Group, request["GroupName"])
    old, new = group.name, request.get("NewGroupName", group.name)
    if new.lower() != old.lower() and await find(tx, ctx.account, Group, new) is not None:
        raise errors.already_exists(f"Group with name {new} already exists.")
    group.path = request.get("NewPath", group.path)
    if new != old:
        remove(ctx, tx, group)
        start, end = keys.members(ctx.account, old)
        for key, _ in await tx.scan(start, end, limit=100_000):
            user = await _member(ctx, tx, key)
            user.groups = [new if name == old else name for name in user.groups]
            save(ctx, tx, user)
            tx.delete(key)
            tx.put(keys.member(ctx.account, new, user.name), b"")
        for arn in group.attached:
            tx.delete(keys.related(ctx.account, "attached", arn, KINDS[Group], old))
            tx.put(keys.related(ctx.account, "attached", arn, KINDS[Group], new), b"")
        group.name = new
    save(ctx, tx, group)


async def _member(ctx: Context, tx: Reader, key: bytes) -> User:
    """The user whom a membership's key names."""
    return await load(tx, ctx.account, User, str(unpack(key)[-1]))


async def delete_group(ctx: Context, tx: Transaction, request: Request) -> None:
    group = await load(tx, ctx.account, Group, request["GroupName"])
    start, end = keys.members(ctx.account, group.name)
    if await tx.scan(start, end, limit=1):
        raise errors.delete_conflict("Cannot delete entity, must remove users from group first.")
    attached.check_bare(group)
    remove(ctx, tx, group)


async def add_user_to_group(ctx: Context, tx: Transaction, request: Request) -> None:
    group = await load(tx, ctx.account, Group, request["GroupName"])
    user = await load(tx, ctx.account, User, request["UserName"])
    if group.name in user.groups:
        return
    if len(user.groups) >= GROUPS_PER_USER_MAX:
        raise errors.quota_exceeded("GroupsPerUser", GROUPS_PER_USER_MAX)
    user.groups.append(group.name)
    save(ctx, tx, user)
    tx.put(keys.member(ctx.account, group.name, user.name), b"")


async def remove_user_from_group(ctx: Context, tx: Transaction, request: Request) -> None:
    group = await load(tx, ctx.account, Group, request["GroupName"])
    user = await load(tx, ctx.account, User, request["UserName"])
    if group.name in user.groups:
        user.groups.remove(group.name)
        save(ctx, tx, user)
        tx.delete(keys.member(ctx.account, group.name, user.name))


async def attach_group_policy(ctx: Context, tx: Transaction, request: Request) -> None:
    await attached.attach(ctx, tx, Group, request["GroupName"], request["PolicyArn"])


async def detach_group_policy(ctx: Context, tx: Transaction, request: Request) -> None:
    await attached.detach(ctx, tx, Group, request["GroupName"], request["PolicyArn"])


async def list_attached_group_policies(ctx: Context, tx: Reader, request: Request) -> Answer:
    return await attached.list_attached(ctx, tx, Group, request["GroupName"], request)


async def put_group_policy(ctx: Context, tx: Transaction, request: Request) -> None:
    await attached.put_inline(ctx, tx, Group, request["GroupName"], request)


async def get_group_policy(ctx: Context, tx: Reader, request: Request) -> Answer:
    return await attached.get_inline(ctx, tx, Group, request["GroupName"], request)


async def delete_group_policy(ctx: Context, tx: Transaction, request: Request) -> None:
    await attached.delete_inline(ctx, tx, Group, request["GroupName"], request)


async def list_group_policies(ctx: Context, tx: Reader, request: Request) -> Answer:
    return await attached.list_inline(ctx, tx, Group, request["GroupName"], request)
