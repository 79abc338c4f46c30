"""DynamoDB's numbers: canonical form, limits, order, arithmetic, size."""

from __future__ import annotations

from decimal import Context, Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pileus.kernel.errors import AWSError
from pileus.services.dynamodb import numbers

_EXACT = Context(prec=600, Emax=2000, Emin=-2000)


@st.composite
def decimals(draw: st.DrawFn) -> Decimal:
    """Any number that DynamoDB can hold."""
    digits = draw(st.integers(0, 10**38 - 1))
    length = len(str(digits))
    exponent = draw(st.integers(-130 - length + 1, 125 - length + 1))
    sign = draw(st.sampled_from((1, -1)))
    return _EXACT.scaleb(Decimal(sign * digits), exponent) if digits else Decimal(0)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("0", "0"),
        ("-0", "0"),
        ("0.000", "0"),
        ("0e99999999999999999999", "0"),
        ("007", "7"),
        ("+7", "7"),
        ("1.", "1"),
        (".5", "0.5"),
        ("-0.50", "-0.5"),
        ("1e2", "100"),
        ("1E-3", "0.001"),
        ("12.3e1", "123"),
        ("1200", "1200"),
        ("9" * 38, "9" * 38),
        ("1e125", "1" + "0" * 125),
        ("1e-130", "0." + "0" * 129 + "1"),
        ("123456789.123456789e10", "1234567891234567890"),
        ("100000000000000000000000000000000000000000", "1" + "0" * 41),
    ],
)
def test_canonical(text: str, canonical: str) -> None:
    assert numbers.canonical(text) == canonical


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The parameter cannot be converted to a numeric value"),
        ("abc", "The parameter cannot be converted to a numeric value: abc"),
        (" 1", "The parameter cannot be converted to a numeric value:  1"),
        ("1_000", "The parameter cannot be converted to a numeric value: 1_000"),
        ("0x10", "The parameter cannot be converted to a numeric value: 0x10"),
        ("NaN", "The parameter cannot be converted to a numeric value: NaN"),
        ("Infinity", "The parameter cannot be converted to a numeric value: Infinity"),
        (".", "The parameter cannot be converted to a numeric value: ."),
        ("1e", "The parameter cannot be converted to a numeric value: 1e"),
        ("١", "The parameter cannot be converted to a numeric value: ١"),
        ("1" + "0" * 37 + "1", "Attempting to store more than 38 significant digits in a Number"),
        (
            "1e126",
            "Number overflow. Attempting to store a number with magnitude larger than supported range",
        ),
        (
            "-1e999999999999999999999999",
            "Number overflow. Attempting to store a number with magnitude larger than supported range",
        ),
        (
            "1e-131",
            "Number underflow. Attempting to store a number with magnitude smaller than supported range",
        ),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(AWSError) as caught:
        numbers.canonical(text)
    assert (caught.value.code, caught.value.message) == ("ValidationException", message)


@given(decimals())
@example(Decimal("1E+125"))
@example(Decimal("-1E-130"))
def test_canonical_keeps_the_value(value: Decimal) -> None:
    text = numbers.canonical(str(value))
    assert Decimal(text) == value
    assert "e" not in text.lower()
    assert numbers.canonical(text) == text
    if "." in text:
        assert not text.endswith(("0", "."))


@given(decimals(), decimals())
def test_equal_values_have_one_text(left: Decimal, right: Decimal) -> None:
    one, other = numbers.canonical(str(left)), numbers.canonical(str(right))
    assert (one == other) == (left == right)


@given(decimals(), decimals())
@example(Decimal("-1"), Decimal("-1.5"))
@example(Decimal("10"), Decimal("1"))
def test_ordered_bytes_sort_as_the_values(left: Decimal, right: Decimal) -> None:
    one, other = numbers.canonical(str(left)), numbers.canonical(str(right))
    assert (numbers.ordered(one) < numbers.ordered(other)) == (left < right)
    assert numbers.compare(one, other) == (left > right) - (left < right)


@given(decimals(), decimals())
def test_no_ordered_bytes_begin_another(left: Decimal, right: Decimal) -> None:
    one, other = numbers.ordered(numbers.canonical(str(left))), numbers.ordered(numbers.canonical(str(right)))
    assert one == other or not other.startswith(one)


@given(decimals(), decimals())
@example(Decimal("1E+125"), Decimal("1E-130"))
def test_arithmetic_is_exact_or_refused(left: Decimal, right: Decimal) -> None:
    one, other = numbers.canonical(str(left)), numbers.canonical(str(right))
    for run, result in ((numbers.add, _EXACT.add(left, right)), (numbers.subtract, _EXACT.subtract(left, right))):
        try:
            text = run(one, other)
        except AWSError:
            digits = result.normalize(_EXACT).as_tuple().digits
            assert len(digits) > 38 or result.adjusted() > 125 or result.adjusted() < -130
        else:
            assert Decimal(text) == result


@pytest.mark.parametrize(
    ("number", "size"),
    [("0", 1), ("1", 2), ("12", 2), ("123", 3), ("1200", 2), ("-1", 3), ("1.2", 3), ("0.01", 2), ("9" * 38, 20)],
)
def test_size(number: str, size: int) -> None:
    assert numbers.size(number) == size
