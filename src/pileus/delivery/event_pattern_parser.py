"""From a pattern's text to what each field must be; errors in AWS's exact words.

Source: "Comparison operators for use in event patterns in Amazon EventBridge" of the EventBridge user guide, and the
messages of AWS's own open matching library.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation, Overflow
from enum import Enum
from ipaddress import ip_address
from typing import Any

from pileus.delivery import event_pattern_places as places
from pileus.delivery.event_pattern_places import NUMBER_MAX, Place, is_number
from pileus.delivery.event_pattern_tokens import InvalidPattern, Token, Tokens

Value = Any
Predicate = Callable[[Value], bool]

# Alternatives that `$or` may multiply to.
ALTERNATIVES_MAX = 1000

# What anything-but may have within; and what it may in the older dialect that SNS speaks: one prefix.
ANYTHING_BUT = frozenset(("equals-ignore-case", "prefix", "suffix", "wildcard"))
ONE_PREFIX = frozenset(("prefix",))


class Truth(Enum):
    """JSON's true and false: Python's are numbers, 1 == True."""

    TRUE = "true"
    FALSE = "false"


_RESERVED = frozenset(
    {
        "exactly",
        "equals-ignore-case",
        "prefix",
        "suffix",
        "anything-but",
        "exists",
        "wildcard",
        "numeric",
        "cidr",
        "=",
        "<",
        "<=",
        ">",
        ">=",
        "regex",
        "not-wildcard",
        "not-equals-ignore-case",
        "date-after",
        "date-on-or-after",
        "date-before",
        "date-on-or-before",
        "in-date-range",
        "ip-address-in-range",
        "ip-address-not-in-range",
    }
)
_ONE_KEY = "Only one key allowed in match expression"
_TOO_MANY = "Too many elements in numeric expression"
_TOO_COMPLEX = (
    "Rule is too complex - try using fewer wildcard characters or fewer repeating character sequences after a wildcard "
    "character"
)


@dataclass(slots=True)
class Field:
    """What a field may be: one of `exact`, or what any of `tests` takes; with `absent`, it may also not be there."""

    exact: set[Value] = field(default_factory=set)
    tests: list[Predicate] = field(default_factory=list)
    absent: bool = False
    # Where its tests are filed, as far as they have a place.
    places: list[Place] = field(default_factory=list)
    # As the pattern has it: fields of the same text take the same.
    text: str = ""

    def add(self, test: Predicate, place: Place | None = None) -> None:
        self.tests.append(test)
        if place is not None:
            self.places.append(place)

    @property
    def is_placed(self) -> bool:
        """Whether every value that it takes leads to it: each of its tests has a place."""
        return len(self.places) == len(self.tests) and not self.absent

    def takes(self, value: Value) -> bool:
        if value in self.exact:
            return True
        for test in self.tests:  # noqa: SIM110 -- any() takes twice as long, and this is the innermost
            if test(value):
                return True
        return False


# One way to match: every path (names joined by dots) with its field.
Alternative = dict[str, Field]


def parse(source: str, *, show_source: bool = True, anything_but: frozenset[str] = ANYTHING_BUT) -> list[Alternative]:
    """The alternatives of a pattern, of which one has to match. Raises InvalidPattern.

    `anything_but`: what may be nested in that operator, which not every service has all of.
    """
    tokens = Tokens(source, show_source=show_source, anything_but=anything_but)
    if tokens.next() is not Token.START_OBJECT:
        tokens.fail("Filter is not an object")
    return _object(tokens, [{}], (), inside_or=False)


def _object(
    tokens: Tokens, alternatives: list[Alternative], path: tuple[str, ...], *, inside_or: bool
) -> list[Alternative]:
    empty = True
    while tokens.next() is not Token.END_OBJECT:
        empty = False
        name = tokens.text
        if name == "$or":
            alternatives = _or(tokens, alternatives, path)
            continue
        if inside_or and name in _RESERVED:
            tokens.fail(f"{name} is Ruler reserved fieldName which cannot be used inside $or.")
        token = tokens.next()
        if token is Token.START_OBJECT:
            alternatives = _object(tokens, alternatives, (*path, name), inside_or=inside_or)
        elif token is Token.START_ARRAY:
            values = _values(tokens)
            where = ".".join((*path, name))
            for one in alternatives:
                one[where] = values
        else:
            tokens.fail(f'"{name}" must be an object or an array')
    if empty:
        tokens.fail("Empty objects are not allowed")
    return alternatives


def _or(tokens: Tokens, alternatives: list[Alternative], path: tuple[str, ...]) -> list[Alternative]:
    if tokens.next() is not Token.START_ARRAY:
        tokens.fail("It must be an Array followed with $or.")
    all_of_them: list[Alternative] = []
    branches = 0
    while (token := tokens.next()) is not Token.END_ARRAY:
        branches += 1
        if token is not Token.START_OBJECT:
            tokens.fail("Only JSON object is allowed in array of $or relationship.")
        all_of_them += _object(tokens, [dict(one) for one in alternatives], path, inside_or=True)
        if len(all_of_them) > ALTERNATIVES_MAX:
            raise InvalidPattern(_TOO_COMPLEX)
    if branches < 2:
        tokens.fail("There must have at least 2 Objects in $or relationship.")
    return all_of_them


def _values(tokens: Tokens) -> Field:
    values = Field()
    empty = True
    began = tokens.at
    while (token := tokens.next()) is not Token.END_ARRAY:
        empty = False
        match token:
            case Token.START_OBJECT:
                _expression(tokens, values)
            case Token.STRING:
                values.exact.add(tokens.text)
            case Token.NUMBER:
                values.exact.add(_number(tokens.text))
            case Token.TRUE:
                values.exact.add(Truth.TRUE)
            case Token.FALSE:
                values.exact.add(Truth.FALSE)
            case Token.NULL:
                values.exact.add(None)
            case _:
                tokens.fail("Match value must be String, number, true, false, or null")
    if empty:
        tokens.fail("Empty arrays are not allowed")
    values.text = tokens.source[began : tokens.at]
    return values


def _expression(tokens: Tokens, values: Field) -> None:
    if tokens.next() is not Token.FIELD:
        tokens.fail("Match expression name not found")
    name = tokens.text
    match name:
        case "exactly":
            values.exact.add(_string(tokens, "exact match pattern must be a string"))
        case "prefix" | "suffix":
            if tokens.next() is Token.START_OBJECT:
                values.add(_ignoring_case(tokens, name))
            else:
                text = _this_string(tokens, f"{name} match pattern must be a string")
                values.add(_affix(name, text), places.affix(name, text))
        case "equals-ignore-case":
            lower = _string(tokens, "equals-ignore-case match pattern must be a string").lower()
            values.add(lambda value: isinstance(value, str) and value.lower() == lower, places.ignoring_case(lower))
        case "wildcard":
            text = _string(tokens, "wildcard match pattern must be a string")
            values.add(*_wildcard(tokens, text))
            _close(tokens, _ONE_KEY)
            return
        case "cidr":
            values.add(*_cidr(_string(tokens, "prefix match pattern must be a string")))
        case "numeric":
            if tokens.next() is not Token.START_ARRAY:
                tokens.fail("Value of numeric must be an array.")
            _numeric(tokens, values)
            _close(tokens, _TOO_MANY)
            return
        case "exists":
            token = tokens.next()
            if token is Token.TRUE:
                values.add(lambda value: True)
            elif token is Token.FALSE:
                values.absent = True
            else:
                tokens.fail("exists match pattern must be either true or false.")
        case "anything-but":
            _anything_but(tokens, values)
            return
        case _:
            tokens.fail(f"Unrecognized match type {name}")
    _close(tokens, _ONE_KEY)


def _close(tokens: Tokens, message: str) -> None:
    if tokens.next() is not Token.END_OBJECT:
        tokens.fail(message)


def _string(tokens: Tokens, message: str) -> str:
    tokens.next()
    return _this_string(tokens, message)


def _this_string(tokens: Tokens, message: str) -> str:
    if tokens.token is not Token.STRING:
        tokens.fail(message)
    return tokens.text


def _affix(kind: str, text: str) -> Predicate:
    if kind == "prefix":
        return lambda value: isinstance(value, str) and value.startswith(text)
    return lambda value: isinstance(value, str) and value.endswith(text)


def _ignoring_case(tokens: Tokens, kind: str) -> Predicate:
    if tokens.next() is not Token.FIELD:
        tokens.fail(f"{kind.capitalize()} expression name not found")
    if tokens.text != "equals-ignore-case":
        tokens.fail(f"Unsupported {kind} pattern: {tokens.text}")
    lower = _string(tokens, "equals-ignore-case match pattern must be a string").lower()
    _close(tokens, _ONE_KEY)
    if kind == "prefix":
        return lambda value: isinstance(value, str) and value.lower().startswith(lower)
    return lambda value: isinstance(value, str) and value.lower().endswith(lower)


# -- anything-but ------------------------------------------------------------------------------------------------------


def _anything_but(tokens: Tokens, values: Field) -> None:
    kind = ""
    token = tokens.next()
    if token is Token.START_OBJECT:
        if tokens.next() is not Token.FIELD:
            tokens.fail("Anything-But expression name not found")
        kind = tokens.text
        if kind not in tokens.anything_but:
            tokens.fail(f"Unsupported anything-but pattern: {kind}")
        token = tokens.next()
        if tokens.anything_but is ONE_PREFIX:
            _this_string(tokens, "prefix match pattern must be a string")
    if token not in (Token.START_ARRAY, Token.STRING, Token.NUMBER):
        tokens.fail("Value of anything-but must be an array or single string/number value.")
    refused = _refused(tokens, token) if not kind else _refused_texts(tokens, token, kind)
    values.add(lambda value: not refused(value))
    _close(tokens, _TOO_MANY)
    if kind:
        _close(tokens, _TOO_MANY)


def _refused(tokens: Tokens, token: Token) -> Predicate:
    """Values as they are: strings or numbers, not both. What is of another type is not refused."""
    if token is Token.STRING:
        text = tokens.text
        return lambda value: bool(value == text)
    if token is Token.NUMBER:
        number = _comparable(tokens.text)
        return lambda value: bool(value == number)
    refused: set[Value] = set()
    kinds = set()
    while (token := tokens.next()) is not Token.END_ARRAY:
        if token is Token.STRING:
            refused.add(tokens.text)
        elif token is Token.NUMBER:
            try:
                refused.add(_comparable(tokens.text))
            except InvalidPattern as error:
                tokens.fail(str(error))
        else:
            tokens.fail("Inside anything but list, start|null|boolean is not supported.")
        kinds.add(token)
    if len(kinds) != 1:
        tokens.fail("Inside anything but list, either all values are number or string, mixed type is not supported")
    return lambda value: value in refused


def _refused_texts(tokens: Tokens, token: Token, kind: str) -> Predicate:
    message = {
        "equals-ignore-case": (
            "Inside anything-but/equals-ignore-case list, number|start|null|boolean is not supported."
        ),
        "wildcard": "wildcard match pattern must be a string",
    }.get(kind, "prefix/suffix match pattern must be a string")
    texts: list[str] = []
    several = token is Token.START_ARRAY
    while not several or (token := tokens.next()) is not Token.END_ARRAY:
        if token is not Token.STRING:
            tokens.fail(message)
        if kind in ("prefix", "suffix") and not tokens.text:
            tokens.fail("Null prefix/suffix not allowed")
        texts.append(tokens.text)
        if not several:
            break
    if kind == "prefix":
        prefixes = tuple(texts)
        return lambda value: isinstance(value, str) and value.startswith(prefixes)
    if kind == "suffix":
        suffixes = tuple(texts)
        return lambda value: isinstance(value, str) and value.endswith(suffixes)
    if kind == "equals-ignore-case":
        lower = {text.lower() for text in texts}
        return lambda value: isinstance(value, str) and value.lower() in lower
    wildcards = [_wildcard(tokens, text)[0] for text in texts]
    return lambda value: any(one(value) for one in wildcards)


# -- numbers -----------------------------------------------------------------------------------------------------------


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        return float(text)


def _comparable(text: str) -> int | float:
    try:
        digits = Decimal(text).normalize()
    except (InvalidOperation, Overflow):
        raise InvalidPattern("Value must be between -5.0E9 and 5.0E9, inclusive") from None
    exponent = digits.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -6:
        raise InvalidPattern("Only values upto 6 decimals are supported")
    if not -NUMBER_MAX <= digits <= NUMBER_MAX:
        raise InvalidPattern("Value must be between -5.0E9 and 5.0E9, inclusive")
    return _number(text)


def _numeric(tokens: Tokens, values: Field) -> None:
    if tokens.next() is not Token.STRING:
        tokens.fail(f"Invalid member in numeric match: {tokens.text}")
    operator = tokens.text
    token = tokens.next()
    if operator not in ("=", ">=", ">", "<=", "<"):
        tokens.fail(f"Unrecognized numeric range operator: {operator}")
    if token is not Token.NUMBER:
        tokens.fail(f"Value of {'equals' if operator == '=' else operator} must be numeric")
    first = _in_range(tokens)
    token = tokens.next()
    if token is Token.END_ARRAY:
        if operator == "=":
            values.exact.add(first)
        else:
            place = places.between(lowest=first) if operator in (">", ">=") else places.between(highest=first)
            values.add(_compare(operator, first), place)
        return
    if operator not in (">", ">="):
        tokens.fail(_TOO_MANY)
    if token is not Token.STRING:
        tokens.fail(f"Bad value in numeric range: {tokens.text}")
    upper = tokens.text
    if upper not in ("<", "<="):
        tokens.fail(f"Bad numeric range operator: {upper}")
    if tokens.next() is not Token.NUMBER:
        tokens.fail(f"Value of {upper} must be numeric")
    last = _in_range(tokens)
    if tokens.next() is not Token.END_ARRAY:
        tokens.fail("Too many terms in numeric range expression")
    if first >= last:
        tokens.fail("Bottom must be less than top")
    above, below = _compare(operator, first), _compare(upper, last)
    values.add(lambda value: above(value) and below(value), places.between(first, last))


def _in_range(tokens: Tokens) -> int | float:
    try:
        return _comparable(tokens.text)
    except InvalidPattern as error:
        tokens.fail(str(error))


def _compare(operator: str, limit: float) -> Predicate:
    match operator:
        case ">":
            return lambda value: is_number(value) and value > limit
        case ">=":
            return lambda value: is_number(value) and value >= limit
        case "<":
            return lambda value: is_number(value) and value < limit
        case _:
            return lambda value: is_number(value) and value <= limit


# -- addresses and wildcards -------------------------------------------------------------------------------------------


def _cidr(text: str) -> tuple[Predicate, Place]:
    parts = text.split("/")
    if len(parts) != 2:
        raise InvalidPattern("Malformed CIDR, one '/' required")
    try:
        bits = int(parts[1])
    except ValueError:
        raise InvalidPattern("Malformed CIDR, mask bits must be an integer") from None
    if bits < 0:
        raise InvalidPattern("Malformed CIDR, mask bits must not be negative")
    try:
        base = ip_address(parts[0])
    except ValueError:
        raise InvalidPattern(f"Nonstandard IP address: {parts[0]}") from None
    if bits >= base.max_prefixlen:
        raise InvalidPattern(f"IPv{base.version} mask bits must be < {base.max_prefixlen}")
    lowest = int(base)
    highest = lowest | ((1 << (base.max_prefixlen - bits)) - 1)

    def test(value: Value) -> bool:
        if not isinstance(value, str) or len(value) > 45:
            return False
        try:
            address = ip_address(value)
        except ValueError:
            return False
        return address.version == base.version and lowest <= int(address) <= highest

    return test, places.addresses(base.version, lowest, highest)


def _wildcard(tokens: Tokens, text: str) -> tuple[Predicate, Place | None]:
    """Whether a value is the text with anything for each "*": its pieces are looked for from left to right, once.

    Its place is that of how it begins or ends, whichever is longer.
    """
    pieces = [""]
    at = 0
    # AWS counts the quote that it puts before the text.
    while at < len(text):
        char = text[at]
        if char == "*":
            if text[at + 1 : at + 2] == "*":
                tokens.fail(f"Consecutive wildcard characters at pos {len(text[:at].encode()) + 1}")
            pieces.append("")
        elif char == "\\":
            if text[at + 1 : at + 2] not in ("*", "\\"):
                tokens.fail(f"Invalid escape character at pos {len(text[:at].encode()) + 1}")
            at += 1
            pieces[-1] += text[at]
        else:
            pieces[-1] += char
        at += 1
    if len(pieces) == 1:
        only = pieces[0]
        return lambda value: bool(value == only), places.affix("prefix", only)
    first, last, between = pieces[0], pieces[-1], [piece for piece in pieces[1:-1] if piece]

    def test(value: Value) -> bool:
        if not isinstance(value, str) or len(value) < len(first) + len(last):
            return False
        if not value.startswith(first) or not value.endswith(last):
            return False
        begin, end = len(first), len(value) - len(last)
        for piece in between:
            found = value.find(piece, begin, end)
            if found < 0:
                return False
            begin = found + len(piece)
        return True

    if not first and not last:
        return test, None
    return test, places.affix("prefix", first) if len(first) >= len(last) else places.affix("suffix", last)
