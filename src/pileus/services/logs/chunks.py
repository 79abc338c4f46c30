"""Events, stored in chunks: one value for (a part of) one PutLogEvents call, ordered by time on reading.

A chunk's events are in order of time, and span less than `SPAN_MS`: a reader that wants events from a moment on starts
at the chunks that begin `SPAN_MS` before it. Events of a stream are ordered by (timestamp, sequence of their chunk,
index in it), which `position` packs into the one number that event ids and paging tokens show.
"""

from __future__ import annotations

import heapq
from collections.abc import AsyncIterator
from hashlib import blake2b
from typing import NamedTuple

import msgspec

from pileus.services.logs import keys
from pileus.store.contract import Reader
from pileus.store.keys import after, unpack

SPAN_MS = 10_000
# Chunks fetched at a time while reading.
READ_AHEAD = 16
# What AWS counts for an event beside its UTF-8 bytes.
EVENT_OVERHEAD_BYTES = 26


class Chunk(msgspec.Struct, array_like=True):
    ingestion_ms: int
    times_ms: list[int]
    messages: list[str]


class Event(NamedTuple):
    position: int
    timestamp_ms: int
    ingestion_ms: int
    message: str


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Chunk).decode


def position(timestamp_ms: int, sequence: int, index: int, stream_tag: int) -> int:
    """Orders the events of a group: 64 bits of the chunk's sequence, 16 of the index, 64 that tell streams apart."""
    return timestamp_ms << 144 | sequence << 80 | index << 64 | stream_tag


def stream_tag(stream_id: str) -> int:
    return int.from_bytes(blake2b(stream_id.encode(), digest_size=8).digest(), "big")


def least(timestamp_ms: int) -> int:
    """A position before every event of `timestamp_ms` and after every earlier one."""
    return (timestamp_ms << 144) - 1


def encode(ingestion_ms: int, times_ms: list[int], messages: list[str]) -> list[tuple[int, bytes]]:
    """(first timestamp, value) of the chunks that hold these events, which are in order of time."""
    out: list[tuple[int, bytes]] = []
    start = 0
    for at in range(1, len(times_ms) + 1):
        if at == len(times_ms) or times_ms[at] - times_ms[start] >= SPAN_MS:
            out.append((times_ms[start], _encode(Chunk(ingestion_ms, times_ms[start:at], messages[start:at]))))
            start = at
    return out


def _events(key: bytes, value: bytes, tag: int) -> list[Event]:
    sequence = unpack(key)[-1]
    assert isinstance(sequence, int)
    chunk = _decode(value)
    return [
        Event(position(time_ms, sequence, index, tag), time_ms, chunk.ingestion_ms, message)
        for index, (time_ms, message) in enumerate(zip(chunk.times_ms, chunk.messages, strict=True))
    ]


def size_bytes(value: bytes) -> int:
    """What the chunk's events count for."""
    chunk = _decode(value)
    return sum(len(message.encode()) + EVENT_OVERHEAD_BYTES for message in chunk.messages)


def first_ms(key: bytes) -> int:
    """When the first event of the chunk at `key` happened."""
    first = unpack(key)[-2]
    assert isinstance(first, int)
    return first


async def forwards(tx: Reader, stream_id: str, behind: int) -> AsyncIterator[Event]:
    """A stream's events whose position is above `behind`, upwards."""
    tag = stream_tag(stream_id)
    start = keys.chunks_from(stream_id, max(0, (behind >> 144) - SPAN_MS))
    end = keys.chunks(stream_id)[1]
    waiting: list[Event] = []
    while found := await tx.scan(start, end, limit=READ_AHEAD):
        for key, value in found:
            begins_ms = first_ms(key)
            # Nothing later can come before what is earlier than this chunk's beginning.
            while waiting and waiting[0].timestamp_ms < begins_ms:
                yield heapq.heappop(waiting)
            for event in _events(key, value, tag):
                if event.position > behind:
                    heapq.heappush(waiting, event)
        start = after(found[-1][0])
    while waiting:
        yield heapq.heappop(waiting)


async def backwards(tx: Reader, stream_id: str, before: int) -> AsyncIterator[Event]:
    """A stream's events whose position is below `before`, downwards."""
    tag = stream_tag(stream_id)
    start = keys.chunks(stream_id)[0]
    end = keys.chunks_from(stream_id, (before >> 144) + 1)
    waiting: list[tuple[int, Event]] = []
    while found := await tx.scan(start, end, limit=READ_AHEAD, reverse=True):
        for key, value in found:
            begins_ms = first_ms(key)
            # No chunk that begins here or earlier reaches further than its span.
            while waiting and waiting[0][1].timestamp_ms >= begins_ms + SPAN_MS:
                yield heapq.heappop(waiting)[1]
            for event in _events(key, value, tag):
                if event.position < before:
                    heapq.heappush(waiting, (-event.position, event))
        end = found[-1][0]
    while waiting:
        yield heapq.heappop(waiting)[1]
