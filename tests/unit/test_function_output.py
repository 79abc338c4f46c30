"""What a function writes becomes log events: lines, frames, and whatever else the bytes may be."""

from __future__ import annotations

import struct
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pileus.services.lambda_.execution import LOG_TAIL_BYTES, LogEvent
from pileus.services.lambda_.output import EVENT_BYTES_MAX, OutputParser, Tail
from pileus.services.lambda_.platform_logs import billed, timestamp


def frame(message: bytes, milliseconds: int = 7) -> bytes:
    return struct.pack("!IIQ", 0xA55A0003, len(message), milliseconds * 1000) + message


def parse(*parts: bytes) -> list[LogEvent]:
    parser = OutputParser()
    events = [event for part in parts for event in parser.feed(part, 1)]
    return events + parser.flush(1)


PIECES = [b"one\n", frame(b"two\nlines\n"), b"no end", frame(b"three"), "ü\n".encode()]
EVENTS = [
    LogEvent(1, "one\n"),
    LogEvent(7, "two\nlines\n"),
    LogEvent(1, "no end"),
    LogEvent(7, "three"),
    LogEvent(1, "ü\n"),
]


def test_lines_and_frames() -> None:
    assert parse(b"".join(PIECES)) == EVENTS


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=5))
def test_no_bytes_break_it_and_text_comes_back(data: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(data)]
    events = parse(*(data[a:b] for a, b in pairwise(places)))
    if b"\xa5" not in data:
        lines = [each.decode("utf-8", "replace") for each in data.splitlines(keepends=True) if each]
        assert "".join(each.message for each in events) == "".join(lines)


def test_a_long_line_is_cut_to_events() -> None:
    events = parse(b"x" * (2 * EVENT_BYTES_MAX + 5))
    assert [len(each.message) for each in events] == [EVENT_BYTES_MAX, EVENT_BYTES_MAX, 5]


def test_a_frame_of_a_length_that_cannot_be_is_text() -> None:
    events = parse(struct.pack("!IIQ", 0xA55A0003, 0xFFFFFFFF, 0) + b"hello\n")
    assert events[-1].message.endswith("hello\n")


def test_the_tail_is_the_last_bytes() -> None:
    tail = Tail()
    for number in range(1000):
        tail.add([LogEvent(1, f"line {number}\n")])
    assert len(tail.bytes()) == LOG_TAIL_BYTES
    assert tail.bytes().endswith(b"line 998\nline 999\n")
    tail.clear()
    assert tail.bytes() == b""


def test_figures_of_the_platforms_lines() -> None:
    assert timestamp(1700000000007) == "2023-11-14T22:13:20.007Z"
    assert [billed(1.0, None), billed(1.01, None), billed(1.5, 2.4)] == [1, 2, 4]
