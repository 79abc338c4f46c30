"""A disk that is full: writes are refused, reads go on, and nothing is corrupted or half there afterwards."""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from dynamodb_cases import definition, index

ROOM_BYTES = 256 * 1024
NOTE = "x" * 4000


def write(client: Any, number: int) -> None:
    """Two items of one transaction."""
    puts = [
        {"id": {"S": f"{number:05}-{half}"}, "g": {"S": f"g{number % 3}"}, "note": {"S": NOTE}}
        for half in ("one", "two")
    ]
    client.transact_write_items(TransactItems=[{"Put": {"TableName": "table", "Item": each}} for each in puts])


def check(client: Any, acknowledged: set[int], refused: set[int]) -> None:
    """What was acknowledged is there, nothing is half there, and the index says the same."""
    seen = []
    for name in ({}, {"IndexName": "idx"}):
        pages = client.get_paginator("scan").paginate(TableName="table", **name)
        seen.append(sorted(item["id"]["S"] for page in pages for item in page["Items"]))
    assert seen[0] == seen[1]
    whole = {int(found[:5]) for found in seen[0]}
    assert seen[0] == sorted(f"{number:05}-{half}" for number in whole for half in ("one", "two"))
    assert acknowledged <= whole
    assert not refused & whole


def test_a_full_disk_refuses_writes_and_keeps_what_was_acknowledged(
    start_pileus: Callable[..., Any], aws: Any, tmp_path: Path
) -> None:
    """A limit on the size of files stands for the full disk: it can be set and lifted under a running node."""
    server = start_pileus(data_dir=tmp_path / "data", durability="full")
    mine = type(aws)(server.endpoint)
    client = mine.client("dynamodb")
    client.create_table(
        TableName="table", **definition("id:S | g:S", GlobalSecondaryIndexes=[index("idx", "g", kind="KEYS_ONLY")])
    )
    acknowledged, refused, answers = set(), set(), set()
    for number in range(20):
        write(client, number)
        acknowledged.add(number)
    pid, (_, hard) = server.process.pid, resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    largest = max(file.stat().st_size for file in (tmp_path / "data").rglob("store.db*"))
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (largest + ROOM_BYTES, hard))
    number = 20
    while len(refused) < 5:
        number += 1
        assert number < 1000, "the disk did not become full"
        try:
            write(client, number)
            acknowledged.add(number)
        except ClientError as error:
            refused.add(number)
            answers.add((error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]))
    assert answers == {(503, "ServiceUnavailable")}
    check(client, acknowledged, refused)
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard, hard))
    for again in range(number + 1, number + 20):
        write(client, again)
        acknowledged.add(again)
    check(client, acknowledged, refused)
    server.kill()
    server = start_pileus(data_dir=tmp_path / "data")
    check(type(aws)(server.endpoint, mine.account).client("dynamodb"), acknowledged, refused)
