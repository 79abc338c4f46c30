"""The methods that clients of a cluster call: their arguments read as DynamoDB's requests, its answers written.

Source: what the official clients (`amazon-dax-client`) write and read.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from pileus.kernel.errors import AWSError
from pileus.kernel.raw import RawJson
from pileus.services.dax.names import BYTES_MAX, NameLists
from pileus.services.dax.protocol import cbor, items
from pileus.services.dax.protocol.cbor import Malformed
from pileus.services.dax.protocol.expressions import Expressions
from pileus.services.dax.protocol.items import KeySchema
from pileus.services.dax.proxy import Caller, Kept, Proxy

Paths = list[tuple[str | int, ...]]

_LEADER = 1
_CAPACITY = {"NONE": 0, "TOTAL": 1, "INDEXES": 2}
_METRICS = {"NONE": 0, "SIZE": 1}
_SELECT = {"ALL_ATTRIBUTES": 1, "ALL_PROJECTED_ATTRIBUTES": 2, "COUNT": 3, "SPECIFIC_ATTRIBUTES": 4}
_RETURN = {"NONE": 1, "ALL_OLD": 2, "UPDATED_OLD": 3, "ALL_NEW": 4, "UPDATED_NEW": 5}
# Parameters by number: members whose values are numbers for words, texts, flags and integers.
_WORDS = {
    3: ("ReturnConsumedCapacity", _CAPACITY),
    6: ("ReturnItemCollectionMetrics", _METRICS),
    7: ("ReturnValues", _RETURN),
    15: ("Select", _SELECT),
}
_FLAGS = {2: "ConsistentRead", 14: "ScanIndexForward"}
_INTEGERS = {13: "Limit", 16: "Segment", 17: "TotalSegments"}
_CONDITIONS = {4: "ConditionExpression", 10: "FilterExpression"}
_PROJECTION, _UPDATE, _START_KEY, _INDEX, _TOKEN = 0, 8, 9, 11, 19
# Names and values stand in the expressions' trees, too.
_REPEATED = (1, 5)

_ITEM, _CONSUMED, _ATTRIBUTES, _COLLECTION, _ITEMS, _COUNT, _LAST_KEY, _SCANNED = 0, 1, 2, 3, 7, 8, 9, 10
_ACTIONS = {2: "Put", 7: "Delete", 9: "Update", 12: "ConditionCheck"}


@dataclass(slots=True)
class Exchange:
    """One request of a client, which reaches the cluster at `address`."""

    proxy: Proxy
    caller: Caller
    names: NameLists
    address: str

    async def execute(self, operation: str, request: Mapping[str, Any]) -> Mapping[str, Any]:
        return await self.proxy.execute(self.caller, operation, request)

    async def values(self, item: Mapping[str, Any], schema: KeySchema) -> bytes:
        members = item.members() if isinstance(item, RawJson) else item
        names = items.attribute_names(members, schema)
        return items.write_values(members, names, await self.names.number(names))

    async def item(self, data: Any, key: dict[str, Any]) -> dict[str, Any]:
        number, values = items.read_values(_bytes(data))
        names = await self.names.names(number)
        if names is None or len(names) != len(values):
            raise Malformed("no such list of names")
        return {**dict(zip(names, values, strict=True)), **key}


class Method(NamedTuple):
    arguments: int
    function: Callable[[Exchange, list[Any]], Awaitable[bytes]]


def _bytes(value: Any) -> bytes:
    if type(value) is not bytes:
        raise Malformed("no bytes")
    return value


def _text(value: Any) -> str:
    try:
        return value if type(value) is str else _bytes(value).decode()
    except UnicodeDecodeError:
        raise Malformed("no text") from None


def _map(value: Any) -> dict[Any, Any]:
    if value is None:
        return {}
    if type(value) is not dict:
        raise Malformed("no map")
    return value


def _list(value: Any) -> list[Any]:
    if type(value) is not list:
        raise Malformed("no array")
    return value


def _members(given: Any, schema: KeySchema | None, expressions: Expressions) -> dict[str, Any]:
    parameters = _map(given)
    members: dict[str, Any] = {}
    for number, value in parameters.items():
        if type(number) is not int:
            raise Malformed("no parameter")
        if number in _WORDS:
            member, words = _WORDS[number]
            found = [word for word, meant in words.items() if meant == value]
            if not found:
                raise Malformed(f"no value of {member}")
            members[member] = found[0]
        elif number in _FLAGS:
            members[_FLAGS[number]] = bool(value)
        elif number in _INTEGERS:
            if type(value) is not int:
                raise Malformed(f"no value of {_INTEGERS[number]}")
            members[_INTEGERS[number]] = value
        elif number in _CONDITIONS:
            expressions.condition(_CONDITIONS[number], _bytes(value))
        elif number == _PROJECTION:
            expressions.project(_bytes(value))
        elif number == _UPDATE:
            expressions.update(_bytes(value))
        elif number == _INDEX:
            members["IndexName"] = _text(value)
        elif number == _TOKEN:
            members["ClientRequestToken"] = _text(value)
        elif number == _START_KEY and schema is not None:
            members["ExclusiveStartKey"] = _start_key(_bytes(value), schema, indexed=_INDEX in parameters)
        elif number not in _REPEATED:
            raise Malformed(f"no parameter {number}")
    return {**members, **expressions.members}


def _start_key(data: bytes, schema: KeySchema, *, indexed: bool) -> dict[str, Any]:
    if not indexed:
        return items.read_key(data, schema)
    value, end = cbor.value_at(data, 0)
    if end != len(data) or type(value) is not dict:
        raise Malformed("no key")
    key: dict[str, Any] = cbor.attribute(value)["M"]
    return key


def _consumed(capacity: Mapping[str, Any]) -> bytes:
    """Of one table: its name, and units in all, of the table, of global and of local indexes."""
    parts: list[Any] = [capacity["TableName"], float(capacity["CapacityUnits"])]
    parts.append(float(capacity["Table"]["CapacityUnits"]) if "Table" in capacity else None)
    for member in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
        found = capacity.get(member)
        parts.append(found and {name: float(one["CapacityUnits"]) for name, one in found.items()})
    return b"".join(map(cbor.encode, parts))


_NUMBERED = {
    "CapacityUnits": 1,
    "ReadCapacityUnits": 2,
    "WriteCapacityUnits": 3,
    "TableName": 4,
    "Table": 5,
    "GlobalSecondaryIndexes": 6,
    "LocalSecondaryIndexes": 7,
}


def _numbered(capacity: Mapping[str, Any]) -> dict[int, Any]:
    """The same as transactions have it."""
    found: dict[int, Any] = {}
    for member, value in capacity.items():
        if member == "TableName":
            found[4] = value
        elif member == "Table":
            found[5] = _numbered(value)
        elif member.endswith("Indexes"):
            found[_NUMBERED[member]] = {name: _numbered(one) for name, one in value.items()}
        else:
            found[_NUMBERED[member]] = float(value)
    return found


def _collection(metrics: Mapping[str, Any]) -> bytes:
    [key] = metrics["ItemCollectionKey"].values()
    return b"".join(cbor.encode(one) for one in (cbor.plain(key), *map(float, metrics["SizeEstimateRangeGB"])))


def _collections(answer: Mapping[str, Any]) -> dict[str, Any]:
    found = answer.get("ItemCollectionMetrics") or {}
    return {table: [_collection(one) for one in metrics] for table, metrics in found.items()}


def _common(answer: Mapping[str, Any]) -> dict[int, Any]:
    found: dict[int, Any] = {}
    if capacity := answer.get("ConsumedCapacity"):
        found[_CONSUMED] = _consumed(capacity)
    if metrics := answer.get("ItemCollectionMetrics"):
        found[_COLLECTION] = _collection(metrics)
    return found


async def _get_item(exchange: Exchange, arguments: list[Any]) -> bytes:
    table = _text(arguments[0])
    schema = await exchange.proxy.key_schema(table)
    expressions = Expressions()
    request = {"TableName": table, "Key": items.read_key(_bytes(arguments[1]), schema)}
    answer = await exchange.execute("GetItem", {**request, **_members(arguments[2], schema, expressions)})
    paths = expressions.projection
    kept = answer if isinstance(answer, Kept) and not paths else None
    if kept is not None and kept.written is not None and kept.written[0] == schema:
        return kept.written[1]
    found = _common(answer)
    if (item := answer.get("Item")) is not None:
        found[_ITEM] = items.write_projection(item, paths) if paths else await exchange.values(item, schema)
    written = cbor.encode(found)
    if kept is not None:
        kept.written = schema, written
    return written


async def _written(
    exchange: Exchange, operation: str, table: str, request: Mapping[str, Any], parameters: Any, schema: KeySchema
) -> bytes:
    members = _members(parameters, schema, Expressions())
    answer = await exchange.execute(operation, {"TableName": table, **request, **members})
    found = _common(answer)
    if attributes := answer.get("Attributes"):
        if members.get("ReturnValues") in ("UPDATED_OLD", "UPDATED_NEW"):
            names = items.attribute_names(attributes, schema)
            found[_ATTRIBUTES] = items.write_some_values(attributes, names, await exchange.names.number(names))
        else:
            found[_ATTRIBUTES] = await exchange.values(attributes, schema)
    return cbor.encode(found)


async def _put_item(exchange: Exchange, arguments: list[Any]) -> bytes:
    table = _text(arguments[0])
    schema = await exchange.proxy.key_schema(table)
    item = await exchange.item(arguments[2], items.read_key(_bytes(arguments[1]), schema))
    return await _written(exchange, "PutItem", table, {"Item": item}, arguments[3], schema)


async def _update_item(exchange: Exchange, arguments: list[Any]) -> bytes:
    table = _text(arguments[0])
    schema = await exchange.proxy.key_schema(table)
    key = items.read_key(_bytes(arguments[1]), schema)
    return await _written(exchange, "UpdateItem", table, {"Key": key}, arguments[2], schema)


async def _delete_item(exchange: Exchange, arguments: list[Any]) -> bytes:
    table = _text(arguments[0])
    schema = await exchange.proxy.key_schema(table)
    key = items.read_key(_bytes(arguments[1]), schema)
    return await _written(exchange, "DeleteItem", table, {"Key": key}, arguments[2], schema)


async def _query(exchange: Exchange, arguments: list[Any]) -> bytes:
    expressions = Expressions()
    if arguments[1] is not None:
        expressions.condition("KeyConditionExpression", _bytes(arguments[1]))
    return await _searched(exchange, "Query", _text(arguments[0]), arguments[2], expressions)


async def _scan(exchange: Exchange, arguments: list[Any]) -> bytes:
    return await _searched(exchange, "Scan", _text(arguments[0]), arguments[1], Expressions())


async def _searched(exchange: Exchange, operation: str, table: str, parameters: Any, expressions: Expressions) -> bytes:
    schema = await exchange.proxy.key_schema(table)
    members = _members(parameters, schema, expressions)
    answer = await exchange.execute(operation, {"TableName": table, **members})
    found = _common(answer)
    found[_COUNT], found[_SCANNED] = answer["Count"], answer["ScannedCount"]
    if "Items" in answer:
        paths = expressions.projection
        found[_ITEMS] = [
            items.write_projection(item, paths)
            if paths
            else [items.write_key(item, schema), await exchange.values(item, schema)]
            for item in answer["Items"]
        ]
    if last := answer.get("LastEvaluatedKey"):
        found[_LAST_KEY] = (
            cbor.encode({name: cbor.plain(value) for name, value in last.items()})
            if "IndexName" in members
            else items.write_key(last, schema)
        )
    return cbor.encode(found)


async def _batch_get_item(exchange: Exchange, arguments: list[Any]) -> bytes:
    asked: dict[str, Any] = {}
    projections: dict[str, Paths] = {}
    schemas: dict[str, KeySchema] = {}
    for name, part in _map(arguments[0]).items():
        table = _text(name)
        if len(_list(part)) != 3:
            raise Malformed("no keys")
        consistent, projection, keys = part
        schema = schemas[table] = await exchange.proxy.key_schema(table)
        expressions = Expressions()
        if projection is not None:
            expressions.project(_bytes(projection))
        projections[table] = expressions.projection
        asked[table] = {
            "ConsistentRead": bool(consistent),
            "Keys": [items.read_key(_bytes(key), schema) for key in _list(keys)],
            **expressions.members,
        }
    members = _members(arguments[1], None, Expressions())
    answer = await exchange.execute("BatchGetItem", {"RequestItems": asked, **members})
    responses: dict[str, list[Any]] = {}
    for table, found in answer["Responses"].items():
        written = responses[table] = []
        for item in found:
            if projections[table]:
                written.append(items.write_projection(item, projections[table]))
            else:
                written.append(items.write_key(item, schemas[table]))
                written.append(await exchange.values(item, schemas[table]))
    unprocessed = {
        table: [items.write_key(key, schemas[table]) for key in part["Keys"]]
        for table, part in (answer.get("UnprocessedKeys") or {}).items()
    }
    capacity = _capacities(answer)
    return cbor.encode([responses, unprocessed]) + cbor.encode([_consumed(one) for one in capacity])


def _capacities(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return answer.get("ConsumedCapacity") or []


async def _batch_write_item(exchange: Exchange, arguments: list[Any]) -> bytes:
    asked: dict[str, Any] = {}
    schemas: dict[str, KeySchema] = {}
    for name, part in _map(arguments[0]).items():
        table = _text(name)
        schema = schemas[table] = await exchange.proxy.key_schema(table)
        writes = asked[table] = []
        if len(_list(part)) % 2:
            raise Malformed("a key without values")
        for data, values in zip(part[::2], part[1::2], strict=True):
            key = items.read_key(_bytes(data), schema)
            if values is None:
                writes.append({"DeleteRequest": {"Key": key}})
            else:
                writes.append({"PutRequest": {"Item": await exchange.item(values, key)}})
    members = _members(arguments[1], None, Expressions())
    answer = await exchange.execute("BatchWriteItem", {"RequestItems": asked, **members})
    unprocessed: dict[str, list[Any]] = {}
    for table, left in (answer.get("UnprocessedItems") or {}).items():
        written = unprocessed[table] = []
        for write in left:
            item = write["PutRequest"]["Item"] if "PutRequest" in write else None
            written.append(items.write_key(item or write["DeleteRequest"]["Key"], schemas[table]))
            written.append(None if item is None else await exchange.values(item, schemas[table]))
    capacity = [_consumed(one) for one in _capacities(answer)]
    return b"".join(map(cbor.encode, (unprocessed, capacity, _collections(answer))))


def _columns(arguments: list[Any]) -> list[list[Any]]:
    """Arrays side by side, of which some may be missing, as rows."""
    count = len(_list(arguments[0]))
    columns = [[None] * count if one is None else _list(one) for one in arguments]
    if any(len(one) != count for one in columns):
        raise Malformed("arrays of different length")
    return [list(row) for row in zip(*columns, strict=True)]


async def _transact_get_items(exchange: Exchange, arguments: list[Any]) -> bytes:
    actions: list[Any] = []
    wanted: list[tuple[KeySchema, Paths]] = []
    for name, key, projection in _columns(arguments[:3]):
        table = _text(name)
        schema = await exchange.proxy.key_schema(table)
        expressions = Expressions()
        if projection is not None:
            expressions.project(_bytes(projection))
        wanted.append((schema, expressions.projection))
        get = {"TableName": table, "Key": items.read_key(_bytes(key), schema), **expressions.members}
        actions.append({"Get": get})
    members = _members(arguments[3], None, Expressions())
    answer = await exchange.execute("TransactGetItems", {"TransactItems": actions, **members})
    found: list[Any] = []
    for response, (schema, paths) in zip(answer["Responses"], wanted, strict=True):
        item = response.get("Item")
        if item is None:
            found.append(None)
        else:
            found.append(items.write_projection(item, paths) if paths else await exchange.values(item, schema))
    return cbor.encode([found, [_numbered(one) for one in _capacities(answer)]])


async def _transact_write_items(exchange: Exchange, arguments: list[Any]) -> bytes:
    actions: list[Any] = []
    for number, name, data, values, _, on_failure, condition, update in _columns(arguments[:8]):
        kind = _ACTIONS.get(number) if type(number) is int else None
        if kind is None:
            raise Malformed("no such action")
        if on_failure == 2:
            raise AWSError(
                "ValidationException", "ReturnValuesOnConditionCheckFailure is not implemented by Pileus in DAX."
            )
        table = _text(name)
        schema = await exchange.proxy.key_schema(table)
        key = items.read_key(_bytes(data), schema)
        expressions = Expressions()
        if condition is not None:
            expressions.condition("ConditionExpression", _bytes(condition))
        if update is not None:
            expressions.update(_bytes(update))
        what = {"Item": await exchange.item(values, key)} if kind == "Put" else {"Key": key}
        actions.append({kind: {"TableName": table, **what, **expressions.members}})
    members = _members(arguments[8], None, Expressions())
    answer = await exchange.execute("TransactWriteItems", {"TransactItems": actions, **members})
    return cbor.encode([None, [_numbered(one) for one in _capacities(answer)], _collections(answer)])


async def _endpoints(exchange: Exchange, arguments: list[Any]) -> bytes:
    """One: all nodes of a cluster are this process, and share its caches."""
    cluster = exchange.proxy.cluster
    address = ipaddress.ip_address(exchange.address.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    node = {0: 1, 1: str(address), 2: address.packed, 3: cluster.port, 4: _LEADER, 5: cluster.nodes[0].zone, 6: 1}
    return cbor.encode([node])


async def _define_key_schema(exchange: Exchange, arguments: list[Any]) -> bytes:
    return cbor.encode(dict((await exchange.proxy.key_schema(_text(arguments[0]))).attributes))


async def _define_attribute_list(exchange: Exchange, arguments: list[Any]) -> bytes:
    if type(arguments[0]) is not int:
        raise Malformed("no number")
    names = await exchange.names.names(arguments[0])
    if names is None:
        raise Malformed("no such list of names")
    return cbor.encode(list(names))


async def _define_attribute_list_id(exchange: Exchange, arguments: list[Any]) -> bytes:
    names = [_text(name) for name in _list(arguments[0])]
    if sum(len(name.encode()) for name in names) > BYTES_MAX:
        raise Malformed("too many names")
    return cbor.encode(await exchange.names.number(names))


METHODS = {
    263244906: Method(3, _get_item),
    -2106490455: Method(4, _put_item),
    1425579023: Method(3, _update_item),
    1013539361: Method(3, _delete_item),
    -931250863: Method(3, _query),
    -1875390620: Method(2, _scan),
    -697851100: Method(2, _batch_get_item),
    116217951: Method(2, _batch_write_item),
    1866287579: Method(4, _transact_get_items),
    -1160037738: Method(9, _transact_write_items),
    455855874: Method(0, _endpoints),
    -742646399: Method(1, _define_key_schema),
    670678385: Method(1, _define_attribute_list),
    -1230579644: Method(1, _define_attribute_list_id),
}
