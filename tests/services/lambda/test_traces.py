"""X-Ray's trace header goes along, from whoever begins to the function at the end, whatever is between them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from feed_kit import allow, feed, make_table

from waiting import until

# What was begun with, by the function's first look at its event, and the trace that it finds itself in.
CODE = """
import json, os, boto3
seen = boto3.client("dynamodb")

def handler(event, context):
    text = json.dumps(event)
    starts = ("direct", "topic-message", "traced-", "in a queue", "a bus", "a relay")
    start = next(word for word in starts if word in text)
    seen.put_item(TableName="seen", Item={"at": {"S": start}, "trace": {"S": os.environ["_X_AMZN_TRACE_ID"]}})
    return start
"""


def test_a_trace_goes_through_every_service(aws: Any, lambda_: Any, make: Callable[..., Any], role: str) -> None:
    allow(aws)
    make_table(aws, "seen", stream=None)
    function = make(code=CODE)["FunctionArn"]
    for service in ("sns", "s3", "events"):
        lambda_.add_permission(
            FunctionName="f",
            StatementId=service,
            Action="lambda:InvokeFunction",
            Principal=f"{service}.amazonaws.com",
            SourceAccount=aws.account,
        )

    traces: dict[str, str] = {}

    def client(service: str, begun: str) -> Any:
        """A client that works within a trace of its own."""
        made = aws.client(service)
        traces[begun] = f"Root=1-5759e988-{len(traces):024x}"

        def add(request: Any, **_: Any) -> None:
            request.headers["X-Amzn-Trace-Id"] = f"{traces[begun]};Parent=53995c3f42cd8ad8;Sampled=1"

        made.meta.events.register(f"before-send.{service}", add)
        return made

    client("lambda", "direct").invoke(FunctionName="f", InvocationType="Event", Payload=b'"direct"')

    topic = aws.client("sns").create_topic(Name="t")["TopicArn"]
    aws.client("sns").subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function)
    client("sns", "topic-message").publish(TopicArn=topic, Message="topic-message")

    bucket = f"traced-{aws.account}"
    aws.client("s3").create_bucket(Bucket=bucket)
    entry = {"LambdaFunctionArn": function, "Events": ["s3:ObjectCreated:*"]}
    aws.client("s3").put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": [entry]}
    )
    client("s3", "traced-").put_object(Bucket=bucket, Key="k")

    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    source = f"arn:aws:sqs:us-east-1:{aws.account}:q"
    feed(lambda_, source)
    client("sqs", "in a queue").send_message(QueueUrl=url, MessageBody="in a queue")

    # To the function, and by another bus and a queue to the function.
    events, here = aws.client("events"), f"arn:aws:events:us-east-1:{aws.account}:event-bus/second"
    events.create_event_bus(Name="second")
    statement = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = {"Version": "2012-10-17", "Statement": [{**statement, "Resource": source}]}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    events.put_rule(Name="r", EventPattern='{"source": ["bus"]}')
    events.put_targets(Rule="r", Targets=[{"Id": "f", "Arn": function, "Input": '"a bus"'}])
    events.put_rule(Name="on", EventPattern='{"source": ["relay"]}')
    events.put_targets(Rule="on", Targets=[{"Id": "b", "Arn": here}])
    events.put_rule(Name="r", EventBusName="second", EventPattern='{"source": ["relay"]}')
    events.put_targets(Rule="r", EventBusName="second", Targets=[{"Id": "q", "Arn": source, "Input": '"a relay"'}])
    for name in ("bus", "relay"):
        client("events", f"a {name}").put_events(Entries=[{"Source": name, "DetailType": "t", "Detail": "{}"}])

    def seen() -> dict[str, str] | None:
        items = aws.client("dynamodb").scan(TableName="seen", ConsistentRead=True)["Items"]
        return {item["at"]["S"]: item["trace"]["S"] for item in items} if len(items) == 6 else None

    assert {name: trace.split(";")[0] for name, trace in until(seen).items()} == traces
