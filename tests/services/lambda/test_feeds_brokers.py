"""Functions fed from a RabbitMQ broker: a real one, started for these tests."""

from __future__ import annotations

import json
import struct
from base64 import b64decode
from collections.abc import Callable, Iterator
from typing import Any

import orjson
import pika
import pytest
from broker_kit import Broker, register, running_broker
from feed_kit import allow, events, make_table, recorder, wait_events, wait_state
from lambda_kit import caught

from pileus.cloud import rabbitmq
from waiting import until

READS = {"Effect": "Allow", "Action": "mq:DescribeBroker", "Resource": "*"}


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with running_broker() as started:
        yield started


def feed(aws: Any, lambda_: Any, arn: str, queue: str, **settings: Any) -> dict[str, Any]:
    secret = f"arn:aws:secretsmanager:us-east-1:{aws.account}:secret:s"
    answer: dict[str, Any] = lambda_.create_event_source_mapping(
        FunctionName="f",
        EventSourceArn=arn,
        Queues=[queue],
        **{"SourceAccessConfigurations": [{"Type": "BASIC_AUTH", "URI": secret}], **settings},
    )
    return answer


@pytest.fixture
def queue(aws: Any, broker: Broker) -> Iterator[tuple[str, Any]]:
    """A queue of the test's own, and a channel to it."""
    connection = broker.connect()
    channel = connection.channel()
    name = f"q{aws.account}"
    channel.queue_declare(name, durable=True)
    yield name, channel
    connection.close()


def test_messages_reach_the_function_and_failed_ones_again(
    aws: Any, lambda_: Any, role: str, make: Callable[..., Any], broker: Broker, queue: tuple[str, Any]
) -> None:
    name, channel = queue
    allow(aws, READS, {"Effect": "Allow", "Action": "dynamodb:Scan", "Resource": "*"})
    make_table(aws, "seen", stream=None)
    fail_once = "    if seen.scan(TableName='seen', ConsistentRead=True)['Count'] == 1: raise Exception('once')"
    make(code=recorder(fail_once))
    arn = register(aws, broker)["BrokerArn"]
    properties = pika.BasicProperties(
        content_type="text/plain",
        headers={"h": "\u00e9", "n": 10},
        delivery_mode=2,
        timestamp=2021,
        expiration="600000",
    )
    channel.basic_publish("", name, b"first", properties)
    channel.basic_publish("", name, b"second")
    uuid = feed(aws, lambda_, arn, name)["UUID"]
    wait_state(lambda_, uuid)
    first, second = wait_events(aws, 2)[:2]
    messages = first["rmqMessagesByQueue"][f"{name}::/"]
    assert (first["eventSource"], first["eventSourceArn"]) == ("aws:rmq", arn)
    assert messages[0] == {
        "basicProperties": {
            "contentType": "text/plain",
            "contentEncoding": None,
            "headers": {"h": {"bytes": [-61, -87]}, "n": 10},
            "deliveryMode": 2,
            "priority": None,
            "correlationId": None,
            "replyTo": None,
            "expiration": "600000",
            "messageId": None,
            "timestamp": "Jan 1, 1970, 12:33:41 AM",
            "type": None,
            "userId": None,
            "appId": None,
            "clusterId": None,
            "bodySize": 5,
        },
        "redelivered": False,
        "data": "Zmlyc3Q=",
    }
    again = second["rmqMessagesByQueue"][f"{name}::/"][0]
    assert (again["data"], again["redelivered"]) == ("Zmlyc3Q=", True)
    channel.basic_publish("", name, b"third")

    def bodies() -> set[bytes]:
        return {b64decode(one["data"]) for event in events(aws) for one in event["rmqMessagesByQueue"][f"{name}::/"]}

    until(lambda: bodies() == {b"first", b"second", b"third"})
    until(lambda: lambda_.get_event_source_mapping(UUID=uuid)["LastProcessingResult"] == "OK")
    lambda_.delete_event_source_mapping(UUID=uuid)
    until(lambda: channel.queue_declare(name, passive=True).method.consumer_count == 0)
    # What was acknowledged is gone.
    assert channel.queue_declare(name, passive=True).method.message_count == 0


def test_batches_and_filters(
    aws: Any, lambda_: Any, role: str, make: Callable[..., Any], broker: Broker, queue: tuple[str, Any]
) -> None:
    name, channel = queue
    allow(aws, READS)
    make_table(aws, "seen", stream=None)
    make(code=recorder())
    arn = register(aws, broker)["BrokerArn"]
    for n in range(6):
        channel.basic_publish("", name, json.dumps({"n": n}).encode())
    pattern = json.dumps({"data": {"n": [{"numeric": ["<", 5]}]}})
    uuid = feed(aws, lambda_, arn, name, BatchSize=2, FilterCriteria={"Filters": [{"Pattern": pattern}]})["UUID"]
    batches = [each["rmqMessagesByQueue"][f"{name}::/"] for each in wait_events(aws, 3)]
    assert [[json.loads(b64decode(one["data"]))["n"] for one in batch] for batch in batches] == [[0, 1], [2, 3], [4]]
    lambda_.delete_event_source_mapping(UUID=uuid)
    until(lambda: channel.queue_declare(name, passive=True).method.consumer_count == 0)
    assert channel.queue_declare(name, passive=True).method.message_count == 0


def test_a_source_that_cannot_be_read_says_why(
    aws: Any, lambda_: Any, role: str, make: Callable[..., Any], broker: Broker
) -> None:
    allow(aws, READS)
    make()
    arn = register(aws, broker)["BrokerArn"]
    uuid = feed(aws, lambda_, arn, "none")["UUID"]
    told = until(
        lambda: (
            (found := lambda_.get_event_source_mapping(UUID=uuid))["LastProcessingResult"] != "No records processed"
            and found
        )
    )
    assert told["LastProcessingResult"].startswith("PROBLEM: NOT_FOUND - no queue 'none'")
    host = [*told["SourceAccessConfigurations"], {"Type": "VIRTUAL_HOST", "URI": "elsewhere"}]
    lambda_.update_event_source_mapping(UUID=uuid, SourceAccessConfigurations=host)
    until(lambda: "elsewhere" in lambda_.get_event_source_mapping(UUID=uuid)["LastProcessingResult"])


def test_what_a_mapping_of_a_broker_shows_and_refuses(
    aws: Any, lambda_: Any, role: str, make: Callable[..., Any], broker: Broker
) -> None:
    function = make()["FunctionArn"]
    arn = register(aws, broker)["BrokerArn"]
    assert caught(feed, aws=aws, lambda_=lambda_, arn=arn, queue="q")[::2] == (
        "InvalidParameterValueException",
        "The provided execution role does not have permissions to call DescribeBroker on AmazonMQ",
    )
    allow(aws, READS)
    created = feed(aws, lambda_, arn, "q", Enabled=False, MaximumBatchingWindowInSeconds=3)
    uuid = created["UUID"]
    del created["ResponseMetadata"], created["LastModified"]
    assert created == {
        "UUID": uuid,
        "EventSourceMappingArn": f"arn:aws:lambda:us-east-1:{aws.account}:event-source-mapping:{uuid}",
        "EventSourceArn": arn,
        "FunctionArn": function,
        "Queues": ["q"],
        "SourceAccessConfigurations": [
            {"Type": "BASIC_AUTH", "URI": f"arn:aws:secretsmanager:us-east-1:{aws.account}:secret:s"}
        ],
        "BatchSize": 100,
        "MaximumBatchingWindowInSeconds": 3,
        "LastProcessingResult": "No records processed",
        "State": "Creating",
        "StateTransitionReason": "USER_INITIATED",
    }
    for settings in ({"StartingPosition": "LATEST"}, {"Topics": ["topic"]}, {"BisectBatchOnFunctionError": True}):
        name = next(iter(settings))
        refused = caught(feed, aws=aws, lambda_=lambda_, arn=arn, queue="q", **settings)
        assert refused[::2] == (
            "InvalidParameterValueException",
            f"Unsupported '{name[0].lower()}{name[1:]}' parameter for given event source mapping type.",
        )
    assert caught(feed, aws=aws, lambda_=lambda_, arn=arn, queue="q", SourceAccessConfigurations=[])[0] == (
        "InvalidParameterValueException"
    )
    assert caught(feed, aws=aws, lambda_=lambda_, arn=arn, queue="q")[0] == "ResourceConflictException"
    missing = arn.replace("broker:orders:", "broker:orders:b-0")
    assert caught(feed, aws=aws, lambda_=lambda_, arn=missing, queue="q")[2] == f"Broker not found: {missing}"


def test_brokers_are_registered_shown_and_forgotten(aws: Any, broker: Broker) -> None:
    mq = aws.client("mq")
    made = register(aws, broker)
    id, arn = made["BrokerId"], made["BrokerArn"]
    assert arn == f"arn:aws:mq:us-east-1:{aws.account}:broker:orders:{id}"
    shown = mq.describe_broker(BrokerId=id)
    assert shown["BrokerInstances"] == [{"Endpoints": [broker.endpoint]}]
    assert (shown["BrokerState"], shown["BrokerName"], shown["EngineType"]) == ("RUNNING", "orders", "RABBITMQ")
    assert "guest" not in str(shown)
    assert mq.list_brokers()["BrokerSummaries"][0]["BrokerId"] == id
    assert caught(register, aws=aws, broker=broker)[:2] == ("ConflictException", 409)
    wrong = [{"Username": "guest", "Password": "not the password"}]
    assert caught(register, aws=aws, broker=broker, BrokerName="other", Users=wrong) == (
        "BadRequestException",
        400,
        "The broker refuses the user [guest] or the password.",
    )
    mq.create_tags(ResourceArn=arn, Tags={"team": "a"})
    assert mq.list_tags(ResourceArn=arn)["Tags"] == {"pileus:endpoint": broker.endpoint, "team": "a"}
    mq.delete_tags(ResourceArn=arn, TagKeys=["team"])
    assert mq.list_tags(ResourceArn=arn)["Tags"] == {"pileus:endpoint": broker.endpoint}
    assert caught(mq.delete_tags, ResourceArn=arn, TagKeys=["pileus:endpoint"])[0] == "BadRequestException"
    mq.delete_broker(BrokerId=id)
    assert mq.list_brokers()["BrokerSummaries"] == []
    register(aws, broker)


def test_times_that_nobody_lives_to_see_are_shown() -> None:
    """A message that could not be shown would come again and again, and hold up all behind it."""
    message = (1, False, pika.BasicProperties(timestamp=2**63), b"")
    assert rabbitmq.record(message)["basicProperties"]["timestamp"] == "Dec 31, 9999, 11:59:59 PM"


def _headers(*fields: tuple[bytes, bytes]) -> Any:
    """As a message's record shows headers that came so: names and values as they travel."""
    table = b"".join(struct.pack("B", len(name)) + name + value for name, value in fields)
    properties = pika.BasicProperties()
    # The flag of headers, and theirs alone.
    properties.decode(struct.pack(">HI", 1 << 13, len(table)) + table)
    return orjson.loads(orjson.dumps(rabbitmq.record((1, False, properties, b""))))["basicProperties"]["headers"]


@pytest.mark.parametrize(
    ("wrap", "opened"),
    [
        (lambda value: b"F" + struct.pack(">I", 2 + len(value)) + b"\x01a" + value, lambda inner: inner["a"]),
        (lambda value: b"A" + struct.pack(">I", len(value)) + value, lambda inner: inner[0]),
    ],
    ids=["tables", "lists"],
)
def test_headers_nested_without_end_block_no_queue(
    wrap: Callable[[bytes], bytes], opened: Callable[[Any], Any]
) -> None:
    deep = b"b\x01"
    for _ in range(10_000):
        deep = wrap(deep)
    for _ in range(2):
        shown = _headers((b"deep", deep), (b"flat", wrap(b"b\x01")))
        assert opened(shown["flat"]) == 1
        levels, inner = 0, shown["deep"]
        while inner is not None:
            inner = opened(inner)
            levels += 1
        assert levels >= 100


def test_odd_values_of_headers_block_no_queue() -> None:
    assert _headers(
        (b"late", b"T" + struct.pack(">Q", 2**63)),
        (b"when", b"T" + struct.pack(">Q", 2021)),
        (b"half", b"d" + struct.pack(">d", 1.5)),
        (b"quarter", b"f" + struct.pack(">f", 0.25)),
        (b"none", b"d" + struct.pack(">d", float("nan"))),
        (b"endless", b"f" + struct.pack(">f", float("inf"))),
        (b"\xff", b"V"),
        (b"large", b"l" + struct.pack(">q", -(2**63))),
    ) == {
        "late": "Dec 31, 9999, 11:59:59 PM",
        "when": "Jan 1, 1970, 12:33:41 AM",
        "half": 1.5,
        "quarter": 0.25,
        "none": None,
        "endless": None,
        "\ufffd": None,
        "large": -(2**63),
    }
    kind = struct.pack(">HB", 1 << 15, 1) + b"\xff"
    properties = pika.BasicProperties()
    properties.decode(kind)
    assert orjson.loads(orjson.dumps(rabbitmq.record((1, False, properties, b""))))["basicProperties"][
        "contentType"
    ] == ("\ufffd")
