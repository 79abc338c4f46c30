"""Keys sort as the tuples they were made of, and come back whole."""

import contextlib
import math
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.store import keys

part = st.one_of(
    st.none(),
    st.binary(max_size=20),
    st.text(max_size=20),
    st.integers(),
    st.integers(min_value=-300, max_value=300),
    st.integers(min_value=-(1 << 2030), max_value=1 << 2030),
    st.floats(allow_nan=False),
    st.booleans(),
)
parts = st.lists(part, max_size=5).map(tuple)
RANK = {type(None): 0, bytes: 1, str: 2, int: 3, float: 4, bool: 5}


def order(values):
    """What Python's own comparison is made of, with a rank per type and -0.0 told from 0.0."""
    return tuple(
        (RANK[type(v)], () if v is None else (v, math.copysign(1, v)) if type(v) is float else v) for v in values
    )


@given(parts)
def test_a_key_comes_back_whole(values):
    back = keys.unpack(keys.pack(*values))
    assert back == values
    assert [type(v) for v in back] == [type(v) for v in values]


@given(parts, parts)
def test_keys_sort_as_tuples(left, right):
    assert (keys.pack(*left) < keys.pack(*right)) == (order(left) < order(right))


@given(parts, parts)
def test_a_key_is_its_parts_one_after_the_other(head, tail):
    prefix = keys.pack(*head)
    assert keys.pack_onto(prefix, *tail) == keys.pack(*head, *tail)
    assert keys.unpack(keys.pack(*head, *tail), len(prefix)) == tail


number = st.integers(min_value=0, max_value=(1 << 64) - 1)


@given(parts, number, number)
def test_two_numbers_at_the_end_are_read_back(head, first, second):
    prefix = keys.pack(*head)
    assert keys.unpack_numbers(keys.pack_onto(prefix, first, second), len(prefix)) == (first, second)


@given(parts, parts)
def test_prefix_range_holds_what_goes_on_and_nothing_else(head, other):
    start, end = keys.prefix_range(*head)
    inside = order(other)[: len(head)] == order(head) and len(other) > len(head)
    assert (start <= keys.pack(*other) < end) == inside


@given(
    st.text(alphabet="ab\x00\x7f߿\U0010ffff", max_size=4), st.text(alphabet="ab\x00\x7f߿\U0010ffff", max_size=4), parts
)
def test_text_range_holds_texts_that_begin_so(head, text, tail):
    prefix = keys.pack("s3", 1)
    start, end = keys.text_range(prefix, head)
    assert (start <= keys.pack("s3", 1, text, *tail) < end) == text.startswith(head)
    assert not start <= keys.pack("s3", 1, b"x") < end
    assert not start <= keys.pack("s3", 1, 7) < end


def test_after_is_the_next_key():
    key = keys.pack("a", 1)
    assert key < keys.after(key) <= keys.pack("a", 1, None)


# From the published test vectors of FoundationDB's tuple layer.
@pytest.mark.parametrize(
    ("values", "encoded"),
    [
        ((None,), "00"),
        ((b"foo\x00bar",), "01666f6f00ff62617200"),
        (("F\u00d4O\x00bar",), "0246c3944f00ff62617200"),
        ((0,), "14"),
        ((1,), "1501"),
        ((-1,), "13fe"),
        ((255,), "15ff"),
        ((256,), "160100"),
        ((-5551212,), "11ab4b93"),
        (((1 << 64) - 1,), "1cffffffffffffffff"),
        ((1 << 64,), "1d09010000000000000000"),
        ((-(1 << 64),), "0bf6fe" + 8 * "ff"),
        ((-42.0,), "213fbaffffffffffff"),
        ((False, True), "2627"),
    ],
)
def test_the_encoding_is_the_tuple_layers(values, encoded):
    assert keys.pack(*values).hex() == encoded


def test_subclasses_of_parts_count_as_what_they_are():
    class State(StrEnum):
        ACTIVE = "Active"

    class Code(int):
        pass

    assert keys.pack(State.ACTIVE, Code(7)) == keys.pack("Active", 7)


def test_infinities_bound_all_floats():
    ordered = [-math.inf, -1e300, -5e-324, -0.0, 0.0, 5e-324, 1e300, math.inf]
    packed = [keys.pack(number) for number in ordered]
    assert packed == sorted(packed)
    assert [keys.unpack(key)[0] for key in packed] == ordered


@pytest.mark.parametrize("value", [(1,), [1], {}, object(), bytearray(b"x")])
def test_other_types_are_refused(value):
    with pytest.raises(TypeError, match="a key is made of"):
        keys.pack(value)


def test_an_integer_too_large_is_refused():
    assert keys.unpack(keys.pack((1 << 2040) - 1)) == ((1 << 2040) - 1,)
    with pytest.raises(ValueError, match="255 bytes"):
        keys.pack(1 << 2040)


@given(st.binary(max_size=30))
def test_foreign_bytes_are_refused_with_a_value_error(data):
    with contextlib.suppress(ValueError):
        keys.unpack(data)


@pytest.mark.parametrize("text", ["01", "0261", "026100ff", "16ff", "1d", "1d09", "0b", "21ff", "03", "ff", "02ff00"])
def test_broken_keys_are_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011 -- undecodable text has Python's own wording
        keys.unpack(bytes.fromhex(text))
