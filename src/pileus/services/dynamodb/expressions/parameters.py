"""A request's expressions with their names and values, checked together in AWS's order.

The old-style parameters (Expected, ScanFilter, AttributesToGet, ...) come to the same predicates, pickers and changes
through `legacy`; a request has one or the other.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from pileus.kernel.errors import AWSError
from pileus.services.dynamodb import errors, legacy
from pileus.services.dynamodb.expressions import conditions, projections, updates
from pileus.services.dynamodb.expressions.conditions import true
from pileus.services.dynamodb.expressions.keyconditions import KIND as KEY_CONDITION
from pileus.services.dynamodb.expressions.keyconditions import KeyTerm, key_terms
from pileus.services.dynamodb.expressions.parser import parse_condition, parse_projection, parse_update
from pileus.services.dynamodb.expressions.projections import Projection
from pileus.services.dynamodb.expressions.tree import Parsed
from pileus.services.dynamodb.values import Item, Value, check_value

_NAME = re.compile(r"#[0-9A-Za-z_]+", re.ASCII)
_VALUE = re.compile(r":[0-9A-Za-z_]+", re.ASCII)

PLACEHOLDER_BYTES_MAX = 255
# Of all names and values that a request's expressions are given.
SUBSTITUTES_BYTES_MAX = 2 << 20

Request = Mapping[str, Any]
Names = tuple[tuple[str, str], ...]


class Predicate(msgspec.Struct, frozen=True):
    """A condition or filter with its values."""

    test: Callable[[Item], bool]
    # The top-level attributes that it looks at.
    attributes: tuple[str, ...]


class Update(msgspec.Struct, frozen=True):
    """A change with its values: (item as it was, item to begin with) to the item as it becomes."""

    apply: Callable[[Item, Item], Item]
    touched: Projection
    # Whether it makes an item where there is none.
    creates: bool = True


class Expressions:
    """The expressions of one request, or of one part of a batch or transaction."""

    __slots__ = ("given", "names", "request", "used_names", "used_values")

    def __init__(self, request: Request) -> None:
        """Check the request's names and values for themselves."""
        self.request = request
        self.names: Mapping[str, str] = request.get("ExpressionAttributeNames") or {}
        self.given: dict[str, Value] = {}
        self.used_names: set[str] = set()
        self.used_values: set[str] = set()
        size = 0
        if "ExpressionAttributeNames" in request:
            size = _check_names(self.names)
        if "ExpressionAttributeValues" in request:
            self.given, values_size = _check_values(request["ExpressionAttributeValues"])
            size += values_size
        if size > SUBSTITUTES_BYTES_MAX:
            raise errors.validation(
                "The size of ExpressionAttributeNames and ExpressionAttributeValues has exceeded the maximum allowed "
                f"size; size: {size}"
            )

    def condition(self, member: str) -> Predicate | None:
        """The condition or filter that stands in the request under `member`."""
        text = self.request.get(member)
        if text is None:
            return None
        names = self._use(member, parse_condition(member, text))
        compiled = conditions.compile_condition(member, text, names)
        compiled.check(self.given)
        test, given = compiled.test, self.given
        return Predicate(lambda item: test(item, given), compiled.attributes)

    def key_terms(self) -> list[KeyTerm] | None:
        text = self.request.get(KEY_CONDITION)
        if text is None:
            return None
        names = self._use(KEY_CONDITION, parse_condition(KEY_CONDITION, text))
        terms = key_terms(text, names, self.given)
        conditions.compile_condition(KEY_CONDITION, text, names).check(self.given)
        return terms

    def update(self) -> Update | None:
        text = self.request.get(updates.KIND)
        if text is None:
            return None
        compiled = updates.compile_update(text, self._use(updates.KIND, parse_update(text)))
        compiled.check(self.given)
        apply, given = compiled.apply, self.given
        return Update(lambda old, base: apply(old, base, given), compiled.touched)

    def projection(self) -> Projection | None:
        text = self.request.get(projections.KIND)
        if text is None:
            return None
        return projections.compile_projection(text, self._use(projections.KIND, parse_projection(text)))

    def _use(self, kind: str, parsed: Parsed[Any]) -> Names:
        """Note what an expression uses; gives the names, for the compilers' caches."""
        self.used_names.update(parsed.names)
        self.used_values.update(parsed.values)
        if not parsed.names and self.given.keys() >= self.used_values:
            return ()
        for value in parsed.values:
            if value not in self.given:
                # A name that is not defined comes first.
                for name in parsed.names:
                    if name not in self.names:
                        break
                else:
                    raise errors.expression(
                        kind,
                        f"An expression attribute value used in expression is not defined; attribute value: {value}",
                    )
        return tuple((name, self.names[name]) for name in parsed.names if name in self.names)

    def finish(self) -> None:
        """Check that every name and value was used."""
        for member, given, used in (
            ("ExpressionAttributeNames", self.names, self.used_names),
            ("ExpressionAttributeValues", self.given, self.used_values),
        ):
            if len(used) < len(given):
                unused = ", ".join(name for name in given if name not in used)
                raise errors.validation(f"Value provided in {member} unused in expressions: keys: {{{unused}}}")


def _check_names(names: Mapping[str, str]) -> int:
    """Their size in bytes."""
    if not names:
        raise errors.validation("ExpressionAttributeNames must not be empty")
    size = 0
    for placeholder, name in names.items():
        _check_placeholder("ExpressionAttributeNames", _NAME, placeholder)
        if not name:
            raise errors.validation(
                "ExpressionAttributeNames contains invalid value: "
                f"An attribute name must have at least one character for key {placeholder}"
            )
        size += len(placeholder) + len(name)
    return size


def _check_values(given: Mapping[str, Any]) -> tuple[dict[str, Value], int]:
    """The values in their inside form, and their size in bytes."""
    if not given:
        raise errors.validation("ExpressionAttributeValues must not be empty")
    checked = {}
    size = 0
    for placeholder, value in given.items():
        _check_placeholder("ExpressionAttributeValues", _VALUE, placeholder)
        try:
            checked[placeholder], length = check_value(value)
        except AWSError as error:
            raise errors.validation(
                f"ExpressionAttributeValues contains invalid value: {error.message} for key {placeholder}"
            ) from None
        size += len(placeholder) + length
    return checked, size


@lru_cache(maxsize=1024)
def _is_placeholder(pattern: re.Pattern[str], text: str) -> bool:
    return pattern.fullmatch(text) is not None


def _check_placeholder(member: str, pattern: re.Pattern[str], placeholder: str) -> None:
    if len(placeholder) <= PLACEHOLDER_BYTES_MAX and _is_placeholder(pattern, placeholder):
        return
    if not pattern.fullmatch(placeholder):
        raise errors.validation(f'{member} contains invalid key: Syntax error; key: "{placeholder}"')
    raise errors.validation(
        f"{member} contains invalid key: The key has exceeded the maximum allowed length of "
        f'{PLACEHOLDER_BYTES_MAX}; key: "{placeholder}"'
    )


def check_styles(request: Request, expressions: tuple[str, ...], old_style: tuple[str, ...]) -> None:
    """Check that a request uses expressions or old-style parameters, and names and values only with expressions."""
    given = [member for member in expressions if member in request]
    if given:
        old = [member for member in old_style if member in request]
        if old:
            raise errors.validation(
                "Can not use both expression and non-expression parameters in the same request: "
                f"Non-expression parameters: {{{', '.join(old)}}} Expression parameters: {{{', '.join(given)}}}"
            )
    elif "ExpressionAttributeNames" in request:
        raise errors.validation("ExpressionAttributeNames can only be specified when using expressions")
    if "ExpressionAttributeValues" in request:
        with_values = [member for member in expressions if member != projections.KIND]
        if not any(member in request for member in with_values):
            raise errors.validation(
                "ExpressionAttributeValues can only be specified when using expressions"
                + (
                    f": {' and '.join(with_values)} {'is' if len(with_values) == 1 else 'are'} null"
                    if with_values
                    else ""
                )
            )


def condition_of(request: Request, member: str, old_member: str) -> Predicate | None:
    """The request's only condition, in either style; nothing else of it uses names and values."""
    if member not in request:
        test = legacy.predicate(request, old_member)
        return None if test is None else Predicate(test, tuple(request.get(old_member, ())))
    expressions = Expressions(request)
    condition = expressions.condition(member)
    expressions.finish()
    return condition


__all__ = ["Expressions", "Predicate", "Update", "check_styles", "condition_of", "true"]
