"""Other services that publish: S3, EventBridge, Scheduler, Pipes, Lambda; and functions that subscribe."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from lambda_kit import package
from pipes_kit import make_role
from sns_kit import Queue, refused

from waiting import until

# Passes its event on to a queue, and fails where a message asks for it.
PASSES_ON = """
import boto3, json, os
sqs = boto3.client("sqs")

def handler(event, context):
    sqs.send_message(QueueUrl=os.environ["QUEUE"], MessageBody=json.dumps(event))
    if "raise" in json.dumps(event):
        raise ValueError("on purpose")
    return "fine"
"""


class Topic:
    """A topic that services may publish to, and a queue in which its messages arrive."""

    def __init__(self, aws: Any, *services: str) -> None:
        self.sns = aws.client("sns")
        self.arn = self.sns.create_topic(Name="t")["TopicArn"]
        if services:
            statement = {
                "Effect": "Allow",
                "Principal": {"Service": [f"{service}.amazonaws.com" for service in services]},
                "Action": "sns:Publish",
                "Resource": self.arn,
            }
            policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            self.sns.set_topic_attributes(TopicArn=self.arn, AttributeName="Policy", AttributeValue=policy)
        self.queue = Queue(aws, "arrived", source=self.arn)
        self.sns.subscribe(TopicArn=self.arn, Protocol="sqs", Endpoint=self.queue.arn)


@pytest.fixture
def make(aws: Any) -> Callable[..., str]:
    """Creates a function that passes its events on to a queue, and waits until it is active; returns its ARN."""
    role = make_role(aws, "functions", "lambda")
    lambda_ = aws.client("lambda")

    def create(queue: Queue, name: str = "f", **request: Any) -> str:
        arn: str = lambda_.create_function(
            FunctionName=name,
            Runtime="python3.11",
            Handler="index.handler",
            Role=role,
            Code={"ZipFile": package({"index.py": PASSES_ON})},
            Environment={"Variables": {"QUEUE": queue.url}},
            **request,
        )["FunctionArn"]
        waiter = lambda_.get_waiter("function_active_v2")
        waiter.wait(FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 200})
        return arn

    return create


def test_s3_notifies_a_topic(aws: Any) -> None:
    s3 = aws.client("s3")
    bucket = f"topic-{aws.account}"
    s3.create_bucket(Bucket=bucket)
    topic = Topic(aws)
    rule = {"TopicArn": topic.arn, "Events": ["s3:ObjectCreated:*"]}
    configuration = {"Bucket": bucket, "NotificationConfiguration": {"TopicConfigurations": [rule]}}
    # The topic does not let S3 in: the test event would not arrive.
    assert refused(s3.put_bucket_notification_configuration, **configuration)[0] == "InvalidArgument"
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sns:Publish",
        "Resource": topic.arn,
        "Condition": {"ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{bucket}"}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    topic.sns.set_topic_attributes(TopicArn=topic.arn, AttributeName="Policy", AttributeValue=policy)
    s3.put_bucket_notification_configuration(**configuration)
    (tested,) = topic.queue.bodies()
    assert tested["Subject"] == "Amazon S3 Notification"
    event = json.loads(tested["Message"])
    assert (event["Event"], event["Bucket"], event["Service"]) == ("s3:TestEvent", bucket, "Amazon S3")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    (told,) = topic.queue.bodies()
    assert told["Subject"] == "Amazon S3 Notification"
    (record,) = json.loads(told["Message"])["Records"]
    assert (record["eventName"], record["s3"]["object"]["key"]) == ("ObjectCreated:Put", "k")


def test_a_rule_of_eventbridge_publishes(aws: Any) -> None:
    topic = Topic(aws, "events")
    events = aws.client("events")
    events.put_rule(Name="r", EventPattern='{"source": ["mine"]}')
    events.put_targets(Rule="r", Targets=[{"Id": "t", "Arn": topic.arn}])
    events.put_events(Entries=[{"Source": "mine", "DetailType": "t", "Detail": '{"n": 1}'}])
    (told,) = topic.queue.texts()
    assert json.loads(told)["detail"] == {"n": 1}


def test_a_schedule_publishes(aws: Any, later: Any, still: Any) -> None:
    topic = Topic(later)
    role = make_role(later, "schedules", "scheduler")
    later.client("scheduler").create_schedule(
        Name="s",
        ScheduleExpression="rate(5 minutes)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={"Arn": topic.arn, "RoleArn": role, "Input": "hello"},
    )
    still.advance(301)
    assert topic.queue.texts()[0] == "hello"


def test_a_pipe_publishes(aws: Any) -> None:
    topic = Topic(aws)
    source = Queue(aws, "source", open_to_sns=False)
    role = make_role(aws, "pipes", "pipes")
    pipes = aws.client("pipes")
    pipes.create_pipe(Name="p", RoleArn=role, Source=source.arn, Target=topic.arn)
    until(lambda: pipes.describe_pipe(Name="p")["CurrentState"] == "RUNNING")
    source.sqs.send_message(QueueUrl=source.url, MessageBody="through")
    assert json.loads(topic.queue.texts()[0])["body"] == "through"


def test_functions_subscribe_and_their_failures_are_published(aws: Any, sns: Any, make: Callable[..., str]) -> None:
    failed = Topic(aws)
    arn = sns.create_topic(Name="work")["TopicArn"]
    got = Queue(aws, "got", open_to_sns=False)
    function = make(got, DeadLetterConfig={"TargetArn": failed.arn})
    lambda_ = aws.client("lambda")
    dead = Queue(aws, "dead")
    redrive = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": dead.arn})}
    id = sns.subscribe(TopicArn=arn, Protocol="lambda", Endpoint=function, Attributes=redrive)["SubscriptionArn"]
    # The function does not let the topic in.
    sns.publish(TopicArn=arn, Message="refused")
    assert dead.texts() == ["refused"]
    lambda_.add_permission(
        FunctionName="f",
        StatementId="s",
        Action="lambda:InvokeFunction",
        Principal="sns.amazonaws.com",
        SourceArn=arn,
    )
    sns.publish(TopicArn=arn, Message="Hello world.", Subject="[Subject] Test")
    (event,) = (json.loads(one["Body"]) for one in got.take())
    (record,) = event["Records"]
    notification = record.pop("Sns")
    assert record == {"EventSource": "aws:sns", "EventVersion": "1.0", "EventSubscriptionArn": id}
    assert notification.keys() == {
        *("Type", "MessageId", "TopicArn", "Subject", "Message", "Timestamp", "SignatureVersion", "Signature"),
        *("SigningCertUrl", "UnsubscribeUrl", "MessageAttributes"),
    }
    assert (notification["Message"], notification["Subject"]) == ("Hello world.", "[Subject] Test")
    assert notification["MessageAttributes"] == {}

    lambda_.put_function_event_invoke_config(FunctionName="f", MaximumRetryAttempts=0)
    sns.publish(
        TopicArn=arn, Message='{"raise": 1}', MessageAttributes={"a": {"DataType": "Number", "StringValue": "1"}}
    )
    (letter,) = failed.queue.bodies()
    (record,) = json.loads(letter["Message"])["Records"]
    assert record["Sns"]["Message"] == '{"raise": 1}'
    assert record["Sns"]["Subject"] is None
    assert letter["MessageAttributes"]["ErrorMessage"] == {"Type": "String", "Value": "on purpose"}
    assert letter["MessageAttributes"]["ErrorCode"] == {"Type": "Number", "Value": "200"}
    assert letter["MessageAttributes"].keys() == {"RequestID", "ErrorCode", "ErrorMessage"}
    # Destinations are told everything.
    destination = {"OnSuccess": {"Destination": failed.arn}, "OnFailure": {"Destination": failed.arn}}
    lambda_.put_function_event_invoke_config(FunctionName="f", DestinationConfig=destination)
    lambda_.invoke(FunctionName="f", InvocationType="Event", Payload=b'{"n": 1}')
    told = json.loads(failed.queue.texts()[0])
    assert told["requestContext"]["condition"] == "Success"
    assert told["responsePayload"] == "fine"


def test_a_loop_through_a_topic_is_stopped(aws: Any, sns: Any) -> None:
    """A function that publishes to the topic that invokes it runs about sixteen times."""
    arn = sns.create_topic(Name="loop")["TopicArn"]
    code = (
        "import boto3, os\nsns = boto3.client('sns')\n"
        "def handler(event, context):\n    sns.publish(TopicArn=os.environ['TOPIC'], Message='again')\n"
    )
    lambda_ = aws.client("lambda")
    stopped = Queue(aws, "stopped", open_to_sns=False)
    role = make_role(aws, "functions", "lambda")
    function = lambda_.create_function(
        FunctionName="f",
        Runtime="python3.11",
        Handler="index.handler",
        Role=role,
        Code={"ZipFile": package({"index.py": code})},
        Environment={"Variables": {"TOPIC": arn}},
        DeadLetterConfig={"TargetArn": stopped.arn},
    )["FunctionArn"]
    waiter = lambda_.get_waiter("function_active_v2")
    waiter.wait(FunctionName="f", WaiterConfig={"Delay": 0.05, "MaxAttempts": 200})
    lambda_.add_permission(
        FunctionName="f", StatementId="s", Action="lambda:InvokeFunction", Principal="sns.amazonaws.com", SourceArn=arn
    )
    sns.subscribe(TopicArn=arn, Protocol="lambda", Endpoint=function)
    counted = Queue(aws, "counted")
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=counted.arn)
    sns.publish(TopicArn=arn, Message="begin")
    assert json.loads(stopped.take()[0]["Body"])["Records"][0]["Sns"]["Message"] == "again"
    assert until(lambda: counted.held() == 17)


def test_delivery_status_is_logged(aws: Any, sns: Any, make: Callable[..., str]) -> None:
    arn = sns.create_topic(Name="status")["TopicArn"]
    got = Queue(aws, "got", open_to_sns=False)
    function = make(got)
    aws.client("lambda").add_permission(
        FunctionName="f", StatementId="s", Action="lambda:InvokeFunction", Principal="sns.amazonaws.com", SourceArn=arn
    )
    sns.subscribe(TopicArn=arn, Protocol="lambda", Endpoint=function)
    gone = f"arn:aws:sqs:us-east-1:{aws.account}:gone"
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=gone)
    sns.publish(TopicArn=arn, Message="without")
    got.take()
    role = make_role(aws, "feedback", "sns")
    for name, value in (
        ("LambdaSuccessFeedbackRoleArn", role),
        ("LambdaSuccessFeedbackSampleRate", "100"),
        ("SQSFailureFeedbackRoleArn", role),
    ):
        sns.set_topic_attributes(TopicArn=arn, AttributeName=name, AttributeValue=value)
    id = sns.publish(TopicArn=arn, Message="with")["MessageId"]
    logs = aws.client("logs")

    def events(group: str) -> list[dict[str, Any]]:
        try:
            found = logs.filter_log_events(logGroupName=group)["events"]
        except logs.exceptions.ResourceNotFoundException:
            return []
        return [json.loads(one["message"]) for one in found]

    group = f"sns/us-east-1/{aws.account}/status"
    (told,) = until(lambda: events(group))
    assert (told["status"], told["notification"]["messageId"]) == ("SUCCESS", id)
    assert told["notification"]["topicArn"] == arn
    assert told["delivery"]["statusCode"] == 202
    assert told["delivery"]["destination"] == function
    assert told["delivery"].keys() == {
        *("deliveryId", "destination", "providerResponse", "dwellTimeMs", "statusCode"),
    }
    assert json.loads(told["delivery"]["providerResponse"])["lambdaRequestId"]
    (failed,) = until(lambda: events(group + "/Failure"))
    assert (failed["status"], failed["delivery"]["destination"]) == ("FAILURE", gone)


def test_a_stream_that_is_given_up_is_told_of(aws: Any, make: Callable[..., str]) -> None:
    failed = Topic(aws)
    got = Queue(aws, "got", open_to_sns=False)
    function = make(got)
    dynamodb = aws.client("dynamodb")
    stream = dynamodb.create_table(
        TableName="things",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    )["TableDescription"]["LatestStreamArn"]
    aws.client("lambda").create_event_source_mapping(
        FunctionName="f",
        EventSourceArn=stream,
        StartingPosition="TRIM_HORIZON",
        BatchSize=1,
        MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": failed.arn}},
    )
    dynamodb.put_item(TableName="things", Item={"id": {"S": "raise"}})
    told = json.loads(failed.queue.texts()[0])
    assert told["requestContext"]["functionArn"].startswith(function)
    assert told["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert told["DDBStreamBatchInfo"]["streamArn"] == stream
