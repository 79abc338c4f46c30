"""From what a function writes to log events.

Standard output, standard error and the runtime's own logger share one pipe, so that their order is kept. What is
printed is an event per line; the logger's messages come as frames (AWS's telemetry protocol) and are events as a whole,
however many lines they have.

    frame: 0xa55a00nn, length (4 bytes), microseconds since the epoch (8 bytes), message; big-endian
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from pileus.services.lambda_.execution import LOG_TAIL_BYTES, LogEvent

_FRAME = struct.Struct("!IIQ")
# 0xa5 begins no UTF-8 character: at the beginning of a line it is a frame, or not text at all.
_MAGIC = b"\xa5\x5a\x00"
# CloudWatch Logs takes events up to 256 KiB, 26 bytes of which it counts for itself.
EVENT_BYTES_MAX = 256 * 1024 - 26


class OutputParser:
    """Bytes in, events out. Nothing is lost: what cannot be understood is text."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes, now_ms: int) -> list[LogEvent]:
        """The events that `data` completes; `now_ms` is when lines without a time of their own were written."""
        buffer = self._buffer
        buffer += data
        events: list[LogEvent] = []
        start, end = 0, len(buffer)
        while start < end:
            if buffer[start] == 0xA5:
                frame = self._frame(buffer, start, end)
                if frame is None:
                    break
                taken, event = frame
                if event is not None:
                    events.append(event)
                    start += taken
                    continue
            stop = buffer.find(b"\n", start)
            # A frame may stand behind a print without a line end.
            framed = buffer.find(_MAGIC, start + 1, stop if stop >= 0 else end)
            if framed >= 0:
                stop = framed - 1
            elif stop < 0:
                if end - start < EVENT_BYTES_MAX:
                    break
                stop = start + EVENT_BYTES_MAX - 1
            stop = min(stop, start + EVENT_BYTES_MAX - 1)
            events.append(LogEvent(now_ms, buffer[start : stop + 1].decode("utf-8", "replace")))
            start = stop + 1
        del buffer[:start]
        return events

    def flush(self, now_ms: int) -> list[LogEvent]:
        """What is left without a line end, as an event."""
        if not self._buffer:
            return []
        text = self._buffer.decode("utf-8", "replace")
        self._buffer.clear()
        return [LogEvent(now_ms, text)]

    @staticmethod
    def _frame(buffer: bytearray, start: int, end: int) -> tuple[int, LogEvent | None] | None:
        """Bytes taken and the event; no event: it is no frame after all; None: more is needed."""
        if not buffer.startswith(_MAGIC[: end - start], start):
            return 0, None
        if end - start < _FRAME.size:
            return None
        _kind, length, microseconds = _FRAME.unpack_from(buffer, start)
        if length > 4 * EVENT_BYTES_MAX:
            return 0, None
        if end - start < _FRAME.size + length:
            return None
        message = buffer[start + _FRAME.size : start + _FRAME.size + length].decode("utf-8", "replace")
        return _FRAME.size + length, LogEvent(microseconds // 1000, message)


class Tail:
    """The last bytes of an invocation's log."""

    def __init__(self) -> None:
        self._data = bytearray()

    def clear(self) -> None:
        self._data.clear()

    def add(self, events: Sequence[LogEvent]) -> None:
        size, wanted = 0, []
        for event in reversed(events):
            encoded = event.message.encode()
            wanted.append(encoded)
            size += len(encoded)
            if size >= LOG_TAIL_BYTES:
                break
        self._data += b"".join(reversed(wanted))
        if len(self._data) > LOG_TAIL_BYTES:
            del self._data[:-LOG_TAIL_BYTES]

    def bytes(self) -> bytes:
        return bytes(self._data)
