"""The second half of a pipe: enrichment and target, called as the pipe's role.

Source: "Amazon EventBridge Pipes concepts", "Event enrichment", "Amazon EventBridge Pipes batching and concurrency",
"Target specifics" of the user guide: Lambda gets a batch as one array, other targets get its events one by one.
"""

from __future__ import annotations

import asyncio
from typing import Any

import orjson

from pileus.cloud.context import Cloud
from pileus.cloud.roles import RoleSessions
from pileus.cloud.sending import Message, request_for
from pileus.delivery.input_templates import InvalidOutput
from pileus.kernel.arn import Arn, parse_arn
from pileus.kernel.errors import AWSError
from pileus.kernel.principal import Principal
from pileus.services.pipes import events, settings
from pileus.services.pipes.names import PipeName
from pileus.services.pipes.records import Pipe

# What events of a source say that they are from, where it is not its service.
# Of milliseconds since the epoch.
_MOMENT_DIGITS_MAX = 15
_SHOWN = {"mq": events.RABBITMQ, "smk": events.KAFKA}


class Failed(Exception):
    """A batch that did not arrive; `which` are the numbers of its events that did not, None: all of them."""

    def __init__(self, reason: str, which: set[int] | None = None) -> None:
        super().__init__(reason)
        self.which = which


async def role_of(cloud: Cloud, at: PipeName, pipe: Pipe) -> Principal:
    return await cloud.part(RoleSessions).principal("pipes", pipe.role, source_arn=at.arn, session_name=at.name)


async def hand_on(cloud: Cloud, at: PipeName, pipe: Pipe, batch: list[dict[str, Any]]) -> None:
    """Bring a batch to the target. Raises Failed."""
    now = cloud.clock.time()
    try:
        principal = await role_of(cloud, at, pipe)
        made: list[Any] = list(batch)
        if pipe.enrichment:
            made = await _enrich(cloud, principal, at, pipe, batch, now)
            if not made:
                # "If the enrichment returns an empty response, the target isn't invoked."
                return
        await _to_target(cloud, principal, at, pipe, made, now, whole=not pipe.enrichment)
    except (AWSError, InvalidOutput) as error:
        raise Failed(str(error)) from error


async def _enrich(
    cloud: Cloud, principal: Principal, at: PipeName, pipe: Pipe, batch: list[dict[str, Any]], now: float
) -> list[Any]:
    template = (pipe.enrichment_parameters or {}).get("InputTemplate")
    asked = events.all_shaped(at, pipe, template, batch, now)
    arn = parse_arn(pipe.enrichment)
    assert arn is not None, "enrichments are checked when they are set"
    answer = await _invoke(cloud, principal, arn, asked)
    return answer if isinstance(answer, list) else [] if answer in (None, "", {}) else [answer]


async def _invoke(cloud: Cloud, principal: Principal, arn: Arn, payload: Any, kind: str = "RequestResponse") -> Any:
    request = {"FunctionName": str(arn), "InvocationType": kind, "Payload": orjson.dumps(payload)}
    answer = await cloud.call(principal, "lambda", "Invoke", request, region=arn.region)
    body = answer.get("Payload") or b""
    if not isinstance(body, bytes):
        body = b"".join([part async for part in body])
    if answer.get("FunctionError"):
        raise Failed(f"The function failed: {body.decode(errors='replace')[:300]}")
    try:
        return orjson.loads(body) if body.strip() else None
    except orjson.JSONDecodeError:
        return body.decode(errors="replace")


async def _to_target(
    cloud: Cloud, principal: Principal, at: PipeName, pipe: Pipe, made: list[Any], now: float, *, whole: bool
) -> None:
    parameters = pipe.target_parameters or {}
    arn = parse_arn(pipe.target)
    assert arn is not None, "targets are checked when they are set"
    shaped = events.all_shaped(at, pipe, parameters.get("InputTemplate"), made, now)
    if arn.service == "lambda":
        kind = (parameters.get("LambdaFunctionParameters") or {}).get("InvocationType", "REQUEST_RESPONSE")
        if kind == "FIRE_AND_FORGET":
            await _invoke(cloud, principal, arn, shaped, "Event")
        else:
            _judge(await _invoke(cloud, principal, arn, shaped), made, whole=whole)
        return
    lost: set[int] = set()
    reason = ""
    # Where order counts, one after the other, and none after one that is lost.
    in_order = (
        settings.source_arn(pipe.source).service != "sqs"
        or pipe.source.endswith(".fifo")
        or arn.resource.endswith(".fifo")
    )

    async def one(number: int) -> str:
        try:
            await _send(cloud, principal, at, pipe, arn, made[number], events.text_of(shaped[number]))
        except AWSError as error:
            return str(error)
        return ""

    if in_order:
        for number in range(len(made)):
            reason = await one(number)
            if reason:
                lost = set(range(number, len(made)))
                break
    else:
        for number, told in enumerate(await asyncio.gather(*(one(number) for number in range(len(made))))):
            if told:
                lost.add(number)
                reason = told
    if lost:
        raise Failed(reason, lost if whole else None)


def _judge(answer: Any, made: list[Any], *, whole: bool) -> None:
    """A function may say which events of the batch it could not do."""
    reported = answer.get("batchItemFailures") if isinstance(answer, dict) else None
    if not reported:
        return
    ids = [_id(event) for event in made]
    named = {one.get("itemIdentifier") for one in reported if isinstance(one, dict)}
    which = {number for number, id in enumerate(ids) if id in named}
    raise Failed("The function reports failed items.", which if whole and len(which) == len(named) else None)


def _id(event: Any) -> Any:
    if not isinstance(event, dict):
        return None
    return event.get("messageId") or (event.get("dynamodb") or {}).get("SequenceNumber")


async def _send(cloud: Cloud, principal: Principal, at: PipeName, pipe: Pipe, arn: Arn, event: Any, text: str) -> None:
    parameters = pipe.target_parameters or {}
    if arn.service == "logs":
        await _to_logs(cloud, principal, at, arn, parameters.get("CloudWatchLogsParameters") or {}, event, text)
        return
    if arn.resource.startswith("api-destination/"):
        given = parameters.get("HttpParameters") or {}
        http: dict[str, Any] = {
            "PathParameterValues": [events.parameter(one, event) for one in given.get("PathParameterValues") or ()]
        }
        for member in ("HeaderParameters", "QueryStringParameters"):
            http[member] = {name: events.parameter(one, event) for name, one in (given.get(member) or {}).items()}
        request = {"ApiDestinationArn": str(arn), "HttpParameters": http, "Body": text.encode()}
        await cloud.call(principal, "events", "InvokeApiDestination", request, region=arn.region)
        return
    queue = parameters.get("SqsQueueParameters") or {}
    bus = parameters.get("EventBridgeEventBusParameters") or {}
    source_service = settings.source_arn(pipe.source).service
    message = Message(
        body=text.encode(),
        group=events.parameter(queue.get("MessageGroupId", ""), event),
        deduplication=events.parameter(queue.get("MessageDeduplicationId", ""), event),
        source=events.parameter(bus.get("Source", f"Pipe {at.name}"), event),
        detail_type=events.parameter(
            bus.get("DetailType", f"Event from {_SHOWN.get(source_service, f'aws:{source_service}')}"), event
        ),
        resources=tuple(events.parameter(one, event) for one in bus.get("Resources") or ()),
    )
    call = request_for(cloud, str(arn), message)
    answer = await cloud.call(principal, call.service, call.operation, call.request, region=call.region or at.region)
    if answer.get("FailedEntryCount"):
        entry = answer["Entries"][0]
        raise AWSError(entry["ErrorCode"], entry.get("ErrorMessage", ""))


async def _to_logs(
    cloud: Cloud, principal: Principal, at: PipeName, arn: Arn, parameters: dict[str, Any], event: Any, text: str
) -> None:
    group = arn.resource.removeprefix("log-group:").removesuffix(":*")
    stream = events.parameter(parameters.get("LogStreamName", ""), event) or at.name
    timestamp = events.parameter(parameters.get("Timestamp", ""), event)
    is_moment = timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= _MOMENT_DIGITS_MAX
    moment = int(timestamp) if is_moment else int(cloud.clock.time() * 1000)
    named = {"logGroupName": group, "logStreamName": stream}
    request = {**named, "logEvents": [{"timestamp": moment, "message": text}]}
    try:
        await cloud.call(principal, "logs", "PutLogEvents", request, region=arn.region)
    except AWSError as error:
        if error.code != "ResourceNotFoundException":
            raise
        try:
            await cloud.call(principal, "logs", "CreateLogStream", named, region=arn.region)
        except AWSError as other:
            if other.code != "ResourceAlreadyExistsException":
                raise
        await cloud.call(principal, "logs", "PutLogEvents", request, region=arn.region)
