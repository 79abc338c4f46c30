"""Instance profiles: what holds a role for an EC2 instance."""

from __future__ import annotations

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.services.iam import errors, keys, tags
from pileus.services.iam.entities import arn_of, find, load, new_id, remove, role_answer, save, tag_list
from pileus.services.iam.paging import listing, page, scan
from pileus.services.iam.records import InstanceProfile, Role, decode
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import unpack


async def create_instance_profile(ctx: Context, tx: Transaction, request: Request) -> Answer:
    name = request["InstanceProfileName"]
    if await find(tx, ctx.account, InstanceProfile, name) is not None:
        raise errors.already_exists(f"Instance Profile {name} already exists.")
    profile = InstanceProfile(
        name=name,
        id=new_id(InstanceProfile, ctx.cloud.ids),
        path=request.get("Path", "/"),
        created=float(int(ctx.now)),
        tags=tags.merged({}, request.get("Tags", ())),
    )
    save(ctx, tx, profile)
    return {"InstanceProfile": await _answer(ctx, tx, profile)}


async def get_instance_profile(ctx: Context, tx: Reader, request: Request) -> Answer:
    return {"InstanceProfile": await _answer(ctx, tx, await _load(ctx, tx, request))}


async def list_instance_profiles(ctx: Context, tx: Reader, request: Request) -> Answer:
    prefix = request.get("PathPrefix", "/")

    async def view(key: bytes, value: bytes) -> Answer | None:
        profile = decode(value, InstanceProfile)
        return await _answer(ctx, tx, profile, detail=False) if profile.path.startswith(prefix) else None

    found, marker = await scan(tx, keys.entities(ctx.account, "instance-profile"), request, view)
    return listing("InstanceProfiles", found, marker)


async def list_instance_profiles_for_role(ctx: Context, tx: Reader, request: Request) -> Answer:
    role = await load(tx, ctx.account, Role, request["RoleName"])

    async def view(key: bytes, value: bytes) -> Answer:
        profile = await load(tx, ctx.account, InstanceProfile, str(unpack(key)[-1]))
        return await _answer(ctx, tx, profile, detail=False)

    found, marker = await scan(tx, keys.profiles_of_role(ctx.account, role.name), request, view)
    return listing("InstanceProfiles", found, marker)


async def delete_instance_profile(ctx: Context, tx: Transaction, request: Request) -> None:
    profile = await _load(ctx, tx, request)
    if profile.roles:
        raise errors.delete_conflict("Cannot delete entity, must remove roles from instance profile first.")
    remove(ctx, tx, profile)


async def add_role_to_instance_profile(ctx: Context, tx: Transaction, request: Request) -> None:
    profile = await _load(ctx, tx, request)
    role = await load(tx, ctx.account, Role, request["RoleName"])
    if profile.roles:
        raise errors.quota_exceeded("InstanceSessionsPerInstanceProfile", 1)
    profile.roles.append(role.name)
    save(ctx, tx, profile)
    tx.put(keys.profile_of_role(ctx.account, role.name, profile.name), b"")


async def remove_role_from_instance_profile(ctx: Context, tx: Transaction, request: Request) -> None:
    profile = await _load(ctx, tx, request)
    role = await load(tx, ctx.account, Role, request["RoleName"])
    if role.name not in profile.roles:
        raise errors.not_found("role", role.name)
    profile.roles.remove(role.name)
    save(ctx, tx, profile)
    tx.delete(keys.profile_of_role(ctx.account, role.name, profile.name))


async def tag_instance_profile(ctx: Context, tx: Transaction, request: Request) -> None:
    profile = await _load(ctx, tx, request)
    profile.tags = tags.merged(profile.tags, request["Tags"])
    save(ctx, tx, profile)


async def untag_instance_profile(ctx: Context, tx: Transaction, request: Request) -> None:
    profile = await _load(ctx, tx, request)
    profile.tags = tags.without(profile.tags, request["TagKeys"])
    save(ctx, tx, profile)


async def list_instance_profile_tags(ctx: Context, tx: Reader, request: Request) -> Answer:
    profile = await _load(ctx, tx, request)
    return listing("Tags", *page(tag_list(profile.tags), request))


async def _load(ctx: Context, tx: Reader, request: Request) -> InstanceProfile:
    return await load(tx, ctx.account, InstanceProfile, request["InstanceProfileName"])


async def _answer(ctx: Context, tx: Reader, profile: InstanceProfile, *, detail: bool = True) -> Answer:
    roles = [await load(tx, ctx.account, Role, name) for name in profile.roles]
    answer: Answer = {
        "Path": profile.path,
        "InstanceProfileName": profile.name,
        "InstanceProfileId": profile.id,
        "Arn": arn_of(ctx.account, profile),
        "CreateDate": profile.created,
        "Roles": [role_answer(ctx.account, role, created=True) for role in roles],
    }
    if detail and profile.tags:
        answer["Tags"] = tag_list(profile.tags)
    return answer
