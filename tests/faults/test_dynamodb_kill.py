"""A node is killed under conditional writes and transactions of several clients, again and again, on the same data.

What all of them were told must be explained by one order of the calls (strict serializability, and with it
linearizability of each item), through all kills: a call without an answer was done whole, before the kill, or not at
all. After each start the index agrees with the table, and the stream tells of every change, each going on from the one
before.

`PILEUS_KILL_ROUNDS` says how many kills, where somebody has the time for hundreds.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from histories import UNKNOWN, Call, History, explains

ROUNDS = int(os.environ.get("PILEUS_KILL_ROUNDS", "4"))
CLIENTS = 4
CALLS_MAX = 150
KEYS = ("a", "b", "c")
TABLE = "items"
Values = tuple[int, ...]


def client(endpoint: str, service: str = "dynamodb") -> Any:
    return boto3.session.Session().client(
        service,
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"max_attempts": 0}, connect_timeout=5, read_timeout=20),
    )


def build(dynamodb: Any) -> None:
    dynamodb.create_table(
        TableName=TABLE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": "id", "AttributeType": "S"},
            {"AttributeName": "v", "AttributeType": "N"},
        ],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-value",
                "KeySchema": [{"AttributeName": "v", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    )
    for key in KEYS:
        dynamodb.put_item(TableName=TABLE, Item=item(key, 0))


def item(key: str, value: int) -> dict[str, dict[str, str]]:
    return {"id": {"S": key}, "v": {"N": str(value)}}


def value_of(found: dict[str, Any]) -> int:
    return int(found["Item"]["v"]["N"])


def swap(key: str, before: int, after: int) -> dict[str, Any]:
    return {
        "TableName": TABLE,
        "Key": {"id": {"S": key}},
        "UpdateExpression": "SET v = :after",
        "ConditionExpression": "v = :before",
        "ExpressionAttributeValues": {":before": {"N": str(before)}, ":after": {"N": str(after)}},
    }


def step(values: Values, call: Call) -> Values | None:
    """What a call makes of the values of all keys, in the order of KEYS."""
    if call.name == "get":
        seen = tuple(values[KEYS.index(key)] for key in call.argument)
        return values if call.result in (UNKNOWN, seen) else None
    if call.name == "put":
        key, value = call.argument
        return tuple(value if each == key else old for each, old in zip(KEYS, values, strict=True))
    fits = all(values[KEYS.index(key)] == before for key, before, _ in call.argument)
    if call.result is not UNKNOWN and fits is not call.result:
        return None
    after = {key: value for key, _, value in call.argument} if fits else {}
    return tuple(after.get(key, old) for key, old in zip(KEYS, values, strict=True))


class Clients:
    """Threads that call until the node is gone."""

    def __init__(self, endpoint: str, history: History, numbers: Any) -> None:
        self.killed = threading.Event()
        self.faults: list[BaseException] = []
        self._history, self._numbers = history, numbers
        self._heard = [threading.Event() for _ in range(CLIENTS)]
        using = [client(endpoint) for _ in range(CLIENTS)]
        self._threads = [
            threading.Thread(target=self._run, args=(each, heard))
            for each, heard in zip(using, self._heard, strict=True)
        ]
        for thread in self._threads:
            thread.start()

    def wait_until_each_was_heard(self) -> None:
        for heard in self._heard:
            assert heard.wait(timeout=30), self.faults

    def join(self) -> None:
        for thread in self._threads:
            thread.join(timeout=30)
            assert not thread.is_alive()
        assert not self.faults, self.faults

    def _run(self, dynamodb: Any, heard: threading.Event) -> None:
        seen = dict.fromkeys(KEYS, 0)
        try:
            for turn in range(CALLS_MAX):
                if self.killed.is_set():
                    return
                self._one(dynamodb, seen)
                if turn == 8:
                    heard.set()
        except (BotoCoreError, ClientError) as error:
            # A refusal is a fault at any time; a lost connection only while the node still runs.
            if isinstance(error, ClientError) or not self.killed.wait(timeout=5):
                self.faults.append(error)

    def _one(self, dynamodb: Any, seen: dict[str, int]) -> None:
        key, other = random.sample(KEYS, 2)
        number = next(self._numbers)
        match random.randrange(5):
            case 0:
                with self._history.call("get", (key,)) as call:
                    found = dynamodb.get_item(TableName=TABLE, Key={"id": {"S": key}}, ConsistentRead=True)
                    call.result = (value_of(found),)
                seen[key] = call.result[0]
            case 1:
                with self._history.call("put", (key, number)) as call:
                    dynamodb.put_item(TableName=TABLE, Item=item(key, number))
                    call.result = None
                seen[key] = number
            case 2:
                with self._history.call("swap", ((key, seen[key], number),)) as call:
                    try:
                        dynamodb.update_item(**swap(key, seen[key], number))
                        call.result = True
                    except dynamodb.exceptions.ConditionalCheckFailedException:
                        call.result = False
                if call.result:
                    seen[key] = number
            case 3:
                pairs = ((key, seen[key], number), (other, seen[other], number))
                with self._history.call("swap", pairs) as call:
                    try:
                        dynamodb.transact_write_items(TransactItems=[{"Update": swap(*each)} for each in pairs])
                        call.result = True
                    except dynamodb.exceptions.TransactionCanceledException as error:
                        codes = {reason["Code"] for reason in error.response["CancellationReasons"]}
                        assert codes <= {"None", "ConditionalCheckFailed"}, codes
                        call.result = False
                if call.result:
                    seen[key] = seen[other] = number
            case 4:
                gets = [{"Get": {"TableName": TABLE, "Key": {"id": {"S": each}}}} for each in (key, other)]
                with self._history.call("get", (key, other)) as call:
                    found = dynamodb.transact_get_items(TransactItems=gets)["Responses"]
                    call.result = tuple(map(value_of, found))
                seen[key], seen[other] = call.result


def read_table(dynamodb: Any) -> dict[str, int]:
    found = dynamodb.scan(TableName=TABLE, ConsistentRead=True)["Items"]
    return {each["id"]["S"]: int(each["v"]["N"]) for each in found}


def check_index(dynamodb: Any, table: dict[str, int]) -> None:
    found = dynamodb.scan(TableName=TABLE, IndexName="by-value")["Items"]
    assert {each["id"]["S"]: int(each["v"]["N"]) for each in found} == table
    assert len(found) == len(table)


def check_stream(endpoint: str, table: dict[str, int], acknowledged: set[tuple[str, int]]) -> None:
    streams = client(endpoint, "dynamodbstreams")
    arn = streams.list_streams(TableName=TABLE)["Streams"][0]["StreamArn"]
    told: dict[str, Any] = {}
    changes = set()
    for shard in streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]:
        at = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")
        iterator = at["ShardIterator"]
        while iterator:
            page = streams.get_records(ShardIterator=iterator)
            for record in (each["dynamodb"] for each in page["Records"]):
                key = record["Keys"]["id"]["S"]
                assert record.get("OldImage") == told.get(key)
                told[key] = record["NewImage"]
                changes.add((key, int(record["NewImage"]["v"]["N"])))
            iterator = page.get("NextShardIterator") if page["Records"] else None
    assert told == {key: item(key, value) for key, value in table.items()}
    assert acknowledged <= changes


def acknowledged(calls: list[Call]) -> set[tuple[str, int]]:
    found = {call.argument for call in calls if call.name == "put" and call.result is None}
    for call in calls:
        if call.name == "swap" and call.result is True:
            found |= {(key, after) for key, _, after in call.argument}
    return found


def test_every_answer_is_explained_through_kills(start_pileus: Callable[..., Any], tmp_path: Path) -> None:
    numbers = iter(range(1, 1_000_000))
    values: Values = (0,) * len(KEYS)
    written: set[tuple[str, int]] = set()
    history = History()
    answers = 0
    for number in range(ROUNDS + 1):
        server = start_pileus(data_dir=tmp_path / "data")
        dynamodb = client(server.endpoint)
        if number == 0:
            build(dynamodb)
        else:
            table = read_table(dynamodb)
            # What the clients of the round before were told, and what is there now, as the last to read.
            history.calls.append(
                Call("get", KEYS, tuple(table[key] for key in KEYS), time.monotonic(), time.monotonic())
            )
            explained = explains(history.calls, values, step)
            assert explained is not None, history.calls
            values = explained
            written |= acknowledged(history.calls)
            answers += sum(call.result is not UNKNOWN for call in history.calls)
            check_index(dynamodb, table)
            check_stream(server.endpoint, table, written)
        if number == ROUNDS:
            break
        history = History()
        clients = Clients(server.endpoint, history, numbers)
        clients.wait_until_each_was_heard()
        time.sleep(random.uniform(0.0, 0.1))  # the moment of the kill is what varies here
        server.kill()
        clients.killed.set()
        clients.join()
        history.cut()
    assert answers > ROUNDS * CLIENTS * 8
    assert server.stop() == 0, server.log.read_text()
