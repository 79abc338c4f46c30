"""Registries, and the tags of everything.

Source: the pages of these operations in the EventBridge Schemas API reference.
"""

from __future__ import annotations

from typing import Any

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.arn import parse_arn
from pileus.services.schemas import errors, keys
from pileus.services.schemas.names import registry_arn
from pileus.services.schemas.operations.common import page
from pileus.services.schemas.records import Discoverer, Registry, Schema, decode, encode
from pileus.store.contract import Reader, Transaction


async def get_registry(ctx: Context, tx: Reader, name: str) -> Registry:
    data = await tx.get(keys.registry(ctx.account, ctx.region, name))
    if data is None:
        raise errors.no_registry(name)
    return decode(Registry, data)


def _shown(ctx: Context, registry: Registry) -> Answer:
    shown: dict[str, Any] = {
        "RegistryArn": registry_arn(ctx, registry.name),
        "RegistryName": registry.name,
        "Tags": registry.tags,
    }
    return shown if registry.description is None else shown | {"Description": registry.description}


async def create_registry(ctx: Context, tx: Transaction, request: Request) -> Answer:
    name = request["RegistryName"]
    if name.lower().startswith("aws."):
        raise errors.bad_request("Registry names that begin with aws. are reserved.")
    key = keys.registry(ctx.account, ctx.region, name)
    if await tx.get(key) is not None:
        raise errors.exists(f"Registry with name {name} already exists.")
    registry = Registry(name=name, description=request.get("Description"), tags=request.get("Tags") or {})
    tx.put(key, encode(registry))
    return _shown(ctx, registry)


async def describe_registry(ctx: Context, tx: Reader, request: Request) -> Answer:
    return _shown(ctx, await get_registry(ctx, tx, request["RegistryName"]))


async def update_registry(ctx: Context, tx: Transaction, request: Request) -> Answer:
    registry = await get_registry(ctx, tx, request["RegistryName"])
    registry.description = request.get("Description", registry.description)
    tx.put(keys.registry(ctx.account, ctx.region, registry.name), encode(registry))
    return _shown(ctx, registry)


async def delete_registry(ctx: Context, tx: Transaction, request: Request) -> None:
    name = (await get_registry(ctx, tx, request["RegistryName"])).name
    if await tx.scan(*keys.schemas(ctx.account, ctx.region, name), limit=1):
        raise errors.bad_request(f"Registry with name {name} has schemas.")
    tx.delete(keys.registry(ctx.account, ctx.region, name))


async def list_registries(ctx: Context, tx: Reader, request: Request) -> Answer:
    def show(data: bytes) -> Answer:
        shown = _shown(ctx, decode(Registry, data))
        shown.pop("Description", None)
        return shown

    # AWS's own registry is not here.
    if request.get("Scope", "LOCAL").upper() == "AWS":
        return {"Registries": []}
    span = keys.registries(ctx.account, ctx.region, request.get("RegistryNamePrefix", ""))
    return await page(tx, request, "Registries", span, show)


# -- tags --------------------------------------------------------------------------------------------------------------


async def _tagged(ctx: Context, tx: Reader, text: str) -> tuple[bytes, Registry | Discoverer | Schema]:
    arn = parse_arn(text)
    kind, _, path = (arn.resource if arn is not None else "").partition("/")
    names = path.split("/")
    if kind == "registry" and len(names) == 1:
        key = keys.registry(ctx.account, ctx.region, names[0])
        if (data := await tx.get(key)) is not None:
            return key, decode(Registry, data)
    elif kind == "discoverer" and len(names) == 1:
        key = keys.discoverer(ctx.account, ctx.region, names[0])
        if (data := await tx.get(key)) is not None:
            return key, decode(Discoverer, data)
    elif kind == "schema" and len(names) == 2:
        key = keys.schema(ctx.account, ctx.region, names[0], names[1])
        if (data := await tx.get(key)) is not None:
            return key, decode(Schema, data)
    raise errors.not_found(f"Resource {text} does not exist.")


async def tag_resource(ctx: Context, tx: Transaction, request: Request) -> None:
    key, record = await _tagged(ctx, tx, request["ResourceArn"])
    record.tags = {**record.tags, **request["Tags"]}
    tx.put(key, encode(record))


async def untag_resource(ctx: Context, tx: Transaction, request: Request) -> None:
    key, record = await _tagged(ctx, tx, request["ResourceArn"])
    record.tags = {name: value for name, value in record.tags.items() if name not in request["TagKeys"]}
    tx.put(key, encode(record))


async def list_tags_for_resource(ctx: Context, tx: Reader, request: Request) -> Answer:
    return {"Tags": (await _tagged(ctx, tx, request["ResourceArn"]))[1].tags}
