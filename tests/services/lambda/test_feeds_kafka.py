"""Functions fed from Kafka: the brokers are the mock cluster that librdkafka brings, on real sockets."""

from __future__ import annotations

import asyncio
from base64 import b64decode
from collections.abc import Callable
from typing import Any

import pytest
from broker_kit import KafkaBrokers
from feed_kit import allow, events, make_table, recorder, wait_events, wait_state
from lambda_kit import caught

from pileus.cloud import kafka
from waiting import until

NO_SECRET = [
    {"Type": "VPC_SUBNET", "URI": "subnet:subnet-1"},
    {"Type": "VPC_SECURITY_GROUP", "URI": "security_group:sg-1"},
]


@pytest.fixture(scope="module")
def brokers() -> KafkaBrokers:
    return KafkaBrokers()


def create(lambda_: Any, servers: list[str], topic: str, **settings: Any) -> dict[str, Any]:
    answer: dict[str, Any] = lambda_.create_event_source_mapping(
        FunctionName="f",
        SelfManagedEventSource={"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": servers}},
        Topics=[topic],
        **{"StartingPosition": "TRIM_HORIZON", "SourceAccessConfigurations": NO_SECRET, **settings},
    )
    return answer


def test_messages_reach_the_function_in_order_and_failed_ones_again(
    aws: Any, lambda_: Any, role: str, make: Callable[..., Any], brokers: KafkaBrokers
) -> None:
    allow(aws, {"Effect": "Allow", "Action": "dynamodb:Scan", "Resource": "*"})
    make_table(aws, "seen", stream=None)
    fail_once = "    if seen.scan(TableName='seen', ConsistentRead=True)['Count'] == 1: raise Exception('once')"
    make(code=recorder(fail_once))
    topic = f"t{aws.account}"
    brokers.send(topic, b"first", key=b"k", headers=[("h", b"\x01\xff")])
    brokers.send(topic, b"second")
    uuid = create(lambda_, brokers.servers, topic)["UUID"]
    wait_state(lambda_, uuid)
    first = wait_events(aws, 2)[0]
    records = first.pop("records")
    assert first == {"eventSource": "SelfManagedKafka", "bootstrapServers": ",".join(brokers.servers)}
    assert list(records) == [f"{topic}-0"]
    record = records[f"{topic}-0"][0]
    assert record.pop("timestamp") > 1e12
    assert record == {
        "topic": topic,
        "partition": 0,
        "offset": 0,
        "timestampType": "CREATE_TIME",
        "key": "aw==",
        "value": "Zmlyc3Q=",
        "headers": [{"h": [1, -1]}],
    }
    brokers.send(topic, b"third")

    def values() -> list[bytes]:
        return [b64decode(each["value"]) for event in events(aws) for each in event["records"][f"{topic}-0"]]

    until(lambda: b"third" in values())
    assert values()[-1] == b"third"
    assert set(values()) == {b"first", b"second", b"third"}
    until(lambda: lambda_.get_event_source_mapping(UUID=uuid)["LastProcessingResult"] == "OK")
    lambda_.delete_event_source_mapping(UUID=uuid)


def test_what_a_mapping_of_kafka_shows(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    arn = make()["FunctionArn"]
    secret = f"arn:aws:secretsmanager:us-east-1:{aws.account}:secret:s"
    access = [{"Type": "BASIC_AUTH", "URI": secret}]
    created = create(lambda_, ["kafka:1000"], "topic", SourceAccessConfigurations=access, Enabled=False)
    assert created.pop("ResponseMetadata")["HTTPStatusCode"] == 202
    uuid = created["UUID"]
    del created["LastModified"]
    assert created == {
        "UUID": uuid,
        "EventSourceMappingArn": f"arn:aws:lambda:us-east-1:{aws.account}:event-source-mapping:{uuid}",
        "FunctionArn": arn,
        "BatchSize": 100,
        "LastProcessingResult": "No records processed",
        "SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": ["kafka:1000"]}},
        "SelfManagedKafkaEventSourceConfig": {"ConsumerGroupId": uuid},
        "SourceAccessConfigurations": access,
        "StartingPosition": "TRIM_HORIZON",
        "State": "Creating",
        "StateTransitionReason": "USER_INITIATED",
        "Topics": ["topic"],
    }
    message = (
        f'An event source mapping with event source ("kafka:1000,kafka:2000"), function ("{arn}"), topics ("topic") '
        f"already exists. Please update or delete the existing mapping with UUID {uuid}"
    )
    servers = ["kafka:1000", "kafka:2000"]
    assert caught(create, lambda_=lambda_, servers=servers, topic="topic", SourceAccessConfigurations=access) == (
        "ResourceConflictException",
        409,
        message,
    )
    missing = caught(create, lambda_=lambda_, servers=servers, topic="other", SourceAccessConfigurations=[])
    assert missing[::2] == (
        "InvalidParameterValueException",
        "Required 'sourceAccessConfigurations' parameter is missing.",
    )
    named = create(
        lambda_,
        ["kafka:1000"],
        "topic_2",
        SelfManagedKafkaEventSourceConfig={"ConsumerGroupId": "random_id"},
        StartingPosition="LATEST",
        BatchSize=1,
        Enabled=False,
    )
    assert named["SelfManagedKafkaEventSourceConfig"] == {"ConsumerGroupId": "random_id"}
    assert (named["BatchSize"], named["StartingPosition"]) == (1, "LATEST")


def test_many_large_messages_are_no_batch(brokers: KafkaBrokers, monkeypatch: pytest.MonkeyPatch) -> None:
    """They would all be in memory at once."""
    # The mock cluster keeps few megabytes.
    monkeypatch.setattr(kafka, "BATCH_BYTES_MAX", 1_000_000)
    monkeypatch.setattr(kafka, "_AT_ONCE", 10)
    for _ in range(30):
        brokers.send("large", bytes(100_000))

    async def nobody(service: str, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        raise AssertionError("nothing is secret")

    async def read() -> list[kafka.Message]:
        settings = {"client": "c", "start": "TRIM_HORIZON", "batch_size": 1000, "window_s": 10}
        reader = kafka.Reader(brokers.servers, ["large"], "large", **settings)
        await reader.open(nobody, [])
        try:
            while not (found := await reader.batch()):
                pass
            return found
        finally:
            reader.close()

    assert 10 <= len(asyncio.run(read())) <= 20


def test_records_are_cut_into_parts_that_fit() -> None:
    records = [{"n": number} for number in range(5)]
    parts = kafka.cut(records, lambda size, more: size + more <= 2 * more)
    assert parts == [records[:2], records[2:4], records[4:]]
    # One that is too large by itself goes alone.
    assert kafka.cut(records[:2], lambda size, more: False) == [records[:1], records[1:2]]
