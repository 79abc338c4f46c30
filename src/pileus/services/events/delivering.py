"""Handing events to targets, and to dead-letter queues what could not be handed over.

Sources: "Debugging event delivery" of the EventBridge user guide (retries, dead-letter queues and the attributes of
their messages, error codes), "Sending and receiving events between AWS accounts in EventBridge".
"""

from __future__ import annotations

import logging
from hashlib import blake2b
from typing import Any

import msgspec
import orjson

from pileus.cloud import logs
from pileus.cloud.context import Cloud
from pileus.cloud.roles import RoleSessions
from pileus.cloud.sending import Message, send, sort_error
from pileus.delivery import json_paths
from pileus.delivery.contract import Dead, Delivery, Undeliverable
from pileus.delivery.json_paths import MISSING
from pileus.kernel.arn import Arn, parse_arn
from pileus.kernel.errors import AWSError
from pileus.kernel.principal import Principal, service_principal
from pileus.services.events import inputs, metrics
from pileus.services.events.names import BusName, bus_of_arn
from pileus.services.events.operations.events import FORWARDED

log = logging.getLogger("pileus.events")

# An event goes from bus to bus this often; it comes to no bus twice.
BUSES_MAX = 5
_NO_RESOURCE = frozenset(
    (
        "ResourceNotFoundException",
        "AWS.SimpleQueueService.NonExistentQueue",
        "QueueDoesNotExist",
        "NotFound",
        "NotFoundException",
        "NoSuchEntity",
    )
)
_NO_PERMISSIONS = frozenset(("AccessDenied", "AccessDeniedException", "AuthorizationError"))
_THROTTLED = frozenset(("ThrottlingException", "TooManyRequestsException", "Throttling", "RequestThrottled"))


class Failed(Undeliverable):
    """Why an event is not delivered, with the code that its message in the dead-letter queue has."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")


async def deliver(cloud: Cloud, delivery: Delivery) -> None:
    """The outbox's handler for the targets that are services of their own."""
    payload = delivery.payload
    target = payload["target"]
    arn = parse_arn(target["Arn"])
    assert arn is not None, "targets are checked when they are put"
    body = make_body(payload)
    principal = await principal_for(cloud, payload)
    region = payload["rule"].split(":")[3]
    if arn.service == "logs":
        await _to_logs(cloud, principal, arn, payload, body)
        return
    if arn.service == "schemas":
        await _to_discoverer(cloud, principal, arn, body)
        return
    message = Message(
        body=body,
        group=_group(target, payload),
        trace=payload.get("trace", ""),
    )
    await send(cloud, principal, target["Arn"], message, region=region)


def _group(target: dict[str, Any], payload: dict[str, Any]) -> str:
    """The message group, which may be a path into the event."""
    group: str = (target.get("SqsParameters") or {}).get("MessageGroupId", "")
    if not group.startswith("$."):
        return group
    try:
        found = json_paths.find(group, orjson.loads(payload["event"]))
    except json_paths.InvalidPath:
        return group
    return found if isinstance(found, str) else orjson.dumps(found).decode() if found is not MISSING else ""


def make_body(payload: dict[str, Any]) -> bytes:
    """What the target gets of the event."""
    try:
        return inputs.make_input(
            payload["target"],
            orjson.loads(payload["event"]),
            rule_arn=payload["rule"],
            rule_name=payload["name"],
            ingested=payload["ingested"],
        )
    except inputs.InvalidOutput:
        raise Failed("INVALID_JSON", "The input that the transformer makes is not valid JSON, or too large.") from None


async def principal_for(cloud: Cloud, payload: dict[str, Any]) -> Principal:
    """Who a rule acts as: the target's role, or EventBridge, whom the target's own policy must let in."""
    role, rule_arn = payload["target"].get("RoleArn"), payload["rule"]
    if not role:
        return service_principal("events", account=rule_arn.split(":")[4], source_arn=rule_arn)
    session = blake2b(rule_arn.encode(), digest_size=16).hexdigest()
    try:
        return await cloud.part(RoleSessions).principal("events", role, source_arn=rule_arn, session_name=session)
    except AWSError as error:
        raise Failed("FAILED_TO_ASSUME_ROLE", error.message) from error


async def _to_discoverer(cloud: Cloud, principal: Principal, arn: Arn, body: bytes) -> None:
    request = {"DiscovererId": arn.resource.removeprefix("discoverer/"), "Event": body.decode()}
    try:
        await cloud.call(principal, "schemas", "DiscoverEvent", request, region=arn.region, account=arn.account)
    except AWSError as error:
        raise sort_error(error) from error


async def _to_logs(cloud: Cloud, principal: Principal, arn: Arn, payload: dict[str, Any], body: bytes) -> None:
    """A log event in the rule's own stream of the group."""
    group = arn.resource.removeprefix("log-group:").removesuffix(":*")
    name = blake2b(payload["rule"].encode(), digest_size=16).hexdigest()
    text, moment = body.decode(), None
    if payload["target"].get("InputTransformer"):
        text, moment = inputs.log_event(text)
    stream = f"{name[:8]}-{name[8:12]}-{name[12:16]}-{name[16:20]}-{name[20:]}"
    try:
        await logs.write(
            cloud,
            principal,
            (text,),
            moment=moment,
            group=group,
            stream=stream,
            region=arn.region,
            account=arn.account,
        )
    except AWSError as error:
        raise sort_error(error) from error


async def deliver_to_bus(cloud: Cloud, delivery: Delivery) -> None:
    """The outbox's handler for other buses: the event stays what it is; in another region it has another id."""
    payload = delivery.payload
    target = payload["target"]
    bus = bus_of_arn(target["Arn"])
    way = payload["way"]
    came = bus_of_arn(way[-1])
    _check_way(bus, came, way)
    event = orjson.loads(payload["event"])
    if bus.region != came.region:
        event["id"] = cloud.ids.uuid()
    principal = await _principal_on_bus(cloud, payload, came)
    entry = {
        "EventBusName": bus.arn,
        "Source": event["source"],
        "DetailType": event["detail-type"],
        "Resources": event["resources"],
        FORWARDED: {"event": event, "way": way},
    }
    if payload.get("trace"):
        entry["TraceHeader"] = payload["trace"]
    try:
        await cloud.call(
            principal, "events", "PutEvents", {"Entries": [entry]}, region=bus.region, account=principal.account
        )
    except AWSError as error:
        raise sort_error(error) from error


def _check_way(bus: BusName, came: BusName, way: list[str]) -> None:
    if bus.arn in way:
        raise Failed("RECURSIVE_EVENT_BUS", f"The event has already been on {bus.arn}.")
    if len(way) >= BUSES_MAX:
        raise Failed("TOO_MANY_HOPS", f"The event has been on {BUSES_MAX} event buses.")
    passed = [bus_of_arn(arn) for arn in way]
    # "If a receiver sends events from a sender account on to a third account, these are not sent."
    if bus.account != came.account and len({one.account for one in passed}) > 1:
        raise Failed("THIRD_ACCOUNT_HOP_DETECTED", "An event is sent on to a third account.")
    if bus.region != came.region and len({one.region for one in passed}) > 1:
        raise Failed("THIRD_REGION_HOP_DETECTED", "An event is sent on to a third region.")


async def _principal_on_bus(cloud: Cloud, payload: dict[str, Any], came: BusName) -> Principal:
    if payload["target"].get("RoleArn"):
        return await principal_for(cloud, payload)
    # Without a role the rule's account itself puts the event, as bus policies of other accounts let it.
    account = came.account
    return Principal(kind="root", account=account, arn=f"arn:aws:iam::{account}:root", id=account)


async def bury(cloud: Cloud, delivery: Delivery) -> None:
    """The outbox's dead letter: the event goes to the target's dead-letter queue, where it has one."""
    dead = msgspec.convert(delivery.payload, Dead)
    lost = dead.delivery
    target = lost.payload["target"]
    metrics.count(cloud, metrics.FAILED_INVOCATIONS, lost.payload["rule"])
    queue = (target.get("DeadLetterConfig") or {}).get("Arn")
    code, message = _told(lost.last_error)
    if not queue:
        log.warning("rule %s: an event for %s is lost: %s: %s", lost.payload["rule"], target["Arn"], code, message)
        return
    attributes = {
        "RULE_ARN": lost.payload["rule"],
        "TARGET_ARN": target["Arn"],
        "ERROR_CODE": code,
        "ERROR_MESSAGE": message,
        "RETRY_ATTEMPTS": str(max(0, lost.attempts - 1)),
    }
    if dead.reason == "AttemptsExhausted":
        attributes["EXHAUSTED_RETRY_CONDITION"] = "MaximumRetryAttempts"
    elif dead.reason == "AgeExceeded":
        attributes["EXHAUSTED_RETRY_CONDITION"] = "MaximumEventAgeInSeconds"
    rule_arn = lost.payload["rule"]
    principal = service_principal("events", account=rule_arn.split(":")[4], source_arn=rule_arn)
    letter = Message(body=lost.payload["event"].encode(), attributes=attributes)
    await send(cloud, principal, queue, letter, region=rule_arn.split(":")[3])
    metrics.count(cloud, metrics.SENT_TO_DEAD_LETTERS, rule_arn)


def _told(last_error: str) -> tuple[str, str]:
    """Code and message of what went wrong, in EventBridge's own codes: "Refused: AccessDenied: User ..."."""
    _, _, rest = last_error.partition(": ")
    code, _, message = rest.partition(": ")
    if code in _NO_RESOURCE:
        code = "NO_RESOURCE"
    elif code in _NO_PERMISSIONS:
        code = "NO_PERMISSIONS"
    elif code in _THROTTLED:
        code = "THROTTLING"
    elif not code.isupper():
        code, message = "SDK_CLIENT_ERROR", message or rest or last_error
    return code, message or rest or last_error
