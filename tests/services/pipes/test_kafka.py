"""Pipes from topics of Kafka: the brokers are the mock cluster that librdkafka brings, on real sockets."""

from __future__ import annotations

import json
from typing import Any

from broker_kit import KafkaBrokers
from pipes_kit import World, refused


def test_messages_of_a_topic_pass_through(aws: Any) -> None:
    world, brokers = World(aws), KafkaBrokers()
    topic = f"t{aws.account}"
    brokers.send(topic, b'{"kind": "order", "n": 1}', key=b"k", headers=[("h", b"\x01\xff")])
    brokers.send(topic, b'{"kind": "other"}')
    brokers.send(topic, b'{"kind": "order", "n": 2}')
    source = f"smk://{brokers.servers[0]}"
    filters = {"FilterCriteria": {"Filters": [{"Pattern": '{"value": {"kind": ["order"]}}'}]}}
    own = {"TopicName": topic, "StartingPosition": "TRIM_HORIZON", "BatchSize": 2}
    world.create(
        Source=source,
        SourceParameters={"SelfManagedKafkaParameters": own, **filters},
        Target=world.group(),
        TargetParameters={"InputTemplate": '{"event": <aws.pipes.event>, "key": <$.key>, "value": <$.value>}'},
    )
    shown = world.pipes.describe_pipe(Name="p")
    assert shown["Source"] == source
    assert shown["SourceParameters"]["SelfManagedKafkaParameters"] == {**own, "MaximumBatchingWindowInSeconds": 0}
    first, second = (json.loads(text) for text in world.wait_texts(2))
    assert first["event"].pop("timestamp") > 1e12
    assert first == {
        "event": {
            "eventSource": "SelfManagedKafka",
            "bootstrapServers": brokers.servers[0],
            "eventSourceKey": f"{topic}-0",
            "topic": topic,
            "partition": 0,
            "offset": 0,
            "timestampType": "CREATE_TIME",
            "key": "aw==",
            "value": "eyJraW5kIjogIm9yZGVyIiwgIm4iOiAxfQ==",
            "headers": [{"h": [1, -1]}],
        },
        "key": "k",
        "value": {"kind": "order", "n": 1},
    }
    assert (second["value"], second["event"]["offset"]) == ({"kind": "order", "n": 2}, 2)
    world.pipes.delete_pipe(Name="p")


def test_what_a_topic_needs(aws: Any) -> None:
    request = {
        "Name": "p",
        "RoleArn": f"arn:aws:iam::{aws.account}:role/r",
        "Source": "smk://127.0.0.1:9092",
        "Target": f"arn:aws:sqs:us-east-1:{aws.account}:q",
    }
    pipes = aws.client("pipes")
    assert refused(pipes.create_pipe, **request) == (
        "ValidationException",
        "SelfManagedKafkaParameters.TopicName is required.",
    )
    certificate = {"ClientCertificateTlsAuth": f"arn:aws:secretsmanager:us-east-1:{aws.account}:secret:s"}
    own = {"TopicName": "topic", "Credentials": certificate}
    unbuilt = {**request, "SourceParameters": {"SelfManagedKafkaParameters": own}}
    assert refused(pipes.create_pipe, **unbuilt)[0] == "NotImplemented"
    managed = {**request, "Source": f"arn:aws:kafka:us-east-1:{aws.account}:cluster/c/1"}
    assert refused(pipes.create_pipe, **managed)[0] == "NotImplemented"
