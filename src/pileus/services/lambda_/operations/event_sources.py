"""Event source mappings: CreateEventSourceMapping, GetEventSourceMapping, UpdateEventSourceMapping,
DeleteEventSourceMapping, ListEventSourceMappings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Permission, Request
from pileus.cloud.sending import queue_url
from pileus.kernel.arn import Arn
from pileus.kernel.errors import AWSError
from pileus.services.lambda_ import errors, keys, roles
from pileus.services.lambda_.configurations import check_tags
from pileus.services.lambda_.feeding import feeds, sources
from pileus.services.lambda_.lookup import get_qualified
from pileus.services.lambda_.names import Target, parse, parse_own
from pileus.services.lambda_.paging import page
from pileus.services.lambda_.permissions import Permissions
from pileus.services.lambda_.records import Configuration, EventSource, decode, encode
from pileus.store.contract import Reader, Transaction

PAGE_MAX = 100


async def create_event_source_mapping(ctx: Context, request: Request) -> Answer:
    at = parse_own(ctx, request["FunctionName"])
    source = sources.source_of(request)
    check_tags(request.get("Tags") or {})
    mapping = sources.new_mapping(at, source, request, ctx.cloud.ids.uuid(), ctx.now)
    config = await ctx.cloud.store.read(lambda tx: _configuration(tx, at))
    await ctx.cloud.store.read(lambda tx: _check_pair(tx, at, mapping))
    if source is not None:
        await _check_source(ctx, at, source, config, mapping.on_failure)
    place = (ctx.account, ctx.region, mapping.id)

    async def create(tx: Transaction) -> Answer:
        await _configuration(tx, at)
        await _check_pair(tx, at, mapping)
        tx.put(keys.event_source(*place), encode(mapping))
        _put_pairs(tx, at, mapping)
        tx.put(keys.fed(*place), b"")
        tx.on_commit(feeds.changes(ctx.cloud, place))
        return sources.describe(ctx.account, ctx.region, mapping)

    return await ctx.cloud.store.write(create)


async def _configuration(tx: Reader, at: Target) -> Configuration:
    """Of the function that is to be fed."""
    try:
        return (await get_qualified(tx, at)).configuration
    except AWSError:
        # Here AWS says it otherwise.
        raise errors.invalid_parameter("Function does not exist") from None


def _put_pairs(tx: Transaction, at: Target, mapping: EventSource) -> None:
    for pair in sources.pairs_of(mapping):
        tx.put(keys.event_source_pair(at, pair), mapping.id.encode())


def _delete_pairs(tx: Transaction, at: Target, mapping: EventSource) -> None:
    for pair in sources.pairs_of(mapping):
        tx.delete(keys.event_source_pair(at, pair))


async def _check_pair(tx: Reader, at: Target, mapping: EventSource) -> None:
    """Raise where there is a mapping between the two already."""
    found = await tx.get_many([keys.event_source_pair(at, pair) for pair in sources.pairs_of(mapping)])
    other = next((each.decode() for each in found if each is not None and each.decode() != mapping.id), None)
    if other is None:
        return
    if sources.is_kafka(mapping):
        brokers, topics = ",".join(mapping.brokers), ",".join(mapping.topics)
        what = (
            f'An event source mapping with event source ("{brokers}"), function ("{at.asked_arn}"), topics ("{topics}")'
        )
    elif sources.is_broker(mapping.source):
        queues = ",".join(mapping.queues)
        what = (
            f'An event source mapping with event source ("{mapping.source}"), function ("{at.asked_arn}"), queue '
            f'("{queues}")'
        )
    elif sources.is_queue(mapping.source):
        what = f'An event source mapping with SQS arn (" {mapping.source} ") and function (" {at.name} ")'
    else:
        what = f'The event source arn (" {mapping.source} ") and function (" {at.name} ") provided mapping'
    raise errors.conflict(f"{what} already exists. Please update or delete the existing mapping with UUID {other}")


async def _check_source(ctx: Context, at: Target, source: Arn, config: Configuration, on_failure: str) -> None:
    """Raise where the function's role cannot read the source, or it is not there."""
    if source.region != ctx.region:
        raise errors.invalid_parameter(f"Event source {source} is not in the region of the function ('{ctx.region}').")
    role = (await roles.session(ctx.cloud, at._replace(qualifier=""), config.role)).principal
    if on_failure and not await roles.may_send(ctx.cloud, at, config.role, on_failure):
        operation, service = roles.SENDING[on_failure.split(":")[2]]
        raise errors.invalid_parameter(
            f"The provided execution role does not have permissions to call {operation} on {service}"
        )

    async def call(service: str, operation: str, **asked: Any) -> Answer:
        return await ctx.cloud.call(role, service, operation, asked, region=source.region)

    if source.service == "sqs":
        url = queue_url(ctx.cloud, source)
        if not await roles.may(ctx.cloud, at, config.role, "sqs:ReceiveMessage", str(source)):
            raise _may_not_receive()
        try:
            found = await call("sqs", "GetQueueAttributes", QueueUrl=url, AttributeNames=["VisibilityTimeout"])
        except AWSError as error:
            _raise_for_queue(error)
            raise
        visibility_s = int(found["Attributes"]["VisibilityTimeout"])
        if visibility_s < config.timeout_s:
            raise errors.invalid_parameter(
                f"Queue visibility timeout: {visibility_s} seconds is less than Function timeout: {config.timeout_s} "
                "seconds"
            )
        return
    if source.service == "mq":
        try:
            await call("mq", "DescribeBroker", BrokerId=str(source))
        except AWSError as error:
            if error.code == "NotFoundException":
                raise errors.invalid_parameter(f"Broker not found: {source}") from None
            raise errors.invalid_parameter(
                "The provided execution role does not have permissions to call DescribeBroker on AmazonMQ"
            ) from None
        return
    try:
        await call("dynamodbstreams", "DescribeStream", StreamArn=str(source))
    except AWSError as error:
        if error.code == "ResourceNotFoundException":
            raise errors.invalid_parameter(f"Stream not found: {source}") from None
        raise errors.invalid_parameter(
            f"Cannot access stream {source}. Please ensure the role can perform the GetRecords, GetShardIterator, "
            "DescribeStream, and ListStreams Actions on your stream in IAM."
        ) from None


def _may_not_receive() -> AWSError:
    return errors.invalid_parameter(
        "The provided execution role does not have permissions to call ReceiveMessage on SQS"
    )


def _raise_for_queue(error: AWSError) -> None:
    if "NonExistentQueue" in error.code or error.code == "QueueDoesNotExist":
        raise errors.invalid_parameter(
            "Error occurred while ReceiveMessage. SQS Error Code: AWS.SimpleQueueService.NonExistentQueue. SQS Error "
            "Message: The specified queue does not exist."
        ) from None
    if error.code.startswith("AccessDenied"):
        raise _may_not_receive() from None
    if error.fault == "server":
        raise error


async def _get(ctx: Context, tx: Reader, request: Request) -> EventSource:
    mapping = await feeds.find_mapping(tx, (ctx.account, ctx.region, request["UUID"]))
    if mapping is None:
        raise errors.not_found("The resource you requested does not exist.")
    return mapping


async def get_event_source_mapping(ctx: Context, tx: Reader, request: Request) -> Answer:
    return sources.describe(ctx.account, ctx.region, await _get(ctx, tx, request))


async def update_event_source_mapping(ctx: Context, tx: Transaction, request: Request) -> Answer:
    mapping = await _get(ctx, tx, request)
    if mapping.state == "Deleting":
        raise _in_use("update")
    sources.change_mapping(mapping, request)
    if mapping.state == "Creating":
        raise _in_use("update")
    if request.get("FunctionName"):
        at = parse_own(ctx, request["FunctionName"])
        await _configuration(tx, at)
        former = sources.target_of(ctx.account, ctx.region, mapping)
        if at != former:
            await _check_pair(tx, at, mapping)
            _delete_pairs(tx, former, mapping)
            _put_pairs(tx, at, mapping)
            mapping.name, mapping.qualifier = at.name, at.qualifier
    wanted = mapping.enabled if request.get("Enabled") is None else request["Enabled"]
    if wanted != mapping.enabled:
        mapping.state = "Enabling" if wanted else "Disabling"
    else:
        mapping.state = "Updating"
    mapping.enabled = wanted
    _save(ctx, tx, mapping)
    return sources.describe(ctx.account, ctx.region, mapping)


async def delete_event_source_mapping(ctx: Context, tx: Transaction, request: Request) -> Answer:
    mapping = await _get(ctx, tx, request)
    # "You tried to update an event source mapping in the CREATING state, or you tried to delete an event source mapping
    # currently UPDATING."
    if mapping.state in ("Creating", "Updating", "Deleting"):
        raise _in_use("delete")
    mapping.state, mapping.enabled = "Deleting", False
    # Another one may take its place at once.
    _delete_pairs(tx, sources.target_of(ctx.account, ctx.region, mapping), mapping)
    _save(ctx, tx, mapping)
    return sources.describe(ctx.account, ctx.region, mapping)


def _save(ctx: Context, tx: Transaction, mapping: EventSource) -> None:
    mapping.modified = ctx.now
    mapping.revision = ctx.cloud.ids.uuid()
    place = (ctx.account, ctx.region, mapping.id)
    tx.put(keys.event_source(*place), encode(mapping))
    tx.on_commit(feeds.changes(ctx.cloud, place))


def _in_use(verb: str) -> AWSError:
    return AWSError(
        "ResourceInUseException",
        f"Cannot {verb} the event source mapping because it is in use.",
        Type="User",
    )


async def list_event_source_mappings(ctx: Context, tx: Reader, request: Request) -> Answer:
    source = request.get("EventSourceArn")
    at = parse(ctx, request["FunctionName"]) if request.get("FunctionName") else None

    def wanted(key: bytes, data: bytes) -> bool:
        mapping = decode(EventSource, data)
        if source and mapping.source != source:
            return False
        if at is None:
            return True
        return mapping.name == at.name and (not at.qualifier or mapping.qualifier == at.qualifier)

    span = keys.event_sources(ctx.account, ctx.region)
    found, marker = await page(tx, request, *span, accept=wanted, most=PAGE_MAX)
    answer: Answer = {
        "EventSourceMappings": [
            sources.describe(ctx.account, ctx.region, decode(EventSource, data)) for _, data in found
        ]
    }
    if marker:
        answer["NextMarker"] = marker
    return answer


# permissions


def creating(ctx: Context, request: Request) -> list[Permission]:
    at = parse(ctx, request["FunctionName"])
    return [Permission("lambda:CreateEventSourceMapping", "*", {"lambda:FunctionArn": at.asked_arn})]


def on_mapping(action: str) -> Permissions:
    """Needs `action` on the mapping that the request names."""

    def permissions(ctx: Context, request: Request) -> list[Permission]:
        return [Permission(f"lambda:{action}", sources.mapping_arn(ctx.account, ctx.region, request["UUID"]))]

    return permissions


async def with_function(
    ctx: Context, tx: Reader, request: Request, needed: Sequence[Permission]
) -> Sequence[Permission]:
    """The same with the function that the mapping feeds, which policies may tie it to."""
    mapping = await feeds.find_mapping(tx, (ctx.account, ctx.region, request["UUID"]))
    if mapping is None:
        return needed
    arn = sources.target_of(ctx.account, ctx.region, mapping).asked_arn
    return [Permission(each.action, each.resource, {"lambda:FunctionArn": arn}) for each in needed]
