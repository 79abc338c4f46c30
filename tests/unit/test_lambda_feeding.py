"""What feeds are made of: answers of functions, windows, filters, the lineage of events."""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson
import pytest

from pileus.kernel.errors import AWSError
from pileus.services.lambda_ import lineage
from pileus.services.lambda_.feeding import batches, windows
from pileus.services.lambda_.feeding.filters import check_filters, compile_filter
from pileus.services.lambda_.names import Target

HERE = Target("000000000000", "us-east-1", "f", "")
THERE = Target("000000000000", "us-east-1", "g", "")


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        (b"", []),
        (b"null", []),
        (b"{}", []),
        (b"[]", []),
        (b'""', []),
        (b'{"batchItemFailures":[]}', []),
        (b'{"batchItemFailures":null}', []),
        (b'{"batchItemFailures":[{"itemIdentifier":"b"}]}', ["b"]),
        (b'{"batchItemFailures":[{"itemIdentifier":"c"},{"itemIdentifier":"a"}]}', ["c", "a"]),
        (b'{"batchItemFailures":[{"itemIdentifier":null}]}', None),
        (b'{"batchItemFailures":[{"itemIdentifier":""}]}', None),
        (b'{"batchItemFailures":[{"itemIdentifier":"unknown"}]}', None),
        (b'{"batchItemFailures":[{"foo":"a"}]}', None),
        (b'{"batchItemFailures":[{"foo":null}]}', None),
        (b'{"batchItemFailures":"a"}', None),
        (b"{not json", None),
    ],
)
def test_what_functions_report(answer: bytes, failed: list[str] | None) -> None:
    assert batches.failed_items(answer, ["a", "b", "c"]) == failed


def test_an_event_has_its_records_and_what_else_there_is() -> None:
    assert batches.event([b"1", b"2"]) == b'{"Records":[1,2]}'
    assert orjson.loads(batches.event([], state={})) == {"Records": [], "state": {}}


class Timed(NamedTuple):
    arrived: float


def test_records_lie_in_the_window_of_their_time() -> None:
    records = [Timed(10), Timed(19), Timed(20), Timed(41)]
    assert windows.by_window(records, 10) == [(10, records[:2]), (20, records[2:3]), (40, records[3:])]


@pytest.mark.parametrize("answer", [b"null", b"{}", b'{"state":null}', b'"x"', b"{"])
def test_an_answer_without_a_state_is_a_failure(answer: bytes) -> None:
    assert windows.answer_of(answer) is None


@pytest.mark.parametrize(
    ("pattern", "body", "passes"),
    [
        ({"body": {"n": [{"numeric": [">", 100]}]}}, '{"n": 105}', True),
        ({"body": {"n": [{"numeric": [">", 100]}]}}, '{"n": 100}', False),
        ({"body": {"n": [{"numeric": [">", 100]}]}}, "a text", False),
        ({"body": {"n": [{"exists": False}]}}, "a text", False),
        ({"body": ["a text"]}, "a text", True),
        ({"body": ["a text"]}, '{"n": 1}', False),
        ({"messageAttributes": {"k": {"stringValue": ["v"]}}}, "anything", True),
    ],
)
def test_filters_look_into_bodies(pattern: dict[str, Any], body: str, passes: bool) -> None:
    record = {"body": body, "messageAttributes": {"k": {"stringValue": "v"}}}
    assert compile_filter([orjson.dumps(pattern).decode()], inner="body")(record) is passes


@pytest.mark.parametrize("pattern", [None, "", "simple string", '["a"]', '[{"eventName": ["INSERT"=123}]', '{"a": 1}'])
def test_patterns_that_are_none(pattern: str | None) -> None:
    with pytest.raises(AWSError) as failure:
        check_filters([pattern])
    assert failure.value.message == "Invalid filter pattern definition."


def test_lineage_counts_each_function_on_the_way() -> None:
    header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"
    for _ in range(3):
        header = lineage.with_one_more(header, HERE)
    header = lineage.with_one_more(header, THERE)
    assert header.startswith("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1;Lineage=")
    assert (lineage.times(header, HERE), lineage.times(header, THERE)) == (3, 1)


def test_what_is_handed_over_together_counts_as_the_oldest_of_it() -> None:
    once = lineage.with_one_more("Root=1-a", HERE)
    more = lineage.with_one_more(lineage.with_one_more(lineage.with_one_more("Root=1-b", HERE), HERE), THERE)
    both = lineage.merged(["", once, more])
    assert both.startswith("Root=1-a;")
    assert (lineage.times(both, HERE), lineage.times(both, THERE)) == (2, 1)


@pytest.mark.parametrize("header", ["", "Root=1-a", "Lineage=", "Lineage=x", "Lineage=1:a:b", "Lineage=::9", "\x00"])
def test_strange_headers_count_nothing(header: str) -> None:
    assert lineage.times(header, HERE) == 0
    assert lineage.times(lineage.with_one_more(header, HERE), HERE) == 1
