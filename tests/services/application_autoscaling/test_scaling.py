"""Scaling as it happens: what target tracking and scheduled actions do to tables, by the clock."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from conftest import Account, Server

WRITES = "dynamodb:table:WriteCapacityUnits"
TARGET = {"ServiceNamespace": "dynamodb", "ResourceId": "table/table", "ScalableDimension": WRITES}


@pytest.fixture(scope="module")
def virtual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose time moves only when it is told to."""
    server = Server(tmp_path_factory.mktemp("pileus") / "data", "--clock", "virtual")
    yield server
    assert server.stop() == 0, server.log.read_text()


@pytest.fixture
def aws(virtual: Server) -> Account:
    return Account(virtual.endpoint)


@pytest.fixture
def scaling(aws: Account) -> Any:
    return aws.client("application-autoscaling")


def create_table(aws: Account, write: int = 5, **members: Any) -> Any:
    dynamodb = aws.client("dynamodb")
    dynamodb.create_table(
        TableName="table",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("id", "tag")],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": write},
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-tag",
                "KeySchema": [{"AttributeName": "tag", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
                "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
            }
        ],
    )
    return dynamodb


def write(dynamodb: Any, units: int) -> None:
    """Consume so many units of the table, in one write."""
    item = {"id": {"S": "a"}, "data": {"S": "x" * (1024 * units - 20)}}
    dynamodb.put_item(TableName="table", Item=item)


def units(dynamodb: Any) -> int:
    found = dynamodb.describe_table(TableName="table")["Table"]["ProvisionedThroughput"]["WriteCapacityUnits"]
    assert isinstance(found, int)
    return found


def track(scaling: Any, least: int = 5, most: int = 20, target: float = 50, **members: Any) -> None:
    scaling.register_scalable_target(**TARGET, MinCapacity=least, MaxCapacity=most)
    configuration = {
        "TargetValue": target,
        "PredefinedMetricSpecification": {"PredefinedMetricType": "DynamoDBWriteCapacityUtilization"},
        **members,
    }
    scaling.put_scaling_policy(
        **TARGET,
        PolicyName="tracking",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=configuration,
    )


def minutes(server: Server, dynamodb: Any, count: int, consumed: int) -> None:
    """That many minutes, in each of which so many units are consumed."""
    for _ in range(count):
        write(dynamodb, consumed)
        server.advance(60)


def test_a_table_scales_out_after_two_minutes_and_in_after_fifteen(virtual: Server, aws: Account, scaling: Any) -> None:
    dynamodb = create_table(aws)
    track(scaling)
    minutes(virtual, dynamodb, 1, 300)
    # 5 units a second, where 2.5 are aimed at: one minute is not enough.
    assert units(dynamodb) == 5
    minutes(virtual, dynamodb, 2, 300)
    assert units(dynamodb) == 10
    minutes(virtual, dynamodb, 1, 300)
    assert units(dynamodb) == 10
    (activity,) = scaling.describe_scaling_activities(ServiceNamespace="dynamodb")["ScalingActivities"]
    assert activity["Description"] == "Setting write capacity units to 10."
    assert activity["StatusCode"] == "Successful"
    assert activity["StatusMessage"] == (
        "Successfully set write capacity units to 10. Change successfully fulfilled by dynamodb."
    )
    assert (activity["ResourceId"], activity["ScalableDimension"]) == ("table/table", WRITES)
    # An item of 60 units costs 300 when it replaces one of 300.
    dynamodb.delete_item(TableName="table", Key={"id": {"S": "a"}})
    minutes(virtual, dynamodb, 1, 60)
    for _ in range(13):
        minutes(virtual, dynamodb, 1, 60)
    assert units(dynamodb) == 10
    minutes(virtual, dynamodb, 3, 60)
    assert units(dynamodb) == 5


def test_the_limits_hold(virtual: Server, aws: Account, scaling: Any) -> None:
    dynamodb = create_table(aws)
    events, sqs = aws.client("events"), aws.client("sqs")
    queue = sqs.create_queue(QueueName="told")["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:{aws.account}:told"
    allow = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    events.put_rule(Name="told", EventPattern='{"source": ["aws.application-autoscaling"]}')
    events.put_targets(Rule="told", Targets=[{"Id": "queue", "Arn": arn}])
    track(scaling, least=7, most=8)
    virtual.advance(61)
    assert units(dynamodb) == 7
    minutes(virtual, dynamodb, 3, 400)
    assert units(dynamodb) == 8
    # The default bus is told of the limit, and of nothing else.
    virtual.advance(1)
    (message,) = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)["Messages"]
    event = json.loads(message["Body"])
    assert (event["detail-type"], event["resources"]) == ("Application Auto Scaling Scaling Activity State Change", [])
    detail = event["detail"]
    assert detail.pop("startTime") <= detail.pop("endTime")
    assert detail == {
        "newDesiredCapacity": 8,
        "oldDesiredCapacity": 7,
        "minCapacity": 7,
        "maxCapacity": 8,
        "resourceId": "table/table",
        "scalableDimension": WRITES,
        "serviceNamespace": "dynamodb",
        "statusCode": "Successful",
        "scaledToMax": True,
        "direction": "scale-out",
    }
    scaling.deregister_scalable_target(**TARGET)
    assert scaling.describe_scaling_policies(ServiceNamespace="dynamodb")["ScalingPolicies"] == []


def test_a_table_at_rest_stays_as_it_is(virtual: Server, aws: Account, scaling: Any) -> None:
    dynamodb = create_table(aws, write=20)
    track(scaling)
    virtual.advance(60 * 20)
    assert units(dynamodb) == 20


def test_cooldown_and_suspension_hold_scaling_back(virtual: Server, aws: Account, scaling: Any) -> None:
    dynamodb = create_table(aws)
    track(scaling, ScaleOutCooldown=600)
    minutes(virtual, dynamodb, 3, 200)
    assert units(dynamodb) == 7
    minutes(virtual, dynamodb, 3, 300)
    assert units(dynamodb) == 7
    minutes(virtual, dynamodb, 8, 300)
    assert units(dynamodb) == 10
    scaling.register_scalable_target(**TARGET, SuspendedState={"DynamicScalingOutSuspended": True})
    minutes(virtual, dynamodb, 12, 400)
    assert units(dynamodb) == 10


def test_an_index_scales_by_itself(virtual: Server, aws: Account, scaling: Any) -> None:
    dynamodb = create_table(aws, write=100)
    target = {**TARGET, "ResourceId": "table/table/index/by-tag"}
    target["ScalableDimension"] = "dynamodb:index:WriteCapacityUnits"
    scaling.register_scalable_target(**target, MinCapacity=5, MaxCapacity=20)
    metric = {"PredefinedMetricType": "DynamoDBWriteCapacityUtilization"}
    scaling.put_scaling_policy(
        **target,
        PolicyName="tracking",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={"TargetValue": 20.0, "PredefinedMetricSpecification": metric},
    )
    for minute in range(3):
        for number in range(100):
            item = {"id": {"S": f"{minute}-{number}"}, "tag": {"S": "t"}}
            dynamodb.put_item(TableName="table", Item=item)
        virtual.advance(60)
    (index,) = dynamodb.describe_table(TableName="table")["Table"]["GlobalSecondaryIndexes"]
    assert index["ProvisionedThroughput"]["WriteCapacityUnits"] == 9


def test_a_scaling_that_is_refused_is_told(virtual: Server, aws: Account, scaling: Any) -> None:
    dynamodb = create_table(aws)
    track(scaling, most=50_000)
    scaling.register_scalable_target(**TARGET, MinCapacity=45_000)
    virtual.advance(61)
    assert units(dynamodb) == 5
    activity = scaling.describe_scaling_activities(ServiceNamespace="dynamodb")["ScalingActivities"][0]
    assert activity["StatusCode"] == "Failed"
    assert activity["StatusMessage"].startswith("Failed to set write capacity units to 45000. Reason: Subscriber limit")


def test_a_table_that_is_gone_is_no_target_any_more(virtual: Server, aws: Account, scaling: Any) -> None:
    dynamodb = create_table(aws)
    track(scaling)
    dynamodb.delete_table(TableName="table")
    virtual.advance(61)
    assert scaling.describe_scalable_targets(ServiceNamespace="dynamodb")["ScalableTargets"] == []


def test_scheduled_actions_change_the_limits(virtual: Server, aws: Account, scaling: Any) -> None:
    dynamodb = create_table(aws)
    scaling.register_scalable_target(**TARGET, MinCapacity=1, MaxCapacity=50)
    scaling.put_scheduled_action(
        **TARGET,
        ScheduledActionName="up",
        Schedule="rate(10 minutes)",
        ScalableTargetAction={"MinCapacity": 15},
    )
    virtual.advance(9 * 60)
    assert units(dynamodb) == 5
    virtual.advance(90)
    assert units(dynamodb) == 15
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="dynamodb")["ScalableTargets"]
    assert (target["MinCapacity"], target["MaxCapacity"]) == (15, 50)
    (activity,) = scaling.describe_scaling_activities(ServiceNamespace="dynamodb")["ScalingActivities"]
    assert activity["Cause"] == "scheduled action up: minimum capacity was set to 15"
    dynamodb.update_table(TableName="table", ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 5})
    virtual.advance(10 * 60)
    assert units(dynamodb) == 15
    scaling.delete_scheduled_action(**TARGET, ScheduledActionName="up")
    scaling.put_scheduled_action(
        **TARGET,
        ScheduledActionName="down",
        Schedule="cron(0/5 * * * ? *)",
        Timezone="Europe/Berlin",
        ScalableTargetAction={"MinCapacity": 1, "MaxCapacity": 3},
    )
    virtual.advance(5 * 60)
    assert units(dynamodb) == 3


def test_it_goes_on_after_a_restart(tmp_path: Path, start_pileus: Callable[..., Server]) -> None:
    first = start_pileus("--clock", "virtual", data_dir=tmp_path / "data")
    aws = Account(first.endpoint)
    create_table(aws)
    scaling = aws.client("application-autoscaling")
    track(scaling)
    scaling.put_scheduled_action(
        **TARGET,
        ScheduledActionName="up",
        Schedule="rate(10 minutes)",
        ScalableTargetAction={"MinCapacity": 12},
    )
    first.kill()
    second = start_pileus("--clock", "virtual", data_dir=tmp_path / "data")
    dynamodb = Account(second.endpoint, aws.account).client("dynamodb")
    second.advance(61)
    minutes(second, dynamodb, 3, 300)
    assert units(dynamodb) == 10
    second.advance(600)
    assert units(dynamodb) == 12


def test_an_alias_scales_its_provisioned_concurrency(
    virtual: Server, aws: Account, scaling: Any, tmp_path: Path
) -> None:
    import io
    import json
    import zipfile

    iam, functions = aws.client("iam"), aws.client("lambda")
    trust = {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName="role", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("index.py", "def handler(event, context):\n    return event\n")
    functions.create_function(
        FunctionName="f",
        Runtime="python3.12",
        Handler="index.handler",
        Role=role,
        Code={"ZipFile": code.getvalue()},
        Publish=True,
    )
    target = {
        "ServiceNamespace": "lambda",
        "ResourceId": "function:f:live",
        "ScalableDimension": "lambda:function:ProvisionedConcurrency",
    }
    with pytest.raises(ClientError) as caught:
        scaling.register_scalable_target(**target, MinCapacity=1, MaxCapacity=2)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    functions.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    scaling.register_scalable_target(**target, MinCapacity=0, MaxCapacity=2)
    for least, wanted in ((1, 1), (0, 1)):
        scaling.put_scheduled_action(
            **target,
            ScheduledActionName="limits",
            Schedule="rate(1 minute)",
            ScalableTargetAction={"MinCapacity": least, "MaxCapacity": 2},
        )
        virtual.advance(61)
        found = functions.get_provisioned_concurrency_config(FunctionName="f", Qualifier="live")
        assert found["RequestedProvisionedConcurrentExecutions"] == wanted
