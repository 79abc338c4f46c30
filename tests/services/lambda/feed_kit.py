"""Tables, queues and functions that feeds are between, for the tests of event source mappings."""

from __future__ import annotations

import json
from typing import Any

from waiting import until

READS_STREAMS = {
    "Effect": "Allow",
    "Action": [
        "dynamodb:DescribeStream",
        "dynamodb:GetRecords",
        "dynamodb:GetShardIterator",
        "dynamodb:ListStreams",
    ],
    "Resource": "*",
}
READS_QUEUES = {
    "Effect": "Allow",
    "Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"],
    "Resource": "*",
}
WRITES = {
    "Effect": "Allow",
    "Action": ["dynamodb:PutItem", "sqs:SendMessage", "sns:Publish", "s3:PutObject", "lambda:InvokeFunction"],
    "Resource": "*",
}

# Keeps each event in the table "seen", then does what the event's test says.
RECORDER = """
import json, os, boto3
seen = boto3.client("dynamodb")

def handler(event, context):
    seen.put_item(TableName="seen", Item={
        "at": {"S": context.aws_request_id},
        "n": {"N": str(__import__("time").time_ns())},
        "event": {"S": json.dumps(event)},
        "arn": {"S": context.invoked_function_arn},
        "version": {"S": context.function_version},
    })
    return respond(event)
"""


def recorder(respond: str = "    return None") -> str:
    """The code of a function that keeps its events and answers with what `respond(event)` says."""
    return RECORDER + "\ndef respond(event):\n" + respond + "\n"


PASSES_GATES = {"Effect": "Allow", "Action": ["dynamodb:GetItem", "dynamodb:PutItem"], "Resource": "*"}


def gate(table: str = "things") -> str:
    """Code with a `gate()` that says in a table that it was come to, and lets nobody through before `put(aws, "go")`.

    The function's role needs PASSES_GATES.
    """
    return f"""
import boto3, time
table = boto3.client("dynamodb")

def gate(sign="started"):
    table.put_item(TableName="{table}", Item={{"id": {{"S": sign}}}})
    while "Item" not in table.get_item(TableName="{table}", Key={{"id": {{"S": "go"}}}}, ConsistentRead=True):
        time.sleep(0.02)
"""


def at_gate(aws: Any, table: str = "things") -> bool:
    sign = aws.client("dynamodb").get_item(TableName=table, Key={"id": {"S": "started"}}, ConsistentRead=True)
    return "Item" in sign


def allow(aws: Any, *statements: dict[str, Any]) -> None:
    """Let the functions' role do what feeding needs."""
    policy = {"Version": "2012-10-17", "Statement": [READS_STREAMS, READS_QUEUES, WRITES, *statements]}
    aws.client("iam").put_role_policy(RoleName="function-role", PolicyName="feeds", PolicyDocument=json.dumps(policy))


def make_table(aws: Any, name: str = "things", *, stream: str | None = "NEW_AND_OLD_IMAGES") -> str:
    """A table with the key "id" ("at" for the one of events); returns the ARN of its stream, "" without one."""
    key = "at" if name == "seen" else "id"
    answer = aws.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        **({"StreamSpecification": {"StreamEnabled": True, "StreamViewType": stream}} if stream else {}),
    )
    arn: str = answer["TableDescription"].get("LatestStreamArn", "")
    return arn


def put(aws: Any, *ids: str, table: str = "things", **attributes: Any) -> None:
    for each in ids:
        aws.client("dynamodb").put_item(TableName=table, Item={"id": {"S": each}, **attributes})


def events(aws: Any) -> list[dict[str, Any]]:
    """What the recorder has got so far, in order."""
    items = aws.client("dynamodb").scan(TableName="seen", ConsistentRead=True)["Items"]
    return [json.loads(item["event"]["S"]) for item in sorted(items, key=lambda item: int(item["n"]["N"]))]


def ids_of(event: dict[str, Any]) -> list[str]:
    return [record["dynamodb"]["Keys"]["id"]["S"] for record in event["Records"]]


def wait_events(aws: Any, count: int) -> list[dict[str, Any]]:
    """The events, once there are as many."""
    found: list[dict[str, Any]] = until(lambda: all_ if len(all_ := events(aws)) >= count else None)
    return found


def wait_state(lambda_: Any, uuid: str, state: str = "Enabled") -> dict[str, Any]:
    """The mapping, once it is in that state."""

    def look() -> Any:
        mapping = lambda_.get_event_source_mapping(UUID=uuid)
        return mapping if mapping["State"] == state else None

    found: dict[str, Any] = until(look)
    return found


def feed(lambda_: Any, source: str, function: str = "f", **settings: Any) -> str:
    """A mapping that is enabled; its UUID."""
    if ":dynamodb:" in source:
        settings.setdefault("StartingPosition", "TRIM_HORIZON")
    uuid: str = lambda_.create_event_source_mapping(EventSourceArn=source, FunctionName=function, **settings)["UUID"]
    wait_state(lambda_, uuid)
    return uuid
