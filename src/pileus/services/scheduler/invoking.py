"""Invoking targets, as the schedule's role, and dead letters of those that could not be invoked.

Sources: "Configuring a schedule's dead-letter queue", "Adding context attributes in EventBridge Scheduler" of the user
guide.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

import msgspec
import orjson

from pileus.cloud.context import Cloud
from pileus.cloud.roles import RoleSessions
from pileus.cloud.sending import Message, send, sort_error
from pileus.delivery.contract import Dead, Delivery, Undeliverable
from pileus.kernel.errors import AWSError
from pileus.kernel.principal import Principal
from pileus.services.scheduler.names import ScheduleName
from pileus.services.scheduler.targets import call_of

log = logging.getLogger("pileus.scheduler")

# What a message of a queue holds at most; what is more is cut off.
_PAYLOAD_MAX = 1024 * 1024 - 8192


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


async def invoke(cloud: Cloud, delivery: Delivery) -> None:
    """The outbox's handler."""
    payload = delivery.payload
    at = ScheduleName(*payload["at"])
    principal = await _role(cloud, at, payload)
    text = _input(at, payload, attempt=delivery.attempts + 1)
    try:
        call = call_of(cloud, payload["target"], text)
        answer = await cloud.call(
            principal, call.service, call.operation, call.request, region=call.region or at.region
        )
        if call.operation == "PutEvents" and answer.get("FailedEntryCount"):
            entry = next(one for one in answer["Entries"] if "ErrorCode" in one)
            raise AWSError(entry["ErrorCode"], entry.get("ErrorMessage", ""))
    except AWSError as error:
        raise sort_error(error) from error


async def _role(cloud: Cloud, at: ScheduleName, payload: dict[str, Any]) -> Principal:
    try:
        return await cloud.part(RoleSessions).principal(
            "scheduler",
            payload["target"]["RoleArn"],
            source_arn=at.group_arn,
            session_name=blake2b(at.arn.encode(), digest_size=16).hexdigest(),
        )
    except AWSError as error:
        raise Undeliverable(str(error)) from error


def _input(at: ScheduleName, payload: dict[str, Any], *, attempt: int) -> str:
    """The target's input with its context attributes, or the event that a schedule without one sends."""
    given: str | None = payload["target"].get("Input")
    if given is None:
        return orjson.dumps(
            {
                "version": "0",
                "id": payload["execution"],
                "detail-type": "Scheduled Event",
                "source": "aws.scheduler",
                "account": at.account,
                "time": _time(payload["due"]),
                "region": at.region,
                "resources": [at.arn],
                "detail": "{}",
            }
        ).decode()
    for name, value in (
        ("schedule-arn", at.arn),
        ("scheduled-time", _time(payload["due"])),
        ("execution-id", payload["execution"]),
        ("attempt-number", str(attempt)),
    ):
        given = given.replace(f"<aws.scheduler.{name}>", value)
    return given


async def bury(cloud: Cloud, delivery: Delivery) -> None:
    """The outbox's dead letter: the input goes to the schedule's dead-letter queue, where it has one."""
    dead = msgspec.convert(delivery.payload, Dead)
    lost = dead.delivery
    payload = lost.payload
    queue = (payload["target"].get("DeadLetterConfig") or {}).get("Arn")
    at = ScheduleName(*payload["at"])
    if not queue:
        log.warning("%s: an invocation of %s is lost: %s", at.arn, payload["target"]["Arn"], lost.last_error)
        return
    _, _, told = lost.last_error.partition(": ")
    code, _, message = told.partition(": ")
    text = _input(at, payload, attempt=max(1, lost.attempts))
    attributes = {
        "SCHEDULE_ARN": at.arn,
        "TARGET_ARN": payload["target"]["Arn"],
        "EXECUTION_ID": payload["execution"],
        "EXECUTION_TIME": _time(payload["due"]),
        "ERROR_CODE": code or "InternalError",
        "ERROR_MESSAGE": message or told or lost.last_error,
        "IS_PAYLOAD_TRUNCATED": "true" if len(text.encode()) > _PAYLOAD_MAX else "false",
        "RETRY_ATTEMPTS": str(max(0, lost.attempts - 1)),
    }
    if dead.reason == "AttemptsExhausted":
        attributes["EXHAUSTED_RETRY_CONDITION"] = "MaximumRetryAttempts"
    elif dead.reason == "AgeExceeded":
        attributes["EXHAUSTED_RETRY_CONDITION"] = "MaximumEventAgeInSeconds"
    principal = await _role(cloud, at, payload)
    body = text.encode()[:_PAYLOAD_MAX].decode(errors="ignore").encode()
    await send(cloud, principal, queue, Message(body=body, attributes=attributes), region=at.region)
