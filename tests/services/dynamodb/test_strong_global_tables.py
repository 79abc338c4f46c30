"""Global tables with strong consistency: every region sees the last write at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from dynamodb_cases import index, invalid, invalid_values, refusal
from replica_cases import EAST, EUROPE, NAME, WEST, World, contents, delete, described, put, records

from conftest import Account

OHIO = "us-east-2"


def strong(world: World, *regions: str, witness: str = "", client: Any = None, **members: Any) -> Any:
    """Call for a strongly consistent global table."""
    request: dict[str, Any] = {
        "TableName": NAME,
        "MultiRegionConsistency": "STRONG",
        "ReplicaUpdates": [{"Create": {"RegionName": region}} for region in regions],
        **members,
    }
    if witness:
        request["GlobalTableWitnessUpdates"] = [{"Create": {"RegionName": witness}}]
    return (client or world.east).update_table(**request)


def test_every_region_sees_the_last_write_at_once(world: World) -> None:
    world.create("id:S | v:S", GlobalSecondaryIndexes=[index("idx", "v")])
    strong(world, OHIO, WEST)
    ohio = world.client(OHIO)
    table = described(world.east)
    assert (table["MultiRegionConsistency"], table["TableStatus"]) == ("STRONG", "ACTIVE")
    assert {each["RegionName"]: each["ReplicaStatus"] for each in table["Replicas"]} == {OHIO: "ACTIVE", WEST: "ACTIVE"}
    # Streams are not what keeps them together: each has its own, or none.
    assert "StreamSpecification" not in table
    ohio.update_table(TableName=NAME, StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"})
    assert "StreamSpecification" not in described(world.west)
    put(world.east, "a", "1")
    put(world.west, "b", "1")
    for client in (world.east, world.west, ohio):
        assert contents(client) == contents(client, IndexName="idx") == {"a": "1", "b": "1"}
        assert described(client)["ItemCount"] == 2
    key = {"TableName": NAME, "Key": {"id": {"S": "a"}}}
    for n, client in enumerate((world.west, ohio, world.east), 1):
        client.update_item(
            **key,
            UpdateExpression="SET v = :new",
            ConditionExpression="v = :old",
            ExpressionAttributeValues={":new": {"S": str(n + 1)}, ":old": {"S": str(n)}},
        )
    assert contents(world.west)["a"] == "4"
    # Whoever comes first in any region, the others' conditions fail.
    with ThreadPoolExecutor(3) as pool:
        calls = [
            pool.submit(
                client.put_item,
                TableName=NAME,
                Item={"id": {"S": "once"}, "v": {"S": "x"}},
                ConditionExpression="attribute_not_exists(id)",
            )
            for client in (world.east, world.west, ohio)
        ]
    assert sum(call.exception() is None for call in calls) == 1
    delete(ohio, "b")
    assert set(contents(world.east)) == set(contents(world.west)) == {"a", "once"}
    assert [each["eventName"] for each in records(world, OHIO)] == ["INSERT", "INSERT"] + ["MODIFY"] * 3 + [
        "INSERT",
        "REMOVE",
    ]
    world.east.update_table(
        TableName=NAME, ReplicaUpdates=[{"Delete": {"RegionName": region}} for region in (OHIO, WEST)]
    )
    assert refusal(ohio.describe_table, TableName=NAME)[0] == "ResourceNotFoundException"
    assert "MultiRegionConsistency" not in described(world.east)
    put(world.east, "alone", "1")
    assert set(contents(world.east)) == {"a", "once", "alone"}


def test_a_witness_holds_no_items(world: World) -> None:
    world.create()
    strong(world, OHIO, witness=WEST)
    table = described(world.client(OHIO))
    assert table["GlobalTableWitnesses"] == [{"RegionName": WEST, "WitnessStatus": "ACTIVE"}]
    assert [each["RegionName"] for each in table["Replicas"]] == [EAST]
    assert refusal(world.west.describe_table, TableName=NAME)[0] == "ResourceNotFoundException"
    removal = {
        "ReplicaUpdates": [{"Delete": {"RegionName": OHIO}}],
        "GlobalTableWitnessUpdates": [{"Delete": {"RegionName": WEST}}],
    }
    assert refusal(world.east.update_table, TableName=NAME, ReplicaUpdates=removal["ReplicaUpdates"])[0] == (
        "ValidationException"
    )
    world.east.update_table(TableName=NAME, **removal)
    assert "GlobalTableWitnesses" not in described(world.east)
    world.east.delete_table(TableName=NAME)


def test_what_strong_consistency_excludes(world: World) -> None:
    world.create()
    for regions, witness in (((OHIO,), ""), ((OHIO, EUROPE), ""), ((OHIO, WEST), EUROPE), ((OHIO,), OHIO)):
        code, _ = refusal(strong, world, *regions, witness=witness)
        assert code == "ValidationException"
    assert refusal(
        world.east.update_table,
        TableName=NAME,
        ReplicaUpdates=[{"Create": {"RegionName": OHIO}}],
        GlobalTableWitnessUpdates=[{"Create": {"RegionName": WEST}}],
    ) == invalid("MultiRegionConsistency must be set as STRONG when GlobalTableWitnessUpdates parameter is present")
    put(world.east, "a")
    code, message = refusal(strong, world, OHIO, WEST)
    assert "empty table" in message
    delete(world.east, "a")
    strong(world, OHIO, WEST)
    ttl = {"Enabled": True, "AttributeName": "expires"}
    write = {"Put": {"TableName": NAME, "Item": {"id": {"S": "a"}}}}
    read = {"Get": {"TableName": NAME, "Key": {"id": {"S": "a"}}}}
    for call in (
        lambda: world.west.update_time_to_live(TableName=NAME, TimeToLiveSpecification=ttl),
        lambda: world.east.transact_write_items(TransactItems=[write]),
        lambda: world.east.transact_get_items(TransactItems=[read]),
        lambda: world.add(EUROPE),
        lambda: world.west.delete_table(TableName=NAME),
        lambda: strong(world, EUROPE, witness=WEST),
    ):
        assert refusal(call)[0] == "ValidationException"
    assert contents(world.east) == {}
    assert len(described(world.east)["Replicas"]) == 2


def test_the_older_version_is_made_no_more(aws: Account) -> None:
    client = aws.client("dynamodb")
    members = {"GlobalTableName": NAME}
    assert refusal(client.create_global_table, **members, ReplicationGroup=[{"RegionName": EAST}]) == invalid_values(
        "DynamoDB global tables version 2017.11.29 is not supported. We recommend using DynamoDB global tables version "
        "2019.11.21, instead of version 2017.11.29 (Legacy)."
    )
    missing = (
        "GlobalTableNotFoundException",
        "Global table not found: Global table with name: 'table' does not exist.",
    )
    assert refusal(client.describe_global_table, **members) == missing
    assert refusal(client.describe_global_table_settings, **members) == missing
    assert refusal(client.update_global_table, **members, ReplicaUpdates=[]) == missing
    assert refusal(client.update_global_table_settings, **members) == missing
    assert client.list_global_tables()["GlobalTables"] == []
