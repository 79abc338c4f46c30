"""`pileus dynamodb`."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any


def test_tables_are_listed_and_items_printed(pileus: Any) -> None:
    import boto3

    dynamodb = boto3.client(
        "dynamodb",
        endpoint_url=pileus.endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    dynamodb.create_table(
        TableName="printed-by-the-command",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    item = {
        "id": {"S": "ä"},
        "n": {"N": "1.5"},
        "long": {"N": "0.12345678901234567890123"},
        "b": {"B": b"\x00"},
        "l": {"L": [{"NULL": True}, {"BOOL": True}]},
        "ns": {"NS": ["2"]},
    }
    dynamodb.put_item(TableName="printed-by-the-command", Item=item)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "pileus", "dynamodb", *arguments, "--endpoint", pileus.endpoint]
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)

    assert "printed-by-the-command  1 items  " in run().stdout
    listed = [json.loads(line) for line in run("--json").stdout.splitlines()]
    assert {"name": "printed-by-the-command", "items": 1, "status": "ACTIVE"}.items() <= next(
        each for each in listed if each["name"] == "printed-by-the-command"
    ).items()
    assert json.loads(run("printed-by-the-command").stdout) == {
        "id": "ä",
        "n": 1.5,
        "long": "0.12345678901234567890123",
        "b": "AA==",
        "l": [None, True],
        "ns": [2],
    }
    assert json.loads(run("printed-by-the-command", "--json").stdout) == {**item, "b": {"B": "AA=="}}
    ended = run("no-such-table")
    assert ended.returncode == 1
    assert "ResourceNotFoundException" in ended.stderr
