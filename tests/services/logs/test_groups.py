"""Log groups and streams."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest


def caught(call: Callable[..., Any], **request: Any) -> tuple[str, str]:
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError) as failure:
        call(**request)
    assert failure.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    return failure.value.response["Error"]["Code"], failure.value.response["Error"]["Message"]


@pytest.fixture
def logs(aws: Any) -> Any:
    return aws.client("logs")


def names(answer: dict[str, Any]) -> list[str]:
    return [group["logGroupName"] for group in answer["logGroups"]]


def test_what_a_group_looks_like(aws: Any, logs: Any) -> None:
    logs.create_log_group(logGroupName="/app/one", tags={"a": "b"}, kmsKeyId="arn:aws:kms:us-east-1:1:key/k")
    logs.put_retention_policy(logGroupName="/app/one", retentionInDays=7)
    (group,) = logs.describe_log_groups(logGroupNamePrefix="/app")["logGroups"]
    assert group.pop("creationTime") > 1_700_000_000_000
    arn = f"arn:aws:logs:us-east-1:{aws.account}:log-group:/app/one"
    assert group == {
        "arn": f"{arn}:*",
        "logGroupArn": arn,
        "logGroupName": "/app/one",
        "logGroupClass": "STANDARD",
        "metricFilterCount": 0,
        "storedBytes": 0,
        "retentionInDays": 7,
        "kmsKeyId": "arn:aws:kms:us-east-1:1:key/k",
        "deletionProtectionEnabled": False,
    }
    logs.delete_retention_policy(logGroupName="/app/one")
    logs.disassociate_kms_key(logGroupName="/app/one")
    (group,) = logs.describe_log_groups()["logGroups"]
    assert not {"retentionInDays", "kmsKeyId"} & group.keys()


def test_finding_groups(logs: Any) -> None:
    for name in ("a/one", "a/two", "b/one"):
        logs.create_log_group(logGroupName=name)
    assert names(logs.describe_log_groups(logGroupNamePrefix="a/")) == ["a/one", "a/two"]
    assert names(logs.describe_log_groups(logGroupNamePattern="ONE")) == ["a/one", "b/one"]
    pages = logs.get_paginator("describe_log_groups").paginate(PaginationConfig={"PageSize": 2})
    assert [names(page) for page in pages] == [["a/one", "a/two"], ["b/one"]]
    assert names(logs.list_log_groups(logGroupNamePattern="^a/t|/one")) == ["a/one", "a/two", "b/one"]
    assert names(logs.list_log_groups(logGroupNamePattern="^/one")) == []
    assert caught(logs.describe_log_groups, logGroupNamePrefix="a", logGroupNamePattern="b") == (
        "InvalidParameterException",
        "LogGroup name prefix and LogGroup name pattern are mutually exclusive parameters.",
    )
    assert caught(logs.describe_log_groups, nextToken="bogus") == (
        "InvalidParameterException",
        "The specified nextToken is invalid.",
    )


def test_what_is_there_and_what_is_not(logs: Any) -> None:
    exists = ("ResourceAlreadyExistsException", "The specified log group already exists")
    no_group = ("ResourceNotFoundException", "The specified log group does not exist.")
    no_stream = ("ResourceNotFoundException", "The specified log stream does not exist.")
    logs.create_log_group(logGroupName="g")
    assert caught(logs.create_log_group, logGroupName="g") == exists
    logs.create_log_stream(logGroupName="g", logStreamName="s")
    assert caught(logs.create_log_stream, logGroupName="g", logStreamName="s") == (
        "ResourceAlreadyExistsException",
        "The specified log stream already exists",
    )
    assert caught(logs.create_log_stream, logGroupName="h", logStreamName="s") == no_group
    assert caught(logs.delete_log_stream, logGroupName="g", logStreamName="t") == no_stream
    assert caught(logs.delete_log_group, logGroupName="h") == no_group
    assert caught(logs.put_retention_policy, logGroupName="h", retentionInDays=1) == no_group
    assert caught(logs.put_retention_policy, logGroupName="g", retentionInDays=2)[0] == "InvalidParameterException"
    logs.delete_log_stream(logGroupName="g", logStreamName="s")
    assert caught(logs.get_log_events, logGroupName="g", logStreamName="s") == no_stream
    logs.delete_log_group(logGroupName="g")
    assert caught(logs.describe_log_streams, logGroupName="g") == no_group


@pytest.mark.parametrize("operation", ["create_log_group", "delete_log_group"])
def test_names_that_are_too_long(logs: Any, operation: str) -> None:
    assert caught(getattr(logs, operation), logGroupName="g" * 513) == (
        "InvalidParameterException",
        "Invalid LogGroup or LogStream, both must have length less than or equal to 512.",
    )


def test_a_protected_group_stays(aws: Any, logs: Any) -> None:
    logs.create_log_group(logGroupName="g", deletionProtectionEnabled=True)
    assert caught(logs.delete_log_group, logGroupName="g")[0] == "ValidationException"
    logs.put_log_group_deletion_protection(logGroupIdentifier="g", deletionProtectionEnabled=False)
    logs.delete_log_group(logGroupName="g")


def test_both_generations_of_tags(aws: Any, logs: Any) -> None:
    logs.create_log_group(logGroupName="g", tags={"a": "1"})
    arn = f"arn:aws:logs:us-east-1:{aws.account}:log-group:g"
    logs.tag_resource(resourceArn=arn, tags={"b": "2"})
    logs.tag_log_group(logGroupName="g", tags={"c": "3"})
    assert logs.list_tags_for_resource(resourceArn=arn)["tags"] == {"a": "1", "b": "2", "c": "3"}
    logs.untag_resource(resourceArn=arn, tagKeys=["a"])
    logs.untag_log_group(logGroupName="g", tags=["b"])
    assert logs.list_tags_log_group(logGroupName="g")["tags"] == {"c": "3"}
    assert caught(logs.list_tags_for_resource, resourceArn=arn + "h")[0] == "ResourceNotFoundException"


def test_listing_streams(aws: Any, logs: Any) -> None:
    logs.create_log_group(logGroupName="g")
    for name in ("a", "b", "c"):
        logs.create_log_stream(logGroupName="g", logStreamName=name)
    now = logs.describe_log_groups()["logGroups"][0]["creationTime"]
    for name, time_ms in (("a", now), ("b", now + 2), ("c", now + 1)):
        event = {"timestamp": time_ms, "message": "m"}
        logs.put_log_events(logGroupName="g", logStreamName=name, logEvents=[event])

    def listed(**request: Any) -> list[list[str]]:
        pages = logs.get_paginator("describe_log_streams").paginate(
            logGroupName="g", **request, PaginationConfig={"PageSize": 2}
        )
        return [[stream["logStreamName"] for stream in page["logStreams"]] for page in pages]

    assert listed() == [["a", "b"], ["c"]]
    assert listed(descending=True) == [["c", "b"], ["a"]]
    assert listed(orderBy="LastEventTime", descending=True) == [["b", "c"], ["a"]]
    assert listed(logStreamNamePrefix="b") == [["b"]]
    arn = f"arn:aws:logs:us-east-1:{aws.account}:log-group:g"
    (stream,) = logs.describe_log_streams(logGroupIdentifier=arn, logStreamNamePrefix="b")["logStreams"]
    assert stream["arn"] == f"{arn}:log-stream:b"
    assert (stream["firstEventTimestamp"], stream["lastEventTimestamp"]) == (now + 2, now + 2)
    assert stream["storedBytes"] == 0
    assert caught(logs.describe_log_streams, logGroupName="g", logGroupIdentifier=arn) == (
        "ValidationException",
        "LogGroup name and LogGroup ARN are mutually exclusive parameters.",
    )
    assert caught(logs.describe_log_streams, logGroupName="g", orderBy="LastEventTime", logStreamNamePrefix="a") == (
        "InvalidParameterException",
        "Cannot order by LastEventTime with a logStreamNamePrefix.",
    )


def test_a_group_made_again_starts_empty(logs: Any) -> None:
    for _ in range(2):
        logs.create_log_group(logGroupName="g")
        logs.create_log_stream(logGroupName="g", logStreamName="s")
        assert logs.get_log_events(logGroupName="g", logStreamName="s")["events"] == []
        now = logs.describe_log_groups()["logGroups"][0]["creationTime"]
        logs.put_log_events(logGroupName="g", logStreamName="s", logEvents=[{"timestamp": now, "message": "m"}])
        logs.delete_log_group(logGroupName="g")


def test_policies_that_cannot_be_evaluated(logs: Any) -> None:
    """They would keep every service out of every group."""
    allow = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "logs:*", "Resource": "*"}
    for broken in ({"Condition": {"Likes": {"a:b": "c"}}}, {"Condition": ["a"]}, {"Action": [1]}, {"Effect": "Maybe"}):
        document = json.dumps({"Version": "2012-10-17", "Statement": [{**allow, **broken}]})
        found = caught(logs.put_resource_policy, policyName="broken", policyDocument=document)
        assert found == ("InvalidParameterException", "Resource policy is not valid")
    assert logs.describe_resource_policies()["resourcePolicies"] == []
