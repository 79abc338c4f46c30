"""Handing an event to whatever an ARN names: the one way from a service to a target in another.

`send` is for handlers of the outbox: what a target answers becomes `Undeliverable` (it will never take the event: it is
gone, it does not let us in, the event is not one for it) or `Retry` (it is busy or fails now).
`request_for` is for whoever wants the call itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pileus.cloud.context import Cloud
from pileus.delivery.contract import Retry, Undeliverable
from pileus.kernel.arn import Arn, parse_arn
from pileus.kernel.errors import AWSError, NotBuilt
from pileus.kernel.principal import Principal

# Throttled: an attempt as any other, of those that retry policies name.
_THROTTLED = frozenset(
    (
        "TooManyRequestsException",
        "ThrottlingException",
        "Throttling",
        "ThrottledException",
        "RequestThrottled",
        "RequestLimitExceeded",
        "OverLimit",
        "SlowDown",
        "ProvisionedThroughputExceededException",
    )
)
# "Not just now": a function that is still being made or changed.
_UNREADY = frozenset(("ResourceConflictException", "ResourceNotReadyException", "CodeArtifactUserPendingException"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is sent. Each kind of target takes what it has a place for."""

    # The function's event, the message's body, the event's detail, the log event's text.
    body: bytes
    # Message attributes of SQS and SNS: texts and numbers, or whole attributes ("DataType" and a value).
    attributes: Mapping[str, str | int | Mapping[str, Any]] = field(default_factory=dict)
    subject: str = ""
    # For FIFO queues and topics.
    group: str = ""
    deduplication: str = ""
    # For event buses.
    source: str = ""
    detail_type: str = ""
    resources: tuple[str, ...] = ()
    # X-Ray's header, handed on.
    trace: str = ""
    # For functions: "Event" queues the event, "RequestResponse" waits for the function's answer.
    invocation_type: str = "Event"


@dataclass(frozen=True, slots=True)
class Call:
    """An operation of another service. `region` is the target's own, "" where its ARN names none."""

    service: str
    operation: str
    request: dict[str, Any]
    region: str


class Refused(Undeliverable):
    """The target's own words for never; `error` is its answer."""

    def __init__(self, error: AWSError) -> None:
        super().__init__(str(error))
        self.error = error


class Busy(Retry):
    """The target's own words for not now; `error` is its answer."""

    def __init__(self, error: AWSError) -> None:
        super().__init__(str(error))
        self.error = error


def queue_url(cloud: Cloud, queue: Arn) -> str:
    """The address of the queue that an ARN names."""
    return f"{cloud.endpoint}/{queue.account}/{queue.resource}"


def request_for(cloud: Cloud, target: str, message: Message) -> Call:
    """The call that hands `message` to `target`, an ARN. Raises `NotBuilt` for kinds that nothing is sent to yet."""
    arn = parse_arn(target)
    if arn is None:
        raise NotBuilt(f"Sending events to {target}")
    maker = _MAKERS.get(arn.service)
    if maker is None:
        raise NotBuilt(f"Sending events to {arn.service}")
    operation, request = maker(cloud, arn, message)
    return Call(arn.service, operation, request, arn.region)


async def send(cloud: Cloud, principal: Principal, target: str, message: Message, *, region: str) -> dict[str, Any]:
    """Hand `message` to `target` as `principal`; returns the target's answer. Raises `Undeliverable` or `Retry`.

    `region` counts where the ARN has none.
    """
    try:
        call = request_for(cloud, target, message)
        answer = await cloud.call(
            principal,
            call.service,
            call.operation,
            call.request,
            region=call.region or region,
            trace=message.trace,
        )
    except AWSError as error:
        raise sort_error(error) from error
    if call.operation == "PutEvents" and answer.get("FailedEntryCount"):
        entry = answer["Entries"][0]
        failed = AWSError(entry["ErrorCode"], entry.get("ErrorMessage", ""))
        raise sort_error(failed)
    return answer


def sort_error(error: AWSError) -> Refused | Busy:
    """Whether what a target answered is for ever."""
    if isinstance(error, NotBuilt):
        return Refused(error)
    if error.fault == "server" or (error.status or 0) >= 500 or error.code in _THROTTLED | _UNREADY:
        return Busy(error)
    return Refused(error)


def _lambda(cloud: Cloud, arn: Arn, message: Message) -> tuple[str, dict[str, Any]]:
    request: dict[str, Any] = {
        "FunctionName": str(arn),
        "InvocationType": message.invocation_type,
        "Payload": message.body,
    }
    return "Invoke", request


def _sqs(cloud: Cloud, arn: Arn, message: Message) -> tuple[str, dict[str, Any]]:
    request: dict[str, Any] = {"QueueUrl": queue_url(cloud, arn), "MessageBody": message.body.decode()}
    _add_message_members(request, message)
    if message.trace:
        request["MessageSystemAttributes"] = {"AWSTraceHeader": {"DataType": "String", "StringValue": message.trace}}
    return "SendMessage", request


def _sns(cloud: Cloud, arn: Arn, message: Message) -> tuple[str, dict[str, Any]]:
    request: dict[str, Any] = {"TopicArn": str(arn), "Message": message.body.decode()}
    if message.subject:
        request["Subject"] = message.subject
    _add_message_members(request, message)
    return "Publish", request


def _add_message_members(request: dict[str, Any], message: Message) -> None:
    if message.attributes:
        request["MessageAttributes"] = {
            name: value
            if isinstance(value, Mapping)
            else {"DataType": "Number" if isinstance(value, int) else "String", "StringValue": str(value)}
            for name, value in message.attributes.items()
        }
    if message.group:
        request["MessageGroupId"] = message.group
    if message.deduplication:
        request["MessageDeduplicationId"] = message.deduplication


def _events(cloud: Cloud, arn: Arn, message: Message) -> tuple[str, dict[str, Any]]:
    entry: dict[str, Any] = {
        "EventBusName": str(arn),
        "Source": message.source,
        "DetailType": message.detail_type,
        "Detail": message.body.decode(),
        "Resources": list(message.resources),
    }
    if message.trace:
        entry["TraceHeader"] = message.trace
    return "PutEvents", {"Entries": [entry]}


def _s3(cloud: Cloud, arn: Arn, message: Message) -> tuple[str, dict[str, Any]]:
    bucket, _, key = arn.resource.partition("/")
    return "PutObject", {"Bucket": bucket, "Key": key, "Body": message.body}


_MAKERS = {"lambda": _lambda, "sqs": _sqs, "sns": _sns, "events": _events, "s3": _s3}
