"""Expressions from strangers: whatever the text, there is a tree or an error in AWS's words, soon."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.kernel.errors import AWSError
from pileus.services.dynamodb.expressions import cache
from pileus.services.dynamodb.expressions.parameters import Expressions
from pileus.services.dynamodb.expressions.parser import parse_condition

pieces = st.sampled_from(
    """a b.c #n :v :w ( ) [ ] [0] , . = <> < >= + - AND OR NOT BETWEEN IN SET REMOVE ADD DELETE size attribute_exists
    contains begins_with if_not_exists list_append status 12 _ ' é""".split()  # noqa: SIM905 -- a list of them is long
)
texts = st.one_of(st.lists(pieces, max_size=25).map(" ".join), st.lists(pieces, max_size=25).map("".join), st.text())
ITEM: dict[str, Any] = {"a": {"N": "1"}, "b": {"M": {"c": {"L": [{"S": "x"}]}}}, "n": {"SS": ["x"]}}


@given(texts, st.sampled_from([{"N": "1"}, {"S": "x"}, {"SS": ["x"]}, {"L": []}, {"BOOL": True}]))
def test_any_text(text: str, value: dict[str, Any]) -> None:
    for member in ("ConditionExpression", "KeyConditionExpression", "UpdateExpression", "ProjectionExpression"):
        error = use(member, text, value)
        assert error is None or (error.code == "ValidationException" and error.message)


def use(member: str, text: str, value: dict[str, Any]) -> AWSError | None:
    """Take an expression through everything; what it was refused with, if it was."""
    request = {
        member: text,
        "ExpressionAttributeNames": {"#n": "n"},
        "ExpressionAttributeValues": {":v": value, ":w": {"N": "2"}},
    }
    try:
        parsed = Expressions(request)
        if member == "ConditionExpression":
            condition = parsed.condition(member)
            assert condition is not None
            assert condition.test(ITEM) in (True, False)
        elif member == "KeyConditionExpression":
            assert parsed.key_terms()
        elif member == "UpdateExpression":
            update = parsed.update()
            assert update is not None
            update.apply(ITEM, ITEM)
        else:
            projection = parsed.projection()
            assert projection is not None
            projection.pick(ITEM)
    except AWSError as error:
        return error
    return None


def test_long_texts_are_not_remembered() -> None:
    short = "a = :v"
    assert parse_condition("FilterExpression", short) is parse_condition("FilterExpression", short)
    long = short + " " * cache.CHARS_MAX
    assert parse_condition("FilterExpression", long) is not parse_condition("FilterExpression", long)


@pytest.mark.parametrize(
    "text", ["(" * 4096, "a" * 4096, "[" * 4096, "a." * 2048, "NOT " * 1024, "-" * 4096, " " * 4096]
)
def test_repetition(text: str) -> None:
    with pytest.raises(AWSError):
        parse_condition("FilterExpression", text)
