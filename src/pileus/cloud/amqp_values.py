"""Values in the headers of AMQP messages, whatever their senders wrote.

The client's own reader gives up on some of them, and with them on the queue: the broker would deliver the message again
and again. It goes in as deep as the values are nested, takes no time behind the year 9999, and no number that is none;
of others it drops what stands behind the point. So it is replaced for these kinds of values, in the one place where it
looks it up.

Source: "AMQP 0-9-1 Errata" of RabbitMQ's documentation (the types of fields).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from struct import unpack_from
from typing import Any

from pika import data

# Levels that are read, the headers themselves included: events are written as JSON, which is not nested without end.
LEVELS_MAX = 128
# The last second of the year 9999.
_LAST_S = 253_402_300_799
_NESTED = (b"F", b"A")
_FLOATS = {b"f": (">f", 4), b"d": (">d", 8)}

_read_rest: Callable[[bytes, int], tuple[Any, int]] = data.decode_value
# How many levels down each thread is.
_here = threading.local()


def shown_moment(seconds: int) -> datetime:
    """Senders say what they like."""
    return datetime.fromtimestamp(min(seconds, _LAST_S), UTC)


def _read(encoded: bytes, offset: int) -> tuple[Any, int]:
    """(the value at `offset`, where the next one is); None for what is nested too deep."""
    kind, at = encoded[offset : offset + 1], offset + 1
    if kind in _FLOATS:
        form, size = _FLOATS[kind]
        return unpack_from(form, encoded, at)[0], at + size
    if kind == b"T":
        return shown_moment(unpack_from(">Q", encoded, at)[0]), at + 8
    if kind not in _NESTED:
        return _read_rest(encoded, offset)
    level = getattr(_here, "level", 1)
    if level >= LEVELS_MAX:
        return None, at + 4 + unpack_from(">I", encoded, at)[0]
    _here.level = level + 1
    try:
        return _read_rest(encoded, offset)
    finally:
        _here.level = level


def install() -> None:
    """Have the client read values so."""
    data.decode_value = _read
