"""Pipes to API destinations: called as EventBridge's rules call them, and a message is gone when it was taken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from events_kit import Web
from pipes_kit import World, refused

from waiting import until


@pytest.fixture
def web() -> Iterator[Web]:
    made = Web()
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_a_message_is_posted(aws: Any, web: Web) -> None:
    world = World(aws)
    events, sqs = aws.client("events"), aws.client("sqs")
    basic = {"BasicAuthParameters": {"Username": "u", "Password": "p"}}
    connection = events.create_connection(Name="c", AuthorizationType="BASIC", AuthParameters=basic)["ConnectionArn"]
    destination = events.create_api_destination(
        Name="d", ConnectionArn=connection, HttpMethod="POST", InvocationEndpoint=f"{web.url}/orders/*"
    )["ApiDestinationArn"]
    url = sqs.create_queue(QueueName="orders", Attributes={"VisibilityTimeout": "1"})["QueueUrl"]
    world.create(
        Source=f"arn:aws:sqs:us-east-1:{aws.account}:orders",
        Target=destination,
        TargetParameters={
            "InputTemplate": '{"n": <$.body.n>}',
            "HttpParameters": {
                "PathParameterValues": ["$.body.id"],
                "HeaderParameters": {"X-From": "$.messageId"},
                "QueryStringParameters": {"q": "a b"},
            },
        },
    )
    # The first answer fails the batch: the message becomes visible and comes again.
    web.statuses = [503]
    id = sqs.send_message(QueueUrl=url, MessageBody='{"id": "o/1", "n": 2}')["MessageId"]
    until(lambda: len(web.requests) >= 2)
    assert web.requests[0] == web.requests[1]
    _, path, headers, body = web.requests[1]
    assert (path, json.loads(body)) == ("/orders/o%2F1?q=a+b", {"n": 2})
    assert (headers["x-from"], headers["authorization"]) == (id, "Basic dTpw")

    def left() -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        return sum(map(int, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"].values()))

    until(lambda: left() == 0)


def test_nobody_calls_one_from_outside(aws: Any) -> None:
    """It is no operation of AWS's."""
    events = aws.client("events")

    def rename(params: dict[str, Any], **_: Any) -> None:
        params["headers"]["X-Amz-Target"] = "AWSEvents.InvokeApiDestination"

    events.meta.events.register("before-call.events.ListEventBuses", rename)
    code, _ = refused(events.list_event_buses)
    assert code == "UnknownOperationException"
