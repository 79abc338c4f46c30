"""Pipes from a queue of a RabbitMQ broker: a real one, which takes seconds to start."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pika
import pytest
from broker_kit import Broker, register, running_broker
from pipes_kit import World, bare, refused

from waiting import until

# It takes "again" the second time only.
CODE = """
import base64, json
def handler(events, context):
    print("GOT", json.dumps(events))
    for event in events:
        if base64.b64decode(event["data"]) == b"again" and not event["redelivered"]:
            raise ValueError("not yet")
"""


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with running_broker() as started:
        yield started


def test_messages_of_a_broker_pass_through(aws: Any, broker: Broker) -> None:
    world = World(aws)
    arn = register(aws, broker)["BrokerArn"]
    connection = broker.connect()
    channel = connection.channel()
    for name in ("plain", "filtered"):
        channel.queue_declare(name, durable=True)
    secret = f"arn:aws:secretsmanager:us-east-1:{aws.account}:secret:s"

    def parameters(queue: str, **more: Any) -> dict[str, Any]:
        return {"RabbitMQBrokerParameters": {"Credentials": {"BasicAuth": secret}, "QueueName": queue, **more}}

    # Whole events, batch by batch.
    function = world.function("taker", CODE)
    world.group("/aws/lambda/taker")
    world.create("whole", Source=arn, SourceParameters=parameters("plain", BatchSize=2), Target=function)
    shown = world.pipes.describe_pipe(Name="whole")
    own = shown["SourceParameters"]["RabbitMQBrokerParameters"]
    assert (own["BatchSize"], own["MaximumBatchingWindowInSeconds"], own["QueueName"]) == (2, 0, "plain")
    channel.basic_publish("", "plain", b'{"n": 1}', pika.BasicProperties(content_type="application/json"))

    def got() -> list[Any]:
        found = world.texts("/aws/lambda/taker")
        return [json.loads(text.partition("GOT ")[2]) for text in found if "GOT " in text]

    assert until(got) == [
        [
            {
                "eventSource": "aws:rmq",
                "eventSourceArn": arn,
                "eventSourceKey": "plain::/",
                "basicProperties": {
                    "contentType": "application/json",
                    **dict.fromkeys(("contentEncoding", "headers", "deliveryMode", "priority", "correlationId")),
                    **dict.fromkeys(("replyTo", "expiration", "messageId", "timestamp", "type", "userId", "appId")),
                    "clusterId": None,
                    "bodySize": 8,
                },
                "redelivered": False,
                "data": b64encode(b'{"n": 1}').decode(),
            }
        ]
    ]
    # What fails is delivered again.
    channel.basic_publish("", "plain", b"again")
    until(lambda: len(got()) == 3)
    assert [batch[0]["redelivered"] for batch in got()[1:]] == [False, True]
    until(lambda: channel.queue_declare("plain", passive=True).method.message_count == 0)
    world.pipes.stop_pipe(Name="whole")
    world.wait_state("STOPPED", "whole")

    # Filters and templates see what is within.
    target = world.group()
    world.create(
        "within",
        Source=arn,
        SourceParameters={
            **parameters("filtered"),
            "FilterCriteria": {
                "Filters": [{"Pattern": '{"data": {"kind": ["order"]}}'}, {"Pattern": '{"data": ["x"]}'}]
            },
        },
        Target=target,
        TargetParameters={"InputTemplate": '{"of": <$.eventSourceKey>, "data": <$.data>}'},
    )
    for body in (b'{"kind": "order", "n": 1}', b'{"kind": "other"}', b"x", b"\xff"):
        channel.basic_publish("", "filtered", body)
    found = [json.loads(text) for text in world.wait_texts(2)]
    assert found == [
        {"of": "filtered::/", "data": {"kind": "order", "n": 1}},
        {"of": "filtered::/", "data": "x"},
    ]
    # What did not pass is gone, too.
    until(lambda: channel.queue_declare("filtered", passive=True).method.message_count == 0)
    world.pipes.delete_pipe(Name="within")
    connection.close()


@pytest.mark.parametrize(
    ("member", "code"),
    [
        ("ActiveMQBrokerParameters", "NotImplemented"),
        ("SqsQueueParameters", "ValidationException"),
        ("", "ValidationException"),
    ],
)
def test_what_a_broker_needs(aws: Any, member: str, code: str) -> None:
    own: Any = (
        {"BatchSize": 1}
        if member.startswith("Sqs")
        else {
            "Credentials": {"BasicAuth": f"arn:aws:secretsmanager:us-east-1:{aws.account}:secret:s"},
            "QueueName": "q",
        }
    )
    request = {
        "Name": "p",
        "RoleArn": f"arn:aws:iam::{aws.account}:role/r",
        "Source": f"arn:aws:mq:us-east-1:{aws.account}:broker:b:b-1",
        "SourceParameters": {member: own} if member else {},
        "Target": f"arn:aws:sqs:us-east-1:{aws.account}:q",
    }
    pipes = aws.client("pipes")
    assert refused(pipes.create_pipe, **request)[0] == code
    assert bare(pipes.list_pipes())["Pipes"] == []
