"""Backups, point-in-time recovery, restored tables."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from dynamodb_cases import Table, definition, index, invalid_values, refusal


def fill(dynamodb: Any, name: str, numbers: range) -> None:
    for start in range(numbers.start, numbers.stop, 25):
        part = range(start, min(start + 25, numbers.stop))
        puts = [{"PutRequest": {"Item": {"id": {"S": f"i{n}"}, "g": {"N": str(n % 3)}}}} for n in part]
        dynamodb.batch_write_item(RequestItems={name: puts})


def names(dynamodb: Any, **members: Any) -> set[str]:
    return {item["id"]["S"] for page in dynamodb.get_paginator("scan").paginate(**members) for item in page["Items"]}


def expected(count: int) -> set[str]:
    return {f"i{n}" for n in range(count)}


def available(dynamodb: Any, arn: str) -> None:
    """Ask until a backup is there."""
    while dynamodb.describe_backup(BackupArn=arn)["BackupDescription"]["BackupDetails"]["BackupStatus"] != "AVAILABLE":
        pass


@pytest.mark.parametrize("count", [0, 5, 450])
def test_a_backup_keeps_the_table_as_it_was(dynamodb: Any, table: Table, count: int) -> None:
    table("id:S|g:N", GlobalSecondaryIndexes=[index("by-g", "g")])
    fill(dynamodb, "table", range(count))
    details = dynamodb.create_backup(TableName="table", BackupName="saved")["BackupDetails"]
    arn = details["BackupArn"]
    assert (details["BackupStatus"], details["BackupType"], details["BackupName"]) == ("CREATING", "USER", "saved")
    # What is written and deleted from now on is not in it, also while it is being made.
    fill(dynamodb, "table", range(count, count + 10))
    if count:
        dynamodb.delete_item(TableName="table", Key={"id": {"S": "i0"}})
    available(dynamodb, arn)
    described = dynamodb.describe_backup(BackupArn=arn)["BackupDescription"]
    assert described["SourceTableDetails"]["ItemCount"] == count
    assert described["SourceTableFeatureDetails"]["GlobalSecondaryIndexes"][0]["IndexName"] == "by-g"
    dynamodb.delete_table(TableName="table")
    answer = dynamodb.restore_table_from_backup(TargetTableName="again", BackupArn=arn)["TableDescription"]
    assert answer["TableStatus"] == "CREATING"
    assert answer["RestoreSummary"]["RestoreInProgress"] is True
    dynamodb.get_waiter("table_exists").wait(TableName="again", WaiterConfig={"Delay": 1})
    restored = dynamodb.describe_table(TableName="again")["Table"]
    assert restored["RestoreSummary"]["SourceBackupArn"] == arn
    assert restored["RestoreSummary"]["RestoreInProgress"] is False
    assert names(dynamodb, TableName="again") == expected(count)
    assert names(dynamodb, TableName="again", IndexName="by-g") == expected(count)
    assert (restored["ItemCount"], restored["GlobalSecondaryIndexes"][0]["ItemCount"]) == (count, count)


def test_backups_are_listed_and_deleted(dynamodb: Any, table: Table) -> None:
    table()
    table(name="other")
    arns = [
        dynamodb.create_backup(TableName=name, BackupName=backup)["BackupDetails"]["BackupArn"]
        for name, backup in (("table", "one"), ("table", "two"), ("other", "three"))
    ]
    first = dynamodb.list_backups(Limit=2)
    assert len(first["BackupSummaries"]) == 2
    rest = dynamodb.list_backups(ExclusiveStartBackupArn=first["LastEvaluatedBackupArn"])
    listed = [each["BackupArn"] for each in (*first["BackupSummaries"], *rest["BackupSummaries"])]
    assert sorted(listed) == sorted(arns)
    of_table = dynamodb.list_backups(TableName="table")["BackupSummaries"]
    assert {each["BackupName"] for each in of_table} == {"one", "two"}
    gone = dynamodb.delete_backup(BackupArn=arns[0])["BackupDescription"]
    assert gone["BackupDetails"]["BackupStatus"] == "DELETED"
    missing = ("BackupNotFoundException", f"Backup not found: {arns[0]}")
    for call in (dynamodb.delete_backup, dynamodb.describe_backup):
        assert refusal(call, BackupArn=arns[0]) == missing
    assert refusal(dynamodb.restore_table_from_backup, BackupArn=arns[0], TargetTableName="again") == missing
    assert refusal(dynamodb.restore_table_from_backup, BackupArn=arns[1], TargetTableName="table") == (
        "TableAlreadyExistsException",
        "Table already exists: table",
    )
    assert refusal(dynamodb.create_backup, TableName="nowhere", BackupName="none") == (
        "TableNotFoundException",
        "Table not found: nowhere",
    )


def test_restoring_takes_other_settings(dynamodb: Any, table: Table) -> None:
    table("id:S|g:N", GlobalSecondaryIndexes=[index("by-g", "g")])
    arn = dynamodb.create_backup(TableName="table", BackupName="saved")["BackupDetails"]["BackupArn"]
    dynamodb.restore_table_from_backup(
        TargetTableName="again",
        BackupArn=arn,
        BillingModeOverride="PROVISIONED",
        ProvisionedThroughputOverride={"ReadCapacityUnits": 7, "WriteCapacityUnits": 8},
        GlobalSecondaryIndexOverride=[],
    )
    restored = dynamodb.describe_table(TableName="again")["Table"]
    assert "GlobalSecondaryIndexes" not in restored
    assert restored["AttributeDefinitions"] == [{"AttributeName": "id", "AttributeType": "S"}]
    assert restored["ProvisionedThroughput"]["ReadCapacityUnits"] == 7


def test_wrong_settings_of_restored_tables(dynamodb: Any, table: Table) -> None:
    table("id:S|g:N", GlobalSecondaryIndexes=[index("by-g", "g")])
    arn = dynamodb.create_backup(TableName="table", BackupName="saved")["BackupDetails"]["BackupArn"]
    units = {"ReadCapacityUnits": 7, "WriteCapacityUnits": 8}

    def wrong(**members: Any) -> tuple[str, str]:
        return refusal(dynamodb.restore_table_from_backup, TargetTableName="again", BackupArn=arn, **members)

    assert wrong(ProvisionedThroughputOverride=units) == invalid_values(
        "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST"
    )
    assert wrong(BillingModeOverride="PROVISIONED") == invalid_values(
        "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED"
    )
    assert wrong(
        BillingModeOverride="PROVISIONED",
        ProvisionedThroughputOverride=units,
        GlobalSecondaryIndexOverride=[index("by-g", "g")],
    ) == invalid_values("ProvisionedThroughput must be specified for index: by-g")
    for other in (index("none", "g"), index("by-g", "id"), index("by-g", "g", kind="KEYS_ONLY")):
        code, message = wrong(GlobalSecondaryIndexOverride=[other])
        assert code == "ValidationException"
        assert "must match an index of the source table" in message
    assert (
        "KMS" in wrong(SSESpecificationOverride={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": "alias/none"})[1]
    )
    assert wrong(OnDemandThroughputOverride={"MaxReadRequestUnits": 5}, BillingModeOverride="PROVISIONED")[0] == (
        "ValidationException"
    )
    assert dynamodb.list_tables()["TableNames"] == ["table"]
    dynamodb.restore_table_from_backup(
        TargetTableName="again",
        BackupArn=arn,
        BillingModeOverride="PROVISIONED",
        ProvisionedThroughputOverride=units,
        GlobalSecondaryIndexOverride=[{**index("by-g", "g"), "ProvisionedThroughput": units}],
    )
    restored = dynamodb.describe_table(TableName="again")["Table"]
    assert restored["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"]["WriteCapacityUnits"] == 8


def test_a_table_is_restored_in_another_region(aws: Any, dynamodb: Any, table: Table) -> None:
    west = aws.client("dynamodb", region="us-west-2")
    table("id:S|g:N", GlobalSecondaryIndexes=[index("by-g", "g")])
    fill(dynamodb, "table", range(250))
    arn = dynamodb.describe_table(TableName="table")["Table"]["TableArn"]
    dynamodb.update_continuous_backups(
        TableName="table", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    backup = dynamodb.create_backup(TableName="table", BackupName="saved")["BackupDetails"]["BackupArn"]
    while (
        dynamodb.describe_backup(BackupArn=backup)["BackupDescription"]["BackupDetails"]["BackupStatus"] == "CREATING"
    ):
        pass
    west.restore_table_from_backup(BackupArn=backup, TargetTableName="saved")
    west.restore_table_to_point_in_time(SourceTableArn=arn, TargetTableName="table", UseLatestRestorableTime=True)
    for name in ("saved", "table"):
        west.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
        assert names(west, TableName=name) == names(west, TableName=name, IndexName="by-g") == expected(250)
        restored = west.describe_table(TableName=name)["Table"]
        assert restored["RestoreSummary"]["SourceTableArn"] == arn
        assert restored["TableArn"].startswith("arn:aws:dynamodb:us-west-2:")
    dynamodb.delete_backup(BackupArn=backup)
    dynamodb.delete_table(TableName="table")
    assert names(west, TableName="saved") == expected(250)


def test_a_table_is_recovered_to_any_second(start_pileus: Any) -> None:
    from conftest import Account

    server = start_pileus("--clock", "virtual")
    dynamodb = Account(server.endpoint).client("dynamodb")
    dynamodb.create_table(TableName="table", **definition("id:S|g:N", GlobalSecondaryIndexes=[index("by-g", "g")]))
    fill(dynamodb, "table", range(230))
    state = dynamodb.describe_continuous_backups(TableName="table")["ContinuousBackupsDescription"]
    assert state == {
        "ContinuousBackupsStatus": "ENABLED",
        "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "DISABLED"},
    }
    assert refusal(
        dynamodb.restore_table_to_point_in_time,
        SourceTableName="table",
        TargetTableName="again",
        UseLatestRestorableTime=True,
    ) == ("PointInTimeRecoveryUnavailableException", "Point in time recovery is not enabled for table 'table'")
    enabled = dynamodb.update_continuous_backups(
        TableName="table", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
    assert (enabled["PointInTimeRecoveryStatus"], enabled["RecoveryPeriodInDays"]) == ("ENABLED", 35)

    def now() -> datetime:
        described = dynamodb.describe_continuous_backups(TableName="table")["ContinuousBackupsDescription"]
        latest: datetime = described["PointInTimeRecoveryDescription"]["LatestRestorableDateTime"]
        return datetime.fromtimestamp(int(latest.timestamp()), UTC)

    server.advance(10)
    moments = [(now(), expected(230))]
    server.advance(10)
    for number in range(30):
        dynamodb.delete_item(TableName="table", Key={"id": {"S": f"i{number}"}})
    server.advance(10)
    moments.append((now(), expected(230) - expected(30)))
    server.advance(10)
    fill(dynamodb, "table", range(0, 300))
    for number, (moment, found) in enumerate(moments):
        name = f"again-{number}"
        dynamodb.restore_table_to_point_in_time(SourceTableName="table", TargetTableName=name, RestoreDateTime=moment)
        dynamodb.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
        assert names(dynamodb, TableName=name) == found
        assert names(dynamodb, TableName=name, IndexName="by-g") == found
    assert names(dynamodb, TableName="table") == expected(300)
    assert (
        refusal(
            dynamodb.restore_table_to_point_in_time,
            SourceTableName="table",
            TargetTableName="before",
            RestoreDateTime=datetime(2020, 1, 1, tzinfo=UTC),
        )[0]
        == "InvalidRestoreTimeException"
    )
    dynamodb.update_continuous_backups(
        TableName="table",
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 1},
    )
    server.advance(2 * 86400)
    dynamodb.restore_table_to_point_in_time(
        SourceTableName="table", TargetTableName="latest", UseLatestRestorableTime=True
    )
    dynamodb.get_waiter("table_exists").wait(TableName="latest", WaiterConfig={"Delay": 1})
    assert names(dynamodb, TableName="latest") == expected(300)


@pytest.mark.parametrize("count", [5, 450])
def test_a_deleted_table_with_point_in_time_recovery_leaves_a_backup(dynamodb: Any, count: int) -> None:
    def listed(**members: Any) -> list[Any]:
        found: list[Any] = dynamodb.list_backups(**members)["BackupSummaries"]
        return found

    table = definition("id:S|g:N", GlobalSecondaryIndexes=[index("by-g", "g")])
    dynamodb.create_table(TableName="table", **table)
    dynamodb.update_continuous_backups(
        TableName="table", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    fill(dynamodb, "table", range(count))
    dynamodb.delete_table(TableName="table")
    assert listed() == []
    (left,) = listed(BackupType="SYSTEM")
    assert listed(BackupType="ALL", TableName="table") == [left]
    assert (left["BackupName"], left["BackupType"]) == ("table$DeletedTableBackup", "SYSTEM")
    assert (left["BackupExpiryDateTime"] - left["BackupCreationDateTime"]).days == 35
    # A new table of that name has nothing of it, unless it is restored from it.
    dynamodb.create_table(TableName="table", **table)
    assert names(dynamodb, TableName="table") == set()
    dynamodb.delete_table(TableName="table")
    dynamodb.restore_table_from_backup(TargetTableName="table", BackupArn=left["BackupArn"])
    while dynamodb.describe_table(TableName="table")["Table"]["TableStatus"] != "ACTIVE":
        pass
    assert names(dynamodb, TableName="table") == expected(count)
    assert names(dynamodb, TableName="table", IndexName="by-g") == expected(count)


def test_a_backup_of_a_deleted_table_can_be_deleted(dynamodb: Any) -> None:
    dynamodb.create_table(TableName="table", **definition("id:S"))
    dynamodb.update_continuous_backups(
        TableName="table", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    fill(dynamodb, "table", range(3))
    dynamodb.delete_table(TableName="table")
    (left,) = dynamodb.list_backups(BackupType="SYSTEM")["BackupSummaries"]
    dynamodb.delete_backup(BackupArn=left["BackupArn"])
    assert dynamodb.list_backups(BackupType="ALL")["BackupSummaries"] == []
