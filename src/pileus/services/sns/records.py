"""What SNS stores. Times are seconds since the epoch unless a name says otherwise."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

# What becomes of replays.
ENDED = ("Completed", "Failed")

R = TypeVar("R", bound=msgspec.Struct)


class Topic(msgspec.Struct, kw_only=True, omit_defaults=True):
    name: str
    # Subscriptions, deduplications and counts hang on it, so that a topic made again under its name starts anew.
    id: str
    created: float
    # Changes with every subscription: whoever has them in memory sees that they have changed.
    members: bytes = b""
    # Those that were set, as they are shown.
    attributes: dict[str, str] = {}
    tags: dict[str, str] = {}
    data_protection: str = ""

    @property
    def fifo(self) -> bool:
        return self.name.endswith(".fifo")


class Replay(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How far a subscription's replay has come."""

    id: str
    status: str
    start_ms: int
    end_ms: int | None = None
    # The key of the message that was replayed last.
    cursor: bytes = b""


class Subscription(msgspec.Struct, kw_only=True, omit_defaults=True):
    id: str
    topic_arn: str
    topic_id: str
    # The account that has subscribed.
    owner: str
    # The ARN of who subscribed.
    principal: str
    protocol: str
    endpoint: str
    created: float
    # Those that were set, as they are shown.
    attributes: dict[str, str] = {}
    pending: bool = False
    # Confirmed by a signed call, which includes those that need no confirmation.
    authenticated: bool = False
    # Only signed calls may unsubscribe it.
    sealed: bool = False
    # What confirms it, while it is pending.
    token: str = ""
    # The replay that its policy asks for.
    replay: Replay | None = None

    @property
    def is_live(self) -> bool:
        """Whether it gets what is published: not while it waits for its owner, nor for an archive to be replayed."""
        waits = self.replay is not None and self.replay.end_ms is None and self.replay.status not in ENDED
        return not self.pending and not waits

    @property
    def arn(self) -> str:
        return f"{self.topic_arn}:{self.id}"

    @property
    def raw(self) -> bool:
        return self.attributes.get("RawMessageDelivery") == "true"


class Application(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A platform application; its credentials are not kept, as nothing is sent on to the platform."""

    platform: str
    name: str
    # As they are shown.
    attributes: dict[str, str] = {}


class Endpoint(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A device that a platform application sends to."""

    id: str
    platform: str
    application: str
    # As they are shown: Token, Enabled, CustomUserData.
    attributes: dict[str, str] = {}


class SmsSettings(msgspec.Struct, kw_only=True, omit_defaults=True):
    attributes: dict[str, str] = {}
    # Numbers that want no messages.
    opted_out: list[str] = []


class SandboxNumber(msgspec.Struct, kw_only=True, omit_defaults=True):
    number: str
    password: str
    verified: bool = False


class Token(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What confirms a subscription: the subscription as it was when the token was sent."""

    token: str
    subscription: Subscription


class Counts(msgspec.Struct, array_like=True):
    """What changes with a topic's subscriptions, and with a FIFO topic's messages."""

    confirmed: int = 0
    pending: int = 0
    deleted: int = 0
    # Number of the last message.
    sequence: int = 0
    # Subscriptions with a filter policy.
    filters: int = 0

    def add(self, subscription: Subscription, step: int) -> None:
        if subscription.pending:
            self.pending += step
        else:
            self.confirmed += step


class Usage(msgspec.Struct, array_like=True):
    """What an account has in a region of what is limited."""

    standard: int = 0
    fifo: int = 0
    # Of the subscriptions that it has made: those that are not confirmed yet, and those with a filter policy.
    pending: int = 0
    filters: int = 0


class Deduplication(msgspec.Struct, array_like=True):
    expires_ms: int
    message_id: str
    sequence: str


class Message(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A message that was published, as its deliveries carry it."""

    id: str
    topic_arn: str
    # When it was published.
    time: float
    body: str
    # MessageStructure "json": the bodies by protocol, "default" among them; `body` is the default then.
    bodies: dict[str, str] = {}
    subject: str = ""
    # As they were published; binary values as bytes.
    attributes: dict[str, dict[str, Any]] = {}
    group: str = ""
    deduplication: str = ""
    # Of FIFO topics; "" elsewhere.
    sequence: str = ""
    trace: str = ""
    signature_version: str = "1"
    replayed: bool = False
    # The topic's attributes on delivery status.
    feedback: dict[str, str] = {}
    # It is SNS's own, and tells of a platform application: what becomes of it is not told in its turn.
    event: bool = False

    def body_for(self, protocol: str) -> str:
        return self.bodies.get(protocol, self.body)


class Recipient(msgspec.Struct, array_like=True, omit_defaults=True):
    """A subscription as a delivery needs to know it."""

    id: str
    protocol: str
    endpoint: str
    raw: bool = False
    # Its dead-letter queue, by ARN.
    dead_letters: str = ""
    # Of subscriptions to delivery streams.
    role: str = ""
    # Of those over HTTP: seconds before each retry, the content type, the most requests a second (0: any number).
    waits: tuple[float, ...] = ()
    content_type: str = ""
    rate: int = 0


class Sent(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What went to a mail address, a phone or a device: see `mailbox.py`."""

    kind: str
    to: str
    message_id: str
    time: float
    body: str
    subject: str = ""
    topic_arn: str = ""
    subscription_arn: str = ""
    attributes: dict[str, dict[str, Any]] = {}
    # It came in a message of structure "json".
    structured: bool = False


_encoder = msgspec.msgpack.Encoder()
encode = _encoder.encode
_decoders: dict[type[msgspec.Struct], msgspec.msgpack.Decoder[Any]] = {
    kind: msgspec.msgpack.Decoder(kind)
    for kind in (
        *(Topic, Subscription, Token, Counts, Usage, Deduplication, Sent),
        *(Application, Endpoint, SmsSettings, SandboxNumber),
    )
}


def decode(kind: type[R], data: bytes) -> R:
    record: R = _decoders[kind].decode(data)
    return record
