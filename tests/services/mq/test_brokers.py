"""What Amazon MQ refuses; brokers that are there are in the tests of Lambda's event sources."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

ASKED = {
    "BrokerName": "orders",
    "EngineType": "RABBITMQ",
    "DeploymentMode": "SINGLE_INSTANCE",
    "HostInstanceType": "mq.m5.large",
    "PubliclyAccessible": True,
    "Users": [{"Username": "guest", "Password": "guest"}],
    "Tags": {"pileus:endpoint": "amqp://127.0.0.1:1"},
}


@pytest.mark.parametrize(
    ("changed", "code", "words"),
    [
        ({"EngineType": "ACTIVEMQ"}, "NotImplemented", "A broker of the engine ACTIVEMQ is not implemented"),
        ({"Tags": {}}, "NotImplemented", "register one that runs"),
        ({"Tags": {"pileus:endpoint": "http://127.0.0.1:1"}}, "BadRequestException", "is not an address"),
        ({"Tags": {"pileus:endpoint": "amqp://127.0.0.1:70000"}}, "BadRequestException", "is not an address"),
        ({"Tags": {"pileus:endpoint": "amqp://169.254.169.254:80"}}, "BadRequestException", "own link"),
        ({}, "BadRequestException", "No broker answers at amqp://127.0.0.1:1"),
        ({"BrokerName": "a b"}, "BadRequestException", "Broker name [a b] is invalid."),
        ({"Users": []}, "BadRequestException", "created with one user"),
        ({"DeploymentMode": "ACTIVE_STANDBY_MULTI_AZ"}, "BadRequestException", "invalid for RabbitMQ"),
    ],
)
def test_brokers_that_are_not_created(aws: Any, changed: dict[str, Any], code: str, words: str) -> None:
    mq = aws.client("mq")
    with pytest.raises(ClientError) as caught:
        mq.create_broker(**{**ASKED, **changed})
    error = caught.value.response["Error"]
    assert error["Code"] == code
    assert words in (error.get("Message") or caught.value.response.get("message") or "")
    assert mq.list_brokers()["BrokerSummaries"] == []


def test_a_broker_that_is_not_there(aws: Any) -> None:
    mq = aws.client("mq")
    for call in (mq.describe_broker, mq.delete_broker):
        with pytest.raises(mq.exceptions.NotFoundException) as caught:
            call(BrokerId="b-none")
        assert caught.value.response["ErrorAttribute"] == "broker-id"
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
