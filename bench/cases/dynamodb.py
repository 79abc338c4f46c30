"""DynamoDB: items of 400 bytes put, got, updated, queried and put in transactions, on 64 connections and on one."""

from __future__ import annotations

import json
from typing import Any

from bench.client import ask_all, aws, dynamodb, expect
from bench.gauge import Figures
from bench.load import Requests
from bench.servers import Cannot, Server

TABLE = "bench"
# Transactions go to each in turn: what one table may write in a second, four puts at a time reach at 5,000.
TABLES = ("bench-0", TABLE, "bench-2", "bench-3")
# Queries, too: what one may read in a second, 50 items at a time reach at 16,000.
SORTED = ("bench-sorted-0", "bench-sorted-1")
ITEMS = 4000
ITEM_BYTES = 400
# Items that a query finds, and writes of a transaction.
QUERIED = 50
TOGETHER = 4
BATCH = 25

Item = dict[str, dict[str, str]]


def item(number: int, **more: str) -> Item:
    """400 bytes as DynamoDB counts them: attribute names and UTF-8 values."""
    known = {"pk": f"item-{number:08}", "kind": "measurement", "note": "", **more}
    known["note"] = "x" * (ITEM_BYTES - sum(len(name) + len(value) for name, value in known.items()))
    return {name: {"S": value} for name, value in known.items()}


def sorted_item(number: int) -> Item:
    """The same in a table with a sort key: always `QUERIED` of them have one partition."""
    return item(number // QUERIED, sk=f"{number % QUERIED:04}")


def create_table(server: Server, name: str, *key: str) -> None:
    client = aws(server, "dynamodb")
    client.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": each, "AttributeType": "S"} for each in key],
        KeySchema=[
            {"AttributeName": each, "KeyType": kind} for each, kind in zip(key, ("HASH", "RANGE"), strict=False)
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})


def run(server: Server, quick: bool) -> Figures:
    for table in TABLES:
        create_table(server, table, "pk")
    for table in SORTED:
        create_table(server, table, "pk", "sk")
    items = [item(number) for number in range(ITEMS)]
    # So that a get finds every item, however slowly the measured puts go.
    expect(ask_all(server, [dynamodb(server, "PutItem", _body(TABLE, Item=each)) for each in items], 16))
    batches = [put_batch(server, table, first) for table in SORTED for first in range(0, ITEMS, BATCH)]
    expect(ask_all(server, batches, 4))
    seconds = 1 if quick else 2
    bodies = _bodies(items)
    # Transactions last: not every server has them, and what comes after an error is not measured.
    for what, (operation, each) in bodies.items():
        requests = Requests([dynamodb(server, operation, body) for body in each])
        for connections in (64, 1) if what in ("put", "get") else (64,):
            requests.run(server, connections, 1)
            loads = requests.rounds(server, connections, seconds, quick)
            yield f"dynamodb_{what}_{connections}_per_s", [(load.per_s, speed) for load, speed in loads]
            if connections == 64:
                yield f"dynamodb_{what}_cpu_us", [(load.cpu_us, speed) for load, speed in loads]
        _check(server, what, bodies, items)


def _body(table: str, **more: Any) -> bytes:
    return json.dumps({"TableName": table, **more}).encode()


def put_batch(server: Server, table: str, first: int) -> bytes:
    """BatchWriteItem of `BATCH` items of a table with a sort key, from that number on."""
    puts = [{"PutRequest": {"Item": sorted_item(number)}} for number in range(first, first + BATCH)]
    return dynamodb(server, "BatchWriteItem", json.dumps({"RequestItems": {table: puts}}).encode())


def get_body(table: str, number: int) -> bytes:
    """GetItem's, for a table with a sort key."""
    known = sorted_item(number)
    return _body(table, Key={"pk": known["pk"], "sk": known["sk"]})


def put_body(table: str, number: int) -> bytes:
    """PutItem's, for a table with a sort key."""
    return _body(table, Item=sorted_item(number))


def query_body(table: str, partition: int) -> bytes:
    values = {":pk": {"S": f"item-{partition:08}"}}
    return _body(table, KeyConditionExpression="pk = :pk", ExpressionAttributeValues=values)


def _bodies(items: list[Item]) -> dict[str, tuple[str, list[bytes]]]:
    update = {
        "UpdateExpression": "SET hits = if_not_exists(hits, :none) + :one, seen = :now",
        "ConditionExpression": "kind = :kind AND attribute_exists(note)",
        "ExpressionAttributeValues": {
            ":none": {"N": "0"},
            ":one": {"N": "1"},
            ":now": {"S": "2026-11-26T12:00:00Z"},
            ":kind": {"S": "measurement"},
        },
    }
    groups = [items[first : first + TOGETHER] for first in range(0, ITEMS, TOGETHER)]
    return {
        "put": ("PutItem", [_body(TABLE, Item=each) for each in items]),
        "get": ("GetItem", [_body(TABLE, Key={"pk": each["pk"]}) for each in items]),
        "update": ("UpdateItem", [_body(TABLE, Key={"pk": each["pk"]}, **update) for each in items]),
        "query": ("Query", [query_body(table, at) for at in range(ITEMS // QUERIED) for table in SORTED]),
        "transact": ("TransactWriteItems", [_transaction(number, group) for number, group in enumerate(groups)]),
    }


def _transaction(number: int, group: list[Item]) -> bytes:
    table = TABLES[number % len(TABLES)]
    return json.dumps({"TransactItems": [{"Put": {"TableName": table, "Item": each}} for each in group]}).encode()


def _check(server: Server, what: str, bodies: dict[str, tuple[str, list[bytes]]], items: list[Item]) -> None:
    """What is there must be what these requests make."""
    if what == "query":
        for _, answer in ask_all(server, [dynamodb(server, "Query", body) for body in bodies["query"][1][:3]], 1):
            if json.loads(answer).get("Count") != QUERIED:
                raise Cannot(f"Query answered {answer[:200].decode(errors='replace')}")
        return
    sample = (TOGETHER, ITEMS // 2, ITEMS - 1)
    gets = [dynamodb(server, "GetItem", bodies["get"][1][number]) for number in sample]
    for number, (_, answer) in zip(sample, ask_all(server, gets, 1), strict=True):
        found = json.loads(answer).get("Item") or {}
        same = {name: found.get(name) for name in items[number]} == items[number]
        # The second request that was made, which the slowest server has come to: the generator skips its first one.
        if number == sample[0]:
            same = same and ("hits" in found) == (what == "update")
        if not same:
            raise Cannot(f"after {what} GetItem answered {answer[:200].decode(errors='replace')}")
