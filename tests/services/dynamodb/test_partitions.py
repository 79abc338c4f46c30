"""Hot partitions, and how tables on demand grow: what `pileus start --partition-limits` throttles."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError
from dynamodb_cases import Table, index

from conftest import Account, Server
from pileus.services.dynamodb import keys
from pileus.services.dynamodb.partitions import KNOWN_MAX, Growth, Heat

SCALING = (
    "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically scaling your table or "
    "index so please try again shortly. If exceptions persist, check if you have a hot key: "
    "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html"
)
LARGE = "x" * (399 * 1024)


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with limits, whose time moves only when it is told to."""
    server = Server(tmp_path_factory.mktemp("limited") / "data", "--clock", "virtual", "--partition-limits")
    yield server
    assert server.stop() == 0, server.log.read_text()


@pytest.fixture
def aws(limited: Server) -> Account:
    return Account(limited.endpoint)


def put(dynamodb: Any, key: str, sort: str = "a", value: str = LARGE, **more: str) -> None:
    """Takes 400 units, unless the value is another one."""
    item = {name: {"S": text} for name, text in {"id": key, "sort": sort, "v": value, **more}.items()}
    dynamodb.put_item(TableName="table", Item=item)


def throttled(call: Callable[..., Any], *args: Any, **members: Any) -> tuple[str, str]:
    """The code and the reason behind the kind of resource's ARN."""
    with pytest.raises(ClientError) as caught:
        call(*args, **members)
    response = caught.value.response
    (reason,) = response.get("throttlingReasons") or response["ThrottlingReasons"]
    return response["Error"]["Code"], f"{reason['reason']} {reason['resource'].rpartition(':')[2]}"


def test_writes_of_one_partition(limited: Server, dynamodb: Any, table: Table) -> None:
    table("id:S sort:S")
    # A thousand units a second; what is let in while there are any left may take more.
    for sort in "abc":
        put(dynamodb, "hot", sort)
    hot = ("ThrottlingException", "TableWriteKeyRangeThroughputExceeded table/table")
    assert throttled(put, dynamodb, "hot", "d") == hot
    for call, members in (
        (dynamodb.delete_item, {"Key": {"id": {"S": "hot"}, "sort": {"S": "a"}}}),
        (dynamodb.update_item, {"Key": {"id": {"S": "hot"}, "sort": {"S": "new"}}}),
    ):
        assert throttled(call, TableName="table", **members) == hot
    with pytest.raises(ClientError) as caught:
        put(dynamodb, "hot", "d")
    assert caught.value.response["Error"]["Message"] == SCALING
    # Others have theirs, and a batch does what it can.
    requests = [{"PutRequest": {"Item": {"id": {"S": key}, "sort": {"S": "a"}}}} for key in ("cold", "hot")]
    assert dynamodb.batch_write_item(RequestItems={"table": requests})["UnprocessedItems"] == {"table": requests[1:]}
    limited.advance(1)
    put(dynamodb, "hot", "d")


def test_reads_of_one_partition(limited: Server, dynamodb: Any, table: Table) -> None:
    table(
        "id:S sort:S|rank:S",
        LocalSecondaryIndexes=[index("local", "id", "rank")],
        GlobalSecondaryIndexes=[index("global", "rank", "id")],
    )
    for key in ("hot", "cold"):
        put(dynamodb, key, value=LARGE[: 180 * 1024], rank="r")
    hot = ("ThrottlingException", "TableReadKeyRangeThroughputExceeded table/table")
    key = {"id": {"S": "hot"}, "sort": {"S": "a"}}
    query = {"KeyConditionExpression": "id = :i", "ExpressionAttributeValues": {":i": {"S": "hot"}}}
    # Three thousand units a second, 46 each.
    for number in range(66):
        if number % 3:
            dynamodb.get_item(TableName="table", Key=key, ConsistentRead=True)
        else:
            # A local index is of the same partition.
            members = {"IndexName": "local"} if number % 2 else {}
            assert dynamodb.query(TableName="table", ConsistentRead=True, **members, **query)["Count"] == 1
    for call, members in (
        (dynamodb.get_item, {"Key": key}),
        (dynamodb.query, query),
        (dynamodb.query, {"IndexName": "local", **query}),
    ):
        assert throttled(call, TableName="table", **members) == hot
    read = [{"Get": {"TableName": "table", "Key": {**key, "id": {"S": name}}}} for name in ("cold", "hot")]
    with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as caught:
        dynamodb.transact_get_items(TransactItems=read)
    assert [each["Code"] for each in caught.value.response["CancellationReasons"]] == ["None", "ThrottlingError"]
    # A global index has partitions of its own.
    by_rank = {"KeyConditionExpression": "#r = :r", "ExpressionAttributeNames": {"#r": "rank"}}
    by_rank["ExpressionAttributeValues"] = {":r": {"S": "r"}}
    assert dynamodb.query(TableName="table", IndexName="global", **by_rank)["Count"] == 2
    limited.advance(1)
    assert dynamodb.query(TableName="table", **query)["Count"] == 1


def test_a_hot_partition_of_an_index(limited: Server, dynamodb: Any, table: Table) -> None:
    table("id:S sort:S|tag:S", GlobalSecondaryIndexes=[index("by-tag", "tag")])
    for key in "abc":
        put(dynamodb, key, tag="hot")
    assert throttled(put, dynamodb, "d", value="", tag="hot") == (
        "ThrottlingException",
        "IndexWriteKeyRangeThroughputExceeded table/table/index/by-tag",
    )
    # What has no entry there, or an entry elsewhere, or leaves that as it is.
    for more in ({}, {"tag": "cold"}):
        put(dynamodb, "e", value="", **more)
    put(dynamodb, "a", tag="hot")
    limited.advance(1)
    put(dynamodb, "d", value="", tag="hot")


def test_a_provisioned_table_has_partitions_too(dynamodb: Any, table: Table) -> None:
    units = {"ReadCapacityUnits": 10, "WriteCapacityUnits": 2000}
    table("id:S sort:S", BillingMode="PROVISIONED", ProvisionedThroughput=units)
    for sort in "abc":
        put(dynamodb, "hot", sort)
    assert throttled(put, dynamodb, "hot") == (
        "ProvisionedThroughputExceededException",
        "TableWriteKeyRangeThroughputExceeded table/table",
    )
    put(dynamodb, "cold")


def test_what_a_table_on_demand_takes(limited: Server, dynamodb: Any, table: Table) -> None:
    table("id:S sort:S")
    # Four thousand units a second from the start.
    for number in range(10):
        put(dynamodb, f"k{number}")
    full = ("ThrottlingException", "TableWriteKeyRangeThroughputExceeded table/table")
    assert throttled(put, dynamodb, "new", value="") == full
    dynamodb.update_table(TableName="table", WarmThroughput={"WriteUnitsPerSecond": 5000})
    limited.advance(1)
    for number in range(13):
        put(dynamodb, f"k{number}")
    assert throttled(put, dynamodb, "new", value="") == full


def test_growth() -> None:
    growth = Growth(0.0)
    for second in range(1800):
        growth.note(6000.0, float(second))
    # Half an hour has to have gone by.
    assert growth.rate(4000.0) == 4000.0
    growth.note(1.0, 1800.0)
    assert growth.rate(4000.0) == 12_000.0
    assert growth.rate(15_000.0) == 15_000.0
    for second in range(1801, 3661):
        growth.note(30_000.0, float(second))
    assert growth.rate(4000.0) == 40_000.0


def test_what_is_forgotten_is_cold() -> None:
    heat = Heat("Write")
    heat.take(b"first", 1000.0, 0.0)
    assert heat.is_spent(b"first", 0.0)
    assert not heat.is_spent(b"first", 0.1)
    for number in range(KNOWN_MAX):
        heat.take(str(number).encode(), 1.0, 0.0)
    assert not heat.is_spent(b"first", 0.0)


def test_partitions_of_keys() -> None:
    prefix = b"prefix\x00"
    for part in ("a", "a\x00b", b"\x00\xff\x00", b"\x01"):
        start = keys.partition(prefix, part)
        assert keys.partition_of(prefix, start) == start[len(prefix) :]
        assert keys.partition_of(prefix, keys.item(prefix, part, b"\x00sort")) == start[len(prefix) :]
        assert keys.partition_of(prefix, keys.partition_range(start)[0]) == start[len(prefix) :]
    start = keys.composite_partition(prefix, ["a", b"\x00"])
    assert (
        keys.partition_of(prefix, keys.composite_entry(prefix, ["a", b"\x00"], ["s"], b"k"), 2) == start[len(prefix) :]
    )
    # Where a scan begins there is none.
    for segment in range(2):
        assert keys.partition_of(prefix, keys.segment_range(prefix, segment, 2)[0]) == b""
