"""Access keys of users."""

from __future__ import annotations

from pileus.access.access_keys import new_access_key_id, new_secret
from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.services.iam import errors, keys
from pileus.services.iam.entities import changed, load, save
from pileus.services.iam.identities import IamIdentities
from pileus.services.iam.operations.users import user_name
from pileus.services.iam.paging import listing, page
from pileus.services.iam.records import AccessKey, KeyUse, User, decode, encode
from pileus.store.contract import Reader, Transaction

ACCESS_KEYS_MAX = 2


async def create_access_key(ctx: Context, tx: Transaction, request: Request) -> Answer:
    user = await load(tx, ctx.account, User, user_name(ctx, request))
    if len(user.access_keys) >= ACCESS_KEYS_MAX:
        raise errors.quota_exceeded("AccessKeysPerUser", ACCESS_KEYS_MAX)
    key = AccessKey(
        id=new_access_key_id("AKIA", ctx.account, ctx.cloud.ids),
        account=ctx.account,
        user=user.name,
        secret=new_secret(ctx.cloud.ids),
        created=float(int(ctx.now)),
    )
    user.access_keys.append(key.id)
    save(ctx, tx, user)
    tx.put(keys.access_key(key.id), encode(key))
    return {"AccessKey": {**_answer(key), "SecretAccessKey": key.secret}}


async def list_access_keys(ctx: Context, tx: Reader, request: Request) -> Answer:
    user = await load(tx, ctx.account, User, user_name(ctx, request))
    ids, marker = page(user.access_keys, request)
    return listing("AccessKeyMetadata", [_answer(await _load(ctx, tx, user, id)) for id in ids], marker)


async def update_access_key(ctx: Context, tx: Transaction, request: Request) -> None:
    user = await load(tx, ctx.account, User, user_name(ctx, request))
    key = await _load(ctx, tx, user, request["AccessKeyId"])
    key.active = request["Status"] == "Active"
    tx.put(keys.access_key(key.id), encode(key))
    changed(ctx, tx)


async def delete_access_key(ctx: Context, tx: Transaction, request: Request) -> None:
    user = await load(tx, ctx.account, User, user_name(ctx, request))
    key = await _load(ctx, tx, user, request["AccessKeyId"])
    user.access_keys.remove(key.id)
    save(ctx, tx, user)
    tx.delete(keys.access_key(key.id))
    tx.delete(keys.access_key_use(key.id))


async def get_access_key_last_used(ctx: Context, tx: Reader, request: Request) -> Answer:
    id = request["AccessKeyId"]
    raw = await tx.get(keys.access_key(id))
    key = None if raw is None else decode(raw, AccessKey)
    if key is None or key.account != ctx.account:
        raise errors.access_key_not_found(id)
    use = ctx.cloud.part(IamIdentities).uses.get(id)
    if use is None:
        raw = await tx.get(keys.access_key_use(id))
        use = None if raw is None else decode(raw, KeyUse)
    if use is None:
        return {"UserName": key.user, "AccessKeyLastUsed": {"ServiceName": "N/A", "Region": "N/A"}}
    last = {"LastUsedDate": float(int(use.when)), "ServiceName": use.service, "Region": use.region}
    return {"UserName": key.user, "AccessKeyLastUsed": last}


def _answer(key: AccessKey) -> Answer:
    return {
        "UserName": key.user,
        "AccessKeyId": key.id,
        "Status": "Active" if key.active else "Inactive",
        "CreateDate": key.created,
    }


async def _load(ctx: Context, tx: Reader, user: User, id: str) -> AccessKey:
    raw = await tx.get(keys.access_key(id)) if id in user.access_keys else None
    if raw is None:
        raise errors.access_key_not_found(id)
    return decode(raw, AccessKey)
