"""Requests through a cluster: answered from its caches, or by DynamoDB as the cluster's role.

Sources: "DAX: How it works" (request processing, item cache, query cache), "DAX and DynamoDB consistency models"
(negative caching, strongly consistent and transactional reads), "DAX access control" of the DynamoDB developer guide.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import Any

import orjson

from pileus.cloud.context import Cloud
from pileus.cloud.metrics import Metric, Series
from pileus.cloud.roles import RoleSessions
from pileus.kernel.errors import AWSError
from pileus.kernel.principal import Principal
from pileus.kernel.raw import RawJson
from pileus.services.dax.cache import Cache
from pileus.services.dax.protocol.items import KeySchema
from pileus.services.dax.records import Cluster

Request = Mapping[str, Any]
Answer = Mapping[str, Any]

OPERATIONS = (
    "GetItem",
    "BatchGetItem",
    "Query",
    "Scan",
    "PutItem",
    "UpdateItem",
    "DeleteItem",
    "BatchWriteItem",
    "TransactGetItems",
    "TransactWriteItems",
)
# The permission of an operation, where it is not its own name.
_WRITES = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}

# A caller may go on for this long after a permission was taken from it.
_ALLOWED_FOR_S = 1.0
_SCHEMAS_FOR_S = 60.0

_ITEM_HITS, _ITEM_MISSES = (Metric("AWS/DAX", name) for name in ("ItemCacheHits", "ItemCacheMisses"))
_QUERY_HITS, _QUERY_MISSES = (Metric("AWS/DAX", name) for name in ("QueryCacheHits", "QueryCacheMisses"))
_SCAN_HITS, _SCAN_MISSES = (Metric("AWS/DAX", name) for name in ("ScanCacheHits", "ScanCacheMisses"))
_REQUESTS, _ERRORS = (Metric("AWS/DAX", name) for name in ("TotalRequestCount", "ErrorRequestCount"))

# Keeps every digit of a number of DynamoDB's.
_EXACT = Context(prec=40, Emax=999, Emin=-999)

# What a write that returns nothing asks DynamoDB for, to have the item as it is now.
_NONE, _ALL_NEW = "NONE", "ALL_NEW"


@dataclass(frozen=True, slots=True)
class Caller:
    principal: Principal
    source_ip: str = ""


class Kept(dict[str, Any]):
    """The answer about an item that the cache holds, and what it is as clients of the table with this key read it."""

    __slots__ = ("written",)

    written: tuple[KeySchema, bytes] | None

    def __init__(self, item: Any) -> None:
        """None: there is no such item."""
        if item is not None:
            self["Item"] = item
        self.written = None


class Proxy:
    """One cluster. Its caches are this node's memory, and empty after a start."""

    def __init__(self, cloud: Cloud, cluster: Cluster, *, item_ttl_s: float, query_ttl_s: float) -> None:
        self._cloud = cloud
        self.cluster = cluster
        self.item_ttl_s = item_ttl_s
        self.query_ttl_s = query_ttl_s
        self._items = Cache()
        self._queries = Cache()
        self._schemas: dict[str, tuple[KeySchema, float]] = {}
        # By caller and action: until when it need not be asked for again.
        self._allowed: dict[tuple[str, str, str], float] = {}
        # How many writes of an item are under way; items that several wrote at once, of which nobody knows the last.
        self._writing: Counter[bytes] = Counter()
        self._contested: set[bytes] = set()
        self._series: dict[Metric, Series] = {}

    def clear(self) -> None:
        """As after a reboot of all nodes."""
        self._items.clear()
        self._queries.clear()
        self._schemas.clear()

    async def execute(self, caller: Caller, operation: str, request: Request) -> Answer:
        """One of `OPERATIONS`, with the members that DynamoDB takes. Raises `AWSError`."""
        self._count(_REQUESTS)
        try:
            for action in _actions(operation, request):
                await self.allow(caller, action)
            match operation:
                case "GetItem":
                    return await self._get(request)
                case "BatchGetItem":
                    return await self._batch_get(request)
                case "Query" | "Scan":
                    return await self._query(operation, request)
                case "TransactGetItems":
                    return await self._pass(operation, request)
                case _:
                    return await self._write(operation, request)
        except AWSError:
            self._count(_ERRORS)
            raise

    async def allow(self, caller: Caller, action: str) -> None:
        """Raise unless `caller` may do `dax:{action}` with this cluster."""
        now = self._cloud.clock.monotonic()
        who = caller.principal
        key = (who.arn or who.service, who.access_key_id, action)
        if self._allowed.get(key, 0.0) > now:
            return
        cluster = self.cluster
        await self._cloud.gate.allow(
            who, f"dax:{action}", cluster.arn, region=cluster.region, source_ip=caller.source_ip
        )
        if len(self._allowed) > 10_000:
            self._allowed.clear()
        self._allowed[key] = now + _ALLOWED_FOR_S

    async def key_schema(self, table: str) -> KeySchema:
        """Raises DynamoDB's error where there is no such table."""
        now = self._cloud.clock.monotonic()
        found = self._schemas.get(table)
        if found is None or found[1] <= now:
            described = (await self._pass("DescribeTable", {"TableName": table}))["Table"]
            types = {one["AttributeName"]: one["AttributeType"] for one in described["AttributeDefinitions"]}
            names = [one["AttributeName"] for one in sorted(described["KeySchema"], key=lambda one: one["KeyType"])]
            found = KeySchema(tuple((name, types[name]) for name in names)), now + _SCHEMAS_FOR_S
            self._schemas[table] = found
        return found[0]

    # Reads

    async def _get(self, request: Request) -> Answer:
        if request.get("ConsistentRead"):
            return await self._pass("GetItem", request)
        now = self._cloud.clock.monotonic()
        group, key = _item_group(request["TableName"], request["Key"]), _projection(request)
        known = self._items.get(group, key, now)
        if known is not None:
            self._count(_ITEM_HITS)
            return _without_capacity(known, request, request["TableName"])
        self._count(_ITEM_MISSES)
        version = self._items.version
        answer = await self._pass("GetItem", request)
        if version == self._items.version:
            self._keep_item(group, key, answer.get("Item"), now)
        return answer

    def _keep_item(self, group: bytes, key: str, item: Any, now: float) -> None:
        """Keep an item, or that there is none."""
        # Twice: what is written of it for clients is about as large.
        size = 2 * _size(item) + len(group)
        self._items.put(group, key, Kept(item), size=size, now=now, ttl_s=self.item_ttl_s)

    async def _batch_get(self, request: Request) -> Answer:
        now = self._cloud.clock.monotonic()
        answered: dict[str, list[Any]] = {}
        asked: dict[str, Any] = {}
        for table, part in request["RequestItems"].items():
            missing = []
            for wanted in part["Keys"]:
                known = None
                if not part.get("ConsistentRead"):
                    known = self._items.get(_item_group(table, wanted), _projection(part), now)
                    self._count(_ITEM_MISSES if known is None else _ITEM_HITS)
                if known is None:
                    missing.append(wanted)
                elif "Item" in known:
                    answered.setdefault(table, []).append(known["Item"])
            if missing:
                asked[table] = {**part, "Keys": missing}
        if not asked:
            return {"Responses": {table: answered.get(table, []) for table in request["RequestItems"]}} | {
                "UnprocessedKeys": {}
            }
        version = self._items.version
        answer = dict(await self._pass("BatchGetItem", {**request, "RequestItems": asked}))
        if version == self._items.version:
            for table, part in asked.items():
                await self._keep_items(table, part, answer, now)
        answer["Responses"] = {
            table: [*answered.get(table, ()), *answer["Responses"].get(table, ())] for table in request["RequestItems"]
        }
        return answer

    async def _keep_items(self, table: str, part: Request, answer: Answer, now: float) -> None:
        if part.get("ConsistentRead") or _projection(part):
            # Of what a projection leaves of an item, the key need not be part.
            return
        schema = await self.key_schema(table)
        unprocessed = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", ())
        missing = {_item_group(table, key) for key in part["Keys"]} - {_item_group(table, key) for key in unprocessed}
        for item in answer["Responses"].get(table, ()):
            group = _item_group(table, {name: item[name] for name, _ in schema.attributes})
            missing.discard(group)
            self._keep_item(group, "", item, now)
        for group in missing:
            self._keep_item(group, "", None, now)

    async def _query(self, operation: str, request: Request) -> Answer:
        hits, misses = (_QUERY_HITS, _QUERY_MISSES) if operation == "Query" else (_SCAN_HITS, _SCAN_MISSES)
        if request.get("ConsistentRead"):
            return await self._pass(operation, request)
        now = self._cloud.clock.monotonic()
        asked = {name: value for name, value in request.items() if name != "ReturnConsumedCapacity"}
        key = operation + orjson.dumps(asked, default=_plain, option=orjson.OPT_SORT_KEYS).decode()
        known = self._queries.get("", key, now)
        if known is not None:
            self._count(hits)
            return _without_capacity(known, request, request["TableName"])
        self._count(misses)
        answer = await self._pass(operation, request)
        if self.query_ttl_s:
            kept = {name: value for name, value in answer.items() if name != "ConsumedCapacity"}
            size = len(key) + sum(_size(item) for item in answer.get("Items", ()))
            self._queries.put("", key, kept, size=size, now=now, ttl_s=self.query_ttl_s)
        return answer

    # Writes

    async def _write(self, operation: str, request: Request) -> Answer:
        """Through to DynamoDB; then what the caches hold of it is as DynamoDB has it, or gone."""
        groups = await self._written(operation, request)
        asked = request
        if operation == "UpdateItem" and request.get("ReturnValues", _NONE) == _NONE:
            asked = {**request, "ReturnValues": _ALL_NEW}
        self._writing.update(groups)
        self._contested.update(group for group in groups if self._writing[group] > 1)
        try:
            answer = await self._pass(operation, asked)
            alone = len(groups) == 1 and groups[0] not in self._contested
        finally:
            for group in groups:
                # Also after an error: it may have come after the write.
                self._items.drop(group)
                self._writing[group] -= 1
                if not self._writing[group]:
                    del self._writing[group]
                    self._contested.discard(group)
        if alone:
            self._keep_written(operation, groups[0], asked, answer)
        if asked is not request:
            answer = {name: value for name, value in answer.items() if name != "Attributes"}
        return answer

    def _keep_written(self, operation: str, group: bytes, request: Request, answer: Answer) -> None:
        now = self._cloud.clock.monotonic()
        if operation == "PutItem":
            kept = {name: _as_answered(value) for name, value in request["Item"].items()}
            self._keep_item(group, "", kept, now)
        elif operation == "DeleteItem":
            self._keep_item(group, "", None, now)
        elif operation == "UpdateItem" and request.get("ReturnValues") == _ALL_NEW:
            self._keep_item(group, "", answer["Attributes"], now)

    async def _written(self, operation: str, request: Request) -> list[bytes]:
        match operation:
            case "PutItem":
                return [await self._group_of(request["TableName"], request["Item"])]
            case "UpdateItem" | "DeleteItem":
                return [_item_group(request["TableName"], request["Key"])]
            case "BatchWriteItem":
                return [
                    await self._group_of(table, inner.get("Item"), inner.get("Key"))
                    for table, writes in request["RequestItems"].items()
                    for write in writes
                    for inner in write.values()
                ]
            case _:
                return [
                    await self._group_of(inner["TableName"], inner.get("Item"), inner.get("Key"))
                    for action in request["TransactItems"]
                    for inner in action.values()
                ]

    async def _group_of(self, table: str, item: Any, key: Any = None) -> bytes:
        if key is None:
            schema = await self.key_schema(table)
            key = {name: item[name] for name, _ in schema.attributes if name in item}
        return _item_group(table, key)

    async def _pass(self, operation: str, request: Request) -> dict[str, Any]:
        cluster = self.cluster
        role = await self._cloud.part(RoleSessions).principal(
            "dax", cluster.role, source_arn=cluster.arn, session_name=cluster.name
        )
        return await self._cloud.call(role, "dynamodb", operation, request, region=cluster.region)

    def _count(self, metric: Metric) -> None:
        series = self._series.get(metric)
        if series is None:
            cluster = self.cluster
            dimensions = (("ClusterId", cluster.name),)
            series = self._cloud.metrics.series(metric, cluster.account, cluster.region, dimensions)
            self._series[metric] = series
        series.add(1.0, self._cloud.clock.time())


def _actions(operation: str, request: Request) -> Sequence[str]:
    if operation == "TransactGetItems":
        return ("GetItem",)
    if operation == "TransactWriteItems":
        return sorted({_WRITES.get(kind, kind) for action in request["TransactItems"] for kind in action})
    return (operation,)


def _item_group(table: str, key: Any) -> bytes:
    """What stands for one item: its table and key, in which equal numbers are spelled the same."""
    spelled = {
        name: {kind: _number(part) if kind == "N" else part for kind, part in value.items()}
        for name, value in key.items()
    }
    return table.encode() + b"/" + orjson.dumps(spelled, default=_plain, option=orjson.OPT_SORT_KEYS)


def _number(text: str) -> str:
    try:
        return str(Decimal(text).normalize(_EXACT))
    except ArithmeticError:
        # Not one: DynamoDB will say so.
        return text


def _as_answered(value: Any) -> Any:
    """An AttributeValue as DynamoDB will answer it: numbers without exponents and superfluous zeros."""
    ((kind, inner),) = value.items()
    match kind:
        case "N":
            return {"N": format(Decimal(inner).normalize(_EXACT), "f")}
        case "NS":
            return {"NS": [format(Decimal(one).normalize(_EXACT), "f") for one in inner]}
        case "L":
            return {"L": [_as_answered(one) for one in inner]}
        case "M":
            return {"M": {name: _as_answered(one) for name, one in inner.items()}}
        case _:
            return value


def _projection(request: Request) -> str:
    """What stands for the part of an item that a request wants; "" for all of it."""
    names = request.get("ExpressionAttributeNames")
    wanted = request.get("ProjectionExpression") or request.get("AttributesToGet")
    return orjson.dumps([wanted, names], option=orjson.OPT_SORT_KEYS).decode() if wanted else ""


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value).__name__)


def _size(item: Any) -> int:
    if item is None:
        return 0
    return len(item.json) if isinstance(item, RawJson) else len(orjson.dumps(item, default=_plain))


def _without_capacity(known: Answer, request: Request, table: str) -> Answer:
    """A hit costs nothing; whoever asks is told so."""
    if request.get("ReturnConsumedCapacity", _NONE) == _NONE:
        return known
    return {**known, "ConsumedCapacity": {"TableName": table, "CapacityUnits": 0.0}}
