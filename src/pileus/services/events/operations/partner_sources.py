"""Partner event sources: what a partner offers to an account, which takes it by a bus of its name.

Source: the API reference's pages of these operations, and EventSource; "Receiving events from a SaaS partner" of the
user guide.
"""

from __future__ import annotations

from typing import Any

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.services.events import errors, keys, paging, routing
from pileus.services.events.lookup import find_bus
from pileus.services.events.names import BusName, source_arn
from pileus.services.events.operations.events import check_size, new_event
from pileus.services.events.records import PartnerSource, decode, encode
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

# What nobody has made a bus for by then is gone: "two weeks".
EXPIRES_S = 14 * 86400
_SCAN = 500


async def find_source(tx: Reader, at: BusName, now: float) -> PartnerSource | None:
    """The source that was offered to an account, under the name of the bus that it may make."""
    data = await tx.get(keys.partner_source(*at))
    source = None if data is None else decode(PartnerSource, data)
    if source is None or (source.state == "PENDING" and source.expires is not None and source.expires <= now):
        return None
    return source


async def get_source(tx: Reader, at: BusName, now: float) -> PartnerSource:
    source = await find_source(tx, at, now)
    if source is None:
        raise errors.no_source(at.name)
    return source


async def set_state(tx: Transaction, at: BusName, source: PartnerSource, state: str, now: float) -> None:
    """`state` as a bus of the source comes, goes, or is to get events or none."""
    source.state = state
    source.expires = now + EXPIRES_S if state == "PENDING" and await find_bus(tx, at) is None else None
    tx.put(keys.partner_source(*at), encode(source))


# -- the partner's -----------------------------------------------------------------------------------------------------


async def create_partner_event_source(ctx: Context, tx: Transaction, request: Request) -> Answer:
    name, account = request["Name"], request["Account"]
    at = BusName(account, ctx.region, name)
    former = await find_source(tx, at, ctx.now)
    if former is not None and (former.partner != ctx.account or former.state != "DELETED"):
        raise errors.exists(f"Event source {name}")
    source = PartnerSource(name=name, partner=ctx.account, account=account, created=ctx.now)
    tx.put(keys.partner_offer(ctx.account, ctx.region, name, account), b"")
    await set_state(tx, at, source, "PENDING" if former is None else "ACTIVE", ctx.now)
    return {"EventSourceArn": source_arn(ctx.region, name)}


async def delete_partner_event_source(ctx: Context, tx: Transaction, request: Request) -> None:
    name, account = request["Name"], request["Account"]
    at = BusName(account, ctx.region, name)
    source = await find_source(tx, at, ctx.now)
    if source is None or source.partner != ctx.account:
        return
    tx.delete(keys.partner_offer(ctx.account, ctx.region, name, account))
    if await find_bus(tx, at) is None:
        tx.delete(keys.partner_source(*at))
    else:
        await set_state(tx, at, source, "DELETED", ctx.now)


async def _offers(ctx: Context, tx: Reader, name: str) -> list[tuple[BusName, PartnerSource]]:
    """What this partner offers under a name, to all accounts."""
    found = []
    start, end = keys.partner_offers(ctx.account, ctx.region, name)
    while True:
        entries = await tx.scan(start, end, limit=_SCAN)
        for key, _ in entries:
            at = BusName(keys.offered_to(key), ctx.region, name)
            source = await find_source(tx, at, ctx.now)
            if source is not None and source.partner == ctx.account:
                found.append((at, source))
        if len(entries) < _SCAN:
            return found
        start = after(entries[-1][0])


async def describe_partner_event_source(ctx: Context, tx: Reader, request: Request) -> Answer:
    if not await _offers(ctx, tx, request["Name"]):
        raise errors.no_source(request["Name"])
    return {"Arn": source_arn(ctx.region, request["Name"]), "Name": request["Name"]}


async def list_partner_event_sources(ctx: Context, tx: Reader, request: Request) -> Answer:
    names: list[str] = []
    start, end = keys.all_partner_offers(ctx.account, ctx.region, request["NamePrefix"])
    limit, token = request.get("Limit") or paging.PAGE, request.get("NextToken") or ""
    while len(names) <= limit and (entries := await tx.scan(start, end, limit=_SCAN)):
        for key, _ in entries:
            name = keys.offered_name(key)
            if name > token and (not names or names[-1] != name) and await _offers(ctx, tx, name):
                names.append(name)
        start = after(entries[-1][0])
    shown = [{"Arn": source_arn(ctx.region, name), "Name": name} for name in names[:limit]]
    return paging.answer("PartnerEventSources", shown, names[limit - 1] if len(names) > limit else None)


async def list_partner_event_source_accounts(ctx: Context, tx: Reader, request: Request) -> Answer:
    offers = await _offers(ctx, tx, request["EventSourceName"])
    if not offers:
        raise errors.no_source(request["EventSourceName"])
    limit, token = request.get("Limit") or paging.PAGE, request.get("NextToken") or ""
    rest = [source for _, source in offers if source.account > token]
    shown = [{"Account": source.account, **_times(source), "State": source.state} for source in rest[:limit]]
    return paging.answer("PartnerEventSourceAccounts", shown, rest[limit - 1].account if len(rest) > limit else None)


async def put_partner_events(ctx: Context, tx: Transaction, request: Request) -> Answer:
    check_size(request["Entries"])
    answers = [await _put(ctx, tx, entry) for entry in request["Entries"]]
    return {"FailedEntryCount": sum("ErrorCode" in one for one in answers), "Entries": answers}


async def _put(ctx: Context, tx: Transaction, entry: dict[str, Any]) -> Answer:
    event = new_event(ctx, entry)
    if "ErrorCode" in event:
        return event
    offers = await _offers(ctx, tx, entry["Source"])
    if not offers:
        return {"ErrorCode": "NotAuthorizedForSourceException", "ErrorMessage": "Not authorized for the source."}
    for at, source in offers:
        # Each account sees it as an event of its own.
        if source.state == "ACTIVE" and await find_bus(tx, at) is not None:
            await routing.route(ctx.cloud, tx, at, {**event, "account": at.account}, now=ctx.now)
    return {"EventId": event["id"]}


# -- the account's -----------------------------------------------------------------------------------------------------


def _times(source: PartnerSource) -> Answer:
    times: Answer = {"CreationTime": source.created}
    if source.expires is not None:
        times["ExpirationTime"] = source.expires
    return times


def _shown(region: str, source: PartnerSource) -> Answer:
    return {
        "Arn": source_arn(region, source.name),
        # "aws.partner/example.com/..." is example.com's.
        "CreatedBy": source.name.split("/")[1],
        **_times(source),
        "Name": source.name,
        "State": source.state,
    }


async def describe_event_source(ctx: Context, tx: Reader, request: Request) -> Answer:
    source = await get_source(tx, BusName(ctx.account, ctx.region, request["Name"]), ctx.now)
    return _shown(ctx.region, source)


async def list_event_sources(ctx: Context, tx: Reader, request: Request) -> Answer:
    def show(data: bytes) -> Answer | None:
        source = decode(PartnerSource, data)
        gone = source.state == "PENDING" and source.expires is not None and source.expires <= ctx.now
        return None if gone else _shown(ctx.region, source)

    span = keys.partner_sources(ctx.account, ctx.region, request.get("NamePrefix", ""))
    found, token = await paging.page(tx, request, span, show)
    return paging.answer("EventSources", found, token)


async def activate_event_source(ctx: Context, tx: Transaction, request: Request) -> None:
    await _switch(ctx, tx, request["Name"], "PENDING", "ACTIVE")


async def deactivate_event_source(ctx: Context, tx: Transaction, request: Request) -> None:
    await _switch(ctx, tx, request["Name"], "ACTIVE", "PENDING")


async def _switch(ctx: Context, tx: Transaction, name: str, former: str, state: str) -> None:
    at = BusName(ctx.account, ctx.region, name)
    source = await get_source(tx, at, ctx.now)
    if source.state == state:
        return
    if source.state != former or await find_bus(tx, at) is None:
        raise errors.bad_state(f"Event source {name} is in the state {source.state}.")
    await set_state(tx, at, source, state, ctx.now)
