"""DynamoDB Streams: what is recorded of changes, and how it is read."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from dynamodb_cases import Table, definition, index, invalid, refusal

BOTH = "NEW_AND_OLD_IMAGES"
DAY_S = 86400.0


def spec(view: str = BOTH) -> dict[str, Any]:
    return {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": view}}


@pytest.fixture
def streams(aws: Any) -> Any:
    return aws.client("dynamodbstreams", config={"parameter_validation": False})


def latest(dynamodb: Any, name: str = "table") -> str:
    arn: str = dynamodb.describe_table(TableName=name)["Table"]["LatestStreamArn"]
    return arn


def shard(streams: Any, arn: str) -> str:
    (one,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    found: str = one["ShardId"]
    return found


def iterator(streams: Any, arn: str, kind: str = "TRIM_HORIZON", **members: Any) -> str:
    answer = streams.get_shard_iterator(StreamArn=arn, ShardId=shard(streams, arn), ShardIteratorType=kind, **members)
    found: str = answer["ShardIterator"]
    return found


def read(streams: Any, arn: str, kind: str = "TRIM_HORIZON", **members: Any) -> list[dict[str, Any]]:
    """Everything from a place to the present end."""
    found: list[dict[str, Any]] = []
    at: str | None = iterator(streams, arn, kind, **members)
    while at is not None:
        page = streams.get_records(ShardIterator=at)
        if not page["Records"]:
            break
        found += page["Records"]
        at = page.get("NextShardIterator")
    return found


def put(dynamodb: Any, name: str, **attributes: str) -> None:
    item = {"id": {"S": name}, **{key: {"S": value} for key, value in attributes.items()}}
    dynamodb.put_item(TableName="table", Item=item)


def test_a_table_with_a_stream(aws: Any, dynamodb: Any, streams: Any) -> None:
    created = dynamodb.create_table(TableName="table", **definition("id:S sort:N", **spec()))["TableDescription"]
    label, arn = created["LatestStreamLabel"], created["LatestStreamArn"]
    assert created["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": BOTH}
    assert arn == f"arn:aws:dynamodb:us-east-1:{aws.account}:table/table/stream/{label}"
    assert dynamodb.describe_table(TableName="table")["Table"]["LatestStreamArn"] == arn
    described = streams.describe_stream(StreamArn=arn)["StreamDescription"]
    assert described.pop("CreationRequestDateTime")
    (one,) = described.pop("Shards")
    assert described == {
        "StreamArn": arn,
        "StreamLabel": label,
        "StreamStatus": "ENABLED",
        "StreamViewType": BOTH,
        "TableName": "table",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "sort", "KeyType": "RANGE"}],
    }
    assert one.keys() == {"ShardId", "SequenceNumberRange"}
    assert one["SequenceNumberRange"].keys() == {"StartingSequenceNumber"}
    assert 28 <= len(one["ShardId"]) <= 65
    # Paging behind the only shard, and its children.
    assert (
        streams.describe_stream(StreamArn=arn, ExclusiveStartShardId=one["ShardId"])["StreamDescription"]["Shards"]
        == []
    )
    assert (
        streams.describe_stream(StreamArn=arn, ShardFilter={"Type": "CHILD_SHARDS", "ShardId": one["ShardId"]})[
            "StreamDescription"
        ]["Shards"]
        == []
    )


def test_one_record_for_each_change(table: Table, dynamodb: Any, streams: Any) -> None:
    table(**spec())
    put(dynamodb, "Fred")
    dynamodb.transact_write_items(
        TransactItems=[
            {"Put": {"TableName": "table", "Item": {"id": {"S": "NewKey"}}}},
            {
                "ConditionCheck": {
                    "TableName": "table",
                    "Key": {"id": {"S": "no"}},
                    "ConditionExpression": "attribute_not_exists(id)",
                }
            },
        ]
    )
    put(dynamodb, "NewKey")  # changes nothing
    dynamodb.batch_write_item(
        RequestItems={
            "table": [
                {"DeleteRequest": {"Key": {"id": {"S": "NewKey"}}}},
                {"PutRequest": {"Item": {"id": {"S": "Fred"}, "name": {"S": "Fred"}}}},
                {"DeleteRequest": {"Key": {"id": {"S": "nobody"}}}},
            ]
        }
    )
    dynamodb.update_item(TableName="table", Key={"id": {"S": "Fred"}}, UpdateExpression="REMOVE nothing")
    found = read(streams, latest(dynamodb))
    assert [(one["eventName"], one["dynamodb"]["Keys"]["id"]["S"], one["dynamodb"]["SizeBytes"]) for one in found] == [
        ("INSERT", "Fred", 12),
        ("INSERT", "NewKey", 16),
        ("REMOVE", "NewKey", 16),
        ("MODIFY", "Fred", 26),
    ]
    modified = found[3]
    assert modified["dynamodb"].pop("ApproximateCreationDateTime").microsecond == 0
    number = modified["dynamodb"].pop("SequenceNumber")
    assert 21 <= len(number) <= 40
    assert number.isdigit()
    assert len({one["eventID"] for one in found}) == 4
    assert modified.pop("eventID")
    assert modified == {
        "eventName": "MODIFY",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": {
            "Keys": {"id": {"S": "Fred"}},
            "NewImage": {"id": {"S": "Fred"}, "name": {"S": "Fred"}},
            "OldImage": {"id": {"S": "Fred"}},
            "SizeBytes": 26,
            "StreamViewType": BOTH,
        },
    }
    assert "OldImage" not in found[0]["dynamodb"]
    assert "NewImage" not in found[2]["dynamodb"]


def test_what_fails_is_not_recorded(table: Table, dynamodb: Any, streams: Any) -> None:
    table(**spec())
    refusal(dynamodb.put_item, TableName="table", Item={"id": {"S": "a"}}, ConditionExpression="attribute_exists(id)")
    refusal(
        dynamodb.transact_write_items,
        TransactItems=[
            {"Put": {"TableName": "table", "Item": {"id": {"S": "a"}}}},
            {"Put": {"TableName": "table", "Item": {"id": {"S": "b"}}, "ConditionExpression": "attribute_exists(id)"}},
        ],
    )
    put(dynamodb, "c")
    found = read(streams, latest(dynamodb))
    assert [one["dynamodb"]["Keys"] for one in found] == [{"id": {"S": "c"}}]


def test_sets_in_another_order_change_nothing(table: Table, dynamodb: Any, streams: Any) -> None:
    table(**spec())
    for order in (["a", "b"], ["b", "a"]):
        dynamodb.put_item(TableName="table", Item={"id": {"S": "x"}, "s": {"SS": order}, "b": {"B": b"\x00\xff"}})
    (one,) = read(streams, latest(dynamodb))
    assert one["dynamodb"]["NewImage"] == {"id": {"S": "x"}, "s": {"SS": ["a", "b"]}, "b": {"B": b"\x00\xff"}}


@pytest.mark.parametrize(
    ("view", "images", "size"),
    [
        ("KEYS_ONLY", set(), 3),
        ("NEW_IMAGE", {"NewImage"}, 3 + 5),
        ("OLD_IMAGE", {"OldImage"}, 3 + 9),
        (BOTH, {"NewImage", "OldImage"}, 3 + 5 + 9),
    ],
)
def test_view_types(table: Table, dynamodb: Any, streams: Any, view: str, images: set[str], size: int) -> None:
    table(**spec(view), keys="id:S | g:S", GlobalSecondaryIndexes=[index("idx", "g")])
    put(dynamodb, "a", old="xxx")
    put(dynamodb, "a", n="1")
    modified = read(streams, latest(dynamodb))[1]["dynamodb"]
    assert modified["StreamViewType"] == view
    assert {name for name in modified if name.endswith("Image")} == images
    assert modified["SizeBytes"] == size


def test_iterators(table: Table, dynamodb: Any, streams: Any) -> None:
    table(**spec())
    arn = latest(dynamodb)
    newest = iterator(streams, arn, "LATEST")
    for number in range(5):
        put(dynamodb, f"i{number}")
    assert len(streams.get_records(ShardIterator=newest)["Records"]) == 5
    page = streams.get_records(ShardIterator=newest, Limit=2)
    assert len(page["Records"]) == 2
    assert len(streams.get_records(ShardIterator=page["NextShardIterator"])["Records"]) == 3
    assert read(streams, arn, "LATEST") == []
    numbers = [one["dynamodb"]["SequenceNumber"] for one in read(streams, arn)]
    assert numbers == sorted(set(numbers))
    at = read(streams, arn, "AT_SEQUENCE_NUMBER", SequenceNumber=numbers[3])
    assert [one["dynamodb"]["SequenceNumber"] for one in at] == numbers[3:]
    behind = read(streams, arn, "AFTER_SEQUENCE_NUMBER", SequenceNumber=numbers[3])
    assert [one["dynamodb"]["SequenceNumber"] for one in behind] == numbers[4:]
    assert read(streams, arn, "AFTER_SEQUENCE_NUMBER", SequenceNumber=numbers[4]) == []
    assert len(read(streams, arn, "AT_TIMESTAMP", Timestamp=0)) == 5


def test_large_pages_end_at_a_megabyte(table: Table, dynamodb: Any, streams: Any) -> None:
    table(**spec("NEW_IMAGE"))
    for number in range(4):
        put(dynamodb, f"i{number}", text="x" * 390_000)
    page = streams.get_records(ShardIterator=iterator(streams, latest(dynamodb)))
    assert len(page["Records"]) == 2
    assert len(read(streams, latest(dynamodb))) == 4


def test_switching_off_and_on(table: Table, dynamodb: Any, streams: Any) -> None:
    table()
    assert refusal(dynamodb.update_table, TableName="table", StreamSpecification={"StreamEnabled": False}) == invalid(
        "Table has no stream to disable: TableName: table"
    )
    put(dynamodb, "before")
    changed = dynamodb.update_table(TableName="table", **spec("KEYS_ONLY"))["TableDescription"]
    first = changed["LatestStreamArn"]
    assert refusal(dynamodb.update_table, TableName="table", **spec()) == invalid(
        "Table already has an enabled stream: TableName: table"
    )
    put(dynamodb, "one")
    place = iterator(streams, first)
    changed = dynamodb.update_table(TableName="table", StreamSpecification={"StreamEnabled": False})
    assert "StreamSpecification" not in changed["TableDescription"]
    assert changed["TableDescription"]["LatestStreamArn"] == first
    put(dynamodb, "unseen")
    dynamodb.update_table(TableName="table", **spec())
    second = latest(dynamodb)
    put(dynamodb, "two")

    described = streams.describe_stream(StreamArn=first)["StreamDescription"]
    assert described["StreamStatus"] == "DISABLED"
    (old,) = read(streams, first)
    assert described["Shards"][0]["SequenceNumberRange"]["EndingSequenceNumber"] == old["dynamodb"]["SequenceNumber"]
    # A closed shard ends.
    page = streams.get_records(ShardIterator=place)
    assert [one["dynamodb"]["Keys"]["id"]["S"] for one in page["Records"]] == ["one"]
    assert "NextShardIterator" not in page
    assert "NextShardIterator" not in streams.get_records(ShardIterator=iterator(streams, first, "LATEST"))
    (new,) = read(streams, second)
    assert new["dynamodb"]["Keys"] == {"id": {"S": "two"}}
    assert new["dynamodb"]["SequenceNumber"] > old["dynamodb"]["SequenceNumber"]

    # It outlives its table.
    dynamodb.delete_table(TableName="table")
    assert streams.describe_stream(StreamArn=second)["StreamDescription"]["StreamStatus"] == "DISABLED"
    assert len(read(streams, second)) == 1
    assert [one["StreamArn"] for one in streams.list_streams(TableName="table")["Streams"]] == [first, second]


def test_list_streams(aws: Any, table: Table, streams: Any) -> None:
    for name in ("tab", "table", "third"):
        table(name=name, **spec())
    table(name="without")
    listed = streams.list_streams()
    assert [one["TableName"] for one in listed["Streams"]] == ["tab", "table", "third"]
    assert "LastEvaluatedStreamArn" not in listed
    assert listed["Streams"][0].keys() == {"StreamArn", "TableName", "StreamLabel"}
    page = streams.list_streams(Limit=2)
    assert page["LastEvaluatedStreamArn"] == listed["Streams"][1]["StreamArn"]
    rest = streams.list_streams(ExclusiveStartStreamArn=page["LastEvaluatedStreamArn"])
    assert [one["TableName"] for one in rest["Streams"]] == ["third"]
    assert [one["TableName"] for one in streams.list_streams(TableName="tab")["Streams"]] == ["tab"]
    assert streams.list_streams(TableName="without")["Streams"] == []
    assert aws.client("dynamodbstreams", region="eu-west-1").list_streams()["Streams"] == []


def test_wrong_calls(aws: Any, table: Table, dynamodb: Any, streams: Any) -> None:
    table(**spec())
    arn = latest(dynamodb)
    assert refusal(
        dynamodb.create_table, TableName="x12", **definition("id:S"), StreamSpecification={"StreamEnabled": True}
    ) == invalid(
        "One or more parameter values were invalid: StreamViewType must be specified when StreamEnabled is true"
    )
    code, _ = refusal(dynamodb.create_table, TableName="x12", **definition("id:S", **spec("ALL")))
    assert code == "ValidationException"
    gone = arn[:-3] + "999"
    absent = ("ResourceNotFoundException", f"Requested resource not found: Stream: {gone} not found")
    assert refusal(streams.describe_stream, StreamArn=gone) == absent
    assert refusal(streams.describe_stream, StreamArn="x" * 40)[0] == "ValidationException"
    assert refusal(streams.describe_stream, StreamArn=arn.replace(aws.account, "9" * 12))[0] == "AccessDeniedException"
    assert refusal(streams.describe_stream, StreamArn=arn, Limit=101) == invalid(
        "1 validation error detected: Value '101' at 'limit' failed to satisfy constraint: "
        "Member must have value less than or equal to 100"
    )
    place = {"StreamArn": arn, "ShardId": shard(streams, arn)}
    assert refusal(
        streams.get_shard_iterator, **{**place, "ShardId": "shardId-" + "0" * 30}, ShardIteratorType="LATEST"
    ) == ("ResourceNotFoundException", "Requested resource not found: Shard does not exist")
    for members in (
        {"ShardIteratorType": "AT_SEQUENCE_NUMBER"},
        {"ShardIteratorType": "AT_SEQUENCE_NUMBER", "SequenceNumber": "9" * 21},
        {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "SequenceNumber": "x" * 21},
        {"ShardIteratorType": "AT_TIMESTAMP"},
        {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": 9e9},
        {"ShardIteratorType": "SOMEWHERE"},
    ):
        assert refusal(streams.get_shard_iterator, **place, **members)[0] == "ValidationException"
    good = iterator(streams, arn)
    assert refusal(streams.get_records, ShardIterator=good, Limit=1001) == invalid(
        "1 validation error detected: Value '1001' at 'limit' failed to satisfy constraint: "
        "Member must have value less than or equal to 1000"
    )
    for bad in ("x", good[:-5], good[:-4] + "AAAA", good.replace("/table/", "/tible/"), good + "é"):
        assert refusal(streams.get_records, ShardIterator=bad) == invalid("Invalid ShardIterator")


def test_permissions(aws: Any, table: Table, dynamodb: Any, streams: Any) -> None:
    table(**spec())
    arn = latest(dynamodb)
    iam = aws.client("iam")
    iam.create_user(UserName="ann")
    key = iam.create_access_key(UserName="ann")["AccessKey"]

    def ann(action: str, resource: str) -> Any:
        statement = {"Effect": "Allow", "Action": f"dynamodb:{action}", "Resource": resource}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=document)
        return aws.client("dynamodbstreams", credentials=key)

    calls = {
        "DescribeStream": {"StreamArn": arn},
        "GetShardIterator": {"StreamArn": arn, "ShardId": shard(streams, arn), "ShardIteratorType": "LATEST"},
        "GetRecords": {"ShardIterator": iterator(streams, arn)},
    }
    for operation, members in calls.items():
        ann(operation, arn)._make_api_call(operation, members)
        other = ann(operation, arn.replace("table/table", "table/other"))
        assert refusal(other._make_api_call, operation, members) == (
            "AccessDeniedException",
            f"User: arn:aws:iam::{aws.account}:user/ann is not authorized to perform: dynamodb:{operation} "
            f"on resource: {arn} because no identity-based policy allows the dynamodb:{operation} action",
        )
    ann("ListStreams", "*").list_streams()
    assert refusal(ann("GetRecords", "*").list_streams)[0] == "AccessDeniedException"


def test_concurrent_changes_are_all_there_in_order(table: Table, dynamodb: Any, streams: Any) -> None:
    table(**spec())

    def work(worker: int) -> None:
        for _ in range(25):
            dynamodb.update_item(
                TableName="table",
                Key={"id": {"S": f"i{worker % 2}"}},
                UpdateExpression="ADD n :one",
                ExpressionAttributeValues={":one": {"N": "1"}},
            )

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    found = read(streams, latest(dynamodb))
    for name in ("i0", "i1"):
        counts = [one["dynamodb"]["NewImage"]["n"]["N"] for one in found if one["dynamodb"]["Keys"]["id"]["S"] == name]
        assert counts == [str(number) for number in range(1, 51)]


@pytest.fixture
def timed(start_pileus: Callable[..., Any], aws: Any) -> Iterator[tuple[Any, Any, Any]]:
    """A server on the virtual clock, and its two clients."""
    server = start_pileus("--clock", "virtual")
    account = type(aws)(server.endpoint)
    return server, account.client("dynamodb"), account.client("dynamodbstreams")


def test_time(timed: tuple[Any, Any, Any]) -> None:
    server, dynamodb, streams = timed
    dynamodb.create_table(TableName="table", **definition("id:S", **spec()))
    arn = latest(dynamodb)
    put(dynamodb, "old")
    (old,) = read(streams, arn)
    stale = iterator(streams, arn)
    server.advance(901)
    assert refusal(streams.get_records, ShardIterator=stale) == (
        "ExpiredIteratorException",
        "Shard iterator has expired",
    )
    server.advance(DAY_S - 1000)
    put(dynamodb, "young")
    exact = iterator(streams, arn, "AT_SEQUENCE_NUMBER", SequenceNumber=old["dynamodb"]["SequenceNumber"])
    halfway = old["dynamodb"]["ApproximateCreationDateTime"].timestamp() + 3600
    assert len(read(streams, arn, "AT_TIMESTAMP", Timestamp=halfway)) == 1
    server.advance(300)
    # What is older than a day has been trimmed, and nothing else.
    assert [one["dynamodb"]["Keys"]["id"]["S"] for one in read(streams, arn)] == ["young"]
    trimmed = ("TrimmedDataAccessException", "The data you are trying to access has been trimmed")
    assert refusal(streams.get_records, ShardIterator=exact) == trimmed
    place = {"StreamArn": arn, "ShardId": shard(streams, arn), "ShardIteratorType": "AT_SEQUENCE_NUMBER"}
    assert refusal(streams.get_shard_iterator, **place, SequenceNumber=old["dynamodb"]["SequenceNumber"]) == trimmed
    # The stream of a dropped table is kept for a day.
    dynamodb.delete_table(TableName="table")
    dynamodb.create_table(TableName="table", **definition("id:S", **spec()))
    assert latest(dynamodb) != arn
    server.advance(DAY_S - 600)
    assert streams.describe_stream(StreamArn=arn)["StreamDescription"]["StreamStatus"] == "DISABLED"
    server.advance(700)
    assert refusal(streams.describe_stream, StreamArn=arn)[0] == "ResourceNotFoundException"
    assert [one["StreamArn"] for one in streams.list_streams()["Streams"]] == [latest(dynamodb)]


def test_records_outlive_a_kill(start_pileus: Callable[..., Any], aws: Any, tmp_path: Path) -> None:
    server = start_pileus(data_dir=tmp_path / "data")
    mine = type(aws)(server.endpoint)
    dynamodb = mine.client("dynamodb")
    dynamodb.create_table(TableName="table", **definition("id:S", **spec()))
    for number in range(20):
        put(dynamodb, f"i{number}")
    server.kill()
    server = start_pileus(data_dir=tmp_path / "data")
    again = type(aws)(server.endpoint, mine.account)
    dynamodb, streams = again.client("dynamodb"), again.client("dynamodbstreams")
    put(dynamodb, "i20")
    found = read(streams, latest(dynamodb))
    assert [one["dynamodb"]["Keys"]["id"]["S"] for one in found] == [f"i{number}" for number in range(21)]
    numbers = [one["dynamodb"]["SequenceNumber"] for one in found]
    assert numbers == sorted(set(numbers))


def test_a_kill_between_changes_loses_and_doubles_none(
    start_pileus: Callable[..., Any], aws: Any, tmp_path: Path
) -> None:
    server = start_pileus(data_dir=tmp_path / "data")
    mine = type(aws)(server.endpoint)
    mine.client("dynamodb").create_table(TableName="table", **definition("id:S", **spec()))
    acknowledged = [0, 0, 0]
    busy = threading.Barrier(len(acknowledged) + 1, timeout=60)

    def work(worker: int) -> None:
        client = mine.client("dynamodb")
        while True:
            try:
                client.update_item(
                    TableName="table",
                    Key={"id": {"S": f"i{worker}"}},
                    UpdateExpression="ADD n :one",
                    ExpressionAttributeValues={":one": {"N": "1"}},
                )
            except (BotoCoreError, ClientError):
                return
            acknowledged[worker] += 1
            if acknowledged[worker] == 20:
                busy.wait()

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(len(acknowledged))]
    for each in threads:
        each.start()
    busy.wait()
    server.kill()
    for each in threads:
        each.join()

    server = start_pileus(data_dir=tmp_path / "data")
    again = type(aws)(server.endpoint, mine.account)
    dynamodb = again.client("dynamodb")
    found = read(again.client("dynamodbstreams"), latest(dynamodb))
    for worker, count in enumerate(acknowledged):
        key = {"id": {"S": f"i{worker}"}}
        done = int(dynamodb.get_item(TableName="table", Key=key)["Item"]["n"]["N"])
        # The last one may have been done without its answer.
        assert count <= done <= count + 1
        images = [one["dynamodb"]["NewImage"]["n"]["N"] for one in found if one["dynamodb"]["Keys"] == key]
        assert images == [str(number) for number in range(1, done + 1)]
