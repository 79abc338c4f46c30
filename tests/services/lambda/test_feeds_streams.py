"""Functions fed from DynamoDB Streams."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from feed_kit import allow, events, feed, ids_of, make_table, put, recorder, wait_events, wait_state
from lambda_kit import caught, package

from waiting import until


@pytest.fixture
def stream(aws: Any, role: str) -> str:
    allow(aws)
    make_table(aws, "seen", stream=None)
    return make_table(aws)


def fails(ids: str) -> str:
    return f"    if any(r['dynamodb']['Keys']['id']['S'] in {ids!r} for r in event['Records']): raise Exception('no')"


def reports(ids: str) -> str:
    return (
        "    return {'batchItemFailures': [{'itemIdentifier': r['dynamodb']['SequenceNumber']}"
        f" for r in event['Records'] if r['dynamodb']['Keys']['id']['S'] in {ids!r}]}}"
    )


def test_an_item_reaches_the_function_as_aws_shows_it(
    aws: Any, lambda_: Any, make: Callable[..., Any], stream: str
) -> None:
    make(code=recorder())
    feed(lambda_, stream)
    put(aws, "a", b={"B": b"foobar"}, n={"N": "1.50"})
    event = wait_events(aws, 1)[0]
    record = event["Records"][0]
    assert set(event) == {"Records"}
    assert len(record["eventID"]) == 32
    assert record["dynamodb"].pop("ApproximateCreationDateTime") > 1e9
    assert len(record["dynamodb"].pop("SequenceNumber")) >= 21
    assert {**record, "eventID": ""} == {
        "eventID": "",
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": {
            "Keys": {"id": {"S": "a"}},
            "NewImage": {"id": {"S": "a"}, "b": {"B": "Zm9vYmFy"}, "n": {"N": "1.5"}},
            "SizeBytes": record["dynamodb"]["SizeBytes"],
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
        "eventSourceARN": stream,
    }


def test_records_come_in_order_and_in_batches(aws: Any, lambda_: Any, make: Callable[..., Any], stream: str) -> None:
    make(code=recorder())
    names = [f"i{number}" for number in range(10)]
    put(aws, *names)
    uuid = feed(lambda_, stream, BatchSize=4)
    got = wait_events(aws, 3)
    assert [ids_of(event) for event in got] == [names[:4], names[4:8], names[8:]]
    until(lambda: lambda_.get_event_source_mapping(UUID=uuid)["LastProcessingResult"] == "OK")


def test_a_mapping_at_the_latest_record_sees_only_later_ones(
    aws: Any, lambda_: Any, make: Callable[..., Any], stream: str
) -> None:
    make(code=recorder())
    put(aws, "before")
    feed(lambda_, stream, StartingPosition="LATEST")
    put(aws, "after")
    assert ids_of(wait_events(aws, 1)[0]) == ["after"]


def test_nothing_is_missed_while_the_function_is_still_being_made(
    aws: Any, lambda_: Any, role: str, stream: str
) -> None:
    lambda_.create_function(
        FunctionName="f",
        Runtime="python3.11",
        Handler="index.handler",
        Role=role,
        Code={"ZipFile": package({"index.py": recorder()})},
    )
    feed(lambda_, stream, StartingPosition="LATEST")
    put(aws, "a")
    assert ids_of(wait_events(aws, 1)[0]) == ["a"]


def test_filters_let_through_what_matches_one_of_them(
    aws: Any, lambda_: Any, make: Callable[..., Any], stream: str
) -> None:
    make(code=recorder())
    patterns = [
        {"eventName": ["INSERT"], "dynamodb": {"NewImage": {"n": {"N": ["5"]}}}},
        {"dynamodb": {"Keys": {"id": {"S": [{"prefix": "x"}]}}}},
    ]
    criteria = {"Filters": [{"Pattern": json.dumps(pattern)} for pattern in patterns]}
    feed(lambda_, stream, FilterCriteria=criteria)
    put(aws, "a", n={"N": "1"})
    put(aws, "b", n={"N": "5"})
    put(aws, "x1")
    assert [each for event in wait_events(aws, 2) for each in ids_of(event)] == ["b", "x1"]


def test_what_was_disabled_goes_on_where_it_was(aws: Any, lambda_: Any, make: Callable[..., Any], stream: str) -> None:
    make(code=recorder())
    uuid = feed(lambda_, stream, StartingPosition="LATEST")
    put(aws, "a")
    wait_events(aws, 1)
    assert lambda_.update_event_source_mapping(UUID=uuid, Enabled=False)["State"] == "Disabling"
    wait_state(lambda_, uuid, "Disabled")
    put(aws, "b", "c")
    assert lambda_.update_event_source_mapping(UUID=uuid, Enabled=True)["State"] == "Enabling"
    wait_state(lambda_, uuid)
    assert [each for event in wait_events(aws, 2) for each in ids_of(event)] == ["a", "b", "c"]


def test_what_is_never_taken_is_given_up_and_told_to_a_bucket(
    aws: Any, lambda_: Any, make: Callable[..., Any], stream: str
) -> None:
    s3 = aws.client("s3")
    bucket = f"failures-{aws.account}"
    s3.create_bucket(Bucket=bucket)
    arn = make(code=recorder(fails("b")))["FunctionArn"]
    uuid = feed(
        lambda_,
        stream,
        BatchSize=1,
        MaximumRetryAttempts=1,
        DestinationConfig={"OnFailure": {"Destination": f"arn:aws:s3:::{bucket}"}},
    )
    put(aws, "a", "b", "c")
    # The one that failed twice holds nobody up for ever.
    assert [ids_of(event) for event in wait_events(aws, 4)] == [["a"], ["b"], ["b"], ["c"]]
    key = until(lambda: s3.list_objects_v2(Bucket=bucket).get("Contents"))[0]["Key"]
    shard = aws.client("dynamodbstreams").describe_stream(StreamArn=stream)["StreamDescription"]["Shards"][0]["ShardId"]
    assert key.startswith(f"aws/lambda/{uuid}/{shard}/2")
    told = json.loads(s3.get_object(Bucket=bucket, Key=key)["Body"].read())
    number = events(aws)[1]["Records"][0]["dynamodb"]["SequenceNumber"]
    info = told.pop("DDBStreamBatchInfo")
    assert info.pop("approximateArrivalOfFirstRecord") == info.pop("approximateArrivalOfLastRecord")
    assert info == {
        "shardId": shard,
        "startSequenceNumber": number,
        "endSequenceNumber": number,
        "batchSize": 1,
        "streamArn": stream,
    }
    assert ids_of(json.loads(told.pop("payload"))) == ["b"]
    assert told.pop("timestamp").endswith("Z")
    assert len(told["requestContext"].pop("requestId")) == 36
    assert told == {
        "version": "1.0",
        "requestContext": {
            "functionArn": arn,
            "condition": "RetryAttemptsExhausted",
            "approximateInvokeCount": 2,
        },
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
    }


def test_a_batch_is_split_until_the_bad_one_stands_alone(
    aws: Any, lambda_: Any, make: Callable[..., Any], stream: str
) -> None:
    make(code=recorder(fails("c")))
    put(aws, "a", "b", "c", "d")
    feed(lambda_, stream, BatchSize=4, BisectBatchOnFunctionError=True, MaximumRetryAttempts=0)
    got = [ids_of(event) for event in wait_events(aws, 5)]
    assert got == [["a", "b", "c", "d"], ["a", "b"], ["c", "d"], ["c"], ["d"]]


def test_reported_failures_are_tried_again_from_the_first_of_them(
    aws: Any, lambda_: Any, make: Callable[..., Any], stream: str
) -> None:
    make(code=recorder(reports("cd")))
    put(aws, "a", "b", "c", "d")
    feed(lambda_, stream, BatchSize=4, FunctionResponseTypes=["ReportBatchItemFailures"], MaximumRetryAttempts=1)
    put(aws, "e")
    got = [ids_of(event) for event in wait_events(aws, 3)]
    assert got == [["a", "b", "c", "d"], ["c", "d"], ["e"]]


@pytest.mark.parametrize(
    ("answer", "times"),
    [
        ("None", 1),
        ("{'batchItemFailures': [{'itemIdentifier': 'unknown'}]}", 2),
    ],
)
def test_what_answers_mean(
    aws: Any, lambda_: Any, make: Callable[..., Any], stream: str, answer: str, times: int
) -> None:
    make(code=recorder(f"    return {answer}"))
    feed(lambda_, stream, FunctionResponseTypes=["ReportBatchItemFailures"], MaximumRetryAttempts=1)
    put(aws, "a")
    wait_events(aws, times)
    put(aws, "z")
    assert [ids_of(event) for event in wait_events(aws, times + 1)][: times + 1] == [["a"]] * times + [["z"]]


def test_records_that_grow_too_old_are_given_up(start_pileus: Callable[..., Any], account: Callable[..., Any]) -> None:
    server = start_pileus("--clock", "virtual")
    aws = account(server)
    lambda_, _ = _function(aws, recorder(fails("a")))
    stream = make_table(aws)
    make_table(aws, "seen", stream=None)
    sqs = aws.client("sqs")
    queue = sqs.create_queue(QueueName="failed")["QueueUrl"]
    failed = {"OnFailure": {"Destination": f"arn:aws:sqs:us-east-1:{aws.account}:failed"}}
    feed(lambda_, stream, MaximumRecordAgeInSeconds=60, DestinationConfig=failed)
    put(aws, "a")
    wait_events(aws, 1)
    server.advance(70)
    put(aws, "b")
    assert ids_of(until(lambda: [e for e in events(aws) if ids_of(e) == ["b"]])[0]) == ["b"]
    tries = sum(ids_of(event) == ["a"] for event in events(aws))
    assert 5 <= tries <= 9
    # As recorded for another stream: the attempt that was not made any more counts, and there is no answer.
    (message,) = until(lambda: sqs.receive_message(QueueUrl=queue).get("Messages"))
    body = json.loads(message["Body"])
    assert body["requestContext"]["condition"] == "RecordAgeExceeded"
    assert body["requestContext"]["approximateInvokeCount"] == tries + 1
    assert "responseContext" not in body


def test_windows_carry_a_state_and_are_closed(start_pileus: Callable[..., Any], account: Callable[..., Any]) -> None:
    server = start_pileus("--clock", "virtual")
    aws = account(server)
    respond = "    return {'state': {'n': event['state'].get('n', 0) + len(event['Records'])}}"
    lambda_, _ = _function(aws, recorder(respond))
    stream = make_table(aws)
    make_table(aws, "seen", stream=None)
    feed(lambda_, stream, TumblingWindowInSeconds=60, BatchSize=2)
    put(aws, "a")
    wait_events(aws, 1)
    put(aws, "b")
    wait_events(aws, 2)
    server.advance(61)
    got = wait_events(aws, 3)
    assert [(len(event["Records"]), event["state"], event["isFinalInvokeForWindow"]) for event in got] == [
        (1, {}, False),
        (1, {"n": 1}, False),
        (0, {"n": 2}, True),
    ]
    assert got[0]["eventSourceARN"] == stream
    assert got[0]["shardId"].startswith("shardId-")
    assert got[0]["isWindowTerminatedEarly"] is False
    assert set(got[0]["window"]) == {"start", "end"}
    put(aws, "c")
    assert wait_events(aws, 4)[3]["state"] == {}


def _function(aws: Any, code: str) -> tuple[Any, str]:
    """A function on a server of the test's own, with a role that may feed it."""
    from lambda_kit import LOGGING, TRUST

    iam, lambda_ = aws.client("iam"), aws.client("lambda")
    iam.create_role(RoleName="function-role", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.put_role_policy(RoleName="function-role", PolicyName="logs", PolicyDocument=json.dumps(LOGGING))
    allow(aws)
    role = f"arn:aws:iam::{aws.account}:role/function-role"
    answer = lambda_.create_function(
        FunctionName="f",
        Runtime="python3.11",
        Handler="index.handler",
        Role=role,
        Code={"ZipFile": package({"index.py": code})},
    )
    lambda_.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"Delay": 0.05, "MaxAttempts": 200})
    return lambda_, answer["FunctionArn"]


def test_each_item_keeps_its_order_in_parallel_lanes(
    aws: Any, lambda_: Any, make: Callable[..., Any], stream: str
) -> None:
    make(code=recorder())
    for number in range(3):
        put(aws, "a", "b", "c", "d", n={"N": str(number)})
    feed(lambda_, stream, ParallelizationFactor=4, BatchSize=1)
    got: dict[str, list[str]] = {}
    for event in wait_events(aws, 12):
        image = event["Records"][0]["dynamodb"]["NewImage"]
        got.setdefault(image["id"]["S"], []).append(image["n"]["N"])
    assert got == {key: ["0", "1", "2"] for key in "abcd"}


def test_a_role_that_may_not_read_the_stream_is_refused(
    aws: Any, lambda_: Any, make: Callable[..., Any], role: str
) -> None:
    make()
    stream = make_table(aws)
    call = {"EventSourceArn": stream, "FunctionName": "f", "StartingPosition": "LATEST"}
    assert caught(lambda_.create_event_source_mapping, **call) == (
        "InvalidParameterValueException",
        400,
        f"Cannot access stream {stream}. Please ensure the role can perform the GetRecords, GetShardIterator, "
        "DescribeStream, and ListStreams Actions on your stream in IAM.",
    )


def test_a_killed_node_goes_on_where_it_was(start_pileus: Callable[..., Any], account: Callable[..., Any]) -> None:
    first = start_pileus(durability="full")
    aws = account(first)
    lambda_, _ = _function(aws, recorder())
    make_table(aws, "seen", stream=None)
    stream = make_table(aws)
    feed(lambda_, stream, StartingPosition="LATEST", BatchSize=1)
    put(aws, "a", "b")
    wait_events(aws, 2)
    put(aws, *[f"i{number}" for number in range(20)])
    first.kill()
    again = account(start_pileus(durability="full"), aws.account)
    put(again, "z")
    got = until(lambda: found if "z" in (found := [ids_of(event)[0] for event in events(again)]) else None)
    assert set(got) == {"a", "b", "z", *(f"i{number}" for number in range(20))}
    # What was done with does not come again, but for the one that was under way.
    assert len(got) <= 24
