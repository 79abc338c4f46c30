"""Queues as targets, and as dead-letter queues."""

from __future__ import annotations

import json
from typing import Any

from waiting import until

ENTRY = {"Source": "core.update", "DetailType": "core.type", "Detail": '{"group": "g1", "n": 1}'}
PATTERN = '{"source": ["core.update"]}'


class Queue:
    """A queue that EventBridge may send to."""

    def __init__(self, aws: Any, name: str, *, open_: bool = True, **attributes: str) -> None:
        self.sqs = aws.client("sqs")
        self.url = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        self.arn = f"arn:aws:sqs:us-east-1:{aws.account}:{name}"
        if open_:
            statement = {
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": self.arn,
            }
            policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            self.sqs.set_queue_attributes(QueueUrl=self.url, Attributes={"Policy": policy})

    def receive(self) -> dict[str, Any]:
        def look() -> Any:
            answer = self.sqs.receive_message(
                QueueUrl=self.url,
                WaitTimeSeconds=1,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["All"],
            )
            return answer.get("Messages")

        [message] = until(look)
        found: dict[str, Any] = message
        return found


def letter(message: dict[str, Any]) -> dict[str, str]:
    return {name: value["StringValue"] for name, value in message["MessageAttributes"].items()}


def test_an_event_in_a_queue(aws: Any) -> None:
    events, queue = aws.client("events"), Queue(aws, "plain")
    fifo = Queue(aws, "line.fifo", FifoQueue="true", ContentBasedDeduplication="true")
    events.put_rule(Name="r", EventPattern=PATTERN)
    events.put_targets(
        Rule="r",
        Targets=[
            {"Id": "plain", "Arn": queue.arn},
            {"Id": "fifo", "Arn": fifo.arn, "SqsParameters": {"MessageGroupId": "$.detail.group"}},
        ],
    )
    id = events.put_events(Entries=[ENTRY])["Entries"][0]["EventId"]
    assert json.loads(queue.receive()["Body"])["id"] == id
    message = fifo.receive()
    assert json.loads(message["Body"])["id"] == id
    assert message["Attributes"]["MessageGroupId"] == "g1"


def test_what_cannot_be_delivered_is_a_dead_letter(aws: Any) -> None:
    events = aws.client("events")
    closed, gone = Queue(aws, "closed", open_=False), f"arn:aws:sqs:us-east-1:{aws.account}:gone"
    dead = {"closed": Queue(aws, "dead-closed"), "gone": Queue(aws, "dead-gone"), "json": Queue(aws, "dead-json")}
    rule = events.put_rule(Name="r", EventPattern=PATTERN)["RuleArn"]
    template = {"InputPathsMap": {"d": "$.detail"}, "InputTemplate": '{"d": "<d>"}'}
    targets = [
        {"Id": "closed", "Arn": closed.arn},
        {"Id": "gone", "Arn": gone},
        {"Id": "json", "Arn": dead["json"].arn, "InputTransformer": template},
    ]
    targets = [{**one, "DeadLetterConfig": {"Arn": dead[one["Id"]].arn}} for one in targets]
    events.put_targets(Rule="r", Targets=targets)
    id = events.put_events(Entries=[ENTRY])["Entries"][0]["EventId"]
    for name, code in (("closed", "NO_PERMISSIONS"), ("gone", "NO_RESOURCE"), ("json", "INVALID_JSON")):
        message = dead[name].receive()
        assert json.loads(message["Body"])["id"] == id
        attributes = letter(message)
        assert attributes.keys() == {"RULE_ARN", "TARGET_ARN", "ERROR_CODE", "ERROR_MESSAGE", "RETRY_ATTEMPTS"}
        assert attributes["RULE_ARN"] == rule
        assert attributes["TARGET_ARN"] == next(one["Arn"] for one in targets if one["Id"] == name)
        assert (attributes["ERROR_CODE"], attributes["RETRY_ATTEMPTS"]) == (code, "0")
        assert attributes["ERROR_MESSAGE"]


def test_retries_end_as_the_target_says(aws: Any, start_pileus: Any) -> None:
    """A destination where nobody answers: tried as often, or as long, as the target's policy allows; others go on."""
    server = start_pileus("--clock", "virtual")
    here = type(aws)(server.endpoint)
    events, dead, good = here.client("events"), Queue(here, "dead"), Queue(here, "good")
    trust = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = here.client("iam").create_role(
        RoleName="caller", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]["Arn"]
    connection = events.create_connection(
        Name="c",
        AuthorizationType="API_KEY",
        AuthParameters={"ApiKeyAuthParameters": {"ApiKeyName": "k", "ApiKeyValue": "v"}},
    )["ConnectionArn"]
    nowhere = events.create_api_destination(
        Name="d", ConnectionArn=connection, HttpMethod="POST", InvocationEndpoint="http://127.0.0.1:1/"
    )["ApiDestinationArn"]
    events.put_rule(Name="r", EventPattern=PATTERN)
    down = {"Arn": nowhere, "RoleArn": role, "DeadLetterConfig": {"Arn": dead.arn}}
    events.put_targets(
        Rule="r",
        Targets=[
            {**down, "Id": "often", "RetryPolicy": {"MaximumRetryAttempts": 2}},
            {**down, "Id": "long", "RetryPolicy": {"MaximumEventAgeInSeconds": 60}},
            {"Id": "good", "Arn": good.arn},
        ],
    )
    events.put_events(Entries=[ENTRY])
    # The one that works has it at once.
    good.receive()
    server.advance(600)
    found = sorted((letter(dead.receive()) for _ in range(2)), key=lambda one: one["EXHAUSTED_RETRY_CONDITION"])
    assert [one["EXHAUSTED_RETRY_CONDITION"] for one in found] == ["MaximumEventAgeInSeconds", "MaximumRetryAttempts"]
    assert {one["ERROR_CODE"] for one in found} == {"CONNECTION_FAILURE"}
    assert found[1]["RETRY_ATTEMPTS"] == "2"
