"""Items as Ion: what is written is read again as it was, by Amazon's own reader."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.services.dynamodb import ion, values

NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=4, min_value=-(10**20), max_value=10**20).map(str)
SCALARS = st.one_of(
    st.builds(lambda text: {"S": text}, st.text(max_size=20)),
    st.builds(lambda number: {"N": number}, NUMBERS),
    st.builds(lambda data: {"B": data}, st.binary(max_size=10)),
    st.builds(lambda truth: {"BOOL": truth}, st.booleans()),
    st.just({"NULL": True}),
    st.builds(lambda texts: {"SS": sorted(texts)}, st.sets(st.text(min_size=1, max_size=5), min_size=1, max_size=3)),
    st.builds(lambda data: {"BS": sorted(data)}, st.sets(st.binary(min_size=1, max_size=5), min_size=1, max_size=3)),
)
NAMES = st.text(min_size=1, max_size=8)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.builds(lambda parts: {"L": parts}, st.lists(inner, max_size=3))
        | st.builds(lambda parts: {"M": parts}, st.dictionaries(NAMES, inner, max_size=3))
    ),
    max_leaves=6,
)


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_what_is_written_is_read_again(item: dict[str, Any]) -> None:
    stored, size = values.check_item(item)
    stored = values.load(values.dump(stored))
    line = ion.write({"Item": ion.item(stored)})
    assert line.startswith(b"$ion_1_0 {Item:{")
    assert line.count(b"\n") == 1
    again, size_again = values.check_item(ion.read(line.decode()))
    assert (values.load(values.dump(again)), size_again) == (stored, size)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("103", "103."),
        ("600", "6d2"),
        ("-2000", "-2d3"),
        ("0", "0."),
        ("1.5", "1.5"),
        ("-0.001", "-0.001"),
        ("1E+100", "1d100"),
        ("1E-130", "1d-130"),
        ("12345678901234567890123456789012345678", "12345678901234567890123456789012345678."),
    ],
)
def test_numbers_are_decimals(number: str, text: str) -> None:
    assert ion.number(number) == text


def test_the_example_of_the_documentation() -> None:
    line = (
        '$ion_1_0 {Item:{Authors:$dynamodb_SS::["Author1","Author2"],Id:103.,InPublication:false,PageCount:6d2,'
        "Cover:{{AQ==}},Editions:[1.,\"x\",null],'a b':{x:1.5}}}"
    )
    item, _ = values.check_item(ion.read(line))
    assert ion.write({"Item": ion.item(values.load(values.dump(item)))}).decode() == line + "\n"
    assert item["Cover"]["B"] == b64encode(b"\x01").decode()


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{",
        "[1]",
        "{Item:1}",
        "{Other:{}}",
        '{"Item":{a:2020-01-01T}}',
        "{Item:{a:symbol}}",
        "{Item:{a:1e0}}",
        "{Item:{a:$dynamodb_SS::[1.]}}",
        "{Item:{a:$dynamodb_XS::[1.]}}",
        "{Item:{a:" + "[" * 100_000 + "}}",
    ],
)
def test_what_is_no_item(line: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        ion.read(line)
