"""Scalable targets, policies, scheduled actions and tags: what is kept, described and refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from conftest import Account

READS = "dynamodb:table:ReadCapacityUnits"
NAMED = {"ServiceNamespace": "dynamodb", "ResourceId": "table/table", "ScalableDimension": READS}
SPOKEN = f"service namespace: dynamodb, resource ID: table/table, scalable dimension: {READS}"
METRIC = {"PredefinedMetricType": "DynamoDBReadCapacityUtilization"}
TRACKING = {"TargetValue": 70.0, "PredefinedMetricSpecification": METRIC}


@pytest.fixture
def scaling(aws: Account) -> Any:
    """A client that lets wrong parameters through to the server."""
    return aws.client("application-autoscaling", config={"parameter_validation": False})


@pytest.fixture
def target(aws: Account, scaling: Any) -> str:
    """A table with a scalable target of its reads; its ARN."""
    aws.client("dynamodb").create_table(
        TableName="table",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 5},
    )
    answer = scaling.register_scalable_target(**NAMED, MinCapacity=5, MaxCapacity=50, Tags={"team": "blue"})
    arn: str = answer["ScalableTargetARN"]
    return arn


def refusal(call: Callable[..., Any], **members: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as caught:
        call(**members)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def invalid(message: str) -> tuple[str, str]:
    return "ValidationException", message


def test_a_target_is_described(aws: Account, scaling: Any, target: str) -> None:
    prefix = f"arn:aws:application-autoscaling:us-east-1:{aws.account}:scalable-target/"
    assert target.startswith(prefix)
    (shown,) = scaling.describe_scalable_targets(ServiceNamespace="dynamodb")["ScalableTargets"]
    role = "dynamodb.application-autoscaling.amazonaws.com/AWSServiceRoleForApplicationAutoScaling_DynamoDBTable"
    assert isinstance(shown.pop("CreationTime"), datetime)
    assert shown == {
        **NAMED,
        "MinCapacity": 5,
        "MaxCapacity": 50,
        "RoleARN": f"arn:aws:iam::{aws.account}:role/aws-service-role/{role}",
        "SuspendedState": {
            "DynamicScalingInSuspended": False,
            "DynamicScalingOutSuspended": False,
            "ScheduledScalingSuspended": False,
        },
        "ScalableTargetARN": target,
    }
    found = aws.client("iam").get_role(RoleName="AWSServiceRoleForApplicationAutoScaling_DynamoDBTable")["Role"]
    assert found["Arn"] == shown["RoleARN"]
    again = scaling.register_scalable_target(
        **NAMED, MaxCapacity=60, SuspendedState={"ScheduledScalingSuspended": True}
    )
    assert again["ScalableTargetARN"] == target
    (shown,) = scaling.describe_scalable_targets(ServiceNamespace="dynamodb")["ScalableTargets"]
    assert (shown["MinCapacity"], shown["MaxCapacity"]) == (5, 60)
    assert shown["SuspendedState"]["ScheduledScalingSuspended"]


def test_what_cannot_be_a_target(scaling: Any, target: str) -> None:
    register = scaling.register_scalable_target
    limits = {"MinCapacity": 1, "MaxCapacity": 2}
    unsupported = invalid("Unsupported service namespace, resource type or scalable dimension")
    assert refusal(register, **{**NAMED, "ResourceId": "table"}, **limits) == unsupported
    assert refusal(register, **{**NAMED, "ServiceNamespace": "lambda"}, **limits) == unsupported
    other = {**NAMED, "ResourceId": "table/other"}
    assert refusal(register, **other, **limits) == invalid("DynamoDB table does not exist: table/other")
    assert refusal(register, **other, MaxCapacity=2)[0] == "ValidationException"
    lower = refusal(register, **NAMED, MinCapacity=51)
    assert lower == invalid("Maximum capacity cannot be less than minimum capacity")
    code, message = refusal(register, **{**NAMED, "ScalableDimension": "dynamodb:table:Nothing"}, **limits)
    assert code == "ValidationException"
    assert "Member must satisfy enum value set" in message
    ecs = {
        "ServiceNamespace": "ecs",
        "ResourceId": "service/default/web",
        "ScalableDimension": "ecs:service:DesiredCount",
    }
    code, message = refusal(register, **ecs, **limits)
    assert (code, "ecs:service:DesiredCount" in message) == ("NotImplemented", True)
    code, message = refusal(
        scaling.get_predictive_scaling_forecast,
        **NAMED,
        PolicyName="p",
        StartTime=datetime(2026, 1, 1, tzinfo=UTC),
        EndTime=datetime(2026, 1, 2, tzinfo=UTC),
    )
    assert (code, "GetPredictiveScalingForecast" in message) == ("NotImplemented", True)


def test_what_is_not_there(aws: Account, scaling: Any) -> None:
    absent = ("ObjectNotFoundException", f"No scalable target found for {SPOKEN}")
    assert refusal(scaling.deregister_scalable_target, **NAMED) == absent
    unregistered = ("ObjectNotFoundException", f"No scalable target registered for {SPOKEN}")
    policy = {"PolicyName": "p", "PolicyType": "TargetTrackingScaling"}
    assert refusal(scaling.put_scaling_policy, **NAMED, **policy) == unregistered
    action = {"ScheduledActionName": "a", "Schedule": "rate(1 hour)"}
    assert refusal(scaling.put_scheduled_action, **NAMED, **action) == unregistered
    assert refusal(scaling.delete_scaling_policy, **NAMED, PolicyName="p") == (
        "ObjectNotFoundException",
        f"No scaling policy found for {SPOKEN}, policy name: p",
    )
    code, _ = refusal(scaling.delete_scheduled_action, **NAMED, ScheduledActionName="a")
    assert code == "ObjectNotFoundException"
    arn = (
        f"arn:aws:application-autoscaling:us-east-1:{aws.account}:scalable-target/1234abcd56ab78cd901ef1234567890ab123"
    )
    assert refusal(scaling.list_tags_for_resource, ResourceARN=arn) == (
        "ResourceNotFoundException",
        f"The specified resource doesn't exist: {arn}",
    )


def test_a_policy_is_described_and_deleted(aws: Account, scaling: Any, target: str) -> None:
    policy = {"PolicyName": "p", "PolicyType": "TargetTrackingScaling"}
    answer = scaling.put_scaling_policy(**NAMED, **policy, TargetTrackingScalingPolicyConfiguration=TRACKING)
    assert answer["PolicyARN"].startswith(f"arn:aws:autoscaling:us-east-1:{aws.account}:scalingPolicy:")
    assert answer["PolicyARN"].endswith(":resource/dynamodb/table/table:policyName/p")
    (shown,) = scaling.describe_scaling_policies(ServiceNamespace="dynamodb", PolicyNames=["p"])["ScalingPolicies"]
    assert shown.items() >= {**NAMED, **policy, "PolicyARN": answer["PolicyARN"]}.items()
    assert shown["TargetTrackingScalingPolicyConfiguration"] == TRACKING
    again = scaling.put_scaling_policy(
        **NAMED, **policy, TargetTrackingScalingPolicyConfiguration={**TRACKING, "TargetValue": 50.0}
    )
    assert again["PolicyARN"] == answer["PolicyARN"]
    second = {**policy, "PolicyName": "second"}
    assert refusal(
        scaling.put_scaling_policy, **NAMED, **second, TargetTrackingScalingPolicyConfiguration=TRACKING
    ) == invalid("Only one TargetTrackingScaling policy for a given metric specification is allowed.")
    assert scaling.describe_scaling_policies(ServiceNamespace="lambda")["ScalingPolicies"] == []
    scaling.delete_scaling_policy(**NAMED, PolicyName="p")
    assert scaling.describe_scaling_policies(ServiceNamespace="dynamodb")["ScalingPolicies"] == []


@pytest.mark.parametrize(
    "configuration",
    [
        {"TargetValue": 10.0, "PredefinedMetricSpecification": METRIC},
        {"TargetValue": 50.0},
        {
            "TargetValue": 50.0,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "DynamoDBWriteCapacityUtilization"},
        },
        {**TRACKING, "ScaleInCooldown": -1},
        None,
    ],
)
def test_policies_that_are_refused(scaling: Any, target: str, configuration: Any) -> None:
    given = {} if configuration is None else {"TargetTrackingScalingPolicyConfiguration": configuration}
    code, _ = refusal(scaling.put_scaling_policy, **NAMED, PolicyName="p", PolicyType="TargetTrackingScaling", **given)
    assert code == "ValidationException"


def test_kinds_of_policies_that_are_not_built(scaling: Any, target: str) -> None:
    put = scaling.put_scaling_policy
    step = {"AdjustmentType": "ChangeInCapacity", "StepAdjustments": [{"ScalingAdjustment": 1}]}
    assert refusal(
        put, **NAMED, PolicyName="p", PolicyType="StepScaling", StepScalingPolicyConfiguration=step
    ) == invalid("Step scaling policies are not supported for DynamoDB")
    custom = {"MetricName": "m", "Namespace": "n", "Statistic": "Average"}
    tracking = {"TargetValue": 50.0, "CustomizedMetricSpecification": custom}
    code, message = refusal(
        put,
        **NAMED,
        PolicyName="p",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration=tracking,
    )
    assert (code, "CustomizedMetricSpecification" in message) == ("NotImplemented", True)
    code, message = refusal(put, **NAMED, PolicyName="p", PolicyType="PredictiveScaling")
    assert (code, "PredictiveScaling" in message) == ("NotImplemented", True)


def test_scheduled_actions(aws: Account, scaling: Any, target: str) -> None:
    put = scaling.put_scheduled_action
    action = {"ScheduledActionName": "a", "Schedule": "cron(0 9 * * ? *)", "Timezone": "Europe/Berlin"}
    put(**NAMED, **action, ScalableTargetAction={"MinCapacity": 10})
    put(**NAMED, ScheduledActionName="a", EndTime=datetime(2099, 1, 1, tzinfo=UTC))
    (shown,) = scaling.describe_scheduled_actions(ServiceNamespace="dynamodb")["ScheduledActions"]
    assert shown["ScheduledActionARN"].endswith(":resource/dynamodb/table/table:scheduledActionName/a")
    assert shown.items() >= {**NAMED, **action, "ScalableTargetAction": {"MinCapacity": 10}}.items()
    assert shown["EndTime"] == datetime(2099, 1, 1, tzinfo=UTC)
    for wrong in (
        {"Schedule": "every day"},
        {"Schedule": "at(2026-13-01T00:00:00)"},
        {"Timezone": "Europe/Nowhere"},
        {"ScalableTargetAction": {}},
        {"ScalableTargetAction": {"MinCapacity": 5, "MaxCapacity": 4}},
    ):
        members = {**action, "ScheduledActionName": "b", "ScalableTargetAction": {"MinCapacity": 1}, **wrong}
        assert refusal(put, **NAMED, **members)[0] == "ValidationException"
    scaling.delete_scheduled_action(**NAMED, ScheduledActionName="a")
    assert scaling.describe_scheduled_actions(ServiceNamespace="dynamodb")["ScheduledActions"] == []


def test_listings_have_pages(scaling: Any, target: str) -> None:
    scaling.register_scalable_target(
        **{**NAMED, "ScalableDimension": "dynamodb:table:WriteCapacityUnits"}, MinCapacity=5, MaxCapacity=50
    )
    first = scaling.describe_scalable_targets(ServiceNamespace="dynamodb", MaxResults=1)
    rest = scaling.describe_scalable_targets(ServiceNamespace="dynamodb", NextToken=first["NextToken"])
    found = [each["ScalableDimension"] for page in (first, rest) for each in page["ScalableTargets"]]
    assert found == [READS, "dynamodb:table:WriteCapacityUnits"]
    code, _ = refusal(scaling.describe_scalable_targets, ServiceNamespace="dynamodb", NextToken="nothing")
    assert code == "InvalidNextTokenException"
    assert refusal(scaling.describe_scalable_targets, ServiceNamespace="dynamodb", MaxResults=51)[0] == (
        "ValidationException"
    )
    narrow = {"ServiceNamespace": "dynamodb", "ResourceIds": ["table/table"], "ScalableDimension": READS}
    assert len(scaling.describe_scalable_targets(**narrow)["ScalableTargets"]) == 1


def test_tags(scaling: Any, target: str) -> None:
    scaling.tag_resource(ResourceARN=target, Tags={"stage": "test"})
    scaling.untag_resource(ResourceARN=target, TagKeys=["team"])
    assert scaling.list_tags_for_resource(ResourceARN=target)["Tags"] == {"stage": "test"}
    many = {str(number): "" for number in range(50)}
    assert refusal(scaling.tag_resource, ResourceARN=target, Tags=many)[0] == "TooManyTagsException"


def test_who_may_not_is_refused(aws: Account, target: str) -> None:
    iam = aws.client("iam")
    iam.create_user(UserName="user")
    allowed = {
        "Effect": "Allow",
        "Action": "application-autoscaling:*",
        "Resource": "*",
        "Condition": {"StringEquals": {"application-autoscaling:service-namespace": "lambda"}},
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    iam.put_user_policy(UserName="user", PolicyName="p", PolicyDocument=document)
    key = iam.create_access_key(UserName="user")["AccessKey"]
    scaling = aws.client("application-autoscaling", credentials=key)
    code, message = refusal(scaling.describe_scalable_targets, ServiceNamespace="dynamodb")
    assert code == "AccessDeniedException"
    assert "application-autoscaling:DescribeScalableTargets" in message
    assert scaling.describe_scalable_targets(ServiceNamespace="lambda")["ScalableTargets"] == []
