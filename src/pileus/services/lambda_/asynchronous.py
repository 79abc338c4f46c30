"""The asynchronous queue: events in the outbox, tried up to three times, and what becomes of them afterwards.

Sources: "Error handling for an asynchronous function" of the developer guide: two retries, after one and two minutes;
events wait up to six hours while the function is throttled or the service fails; "Adding a dead-letter queue" and
"Capturing records of Lambda asynchronous invocations"; recorded answers.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import orjson

from pileus.cloud.context import Cloud
from pileus.cloud.metrics import Metric
from pileus.cloud.sending import Message, send
from pileus.delivery.contract import Dead, Delivery, Retry, Undeliverable
from pileus.kernel.arn import parse_arn
from pileus.kernel.errors import AWSError
from pileus.kernel.principal import Principal
from pileus.services.lambda_ import errors, keys, metrics
from pileus.services.lambda_.execution import Invocation, InvokeResult, NoCapacity
from pileus.services.lambda_.invoking import run
from pileus.services.lambda_.lookup import get_qualified
from pileus.services.lambda_.names import Target
from pileus.services.lambda_.node import node
from pileus.services.lambda_.records import AsyncConfig, decode
from pileus.store.contract import Reader, Transaction

TARGET = "lambda.async"
DEAD_TARGET = "lambda.async-dead"
DESTINATION_TARGET = "lambda.destination"
DEAD_LETTER_TARGET = "lambda.dead-letter"
RETRIES = 2
AGE_MAX_S = 6 * 3600
BACKOFF_S = (60.0, 120.0)
# Throttled events are tried again after one second, then ever later, up to five minutes.
THROTTLED_MAX_S = 300.0
# "The first 1 KB of the error message."
ERROR_BYTES_MAX = 1024


class Event(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What waits in the queue; the request id stays the same over all attempts."""

    account: str
    region: str
    name: str
    qualifier: str = ""
    request_id: str
    # JSON text.
    payload: str
    client_context: str = ""
    trace_header: str = ""

    @property
    def at(self) -> Target:
        return Target(self.account, self.region, self.name, self.qualifier)


async def config_of(tx: Reader, at: Target) -> AsyncConfig | None:
    data = await tx.get(keys.async_config(at))
    return decode(AsyncConfig, data) if data is not None else None


async def put(cloud: Cloud, tx: Transaction, event: Event, now: float) -> None:
    """Queue `event`."""
    config = await config_of(tx, event.at)
    retries = config.retries if config and config.retries is not None else RETRIES
    age_max = config.age_max_s if config and config.age_max_s is not None else AGE_MAX_S
    cloud.outbox.put(
        tx,
        target=TARGET,
        payload=msgspec.to_builtins(event),
        now=now,
        attempts_max=1 + retries,
        age_max_s=float(age_max),
        backoff_s=BACKOFF_S,
        dead_target=DEAD_TARGET,
    )
    tx.on_commit(lambda: node(cloud).metrics.count(metrics.ASYNC_EVENTS_RECEIVED, event.at))


async def deliver(cloud: Cloud, delivery: Delivery) -> None:
    """The outbox's handler: one attempt."""
    event = msgspec.convert(delivery.payload, Event)
    mine = node(cloud)
    try:
        resolved = await mine.resolver.resolve(event.at)
        if resolved.reserved == 0:
            await _conclude(cloud, event, "ZeroReservedConcurrency", attempts=delivery.attempts)
            return
        spec = resolved.choose(cloud.ids.uniform)
        mine.metrics.count(metrics.ASYNC_EVENT_AGE, event.at, (cloud.clock.time() - delivery.created) * 1000)
        result = await run(
            mine,
            resolved,
            spec,
            Invocation(
                request_id=event.request_id,
                payload=event.payload.encode(),
                invoked_arn=event.at.asked_arn,
                client_context=event.client_context,
                trace_header=event.trace_header,
            ),
        )
    except NoCapacity as error:
        raise Retry(error.message, after_s=1.0, counted=False) from error
    except AWSError as error:
        if error.code in ("ResourceNotFoundException", "InvalidRuntimeException"):
            raise Undeliverable(error.message) from error
        if error.code == "RecursiveInvocationException":
            await _conclude(cloud, event, "RecursiveInvocation", attempts=delivery.attempts, refused=error)
            return
        if error.code in ("SnapStartException", "SnapStartTimeoutException"):
            # Its own hooks failed: that counts as any failure of the function's.
            if delivery.attempts + 1 >= delivery.attempts_max:
                await _conclude(cloud, event, "RetriesExhausted", attempts=delivery.attempts + 1, refused=error)
                return
            raise Retry(error.message) from error
        # Throttled, not ready, or a role that cannot be assumed just now: the age is the limit.
        age_s = cloud.clock.time() - delivery.created
        raise Retry(error.message, after_s=min(THROTTLED_MAX_S, max(1.0, age_s)), counted=False) from error

    attempts = delivery.attempts + 1
    if result.function_error is None:
        await _conclude(cloud, event, "Success", attempts=attempts, version=spec.version, result=result)
    elif attempts >= delivery.attempts_max:
        await _conclude(cloud, event, "RetriesExhausted", attempts=attempts, version=spec.version, result=result)
    else:
        wait_s = BACKOFF_S[min(attempts, len(BACKOFF_S)) - 1]
        if cloud.clock.time() + wait_s >= delivery.created + delivery.age_max_s:
            await _conclude(cloud, event, "EventAgeExceeded", attempts=attempts, version=spec.version, result=result)
        else:
            raise Retry("the function failed")


async def give_up(cloud: Cloud, delivery: Delivery) -> None:
    """The outbox's dead letter: an event that grew too old waiting."""
    dead = msgspec.convert(delivery.payload, Dead)
    if dead.reason == "Undeliverable":
        # The function is gone, and its destinations with it.
        node(cloud).metrics.count(metrics.ASYNC_EVENTS_DROPPED, msgspec.convert(dead.delivery.payload, Event).at)
        return
    event = msgspec.convert(dead.delivery.payload, Event)
    await _conclude(cloud, event, "EventAgeExceeded", attempts=dead.delivery.attempts, refused=errors.throttled(""))


async def _conclude(
    cloud: Cloud,
    event: Event,
    condition: str,
    *,
    attempts: int,
    version: str = "",
    result: InvokeResult | None = None,
    refused: AWSError | None = None,
) -> None:
    """Tell the destination, if there is one, how the event ended, and the dead-letter queue where it ended badly.

    `refused`: why the function was not run the last time, where it was not.
    """

    async def tell(tx: Transaction) -> None:
        if condition != "Success" and (queue := await _dead_letter_queue(tx, event.at)):
            cloud.outbox.put(
                tx,
                target=DEAD_LETTER_TARGET,
                payload={"event": msgspec.to_builtins(event), "queue": queue, "attributes": attributes},
                now=cloud.clock.time(),
                age_max_s=float(AGE_MAX_S),
            )
        config = await config_of(tx, event.at)
        destination = (config.on_success if condition == "Success" else config.on_failure) if config else ""
        if destination:
            cloud.outbox.put(
                tx,
                target=DESTINATION_TARGET,
                payload={"event": msgspec.to_builtins(event), "destination": destination, "record": record},
                now=cloud.clock.time(),
                age_max_s=float(AGE_MAX_S),
            )

    record: dict[str, Any] = {
        "version": "1.0",
        "timestamp": _timestamp(cloud.clock.time()),
        "requestContext": {
            "requestId": event.request_id,
            "functionArn": event.at.qualified_arn,
            "condition": condition,
            "approximateInvokeCount": attempts,
        },
        "requestPayload": orjson.loads(event.payload),
    }
    if result is not None:
        record["responseContext"] = {"statusCode": 200, "executedVersion": version}
        if result.function_error:
            record["responseContext"]["functionError"] = result.function_error
        record["responsePayload"] = _json(result.payload)
    attributes = {"RequestID": event.request_id, **_error_of(record, refused)}
    await cloud.store.write(tell)
    if condition != "Success":
        node(cloud).metrics.count(metrics.ASYNC_EVENTS_DROPPED, event.at)


def _error_of(record: dict[str, Any], refused: AWSError | None) -> dict[str, Any]:
    """What a dead-letter queue's message says of the last attempt."""
    if "responseContext" in record:
        payload = record["responsePayload"]
        code, message = 200, payload.get("errorMessage") if isinstance(payload, dict) else None
    elif refused is not None:
        code, message = refused.status or 400, refused.message
    else:
        code, message = 429, "Rate Exceeded."
    text = message if isinstance(message, str) and message else "Unknown error"
    return {"ErrorCode": code, "ErrorMessage": text.encode()[:ERROR_BYTES_MAX].decode(errors="ignore")}


async def _dead_letter_queue(tx: Reader, at: Target) -> str:
    """The ARN in the function's `DeadLetterConfig`."""
    try:
        return (await get_qualified(tx, at)).configuration.dead_letter
    except AWSError:
        # It is gone, and with it whoever could send anything.
        return ""


def _json(payload: bytes) -> Any:
    try:
        return orjson.loads(payload)
    except orjson.JSONDecodeError:
        return payload.decode(errors="replace")


def _timestamp(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


async def tell_destination(cloud: Cloud, delivery: Delivery) -> None:
    """The outbox's handler: hand an invocation record to its destination, as the function's role."""
    event = msgspec.convert(delivery.payload["event"], Event)
    arn = parse_arn(delivery.payload["destination"])
    assert arn is not None, "destinations are checked when they are set"
    mine = node(cloud)
    resolved = await mine.resolver.resolve(event.at)
    role = await mine.resolver.caller(resolved)
    record = delivery.payload["record"]
    destination = str(arn)
    if arn.service == "s3":
        # 2026-01-31T12:00:00.000Z
        moment = record["timestamp"][:19].replace(":", ".")
        destination += f"/aws/lambda/async/{event.name}/{moment[:10].replace('-', '/')}/{moment}-{cloud.ids.uuid()}"
    message = Message(
        body=orjson.dumps(record),
        source="lambda",
        detail_type=f"Lambda Function Invocation Result - {_outcome(record)}",
        resources=(event.at.qualified_arn, str(arn)),
        trace=event.trace_header,
    )
    await _send(cloud, event, role, destination, message, metrics.DESTINATION_DELIVERY_FAILURES)


async def tell_dead_letter_queue(cloud: Cloud, delivery: Delivery) -> None:
    """The outbox's handler: hand an event that failed to its dead-letter queue or topic, as the function's role."""
    event = msgspec.convert(delivery.payload["event"], Event)
    mine = node(cloud)
    role = await mine.resolver.caller(await mine.resolver.resolve(event.at))
    message = Message(body=event.payload.encode(), attributes=delivery.payload["attributes"], trace=event.trace_header)
    await _send(cloud, event, role, delivery.payload["queue"], message, metrics.DEAD_LETTER_ERRORS)


async def _send(cloud: Cloud, event: Event, role: Principal, target: str, message: Message, failures: Metric) -> None:
    try:
        await send(cloud, role, target, message, region=event.region)
    except Undeliverable:
        node(cloud).metrics.count(failures, event.at)
        raise


def _outcome(record: dict[str, Any]) -> str:
    return "Success" if record["requestContext"]["condition"] == "Success" else "Failure"
