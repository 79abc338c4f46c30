"""SNS: a thousand messages on a topic with a hundred queues behind filters, ten of which each message is for."""

from __future__ import annotations

import json
import time
from itertools import count
from typing import Any
from urllib.parse import urlencode

from bench.client import ask_all, aws, sns
from bench.gauge import Figures, Round, during, repeat
from bench.servers import Cannot, Server

QUEUES = 100
KINDS = 10
MESSAGES = 1000
BATCH = 10
DELIVERIES = MESSAGES * QUEUES // KINDS
WAIT_S = 120


def run(server: Server, quick: bool) -> Figures:
    numbers = count()

    def one() -> Round[float]:
        topic, urls = _topic(server, next(numbers))
        requests = [sns(server, _batch(topic, at)) for at in range(0, MESSAGES, BATCH)]
        took = during(_publish_s, server, requests, urls)
        _check(server, urls)
        return took

    yield "sns_fan_out_s", repeat(one, quick)


def _publish_s(server: Server, requests: list[bytes], urls: list[str]) -> float:
    begin = time.monotonic()
    for status, answer in ask_all(server, requests, 1):
        if status != 200 or b"<Failed><" in answer:
            raise Cannot(f"PublishBatch answered {status}: {answer[:200].decode(errors='replace')}")
    _wait(server, urls, begin)
    return time.monotonic() - begin


def _topic(server: Server, number: int) -> tuple[str, list[str]]:
    topics, queues = aws(server, "sns"), aws(server, "sqs")
    topic: str = topics.create_topic(Name=f"fan-out-{number}")["TopicArn"]
    region, account = topic.split(":")[3:5]
    urls = []
    for at in range(QUEUES):
        name = f"fan-out-{number}-{at}"
        arn = f"arn:aws:sqs:{region}:{account}:{name}"
        statement = {
            "Effect": "Allow",
            "Principal": {"Service": "sns.amazonaws.com"},
            "Action": "sqs:SendMessage",
            "Resource": arn,
            "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        urls.append(queues.create_queue(QueueName=name, Attributes={"Policy": policy})["QueueUrl"])
        filters = json.dumps({"kind": [str(at % KINDS)]})
        topics.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"FilterPolicy": filters})
    return topic, urls


def _batch(topic: str, at: int) -> bytes:
    form = {"Action": "PublishBatch", "Version": "2010-03-31", "TopicArn": topic}
    for member in range(BATCH):
        prefix = f"PublishBatchRequestEntries.member.{member + 1}"
        form |= {
            f"{prefix}.Id": str(member),
            f"{prefix}.Message": f"message {at + member}",
            f"{prefix}.MessageAttributes.entry.1.Name": "kind",
            f"{prefix}.MessageAttributes.entry.1.Value.DataType": "String",
            f"{prefix}.MessageAttributes.entry.1.Value.StringValue": str((at + member) % KINDS),
        }
    return urlencode(form).encode()


def _wait(server: Server, urls: list[str], begin: float) -> None:
    """Until every queue has what it is to get."""
    queues = aws(server, "sqs")
    for url in urls:
        while _held(queues, url) < DELIVERIES // QUEUES:
            if time.monotonic() > begin + WAIT_S:
                raise Cannot(f"after {WAIT_S} seconds {url} holds {_held(queues, url)} messages")
            time.sleep(0.01)


def _held(queues: Any, url: str) -> int:
    name = "ApproximateNumberOfMessages"
    return int(queues.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])


def _check(server: Server, urls: list[str]) -> None:
    """Each queue has exactly the messages that its filter is for; one of each kind is read."""
    queues = aws(server, "sqs")
    for url in urls:
        if _held(queues, url) != DELIVERIES // QUEUES:
            raise Cannot(f"{url} holds {_held(queues, url)} messages")
    for kind, url in enumerate(urls[:KINDS]):
        seen = set()
        while answer := queues.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
            seen |= {json.loads(one["Body"])["Message"] for one in answer}
        if seen != {f"message {at}" for at in range(kind, MESSAGES, KINDS)}:
            raise Cannot(f"{url} held other messages than its filter lets through")
