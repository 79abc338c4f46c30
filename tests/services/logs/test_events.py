"""Log events: in and out, in order, page by page, searched."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pileus.kernel.clock import SystemClock
from pileus.services.logs import chunks, keys
from pileus.store.contract import Reader, Transaction
from pileus.store.sqlite import open_store

DAY_MS = 24 * 3600 * 1000


def caught(call: Callable[..., Any], **request: Any) -> tuple[str, str]:
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError) as failure:
        call(**request)
    return failure.value.response["Error"]["Code"], failure.value.response["Error"]["Message"]


@pytest.fixture
def logs(aws: Any) -> Any:
    client = aws.client("logs")
    client.create_log_group(logGroupName="g")
    for name in ("s", "t"):
        client.create_log_stream(logGroupName="g", logStreamName=name)
    return client


def now_ms() -> int:
    return int(SystemClock().time() * 1000)


def put(logs: Any, *events: tuple[int, str], stream: str = "s") -> dict[str, Any]:
    given = [{"timestamp": time_ms, "message": text} for time_ms, text in events]
    answer: dict[str, Any] = logs.put_log_events(logGroupName="g", logStreamName=stream, logEvents=given)
    return answer


def get(logs: Any, **request: Any) -> dict[str, Any]:
    answer: dict[str, Any] = logs.get_log_events(logGroupName="g", logStreamName="s", **request)
    return answer


def texts(answer: dict[str, Any]) -> list[str]:
    return [event["message"] for event in answer["events"]]


def test_events_come_back_as_they_were(logs: Any) -> None:
    now = now_ms()
    answer = put(logs, (now, "one\n"), (now, "two"), (now + 1, "trois é \u2028"))
    assert len(answer["nextSequenceToken"]) == 56
    assert "rejectedLogEventsInfo" not in answer
    found = get(logs, startFromHead=True)
    assert texts(found) == ["one\n", "two", "trois é \u2028"]
    assert found["events"][0]["timestamp"] == now
    assert found["events"][0]["ingestionTime"] >= now


def test_paging_there_and_back(logs: Any) -> None:
    now = now_ms()
    put(logs, *((now + number, str(number)) for number in range(10)))
    first = get(logs, startFromHead=True, limit=4)
    assert texts(first) == list("0123")
    second = get(logs, nextToken=first["nextForwardToken"], limit=4)
    assert texts(second) == list("4567")
    assert texts(get(logs, nextToken=second["nextBackwardToken"], limit=4)) == list("0123")
    third = get(logs, nextToken=second["nextForwardToken"], limit=4)
    assert texts(third) == list("89")
    end = get(logs, nextToken=third["nextForwardToken"])
    # "If you have reached the end of the stream, it returns the same token you passed in."
    assert (texts(end), end["nextForwardToken"]) == ([], third["nextForwardToken"])
    put(logs, (now + 20, "later"))
    assert texts(get(logs, nextToken=end["nextForwardToken"])) == ["later"]
    # Without a direction the latest come, in order of time all the same.
    latest = get(logs, limit=3)
    assert texts(latest) == ["8", "9", "later"]
    assert texts(get(logs, nextToken=latest["nextBackwardToken"], limit=3)) == ["5", "6", "7"]


def test_time_windows(logs: Any) -> None:
    now = now_ms()
    put(logs, (now, "a"), (now + 1, "b"), (now + 2, "c"))
    assert texts(get(logs, startTime=now + 1)) == ["b", "c"]
    # The end is not part of it here, and is in FilterLogEvents.
    assert texts(get(logs, endTime=now + 2)) == ["a", "b"]
    assert texts(logs.filter_log_events(logGroupName="g", startTime=now + 1, endTime=now + 2)) == ["b", "c"]


def test_pages_end_at_a_mebibyte(logs: Any) -> None:
    now = now_ms()
    for number in range(3):
        put(logs, (now + number, "x" * 600_000))
    assert len(get(logs, startFromHead=True)["events"]) == 1
    assert sum(len(page["events"]) for page in logs.get_paginator("filter_log_events").paginate(logGroupName="g")) == 3


def test_what_is_refused(logs: Any) -> None:
    now = now_ms()
    event = {"timestamp": now, "message": "m"}
    no_stream = ("ResourceNotFoundException", "The specified log stream does not exist.")
    assert caught(logs.put_log_events, logGroupName="g", logStreamName="no", logEvents=[event]) == no_stream
    at = {"logGroupName": "g", "logStreamName": "s"}
    backwards = [event, {"timestamp": now - 1, "message": "m"}]
    assert caught(logs.put_log_events, **at, logEvents=backwards) == (
        "InvalidParameterException",
        "Log events in a single PutLogEvents request must be in chronological order.",
    )
    wide = [{"timestamp": now - DAY_MS - 1, "message": "m"}, event]
    assert caught(logs.put_log_events, **at, logEvents=wide) == (
        "InvalidParameterException",
        "The batch of log events in a single PutLogEvents request cannot span more than 24 hours.",
    )
    large = [{"timestamp": now, "message": "x" * 1_048_551}]
    assert caught(logs.put_log_events, **at, logEvents=large) == (
        "InvalidParameterException",
        "Upload too large: 1048577 bytes exceeds limit of 1048576",
    )
    put(logs, (now, "x" * 1_048_550))
    bad_token = ("InvalidParameterException", "The specified nextToken is invalid.")
    assert caught(logs.get_log_events, **at, nextToken="bogus") == bad_token
    assert caught(logs.filter_log_events, logGroupName="g", nextToken="bogus") == bad_token


def test_too_old_and_too_new_events_are_told_and_left_out(logs: Any) -> None:
    now = now_ms()
    answer = put(logs, (now - 14 * DAY_MS - 60_000, "old"), (now - 14 * DAY_MS + 60_000, "kept"))
    assert answer["rejectedLogEventsInfo"] == {"tooOldLogEventEndIndex": 1}
    answer = put(logs, (now, "kept too"), (now + 2 * 3600 * 1000 + 60_000, "new"))
    assert answer["rejectedLogEventsInfo"] == {"tooNewLogEventStartIndex": 1}
    logs.put_retention_policy(logGroupName="g", retentionInDays=3)
    answer = put(logs, (now - 4 * DAY_MS, "expired"))
    assert answer["rejectedLogEventsInfo"] == {"expiredLogEventEndIndex": 1}
    assert texts(get(logs)) == ["kept too"]
    logs.delete_retention_policy(logGroupName="g")


def test_searching(logs: Any) -> None:
    now = now_ms()
    put(logs, (now, "ERROR one"), (now + 2, "fine"), (now + 4, "ERROR two"))
    put(logs, (now + 1, "ERROR three"), (now + 3, '{"level": "error", "n": 4}'), stream="t")
    found = logs.filter_log_events(logGroupName="g", filterPattern="ERROR")
    assert texts(found) == ["ERROR one", "ERROR three", "ERROR two"]
    assert [event["logStreamName"] for event in found["events"]] == ["s", "t", "s"]
    assert len({event["eventId"] for event in found["events"]}) == 3
    assert found["searchedLogStreams"] == []
    assert texts(logs.filter_log_events(logGroupName="g", filterPattern="ERROR", logStreamNames=["t"])) == [
        "ERROR three"
    ]
    assert texts(logs.filter_log_events(logGroupName="g", filterPattern="{ $.n > 3 }")) == [
        '{"level": "error", "n": 4}'
    ]
    first = logs.filter_log_events(logGroupName="g", filterPattern="ERROR", limit=2)
    rest = logs.filter_log_events(logGroupName="g", filterPattern="ERROR", nextToken=first["nextToken"])
    assert texts(first) + texts(rest) == ["ERROR one", "ERROR three", "ERROR two"]
    assert caught(logs.filter_log_events, logGroupName="g", filterPattern="{ $.n }")[0] == "InvalidParameterException"
    assert caught(logs.filter_log_events, logGroupName="h") == (
        "ResourceNotFoundException",
        "The specified log group does not exist.",
    )


PUTS = st.lists(
    st.lists(st.integers(0, 3 * chunks.SPAN_MS), min_size=1, max_size=6).map(sorted), min_size=1, max_size=8
)


@given(PUTS, st.data())
@settings(max_examples=100, deadline=None)
async def test_chunks_are_read_in_order_both_ways(puts: list[list[int]], data: st.DataObject) -> None:
    """Against the plain model: all events sorted by time, those of one time in the order in which they came."""
    store = open_store(None, "memory")
    model: list[tuple[int, str]] = []
    sequence = 0
    for number, times in enumerate(puts):
        messages = [f"{number}.{index}" for index in range(len(times))]
        model += zip(times, messages, strict=True)
        stored = chunks.encode(1, times, messages)
        first = sequence
        sequence += len(stored)

        async def write(tx: Transaction, stored: list[tuple[int, bytes]] = stored, first: int = first) -> None:
            for offset, (first_ms, value) in enumerate(stored):
                tx.put(keys.chunk("stream", first_ms, first + offset), value)

        await store.write(write)
    model.sort(key=lambda event: event[0])

    async def read(tx: Reader) -> tuple[list[chunks.Event], list[chunks.Event]]:
        up = [event async for event in chunks.forwards(tx, "stream", -1)]
        down = [event async for event in chunks.backwards(tx, "stream", 1 << 200)]
        return up, down

    up, down = await store.read(read)
    assert [(event.timestamp_ms, event.message) for event in up] == model
    assert down == up[::-1]
    at = data.draw(st.sampled_from(up)).position

    async def read_from(tx: Reader) -> tuple[list[chunks.Event], list[chunks.Event]]:
        up = [event async for event in chunks.forwards(tx, "stream", at)]
        down = [event async for event in chunks.backwards(tx, "stream", at)]
        return up, down

    above, below = await store.read(read_from)
    assert [*below[::-1], next(e for e in up if e.position == at), *above] == up
    await store.close()


def test_many_writers_at_once_lose_nothing(logs: Any, aws: Any) -> None:
    from concurrent.futures import ThreadPoolExecutor

    now = now_ms()
    seed = random.Random(7)
    batches = [[(now + seed.randrange(5000), f"{batch}.{n}") for n in range(20)] for batch in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda batch: put(logs, *sorted(batch)), batches))
    found = [
        text for page in logs.get_paginator("filter_log_events").paginate(logGroupName="g") for text in texts(page)
    ]
    assert sorted(found) == sorted(text for batch in batches for _, text in batch)
