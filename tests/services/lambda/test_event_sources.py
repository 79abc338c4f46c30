"""Event source mappings: their settings, states and errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from feed_kit import PASSES_GATES, allow, at_gate, feed, gate, make_table, put, wait_state
from lambda_kit import caught

from waiting import until

WAITS = (
    gate("signs")
    + """
def handler(event, context):
    gate()
"""
)


@pytest.fixture
def stream(aws: Any, role: str) -> str:
    allow(aws)
    return make_table(aws)


def _gone(lambda_: Any, uuid: str) -> bool:
    found = {each["UUID"] for each in lambda_.list_event_source_mappings()["EventSourceMappings"]}
    return uuid not in found


def test_the_life_of_a_mapping(aws: Any, lambda_: Any, make: Callable[..., Any], stream: str) -> None:
    arn = make()["FunctionArn"]
    created = lambda_.create_event_source_mapping(
        EventSourceArn=stream,
        FunctionName="f",
        StartingPosition="TRIM_HORIZON",
        BatchSize=1,
        MaximumBatchingWindowInSeconds=1,
        MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": f"arn:aws:sqs:us-east-1:{aws.account}:q"}},
    )
    assert created.pop("ResponseMetadata")["HTTPStatusCode"] == 202
    uuid = created["UUID"]
    assert created.pop("LastModified").timestamp() > 0
    assert created == {
        "UUID": uuid,
        "EventSourceMappingArn": f"arn:aws:lambda:us-east-1:{aws.account}:event-source-mapping:{uuid}",
        "EventSourceArn": stream,
        "FunctionArn": arn,
        "StartingPosition": "TRIM_HORIZON",
        "BatchSize": 1,
        "MaximumBatchingWindowInSeconds": 1,
        "ParallelizationFactor": 1,
        "BisectBatchOnFunctionError": False,
        "MaximumRetryAttempts": 1,
        "MaximumRecordAgeInSeconds": -1,
        "TumblingWindowInSeconds": 0,
        "FunctionResponseTypes": [],
        "DestinationConfig": {"OnFailure": {"Destination": f"arn:aws:sqs:us-east-1:{aws.account}:q"}},
        "LastProcessingResult": "No records processed",
        "State": "Creating",
        "StateTransitionReason": "User action",
    }
    got = wait_state(lambda_, uuid)
    assert got.pop("ResponseMetadata")["HTTPStatusCode"] == 200
    assert {**got, "State": "Creating", "LastModified": None} == {**created, "LastModified": None}
    updated = lambda_.update_event_source_mapping(UUID=uuid, BatchSize=7, BisectBatchOnFunctionError=True)
    assert updated["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert (updated["State"], updated["BatchSize"], updated["BisectBatchOnFunctionError"]) == ("Updating", 7, True)
    wait_state(lambda_, uuid)
    # It outlives its function.
    lambda_.delete_function(FunctionName="f")
    assert lambda_.get_event_source_mapping(UUID=uuid)["FunctionArn"] == arn
    deleted = lambda_.delete_event_source_mapping(UUID=uuid)
    assert (deleted["ResponseMetadata"]["HTTPStatusCode"], deleted["State"]) == (202, "Deleting")
    # For a moment it is still there.
    assert lambda_.get_event_source_mapping(UUID=uuid)["State"] == "Deleting"
    until(lambda: _gone(lambda_, uuid))
    missing = ("ResourceNotFoundException", 404, "The resource you requested does not exist.")
    assert caught(lambda_.get_event_source_mapping, UUID=uuid) == missing
    assert caught(lambda_.update_event_source_mapping, UUID=uuid) == missing
    assert caught(lambda_.delete_event_source_mapping, UUID=uuid) == missing


def test_a_mapping_may_begin_disabled(lambda_: Any, make: Callable[..., Any], stream: str) -> None:
    make()
    call = {"EventSourceArn": stream, "FunctionName": "f", "StartingPosition": "LATEST", "Enabled": False}
    uuid = lambda_.create_event_source_mapping(**call)["UUID"]
    assert wait_state(lambda_, uuid, "Disabled")["BatchSize"] == 100


@pytest.mark.parametrize(
    ("settings", "code", "message"),
    [
        (
            {},
            "InvalidParameterValueException",
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: Member must "
            "not be null.",
        ),
        (
            {"StartingPosition": "invalid"},
            "ValidationException",
            "1 validation error detected: Value 'invalid' at 'startingPosition' failed to satisfy constraint: Member "
            "must satisfy enum value set: [LATEST, AT_TIMESTAMP, TRIM_HORIZON]",
        ),
        (
            {"StartingPosition": "AT_TIMESTAMP", "StartingPositionTimestamp": 1741010802},
            "InvalidParameterValueException",
            "Unsupported starting position for arn type: {stream}",
        ),
        (
            {"StartingPosition": "LATEST", "FilterCriteria": {"Filters": [{"Pattern": "simple string"}]}},
            "InvalidParameterValueException",
            "Invalid filter pattern definition.",
        ),
        (
            {"StartingPosition": "LATEST", "DestinationConfig": {"OnFailure": {}}},
            "InvalidParameterValueException",
            "The Destination field is required for an OnFailure configuration.",
        ),
        (
            {
                "StartingPosition": "LATEST",
                "DestinationConfig": {"OnSuccess": {"Destination": "arn:aws:sqs:us-east-1:111122223333:q"}},
            },
            "InvalidParameterValueException",
            "Unsupported DestinationConfig parameter for given event source mapping type.",
        ),
        (
            {"StartingPosition": "LATEST", "ScalingConfig": {"MaximumConcurrency": 2}},
            "InvalidParameterValueException",
            "Unsupported 'scalingConfig' parameter for given event source mapping type.",
        ),
        (
            {"StartingPosition": "LATEST", "FunctionName": "missing"},
            "InvalidParameterValueException",
            "Function does not exist",
        ),
        (
            {"StartingPosition": "LATEST", "EventSourceArn": ""},
            "InvalidParameterValueException",
            "Unrecognized event source.",
        ),
    ],
)
def test_what_a_mapping_cannot_be(
    lambda_: Any, make: Callable[..., Any], stream: str, settings: dict[str, Any], code: str, message: str
) -> None:
    make()
    request = {"EventSourceArn": stream, "FunctionName": "f", **settings}
    if not request["EventSourceArn"]:
        del request["EventSourceArn"]
    found = caught(lambda_.create_event_source_mapping, **request)
    assert (found[0], found[2]) == (code, message.format(stream=stream))


def test_there_is_one_mapping_between_a_source_and_a_function(
    lambda_: Any, make: Callable[..., Any], stream: str
) -> None:
    make()
    call = {"EventSourceArn": stream, "FunctionName": "f", "StartingPosition": "LATEST"}
    uuid = lambda_.create_event_source_mapping(**call)["UUID"]
    assert caught(lambda_.create_event_source_mapping, **call) == (
        "ResourceConflictException",
        409,
        f'The event source arn (" {stream} ") and function (" f ") provided mapping already exists. Please update or '
        f"delete the existing mapping with UUID {uuid}",
    )


def test_lists_by_function_and_source(aws: Any, lambda_: Any, make: Callable[..., Any], stream: str) -> None:
    make("f")
    make("g")
    other = make_table(aws, "others")
    ids = [feed(lambda_, stream, "f"), feed(lambda_, stream, "g"), feed(lambda_, other, "g")]

    def listed(**wanted: Any) -> set[str]:
        return {each["UUID"] for each in lambda_.list_event_source_mappings(**wanted)["EventSourceMappings"]}

    assert listed() == set(ids)
    assert listed(FunctionName="g") == set(ids[1:])
    assert listed(EventSourceArn=stream) == set(ids[:2])
    assert listed(FunctionName="g", EventSourceArn=stream) == {ids[1]}
    assert listed(FunctionName="h") == set()
    pages = lambda_.get_paginator("list_event_source_mappings").paginate(PaginationConfig={"PageSize": 2})
    assert [len(each["EventSourceMappings"]) for each in pages] == [2, 1]


def test_settings_are_kept_and_taken_back(lambda_: Any, make: Callable[..., Any], stream: str) -> None:
    make()
    criteria = {"Filters": [{"Pattern": json.dumps({"eventName": ["INSERT"]})}]}
    uuid = feed(
        lambda_,
        stream,
        FilterCriteria=criteria,
        MetricsConfig={"Metrics": ["EventCount"]},
        FunctionResponseTypes=["ReportBatchItemFailures"],
        Tags={"a": "b"},
    )
    got = lambda_.get_event_source_mapping(UUID=uuid)
    assert got["FilterCriteria"] == criteria
    assert got["MetricsConfig"] == {"Metrics": ["EventCount"]}
    assert got["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert lambda_.list_tags(Resource=got["EventSourceMappingArn"])["Tags"] == {"a": "b"}
    lambda_.tag_resource(Resource=got["EventSourceMappingArn"], Tags={"c": "d"})
    lambda_.untag_resource(Resource=got["EventSourceMappingArn"], TagKeys=["a"])
    assert lambda_.list_tags(Resource=got["EventSourceMappingArn"])["Tags"] == {"c": "d"}
    changed = lambda_.update_event_source_mapping(UUID=uuid, FilterCriteria={"Filters": []}, FunctionResponseTypes=[])
    assert "FilterCriteria" not in changed
    assert changed["FunctionResponseTypes"] == []


def test_a_mapping_that_is_being_changed_is_in_use(
    aws: Any, lambda_: Any, make: Callable[..., Any], stream: str
) -> None:
    allow(aws, PASSES_GATES)
    make_table(aws, "signs", stream=None)
    make(code=WAITS, Timeout=30)
    uuid = feed(lambda_, stream)
    wait_state(lambda_, uuid)
    put(aws, "a")
    until(lambda: at_gate(aws, "signs"))
    # What is under way is done before the change counts.
    assert lambda_.update_event_source_mapping(UUID=uuid, BatchSize=7)["State"] == "Updating"
    assert caught(lambda_.delete_event_source_mapping, UUID=uuid) == (
        "ResourceInUseException",
        400,
        "Cannot delete the event source mapping because it is in use.",
    )
    # Another change is another one on top.
    assert lambda_.update_event_source_mapping(UUID=uuid, MaximumRetryAttempts=3)["BatchSize"] == 7
    put(aws, "go", table="signs")
    assert wait_state(lambda_, uuid)["MaximumRetryAttempts"] == 3
    assert lambda_.delete_event_source_mapping(UUID=uuid)["State"] == "Deleting"


def test_a_mapping_that_is_being_made_is_in_use(aws: Any, lambda_: Any, make: Callable[..., Any], stream: str) -> None:
    # The role may look at the stream and read nothing of it: until that is given up, the mapping is being made.
    look = {"Effect": "Allow", "Action": ["dynamodb:DescribeStream", "dynamodb:ListStreams"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [look]})
    aws.client("iam").put_role_policy(RoleName="function-role", PolicyName="feeds", PolicyDocument=policy)
    make(Publish=True)

    def refusal(verb: str, change: Callable[..., Any]) -> Any:
        """It lasts a second: on a busy machine it may be over before the change comes."""
        for attempt in range(20):
            alias = lambda_.create_alias(FunctionName="f", Name=f"{verb}{attempt}", FunctionVersion="1")["AliasArn"]
            made = lambda_.create_event_source_mapping(
                EventSourceArn=stream, FunctionName=alias, StartingPosition="LATEST"
            )
            try:
                change(UUID=made["UUID"])
            except lambda_.exceptions.ClientError as error:
                return error.response["Error"]
        return None

    for verb, change in (
        ("update", lambda_.update_event_source_mapping),
        ("delete", lambda_.delete_event_source_mapping),
    ):
        error = refusal(verb, change)
        assert (error["Code"], error["Message"]) == (
            "ResourceInUseException",
            f"Cannot {verb} the event source mapping because it is in use.",
        )
    call = {"EventSourceArn": stream, "FunctionName": "f", "StartingPosition": "LATEST"}
    uuid = lambda_.create_event_source_mapping(**call)["UUID"]
    wait_state(lambda_, uuid)
    assert lambda_.update_event_source_mapping(UUID=uuid, Enabled=False)["State"] == "Disabling"
    wait_state(lambda_, uuid, "Disabled")
    assert lambda_.delete_event_source_mapping(UUID=uuid)["State"] == "Deleting"
    until(lambda: _gone(lambda_, uuid))


@pytest.mark.parametrize("qualifier", ["", "$LATEST", "1", "live"])
def test_qualifiers_stay_as_they_were_given(
    lambda_: Any, make: Callable[..., Any], stream: str, qualifier: str
) -> None:
    arn = make(Publish=True)["FunctionArn"].removesuffix(":1")
    lambda_.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    name = f"f:{qualifier}" if qualifier else "f"
    uuid = feed(lambda_, stream, name)
    assert lambda_.get_event_source_mapping(UUID=uuid)["FunctionArn"] == f"{arn}:{qualifier}".removesuffix(":")


def test_other_sources_say_that_they_are_not_built(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    make()
    arn = f"arn:aws:kinesis:us-east-1:{aws.account}:stream/s"
    assert (
        "at 'startingPosition'" in caught(lambda_.create_event_source_mapping, EventSourceArn=arn, FunctionName="f")[2]
    )
    code, status, message = caught(
        lambda_.create_event_source_mapping, EventSourceArn=arn, FunctionName="f", StartingPosition="LATEST"
    )
    assert (code, status) == ("NotImplemented", 501)
    assert "Amazon Kinesis as an event source" in message


def test_a_user_needs_the_permission_for_the_function_it_feeds(
    aws: Any, lambda_: Any, make: Callable[..., Any], stream: str
) -> None:
    arn = make()["FunctionArn"]
    make("g")
    iam = aws.client("iam")
    iam.create_user(UserName="feeder")
    statement = {
        "Effect": "Allow",
        "Action": ["lambda:CreateEventSourceMapping", "lambda:GetEventSourceMapping"],
        "Resource": "*",
        "Condition": {"StringEquals": {"lambda:FunctionArn": arn}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="feeder", PolicyName="p", PolicyDocument=policy)
    keys = iam.create_access_key(UserName="feeder")["AccessKey"]
    user = aws.client("lambda", credentials=keys)
    uuid = user.create_event_source_mapping(EventSourceArn=stream, FunctionName="f", StartingPosition="LATEST")["UUID"]
    assert user.get_event_source_mapping(UUID=uuid)["UUID"] == uuid
    denied = caught(
        user.create_event_source_mapping, EventSourceArn=stream, FunctionName="g", StartingPosition="LATEST"
    )
    assert denied[:2] == ("AccessDeniedException", 403)
    assert caught(user.delete_event_source_mapping, UUID=uuid)[:2] == ("AccessDeniedException", 403)
