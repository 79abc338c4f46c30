"""Archives.

Source: the API reference's pages of these operations; recorded answers.
"""

from __future__ import annotations

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.services.events import archiving, errors, keys, paging
from pileus.services.events.archiving import size_of
from pileus.services.events.lookup import get_bus, save_rule
from pileus.services.events.names import RuleName, archive_arn, bus_of_arn
from pileus.services.events.operations.rules import check_pattern
from pileus.services.events.records import Archive, decode, encode
from pileus.store.contract import Reader, Transaction


async def get_archive(ctx: Context, tx: Reader, name: str) -> Archive:
    data = await tx.get(keys.archive(ctx.account, ctx.region, name))
    if data is None:
        raise errors.no_archive(name)
    return decode(Archive, data)


def _save(ctx: Context, tx: Transaction, archive: Archive) -> None:
    """Keep the archive with its rule."""
    bus = bus_of_arn(archive.bus_arn)
    tx.put(keys.archive(ctx.account, ctx.region, archive.name), encode(archive))
    tx.put(keys.archive_index(ctx.account, ctx.region, archive.name), b"")
    save_rule(
        ctx, tx, RuleName(bus, archiving.rule_name(archive.name)), archiving.make_rule(archive, bus, archive.created)
    )


async def create_archive(ctx: Context, tx: Transaction, request: Request) -> Answer:
    name = request["ArchiveName"]
    if await tx.get(keys.archive(ctx.account, ctx.region, name)) is not None:
        raise errors.exists(f"Archive {name}")
    bus = bus_of_arn(request["EventSourceArn"])
    await get_bus(tx, bus)
    if request.get("EventPattern"):
        check_pattern(request["EventPattern"])
    archive = Archive(
        name=name,
        id=ctx.cloud.ids.uuid(),
        bus_arn=bus.arn,
        created=ctx.now,
        pattern=request.get("EventPattern") or "",
        retention_days=request.get("RetentionDays") or 0,
        description=request.get("Description"),
        kms_key=request.get("KmsKeyIdentifier") or "",
    )
    _save(ctx, tx, archive)
    return _made(ctx, archive)


def _made(ctx: Context, archive: Archive) -> Answer:
    return {
        "ArchiveArn": archive_arn(ctx.account, ctx.region, archive.name),
        "State": "ENABLED",
        "CreationTime": archive.created,
    }


async def update_archive(ctx: Context, tx: Transaction, request: Request) -> Answer:
    archive = await get_archive(ctx, tx, request["ArchiveName"])
    if request.get("EventPattern"):
        check_pattern(request["EventPattern"])
    archive.pattern = request.get("EventPattern", archive.pattern)
    archive.retention_days = request.get("RetentionDays", archive.retention_days)
    archive.description = request.get("Description", archive.description)
    archive.kms_key = request.get("KmsKeyIdentifier", archive.kms_key)
    _save(ctx, tx, archive)
    return _made(ctx, archive)


async def delete_archive(ctx: Context, tx: Transaction, request: Request) -> None:
    archive = await get_archive(ctx, tx, request["ArchiveName"])
    tx.delete(keys.archive(ctx.account, ctx.region, archive.name))
    tx.delete(keys.archive_index(ctx.account, ctx.region, archive.name))
    tx.delete(keys.archive_size(archive.id))
    save_rule(ctx, tx, RuleName(bus_of_arn(archive.bus_arn), archiving.rule_name(archive.name)), None)
    tx.put(keys.archive_garbage(archive.id), b"")
    tx.on_commit(lambda: ctx.cloud.nudge("events.sweep"))


async def describe_archive(ctx: Context, tx: Reader, request: Request) -> Answer:
    archive = await get_archive(ctx, tx, request["ArchiveName"])
    shown = {
        "ArchiveArn": archive_arn(ctx.account, ctx.region, archive.name),
        **await _shown(tx, archive),
    }
    if archive.pattern:
        shown["EventPattern"] = archive.pattern
    if archive.description is not None:
        shown["Description"] = archive.description
    if archive.kms_key:
        shown["KmsKeyIdentifier"] = archive.kms_key
    return shown


async def _shown(tx: Reader, archive: Archive) -> Answer:
    size = await size_of(tx, archive.id)
    return {
        "ArchiveName": archive.name,
        "EventSourceArn": archive.bus_arn,
        "State": "ENABLED",
        "RetentionDays": archive.retention_days,
        "SizeBytes": size.bytes,
        "EventCount": size.events,
        "CreationTime": archive.created,
    }


async def list_archives(ctx: Context, tx: Reader, request: Request) -> Answer:
    asked = [member for member in ("NamePrefix", "EventSourceArn", "State") if request.get(member)]
    if len(asked) > 1:
        raise errors.invalid(
            "At most one filter is allowed for ListArchives. Use either : State, EventSourceArn, or NamePrefix."
        )
    source = request.get("EventSourceArn")
    if source:
        await get_bus(tx, bus_of_arn(source))

    def show(data: bytes) -> Archive | None:
        archive = decode(Archive, data)
        if source and archive.bus_arn != source:
            return None
        return archive if request.get("State", "ENABLED") == "ENABLED" else None

    span = keys.archives(ctx.account, ctx.region, request.get("NamePrefix", ""))
    found, token = await paging.page(tx, request, span, show)
    return paging.answer("Archives", [await _shown(tx, archive) for archive in found], token)
