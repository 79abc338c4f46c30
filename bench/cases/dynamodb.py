"""DynamoDB: putting and getting items of 400 bytes, on 64 connections and on one."""

from __future__ import annotations

import json
from collections.abc import Iterator

from bench.client import ask_all, aws, dynamodb, expect
from bench.load import Requests
from bench.servers import Cannot, Server

TABLE = "bench"
ITEMS = 4000
ITEM_BYTES = 400


def item(number: int) -> dict[str, dict[str, str]]:
    """400 bytes as DynamoDB counts them: attribute names and UTF-8 values."""
    known = {"pk": f"item-{number:08}", "kind": "measurement", "note": ""}
    known["note"] = "x" * (ITEM_BYTES - sum(len(name) + len(value) for name, value in known.items()))
    return {name: {"S": value} for name, value in known.items()}


def run(server: Server, quick: bool) -> Iterator[tuple[str, list[float]]]:
    aws(server, "dynamodb").create_table(
        TableName=TABLE,
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    aws(server, "dynamodb").get_waiter("table_exists").wait(TableName=TABLE, WaiterConfig={"Delay": 1})
    items = [item(number) for number in range(ITEMS)]
    bodies = {
        "put": [json.dumps({"TableName": TABLE, "Item": each}).encode() for each in items],
        "get": [json.dumps({"TableName": TABLE, "Key": {"pk": each["pk"]}}).encode() for each in items],
    }
    # So that a get finds every item, however slowly the measured puts go.
    expect(ask_all(server, [dynamodb(server, "PutItem", body) for body in bodies["put"]], 16))
    seconds, rounds = (1, 1) if quick else (3, 3)
    for what, operation in (("put", "PutItem"), ("get", "GetItem")):
        requests = Requests([dynamodb(server, operation, body) for body in bodies[what]])
        for connections in (64, 1):
            requests.run(server, connections, 1)
            loads = [requests.run(server, connections, seconds) for _ in range(rounds)]
            yield f"dynamodb_{what}_{connections}_per_s", [load.per_s for load in loads]
            if connections == 64:
                yield f"dynamodb_{what}_cpu_us", [load.cpu_us for load in loads]
    sample = (0, ITEMS // 2, ITEMS - 1)
    gets = [dynamodb(server, "GetItem", bodies["get"][number]) for number in sample]
    for number, (_, answer) in zip(sample, ask_all(server, gets, 1), strict=True):
        if json.loads(answer).get("Item") != items[number]:
            raise Cannot(f"GetItem answered {answer[:200].decode(errors='replace')}")
