"""What DAX's clients put on the wire: numbers that sort, CBOR without lengths, expressions as trees."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pileus.services.dax.protocol import cbor, ordered_number
from pileus.services.dax.protocol.cbor import Malformed, Scanner
from pileus.services.dax.protocol.expressions import Expressions

numbers = st.builds(
    lambda digits, exponent: Decimal(digits).scaleb(exponent),
    st.integers(-(10**30), 10**30),
    st.integers(-90, 60),
)


@given(numbers, numbers)
@settings(max_examples=100, deadline=None)
def test_numbers_sort_as_their_bytes(one: Decimal, other: Decimal) -> None:
    first, second = ordered_number.encode(one), ordered_number.encode(other)
    assert (first < second) == (one < other)
    assert ordered_number.decode(first) == one


@pytest.mark.parametrize("data", [b"", b"\x00", b"\xff", b"\xc1", b"\xc1\xff\xff", b"\xfe\x00"])
def test_what_is_no_number(data: bytes) -> None:
    with pytest.raises(Malformed):
        ordered_number.decode(data)


def test_a_value_cut_anywhere_goes_on() -> None:
    value = {"a": [1, -2, b"x" * 300, None, True], "b": cbor2.CBORTag(3321, ["s"]), "c": Decimal("1.5")}
    data = cbor.encode(value)
    for cut in range(len(data)):
        scanner = Scanner()
        assert not scanner.scan(data[:cut])
        assert scanner.scan(data + b"behind")
        assert scanner.at == len(data)
    assert cbor.value_at(b"\xbf\x01\x02\xff", 0) == ({1: 2}, 4)


@pytest.mark.parametrize(
    "data",
    [b"\x81" * 5000, cbor2.dumps(cbor2.CBORTag(35, "(a+)+")), cbor2.dumps(cbor2.CBORTag(29, 0)), b"\xff", b"\x1c"],
)
def test_hostile_values_are_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        cbor.value_at(data, 0)


def test_expressions_become_text() -> None:
    path = [18, "v"]
    tree = [6, [0, path, [17, 0]], [11, [18, "l", cbor2.CBORTag(3324, 2)]]]
    expressions = Expressions()
    expressions.condition("ConditionExpression", cbor.encode([1, tree, ["x"]]))
    members = expressions.members
    assert members["ExpressionAttributeValues"] == {":v0": {"S": "x"}}
    assert members["ExpressionAttributeNames"] == {"#n0": "v", "#n1": "l"}
    assert "#n0 = :v0" in members["ConditionExpression"]
    assert "#n1[2]" in members["ConditionExpression"]
    for broken in ([1, [99, path], []], [1, [0, path, [17, 5]], []], [2, path, []], [1, []], 7):
        with pytest.raises(Malformed):
            Expressions().condition("ConditionExpression", cbor.encode(broken))


@given(
    st.integers(0, 1 << 65)
    | st.text(max_size=300)
    | st.binary(max_size=300)
    | st.integers(max_value=-1)
    | st.none()
    | st.lists(st.integers(0, 30), max_size=3)
)
@settings(deadline=None)
def test_a_small_value_is_read_as_the_decoder_reads_it(value: Any) -> None:
    data = cbor.encode(value)
    found = cbor.small_at(b"\x00" + data + b"\x00", 1)
    assert found is None or found == (value, 1 + len(data))
    if isinstance(value, str | bytes):
        small = len(value.encode() if isinstance(value, str) else value) < 256
    else:
        small = type(value) is int and 0 <= value < 1 << 64
    assert (found is not None) is small
    for cut in range(len(data)):
        assert cbor.small_at(data[:cut], 0) is None


def test_a_small_text_that_is_none_is_refused() -> None:
    with pytest.raises(Malformed):
        cbor.small_at(b"\x61\xff", 0)
