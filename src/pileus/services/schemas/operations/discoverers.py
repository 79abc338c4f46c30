"""Discoverers.

What is kept of a discoverer is decided in one transaction; the rule on the bus follows it, also where the node dies in
between.

Source: the pages of these operations in the EventBridge Schemas API reference.
"""

from __future__ import annotations

from collections.abc import Callable

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.services.schemas import discovering, errors, keys
from pileus.services.schemas.discovering import STARTED, STOPPED
from pileus.services.schemas.names import discoverer_arn
from pileus.services.schemas.operations.common import page
from pileus.services.schemas.records import Discoverer, decode, encode
from pileus.store.contract import Reader, Transaction


async def _find(ctx: Context, tx: Reader, id: str) -> Discoverer | None:
    data = await tx.get(keys.discoverer(ctx.account, ctx.region, id))
    return None if data is None else decode(Discoverer, data)


async def _get(ctx: Context, tx: Reader, id: str) -> Discoverer:
    found = await _find(ctx, tx, id)
    if found is None:
        raise errors.no_discoverer(id)
    return found


async def _change(ctx: Context, request: Request, change: Callable[[Discoverer], None]) -> Discoverer:
    id = request["DiscovererId"]
    await discovering.check_bus(ctx, (await ctx.cloud.store.read(lambda tx: _get(ctx, tx, id))).source_arn)

    async def write(tx: Transaction) -> tuple[Discoverer, str]:
        discoverer = await _get(ctx, tx, id)
        change(discoverer)
        return discoverer, _save(ctx, tx, discoverer)

    discoverer, promised = await ctx.cloud.store.write(write)
    await discovering.keep(ctx, discoverer, promised)
    return discoverer


def _save(ctx: Context, tx: Transaction, discoverer: Discoverer) -> str:
    tx.put(keys.discoverer(ctx.account, ctx.region, discoverer.id), encode(discoverer))
    return discovering.promise(ctx, tx, discoverer)


def _listed(ctx: Context, discoverer: Discoverer) -> Answer:
    return {
        "DiscovererArn": discoverer_arn(ctx, discoverer.id),
        "DiscovererId": discoverer.id,
        "SourceArn": discoverer.source_arn,
        "State": discoverer.state,
        "CrossAccount": discoverer.cross_account,
        "Tags": discoverer.tags,
    }


def _shown(ctx: Context, discoverer: Discoverer) -> Answer:
    shown = _listed(ctx, discoverer)
    return shown if discoverer.description is None else shown | {"Description": discoverer.description}


async def create_discoverer(ctx: Context, request: Request) -> Answer:
    bus = discovering.bus_of(ctx, request["SourceArn"])
    discoverer = Discoverer(
        id=discovering.discoverer_id(bus),
        source_arn=str(bus),
        state=STARTED,
        cross_account=request.get("CrossAccount", True),
        description=request.get("Description"),
        tags=request.get("Tags") or {},
    )
    await discovering.check_bus(ctx, discoverer.source_arn)

    async def put(tx: Transaction) -> str:
        if await _find(ctx, tx, discoverer.id) is not None:
            raise errors.exists(f"Discoverer with id {discoverer.id} already exists.")
        await discovering.make_registry(ctx, tx)
        return _save(ctx, tx, discoverer)

    await discovering.keep(ctx, discoverer, await ctx.cloud.store.write(put))
    return _shown(ctx, discoverer)


async def describe_discoverer(ctx: Context, tx: Reader, request: Request) -> Answer:
    return _shown(ctx, await _get(ctx, tx, request["DiscovererId"]))


async def update_discoverer(ctx: Context, request: Request) -> Answer:
    def change(discoverer: Discoverer) -> None:
        discoverer.description = request.get("Description", discoverer.description)
        discoverer.cross_account = request.get("CrossAccount", discoverer.cross_account)

    return _shown(ctx, await _change(ctx, request, change))


async def start_discoverer(ctx: Context, request: Request) -> Answer:
    return await _turn(ctx, request, STARTED)


async def stop_discoverer(ctx: Context, request: Request) -> Answer:
    return await _turn(ctx, request, STOPPED)


async def _turn(ctx: Context, request: Request, state: str) -> Answer:
    def change(discoverer: Discoverer) -> None:
        discoverer.state = state

    discoverer = await _change(ctx, request, change)
    return {"DiscovererId": discoverer.id, "State": state}


async def delete_discoverer(ctx: Context, request: Request) -> None:
    async def drop(tx: Transaction) -> tuple[Discoverer, str]:
        discoverer = await _get(ctx, tx, request["DiscovererId"])
        tx.delete(keys.discoverer(ctx.account, ctx.region, discoverer.id))
        return discoverer, discovering.promise(ctx, tx, discoverer)

    await discovering.keep(ctx, *await ctx.cloud.store.write(drop))


async def list_discoverers(ctx: Context, tx: Reader, request: Request) -> Answer:
    def show(data: bytes) -> Answer | None:
        discoverer = decode(Discoverer, data)
        if not discoverer.source_arn.startswith(request.get("SourceArnPrefix", "")):
            return None
        return _listed(ctx, discoverer)

    span = keys.discoverers(ctx.account, ctx.region, request.get("DiscovererIdPrefix", ""))
    return await page(tx, request, "Discoverers", span, show)
