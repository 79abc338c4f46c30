"""Time to live: items that go when their time has come."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from dynamodb_cases import Table, definition, index, invalid, refusal

HOUR_S = 3600
YEAR_S = 365 * 86400
STREAM = {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}}


class Timed:
    """A server on the virtual clock with a table "table" whose items expire by "expires"."""

    def __init__(self, server: Any, account: Any) -> None:
        self.server = server
        self.client = account.client("dynamodb")
        self.streams = account.client("dynamodbstreams")
        self.client.create_table(
            TableName="table",
            **definition("id:S | g:S", GlobalSecondaryIndexes=[index("idx", "g")], **STREAM),
        )
        self.now = int(self.created("table").timestamp())

    def created(self, name: str) -> datetime:
        found: datetime = self.client.describe_table(TableName=name)["Table"]["CreationDateTime"]
        return found

    def switch(self, on: bool = True, attribute: str = "expires") -> None:
        self.client.update_time_to_live(
            TableName="table", TimeToLiveSpecification={"Enabled": on, "AttributeName": attribute}
        )

    def put(self, name: str, expires: Any = None, **attributes: Any) -> None:
        item = {"id": {"S": name}, "g": {"S": "g"}, **attributes}
        if expires is not None:
            item["expires"] = expires if isinstance(expires, dict) else {"N": str(expires)}
        self.client.put_item(TableName="table", Item=item)

    def advance(self, seconds: float) -> None:
        self.server.advance(seconds)
        self.now += int(seconds)

    def names(self) -> set[str]:
        return {item["id"]["S"] for item in self.client.scan(TableName="table")["Items"]}

    def changes(self) -> list[dict[str, Any]]:
        arn = self.client.describe_table(TableName="table")["Table"]["LatestStreamArn"]
        shard = self.streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
        at = self.streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")
        found: list[dict[str, Any]] = self.streams.get_records(ShardIterator=at["ShardIterator"])["Records"]
        return found


@pytest.fixture
def timed(start_pileus: Callable[..., Any], aws: Any) -> Timed:
    server = start_pileus("--clock", "virtual")
    return Timed(server, type(aws)(server.endpoint))


def test_items_go_when_their_time_has_come(timed: Timed) -> None:
    timed.switch()
    timed.put("soon", timed.now + 60)
    timed.put("fraction", f"{timed.now + 60}.5")
    timed.put("later", timed.now + 2 * HOUR_S)
    timed.put("never")
    timed.advance(30)
    assert timed.names() == {"soon", "fraction", "later", "never"}
    timed.advance(40)
    assert timed.names() == {"later", "never"}
    timed.advance(2 * HOUR_S)
    assert timed.names() == {"never"}
    # The index goes with the items, and so do the counts.
    found = timed.client.scan(TableName="table", IndexName="idx")
    assert [item["id"]["S"] for item in found["Items"]] == ["never"]
    assert timed.client.describe_table(TableName="table")["Table"]["ItemCount"] == 1


def test_the_stream_says_who_it_was(timed: Timed) -> None:
    timed.switch()
    timed.put("gone", timed.now + 10)
    timed.put("deleted", timed.now + 10)
    timed.client.delete_item(TableName="table", Key={"id": {"S": "deleted"}})
    timed.advance(HOUR_S)
    *_, by_hand, by_time = timed.changes()
    assert "userIdentity" not in by_hand
    assert by_time["eventName"] == "REMOVE"
    assert by_time["userIdentity"] == {"PrincipalId": "dynamodb.amazonaws.com", "Type": "Service"}
    assert by_time["dynamodb"]["Keys"] == {"id": {"S": "gone"}}
    assert by_time["dynamodb"]["OldImage"]["id"] == {"S": "gone"}
    assert len(timed.changes()) == 4


def test_the_item_as_it_is_now_counts(timed: Timed) -> None:
    timed.switch()
    for name in ("longer", "forever", "text", "again"):
        timed.put(name, timed.now + 60)
    timed.put("longer", timed.now + 2 * HOUR_S)
    key = {"TableName": "table", "Key": {"id": {"S": "forever"}}}
    timed.client.update_item(**key, UpdateExpression="REMOVE expires")
    timed.put("text", {"S": str(timed.now + 60)})
    timed.client.delete_item(TableName="table", Key={"id": {"S": "again"}})
    timed.put("again")
    timed.advance(HOUR_S)
    assert timed.names() == {"longer", "forever", "text", "again"}
    timed.advance(HOUR_S)
    assert timed.names() == {"forever", "text", "again"}


def test_what_is_no_time_is_left_alone(timed: Timed) -> None:
    timed.switch()
    for name, expires in {
        "old": timed.now - 5 * YEAR_S - HOUR_S,
        "negative": -5,
        "zero": 0,
        "milliseconds": timed.now * 1000,
        "huge": "9" * 38,
        "list": {"L": [{"N": "1"}]},
    }.items():
        timed.put(name, expires)
    timed.put("long ago", timed.now - 4 * YEAR_S)
    timed.advance(60)
    assert timed.names() == {"old", "negative", "zero", "milliseconds", "huge", "list"}


def test_items_that_were_there_before(timed: Timed) -> None:
    # More than one transaction fills or removes.
    for start in range(0, 450, 25):
        timed.client.batch_write_item(
            RequestItems={
                "table": [
                    {
                        "PutRequest": {
                            "Item": {"id": {"S": f"i{at}"}, "expires": {"N": str(timed.now + 60 + at % 2 * HOUR_S)}}
                        }
                    }
                    for at in range(start, start + 25)
                ]
            }
        )
    timed.switch()
    timed.advance(120)
    assert timed.names() == {f"i{at}" for at in range(1, 450, 2)}
    # Switched off, nothing goes; switched on by another attribute, nothing of the first counts.
    timed.switch(on=False)
    timed.put("other", other={"N": str(timed.now + 60)})
    timed.switch(attribute="other")
    timed.advance(2 * HOUR_S)
    assert timed.names() == {f"i{at}" for at in range(1, 450, 2)}
    timed.switch(on=False, attribute="other")
    timed.switch()
    timed.advance(60)
    assert timed.names() == set()


def test_a_table_made_anew_begins_without(timed: Timed) -> None:
    timed.switch()
    timed.put("a", timed.now + 60)
    timed.client.delete_table(TableName="table")
    timed.client.create_table(TableName="table", **definition("id:S"))
    timed.put("a", timed.now + 60)
    timed.advance(HOUR_S)
    assert timed.names() == {"a"}


def test_what_expired_while_the_node_was_down(start_pileus: Callable[..., Any], aws: Any, tmp_path: Path) -> None:
    first = start_pileus(data_dir=tmp_path / "data")
    account = type(aws)(first.endpoint)
    client = account.client("dynamodb")
    client.create_table(TableName="table", **definition("id:S"))
    client.update_time_to_live(TableName="table", TimeToLiveSpecification={"Enabled": True, "AttributeName": "e"})
    now = int(client.describe_table(TableName="table")["Table"]["CreationDateTime"].timestamp())
    client.put_item(TableName="table", Item={"id": {"S": "a"}, "e": {"N": str(now + HOUR_S)}})
    first.kill()
    second = start_pileus("--clock", "virtual", data_dir=tmp_path / "data")
    client = type(aws)(second.endpoint, account.account).client("dynamodb")
    second.advance(2 * HOUR_S)
    assert client.scan(TableName="table")["Items"] == []


def test_wrong_calls(table: Table, dynamodb: Any) -> None:
    table()
    on = {"TableName": "table", "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "e"}}
    other = {"TableName": "table", "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "f"}}
    off = {"TableName": "table", "TimeToLiveSpecification": {"Enabled": False, "AttributeName": "e"}}
    assert refusal(dynamodb.update_time_to_live, **off) == invalid("TimeToLive is already disabled")
    dynamodb.update_time_to_live(**on)
    assert refusal(dynamodb.update_time_to_live, **on) == invalid("TimeToLive is already enabled")
    assert refusal(dynamodb.update_time_to_live, **other) == invalid(
        "TimeToLive is active on a different AttributeName: current AttributeName is e"
    )
    assert dynamodb.describe_time_to_live(TableName="table")["TimeToLiveDescription"] == {
        "TimeToLiveStatus": "ENABLED",
        "AttributeName": "e",
    }
