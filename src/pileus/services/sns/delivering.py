"""Handing messages to queues and functions, and to dead-letter queues what could not be handed over.

Sources: "Amazon SNS message delivery", "Amazon SNS dead-letter queues" of the developer guide; recorded answers.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec

from pileus.cloud import sending
from pileus.cloud.context import Cloud
from pileus.cloud.roles import RoleSessions
from pileus.delivery.contract import Dead, Delivery, Retry, Undeliverable
from pileus.kernel.errors import AWSError
from pileus.kernel.principal import Principal, service_principal
from pileus.services.sns import content, feedback, mailbox, metrics
from pileus.services.sns.envelopes import Envelopes
from pileus.services.sns.payloads import RETRY, read_payload
from pileus.services.sns.publishing import put_retried
from pileus.services.sns.records import Message, Recipient
from pileus.services.sns.topics import HTTP
from pileus.store.contract import Transaction

log = logging.getLogger("pileus.sns")


async def fan_out(cloud: Cloud, delivery: Delivery) -> None:
    """The outbox's handler for many subscriptions at once: what fails gets a delivery of its own."""
    message, recipients = read_payload(delivery.payload)
    envelopes = Envelopes(cloud, message)
    outcomes = await asyncio.gather(
        *(deliver(cloud, message, envelopes, one) for one in recipients), return_exceptions=True
    )
    failed = [one for one, outcome in zip(recipients, outcomes, strict=True) if outcome is not None]
    if not failed:
        return
    for outcome in outcomes:
        if outcome is not None and not isinstance(outcome, (Retry, Undeliverable, AWSError)):
            log.warning("%s: a delivery failed", message.topic_arn, exc_info=outcome)
    now = cloud.clock.time()

    async def put(tx: Transaction) -> None:
        for one in failed:
            put_retried(cloud, tx, RETRY, delivery.payload["message"], one, now=now)

    await cloud.store.write(put)


async def deliver_one(cloud: Cloud, delivery: Delivery) -> None:
    """The outbox's handler for one subscription."""
    message, recipients = read_payload(delivery.payload)
    await deliver(cloud, message, Envelopes(cloud, message), recipients[0])


async def deliver(cloud: Cloud, message: Message, envelopes: Envelopes, to: Recipient) -> None:
    """One attempt. Raises `Undeliverable` or `Retry`."""
    if to.protocol in mailbox.PROTOCOLS:
        await mailbox.deliver(cloud, message, envelopes, to)
    else:
        region = message.topic_arn.split(":")[3]
        letter = await _letter(message, envelopes, to, to.endpoint)
        principal = await _principal(cloud, message, to)
        await sending.send(cloud, principal, to.endpoint, letter, region=region)
    metrics.count(cloud, metrics.DELIVERED, message.topic_arn)
    if message.feedback:
        await feedback.succeeded(cloud, message, to)


async def _principal(cloud: Cloud, message: Message, to: Recipient) -> Principal:
    if not to.role:
        return acting_for(message.topic_arn)
    try:
        return await cloud.part(RoleSessions).principal(
            "sns", to.role, source_arn=message.topic_arn, session_name=f"sns-{to.id}"
        )
    except AWSError as error:
        raise sending.sort_error(error) from error


async def _letter(message: Message, envelopes: Envelopes, to: Recipient, target: str) -> sending.Message:
    """What a queue or a function is sent."""
    if to.protocol == "lambda" and ":lambda:" in target:
        return sending.Message(body=await envelopes.lambda_event(to.id), trace=message.trace)
    fifo = target.endswith(".fifo")
    return sending.Message(
        body=(message.body_for(to.protocol) if to.raw else await envelopes.notification(to.protocol, to.id)).encode(),
        attributes=_own(message) if to.raw else {},
        # A queue that is not FIFO knows groups, too, but a FIFO topic's mean order, which it has not.
        group=message.group if fifo or not message.sequence else "",
        deduplication=message.deduplication if fifo else "",
        trace=message.trace,
    )


def _own(message: Message) -> dict[str, dict[str, Any]]:
    return {name: one for name, one in message.attributes.items() if not name.startswith(content.RESERVED)}


def acting_for(topic_arn: str) -> Principal:
    """SNS, acting for a topic: what it may do is what the policies of queues and functions say."""
    return service_principal("sns", account=topic_arn.split(":")[4], source_arn=topic_arn)


async def bury(cloud: Cloud, delivery: Delivery) -> None:
    """The outbox's dead letter: the message goes to the subscription's dead-letter queue, where it has one."""
    lost = msgspec.convert(delivery.payload, Dead).delivery
    message, recipients = read_payload(lost.payload)
    to = recipients[0]
    # The outbox says first of what kind an error is.
    error = lost.last_error if to.protocol in HTTP else lost.last_error.partition(": ")[2]
    if not delivery.attempts:
        metrics.count(cloud, metrics.FAILED, message.topic_arn)
        if to.protocol in mailbox.PROTOCOLS:
            await cloud.store.write(lambda tx: mailbox.lose(cloud, tx, message, to, error))
        if message.feedback:
            await cloud.store.write(lambda tx: feedback.failed(cloud, tx, message, to, error, lost.attempts))
    if not to.dead_letters:
        log.warning("%s:%s: message %s is lost: %s", message.topic_arn, to.id, message.id, lost.last_error)
        return
    letter = await _letter(message, Envelopes(cloud, message), to, to.dead_letters)
    region = message.topic_arn.split(":")[3]
    try:
        await sending.send(cloud, acting_for(message.topic_arn), to.dead_letters, letter, region=region)
    except Undeliverable:
        metrics.count(cloud, metrics.NOT_REDRIVEN, message.topic_arn)
        raise
    metrics.count(cloud, metrics.REDRIVEN, message.topic_arn)
