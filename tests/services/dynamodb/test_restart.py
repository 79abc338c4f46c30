"""What stays when a node stops, is killed, and starts again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dynamodb_cases import definition, index


@pytest.mark.parametrize("killed", [False, True])
def test_what_was_acknowledged_is_there_again(
    start_pileus: Callable[..., Any], aws: Any, tmp_path: Path, killed: bool
) -> None:
    account = type(aws)
    server = start_pileus(data_dir=tmp_path / "data")
    mine = account(server.endpoint)
    client = mine.client("dynamodb")
    client.create_table(
        TableName="table", **definition("id:S | g:S", GlobalSecondaryIndexes=[index("idx", "g", kind="KEYS_ONLY")])
    )
    for number in range(30):
        client.put_item(TableName="table", Item={"id": {"S": f"i{number}"}, "g": {"S": "g"}, "x": {"B": b"x"}})
    client.update_time_to_live(TableName="table", TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"})
    if killed:
        server.kill()
    else:
        assert server.stop() == 0, server.log.read_text()

    server = start_pileus(data_dir=tmp_path / "data")
    client = account(server.endpoint, mine.account).client("dynamodb")
    assert client.get_item(TableName="table", Key={"id": {"S": "i7"}})["Item"] == {
        "id": {"S": "i7"},
        "g": {"S": "g"},
        "x": {"B": b"x"},
    }
    assert client.scan(TableName="table")["Count"] == 30
    found = client.query(
        TableName="table",
        IndexName="idx",
        KeyConditionExpression="g = :g",
        ExpressionAttributeValues={":g": {"S": "g"}},
    )
    assert found["Count"] == 30

    def counts() -> tuple[int, int]:
        described = client.describe_table(TableName="table")["Table"]
        return described["ItemCount"], described["GlobalSecondaryIndexes"][0]["ItemCount"]

    while killed and counts() != (30, 30):  # counted anew by a loop, one after the other
        pass
    assert counts() == (30, 30)
    ttl = client.describe_time_to_live(TableName="table")["TimeToLiveDescription"]
    assert ttl["AttributeName"] == "expires"


def test_counts_survive_kills(start_pileus: Callable[..., Any], aws: Any, tmp_path: Path) -> None:
    """A node that was killed leaves tables whose counts are not written; they are counted while they are changed."""
    account = type(aws)
    server = start_pileus("--clock", "virtual", data_dir=tmp_path / "data")
    mine = account(server.endpoint)
    client = mine.client("dynamodb")
    client.create_table(TableName="table", **definition("id:S | g:S", GlobalSecondaryIndexes=[index("idx", "g")]))

    def put(start: int, stop: int) -> None:
        for at in range(start, stop, 25):
            items = [{"id": {"S": f"i{number:04}"}, "g": {"S": "g"}} for number in range(at, at + 25)]
            client.batch_write_item(RequestItems={"table": [{"PutRequest": {"Item": item}} for item in items]})

    def counts() -> tuple[int, int, int, int]:
        table = client.describe_table(TableName="table")["Table"]
        found = table["GlobalSecondaryIndexes"][0]
        return table["ItemCount"], table["TableSizeBytes"], found["ItemCount"], found["IndexSizeBytes"]

    put(0, 500)
    server.advance(5)  # written
    put(500, 550)  # not written
    server.kill()

    server = start_pileus("--clock", "virtual", data_dir=tmp_path / "data")
    client = account(server.endpoint, mine.account).client("dynamodb")
    put(550, 600)
    server.advance(5)
    assert counts() == (600, 600 * 9, 600, 600 * 9)
    for number in range(10):
        client.delete_item(TableName="table", Key={"id": {"S": f"i{number:04}"}})
    assert counts() == (590, 590 * 9, 590, 590 * 9)
    server.advance(20)  # at rest: nothing is left to be counted
    server.kill()

    server = start_pileus("--clock", "virtual", data_dir=tmp_path / "data")
    client = account(server.endpoint, mine.account).client("dynamodb")
    assert counts() == (590, 590 * 9, 590, 590 * 9)
