"""What SNS's tests share: queues that topics may send to, and what arrives in them."""

from __future__ import annotations

import json
from typing import Any

import pytest


def refused(call: Any, **request: Any) -> tuple[str, str]:
    """Code and message of the error that a call must end with."""
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def status_of(call: Any, **request: Any) -> int:
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError) as caught:
        call(**request)
    status: int = caught.value.response["ResponseMetadata"]["HTTPStatusCode"]
    return status


def bare(answer: dict[str, Any]) -> dict[str, Any]:
    return {member: value for member, value in answer.items() if member != "ResponseMetadata"}


class Queue:
    """A queue that SNS may send to, for the topics of `source` only where that is given."""

    def __init__(self, aws: Any, name: str, *, source: str = "", open_to_sns: bool = True) -> None:
        self.sqs = aws.client("sqs")
        self.arn = f"arn:aws:sqs:{aws.region}:{aws.account}:{name}"
        attributes = {"FifoQueue": "true"} if name.endswith(".fifo") else {}
        if open_to_sns:
            attributes["Policy"] = json.dumps(self.policy(source))
        self.url = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]

    def policy(self, source: str) -> dict[str, Any]:
        statement: dict[str, Any] = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": self.arn,
        }
        if source:
            statement["Condition"] = {"ArnEquals": {"aws:SourceArn": source}}
        return {"Version": "2012-10-17", "Statement": [statement]}

    def take(self, count: int = 1) -> list[dict[str, Any]]:
        """That many messages, in the order in which they come, and no more of them."""
        found: list[dict[str, Any]] = []
        while len(found) < count:
            answer = self.sqs.receive_message(
                QueueUrl=self.url,
                MaxNumberOfMessages=10,
                WaitTimeSeconds=20,
                AttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
            messages = answer.get("Messages")
            assert messages, f"{count} messages were to come, but {len(found)} came"
            for one in messages:
                self.sqs.delete_message(QueueUrl=self.url, ReceiptHandle=one["ReceiptHandle"])
            found += messages
        assert len(found) == count
        return found

    def bodies(self, count: int = 1) -> list[Any]:
        """The envelopes of that many messages."""
        return [json.loads(one["Body"]) for one in self.take(count)]

    def texts(self, count: int = 1) -> list[str]:
        """The texts of that many messages that came in envelopes."""
        return [one["Message"] for one in self.bodies(count)]

    def held(self) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return sum(int(value) for value in found.values())
