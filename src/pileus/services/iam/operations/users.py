"""Users."""

from __future__ import annotations

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.services.iam import attached, errors, keys, tags
from pileus.services.iam.entities import KINDS, find, load, new_id, remove, save, tag_list, user_answer
from pileus.services.iam.paging import listing, page, scan
from pileus.services.iam.records import AccessKey, User, decode, encode
from pileus.store.contract import Reader, Transaction


def user_name(ctx: Context, request: Request) -> str:
    """The user who is meant: the named one, else the caller."""
    name: str | None = request.get("UserName")
    if name is not None:
        return name
    if ctx.principal.kind != "user":
        raise errors.validation_error("Must specify userName when calling with non-User credentials")
    return ctx.principal.name


async def create_user(ctx: Context, tx: Transaction, request: Request) -> Answer:
    name = request["UserName"]
    if await find(tx, ctx.account, User, name) is not None:
        raise errors.already_exists(f"User with name {name} already exists.")
    user = User(
        name=name,
        id=new_id(User, ctx.cloud.ids),
        path=request.get("Path", "/"),
        created=float(int(ctx.now)),
        tags=tags.merged({}, request.get("Tags", ())),
    )
    await attached.set_boundary(ctx, tx, user, request.get("PermissionsBoundary", ""))
    save(ctx, tx, user)
    return {"User": user_answer(ctx.account, user)}


async def get_user(ctx: Context, tx: Reader, request: Request) -> Answer:
    if "UserName" not in request and ctx.principal.kind == "root":
        # The root user has neither a name nor a record; it is as old as AWS's accounts can be.
        return {"User": {"Path": "/", "UserId": ctx.account, "Arn": ctx.principal.arn, "CreateDate": 0.0}}
    return {"User": user_answer(ctx.account, await load(tx, ctx.account, User, user_name(ctx, request)))}


async def list_users(ctx: Context, tx: Reader, request: Request) -> Answer:
    prefix = request.get("PathPrefix", "/")

    async def view(key: bytes, value: bytes) -> Answer | None:
        user = decode(value, User)
        return user_answer(ctx.account, user, detail=False) if user.path.startswith(prefix) else None

    return listing("Users", *await scan(tx, keys.entities(ctx.account, "user"), request, view))


async def update_user(ctx: Context, tx: Transaction, request: Request) -> None:
    user = await load(tx, ctx.account, User, request["UserName"])
    old, new = user.name, request.get("NewUserName", user.name)
    if new.lower() != old.lower() and await find(tx, ctx.account, User, new) is not None:
        raise errors.already_exists(f"User with name {new} already exists.")
    user.path = request.get("NewPath", user.path)
    if new != old:
        await _rename(ctx, tx, user, new)
    save(ctx, tx, user)


async def _rename(ctx: Context, tx: Transaction, user: User, new: str) -> None:
    """Everything that refers to the user by name follows."""
    account, old = ctx.account, user.name
    remove(ctx, tx, user)
    for group in user.groups:
        tx.delete(keys.member(account, group, old))
        tx.put(keys.member(account, group, new), b"")
    for arn in user.attached:
        tx.delete(keys.related(account, "attached", arn, KINDS[User], old))
        tx.put(keys.related(account, "attached", arn, KINDS[User], new), b"")
    if user.boundary:
        tx.delete(keys.related(account, "bounded", user.boundary, KINDS[User], old))
        tx.put(keys.related(account, "bounded", user.boundary, KINDS[User], new), b"")
    for id in user.access_keys:
        raw = await tx.get(keys.access_key(id))
        assert raw is not None
        key = decode(raw, AccessKey)
        key.user = new
        tx.put(keys.access_key(id), encode(key))
    user.name = new


async def delete_user(ctx: Context, tx: Transaction, request: Request) -> None:
    user = await load(tx, ctx.account, User, request["UserName"])
    if user.groups:
        raise errors.delete_conflict("Cannot delete entity, must remove users from group first.")
    attached.check_bare(user)
    if user.access_keys:
        raise errors.delete_conflict("Cannot delete entity, must delete access keys first.")
    if user.service_credentials:
        raise errors.delete_conflict("Cannot delete entity, must remove referenced objects first.")
    await attached.set_boundary(ctx, tx, user, "")
    remove(ctx, tx, user)


async def put_user_permissions_boundary(ctx: Context, tx: Transaction, request: Request) -> None:
    user = await load(tx, ctx.account, User, request["UserName"])
    await attached.set_boundary(ctx, tx, user, request["PermissionsBoundary"])
    save(ctx, tx, user)


async def delete_user_permissions_boundary(ctx: Context, tx: Transaction, request: Request) -> None:
    user = await load(tx, ctx.account, User, request["UserName"])
    if not user.boundary:
        raise errors.no_such_entity(f"User {user.name} does not have a permissions boundary.")
    await attached.set_boundary(ctx, tx, user, "")
    save(ctx, tx, user)


async def tag_user(ctx: Context, tx: Transaction, request: Request) -> None:
    user = await load(tx, ctx.account, User, request["UserName"])
    user.tags = tags.merged(user.tags, request["Tags"])
    save(ctx, tx, user)


async def untag_user(ctx: Context, tx: Transaction, request: Request) -> None:
    user = await load(tx, ctx.account, User, request["UserName"])
    user.tags = tags.without(user.tags, request["TagKeys"])
    save(ctx, tx, user)


async def list_user_tags(ctx: Context, tx: Reader, request: Request) -> Answer:
    user = await load(tx, ctx.account, User, request["UserName"])
    return listing("Tags", *page(tag_list(user.tags), request))


async def attach_user_policy(ctx: Context, tx: Transaction, request: Request) -> None:
    await attached.attach(ctx, tx, User, request["UserName"], request["PolicyArn"])


async def detach_user_policy(ctx: Context, tx: Transaction, request: Request) -> None:
    await attached.detach(ctx, tx, User, request["UserName"], request["PolicyArn"])


async def list_attached_user_policies(ctx: Context, tx: Reader, request: Request) -> Answer:
    return await attached.list_attached(ctx, tx, User, request["UserName"], request)


async def put_user_policy(ctx: Context, tx: Transaction, request: Request) -> None:
    await attached.put_inline(ctx, tx, User, request["UserName"], request)


async def get_user_policy(ctx: Context, tx: Reader, request: Request) -> Answer:
    return await attached.get_inline(ctx, tx, User, request["UserName"], request)


async def delete_user_policy(ctx: Context, tx: Transaction, request: Request) -> None:
    await attached.delete_inline(ctx, tx, User, request["UserName"], request)


async def list_user_policies(ctx: Context, tx: Reader, request: Request) -> Answer:
    return await attached.list_inline(ctx, tx, User, request["UserName"], request)
