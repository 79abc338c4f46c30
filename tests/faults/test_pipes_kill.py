"""Pipes on a node that is killed again and again: every message and every change that was acknowledged arrives.

`PILEUS_KILL_ROUNDS` says how many kills, where somebody has the time for hundreds.
"""

from __future__ import annotations

import os
import random
import threading
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from pipes_kit import World

from waiting import until

KILLS = int(os.environ.get("PILEUS_KILL_ROUNDS", "3"))
WRITES_PER_LIFE = 15


def test_what_a_queue_and_a_stream_take_arrives(aws: Any, start_pileus: Any) -> None:
    chance = random.Random(7)
    server = start_pileus()
    number = aws.account

    def account() -> Any:
        return type(aws)(server.endpoint, number)

    world = World(account())
    stream, target = world.table(), world.group()
    queue = account().client("sqs").create_queue(QueueName="in", Attributes={"VisibilityTimeout": "1"})["QueueUrl"]
    source = f"arn:aws:sqs:us-east-1:{number}:in"
    world.pipes.create_pipe(
        Name="messages",
        Source=source,
        Target=target,
        RoleArn=world.role,
        TargetParameters={"InputTemplate": "<$.body>"},
    )
    world.pipes.create_pipe(
        Name="changes",
        Source=stream,
        SourceParameters={"DynamoDBStreamParameters": {"StartingPosition": "TRIM_HORIZON"}},
        Target=target,
        RoleArn=world.role,
        TargetParameters={"InputTemplate": "<$.dynamodb.Keys.id.S>"},
    )
    acknowledged: set[str] = set()

    def write(life: int, enough: threading.Event) -> None:
        sqs, dynamodb = account().client("sqs"), account().client("dynamodb")
        for n in range(100_000):
            try:
                sqs.send_message(QueueUrl=queue, MessageBody=f"message-{life}-{n}")
                acknowledged.add(f"message-{life}-{n}")
                dynamodb.put_item(TableName="things", Item={"id": {"S": f"change-{life}-{n}"}})
                acknowledged.add(f"change-{life}-{n}")
            except (BotoCoreError, ClientError):
                return
            if n >= WRITES_PER_LIFE:
                enough.set()

    for life in range(KILLS):
        enough = threading.Event()
        writer = threading.Thread(target=write, args=(life, enough))
        writer.start()
        assert enough.wait(60)
        # Somewhere between a write, its reading, its delivery and the mark that it was read.
        threading.Event().wait(chance.uniform(0.0, 0.1))
        server.kill()
        writer.join()
        server = start_pileus()
        queue = f"{server.endpoint}/{number}/in"

    def arrived() -> set[str]:
        pages = account().client("logs").get_paginator("filter_log_events").paginate(logGroupName="out")
        return {one["message"] for page in pages for one in page["events"]}

    assert len(acknowledged) >= KILLS * WRITES_PER_LIFE * 2
    until(lambda: acknowledged <= arrived(), seconds=60)
