"""Brokers, and their tags.

Pileus runs no brokers: one that runs already is registered, by a tag that says where.

Source: the pages of these operations in the Amazon MQ API reference.
"""

from __future__ import annotations

import importlib.util
import re
from typing import Any

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.cloud.pages import page_answer, read_page
from pileus.kernel.arn import make_arn, parse_arn
from pileus.kernel.errors import NotBuilt
from pileus.kernel.paging import BadToken
from pileus.services.mq import errors, keys, login
from pileus.services.mq.records import Broker, decode, encode
from pileus.store.contract import Reader, Transaction

PAGE = 100
_NAME = re.compile(r"[A-Za-z0-9_\-]{1,50}")
_MODES = ("SINGLE_INSTANCE", "CLUSTER_MULTI_AZ")
# What would have to be done to a broker, and is not.
_NOT_BUILT = ("Configuration", "LdapServerMetadata", "EncryptionOptions", "DataReplicationMode")
_SHOWN = (
    "AutoMinorVersionUpgrade",
    "DeploymentMode",
    "EngineType",
    "EngineVersion",
    "HostInstanceType",
    "Logs",
    "MaintenanceWindowStartTime",
    "PubliclyAccessible",
    "SecurityGroups",
    "StorageType",
    "SubnetIds",
)
_DEFAULTS = {"AutoMinorVersionUpgrade": False, "SecurityGroups": [], "StorageType": "EBS", "SubnetIds": []}


async def create_broker(ctx: Context, request: Request) -> Answer:
    if request["EngineType"] != "RABBITMQ":
        raise NotBuilt(f"A broker of the engine {request['EngineType']}")
    for member in _NOT_BUILT:
        if request.get(member):
            raise NotBuilt(f"{member} of CreateBroker")
    tags = request.get("Tags") or {}
    endpoint = tags.get(login.ENDPOINT_TAG)
    if endpoint is None:
        raise NotBuilt(
            f"A broker that CreateBroker starts (register one that runs: the tag {login.ENDPOINT_TAG} says where, as "
            "amqp://host:port)"
        )
    if importlib.util.find_spec("pika") is None:
        raise NotBuilt("CreateBroker without the package pika (pileus[mq])")
    name = request["BrokerName"]
    if not _NAME.fullmatch(name):
        raise errors.bad_request(
            f"Broker name [{name}] is invalid. It can contain only alphanumeric characters, dashes and underscores, "
            "and be 1-50 characters long.",
            "brokerName",
        )
    if request["DeploymentMode"] not in _MODES:
        raise errors.bad_request(
            f"Broker deployment mode [{request['DeploymentMode']}] is invalid for RabbitMQ. Valid values: "
            f"[{', '.join(_MODES)}].",
            "deploymentMode",
        )
    users: list[dict[str, Any]] = request.get("Users") or []
    if len(users) != 1:
        raise errors.bad_request("A RabbitMQ broker is created with one user.", "users")
    user, password = users[0]["Username"], users[0]["Password"]
    await login.try_login(endpoint, user, password)
    id = f"b-{ctx.cloud.ids.uuid()}"

    async def create(tx: Transaction) -> Answer:
        taken = keys.name(ctx.account, ctx.region, name)
        if await tx.get(taken) is not None:
            raise errors.exists(name)
        broker = Broker(
            id=id,
            name=name,
            arn=make_arn("mq", ctx.region, ctx.account, f"broker:{name}:{id}"),
            endpoint=endpoint,
            created=ctx.now,
            asked=_DEFAULTS | {member: request[member] for member in _SHOWN if member in request},
            user=user,
            sealed=await login.seal(ctx.cloud, tx, id, password),
            tags=tags,
        )
        tx.put(taken, id.encode())
        tx.put(keys.broker(ctx.account, ctx.region, id), encode(broker))
        return {"BrokerId": id, "BrokerArn": broker.arn}

    return await ctx.cloud.store.write(create)


async def find(ctx: Context, tx: Reader, id: str) -> Broker:
    data = await tx.get(keys.broker(ctx.account, ctx.region, id.rpartition(":")[2]))
    if data is None:
        raise errors.not_found("broker", id)
    return decode(data)


async def describe_broker(ctx: Context, tx: Reader, request: Request) -> Answer:
    broker = await find(ctx, tx, request["BrokerId"])
    return {
        **broker.asked,
        "BrokerArn": broker.arn,
        "BrokerId": broker.id,
        "BrokerInstances": [{"Endpoints": [broker.endpoint]}],
        "BrokerName": broker.name,
        "BrokerState": "RUNNING",
        "Created": broker.created,
        "Tags": broker.tags,
        "Users": [],
    }


async def list_brokers(ctx: Context, tx: Reader, request: Request) -> Answer:
    def show(data: bytes) -> dict[str, Any]:
        broker = decode(data)
        return {
            "BrokerArn": broker.arn,
            "BrokerId": broker.id,
            "BrokerName": broker.name,
            "BrokerState": "RUNNING",
            "Created": broker.created,
            **{member: broker.asked[member] for member in ("DeploymentMode", "EngineType", "HostInstanceType")},
        }

    try:
        found, token = await read_page(
            tx,
            keys.brokers(ctx.account, ctx.region),
            show,
            limit=request.get("MaxResults") or PAGE,
            token=request.get("NextToken"),
        )
    except BadToken:
        raise errors.bad_request("The parameter nextToken is invalid.", "nextToken") from None
    return page_answer("BrokerSummaries", found, token)


async def delete_broker(ctx: Context, tx: Transaction, request: Request) -> Answer:
    """Forget where it is; it goes on running."""
    broker = await find(ctx, tx, request["BrokerId"])
    tx.delete(keys.broker(ctx.account, ctx.region, broker.id))
    tx.delete(keys.name(ctx.account, ctx.region, broker.name))
    return {"BrokerId": broker.id}


async def open_broker(ctx: Context, tx: Reader, request: Request) -> Answer:
    """The broker's address, and the user that it was registered with: for event sources."""
    broker = await find(ctx, tx, request["BrokerId"])
    return {"Endpoint": broker.endpoint, "Username": broker.user, "Password": await login.unseal(tx, broker)}


async def _of_arn(ctx: Context, tx: Reader, arn: str) -> Broker:
    parsed = parse_arn(arn)
    data = None
    if parsed is not None and parsed.resource.startswith("broker:"):
        data = await tx.get(keys.broker(ctx.account, ctx.region, arn.rpartition(":")[2]))
    if data is None:
        raise errors.not_found("resource", arn)
    return decode(data)


async def list_tags(ctx: Context, tx: Reader, request: Request) -> Answer:
    return {"Tags": (await _of_arn(ctx, tx, request["ResourceArn"])).tags}


async def create_tags(ctx: Context, tx: Transaction, request: Request) -> None:
    broker = await _of_arn(ctx, tx, request["ResourceArn"])
    tags = broker.tags | (request.get("Tags") or {})
    _retag(ctx, tx, broker, tags)


async def delete_tags(ctx: Context, tx: Transaction, request: Request) -> None:
    broker = await _of_arn(ctx, tx, request["ResourceArn"])
    _retag(ctx, tx, broker, {key: value for key, value in broker.tags.items() if key not in request["TagKeys"]})


def _retag(ctx: Context, tx: Transaction, broker: Broker, tags: dict[str, str]) -> None:
    if tags.get(login.ENDPOINT_TAG) != broker.endpoint:
        raise errors.bad_request(f"The tag {login.ENDPOINT_TAG} of a broker does not change.", "tags")
    broker.tags = tags
    tx.put(keys.broker(ctx.account, ctx.region, broker.id), encode(broker))
