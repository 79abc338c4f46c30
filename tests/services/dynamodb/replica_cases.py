"""A table in several regions, and what is in each of them."""

from __future__ import annotations

from typing import Any

from dynamodb_cases import definition

from conftest import Account, Server

EAST, WEST, EUROPE = "us-east-1", "us-west-2", "eu-west-1"
NAME = "table"


class World:
    """An account's table "table" in several regions."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.account = Account(server.endpoint)
        self.east, self.west, self.europe = (self.client(region) for region in (EAST, WEST, EUROPE))

    def client(self, region: str, service: str = "dynamodb") -> Any:
        return self.account.client(service, region=region)

    def create(self, keys: str = "id:S", **members: Any) -> None:
        self.east.create_table(TableName=NAME, **definition(keys, **members))

    def add(self, region: str, **members: Any) -> dict[str, Any]:
        updates = [{"Create": {"RegionName": region, **members}}]
        found: dict[str, Any] = self.east.update_table(TableName=NAME, ReplicaUpdates=updates)["TableDescription"]
        return found

    def settle(self, seconds: float = 2) -> None:
        self.server.advance(seconds)


def put(client: Any, key: str, value: str = "", **attributes: Any) -> None:
    client.put_item(TableName=NAME, Item={"id": {"S": key}, "v": {"S": value}, **attributes})


def delete(client: Any, key: str) -> None:
    client.delete_item(TableName=NAME, Key={"id": {"S": key}})


def contents(client: Any, **members: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for page in client.get_paginator("scan").paginate(TableName=NAME, **members):
        found |= {item["id"]["S"]: item["v"]["S"] for item in page["Items"]}
    return found


def described(client: Any) -> dict[str, Any]:
    table: dict[str, Any] = client.describe_table(TableName=NAME)["Table"]
    return table


def records(world: World, region: str) -> list[dict[str, Any]]:
    arn, streams = described(world.client(region))["LatestStreamArn"], world.client(region, "dynamodbstreams")
    shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
    at = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    found: list[dict[str, Any]] = streams.get_records(ShardIterator=at)["Records"]
    return found
