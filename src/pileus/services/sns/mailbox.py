"""Mail, text messages and notifications of devices: kept where they can be read, as nothing here sends them on.

`/_aws/sns/...` shows them (`inspect.py`). They are kept for a week.
"""

from __future__ import annotations

from collections.abc import Iterable

from pileus.cloud.context import Cloud
from pileus.delivery.contract import Undeliverable
from pileus.kernel.arn import parse_arn
from pileus.kernel.errors import AWSError
from pileus.services.sns import feedback, keys, platform_events, platforms, texting
from pileus.services.sns.envelopes import Envelopes, unsubscribe_url
from pileus.services.sns.records import Message, Recipient, Sent, Subscription, decode, encode
from pileus.store.contract import Reader, Transaction

KEPT_MS = 7 * 24 * 3600 * 1000
SHOWN_MAX = 1000
# The kind of what goes out, by protocol.
PROTOCOLS = {"email": "email", "email-json": "email", "sms": "sms", "application": "application"}
OPTED_OUT = "The phone number has opted out."
_SUBJECT = "AWS Notification Message"


def put(tx: Transaction, account: str, region: str, sent: Sent, id: str) -> None:
    """Keep it; the same `id` again replaces it, as a delivery may be handed over twice."""
    ms = int(sent.time * 1000)
    key = keys.sent(account, region, sent.kind, ms, id)
    tx.put(key, encode(sent))
    tx.put(keys.expiry(ms + KEPT_MS, key), b"")


async def deliver(cloud: Cloud, message: Message, envelopes: Envelopes, to: Recipient) -> None:
    """A published message to a subscriber."""
    arn = f"{message.topic_arn}:{to.id}"
    body = message.body_for(_structured_for(to))
    if to.protocol == "email-json":
        body = await envelopes.notification(to.protocol, to.id)
    elif to.protocol == "email":
        body = (
            f"{body}\n\n--\nIf you wish to stop receiving notifications from this topic, please click or visit the "
            f"link below to unsubscribe:\n{unsubscribe_url(cloud, arn)}"
        )
    kind = PROTOCOLS[to.protocol]
    sent = Sent(
        kind=kind,
        to=to.endpoint,
        message_id=message.id,
        time=message.time,
        body=body,
        subject=message.subject or (_SUBJECT if kind == "email" else ""),
        topic_arn=message.topic_arn,
        subscription_arn=arn,
        attributes=message.attributes,
        structured=bool(message.bodies),
    )
    _, _, _, region, account, _ = message.topic_arn.split(":", 5)

    async def keep(tx: Transaction) -> None:
        if to.protocol == "sms":
            await _to_phone(cloud, tx, sent)
        if to.protocol == "application":
            try:
                await to_device(cloud, tx, sent)
            except AWSError as error:
                raise Undeliverable(error.message) from None
        put(tx, account, region, sent, f"{message.id}/{to.id}")

    await cloud.store.write(keep)


async def _to_phone(cloud: Cloud, tx: Transaction, sent: Sent) -> None:
    """Raises Undeliverable where the phone wants none."""
    _, _, _, region, account, _ = sent.topic_arn.split(":", 5)
    settings = await texting.settings_of(tx, account, region)
    if await texting.is_opted_out(tx, account, region, sent.to):
        raise Undeliverable(OPTED_OUT)
    await feedback.sent_to_phone(cloud, tx, settings, sent.topic_arn, sent)


async def to_device(cloud: Cloud, tx: Transaction, sent: Sent) -> None:
    """Say what became of a message to a device. Raises EndpointDisabled and the like, of those that take none."""
    application, endpoint = await platforms.get_enabled(tx, platforms.endpoint_at(sent.to))
    await feedback.sent_to_device(cloud, tx, application, endpoint.attributes["Token"], sent)


async def lose(cloud: Cloud, tx: Transaction, message: Message, to: Recipient, error: str) -> None:
    """Say of a message that a phone or a device will not get, in the logs and to the application's topic."""
    kind = PROTOCOLS.get(to.protocol, "")
    sent = Sent(
        kind=kind,
        to=to.endpoint,
        message_id=message.id,
        time=message.time,
        body=message.body_for(to.protocol),
        topic_arn=message.topic_arn,
        attributes=message.attributes,
    )
    if to.protocol == "sms":
        _, _, _, region, account, _ = message.topic_arn.split(":", 5)
        settings = await texting.settings_of(tx, account, region)
        await feedback.sent_to_phone(cloud, tx, settings, message.topic_arn, sent, error=error)
    if to.protocol == "application":
        at = platforms.endpoint_at(to.endpoint)
        application = await platforms.find_application(tx, at.of_application)
        endpoint = await platforms.find_endpoint(tx, at)
        if application is not None:
            token = "" if endpoint is None else endpoint.attributes["Token"]
            await feedback.sent_to_device(cloud, tx, application, token, sent, error=error)
            if not message.event:
                # Else two devices that are not reached would tell each other of it for ever, twice as often each time.
                await platform_events.failed(cloud, tx, application, at, message.id, error)


def _structured_for(to: Recipient) -> str:
    """The name of the body that a structured message has for this subscriber: devices by their platform."""
    arn = parse_arn(to.endpoint) if to.protocol == "application" else None
    return arn.resource.split("/")[1] if arn is not None and arn.resource.count("/") > 1 else to.protocol


async def post(
    cloud: Cloud, subscription: Subscription, *, message_id: str, time: float, subject: str, body: str
) -> None:
    """A message of SNS's own to a subscriber."""
    sent = Sent(
        kind=PROTOCOLS[subscription.protocol],
        to=subscription.endpoint,
        message_id=message_id,
        time=time,
        body=body,
        subject=subject,
        topic_arn=subscription.topic_arn,
        subscription_arn=subscription.arn,
    )
    _, _, _, region, account, _ = subscription.topic_arn.split(":", 5)

    async def keep(tx: Transaction) -> None:
        put(tx, account, region, sent, message_id)

    await cloud.store.write(keep)


async def read(tx: Reader, account: str, region: str, kind: str) -> list[Sent]:
    """What was sent, the oldest first; of very many the last ones."""
    entries = await tx.scan(*keys.all_sent(account, region, kind), limit=SHOWN_MAX, reverse=True)
    return [decode(Sent, data) for _, data in reversed(entries)]


async def clear(tx: Transaction, account: str, region: str, kinds: Iterable[str]) -> None:
    for kind in kinds:
        tx.delete_range(*keys.all_sent(account, region, kind))
