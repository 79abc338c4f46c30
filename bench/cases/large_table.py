"""One large DynamoDB table beside a small one: whether what is asked costs more as the table grows.

`PILEUS_BENCH_ITEMS` says how large: a million items where it says nothing, 200,000 in a quick run.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import time
from functools import partial

from bench.cases import start
from bench.cases.dynamodb import BATCH, QUERIED, create_table, get_body, put_batch, put_body, query_body
from bench.client import Connection, ask_all, aws, dynamodb, expect
from bench.gauge import Figures, Round, during, repeat, untimed
from bench.load import Requests
from bench.servers import Cannot, Server, await_answer, spawn, stop

TABLES = {"small": 10_000, "large": 1_000_000}
QUICK_ITEMS = 200_000
# Items that the index is filled with, from a table of its own.
INDEXED = 100_000
SAMPLE = 4000
# Batches on their way at once, and signed at once.
CONNECTIONS = 8
SIGNED = 1000


def run(server: Server, quick: bool) -> Figures:
    sizes = TABLES | {"large": int(os.environ.get("PILEUS_BENCH_ITEMS") or (QUICK_ITEMS if quick else TABLES["large"]))}
    for table, size in sizes.items():
        create_table(server, table, "pk", "sk")
        seconds, speed = during(_load, server, table, size)
        if table == "large":
            yield "large_load_per_s", [(size / seconds, speed)]
    yield from _shares(server, sizes, quick)
    yield "large_scan_per_s", repeat(lambda: during(_scan_per_s, server, "large"), quick)
    create_table(server, "indexed", "pk", "sk")
    _load(server, "indexed", INDEXED)
    yield "large_backfill_per_s", [during(_backfill_per_s, server)]
    server.settle()
    yield "large_memory_mb", untimed(server.pss_mb())
    stop(server, keep=True)
    yield "large_restart_ms", repeat(lambda: _restart_ms(server.name, sizes["large"]), quick)


def _restart_ms(name: str, size: int) -> Round[float]:
    again = spawn(name, anew=False)
    try:
        seconds, speed = during(await_answer, again, start.answers)
        get = dynamodb(again, "GetItem", get_body("large", size - 1))
        if b'"Item"' not in ask_all(again, [get], 1)[0][1]:
            raise Cannot("the last item is not there after a restart")
        return seconds * 1000, speed
    finally:
        stop(again, keep=True)


def _load(server: Server, table: str, size: int) -> float:
    """Seconds for putting so many items, in batches on a few connections; what signing them takes does not count."""
    took = 0.0
    for first in range(0, size, SIGNED * BATCH):
        batches = range(first, min(size, first + SIGNED * BATCH), BATCH)
        requests = [put_batch(server, table, number) for number in batches]
        begun = time.perf_counter()
        answers = ask_all(server, requests, CONNECTIONS)
        took += time.perf_counter() - begun
        expect(answers)
        if any(b'"PutRequest"' in answer for _, answer in answers):
            raise Cannot("a batch was not taken whole")
    return took


def _shares(server: Server, sizes: dict[str, int], quick: bool) -> Figures:
    """How much longer one client waits for the large table than for the small one; they take turns."""
    chance = random.Random(1)
    for what, operation in (("get", "GetItem"), ("put", "PutItem"), ("query", "Query")):
        requests = {}
        for table, size in sizes.items():
            numbers = [chance.randrange(size) for _ in range(SAMPLE)]
            match what:
                case "get":
                    bodies = [get_body(table, number) for number in numbers]
                case "put":
                    bodies = [put_body(table, number) for number in numbers]
                case _:
                    bodies = [query_body(table, number // QUERIED) for number in numbers]
            requests[table] = Requests([dynamodb(server, operation, body) for body in bodies], table)
        yield f"large_{what}_share", repeat(partial(during, _share, server, requests), quick, wanted=5, limit_s=30.0)


def _share(server: Server, requests: dict[str, Requests]) -> float:
    took = dict.fromkeys(requests, 0.0)
    # There and back: what the machine gains or loses in speed meanwhile does not favour one of the two.
    for table in (*requests, *reversed(requests)):
        took[table] += 1 / requests[table].run(server, 1, 1).per_s
    return took["large"] / took["small"]


def _scan_per_s(server: Server, table: str, seconds: float = 3.0) -> float:
    """Items that one client gets, page after page."""
    body, found, begun = {"TableName": table}, 0, time.perf_counter()
    with Connection(server) as connection:
        while time.perf_counter() - begun < seconds:
            status, answer = connection.ask(dynamodb(server, "Scan", json.dumps(body).encode()))
            if status == 400 and b"TableReadAccountLimitExceeded" in answer:
                # A table gives 40,000 units, 320 MB, in a second: AWS's clients wait, too, and their time counts.
                time.sleep(0.01)
                continue
            expect([(status, answer)])
            # The end of the page says it: nobody has to wait for this client to read a megabyte of JSON.
            end = json.loads(b"{" + answer[answer.rindex(b'"Count"') :])
            found += end["Count"]
            if "LastEvaluatedKey" not in end:
                break
            body["ExclusiveStartKey"] = end["LastEvaluatedKey"]
    return found / (time.perf_counter() - begun)


def _backfill_per_s(server: Server) -> float:
    """Items that come into a new index in a second, while one client puts others."""
    client = aws(server, "dynamodb")
    put = dynamodb(server, "PutItem", put_body("small", 1))
    begun = time.perf_counter()
    client.update_table(
        TableName="indexed",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("kind", "pk")],
        GlobalSecondaryIndexUpdates=[
            {
                "Create": {
                    "IndexName": "by-kind",
                    "KeySchema": [
                        {"AttributeName": "kind", "KeyType": "HASH"},
                        {"AttributeName": "pk", "KeyType": "RANGE"},
                    ],
                    "Projection": {"ProjectionType": "ALL"},
                }
            }
        ],
    )
    waits = []
    with Connection(server) as connection:
        while time.perf_counter() - begun < 120:
            for _ in range(50):
                at = time.perf_counter()
                expect([connection.ask(put)])
                waits.append(time.perf_counter() - at)
            index = client.describe_table(TableName="indexed")["Table"]["GlobalSecondaryIndexes"][0]
            if index["IndexStatus"] == "ACTIVE":
                took = time.perf_counter() - begun
                print(f"  while it was filled a put took {statistics.median(waits) * 1000:.2f} ms (median)", flush=True)
                return INDEXED / took
    raise Cannot("the index was not filled within two minutes")
