"""Schedule groups and their tags.

Source: the API reference's pages of these operations; recorded answers.
"""

from __future__ import annotations

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.arn import parse_arn
from pileus.services.scheduler import errors, keys, paging
from pileus.services.scheduler.names import DEFAULT, ScheduleName, group_arn
from pileus.services.scheduler.records import Group, Schedule, decode, encode
from pileus.services.scheduler.timers import drop_timer
from pileus.store.contract import Reader, Transaction

TAGS_MAX = 200
_CHUNK = 500


async def find_group(ctx: Context, tx: Reader, name: str) -> Group | None:
    data = await tx.get(keys.group(ctx.account, ctx.region, name))
    if data is not None:
        return decode(Group, data)
    return Group(name=DEFAULT, created=0.0, modified=0.0) if name == DEFAULT else None


async def get_group(ctx: Context, tx: Reader, name: str) -> Group:
    group = await find_group(ctx, tx, name)
    if group is None:
        raise errors.no_group(name)
    return group


async def _make_default(ctx: Context, tx: Transaction) -> None:
    """The default group is there in every account; from now on with the times that are shown."""
    key = keys.group(ctx.account, ctx.region, DEFAULT)
    if await tx.get(key) is None:
        tx.put(key, encode(Group(name=DEFAULT, created=ctx.now, modified=ctx.now)))


def _tags(request: Request) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in request.get("Tags") or ()}


async def create_schedule_group(ctx: Context, tx: Transaction, request: Request) -> Answer:
    name, token = request["Name"], request.get("ClientToken", "")
    await _make_default(ctx, tx)
    former = await find_group(ctx, tx, name)
    if former is not None and not (token and former.client_token == token):
        raise errors.group_exists(name)
    if former is None:
        group = Group(name=name, created=ctx.now, modified=ctx.now, tags=_tags(request), client_token=token)
        tx.put(keys.group(ctx.account, ctx.region, name), encode(group))
    return {"ScheduleGroupArn": group_arn(ctx.account, ctx.region, name)}


def _shown(ctx: Context, group: Group) -> Answer:
    return {
        "Arn": group_arn(ctx.account, ctx.region, group.name),
        "Name": group.name,
        "State": group.state,
        "CreationDate": group.created,
        "LastModificationDate": group.modified,
    }


async def get_schedule_group(ctx: Context, tx: Transaction, request: Request) -> Answer:
    await _make_default(ctx, tx)
    return _shown(ctx, await get_group(ctx, tx, request["Name"]))


async def list_schedule_groups(ctx: Context, tx: Transaction, request: Request) -> Answer:
    await _make_default(ctx, tx)
    span = keys.groups(ctx.account, ctx.region, request.get("NamePrefix", ""))
    found, token = await paging.page(tx, request, span, lambda data: _shown(ctx, decode(Group, data)))
    return paging.answer("ScheduleGroups", found, token)


async def delete_schedule_group(ctx: Context, tx: Transaction, request: Request) -> None:
    """The group goes with its schedules."""
    name = request["Name"]
    if name == DEFAULT:
        raise errors.invalid("The default schedule group can't be deleted.")
    await get_group(ctx, tx, name)
    start, end = keys.schedules(ctx.account, ctx.region, name)
    while entries := await tx.scan(start, end, limit=_CHUNK):
        for key, data in entries:
            await drop_timer(ctx, tx, ScheduleName(ctx.account, ctx.region, name, decode(Schedule, data).name))
            tx.delete(key)
    tx.delete(keys.group(ctx.account, ctx.region, name))


# -- tags --------------------------------------------------------------------------------------------------------------


async def _tagged(ctx: Context, tx: Reader, text: str) -> Group:
    arn = parse_arn(text)
    assert arn is not None, "the model's pattern demands the ARN of a group"
    name = arn.resource.removeprefix("schedule-group/")
    if arn.account != ctx.account or arn.region != ctx.region:
        raise errors.no_group(name)
    return await get_group(ctx, tx, name)


async def tag_resource(ctx: Context, tx: Transaction, request: Request) -> None:
    await _make_default(ctx, tx)
    group = await _tagged(ctx, tx, request["ResourceArn"])
    group.tags = {**group.tags, **_tags(request)}
    if len(group.tags) > TAGS_MAX:
        raise errors.invalid(f"A schedule group can't have more than {TAGS_MAX} tags.")
    tx.put(keys.group(ctx.account, ctx.region, group.name), encode(group))


async def untag_resource(ctx: Context, tx: Transaction, request: Request) -> None:
    await _make_default(ctx, tx)
    group = await _tagged(ctx, tx, request["ResourceArn"])
    group.tags = {key: value for key, value in group.tags.items() if key not in request["TagKeys"]}
    tx.put(keys.group(ctx.account, ctx.region, group.name), encode(group))


async def list_tags_for_resource(ctx: Context, tx: Reader, request: Request) -> Answer:
    group = await _tagged(ctx, tx, request["ResourceArn"])
    return {"Tags": [{"Key": key, "Value": value} for key, value in group.tags.items()]}
