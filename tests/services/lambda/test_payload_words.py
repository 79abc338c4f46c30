"""What Lambda says of payloads that are no JSON: Jackson's words, as AWS answers them."""

# ruff: noqa: E501 -- messages as AWS writes them

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pileus.kernel.errors import AWSError
from pileus.services.lambda_.payloads import check_json

HEAD = "Could not parse request body into json: Could not parse payload into json: "
VALUES = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
PLACE = "[Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); line: {}, column: {}]"
SOURCE = f"\n at {PLACE}"


@pytest.mark.parametrize(
    ("payload", "complaint", "line", "column"),
    [
        (b"n\x87r\x9e\xe9\xb5\xd7I\xee\x9bmt", "Invalid UTF-8 start byte 0x87", 1, 3),
        (b"\x99\xeb,j\x07", f"Unexpected character ((CTRL-CHAR, code 153)): expected a valid value {VALUES}", 1, 1),
        (b"hello", f"Unrecognized token 'hello': was expecting {VALUES}", 1, 6),
        (b'{"a":\n foo}', f"Unrecognized token 'foo': was expecting {VALUES}", 2, 5),
        (
            b"{",
            f"Unexpected end-of-input: expected close marker for Object (start marker at {PLACE.format(1, 1)})",
            1,
            2,
        ),
        (
            b'[1,\n {"a": 2',
            f"Unexpected end-of-input: expected close marker for Object (start marker at {PLACE.format(2, 2)})",
            2,
            9,
        ),
        (b'{"a":1,', "Unexpected end-of-input within/between Object entries", 1, 8),
        (b'{"a"', "Unexpected end-of-input within/between Object entries", 1, 5),
        (b"[1, ", "Unexpected end-of-input within/between Array entries", 1, 5),
        (b'"abc', "Unexpected end-of-input: was expecting closing quote for a string value", 1, 5),
        (b'{"ab', "Unexpected end-of-input in field name", 1, 5),
        (b"{'a': 1}", "Unexpected character (''' (code 39)): was expecting double-quote to start field name", 1, 2),
        (b'{"a":1,}', "Unexpected character ('}' (code 125)): was expecting double-quote to start field name", 1, 8),
        (
            b'{"a" 1}',
            "Unexpected character ('1' (code 49)): was expecting a colon to separate field name and value",
            1,
            6,
        ),
        (
            b'{"a":1 "b":2}',
            "Unexpected character ('\"' (code 34)): was expecting comma to separate Object entries",
            1,
            8,
        ),
        (b'["[", 1 2]', "Unexpected character ('2' (code 50)): was expecting comma to separate Array entries", 1, 9),
        (
            b'["a\nb"]',
            "Illegal unquoted character ((CTRL-CHAR, code 10)): has to be escaped using backslash to be included in string value",
            1,
            4,
        ),
        (b'["\\x"]', "Unrecognized character escape 'x' (code 120)", 1, 4),
        (
            b'{"a": [1}',
            f"Unexpected close marker '}}': expected ']' (for Array starting at {PLACE.format(1, 7)})",
            1,
            9,
        ),
        (b"[1,]", f"Unexpected character (']' (code 93)): expected a valid value {VALUES}", 1, 4),
    ],
)
def test_the_complaint(payload: bytes, complaint: str, line: int, column: int) -> None:
    with pytest.raises(AWSError) as caught:
        check_json(payload)
    assert caught.value.code == "InvalidRequestContentException"
    assert caught.value.message == HEAD + complaint + SOURCE.format(line, column)


TEXT = st.text(st.characters(exclude_categories=["Cs"]))
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers()


@given(st.recursive(st.none() | st.booleans() | NUMBERS | TEXT, st.lists))
def test_json_is_taken(value: object) -> None:
    check_json(json.dumps(value, ensure_ascii=False).encode())


@pytest.mark.parametrize("payload", [b"NaN", b'{"a": Infinity}', b"-Infinity"])
def test_what_only_python_takes_is_refused(payload: bytes) -> None:
    with pytest.raises(AWSError, match="Non-standard token"):
        check_json(payload)


@given(st.binary())
def test_anything_else_is_refused_and_never_worse(payload: bytes) -> None:
    try:
        json.loads(payload.decode())
        valid = True
    except (ValueError, RecursionError):
        valid = False
    try:
        check_json(payload)
    except AWSError as error:
        assert error.code == "InvalidRequestContentException"  # noqa: PT017 -- either outcome is right
    else:
        assert valid


def test_nesting_without_end_is_refused() -> None:
    with pytest.raises(AWSError, match="Document nesting depth"):
        check_json(b"[" * 1_000_000)


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (b"{}}", "Unexpected character ('}' (code 125)): expected a valid value " + VALUES),
        (b"{", "Unexpected end-of-input"),
    ],
)
def test_what_is_open_far_behind_is_not_looked_for(end: bytes, said: str) -> None:
    """In six megabytes of small objects that took ten seconds, in which nobody else was served."""
    payload = b"[" + b"{}," * 2_000_000 + end
    column = len(payload) + (b"}}" not in end)
    with pytest.raises(AWSError) as caught:
        check_json(payload)
    assert caught.value.message == HEAD + said + SOURCE.format(1, column)
