"""What deliveries carry: a message, and who is to get it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from pileus.services.sns.records import Message, Recipient, encode

# The outbox's targets.
FAN_OUT = "sns.fan-out"
RETRY = "sns.retry"
IN_ORDER = "sns.in-order"
HTTP = "sns.http"
CONFIRM = "sns.confirm"
DEAD = "sns.dead"
FEEDBACK = "sns.feedback"
REPLAY = "sns.replay"
AUDIT = "sns.audit"

_recipients = msgspec.msgpack.Decoder(list[Recipient])
_message = msgspec.msgpack.Decoder(Message)


def payload_of(message: bytes, recipients: Sequence[Recipient]) -> dict[str, Any]:
    return {"message": message, "to": encode(recipients)}


def read_payload(payload: dict[str, Any]) -> tuple[Message, list[Recipient]]:
    return _message.decode(payload["message"]), _recipients.decode(payload["to"])
