"""Replays.

Source: the API reference's pages of these operations; recorded answers.
"""

from __future__ import annotations

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.arn import parse_arn
from pileus.kernel.errors import AWSError
from pileus.services.events import errors, keys, paging, replaying
from pileus.services.events.lookup import get_bus
from pileus.services.events.names import bus_of_arn, replay_arn
from pileus.services.events.records import Archive, Replay, decode, encode
from pileus.store.contract import Reader, Transaction


async def _get(ctx: Context, tx: Reader, name: str) -> Replay:
    data = await tx.get(keys.replay(ctx.account, ctx.region, name))
    if data is None:
        raise errors.no_replay(name)
    return decode(Replay, data)


async def start_replay(ctx: Context, tx: Transaction, request: Request) -> Answer:
    name = request["ReplayName"]
    destination = request["Destination"]
    if await tx.get(keys.replay(ctx.account, ctx.region, name)) is not None:
        raise errors.exists(f"Replay {name}")
    source = parse_arn(request["EventSourceArn"])
    if source is None or source.service != "events" or not source.resource.startswith("archive/"):
        raise errors.invalid("Parameter EventSourceArn is not valid. Reason: Must contain an archive ARN.")
    archive_name = source.resource.removeprefix("archive/")
    bus = bus_of_arn(destination["Arn"])
    await get_bus(tx, bus)
    data = await tx.get(keys.archive(source.account, source.region, archive_name))
    if data is None or source.account != ctx.account:
        raise errors.invalid(f"Parameter EventSourceArn is not valid. Reason: Archive {archive_name} does not exist.")
    archive = decode(Archive, data)
    if archive.bus_arn != bus.arn:
        raise errors.invalid("Parameter Destination.Arn is not valid. Reason: Cross event bus replay is not permitted.")
    if request["EventStartTime"] >= request["EventEndTime"]:
        raise errors.invalid("Parameter EventEndTime is not valid. Reason: EventStartTime must be before EventEndTime.")
    replay = Replay(
        name=name,
        archive_arn=request["EventSourceArn"],
        archive_id=archive.id,
        destination=destination,
        event_start=request["EventStartTime"],
        event_end=request["EventEndTime"],
        started=ctx.now,
        description=request.get("Description"),
    )
    tx.put(keys.replay(ctx.account, ctx.region, name), encode(replay))
    replaying.put_step(ctx.cloud, tx, ctx.account, ctx.region, name, now=ctx.now, wait_s=replaying.BEGIN_AFTER_S)
    return {"ReplayArn": replay_arn(ctx.account, ctx.region, name), "State": "STARTING", "ReplayStartTime": ctx.now}


async def cancel_replay(ctx: Context, tx: Transaction, request: Request) -> Answer:
    name = request["ReplayName"]
    replay = await _get(ctx, tx, name)
    if replay.state not in ("STARTING", "RUNNING"):
        raise AWSError("IllegalStatusException", f"Replay {name} is not in a valid state for this operation.")
    replay.state = "CANCELLING"
    tx.put(keys.replay(ctx.account, ctx.region, name), encode(replay))
    replaying.put_step(ctx.cloud, tx, ctx.account, ctx.region, name, now=ctx.now, wait_s=replaying.BEGIN_AFTER_S)
    return {"ReplayArn": replay_arn(ctx.account, ctx.region, name), "State": "CANCELLING"}


def _shown(replay: Replay) -> Answer:
    shown: Answer = {
        "ReplayName": replay.name,
        "EventSourceArn": replay.archive_arn,
        "State": replay.state,
        "EventStartTime": replay.event_start,
        "EventEndTime": replay.event_end,
        "ReplayStartTime": replay.started,
    }
    if replay.reason:
        shown["StateReason"] = replay.reason
    if replay.last_replayed is not None:
        shown["EventLastReplayedTime"] = replay.last_replayed
    if replay.ended is not None:
        shown["ReplayEndTime"] = replay.ended
    return shown


async def describe_replay(ctx: Context, tx: Reader, request: Request) -> Answer:
    replay = await _get(ctx, tx, request["ReplayName"])
    shown = {
        **_shown(replay),
        "ReplayArn": replay_arn(ctx.account, ctx.region, replay.name),
        "Destination": replay.destination,
    }
    if replay.description is not None:
        shown["Description"] = replay.description
    return shown


async def list_replays(ctx: Context, tx: Reader, request: Request) -> Answer:
    asked = [member for member in ("NamePrefix", "EventSourceArn", "State") if request.get(member)]
    if len(asked) > 1:
        raise errors.invalid(
            "At most one filter is allowed for ListReplays. Use either : State, EventSourceArn, or NamePrefix."
        )

    def show(data: bytes) -> Answer | None:
        replay = decode(Replay, data)
        if request.get("EventSourceArn", replay.archive_arn) != replay.archive_arn:
            return None
        return _shown(replay) if request.get("State", replay.state) == replay.state else None

    span = keys.replays(ctx.account, ctx.region, request.get("NamePrefix", ""))
    found, token = await paging.page(tx, request, span, show)
    return paging.answer("Replays", found, token)
