"""Which key a table is encrypted with: AWS's own, or the one that AWS manages; customers' keys are not found."""

from __future__ import annotations

from typing import Any

import pytest
from dynamodb_cases import Table, definition, invalid_values, refusal
from replica_cases import World

MANAGED = {"Enabled": True}
KEY_ID = "1234abcd-12ab-34cd-56ef-1234567890ab"


def shown(dynamodb: Any, name: str = "table") -> Any:
    return dynamodb.describe_table(TableName=name)["Table"].get("SSEDescription")


def test_the_key_that_aws_manages(dynamodb: Any, table: Table) -> None:
    made = dynamodb.create_table(TableName="table", **definition("id:S", SSESpecification=MANAGED))["TableDescription"]
    description = made["SSEDescription"]
    assert (description["Status"], description["SSEType"]) == ("ENABLED", "KMS")
    account = made["TableArn"].split(":")[4]
    assert description["KMSMasterKeyArn"].startswith(f"arn:aws:kms:us-east-1:{account}:key/")
    assert shown(dynamodb) == description
    # It is the account's: every table that has it has the same, however it is named.
    for number, key in enumerate(("alias/aws/dynamodb", description["KMSMasterKeyArn"])):
        given = {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key}
        table(name=f"other{number}", SSESpecification=given)
        assert shown(dynamodb, f"other{number}") == description
    table(name="own", SSESpecification={"Enabled": False})
    assert shown(dynamodb, "own") is None


def test_changes(dynamodb: Any, table: Table) -> None:
    table()
    update = dynamodb.update_table

    def change(enabled: bool) -> Any:
        return update(TableName="table", SSESpecification={"Enabled": enabled})["TableDescription"]["SSEDescription"]

    assert refusal(change, False) == invalid_values("Table is already encrypted by default")
    assert change(True) == {"Status": "UPDATING"}
    key = shown(dynamodb)
    assert key["Status"] == "ENABLED"
    assert refusal(change, True) == invalid_values("Table is already encrypted by given KMSMasterKeyId")
    # What says nothing of it leaves it as it is.
    other = update(TableName="table", DeletionProtectionEnabled=False)["TableDescription"]
    assert other["SSEDescription"] == key == shown(dynamodb)
    assert change(False) == {**key, "Status": "UPDATING"}
    assert shown(dynamodb) is None


def test_changes_a_day(world: World) -> None:
    client = world.client("us-east-1")
    client.create_table(TableName="keys", **definition("id:S"))
    for number in range(4):
        client.update_table(TableName="keys", SSESpecification={"Enabled": number % 2 == 0})
    code, message = refusal(client.update_table, TableName="keys", SSESpecification=MANAGED)
    assert code == "LimitExceededException"
    assert message.startswith("Subscriber limit exceeded: Encryption mode changes are limited in the 24h window ending")
    assert message.endswith("at most once every 21600 seconds. Number of updates today: 4")
    world.server.advance(21_600)
    client.update_table(TableName="keys", SSESpecification=MANAGED)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"Enabled": True, "SSEType": "AES256"}, "The only valid SSEType is KMS"),
        ({"Enabled": True, "KMSMasterKeyId": KEY_ID}, "SSEType KMS is required if KMSMasterKeyId is specified"),
        ({"KMSMasterKeyId": KEY_ID}, "KMSMasterKeyId can only be specified if SSE is enabled"),
    ],
)
def test_contradictions(dynamodb: Any, given: dict[str, Any], message: str) -> None:
    members = definition("id:S", SSESpecification=given)
    assert refusal(dynamodb.create_table, TableName="table", **members) == invalid_values(message)
    assert dynamodb.list_tables()["TableNames"] == []


def test_keys_that_are_not_there(dynamodb: Any, table: Table) -> None:
    account = dynamodb.describe_table(TableName=table())["Table"]["TableArn"].split(":")[4]
    start = f"arn:aws:kms:us-east-1:{account}:"
    for key, reason in (
        (KEY_ID, f"Key '{start}key/{KEY_ID}' does not exist"),
        (f"{start}key/{KEY_ID}", f"Key '{start}key/{KEY_ID}' does not exist"),
        ("alias/mine", f"Alias {start}alias/mine is not found."),
        ("mine", "Invalid keyId 'mine'"),
    ):
        given = {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key}
        wrong = (
            "ValidationException",
            f"KMS validation error: com.amazonaws.services.kms.model.NotFoundException: {reason} "
            "(Service: AWSKMS; Status Code: 400; Error Code: NotFoundException)",
        )
        assert refusal(dynamodb.create_table, TableName="new", **definition("id:S", SSESpecification=given)) == wrong
        assert refusal(dynamodb.update_table, TableName="table", SSESpecification=given) == wrong
    create = {"Create": {"RegionName": "us-west-2", "KMSMasterKeyId": KEY_ID}}
    code, message = refusal(dynamodb.update_table, TableName="table", ReplicaUpdates=[create])
    assert (code, f"arn:aws:kms:us-west-2:{account}:key/{KEY_ID}" in message) == ("ValidationException", True)


def test_replicas_have_the_key_of_their_region(dynamodb: Any, table: Table, aws: Any) -> None:
    table(SSESpecification=MANAGED)
    dynamodb.update_table(TableName="table", ReplicaUpdates=[{"Create": {"RegionName": "us-west-2"}}])
    there = aws.client("dynamodb", region="us-west-2")
    key = shown(there)["KMSMasterKeyArn"]
    assert key.startswith("arn:aws:kms:us-west-2:")
    replica = dynamodb.describe_table(TableName="table")["Table"]["Replicas"][0]
    assert (replica["RegionName"], replica["KMSMasterKeyId"]) == ("us-west-2", key)
    dynamodb.update_table(TableName="table", SSESpecification={"Enabled": False})
    assert shown(there) is None


def test_backups_and_what_is_restored(dynamodb: Any, table: Table) -> None:
    table(SSESpecification=MANAGED)
    backup = dynamodb.create_backup(TableName="table", BackupName="backup")["BackupDetails"]["BackupArn"]
    features = dynamodb.describe_backup(BackupArn=backup)["BackupDescription"]["SourceTableFeatureDetails"]
    assert features["SSEDescription"] == shown(dynamodb)
    dynamodb.restore_table_from_backup(TargetTableName="same", BackupArn=backup)
    assert shown(dynamodb, "same") == shown(dynamodb)
    own = {"Enabled": False}
    dynamodb.restore_table_from_backup(TargetTableName="own", BackupArn=backup, SSESpecificationOverride=own)
    assert shown(dynamodb, "own") is None
