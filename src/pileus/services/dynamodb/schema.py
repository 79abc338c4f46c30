"""Key schemas: from an item or a key to the parts of a store key, with AWS's checks.

Sources: "Quotas in Amazon DynamoDB" (key lengths); AWS's own answers for the wording.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Mapping

import msgspec

from pileus.kernel.errors import AWSError
from pileus.services.dynamodb import errors, keys, numbers, values
from pileus.services.dynamodb.keys import Part
from pileus.services.dynamodb.values import Item, Value

PARTITION_KEY_BYTES_MAX = 2048
SORT_KEY_BYTES_MAX = 1024
# Characters that are few enough for any key, whichever they are.
_SHORT = SORT_KEY_BYTES_MAX // 4


class Schema(msgspec.Struct, frozen=True):
    """The key attributes of a table or an index; `sort` is "" where it has none."""

    partition: str
    partition_type: str
    sort: str
    sort_type: str
    # Names and types of further attributes of the partition key and of the sort key, which global indexes may have.
    more_partition: tuple[tuple[str, str], ...] = ()
    more_sort: tuple[tuple[str, str], ...] = ()

    @property
    def hashes(self) -> tuple[tuple[str, str], ...]:
        """Names and types of all attributes of the partition key."""
        return ((self.partition, self.partition_type), *self.more_partition)

    @property
    def ranges(self) -> tuple[tuple[str, str], ...]:
        """Those of the sort key."""
        return ((self.sort, self.sort_type), *self.more_sort) if self.sort else ()

    @property
    def names(self) -> tuple[str, ...]:
        if self.more_partition or self.more_sort:
            return tuple(name for name, _ in (*self.hashes, *self.ranges))
        return (self.partition, self.sort) if self.sort else (self.partition,)

    def type_of(self, name: str) -> str:
        if self.more_partition or self.more_sort:
            return dict((*self.hashes, *self.ranges))[name]
        return self.partition_type if name == self.partition else self.sort_type

    def description(self) -> list[dict[str, str]]:
        """As KeySchema."""
        return described([name for name, _ in self.hashes], [name for name, _ in self.ranges])


def described(hashes: Iterable[str], ranges: Iterable[str]) -> list[dict[str, str]]:
    """A key as KeySchema."""
    return [
        *({"AttributeName": name, "KeyType": "HASH"} for name in hashes),
        *({"AttributeName": name, "KeyType": "RANGE"} for name in ranges if name),
    ]


def part(kind: str, value: Value) -> Part:
    """A key attribute's value as a part of a store key."""
    content: str = value[kind]
    if kind == "S":
        return content
    return numbers.ordered(content) if kind == "N" else b64decode(content)


def _checked_part(name: str, kind: str, value: Value, *, sort: bool) -> Part:
    """`part`, refusing what is empty or too long for a key."""
    found = value["S"] if kind == "S" else part(kind, value)
    if not found:
        raise empty_key(name, kind)
    if len(found) > _SHORT:
        check_length(kind, found, sort=sort)
    return found


def check_length(kind: str, part: Part, *, sort: bool) -> None:
    """Refuse what is too long for a key."""
    if len(part) <= _SHORT or kind == "N":
        return
    size = len(part.encode() if isinstance(part, str) else part)
    if size > PARTITION_KEY_BYTES_MAX and not sort:
        raise errors.invalid("Size of hashkey has exceeded the maximum size limit of2048 bytes")
    if size > SORT_KEY_BYTES_MAX and sort:
        raise errors.invalid("Aggregated size of all range keys has exceeded the size limit of 1024 bytes")


class EmptyKey(AWSError):
    """A key, or that of an index, that is to be put and empty: refused before there is a transaction to cancel."""

    def __init__(self, message: str) -> None:
        super().__init__("ValidationException", f"One or more parameter values are not valid. {message}")


def _empty(kind: str) -> str:
    return (
        f"The AttributeValue for a key attribute cannot contain an empty {'string' if kind == 'S' else 'binary'} value."
    )


def empty_key(name: str, kind: str) -> AWSError:
    return EmptyKey(f"{_empty(kind)} Key: {name}")


def item_key(prefix: bytes, schema: Schema, item: Item) -> bytes:
    """The store key of an item that is to be put."""
    _check_attribute(schema.partition, schema.partition_type, item)
    if schema.sort:
        _check_attribute(schema.sort, schema.sort_type, item)
    return _store_key(prefix, schema, item)


def _check_attribute(name: str, kind: str, item: Item) -> None:
    value = item.get(name)
    if value is None:
        raise errors.invalid(f"Missing the key {name} in the item")
    if kind not in value:
        raise errors.invalid(f"Type mismatch for key {name} expected: {kind} actual: {values.kind(value)}")


def given_key(prefix: bytes, schema: Schema, key: Item) -> bytes:
    """The store key of a `Key` member."""
    if len(key) != (2 if schema.sort else 1):
        raise errors.key_mismatch()
    check_keys(schema, key)
    return _store_key(prefix, schema, key)


def check_keys(schema: Schema, item: Item) -> None:
    """Refuse what lacks an attribute of the table's key, or has it with another type."""
    if schema.partition_type not in item.get(schema.partition, ()) or (
        schema.sort and schema.sort_type not in item.get(schema.sort, ())
    ):
        raise errors.key_mismatch()


def _store_key(prefix: bytes, schema: Schema, item: Item) -> bytes:
    partition = _checked_part(schema.partition, schema.partition_type, item[schema.partition], sort=False)
    if not schema.sort:
        return keys.item(prefix, partition, None)
    return keys.item(prefix, partition, _checked_part(schema.sort, schema.sort_type, item[schema.sort], sort=True))


def entry_key(prefix: bytes, schema: Schema, item: Item, base_key: bytes) -> bytes | None:
    """The store key of an item's entry in an index; None where the item has no place in it.

    Items that were there before the index may have an attribute of its key that cannot be in one: they are left out.
    """
    if schema.more_partition or schema.more_sort:
        hashes = [_entry_part(kind, item.get(name), PARTITION_KEY_BYTES_MAX) for name, kind in schema.hashes]
        ranges = [_entry_part(kind, item.get(name), SORT_KEY_BYTES_MAX) for name, kind in schema.ranges]
        known = [[part for part in parts if part is not None] for parts in (hashes, ranges)]
        if len(known[0]) < len(hashes) or len(known[1]) < len(ranges):
            return None
        return keys.composite_entry(prefix, known[0], known[1], base_key)
    partition = _entry_part(schema.partition_type, item.get(schema.partition), PARTITION_KEY_BYTES_MAX)
    if partition is None:
        return None
    sort = None
    if schema.sort:
        sort = _entry_part(schema.sort_type, item.get(schema.sort), SORT_KEY_BYTES_MAX)
        if sort is None:
            return None
    return keys.entry(prefix, partition, sort, base_key)


def _entry_part(kind: str, value: Value | None, bytes_max: int) -> Part | None:
    if value is None or not value.get(kind):
        return None
    found = part(kind, value)
    if len(found) * 4 > bytes_max and len(found.encode() if isinstance(found, str) else found) > bytes_max:
        return None
    return found


def check_index_keys(index: str, schema: Schema, item: Mapping[str, Value], *, update: bool) -> None:
    """Refuse an item that has an index's key attribute with another type, empty, or too long."""
    for name in schema.names:
        value = item.get(name)
        if value is None:
            continue
        kind = schema.type_of(name)
        if kind not in value:
            raise errors.invalid(
                f"Type mismatch for Index Key {name} Expected: {kind} Actual: {values.kind(value)} IndexName: {index}"
            )
        if not value[kind]:
            if update:
                raise errors.validation(
                    "One or more parameter values are not valid. The update expression attempted to update a secondary "
                    f"index key to a value that is not supported. {_empty(kind)}"
                )
            raise EmptyKey(
                f"A value specified for a secondary index key is not supported. {_empty(kind)} "
                f"IndexName: {index}, IndexKey: {name}"
            )
        sort = any(name == each for each, _ in schema.ranges)
        if values.value_size(value) > (SORT_KEY_BYTES_MAX if sort else PARTITION_KEY_BYTES_MAX) and kind != "N":
            raise errors.invalid(
                "Aggregated size of all range keys has exceeded the size limit of 1024 bytes"
                if sort
                else "Size of hashkey has exceeded the maximum size limit of2048 bytes"
            )
