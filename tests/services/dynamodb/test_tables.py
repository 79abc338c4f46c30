"""Tables: their life, their description, their settings."""

from __future__ import annotations

import re
from typing import Any

import pytest
from dynamodb_cases import Table, definition, index, invalid, invalid_values, refusal, schema

PROVISIONED = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 4}
NOT_FOUND = ("ResourceNotFoundException", "Requested resource not found: Table: nope not found")


def test_life(dynamodb: Any, aws: Any) -> None:
    created = dynamodb.create_table(
        TableName="photos",
        **definition("id:S", BillingMode="PROVISIONED", ProvisionedThroughput=PROVISIONED),
    )["TableDescription"]
    arn = f"arn:aws:dynamodb:us-east-1:{aws.account}:table/photos"
    assert re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", created.pop("TableId"))
    assert created.pop("CreationDateTime")
    expected = {
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "TableName": "photos",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "ProvisionedThroughput": {"NumberOfDecreasesToday": 0, **PROVISIONED},
        "TableSizeBytes": 0,
        "ItemCount": 0,
        "TableArn": arn,
        "DeletionProtectionEnabled": False,
    }
    assert created == {**expected, "TableStatus": "CREATING"}

    # The waiters' first look must find what they wait for: their second comes after twenty seconds.
    dynamodb.get_waiter("table_exists").wait(TableName="photos", WaiterConfig={"MaxAttempts": 1})
    described = dynamodb.describe_table(TableName=arn)["Table"]
    assert {name: described[name] for name in expected} == expected
    assert described["TableStatus"] == "ACTIVE"
    assert described["WarmThroughput"] == {
        "ReadUnitsPerSecond": 5,
        "WriteUnitsPerSecond": 4,
        "Status": "ACTIVE",
    }

    deleted = dynamodb.delete_table(TableName="photos")["TableDescription"]
    assert deleted == {
        name: value for name, value in expected.items() if name not in ("AttributeDefinitions", "KeySchema")
    } | {"TableStatus": "DELETING", "TableId": described["TableId"]}
    dynamodb.get_waiter("table_not_exists").wait(TableName="photos", WaiterConfig={"MaxAttempts": 1})
    assert dynamodb.list_tables()["TableNames"] == []


def test_on_demand(dynamodb: Any, table: Table) -> None:
    created = dynamodb.create_table(
        TableName="table",
        **definition("pk:S | g:S", GlobalSecondaryIndexes=[index("by-g", "g")]),
    )["TableDescription"]
    none = {"NumberOfDecreasesToday": 0, "ReadCapacityUnits": 0, "WriteCapacityUnits": 0}
    assert created["BillingModeSummary"] == {"BillingMode": "PAY_PER_REQUEST"}
    assert created["ProvisionedThroughput"] == none
    assert "WarmThroughput" not in created
    described = dynamodb.describe_table(TableName="table")["Table"]
    warm = {"ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 4000, "Status": "ACTIVE"}
    assert described["BillingModeSummary"].keys() == {"BillingMode", "LastUpdateToPayPerRequestDateTime"}
    assert described["WarmThroughput"] == warm
    assert described["GlobalSecondaryIndexes"] == [
        {
            "IndexName": "by-g",
            "KeySchema": schema("g"),
            "Projection": {"ProjectionType": "ALL"},
            "IndexStatus": "ACTIVE",
            "ProvisionedThroughput": none,
            "IndexSizeBytes": 0,
            "ItemCount": 0,
            "IndexArn": described["TableArn"] + "/index/by-g",
            "WarmThroughput": warm,
        }
    ]


def test_warm_throughput(dynamodb: Any, table: Table) -> None:
    created = dynamodb.create_table(
        TableName="table",
        **definition("id:S", WarmThroughput={"ReadUnitsPerSecond": 13000, "WriteUnitsPerSecond": 5000}),
    )["TableDescription"]
    assert created["WarmThroughput"]["Status"] == "UPDATING"
    described = dynamodb.describe_table(TableName="table")["Table"]["WarmThroughput"]
    assert described == {"ReadUnitsPerSecond": 13000, "WriteUnitsPerSecond": 5000, "Status": "ACTIVE"}


def test_names_are_taken_once_and_free_again(dynamodb: Any, table: Table) -> None:
    table()
    dynamodb.put_item(TableName="table", Item={"id": {"S": "old"}})
    assert refusal(dynamodb.create_table, TableName="table", **definition("id:S")) == (
        "ResourceInUseException",
        "Table already exists: table",
    )
    dynamodb.delete_table(TableName="table")
    table()
    assert dynamodb.scan(TableName="table")["Items"] == []


def test_accounts_and_regions_have_their_own(dynamodb: Any, aws: Any, table: Table) -> None:
    table()
    other = aws.client("dynamodb", region="eu-west-1")
    assert other.list_tables()["TableNames"] == []
    assert refusal(other.get_item, TableName="table", Key={"id": {"S": "a"}})[0] == "ResourceNotFoundException"
    stranger = type(aws)(aws.endpoint).client("dynamodb")
    assert stranger.list_tables()["TableNames"] == []
    assert refusal(
        stranger.describe_table, TableName=f"arn:aws:dynamodb:us-east-1:{aws.account}:table/table"
    )[0] == "AccessDeniedException"  # fmt: skip


def test_list(dynamodb: Any, table: Table) -> None:
    for name in ("ccc", "aaa", "bbb"):
        table(name=name)
    assert dynamodb.list_tables()["TableNames"] == ["aaa", "bbb", "ccc"]
    first = dynamodb.list_tables(Limit=2)
    assert (first["TableNames"], first["LastEvaluatedTableName"]) == (["aaa", "bbb"], "bbb")
    rest = dynamodb.list_tables(ExclusiveStartTableName="bbb")
    assert rest["TableNames"] == ["ccc"]
    assert "LastEvaluatedTableName" not in rest
    assert [page["TableNames"] for page in dynamodb.get_paginator("list_tables").paginate(Limit=1)] == [
        ["aaa"],
        ["bbb"],
        ["ccc"],
    ]


DEFINED = "AttributeDefinitions"


@pytest.mark.parametrize(
    ("members", "refused"),
    [
        (
            {"ProvisionedThroughput": PROVISIONED},
            invalid_values(
                "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"
            ),
        ),
        (
            {"BillingMode": "PROVISIONED"},
            invalid_values(
                "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"
            ),
        ),
        ({"TableName": "ab"}, invalid("TableName must be at least 3 characters long and at most 255 characters long")),
        (
            {"TableName": "a" * 256},
            invalid("TableName must be at least 3 characters long and at most 255 characters long"),
        ),
        (
            {"TableName": "/table"},
            invalid(
                "1 validation error detected: Value '/table' at 'tableName' failed to satisfy constraint: "
                "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
            ),
        ),
        (
            {"KeySchema": [{"AttributeName": "id", "KeyType": "RANGE"}]},
            invalid("Invalid KeySchema: The first KeySchemaElement is not a HASH key type"),
        ),
        (
            {"KeySchema": [*schema("id"), {"AttributeName": "id", "KeyType": "HASH"}]},
            invalid("Invalid KeySchema: The second KeySchemaElement is not a RANGE key type"),
        ),
        (
            {"KeySchema": schema("id", "id")},
            invalid("Both the Hash Key and the Range Key element in the KeySchema have the same name"),
        ),
        (
            {"KeySchema": schema("other")},
            invalid_values(
                "Some index key attributes are not defined in AttributeDefinitions. "
                "Keys: [other], AttributeDefinitions: [id]"
            ),
        ),
        (
            {"KeySchema": schema("id", "other")},
            invalid("Invalid KeySchema: Some index key attribute have no definition"),
        ),
        (
            definition("id:S | x:S"),
            invalid_values(
                "Number of attributes in KeySchema does not exactly match number of attributes defined in "
                "AttributeDefinitions"
            ),
        ),
        (
            definition("id:S | g:S x:S", GlobalSecondaryIndexes=[index("idx", "g")]),
            invalid_values(
                "Some AttributeDefinitions are not used. AttributeDefinitions: [id, g, x], keys used: [g, id]"
            ),
        ),
        ({"GlobalSecondaryIndexes": []}, invalid_values("List of GlobalSecondaryIndexes is empty")),
        (
            {"LocalSecondaryIndexes": [index("idx", "id", "x")]},
            invalid_values(
                "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex"
            ),
        ),
        (
            definition("id:S s:S | x:S", LocalSecondaryIndexes=[index("idx", "x", "s")]),
            invalid_values(
                "Index KeySchema does not have the same leading hash key as table KeySchema for index: idx. "
                "index hash key: x, table hash key: id"
            ),
        ),
        (
            definition("id:S s:S", LocalSecondaryIndexes=[index("idx", "id")]),
            invalid_values("Index KeySchema does not have a range key for index: idx"),
        ),
        (
            definition("id:S | g:S", GlobalSecondaryIndexes=[index("idx", "g"), index("idx", "g")]),
            invalid_values("Duplicate index name: idx"),
        ),
        (
            definition(
                "id:S | g:S",
                GlobalSecondaryIndexes=[
                    {**index("idx", "g"), "Projection": {"ProjectionType": "ALL", "NonKeyAttributes": ["a"]}}
                ],
            ),
            invalid_values("ProjectionType is ALL, but NonKeyAttributes is specified"),
        ),
        (
            definition("id:S | g:S", GlobalSecondaryIndexes=[index("idx", "g", kind="INCLUDE")]),
            invalid_values("ProjectionType is INCLUDE, but NonKeyAttributes is not specified"),
        ),
        (
            definition(
                "id:S | g:S",
                GlobalSecondaryIndexes=[{**index("idx", "g"), "ProvisionedThroughput": PROVISIONED}],
            ),
            invalid_values(
                "ProvisionedThroughput should not be specified for index: idx when BillingMode is PAY_PER_REQUEST"
            ),
        ),
        (
            definition("id:S | g:S", GlobalSecondaryIndexes=[index(f"idx{n}", "g") for n in range(21)]),
            invalid_values("Number of GlobalSecondaryIndexes exceeds per-table limit of 20"),
        ),
    ],
)
def test_wrong_definitions(dynamodb: Any, members: dict[str, Any], refused: tuple[str, str]) -> None:
    assert refusal(dynamodb.create_table, **{"TableName": "table", **definition("id:S"), **members}) == refused
    assert dynamodb.list_tables()["TableNames"] == []


def test_what_is_not_built_is_named(dynamodb: Any) -> None:
    _, message = refusal(
        dynamodb.create_table,
        TableName="table",
        **definition("id:S", GlobalTableSourceArn="arn:aws:dynamodb:us-east-1:111111111111:table/table"),
    )
    assert "GlobalTableSourceArn" in message
    assert dynamodb.list_tables()["TableNames"] == []


def test_tables_that_are_not_there(dynamodb: Any) -> None:
    assert refusal(dynamodb.describe_table, TableName="nope") == NOT_FOUND
    assert refusal(dynamodb.delete_table, TableName="nope") == NOT_FOUND
    assert refusal(dynamodb.update_table, TableName="nope", BillingMode="PAY_PER_REQUEST") == NOT_FOUND
    assert refusal(dynamodb.describe_time_to_live, TableName="nope") == NOT_FOUND


def test_counts(dynamodb: Any, table: Table) -> None:
    table("id:S | g:S", GlobalSecondaryIndexes=[index("idx", "g", kind="KEYS_ONLY")])
    for each in range(5):
        dynamodb.put_item(TableName="table", Item={"id": {"S": f"i{each}"}, "x": {"S": "12345"}})
    dynamodb.put_item(TableName="table", Item={"id": {"S": "i0"}, "g": {"S": "g"}, "x": {"S": "12345"}})
    dynamodb.delete_item(TableName="table", Key={"id": {"S": "i1"}})
    dynamodb.delete_item(TableName="table", Key={"id": {"S": "i1"}})
    described = dynamodb.describe_table(TableName="table")["Table"]
    assert (described["ItemCount"], described["TableSizeBytes"]) == (4, 4 * 10 + 2)
    found = described["GlobalSecondaryIndexes"][0]
    assert (found["ItemCount"], found["IndexSizeBytes"]) == (1, 6)


def test_deletion_protection(dynamodb: Any, table: Table) -> None:
    table(DeletionProtectionEnabled=True)
    assert refusal(dynamodb.delete_table, TableName="table") == invalid(
        "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first."
    )
    updated = dynamodb.update_table(TableName="table", DeletionProtectionEnabled=False)["TableDescription"]
    assert (updated["TableStatus"], updated["DeletionProtectionEnabled"]) == ("UPDATING", False)
    dynamodb.delete_table(TableName="table")


def test_billing_mode_and_throughput(dynamodb: Any, table: Table) -> None:
    table(BillingMode="PROVISIONED", ProvisionedThroughput=PROVISIONED)
    assert refusal(dynamodb.update_table, TableName="table", ProvisionedThroughput=PROVISIONED) == invalid(
        "The provisioned throughput for the table will not change. The requested value equals the current value. "
        "Current ReadCapacityUnits provisioned for the table: 5. Requested ReadCapacityUnits: 5. "
        "Current WriteCapacityUnits provisioned for the table: 4. Requested WriteCapacityUnits: 4. "
        "Refer to the Amazon DynamoDB Developer Guide for current limits and how to request higher limits."
    )
    dynamodb.update_table(TableName="table", ProvisionedThroughput={"ReadCapacityUnits": 6, "WriteCapacityUnits": 4})
    throughput = dynamodb.describe_table(TableName="table")["Table"]["ProvisionedThroughput"]
    assert throughput["ReadCapacityUnits"] == 6
    assert "LastIncreaseDateTime" in throughput
    dynamodb.update_table(TableName="table", BillingMode="PAY_PER_REQUEST")
    described = dynamodb.describe_table(TableName="table")["Table"]
    assert described["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert described["ProvisionedThroughput"]["ReadCapacityUnits"] == 0
    assert refusal(dynamodb.update_table, TableName="table") == invalid(
        "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or "
        "SSESpecification or ReplicaUpdates is required"
    )


def test_tags(dynamodb: Any, table: Table) -> None:
    table(Tags=[{"Key": "a", "Value": "1"}])
    arn = dynamodb.describe_table(TableName="table")["Table"]["TableArn"]
    dynamodb.tag_resource(ResourceArn=arn, Tags=[{"Key": "a", "Value": "2"}, {"Key": "b", "Value": ""}])
    assert dynamodb.list_tags_of_resource(ResourceArn=arn)["Tags"] == [
        {"Key": "a", "Value": "2"},
        {"Key": "b", "Value": ""},
    ]
    dynamodb.untag_resource(ResourceArn=arn, TagKeys=["a", "zzz"])
    assert dynamodb.list_tags_of_resource(ResourceArn=arn)["Tags"] == [{"Key": "b", "Value": ""}]
    dynamodb.tag_resource(ResourceArn=arn, Tags=[{"Key": f"k{n:02}", "Value": "x"} for n in range(20)])
    pages = list(dynamodb.get_paginator("list_tags_of_resource").paginate(ResourceArn=arn))
    assert sum(len(page["Tags"]) for page in pages) == 21
    assert len(pages) > 1
    assert refusal(dynamodb.list_tags_of_resource, ResourceArn=arn[:-5] + "nope") == (
        "ResourceNotFoundException",
        f"Requested resource not found: ResourcArn: {arn[:-5]}nope not found",
    )
    assert refusal(dynamodb.list_tags_of_resource, ResourceArn="table") == invalid(
        "Invalid TableArn: Invalid ResourceArn provided as input table"
    )


def test_time_to_live(dynamodb: Any, table: Table) -> None:
    table()

    def update(enabled: bool, name: str = "ttl") -> Any:
        spec = {"Enabled": enabled, "AttributeName": name}
        return dynamodb.update_time_to_live(TableName="table", TimeToLiveSpecification=spec)

    assert dynamodb.describe_time_to_live(TableName="table")["TimeToLiveDescription"] == {
        "TimeToLiveStatus": "DISABLED"
    }
    assert refusal(update, False) == invalid("TimeToLive is already disabled")
    assert update(True)["TimeToLiveSpecification"] == {"Enabled": True, "AttributeName": "ttl"}
    assert dynamodb.describe_time_to_live(TableName="table")["TimeToLiveDescription"] == {
        "TimeToLiveStatus": "ENABLED",
        "AttributeName": "ttl",
    }
    assert refusal(update, True) == invalid("TimeToLive is already enabled")
    assert refusal(update, True, "other") == invalid(
        "TimeToLive is active on a different AttributeName: current AttributeName is ttl"
    )
    update(False)


def test_what_the_service_says_of_itself(dynamodb: Any, aws: Any, table: Table) -> None:
    table()
    assert dynamodb.describe_limits()["TableMaxReadCapacityUnits"] == 40000
    (endpoint,) = dynamodb.describe_endpoints()["Endpoints"]
    assert endpoint == {"Address": aws.endpoint.removeprefix("http://"), "CachePeriodInMinutes": 1440}
    backups = dynamodb.describe_continuous_backups(TableName="table")["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "DISABLED"
    assert refusal(dynamodb.describe_continuous_backups, TableName="nope") == (
        "TableNotFoundException",
        "Table not found: nope",
    )
