"""Targets that are slow, down, throttled or deleted: they delay nobody else."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from events_kit import Group

from waiting import until

EVENTS = 40


@pytest.fixture
def tarpit() -> Iterator[str]:
    """The address of a server that takes connections and requests, and says nothing until the test is over."""
    listening = socket.create_server(("127.0.0.1", 0), backlog=EVENTS * 4)
    over = threading.Event()
    held: list[socket.socket] = []

    def hold() -> None:
        while not over.is_set():
            try:
                held.append(listening.accept()[0])
            except OSError:
                return

    threading.Thread(target=hold, daemon=True).start()
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    over.set()
    listening.shutdown(socket.SHUT_RDWR)
    listening.close()
    for one in held:
        one.close()


def test_what_ails_delays_nothing_else(aws: Any, tarpit: str) -> None:
    events, sqs, iam = aws.client("events"), aws.client("sqs"), aws.client("iam")
    good, group = sqs.create_queue(QueueName="good")["QueueUrl"], Group(aws, "good")
    dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
    here = f"arn:aws:sqs:us-east-1:{aws.account}"
    statement = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
    for name, url in (("good", good), ("dead", dead)):
        policy = {"Version": "2012-10-17", "Statement": [{**statement, "Resource": f"{here}:{name}"}]}
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    trust = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(
        RoleName="slow", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]["Arn"]
    basic = {"BasicAuthParameters": {"Username": "u", "Password": "p"}}
    connection = events.create_connection(Name="c", AuthorizationType="BASIC", AuthParameters=basic)["ConnectionArn"]

    def destination(name: str, address: str, rate: int = 300) -> str:
        arn: str = events.create_api_destination(
            Name=name,
            ConnectionArn=connection,
            HttpMethod="POST",
            InvocationEndpoint=address,
            InvocationRateLimitPerSecond=rate,
        )["ApiDestinationArn"]
        return arn

    ailing = [
        {"Id": "slow", "Arn": destination("slow", tarpit), "RoleArn": role},
        {"Id": "throttled", "Arn": destination("throttled", tarpit, rate=1), "RoleArn": role},
        {"Id": "down", "Arn": destination("down", "http://127.0.0.1:1"), "RoleArn": role},
        {"Id": "deleted", "Arn": f"{here}:none", "DeadLetterConfig": {"Arn": f"{here}:dead"}},
        {"Id": "gone", "Arn": f"arn:aws:lambda:us-east-1:{aws.account}:function:none"},
    ]
    # Before the others in every order there may be.
    events.put_rule(Name="a-ailing", EventPattern='{"source": ["s"]}')
    events.put_targets(Rule="a-ailing", Targets=ailing)
    events.put_rule(Name="b-well", EventPattern='{"source": ["s"]}')
    targets = [{"Id": "queue", "Arn": f"{here}:good"}, {"Id": "group", "Arn": group.arn, "InputPath": "$.detail.n"}]
    events.put_targets(Rule="b-well", Targets=targets)
    for n in range(0, EVENTS, 10):
        entries = [{"Source": "s", "DetailType": "t", "Detail": json.dumps({"n": n + one})} for one in range(10)]
        assert events.put_events(Entries=entries)["FailedEntryCount"] == 0

    def count(url: str) -> int:
        shown = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"])
        return int(shown["Attributes"]["ApproximateNumberOfMessages"])

    # One after the other, those of the slow ones alone would take minutes: five seconds each, and again for a day.
    until(lambda: count(good) == EVENTS)
    until(lambda: count(dead) == EVENTS)
    assert sorted(map(int, group.wait(EVENTS))) == list(range(EVENTS))
