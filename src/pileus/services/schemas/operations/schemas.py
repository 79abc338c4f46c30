"""Schemas and their versions.

Source: the pages of these operations in the EventBridge Schemas API reference.
"""

from __future__ import annotations

from typing import Any

import orjson

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.services.schemas import documents, errors, keys, telling
from pileus.services.schemas.names import schema_arn
from pileus.services.schemas.operations.common import page
from pileus.services.schemas.operations.registries import get_registry
from pileus.services.schemas.records import Schema, Version, decode, encode
from pileus.store.contract import Reader, Transaction


async def _get(ctx: Context, tx: Reader, request: Request) -> Schema:
    registry = await get_registry(ctx, tx, request["RegistryName"])
    data = await tx.get(keys.schema(ctx.account, ctx.region, registry.name, request["SchemaName"]))
    if data is None:
        raise errors.no_schema(request["SchemaName"])
    return decode(Schema, data)


async def _version(ctx: Context, tx: Reader, schema: Schema, asked: str | None) -> tuple[int, Version]:
    """The version that was asked for; the newest without."""
    text = asked or str(schema.versions[-1])
    number = int(text) if text.isdecimal() and len(text) < 10 else 0
    data = await tx.get(keys.version(ctx.account, ctx.region, schema.registry, schema.name, number))
    if data is None:
        raise errors.no_version(schema.name, text)
    return number, decode(Version, data)


def save(ctx: Context, tx: Transaction, schema: Schema) -> None:
    tx.put(keys.schema(ctx.account, ctx.region, schema.registry, schema.name), encode(schema))


def add_version(ctx: Context, tx: Transaction, schema: Schema, content: str) -> Version:
    try:
        documents.check(schema.type, content)
    except documents.BadDocument as reason:
        raise errors.bad_request(str(reason)) from None
    schema.last += 1
    schema.versions = [*schema.versions, schema.last]
    schema.modified = ctx.now
    version = Version(type=schema.type, content=content, created=ctx.now)
    tx.put(keys.version(ctx.account, ctx.region, schema.registry, schema.name, schema.last), encode(version))
    telling.put(ctx, tx, schema)
    return version


def _shown(ctx: Context, schema: Schema, number: int, version: Version) -> Answer:
    shown: dict[str, Any] = {
        "LastModified": schema.modified,
        "SchemaArn": schema_arn(ctx, schema.registry, schema.name),
        "SchemaName": schema.name,
        "SchemaVersion": str(number),
        "Tags": schema.tags,
        "Type": version.type,
        "VersionCreatedDate": version.created,
    }
    return shown if schema.description is None else shown | {"Description": schema.description}


async def create_schema(ctx: Context, tx: Transaction, request: Request) -> Answer:
    registry, name = await get_registry(ctx, tx, request["RegistryName"]), request["SchemaName"]
    if await tx.get(keys.schema(ctx.account, ctx.region, registry.name, name)) is not None:
        raise errors.exists(f"Schema with name {name} already exists.")
    schema = Schema(
        name=name,
        registry=registry.name,
        type=request["Type"],
        modified=ctx.now,
        description=request.get("Description"),
        tags=request.get("Tags") or {},
        versions=[],
        last=0,
    )
    version = add_version(ctx, tx, schema, request["Content"])
    save(ctx, tx, schema)
    return _shown(ctx, schema, schema.last, version)


async def update_schema(ctx: Context, tx: Transaction, request: Request) -> Answer:
    schema = await _get(ctx, tx, request)
    number, version = await _version(ctx, tx, schema, None)
    schema.description = request.get("Description", schema.description)
    schema.type = request.get("Type", schema.type)
    content = request.get("Content")
    if content is not None and (content, schema.type) != (version.content, version.type):
        version = add_version(ctx, tx, schema, content)
        number = schema.last
    schema.modified = ctx.now
    save(ctx, tx, schema)
    return _shown(ctx, schema, number, version)


async def describe_schema(ctx: Context, tx: Reader, request: Request) -> Answer:
    schema = await _get(ctx, tx, request)
    number, version = await _version(ctx, tx, schema, request.get("SchemaVersion"))
    return _shown(ctx, schema, number, version) | {"Content": version.content}


async def delete_schema(ctx: Context, tx: Transaction, request: Request) -> None:
    schema = await _get(ctx, tx, request)
    tx.delete(keys.schema(ctx.account, ctx.region, schema.registry, schema.name))
    tx.delete_range(*keys.versions(ctx.account, ctx.region, schema.registry, schema.name))


async def delete_schema_version(ctx: Context, tx: Transaction, request: Request) -> None:
    schema = await _get(ctx, tx, request)
    number, _ = await _version(ctx, tx, schema, request["SchemaVersion"])
    if len(schema.versions) == 1:
        raise errors.bad_request("The last version of a schema goes with the schema: DeleteSchema.")
    schema.versions = [each for each in schema.versions if each != number]
    tx.delete(keys.version(ctx.account, ctx.region, schema.registry, schema.name, number))
    save(ctx, tx, schema)


async def list_schemas(ctx: Context, tx: Reader, request: Request) -> Answer:
    registry = await get_registry(ctx, tx, request["RegistryName"])

    def show(data: bytes) -> Answer:
        schema = decode(Schema, data)
        return {
            "LastModified": schema.modified,
            "SchemaArn": schema_arn(ctx, schema.registry, schema.name),
            "SchemaName": schema.name,
            "Tags": schema.tags,
            "VersionCount": len(schema.versions),
        }

    span = keys.schemas(ctx.account, ctx.region, registry.name, request.get("SchemaNamePrefix", ""))
    return await page(tx, request, "Schemas", span, show)


async def list_schema_versions(ctx: Context, tx: Reader, request: Request) -> Answer:
    schema = await _get(ctx, tx, request)
    arn = schema_arn(ctx, schema.registry, schema.name)
    token, limit = request.get("NextToken") or "0", request.get("Limit") or len(schema.versions)
    if not token.isdecimal():
        raise errors.bad_request("The NextToken is not valid.")
    found = [number for number in schema.versions if number > int(token)]
    shown = []
    for number in found[:limit]:
        _, version = await _version(ctx, tx, schema, str(number))
        shown.append({"SchemaArn": arn, "SchemaName": schema.name, "SchemaVersion": str(number), "Type": version.type})
    answer: Answer = {"SchemaVersions": shown}
    if len(found) > limit:
        answer["NextToken"] = str(found[limit - 1])
    return answer


async def search_schemas(ctx: Context, tx: Reader, request: Request) -> Answer:
    """Schemas with versions in whose name and content every keyword is."""
    registry = await get_registry(ctx, tx, request["RegistryName"])
    words = request["Keywords"].lower().split()
    span = keys.schemas(ctx.account, ctx.region, registry.name)
    listed = await page(tx, request, "Schemas", span, lambda data: decode(Schema, data))
    found = []
    for schema in listed["Schemas"]:
        versions = []
        for number in schema.versions:
            _, version = await _version(ctx, tx, schema, str(number))
            text = f"{schema.name}\n{version.content}".lower()
            if all(word in text for word in words):
                versions.append({"CreatedDate": version.created, "SchemaVersion": str(number), "Type": version.type})
        if versions:
            arn = schema_arn(ctx, registry.name, schema.name)
            found.append(
                {"RegistryName": registry.name, "SchemaArn": arn, "SchemaName": schema.name, "SchemaVersions": versions}
            )
    return listed | {"Schemas": found}


async def export_schema(ctx: Context, tx: Reader, request: Request) -> Answer:
    schema = await _get(ctx, tx, request)
    number, version = await _version(ctx, tx, schema, request.get("SchemaVersion"))
    content, wanted = version.content, request["Type"]
    if wanted not in (documents.OPENAPI, documents.JSON_SCHEMA):
        raise errors.bad_request(f"A schema is exported as {documents.JSON_SCHEMA} or {documents.OPENAPI}.")
    if wanted != version.type:
        if wanted == documents.OPENAPI:
            raise errors.bad_request(f"A schema of the type {version.type} is not exported as {wanted}.")
        try:
            content = orjson.dumps(documents.to_json_schema(orjson.loads(content))).decode()
        except documents.BadDocument as reason:
            raise errors.bad_request(str(reason)) from None
    return {
        "Content": content,
        "SchemaArn": schema_arn(ctx, schema.registry, schema.name),
        "SchemaName": schema.name,
        "SchemaVersion": str(number),
        "Type": wanted,
    }


async def get_discovered_schema(ctx: Context, tx: Reader, request: Request) -> Answer:
    try:
        return {"Content": documents.discover(request["Events"], request["Type"])}
    except documents.BadDocument as reason:
        raise errors.bad_request(str(reason)) from None
