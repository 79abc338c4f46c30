"""Log groups: CreateLogGroup, DescribeLogGroups, ListLogGroups, DeleteLogGroup, retention, encryption, protection."""

from __future__ import annotations

from collections.abc import Callable

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.errors import NotBuilt
from pileus.kernel.paging import page_token
from pileus.services.logs import errors, keys
from pileus.services.logs.lookup import NAME_LENGTH_MAX, get_group, group_arn, group_name, name_of
from pileus.services.logs.operations.tags import check_tags
from pileus.services.logs.paging import place
from pileus.services.logs.records import Group, Stream, decode, encode
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

# "Possible values are", in the API reference of PutRetentionPolicy.
RETENTION_DAYS = (
    1,
    3,
    5,
    7,
    14,
    30,
    60,
    90,
    120,
    150,
    180,
    365,
    400,
    545,
    731,
    1096,
    1827,
    2192,
    2557,
    2922,
    3288,
    3653,
)
LIMIT_MAX = 50
SCAN_LIMIT = 500


def save(ctx: Context, tx: Transaction, group: Group) -> None:
    tx.put(keys.group(ctx.account, ctx.region, group.name), encode(group))


async def create_log_group(ctx: Context, tx: Transaction, request: Request) -> None:
    name = request["logGroupName"]
    if len(name) > NAME_LENGTH_MAX:
        raise errors.name_too_long()
    tags = request.get("tags") or {}
    check_tags(tags)
    if await tx.get(keys.group(ctx.account, ctx.region, name)) is not None:
        raise errors.group_exists()
    group = Group(
        name=name,
        id=ctx.cloud.ids.hex(16),
        created_ms=int(ctx.now * 1000),
        log_class=request.get("logGroupClass") or "STANDARD",
        kms_key=request.get("kmsKeyId") or "",
        tags=tags,
        deletion_protection=bool(request.get("deletionProtectionEnabled")),
    )
    save(ctx, tx, group)
    tx.put(keys.group_index(ctx.account, ctx.region, name), b"")


def describe(ctx: Context, group: Group, *, short: bool = False) -> Answer:
    arn = group_arn(ctx, group.name)
    out: Answer = {
        "logGroupName": group.name,
        "creationTime": group.created_ms,
        "metricFilterCount": 0,
        "arn": f"{arn}:*",
        "logGroupClass": group.log_class,
        "logGroupArn": arn,
    }
    if group.retention_days:
        out["retentionInDays"] = group.retention_days
    if group.kms_key:
        out["kmsKeyId"] = group.kms_key
    if not short:
        out["storedBytes"] = group.stored_bytes
        out["deletionProtectionEnabled"] = group.deletion_protection
    return out


async def describe_log_groups(ctx: Context, tx: Reader, request: Request) -> Answer:
    prefix, pattern = request.get("logGroupNamePrefix"), request.get("logGroupNamePattern")
    if prefix and len(prefix) > NAME_LENGTH_MAX:
        raise errors.name_too_long()
    if prefix and pattern:
        raise errors.invalid("LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.")
    if request.get("includeLinkedAccounts") or request.get("accountIdentifiers"):
        raise NotBuilt("DescribeLogGroups over linked accounts")
    if (identifiers := request.get("logGroupIdentifiers")) is not None:
        wanted = {name_of(identifier) for identifier in identifiers}
        found = await tx.get_many([keys.group(ctx.account, ctx.region, name) for name in sorted(wanted)])
        return {"logGroups": [describe(ctx, decode(Group, data)) for data in found if data is not None]}
    # The record of AWS's answer: a listing by pattern leaves out what must be counted.
    needle = (pattern or "").lower()

    def matches(group: Group) -> bool:
        return needle in group.name.lower() and request.get("logGroupClass") in (None, group.log_class)

    groups, more = await _page(tx, keys.groups(ctx.account, ctx.region, prefix or ""), request, matches)
    answer: Answer = {"logGroups": [describe(ctx, group, short=bool(pattern)) for group in groups]}
    if more:
        answer["nextToken"] = more
    return answer


async def list_log_groups(ctx: Context, tx: Reader, request: Request) -> Answer:
    for member in ("includeLinkedAccounts", "accountIdentifiers", "dataSources", "fieldIndexNames"):
        if request.get(member):
            raise NotBuilt(f"ListLogGroups with {member}")
    # The modelled constraint allows alternatives of plain text, each perhaps anchored by "^", and nothing else.
    alternatives = [part for part in request.get("logGroupNamePattern", "").split("|") if part]
    filters = request.get("logGroupTags") or []

    def matches(group: Group) -> bool:
        if request.get("logGroupClass") not in (None, group.log_class):
            return False
        for wanted in filters:
            values = wanted.get("values")
            if wanted["key"] not in group.tags or (values and group.tags[wanted["key"]] not in values):
                return False
        return not alternatives or any(
            group.name.startswith(part[1:]) if part.startswith("^") else part in group.name for part in alternatives
        )

    groups, more = await _page(tx, keys.groups(ctx.account, ctx.region), request, matches)
    answer: Answer = {
        "logGroups": [
            {
                "logGroupName": group.name,
                "logGroupArn": group_arn(ctx, group.name),
                "logGroupClass": group.log_class,
            }
            for group in groups
        ]
    }
    if more:
        answer["nextToken"] = more
    return answer


async def _page(
    tx: Reader, span: keys.Range, request: Request, matches: Callable[[Group], bool]
) -> tuple[list[Group], str | None]:
    """The groups of one page, and the token of the next."""
    start, end = span
    limit = request.get("limit", LIMIT_MAX)
    at = place(request["nextToken"], start, end) if "nextToken" in request else start
    groups: list[Group] = []
    while True:
        found = await tx.scan(at, end, limit=SCAN_LIMIT)
        for key, data in found:
            group = decode(Group, data)
            if not matches(group):
                continue
            if len(groups) == limit:
                return groups, page_token(key, start)
            groups.append(group)
        if len(found) < SCAN_LIMIT:
            return groups, None
        at = after(found[-1][0])


async def delete_log_group(ctx: Context, tx: Transaction, request: Request) -> None:
    group = await get_group(ctx, tx, request["logGroupName"])
    if group.deletion_protection:
        raise errors.protected()
    start, end = keys.streams(ctx.account, ctx.region, group.id)
    at = start
    while found := await tx.scan(at, end, limit=SCAN_LIMIT):
        for _, data in found:
            tx.put(keys.garbage(decode(Stream, data).id), b"")
        at = after(found[-1][0])
    tx.delete_range(start, end)
    tx.delete(keys.group(ctx.account, ctx.region, group.name))
    tx.delete(keys.group_index(ctx.account, ctx.region, group.name))
    tx.on_commit(lambda: ctx.cloud.nudge("logs.sweep"))


async def put_retention_policy(ctx: Context, tx: Transaction, request: Request) -> None:
    days = request["retentionInDays"]
    if days not in RETENTION_DAYS:
        raise errors.invalid(
            f"1 validation error detected: Value '{days}' at 'retentionInDays' failed to satisfy constraint: "
            f"Member must satisfy enum value set: {list(RETENTION_DAYS)}"
        )
    group = await get_group(ctx, tx, request["logGroupName"])
    group.retention_days = days
    save(ctx, tx, group)
    tx.on_commit(lambda: ctx.cloud.nudge("logs.retention"))


async def delete_retention_policy(ctx: Context, tx: Transaction, request: Request) -> None:
    group = await get_group(ctx, tx, request["logGroupName"])
    group.retention_days = 0
    save(ctx, tx, group)


async def associate_kms_key(ctx: Context, tx: Transaction, request: Request) -> None:
    group = await get_group(ctx, tx, _group_for_key(request))
    group.kms_key = request["kmsKeyId"]
    save(ctx, tx, group)


async def disassociate_kms_key(ctx: Context, tx: Transaction, request: Request) -> None:
    group = await get_group(ctx, tx, _group_for_key(request))
    group.kms_key = ""
    save(ctx, tx, group)


def _group_for_key(request: Request) -> str:
    name, identifier = request.get("logGroupName"), request.get("resourceIdentifier")
    if (name is None) == (identifier is None):
        raise errors.invalid("You must specify either the logGroupName parameter or the resourceIdentifier parameter.")
    if identifier is not None and ":query-result:" in identifier:
        raise NotBuilt("A KMS key for query results")
    return str(name) if name is not None else name_of(str(identifier))


async def put_log_group_deletion_protection(ctx: Context, tx: Transaction, request: Request) -> None:
    group = await get_group(ctx, tx, group_name(request))
    group.deletion_protection = bool(request["deletionProtectionEnabled"])
    save(ctx, tx, group)
