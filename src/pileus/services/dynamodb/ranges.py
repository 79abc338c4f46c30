"""From the terms of a key condition to the store keys that it means.

Source: "Key condition expressions for the Query operation in DynamoDB" in the Developer Guide.
"""

from __future__ import annotations

from pileus.kernel.errors import AWSError
from pileus.services.dynamodb import errors, keys, schema
from pileus.services.dynamodb.expressions.keyconditions import KeyTerm
from pileus.services.dynamodb.expressions.parameters import Predicate
from pileus.services.dynamodb.keys import Range
from pileus.services.dynamodb.pages import Source

_NOT_SUPPORTED = "Query key condition not supported"


def key_range(place: Source, terms: list[KeyTerm]) -> tuple[Range, Range]:
    """The store keys that the terms mean, and those of their whole partition.

    All attributes of the partition key are equal to something; those of the sort key are from the first on, of which
    the last that is named may be compared otherwise.
    """
    layout = place.schema
    if not 1 <= len(terms) <= max(2, len(layout.names)):
        raise errors.validation("Conditions can be of length 1 or 2 only")
    by_name = {term.attribute: term for term in terms}
    partition = []
    for name, kind in layout.hashes:
        term = by_name.pop(name, None)
        if term is None:
            raise _missed(name)
        _check_values(term, kind)
        if term.operator != "=":
            raise errors.validation(_NOT_SUPPORTED)
        part = schema.part(kind, term.values[0])
        schema.check_length(kind, part, sort=False)
        partition.append(part)
    sort = []
    for name, kind in layout.ranges:
        term = by_name.pop(name, None)
        if term is None:
            if by_name:
                # A condition on something else: said of the sort key, where there is one that has none.
                raise _missed(name)
            break
        sort.append((term, kind))
    if by_name:
        raise errors.validation(_NOT_SUPPORTED)
    start = keys.composite_partition(place.prefix, partition)
    whole = keys.partition_range(start)
    if not sort:
        return whole, whole
    for term, kind in sort:
        _check_values(term, kind)
        if term.operator == "begins_with" and kind == "N":
            raise errors.validation(_NOT_SUPPORTED)
        for value in term.values:
            schema.check_length(kind, schema.part(kind, value), sort=True)
    *equal, (last, kind) = sort
    if any(term.operator != "=" for term, _ in equal):
        raise errors.validation(_NOT_SUPPORTED)
    start = keys.within(start, [schema.part(each, term.values[0]) for term, each in equal])
    return keys.sorted_range(start, last.operator, tuple(schema.part(kind, value) for value in last.values)), whole


def _missed(name: str) -> AWSError:
    return errors.validation(f"Query condition missed key schema element: {name}")


def _check_values(term: KeyTerm, kind: str) -> None:
    for value in term.values:
        if kind not in value:
            raise errors.invalid("Condition parameter type does not match schema type")
        if not value[kind] and term.operator != "begins_with":
            raise schema.empty_key(term.attribute, kind)


def check_filter(place: Source, keep: Predicate | None, *, old_style: bool = False) -> None:
    """A query's filter must leave the key alone."""
    if keep is None:
        return
    for name in keep.attributes:
        if name in place.schema.names:
            spoken = "QueryFilter can" if old_style else "Filter Expression can"
            raise errors.validation(f"{spoken} only contain non-primary key attributes: Primary key attribute: {name}")
