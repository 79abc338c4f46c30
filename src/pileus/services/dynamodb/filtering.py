"""What an export is limited to: its FilterSpecification.

Source: "Filtering a table export" in the Developer Guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from pileus.services.dynamodb import errors, values
from pileus.services.dynamodb.expressions.keyconditions import KIND as KEY_CONDITION
from pileus.services.dynamodb.expressions.parameters import Expressions, Predicate
from pileus.services.dynamodb.expressions.projections import Projection
from pileus.services.dynamodb.pages import Source
from pileus.services.dynamodb.ranges import check_filter, key_range
from pileus.services.dynamodb.tables import Table
from pileus.services.dynamodb.values import Item

_VALUES = "ExpressionAttributeValues"

Specification = Mapping[str, Any]


class Filter(msgspec.Struct, frozen=True):
    """Which items are written, and what of them."""

    keys: Predicate | None
    keep: Predicate | None
    projection: Projection | None

    def reads(self, item: Item) -> bool:
        """Whether an item is of the partition, and of the part of it, that is read."""
        return self.keys is None or self.keys.test(item)

    def keeps(self, item: Item) -> bool:
        """Whether an item that is read is written."""
        return self.keep is None or self.keep.test(item)

    def shown(self, item: Item) -> Item:
        """What is written of it."""
        return item if self.projection is None else self.projection.pick(item)


def check(table: Table, asked: Specification) -> None:
    """Check a FilterSpecification as Query and Scan check their expressions."""
    expressions = Expressions(asked)
    terms = expressions.key_terms()
    keep = expressions.condition("FilterExpression")
    projection = expressions.projection()
    expressions.finish()
    if terms is None and keep is None and projection is None:
        raise errors.validation("FilterSpecification must have at least one expression")
    if terms is not None:
        place = Source(table, None)
        key_range(place, terms)
        check_filter(place, keep)


def stored(asked: Specification) -> bytes:
    """The form in which an export's record has it."""
    kept = dict(asked)
    if _VALUES in asked:
        kept[_VALUES] = {name: values.check_value(value)[0] for name, value in asked[_VALUES].items()}
    return orjson.dumps(kept, option=orjson.OPT_SORT_KEYS)


def described(raw: bytes) -> dict[str, Any]:
    """As FilterSpecification."""
    asked: dict[str, Any] = orjson.loads(raw)
    if _VALUES in asked:
        asked[_VALUES] = {name: values.plain_value(value) for name, value in asked[_VALUES].items()}
    return asked


def load(raw: bytes) -> Filter:
    """What a record says; b"": everything."""
    if not raw:
        return Filter(None, None, None)
    expressions = Expressions(described(raw))
    return Filter(
        expressions.condition(KEY_CONDITION), expressions.condition("FilterExpression"), expressions.projection()
    )
