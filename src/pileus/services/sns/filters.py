"""Filter policies: what one may say, and which subscriptions a message is for.

Sources: "Amazon SNS subscription filter policies", "Filter policy constraints in Amazon SNS" of the developer guide;
recorded answers of AWS for the wording of errors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from pileus.delivery.event_pattern_parser import ONE_PREFIX, Field
from pileus.delivery.event_pattern_tokens import InvalidPattern, Token, Tokens
from pileus.delivery.event_patterns import Leaves, Pattern, RuleIndex, compile_pattern

KEYS_MAX = 5
COMBINATIONS_MAX = 150
POLICY_BYTES_MAX = 256 * 1024
# Characters times filters: so many are matched within some hundredths of a second.
WORK_MAX = 1_000_000
SCOPES = ("MessageBody", "MessageAttributes")


class InvalidFilter(Exception):
    """What is wrong with a policy, in SNS's words."""


def parse_json(text: str) -> Any:
    """Raises InvalidFilter in the words of the parser that SNS reads JSON with, for any attribute that is JSON."""
    tokens = Tokens(text, show_source=False)
    try:
        depth = 0
        while True:
            token = tokens.next()
            if token in (Token.START_OBJECT, Token.START_ARRAY):
                depth += 1
            elif token in (Token.END_OBJECT, Token.END_ARRAY):
                depth -= 1
            elif token is Token.STRING:
                _ = tokens.text
            if depth == 0 or token is Token.END:
                break
        return orjson.loads(text)
    except InvalidPattern as error:
        raise InvalidFilter(f"failed to parse JSON. {error}") from None
    except (ValueError, orjson.JSONDecodeError):
        raise InvalidFilter("failed to parse JSON.") from None


def check(text: str, *, in_body: bool) -> None:
    """Raises InvalidFilter unless `text` is a filter policy of that scope."""
    policy = parse_json(text)
    if len(text.encode()) > POLICY_BYTES_MAX:
        raise InvalidFilter("Filter policy is too large")
    if not isinstance(policy, dict):
        raise InvalidFilter("Filter policy must be an object")
    if not in_body and any(isinstance(value, dict) for value in policy.values()):
        raise InvalidFilter("Filter policy scope MessageAttributes does not support nested filter policy")
    if not policy:
        return
    if _keys(policy) > KEYS_MAX:
        raise InvalidFilter(f"Filter policy can not have more than {KEYS_MAX} keys")
    if _combinations(policy, 1) > COMBINATIONS_MAX:
        raise InvalidFilter("Filter policy is too complex")
    try:
        _compile(text)
    except InvalidPattern as error:
        raise InvalidFilter(str(error)) from None


def _compile(text: str) -> Pattern:
    # As SNS shows it: without spaces.
    return compile_pattern(orjson.dumps(orjson.loads(text)).decode(), anything_but=ONE_PREFIX)


def _is_or(name: str, value: Any) -> bool:
    return name == "$or" and isinstance(value, list) and all(isinstance(one, dict) for one in value)


def _keys(policy: Mapping[str, Any]) -> int:
    """Those at the top: "nested keys under them do not" count."""
    count = 0
    for name, value in policy.items():
        if _is_or(name, value):
            count += max((_keys(one) for one in value), default=0)
        else:
            count += 1
    return count


def _combinations(policy: Mapping[str, Any], depth: int) -> int:
    """Every array counts as many values as it has, times how deep it lies; arrays multiply, alternatives add up."""
    total = 1
    for name, value in policy.items():
        if _is_or(name, value):
            total *= sum(_combinations(one, depth) for one in value)
        elif isinstance(value, dict):
            total *= _combinations(value, depth + 1)
        elif isinstance(value, list):
            total *= max(1, len(value)) * depth
    return total


class Filter:
    """A checked policy, compiled."""

    def __init__(self, policy: str, *, in_body: bool) -> None:
        self.in_body = in_body
        # An empty policy lets everything pass.
        self.pattern = _compile(policy) if orjson.loads(policy) else None
        if self.pattern is not None and not in_body:
            self.pattern = _with_missing(self.pattern)


def _with_missing(pattern: Pattern) -> Pattern:
    """Message attributes cannot be null: where a policy says null, the attribute may be missing."""
    return Pattern([{path: _missing_for_null(field) for path, field in one} for one in pattern.alternatives])


def _missing_for_null(field: Field) -> Field:
    if None not in field.exact:
        return field
    return Field(exact=field.exact - {None}, tests=field.tests, absent=True, text=field.text)


class Filters:
    """The filters of a topic's subscriptions, by their ids."""

    def __init__(self, filters: Mapping[str, Filter]) -> None:
        self._count = len(filters)
        self._open = [id for id, one in filters.items() if one.pattern is None]
        self._attributes: RuleIndex[str] = RuleIndex()
        self._body: RuleIndex[str] = RuleIndex()
        for id, one in filters.items():
            if one.pattern is not None:
                (self._body if one.in_body else self._attributes).add(id, one.pattern)

    def __len__(self) -> int:
        return self._count

    def is_much(self, attributes: Mapping[str, Mapping[str, Any]], body: str) -> bool:
        """Whether a message takes so long to match that others should have their turn meanwhile."""
        work = len(body) * len(self._body)
        if len(self._attributes):
            work += len(self._attributes) * sum(len(one.get("StringValue") or "") for one in attributes.values())
        return work > WORK_MAX

    def match(self, attributes: Mapping[str, Mapping[str, Any]], body: str) -> list[str]:
        found = [*self._open]
        for index, leaves in self._looks(attributes, body):
            found += index.match(leaves)
        return found

    def steps(self, attributes: Mapping[str, Mapping[str, Any]], body: str) -> Iterator[str | None]:
        """What `match` gives, one by one, with None where a look has found nothing."""
        yield from self._open
        for index, leaves in self._looks(attributes, body):
            yield from index.steps(leaves)

    def _looks(self, attributes: Mapping[str, Mapping[str, Any]], body: str) -> Iterator[tuple[RuleIndex[str], Leaves]]:
        if len(self._attributes):
            yield self._attributes, Leaves(attribute_values(attributes))
        if len(self._body):
            try:
                content = orjson.loads(body)
            except orjson.JSONDecodeError:
                content = None
            # What is not an object matches no policy on bodies.
            if isinstance(content, dict):
                yield self._body, Leaves(content)


def attribute_values(attributes: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Message attributes as filter policies see them: those of type Binary are not there."""
    values: dict[str, Any] = {}
    for name, value in attributes.items():
        data_type, text = value["DataType"], value.get("StringValue")
        if text is None:
            continue
        if data_type == "Number" or data_type.startswith("Number."):
            values[name] = _number(text)
        elif data_type == "String.Array":
            try:
                values[name] = orjson.loads(text)
            except orjson.JSONDecodeError:
                values[name] = text
        else:
            values[name] = text
    return values


def _number(text: str) -> int | float | str:
    try:
        number = float(text)
        return int(number) if number.is_integer() else number
    except (ValueError, OverflowError):
        return text
