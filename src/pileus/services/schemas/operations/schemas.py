"""Schemas and their versions.

Source: the pages of these operations in the EventBridge Schemas API reference.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import orjson

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.services.schemas import documents, errors, keys, telling
from pileus.services.schemas.names import DISCOVERED, schema_arn
from pileus.services.schemas.operations.common import PAGE, page
from pileus.services.schemas.operations.registries import get_registry
from pileus.services.schemas.records import Schema, Version, decode, encode
from pileus.store.contract import Reader, Transaction

# "Schema versions": of one schema at most.
VERSIONS_MAX = 100
# Of one search; and characters that one page of it looks at, beyond which it ends with the schema that it is at.
WORDS_MAX = 50
_LOOKED_AT_MAX = 4_000_000
_DIGITS_MAX = 9


async def _get(ctx: Context, tx: Reader, request: Request) -> Schema:
    registry = await get_registry(ctx, tx, request["RegistryName"])
    data = await tx.get(keys.schema(ctx.account, ctx.region, registry.name, request["SchemaName"]))
    if data is None:
        raise errors.no_schema(request["SchemaName"])
    return decode(Schema, data)


async def _version(ctx: Context, tx: Reader, schema: Schema, asked: str | None) -> tuple[int, Version]:
    """The version that was asked for; the newest without."""
    text = asked or str(schema.versions[-1])
    number = int(text) if text.isdecimal() and len(text) <= _DIGITS_MAX else 0
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
        if len(schema.versions) >= VERSIONS_MAX:
            raise errors.bad_request(f"Schema with name {schema.name} has {VERSIONS_MAX} versions, the most it may.")
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
    if schema.registry == DISCOVERED:
        tx.delete(keys.shape(ctx.account, ctx.region, schema.name))


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
    if not token.isdecimal() or len(token) > _DIGITS_MAX:
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
    words = set(request["Keywords"].lower().split())
    if len(words) > WORDS_MAX:
        raise errors.bad_request(f"A search has at most {WORDS_MAX} keywords.")
    span = keys.schemas(ctx.account, ctx.region, registry.name)
    found: list[Answer] = []
    token, looked_at = request.get("NextToken"), 0
    for _ in range(request.get("Limit") or PAGE):
        asked = {"Limit": 1} if token is None else {"Limit": 1, "NextToken": token}
        listed = await page(tx, asked, "Schemas", span, lambda data: decode(Schema, data))
        for schema in listed["Schemas"]:
            versions, characters = await _with_words(ctx, tx, schema, words)
            looked_at += characters
            if versions:
                arn = schema_arn(ctx, registry.name, schema.name)
                shown = {"RegistryName": registry.name, "SchemaArn": arn, "SchemaName": schema.name}
                found.append(shown | {"SchemaVersions": versions})
        token = listed.get("NextToken")
        if token is None or looked_at > _LOOKED_AT_MAX:
            break
    return {"Schemas": found} if token is None else {"Schemas": found, "NextToken": token}


async def _with_words(ctx: Context, tx: Reader, schema: Schema, words: Collection[str]) -> tuple[list[Answer], int]:
    """(the versions that have every word, how many characters were looked at)."""
    found: list[Answer] = []
    looked_at = 0
    for number in schema.versions:
        _, version = await _version(ctx, tx, schema, str(number))
        text = f"{schema.name}\n{version.content}".lower()
        looked_at += len(text) * (1 + len(words))
        if all(word in text for word in words):
            found.append({"CreatedDate": version.created, "SchemaVersion": str(number), "Type": version.type})
    return found, looked_at


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
