"""Confirmation: whoever is subscribed by others, or by an address that anybody may write, is asked first.

Sources: "Confirming the subscription" of the developer guide, ConfirmSubscription and Unsubscribe of the API reference;
recorded answers.
"""

from __future__ import annotations

import re

import msgspec

from pileus.cloud import sending
from pileus.cloud.context import Cloud, Context
from pileus.delivery.contract import Delivery, Retry, Undeliverable
from pileus.services.sns import calling, envelopes, errors, keys, mailbox
from pileus.services.sns.delivering import acting_for
from pileus.services.sns.payloads import CONFIRM
from pileus.services.sns.records import Subscription, Token, decode, encode
from pileus.services.sns.topics import HTTP, Live
from pileus.store.contract import Reader, Transaction

# "Confirmation tokens are valid for two days." So long a subscription may be pending.
TOKEN_MS = 2 * 24 * 3600 * 1000
# What of a token is secret; the rest makes it as long as SNS's.
_SECRET_CHARS = 64
_TOKEN_CHARS = 288
_HEX = re.compile(r"[0-9a-f]+")
RETRIES_S = (20.0, 20.0, 20.0)
# Who hears of his subscription's end, and may undo it.
TOLD_OF_THE_END = (*HTTP, "email", "email-json")
_ASKING = (
    "You have chosen to subscribe to the topic {}.\nTo confirm the subscription, visit the SubscribeURL included in "
    "this message."
)
_TELLING = (
    "You have chosen to deactivate subscription {}.\nTo cancel this operation and restore the subscription, visit the "
    "SubscribeURL included in this message."
)


def new_token(cloud: Cloud) -> str:
    return cloud.ids.hex(_TOKEN_CHARS)


async def find(tx: Reader, token: str) -> Token:
    """What a token was made for. Raises InvalidParameter."""
    if not token:
        raise errors.no_value("Token")
    if not _HEX.fullmatch(token):
        raise errors.bad("Invalid token")
    raw = await tx.get(keys.token(token[:_SECRET_CHARS]))
    if raw is None or len(token) != _TOKEN_CHARS:
        raise errors.invalid("Token")
    return decode(Token, raw)


def ask(ctx: Context, tx: Transaction, topic: Live, subscription: Subscription, token: str, *, again: bool) -> None:
    """Have the endpoint's owner asked to confirm a subscription or, with `again`, told that it has ended."""
    key = keys.token(token[:_SECRET_CHARS])
    tx.put(key, encode(Token(token=token, subscription=subscription)))
    tx.put(keys.expiry(int(ctx.now * 1000) + TOKEN_MS, key), b"")
    payload = {
        "subscription": encode(subscription),
        "token": token,
        "again": again,
        "id": ctx.cloud.ids.uuid(),
        "time": ctx.now,
        "version": topic.setting("SignatureVersion", "1"),
    }
    ctx.cloud.outbox.put(
        tx, target=CONFIRM, payload=payload, now=ctx.now, attempts_max=1 + len(RETRIES_S), backoff_s=RETRIES_S
    )


async def send(cloud: Cloud, delivery: Delivery) -> None:
    """The outbox's handler."""
    payload = delivery.payload
    subscription = msgspec.msgpack.decode(payload["subscription"], type=Subscription)
    kind = "UnsubscribeConfirmation" if payload["again"] else "SubscriptionConfirmation"
    text = _TELLING.format(subscription.arn) if payload["again"] else _ASKING.format(subscription.topic_arn)
    envelope = await envelopes.confirmation(
        cloud,
        subscription.topic_arn,
        payload["token"],
        kind=kind,
        message=text,
        version=payload["version"],
        message_id=payload["id"],
        time=payload["time"],
    )
    if subscription.protocol in HTTP:
        headers = calling.headers_for(kind, payload["id"], subscription.topic_arn, "")
        error, final = await calling.call(cloud, subscription.endpoint, headers, envelope)
        if error:
            raise Undeliverable(error) if final else Retry(error)
    elif subscription.protocol in mailbox.PROTOCOLS:
        url = envelopes.subscribe_url(cloud, subscription.topic_arn, payload["token"])
        body = envelope if subscription.protocol == "email-json" else f"{text}\n\n{url}"
        await mailbox.post(
            cloud, subscription, message_id=payload["id"], time=payload["time"], subject=_subject(kind), body=body
        )
    else:
        # A function is told in the log only: its owner must confirm with the token.
        message = sending.Message(body=envelope.encode())
        region = subscription.topic_arn.split(":")[3]
        await sending.send(cloud, acting_for(subscription.topic_arn), subscription.endpoint, message, region=region)


def _subject(kind: str) -> str:
    if kind == "SubscriptionConfirmation":
        return "AWS Notification - Subscription Confirmation"
    return "AWS Notification - Unsubscribe Confirmation"
