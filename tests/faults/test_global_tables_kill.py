"""A global table on a node that is killed while its replicas are written to, and while new ones are made.

Nothing acknowledged is lost, no change arrives twice, and in the end all replicas are equal.
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from typing import Any

from botocore.exceptions import BotoCoreError

REGIONS = ("us-east-1", "us-west-2", "eu-west-1")
NAME = "table"
KILLS = int(os.environ.get("PILEUS_KILL_ROUNDS", "4"))
WRITERS = 3
DEADLINE_S = 60.0


class Writer(threading.Thread):
    """Writes items of its own once, and shared ones again and again, until the node is gone."""

    def __init__(self, account: Any, name: str, seed: int, written: set[str]) -> None:
        super().__init__()
        self.clients = [account.client("dynamodb", region=region) for region in REGIONS]
        self.chance = random.Random(seed)
        self.stem = name
        self.written = written

    def run(self) -> None:
        count = 0
        while True:
            count += 1
            key = f"{self.stem}-{count}"
            client = self.chance.choice(self.clients)
            try:
                client.put_item(TableName=NAME, Item={"id": {"S": key}})
                self.written.add(key)
                shared = {"id": {"S": f"shared-{self.chance.randrange(3)}"}}
                if self.chance.random() < 0.3:
                    client.delete_item(TableName=NAME, Key=shared)
                else:
                    client.put_item(TableName=NAME, Item={**shared, "v": {"S": key}})
            except client.exceptions.ResourceNotFoundException:
                # There is no replica yet.
                continue
            except BotoCoreError:
                return


def contents(client: Any) -> dict[str, Any]:
    pages = client.get_paginator("scan").paginate(TableName=NAME)
    return {item["id"]["S"]: item for page in pages for item in page["Items"]}


def inserts(account: Any, region: str) -> Counter[str]:
    arn = account.client("dynamodb", region=region).describe_table(TableName=NAME)["Table"]["LatestStreamArn"]
    streams = account.client("dynamodbstreams", region=region)
    shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
    at = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    found: Counter[str] = Counter()
    while records := (page := streams.get_records(ShardIterator=at))["Records"]:
        found.update(
            each["dynamodb"]["Keys"]["id"]["S"]
            for each in records
            if not each["dynamodb"]["Keys"]["id"]["S"].startswith("shared")
        )
        at = page["NextShardIterator"]
    return found


def test_replicas_of_a_killed_node(aws: Any, start_pileus: Any) -> None:
    chance = random.Random(11)
    server = start_pileus("--replication-lag", "0.02")
    here = type(aws)(server.endpoint)
    east = here.client("dynamodb", region=REGIONS[0])
    east.create_table(
        TableName=NAME,
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    written: set[str] = set()
    # Enough that filling a replica is no matter of one transaction.
    for start in range(0, 1000, 25):
        items = [{"id": {"S": f"old-{at}"}, "v": {"S": "x" * 100}} for at in range(start, start + 25)]
        east.batch_write_item(RequestItems={NAME: [{"PutRequest": {"Item": item}} for item in items]})
        written |= {item["id"]["S"] for item in items}
    for round_ in range(KILLS):
        writers = [Writer(here, f"w{round_}{n}", 10 * round_ + n, written) for n in range(WRITERS)]
        for writer in writers:
            writer.start()
        if round_ in (0, 2):
            update = {"Create": {"RegionName": REGIONS[1 + round_ // 2]}}
            here.client("dynamodb", region=REGIONS[0]).update_table(TableName=NAME, ReplicaUpdates=[update])
        threading.Event().wait(chance.uniform(0.02, 0.4))
        server.kill()
        for writer in writers:
            writer.join()
        server = start_pileus("--replication-lag", "0.02")
        here = type(aws)(server.endpoint, here.account)
    clients = [here.client("dynamodb", region=region) for region in REGIONS]
    waited = 0.0
    while waited < DEADLINE_S:
        replicas = clients[0].describe_table(TableName=NAME)["Table"]["Replicas"]
        if all(replica["ReplicaStatus"] == "ACTIVE" for replica in replicas):
            first, *others = [contents(client) for client in clients]
            if all(other == first for other in others):
                break
        threading.Event().wait(0.1)
        waited += 0.1
    else:
        raise AssertionError("the replicas are not equal")
    # What was being written when the node died may be there, or not.
    assert written <= set(first)
    for region in REGIONS:
        assert not [key for key, times in inserts(here, region).items() if times > 1]
