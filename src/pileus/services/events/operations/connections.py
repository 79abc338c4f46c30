"""Connections.

Source: the API reference's pages of these operations; recorded answers.
"""

from __future__ import annotations

from typing import Any

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.arn import make_arn
from pileus.kernel.errors import NotBuilt
from pileus.services.events import authorizing, connections, errors, keys, paging, telling
from pileus.services.events.names import connection_arn
from pileus.services.events.records import Connection, decode, encode
from pileus.store.contract import Reader, Transaction

_OAUTH = "OAUTH_CLIENT_CREDENTIALS"


def _refuse_unbuilt(request: Request) -> None:
    if request.get("InvocationConnectivityParameters") or (request.get("AuthParameters") or {}).get(
        "ConnectivityParameters"
    ):
        raise NotBuilt("Private connectivity of connections")


def _arn(ctx: Context, connection: Connection) -> str:
    return connection_arn(ctx.account, ctx.region, connection.name, connection.id)


async def _tell(ctx: Context, tx: Transaction, connection: Connection, *happened: str, was: str) -> None:
    owner = (ctx.account, ctx.region)
    await telling.of_connection(ctx.cloud, tx, owner, connection, *happened, was=was, now=ctx.now)


async def _authorize(ctx: Context, tx: Transaction, connection: Connection, *, began: str) -> None:
    was = connection.state
    connection.authorized = ctx.now
    connection.state = "AUTHORIZED"
    if connection.authorization == _OAUTH:
        connection.state = "AUTHORIZING"
        authorizing.put(ctx, tx, connection)
    authorized = "Authorization Started" if connection.authorization == _OAUTH else "Authorized"
    await _tell(ctx, tx, connection, began, authorized, was=was)


async def create_connection(ctx: Context, tx: Transaction, request: Request) -> Answer:
    _refuse_unbuilt(request)
    name, parameters = request["Name"], request["AuthParameters"]
    if await tx.get(keys.connection(ctx.account, ctx.region, name)) is not None:
        raise errors.exists(f"Connection {name}")
    connections.check(request["AuthorizationType"], parameters)
    connection = Connection(
        name=name,
        id=ctx.cloud.ids.uuid(),
        secret_id=f"{ctx.cloud.ids.uuid()}-{ctx.cloud.ids.string(6)}",
        authorization=request["AuthorizationType"],
        state="",
        created=ctx.now,
        modified=ctx.now,
        description=request.get("Description"),
        kms_key=request.get("KmsKeyIdentifier") or "",
    )
    await connections.seal(ctx.cloud, tx, connection, parameters)
    await _authorize(ctx, tx, connection, began="Creation Started")
    tx.put(keys.connection(ctx.account, ctx.region, name), encode(connection))
    return {
        "ConnectionArn": _arn(ctx, connection),
        "ConnectionState": connection.state,
        "CreationTime": connection.created,
        "LastModifiedTime": connection.modified,
    }


def _changed(ctx: Context, connection: Connection) -> Answer:
    shown: Answer = {
        "ConnectionArn": _arn(ctx, connection),
        "ConnectionState": connection.state,
        "CreationTime": connection.created,
        "LastModifiedTime": connection.modified,
    }
    if connection.authorized is not None:
        shown["LastAuthorizedTime"] = connection.authorized
    return shown


async def update_connection(ctx: Context, tx: Transaction, request: Request) -> Answer:
    _refuse_unbuilt(request)
    connection = await connections.get(ctx, tx, request["Name"])
    connection.description = request.get("Description", connection.description)
    connection.kms_key = request.get("KmsKeyIdentifier", connection.kms_key)
    connection.authorization = request.get("AuthorizationType", connection.authorization)
    if request.get("AuthParameters") is not None or request.get("AuthorizationType") is not None:
        former = await connections.unseal(tx, connection)
        parameters = _merged(former, request.get("AuthParameters") or {})
        if request.get("AuthorizationType") is not None:
            wanted = connections.parameters_of(connection.authorization)
            parameters = {
                name: value for name, value in parameters.items() if name in (wanted, "InvocationHttpParameters")
            }
        connections.check(connection.authorization, parameters)
        await connections.seal(ctx.cloud, tx, connection, parameters)
        await _authorize(ctx, tx, connection, began="Update Started")
    connection.modified = ctx.now
    tx.put(keys.connection(ctx.account, ctx.region, connection.name), encode(connection))
    return _changed(ctx, connection)


def _merged(former: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """What an update leaves out stays."""
    merged = dict(former)
    for name, value in changes.items():
        before = merged.get(name)
        merged[name] = _merged(before, value) if isinstance(value, dict) and isinstance(before, dict) else value
    return merged


async def deauthorize_connection(ctx: Context, tx: Transaction, request: Request) -> Answer:
    connection = await connections.get(ctx, tx, request["Name"])
    was, connection.state = connection.state, "DEAUTHORIZED"
    connection.sealed = b""
    connection.shown = {}
    connection.modified = ctx.now
    tx.put(keys.connection(ctx.account, ctx.region, connection.name), encode(connection))
    await _tell(ctx, tx, connection, "Deauthorization Started", "Deauthorized", was=was)
    return {**_changed(ctx, connection), "ConnectionState": "DEAUTHORIZING"}


async def delete_connection(ctx: Context, tx: Transaction, request: Request) -> Answer:
    connection = await connections.get(ctx, tx, request["Name"])
    tx.delete(keys.connection(ctx.account, ctx.region, connection.name))
    was, connection.state = connection.state, "DELETING"
    await _tell(ctx, tx, connection, "Deletion Started", was=was)
    return _changed(ctx, connection)


async def describe_connection(ctx: Context, tx: Reader, request: Request) -> Answer:
    connection = await connections.get(ctx, tx, request["Name"])
    shown = {
        **_changed(ctx, connection),
        "Name": connection.name,
        "AuthorizationType": connection.authorization,
        "SecretArn": make_arn(
            "secretsmanager",
            ctx.region,
            ctx.account,
            f"secret:events!connection/{connection.name}/{connection.secret_id}",
        ),
        "AuthParameters": connection.shown,
    }
    if connection.description is not None:
        shown["Description"] = connection.description
    if connection.kms_key:
        shown["KmsKeyIdentifier"] = connection.kms_key
    return shown


async def list_connections(ctx: Context, tx: Reader, request: Request) -> Answer:
    def show(data: bytes) -> Answer | None:
        connection = decode(Connection, data)
        if request.get("ConnectionState", connection.state) != connection.state:
            return None
        return {
            **_changed(ctx, connection),
            "Name": connection.name,
            "AuthorizationType": connection.authorization,
        }

    span = keys.connections(ctx.account, ctx.region, request.get("NamePrefix", ""))
    found, token = await paging.page(tx, request, span, show)
    return paging.answer("Connections", found, token)
