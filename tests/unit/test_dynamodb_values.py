"""Attribute values: checks with AWS's words, sizes, equality, order."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.kernel.errors import AWSError
from pileus.services.dynamodb import items, values
from pileus.services.dynamodb.items import Stored

scalars = st.one_of(
    st.text(max_size=5).map(lambda text: {"S": text}),
    st.integers(-1000, 1000).map(lambda number: {"N": str(number)}),
    st.binary(max_size=5).map(lambda data: {"B": data}),
    st.booleans().map(lambda flag: {"BOOL": flag}),
    st.just({"NULL": True}),
    st.sets(st.text(max_size=3), min_size=1, max_size=3).map(lambda texts: {"SS": list(texts)}),
    st.sets(st.integers(0, 9), min_size=1, max_size=3).map(lambda found: {"NS": [str(each) for each in found]}),
    st.sets(st.binary(max_size=3), min_size=1, max_size=3).map(lambda blobs: {"BS": list(blobs)}),
)
attribute_values: st.SearchStrategy[dict[str, Any]] = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda found: {"L": found}),
        st.dictionaries(st.text(max_size=3), inner, max_size=3).map(lambda found: {"M": found}),
    ),
    max_leaves=8,
)
request_items = st.dictionaries(st.text(min_size=1, max_size=5), attribute_values, max_size=4)


def nested(levels: int, value: dict[str, Any]) -> dict[str, Any]:
    for _ in range(levels):
        value = {"L": [value]}
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({}, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"),
        (None, "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"),
        (
            {"S": "a", "N": "1"},
            "Supplied AttributeValue has more than one datatypes set, "
            "must contain exactly one of the supported datatypes",
        ),
        (
            {"NULL": False},
            "One or more parameter values were invalid: Null attribute value types must have the value of true",
        ),
        ({"SS": []}, "One or more parameter values were invalid: An string set  may not be empty"),
        ({"NS": []}, "One or more parameter values were invalid: An number set  may not be empty"),
        ({"BS": []}, "One or more parameter values were invalid: Binary sets should not be empty"),
        (
            {"SS": ["a", "b", "a"]},
            "One or more parameter values were invalid: Input collection [a, b, a] contains duplicates.",
        ),
        ({"NS": ["1", "1.0"]}, "Input collection contains duplicates"),
        (
            {"BS": [b"a", b"a"]},
            "One or more parameter values were invalid: Input collection [YQ==, YQ==]of type BS contains duplicates.",
        ),
        ({"N": "one"}, "The parameter cannot be converted to a numeric value: one"),
        ({"L": [{"M": {"a": {"NS": ["x"]}}}]}, "The parameter cannot be converted to a numeric value: x"),
        (
            nested(33, {"S": "deep"}),
            "Nesting Levels have exceeded supported limits: "
            "Attributes in the item have nested levels beyond supported limit",
        ),
    ],
)
def test_refused(value: Any, message: str) -> None:
    with pytest.raises(AWSError) as caught:
        values.check_item({"a": value})
    assert (caught.value.code, caught.value.message) == ("ValidationException", message)


def test_what_is_allowed() -> None:
    item = {
        "empty": {"S": ""},
        "none": {"B": b""},
        "members": {"SS": [""]},
        "list": {"L": []},
        "map": {"M": {"": {"S": ""}}},
        "deep": nested(32, {"S": "x"}),
    }
    checked, _ = values.check_item(item)
    assert checked == {**item, "none": {"B": ""}}


@pytest.mark.parametrize(
    ("item", "size"),
    [
        ({"id": {"S": "Fred"}}, 6),
        ({"ключ": {"S": "é"}}, 10),
        ({"n": {"N": "123"}}, 4),
        ({"b": {"B": b"foobar"}}, 7),
        ({"t": {"BOOL": False}}, 2),
        ({"t": {"NULL": True}}, 2),
        ({"l": {"L": [{"S": "a"}, {"N": "1"}]}}, 1 + 3 + 2 + 1 + 2),
        ({"m": {"M": {"ab": {"S": "cd"}}}}, 1 + 3 + 1 + 2 + 2),
        ({"s": {"SS": ["a", "bc"]}}, 4),
        ({"s": {"BS": [b"a", b"bc"]}}, 4),
        ({"s": {"NS": ["1", "22"]}}, 5),
    ],
)
def test_size(item: dict[str, Any], size: int) -> None:
    checked, counted = values.check_item(item)
    assert counted == size
    assert values.item_size(checked) == size


@given(request_items)
def test_a_stored_item_comes_back(item: dict[str, Any]) -> None:
    checked, size = values.check_item(item)
    stored = Stored(items.encode(checked, size))
    assert stored.item() == checked
    assert stored.size == size == values.item_size(checked)
    assert values.plain(stored.json) == item
    assert orjson.loads(stored.json) == checked


@given(attribute_values, attribute_values)
def test_equality_is_that_of_python_with_sets_as_sets(left: dict[str, Any], right: dict[str, Any]) -> None:
    def model(value: dict[str, Any]) -> Any:
        ((kind, content),) = value.items()
        if kind in ("SS", "NS", "BS"):
            return kind, frozenset(content)
        if kind == "L":
            return kind, tuple(map(model, content))
        if kind == "M":
            return kind, tuple(sorted((name, model(each)) for name, each in content.items()))
        return kind, content

    one, other = values.check_value(left)[0], values.check_value(right)[0]
    assert values.equal(one, other) == (model(left) == model(right))
    assert values.equal(one, one)


@given(st.text(), st.text())
def test_strings_have_the_order_of_their_bytes(left: str, right: str) -> None:
    order = values.compare({"S": left}, {"S": right})
    assert order is not None
    assert (order < 0) == (left.encode() < right.encode())


def test_types_that_have_no_order() -> None:
    assert values.compare({"S": "1"}, {"N": "1"}) is None
    assert values.compare({"BOOL": True}, {"BOOL": False}) is None
    assert values.compare({"B": "/w=="}, {"B": "AA=="}) == 1
