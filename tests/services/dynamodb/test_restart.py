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
    described = client.describe_table(TableName="table")["Table"]
    if not killed:
        assert described["ItemCount"] == 30
        assert described["GlobalSecondaryIndexes"][0]["ItemCount"] == 30
    ttl = client.describe_time_to_live(TableName="table")["TimeToLiveDescription"]
    assert ttl["AttributeName"] == "expires"
