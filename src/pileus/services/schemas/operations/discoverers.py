"""Discoverers.

The rule on the bus is set before what is kept of a discoverer, and dropped before it: a call that did not end is made
good by the same call again.

Source: the pages of these operations in the EventBridge Schemas API reference.
"""

from __future__ import annotations

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


async def _load(ctx: Context, request: Request) -> Discoverer:
    return await ctx.cloud.store.read(lambda tx: _get(ctx, tx, request["DiscovererId"]))


async def _save(ctx: Context, discoverer: Discoverer) -> None:
    async def put(tx: Transaction) -> None:
        # It may have been deleted meanwhile, and must not come back.
        await _get(ctx, tx, discoverer.id)
        tx.put(keys.discoverer(ctx.account, ctx.region, discoverer.id), encode(discoverer))

    await ctx.cloud.store.write(put)


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
    if await ctx.cloud.store.read(lambda tx: _find(ctx, tx, discoverer.id)) is not None:
        raise errors.exists(f"Discoverer with id {discoverer.id} already exists.")
    await discovering.set_rule(ctx, discoverer)

    async def put(tx: Transaction) -> None:
        await discovering.make_registry(ctx, tx)
        tx.put(keys.discoverer(ctx.account, ctx.region, discoverer.id), encode(discoverer))

    await ctx.cloud.store.write(put)
    return _shown(ctx, discoverer)


async def describe_discoverer(ctx: Context, tx: Reader, request: Request) -> Answer:
    return _shown(ctx, await _get(ctx, tx, request["DiscovererId"]))


async def update_discoverer(ctx: Context, request: Request) -> Answer:
    discoverer = await _load(ctx, request)
    discoverer.description = request.get("Description", discoverer.description)
    discoverer.cross_account = request.get("CrossAccount", discoverer.cross_account)
    await discovering.set_rule(ctx, discoverer)
    await _save(ctx, discoverer)
    return _shown(ctx, discoverer)


async def start_discoverer(ctx: Context, request: Request) -> Answer:
    return await _turn(ctx, request, STARTED)


async def stop_discoverer(ctx: Context, request: Request) -> Answer:
    return await _turn(ctx, request, STOPPED)


async def _turn(ctx: Context, request: Request, state: str) -> Answer:
    discoverer = await _load(ctx, request)
    discoverer.state = state
    await discovering.set_rule(ctx, discoverer)
    await _save(ctx, discoverer)
    return {"DiscovererId": discoverer.id, "State": state}


async def delete_discoverer(ctx: Context, request: Request) -> None:
    discoverer = await _load(ctx, request)
    await discovering.drop_rule(ctx, discoverer)

    async def drop(tx: Transaction) -> None:
        tx.delete(keys.discoverer(ctx.account, ctx.region, discoverer.id))

    await ctx.cloud.store.write(drop)


async def list_discoverers(ctx: Context, tx: Reader, request: Request) -> Answer:
    def show(data: bytes) -> Answer | None:
        discoverer = decode(Discoverer, data)
        if not discoverer.source_arn.startswith(request.get("SourceArnPrefix", "")):
            return None
        return _listed(ctx, discoverer)

    span = keys.discoverers(ctx.account, ctx.region, request.get("DiscovererIdPrefix", ""))
    return await page(tx, request, "Discoverers", span, show)
