"""Keys and items on the wire.

A key is, without a sort key, the partition key's bare bytes (a number: CBOR), else the partition key in CBOR and behind
it the sort key's bare bytes (a number: bytes that sort). An item without its key is the number of its list of attribute
names, and behind it their values. Source: what the official clients (`amazon-dax-client`) write and read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, NamedTuple

from pileus.services.dax.protocol import cbor, ordered_number
from pileus.services.dax.protocol.cbor import Malformed

Item = Mapping[str, Any]

# The list of names that is empty.
EMPTY_LIST = 1


class KeySchema(NamedTuple):
    """(name, type) of the partition key and, where there is one, of the sort key; types are S, N and B."""

    attributes: tuple[tuple[str, str], ...]

    @property
    def names(self) -> frozenset[str]:
        return _names(self.attributes)


@lru_cache(maxsize=1024)
def _names(attributes: tuple[tuple[str, str], ...]) -> frozenset[str]:
    return frozenset(name for name, _ in attributes)


def read_key(data: bytes, schema: KeySchema) -> dict[str, Any]:
    """A key's attributes. Raises `Malformed`."""
    (name, kind), *rest = schema.attributes
    if not rest:
        if kind == "N":
            value, end = cbor.value_at(data, 0)
            if end != len(data):
                raise Malformed("more than a key")
            return {name: {"N": cbor.number(value)}}
        return {name: _bare(data, kind)}
    value, end = cbor.value_at(data, 0)
    first = cbor.attribute(value)
    if kind not in first:
        raise Malformed("a key of another type")
    sort_name, sort_kind = rest[0]
    return {name: first, sort_name: _bare(data[end:], sort_kind)}


def _bare(data: bytes, kind: str) -> dict[str, Any]:
    if kind == "B":
        return {"B": data}
    if kind == "N":
        return {"N": str(ordered_number.decode(data))}
    try:
        return {"S": data.decode()}
    except UnicodeDecodeError:
        raise Malformed("no text") from None


def write_key(item: Item, schema: KeySchema) -> bytes:
    (name, kind), *rest = schema.attributes
    value = item[name][kind]
    if not rest:
        return cbor.encode(cbor.plain_number(value)) if kind == "N" else _bytes(value)
    sort_name, sort_kind = rest[0]
    sort = item[sort_name][sort_kind]
    return cbor.encode(cbor.plain(item[name])) + (
        ordered_number.encode(Decimal(sort)) if sort_kind == "N" else _bytes(sort)
    )


def _bytes(value: str | bytes) -> bytes:
    return value.encode() if isinstance(value, str) else value


def attribute_names(item: Item, schema: KeySchema) -> tuple[str, ...]:
    """The names that an item's list holds: all but the key's, sorted."""
    keys = schema.names
    return tuple(sorted([name for name in item if name not in keys]))


def read_values(data: bytes) -> tuple[int, list[Any]]:
    """The number of an item's list of names, and its values. Raises `Malformed`."""
    found = list(cbor.values(data))
    if not found or type(found[0]) is not int:
        raise Malformed("no list of names")
    return found[0], [cbor.attribute(one) for one in found[1:]]


def write_values(item: Item, names: Sequence[str], list_id: int) -> bytes:
    return cbor.encode(list_id) + b"".join(cbor.encode(cbor.plain(item[name])) for name in names)


def write_some_values(item: Item, names: Sequence[str], list_id: int) -> bytes:
    """Some of an item's attributes: their places in the list, and their values."""
    places = {at: cbor.plain(item[name]) for at, name in enumerate(names) if name in item}
    return cbor.encode(list_id) + cbor.encode(places)


def write_projection(item: Item, paths: Sequence[tuple[str | int, ...]]) -> dict[int, Any]:
    """What a projection found: the path's number, and the value there.

    DynamoDB's answer holds of a list only the elements that were asked for, close together and in their order.
    """
    found: dict[int, Any] = {}
    for number, path in enumerate(paths):
        value: Any = {"M": item}
        for depth, part in enumerate(path):
            value = _step(value, part, paths, path[:depth])
            if value is None:
                break
        else:
            found[number] = cbor.plain(value)
    return found


def _step(value: Any, part: str | int, paths: Sequence[tuple[str | int, ...]], above: tuple[str | int, ...]) -> Any:
    if isinstance(part, str):
        return value["M"].get(part) if "M" in value else None
    if "L" not in value:
        return None
    depth = len(above)
    beside = (path[depth] for path in paths if path[:depth] == above and len(path) > depth)
    asked = sorted({index for index in beside if isinstance(index, int)})
    place = asked.index(part)
    return value["L"][place] if place < len(value["L"]) else None
