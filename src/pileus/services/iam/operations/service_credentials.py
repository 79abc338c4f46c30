"""Service-specific credentials: a user's password for CodeCommit or Amazon Keyspaces."""

from __future__ import annotations

from pileus.access.access_keys import new_secret
from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.errors import NotBuilt
from pileus.kernel.ids import BASE32
from pileus.services.iam import errors, keys
from pileus.services.iam.entities import load, save
from pileus.services.iam.operations.users import user_name
from pileus.services.iam.paging import page, truncation
from pileus.services.iam.records import ServiceCredential, User, decode, encode
from pileus.store.contract import Reader, Transaction

SERVICES = frozenset(("cassandra.amazonaws.com", "codecommit.amazonaws.com"))
_CREDENTIALS_MAX = 2


async def create_service_specific_credential(ctx: Context, tx: Transaction, request: Request) -> Answer:
    user = await load(tx, ctx.account, User, request["UserName"])
    service = request["ServiceName"]
    _check_service(service)
    if "CredentialAgeDays" in request:
        raise NotBuilt("iam:CreateServiceSpecificCredential with CredentialAgeDays")
    known = [await _load(ctx, tx, user, id) for id in user.service_credentials]
    of_service = [one for one in known if one.service == service]
    if len(of_service) >= _CREDENTIALS_MAX:
        raise errors.quota_exceeded("ServiceSpecificCredentialsPerUser", _CREDENTIALS_MAX)
    # The second one of a service is told apart by a number.
    number = f"+{len(of_service)}" if of_service else ""
    credential = ServiceCredential(
        id="ACCA" + ctx.cloud.ids.string(17, BASE32),
        user=user.name,
        service=service,
        service_user=f"{user.name}{number}-at-{ctx.account}",
        password=_password(ctx),
        created=float(int(ctx.now)),
    )
    user.service_credentials.append(credential.id)
    save(ctx, tx, user)
    tx.put(keys.service_credential(ctx.account, credential.id), encode(credential))
    return {"ServiceSpecificCredential": {**_answer(credential), "ServicePassword": credential.password}}


async def list_service_specific_credentials(ctx: Context, tx: Reader, request: Request) -> Answer:
    if request.get("AllUsers"):
        raise NotBuilt("iam:ListServiceSpecificCredentials with AllUsers")
    user = await load(tx, ctx.account, User, user_name(ctx, request))
    service = request.get("ServiceName")
    if service is not None:
        _check_service(service)
    known = [await _load(ctx, tx, user, id) for id in user.service_credentials]
    found, marker = page([one for one in known if service in (None, one.service)], request)
    answer: Answer = {"ServiceSpecificCredentials": [_answer(one) for one in found]}
    # This list alone does not say that it is whole.
    return answer if marker is None else {**answer, **truncation(marker)}


async def update_service_specific_credential(ctx: Context, tx: Transaction, request: Request) -> None:
    credential = await _of_request(ctx, tx, request)
    credential.active = request["Status"] == "Active"
    tx.put(keys.service_credential(ctx.account, credential.id), encode(credential))


async def reset_service_specific_credential(ctx: Context, tx: Transaction, request: Request) -> Answer:
    credential = await _of_request(ctx, tx, request)
    credential.password = _password(ctx)
    tx.put(keys.service_credential(ctx.account, credential.id), encode(credential))
    return {"ServiceSpecificCredential": {**_answer(credential), "ServicePassword": credential.password}}


async def delete_service_specific_credential(ctx: Context, tx: Transaction, request: Request) -> None:
    credential = await _of_request(ctx, tx, request)
    user = await load(tx, ctx.account, User, credential.user)
    user.service_credentials.remove(credential.id)
    save(ctx, tx, user)
    tx.delete(keys.service_credential(ctx.account, credential.id))


def _password(ctx: Context) -> str:
    return new_secret(ctx.cloud.ids) + "="


def _check_service(service: str) -> None:
    if service not in SERVICES:
        raise errors.no_such_entity(f"No such service {service} is supported for Service Specific Credentials")


async def _of_request(ctx: Context, tx: Reader, request: Request) -> ServiceCredential:
    user = await load(tx, ctx.account, User, user_name(ctx, request))
    return await _load(ctx, tx, user, request["ServiceSpecificCredentialId"])


async def _load(ctx: Context, tx: Reader, user: User, id: str) -> ServiceCredential:
    raw = await tx.get(keys.service_credential(ctx.account, id)) if id in user.service_credentials else None
    if raw is None:
        raise errors.no_such_entity(f"No such credential {id} exists")
    return decode(raw, ServiceCredential)


def _answer(credential: ServiceCredential) -> Answer:
    return {
        "CreateDate": credential.created,
        "ServiceName": credential.service,
        "ServiceUserName": credential.service_user,
        "ServiceSpecificCredentialId": credential.id,
        "UserName": credential.user,
        "Status": "Active" if credential.active else "Inactive",
    }
