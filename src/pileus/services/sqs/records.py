"""What SQS stores. Times are milliseconds since the epoch, as in its answers, unless a name says otherwise."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

R = TypeVar("R", bound=msgspec.Struct)


class Queue(msgspec.Struct, kw_only=True, omit_defaults=True):
    name: str
    # Deduplication, tasks and counts hang on it, so that a queue made again under its old name starts anew.
    id: str
    # Messages hang on it: purging gives the queue another one.
    data: str
    # Seconds since the epoch.
    created: int
    modified: int
    # Those that were set, as they are shown; what is missing has its default.
    attributes: dict[str, str] = {}
    tags: dict[str, str] = {}
    purged_ms: int = 0


class Counts(msgspec.Struct, array_like=True):
    """What changes with every message of a queue: one small record, read and written in every transaction."""

    # Number of the next message.
    seq: int = 1
    visible: int = 0
    in_flight: int = 0
    delayed: int = 0
    # Of a queue with message groups: see `fairness` in the README.
    round: int = 0
    # The generation of messages that are counted: after a purge the others do not count.
    data: str = ""
    # Its messages are not in the order of their age: they are in rounds, or other queues gave them up.
    mixed: bool = False
    # Nothing that waits becomes visible before; 0: it is not known.
    due: int = 0


class Content(msgspec.Struct, array_like=True, omit_defaults=True):
    """What is sent, and never changes."""

    id: str
    body: str
    md5: str
    sender: str = ""
    # As they were sent; binary values as bytes.
    attributes: dict[str, dict[str, Any]] = {}
    attributes_md5: str = ""
    trace: str = ""
    group: str = ""
    deduplication: str = ""
    # The queue that gave it up, by ARN.
    source: str = ""


class Entry(msgspec.Struct, array_like=True):
    """A message at its place in the queue, with what changes when it is received."""

    sent: int
    count: int = 0
    first: int = 0
    # When it was received last.
    received: int = 0
    rank: int = 0
    # When it becomes visible; 0: it is. Only in FIFO queues, where the place does not say.
    due: int = 0
    # There is a record that says where the message is: it cannot be told from every receipt handle.
    located: bool = False
    # Encoded `Content`; empty where it is large and has a record of its own.
    content: bytes = b""


class Deduplication(msgspec.Struct, array_like=True):
    expires: int
    message_id: str
    seq: int


class Attempt(msgspec.Struct, array_like=True):
    """What a receive with a ReceiveRequestAttemptId has handed out: (group, number, receive count)."""

    expires: int
    messages: list[tuple[str, int, int]]
    # When they become visible again, as long as nobody has changed that.
    due: int = 0


class Task(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A message move task."""

    id: str
    source: str
    # "" : back to where each message came from.
    destination: str = ""
    started: int
    per_second: int = 0
    status: str = "RUNNING"
    moved: int = 0
    to_move: int = 0
    failure: str = ""


_encoder = msgspec.msgpack.Encoder()
encode = _encoder.encode
_decoders: dict[type[msgspec.Struct], msgspec.msgpack.Decoder[Any]] = {
    kind: msgspec.msgpack.Decoder(kind) for kind in (Queue, Counts, Content, Entry, Deduplication, Attempt, Task)
}
decode_entry = msgspec.msgpack.Decoder(Entry).decode
decode_content = msgspec.msgpack.Decoder(Content).decode
decode_counts = msgspec.msgpack.Decoder(Counts).decode


def decode(kind: type[R], data: bytes) -> R:
    record: R = _decoders[kind].decode(data)
    return record
