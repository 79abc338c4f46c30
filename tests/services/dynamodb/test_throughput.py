"""Provisioned and maximum throughput: what is let through, what is refused, and how it is changed."""

from __future__ import annotations

import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from dynamodb_cases import Table, definition, index, refusal

from conftest import Account, Server

EXCEEDED = "ProvisionedThroughputExceededException"
TABLE_EXCEEDED = (
    "The level of configured provisioned throughput for the table was exceeded. Consider increasing your provisioning "
    "level with the UpdateTable API."
)
INDEX_EXCEEDED = (
    "The level of configured provisioned throughput for one or more global secondary indexes of the table was "
    "exceeded. Consider increasing your provisioning level for the under-provisioned global secondary indexes with "
    "the UpdateTable API"
)
# Costs 300 units to change, what a table with one unit has saved in five minutes.
LARGE = "x" * (300 * 1024 - 100)


@pytest.fixture(scope="module")
def virtual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server whose time moves only when it is told to."""
    server = Server(tmp_path_factory.mktemp("pileus") / "data", "--clock", "virtual")
    yield server
    assert server.stop() == 0, server.log.read_text()


@pytest.fixture
def aws(virtual: Server) -> Account:
    return Account(virtual.endpoint)


def units(read: int, write: int) -> dict[str, Any]:
    return {"ReadCapacityUnits": read, "WriteCapacityUnits": write}


def provisioned(read: int, write: int) -> dict[str, Any]:
    return {"BillingMode": "PROVISIONED", "ProvisionedThroughput": units(read, write)}


def caught(call: Callable[..., Any], **members: Any) -> dict[str, Any]:
    with pytest.raises(ClientError) as error:
        call(**members)
    response: dict[str, Any] = error.value.response
    return response


def put(dynamodb: Any, key: str = "a", **attributes: str) -> None:
    item = {"id": {"S": key}, **{name: {"S": value} for name, value in attributes.items()}}
    dynamodb.put_item(TableName="table", Item=item)


def counted(server: Server, account: Account, metric: str, *labels: str) -> float:
    """What Prometheus is shown of a series."""
    page = urllib.request.urlopen(server.endpoint + "/_pileus/metrics").read().decode()
    found = [
        line
        for line in page.splitlines()
        if line.startswith(metric + "{") and account.account in line and all(label in line for label in labels)
    ]
    return float(found[0].rsplit(" ", 1)[1]) if found else 0.0


def test_writes_past_the_burst_are_refused_until_units_come_again(
    virtual: Server, aws: Account, dynamodb: Any, table: Table
) -> None:
    table(**provisioned(5, 1))
    put(dynamodb, large=LARGE)
    response = caught(dynamodb.put_item, TableName="table", Item={"id": {"S": "b"}})
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert response["Error"] == {"Code": EXCEEDED, "Message": TABLE_EXCEEDED}
    arn = f"arn:aws:dynamodb:us-east-1:{aws.account}:table/table"
    assert response["ThrottlingReasons"] == [{"reason": "TableWriteProvisionedThroughputExceeded", "resource": arn}]
    assert "Item" not in dynamodb.get_item(TableName="table", Key={"id": {"S": "b"}})
    virtual.advance(1)
    put(dynamodb, "b")
    assert refusal(put, dynamodb, "c") == (EXCEEDED, TABLE_EXCEEDED)


def test_what_is_owed_is_waited_for(virtual: Server, dynamodb: Any, table: Table) -> None:
    table(**provisioned(5, 1))
    put(dynamodb, large=LARGE[: 299 * 1024 - 100])
    # One unit is left, and 299 more are taken.
    put(dynamodb)
    virtual.advance(298)
    assert refusal(put, dynamodb, "b") == (EXCEEDED, TABLE_EXCEEDED)
    virtual.advance(1)
    put(dynamodb, "b")


def test_reads_are_refused_and_batches_hand_back_what_was_not_done(
    virtual: Server, dynamodb: Any, table: Table
) -> None:
    table(**provisioned(1, 10))
    put(dynamodb, large=LARGE)
    # 75 units each, read consistently.
    for _ in range(4):
        dynamodb.get_item(TableName="table", Key={"id": {"S": "a"}}, ConsistentRead=True)
    for call, members in (
        (dynamodb.get_item, {"Key": {"id": {"S": "a"}}}),
        (dynamodb.scan, {}),
        (
            dynamodb.query,
            {"KeyConditionExpression": "id = :i", "ExpressionAttributeValues": {":i": {"S": "a"}}},
        ),
    ):
        response = caught(call, TableName="table", **members)
        assert response["Error"]["Code"] == EXCEEDED
        assert response["ThrottlingReasons"][0]["reason"] == "TableReadProvisionedThroughputExceeded"
    assert refusal(dynamodb.execute_statement, Statement="SELECT * FROM \"table\" WHERE id = 'a'")[0] == EXCEEDED
    keys = [{"id": {"S": name}} for name in "bcd"]
    assert refusal(dynamodb.batch_get_item, RequestItems={"table": {"Keys": keys}}) == (EXCEEDED, TABLE_EXCEEDED)
    virtual.advance(1)
    answer = dynamodb.batch_get_item(RequestItems={"table": {"Keys": keys, "ConsistentRead": True}})
    assert answer["Responses"] == {"table": []}
    assert answer["UnprocessedKeys"] == {"table": {"Keys": keys[1:], "ConsistentRead": True}}
    put(dynamodb)
    # The item is small now.
    virtual.advance(1)
    assert dynamodb.scan(TableName="table")["Count"] == 1


def test_a_batch_of_writes_hands_back_what_was_not_written(virtual: Server, dynamodb: Any, table: Table) -> None:
    table(**provisioned(5, 1))
    put(dynamodb, large=LARGE)
    parts = [{"PutRequest": {"Item": {"id": {"S": name}}}} for name in "bcd"]
    assert refusal(dynamodb.batch_write_item, RequestItems={"table": parts}) == (EXCEEDED, TABLE_EXCEEDED)
    virtual.advance(2)
    answer = dynamodb.batch_write_item(RequestItems={"table": parts}, ReturnConsumedCapacity="TOTAL")
    assert answer["UnprocessedItems"] == {"table": parts[2:]}
    assert answer["ConsumedCapacity"] == [{"TableName": "table", "CapacityUnits": 2.0}]
    assert {item["id"]["S"] for item in dynamodb.scan(TableName="table")["Items"]} == {"a", "b", "c"}


def test_a_full_index_holds_up_the_writes_that_touch_it(
    virtual: Server, aws: Account, dynamodb: Any, table: Table
) -> None:
    by_tag = {**index("by-tag", "tag"), "ProvisionedThroughput": units(5, 1)}
    table("id:S|tag:S", GlobalSecondaryIndexes=[by_tag], **provisioned(5, 100))
    put(dynamodb, tag="t", large=LARGE)
    response = caught(dynamodb.put_item, TableName="table", Item={"id": {"S": "b"}, "tag": {"S": "t"}})
    assert response["Error"] == {"Code": EXCEEDED, "Message": INDEX_EXCEEDED}
    arn = f"arn:aws:dynamodb:us-east-1:{aws.account}:table/table/index/by-tag"
    assert response["ThrottlingReasons"] == [{"reason": "IndexWriteProvisionedThroughputExceeded", "resource": arn}]
    # It has no entry there.
    put(dynamodb, "c")
    # Nor does it change the one that is there.
    put(dynamodb, tag="t", large=LARGE)
    parts = [{"PutRequest": {"Item": {"id": {"S": name}, "tag": {"S": name}}}} for name in "de"]
    virtual.advance(1)
    answer = dynamodb.batch_write_item(RequestItems={"table": parts})
    assert answer["UnprocessedItems"] == {"table": parts[1:]}
    found = dynamodb.scan(TableName="table", IndexName="by-tag", ProjectionExpression="id")["Items"]
    assert sorted(item["id"]["S"] for item in found) == ["a", "d"]
    labels = ('global_secondary_index_name="by-tag"',)
    assert counted(virtual, aws, "aws_dynamo_db_write_throttle_events_total", *labels) == 2
    assert counted(virtual, aws, "aws_dynamo_db_consumed_write_capacity_units_total", *labels) == 301


def test_transactions_are_canceled_with_the_reason(virtual: Server, dynamodb: Any, table: Table) -> None:
    table(**provisioned(1, 1))
    table(name="other", **provisioned(5, 5))
    put(dynamodb, large=LARGE)
    puts = [{"Put": {"TableName": name, "Item": {"id": {"S": "b"}}}} for name in ("other", "table")]
    response = caught(dynamodb.transact_write_items, TransactItems=puts)
    assert response["Error"] == {
        "Code": "TransactionCanceledException",
        "Message": "Transaction cancelled, please refer cancellation reasons for specific reasons "
        "[None, ProvisionedThroughputExceeded]",
    }
    throttled = {"Code": "ProvisionedThroughputExceeded", "Message": TABLE_EXCEEDED}
    assert response["CancellationReasons"] == [{"Code": "None"}, throttled]
    assert dynamodb.scan(TableName="other")["Count"] == 0
    virtual.advance(1)
    # Two units for each write: one is owed then.
    dynamodb.transact_write_items(TransactItems=puts)
    virtual.advance(1)
    assert refusal(put, dynamodb, "c") == (EXCEEDED, TABLE_EXCEEDED)
    gets = [{"Get": {"TableName": "table", "Key": {"id": {"S": "a"}}}}]
    for _ in range(2):
        dynamodb.transact_get_items(TransactItems=gets)
    assert caught(dynamodb.transact_get_items, TransactItems=gets)["CancellationReasons"] == [throttled]
    statements = [{"Statement": "SELECT * FROM \"table\" WHERE id = 'a'"}]
    response = caught(dynamodb.execute_transaction, TransactStatements=statements)
    assert response["CancellationReasons"] == [throttled]
    answer = dynamodb.batch_execute_statement(Statements=statements)
    assert answer["Responses"] == [{"Error": {"Code": "ProvisionedThroughputExceeded", "Message": TABLE_EXCEEDED}}]


def test_a_write_whose_condition_fails_consumes_its_units(virtual: Server, dynamodb: Any, table: Table) -> None:
    table(**provisioned(5, 1))
    put(dynamodb, large=LARGE[: 100 * 1024])
    for _ in range(2):
        condition = {"ConditionExpression": "attribute_not_exists(id)"}
        code, _ = refusal(dynamodb.put_item, TableName="table", Item={"id": {"S": "a"}}, **condition)
        assert code == "ConditionalCheckFailedException"
    assert refusal(put, dynamodb, "b") == (EXCEEDED, TABLE_EXCEEDED)


def test_more_throughput_counts_at_once(virtual: Server, dynamodb: Any, table: Table) -> None:
    table(**provisioned(5, 1))
    put(dynamodb, large=LARGE)
    assert refusal(put, dynamodb, "b") == (EXCEEDED, TABLE_EXCEEDED)
    dynamodb.update_table(TableName="table", ProvisionedThroughput=units(5, 10))
    virtual.advance(1)
    for name in "bcdefghijk":
        put(dynamodb, name)
    assert refusal(put, dynamodb, "l") == (EXCEEDED, TABLE_EXCEEDED)
    dynamodb.update_table(TableName="table", BillingMode="PAY_PER_REQUEST")
    put(dynamodb, "l")


def test_a_maximum_of_on_demand_throughput(virtual: Server, aws: Account, dynamodb: Any, table: Table) -> None:
    table(OnDemandThroughput={"MaxReadRequestUnits": 5, "MaxWriteRequestUnits": 1})
    put(dynamodb, large=LARGE)
    response = caught(dynamodb.put_item, TableName="table", Item={"id": {"S": "b"}})
    assert response["Error"] == {
        "Code": "ThrottlingException",
        "Message": "Throughput exceeds the maximum OnDemandThroughput configured on table or index.",
    }
    arn = f"arn:aws:dynamodb:us-east-1:{aws.account}:table/table"
    assert response["throttlingReasons"] == [{"reason": "TableWriteMaxOnDemandThroughputExceeded", "resource": arn}]
    action = {"Put": {"TableName": "table", "Item": {"id": {"S": "b"}}}}
    reasons = caught(dynamodb.transact_write_items, TransactItems=[action])["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == ["ThrottlingError"]
    dynamodb.update_table(TableName="table", OnDemandThroughput={"MaxWriteRequestUnits": -1})
    put(dynamodb, "b")
    assert refusal(dynamodb.update_table, TableName="table", OnDemandThroughput={"MaxWriteRequestUnits": 0})[0] == (
        "ValidationException"
    )


def test_the_quota_of_a_table_on_demand(virtual: Server, dynamodb: Any, table: Table) -> None:
    table()
    put(dynamodb, large=LARGE)
    for _ in range(66):
        # 600 units each.
        update = {"TableName": "table", "Key": {"id": {"S": "a"}}, "UpdateExpression": "ADD n :n"}
        dynamodb.transact_write_items(
            TransactItems=[{"Update": {**update, "ExpressionAttributeValues": {":n": {"N": "1"}}}}]
        )
    put(dynamodb, "b")
    put(dynamodb, large=LARGE)
    response = caught(put, dynamodb=dynamodb)
    assert response["Error"]["Code"] == "RequestLimitExceeded"
    assert response["ThrottlingReasons"][0]["reason"] == "TableWriteAccountLimitExceeded"
    virtual.advance(1)
    put(dynamodb)


def test_consumed_and_refused_units_are_counted(virtual: Server, aws: Account, dynamodb: Any, table: Table) -> None:
    table(**provisioned(5, 1))
    put(dynamodb, large=LARGE)
    refusal(put, dynamodb)
    dynamodb.get_item(TableName="table", Key={"id": {"S": "a"}})
    assert counted(virtual, aws, "aws_dynamo_db_consumed_write_capacity_units_total") == 300
    assert counted(virtual, aws, "aws_dynamo_db_consumed_read_capacity_units_total") == 37.5
    assert counted(virtual, aws, "aws_dynamo_db_throttled_requests_total", 'operation="PutItem"') == 1
    assert counted(virtual, aws, "aws_dynamo_db_write_provisioned_throughput_throttle_events_total") == 1
    dynamodb.delete_table(TableName="table")
    assert counted(virtual, aws, "aws_dynamo_db_consumed_write_capacity_units_total") == 0


def test_decreases_are_limited_within_a_day(virtual: Server, aws: Account, dynamodb: Any, table: Table) -> None:
    table(**provisioned(100, 100))
    created = dynamodb.describe_table(TableName="table")["Table"]["CreationDateTime"]
    virtual.advance(86400 - created.timestamp() % 86400 + 60.5)

    def update(read: int) -> dict[str, Any]:
        answer = dynamodb.update_table(TableName="table", ProvisionedThroughput=units(read, 100))
        found: dict[str, Any] = answer["TableDescription"]["ProvisionedThroughput"]
        return found

    for read in (99, 98, 97):
        update(read)
    first = update(96)
    assert first["NumberOfDecreasesToday"] == 4
    assert "LastIncreaseDateTime" not in first
    code, message = refusal(update, 95)
    assert code == "LimitExceededException"
    assert message.startswith(
        "Subscriber limit exceeded: Provisioned throughput decreases are limited within a given UTC day. After the "
        "first 4 decreases, each subsequent decrease in the same UTC day can be performed at most once every 3600 "
        "seconds. Number of decreases today: 4. Last decrease at "
    )
    at = first["LastDecreaseDateTime"]
    assert f"Last decrease at {at:%A, %B} {at.day}, {at.year} 12:01:00 AM UTC." in message
    assert "LastIncreaseDateTime" in update(97)
    virtual.advance(3600)
    assert update(95)["NumberOfDecreasesToday"] == 5
    assert refusal(update, 94)[0] == "LimitExceededException"
    virtual.advance(86400)
    described = dynamodb.describe_table(TableName="table")["Table"]["ProvisionedThroughput"]
    assert described["NumberOfDecreasesToday"] == 0
    update(94)


def test_an_index_has_throughput_of_its_own(dynamodb: Any, table: Table) -> None:
    by_tag = {**index("by-tag", "tag"), "ProvisionedThroughput": units(5, 5)}
    table("id:S|tag:S", GlobalSecondaryIndexes=[by_tag], **provisioned(5, 5))

    def update(read: int) -> Any:
        asked = {"IndexName": "by-tag", "ProvisionedThroughput": units(read, 5)}
        return dynamodb.update_table(TableName="table", GlobalSecondaryIndexUpdates=[{"Update": asked}])

    code, message = refusal(update, 5)
    assert code == "ValidationException"
    assert message.startswith(
        "The provisioned throughput for the index by-tag will not change. The requested value equals the current value."
    )
    shown = update(4)["TableDescription"]["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"]
    assert (shown["NumberOfDecreasesToday"], shown["ReadCapacityUnits"]) == (1, 4)
    assert "LastDecreaseDateTime" in shown
    dynamodb.update_table(TableName="table", BillingMode="PAY_PER_REQUEST")
    back = {"BillingMode": "PROVISIONED", "ProvisionedThroughput": units(5, 5)}
    assert refusal(dynamodb.update_table, TableName="table", **back) == (
        "ValidationException",
        "One or more parameter values were invalid: ProvisionedThroughput must be specified for index: by-tag",
    )


def test_changes_to_on_demand_are_limited_within_a_day(virtual: Server, dynamodb: Any, table: Table) -> None:
    table()

    def change(**mode: Any) -> None:
        dynamodb.update_table(TableName="table", **mode)

    on_demand = {"BillingMode": "PAY_PER_REQUEST"}
    for _ in range(4):
        change(**provisioned(5, 5))
        change(**on_demand)
        virtual.advance(3600)
    change(**provisioned(5, 5))
    code, message = refusal(change, **on_demand)
    assert code == "LimitExceededException"
    assert message.startswith(
        "Subscriber limit exceeded: Update to PayPerRequest mode are limited to 4 times in 1 day(s). Last update at "
    )
    assert dynamodb.describe_table(TableName="table")["Table"]["BillingModeSummary"]["BillingMode"] == "PROVISIONED"
    virtual.advance(20 * 3600 + 1)
    change(**on_demand)
    change(**provisioned(5, 5))
    assert refusal(change, **on_demand)[0] == code


def test_quotas_of_a_table_and_of_the_account(dynamodb: Any, table: Table) -> None:
    assert refusal(dynamodb.create_table, TableName="table", **definition("id:S", **provisioned(40_001, 1)))[0] == (
        "LimitExceededException"
    )
    table(**provisioned(40_000, 1))
    table(name="second", **provisioned(39_999, 1))
    code, message = refusal(dynamodb.create_table, TableName="third", **definition("id:S", **provisioned(2, 1)))
    assert (code, message.startswith("Subscriber limit exceeded: ")) == ("LimitExceededException", True)
    table(name="third", **provisioned(1, 1))
    assert refusal(dynamodb.update_table, TableName="second", ProvisionedThroughput=units(40_000, 1))[0] == code
    dynamodb.update_table(TableName="second", ProvisionedThroughput=units(10, 1))


def test_warm_throughput_only_grows(dynamodb: Any, table: Table) -> None:
    table()
    warm = {"ReadUnitsPerSecond": 20_000, "WriteUnitsPerSecond": 5_000}
    shown = dynamodb.update_table(TableName="table", WarmThroughput=warm)["TableDescription"]["WarmThroughput"]
    assert {**warm, "Status": "ACTIVE"} == shown
    code, message = refusal(dynamodb.update_table, TableName="table", WarmThroughput={"ReadUnitsPerSecond": 13_000})
    assert (code, "lower than current WarmThroughput" in message) == ("ValidationException", True)


def test_warm_throughput_keeps_what_was_there(dynamodb: Any, table: Table) -> None:
    by_tag = {**index("by-tag", "tag"), "ProvisionedThroughput": units(5, 5)}
    table("id:S|tag:S", GlobalSecondaryIndexes=[by_tag], **provisioned(20_000, 100))

    def warm() -> list[tuple[int, int]]:
        described = dynamodb.describe_table(TableName="table")["Table"]
        parts = [each["WarmThroughput"] for each in (described, described["GlobalSecondaryIndexes"][0])]
        return [(each["ReadUnitsPerSecond"], each["WriteUnitsPerSecond"]) for each in parts]

    def update(**members: Any) -> None:
        dynamodb.update_table(TableName="table", **members)

    assert warm() == [(20_000, 100), (5, 5)]
    update(ProvisionedThroughput=units(10, 200))
    assert warm() == [(20_000, 200), (5, 5)]
    update(BillingMode="PAY_PER_REQUEST")
    assert warm() == [(20_000, 4_000), (12_000, 4_000)]
    again = {"IndexName": "by-tag", "ProvisionedThroughput": units(5, 5)}
    update(**provisioned(10, 10), GlobalSecondaryIndexUpdates=[{"Update": again}])
    assert warm() == [(20_000, 4_000), (12_000, 4_000)]


def test_a_restarted_node_begins_with_full_buckets(tmp_path: Path, start_pileus: Callable[..., Server]) -> None:
    first = start_pileus("--clock", "virtual", data_dir=tmp_path / "data")
    aws = Account(first.endpoint)
    dynamodb = aws.client("dynamodb")
    dynamodb.create_table(TableName="table", **definition("id:S", **provisioned(5, 1)))
    put(dynamodb, large=LARGE)
    assert refusal(put, dynamodb, "b") == (EXCEEDED, TABLE_EXCEEDED)
    first.stop()
    second = Account(start_pileus("--clock", "virtual", data_dir=tmp_path / "data").endpoint, aws.account)
    put(second.client("dynamodb"), "b")
