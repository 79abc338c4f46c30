"""Global tables: replicas in other regions, what they have alike and of their own, what is written to several."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from dynamodb_cases import definition, index, invalid, invalid_values, refusal
from replica_cases import EAST, EUROPE, NAME, WEST, World, contents, delete, described, put, records

# ------------------------------------------------------------------------------------------------------------- replicas


def test_a_replica_comes_and_both_are_written_to(world: World) -> None:
    world.create()
    put(world.east, "before", "1")
    answer = world.add(WEST)
    assert answer["TableStatus"] == "UPDATING"
    table = described(world.east)
    assert (table["TableStatus"], table["GlobalTableVersion"]) == ("ACTIVE", "2019.11.21")
    assert [(each["RegionName"], each["ReplicaStatus"]) for each in table["Replicas"]] == [(WEST, "ACTIVE")]
    # A stream goes with it.
    assert table["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}
    there = described(world.west)
    assert [each["RegionName"] for each in there["Replicas"]] == [EAST]
    assert there["TableArn"].startswith(f"arn:aws:dynamodb:{WEST}:")
    assert there["TableId"] != table["TableId"]
    assert there["StreamSpecification"] == table["StreamSpecification"]
    world.west.get_waiter("table_exists").wait(TableName=NAME)
    assert contents(world.west) == {"before": "1"}
    put(world.east, "east", "1")
    put(world.west, "west", "1")
    delete(world.west, "before")
    assert contents(world.east) == {"before": "1", "east": "1"}
    assert contents(world.west) == {"west": "1"}
    world.settle()
    assert contents(world.east) == contents(world.west) == {"east": "1", "west": "1"}
    assert described(world.west)["ItemCount"] == 2


def test_changes_take_as_long_as_was_set(world: World) -> None:
    world.create()
    world.add(WEST)
    put(world.east, "a")
    world.settle(0.5)
    assert contents(world.west) == {}
    world.settle(0.6)
    assert contents(world.west) == {"a": ""}


def test_the_last_writer_wins(world: World) -> None:
    world.create()
    world.add(WEST)
    for key in ("put", "deleted", "kept"):
        put(world.east, key, "old")
    world.settle()
    put(world.east, "put", "first")
    put(world.west, "deleted", "first")
    delete(world.east, "kept")
    world.settle(0.2)
    put(world.west, "put", "second")
    delete(world.east, "deleted")
    put(world.west, "kept", "second")
    world.settle()
    assert contents(world.east) == contents(world.west) == {"put": "second", "kept": "second"}


def test_streams_tell_each_change_once(world: World) -> None:
    world.create()
    world.add(WEST)
    put(world.east, "a", "1")
    world.settle()
    put(world.west, "a", "2")
    put(world.west, "a", "2")
    world.settle(60)
    for region in (EAST, WEST):
        found = [(each["eventName"], each["dynamodb"]["NewImage"]["v"]["S"]) for each in records(world, region)]
        assert found == [("INSERT", "1"), ("MODIFY", "2")]
        # What keeps replicas together is not to be seen.
        assert all(set(each["dynamodb"]["NewImage"]) == {"id", "v"} for each in records(world, region))


def test_a_third_replica_gets_what_the_first_two_have_not_told_each_other(world: World) -> None:
    world.create()
    world.add(WEST)
    put(world.west, "west", "1")
    put(world.east, "east", "1")
    world.add(EUROPE)
    assert contents(world.europe) == {"east": "1"}
    put(world.europe, "europe", "1")
    world.settle()
    whole = {"west": "1", "east": "1", "europe": "1"}
    assert contents(world.east) == contents(world.west) == contents(world.europe) == whole
    regions = {client: {each["RegionName"] for each in described(client)["Replicas"]} for client in (world.west,)}
    assert regions[world.west] == {EAST, EUROPE}


def test_a_large_table_is_filled_while_it_is_written_to(world: World) -> None:
    world.create(**{"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"}})
    for start in range(0, 1000, 25):
        items = [{"id": {"S": f"i{at}"}, "v": {"S": "old"}} for at in range(start, start + 25)]
        requests = [{"PutRequest": {"Item": item}} for item in items]
        world.east.batch_write_item(RequestItems={NAME: requests})
    world.add(WEST)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda at: put(world.east, f"i{at}", "new"), range(0, 1000, 50)))
        list(pool.map(lambda at: delete(world.east, f"i{at}"), range(25, 1000, 50)))
    world.settle()
    replica = described(world.east)["Replicas"][0]
    assert replica["ReplicaStatus"] == "ACTIVE"
    left = contents(world.west)
    assert left == contents(world.east)
    assert len(left) == 980
    assert sum(value == "new" for value in left.values()) == 20
    # Its stream has only what was written since.
    written = {f"i{at}" for at in range(0, 1000, 25)}
    assert {each["dynamodb"]["Keys"]["id"]["S"] for each in records(world, WEST)} <= written


def test_a_replica_is_deleted(world: World) -> None:
    world.create()
    world.add(WEST)
    world.add(EUROPE)
    put(world.west, "last", "1")
    world.east.update_table(TableName=NAME, ReplicaUpdates=[{"Delete": {"RegionName": WEST}}])
    # Nothing that was written there is lost.
    assert contents(world.east) == contents(world.europe) == {"last": "1"}
    assert refusal(world.west.describe_table, TableName=NAME)[0] == "ResourceNotFoundException"
    assert [each["RegionName"] for each in described(world.east)["Replicas"]] == [EUROPE]
    # A replica may be deleted as a table, too; the one that others were made from stays for a day.
    assert refusal(world.east.delete_table, TableName=NAME) == invalid(
        "Replica cannot be deleted because it has acted as a source region for new replica(s) being added to the "
        "table in the last 24 hours."
    )
    world.europe.delete_table(TableName=NAME)
    table = described(world.east)
    assert "Replicas" not in table
    assert "GlobalTableVersion" not in table
    put(world.east, "alone", "1")
    # It may get replicas again, and be deleted when it has none.
    world.add(WEST)
    assert contents(world.west) == {"last": "1", "alone": "1"}
    delete(world.west, "last")
    world.settle()
    assert contents(world.east) == {"alone": "1"}
    world.west.delete_table(TableName=NAME)
    world.east.delete_table(TableName=NAME)


def test_a_protected_replica_stays(world: World) -> None:
    world.create()
    world.add(WEST)
    world.west.update_table(TableName=NAME, DeletionProtectionEnabled=True)
    removal = {"TableName": NAME, "ReplicaUpdates": [{"Delete": {"RegionName": WEST}}]}
    protected = invalid(
        "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection first."
    )
    assert refusal(world.east.update_table, **removal) == protected
    assert refusal(world.west.delete_table, TableName=NAME) == protected
    world.west.update_table(TableName=NAME, DeletionProtectionEnabled=False)
    world.east.update_table(**removal)
    assert "Replicas" not in described(world.east)


def test_a_replica_stays_as_a_table_of_its_own(world: World) -> None:
    world.create("id:S | v:S", GlobalSecondaryIndexes=[index("idx", "v")])
    world.add(WEST)
    world.add(EUROPE)
    ttl = {"Enabled": True, "AttributeName": "expires"}
    world.east.update_time_to_live(TableName=NAME, TimeToLiveSpecification=ttl)
    put(world.west, "from-west", "1")
    put(world.east, "from-east", "1")
    disassociate = {"RegionName": WEST, "DisassociationMode": "WAIT_FOR_REPLICATION"}

    def update(client: Any, *more: dict[str, Any], **members: Any) -> Any:
        updates = [{"Disassociate": disassociate}, *more]
        return client.update_table(TableName=NAME, ReplicaUpdates=updates, **members)["TableDescription"]

    assert described(world.west)["DisassociationProtectionEnabled"] is True
    code, message = refusal(update, world.west)
    assert (code, "protected against disassociation" in message) == ("ValidationException", True)
    unprotect = {"TableName": NAME, "DisassociationProtectionEnabled": False}
    assert refusal(world.west.update_table, **unprotect, TableClass="STANDARD")[0] == "ValidationException"
    world.west.update_table(**unprotect)
    assert described(world.west)["DisassociationProtectionEnabled"] is False
    assert described(world.east)["DisassociationProtectionEnabled"] is True
    assert refusal(update, world.east)[0] == "ValidationException"
    assert refusal(update, world.west, {"Delete": {"RegionName": EAST}})[0] == "ValidationException"
    assert refusal(update, world.west, DeletionProtectionEnabled=True)[0] == "ValidationException"
    arn = described(world.west)["TableArn"]
    assert update(world.west)["TableStatus"] == "UPDATING"
    alone = described(world.west)
    assert (alone["TableStatus"], alone["TableArn"]) == ("ACTIVE", arn)
    assert not alone.keys() & {"Replicas", "GlobalTableVersion", "DisassociationProtectionEnabled"}
    assert [each["RegionName"] for each in described(world.east)["Replicas"]] == [EUROPE]
    # What was pending either way is there; from now on each goes its own way.
    assert contents(world.west) == contents(world.east) == {"from-west": "1", "from-east": "1"}
    put(world.west, "from-west", "2")
    put(world.east, "later", "1")
    world.settle()
    assert contents(world.west) == {"from-west": "2", "from-east": "1"}
    assert contents(world.europe) == contents(world.east) == {"from-west": "1", "from-east": "1", "later": "1"}
    # It has kept its index, its stream, its time to live.
    assert contents(world.west, IndexName="idx") == contents(world.west)
    assert len(records(world, WEST)) == 3
    status = world.west.describe_time_to_live(TableName=NAME)["TimeToLiveDescription"]["TimeToLiveStatus"]
    assert status == "ENABLED"
    # With the last other one both are on their own.
    world.europe.update_table(**unprotect)
    disassociate["RegionName"] = EUROPE
    update(world.europe)
    for client in (world.east, world.europe):
        assert "Replicas" not in described(client)
    delete(world.east, "later")
    world.settle()
    assert "later" in contents(world.europe)
    assert refusal(update, world.europe)[0] == "ValidationException"
    assert refusal(world.europe.update_table, **unprotect)[0] == "ValidationException"


def test_a_replica_with_much_to_hand_on_is_disassociated_while_it_is_written_to(world: World) -> None:
    world.create()
    world.add(WEST)
    world.west.update_table(TableName=NAME, DisassociationProtectionEnabled=False)
    for first in range(0, 250, 25):
        puts = [{"PutRequest": {"Item": {"id": {"S": f"i{n}"}, "v": {"S": "1"}}}} for n in range(first, first + 25)]
        world.west.batch_write_item(RequestItems={NAME: puts})
    update = {"Disassociate": {"RegionName": WEST, "DisassociationMode": "WAIT_FOR_REPLICATION"}}
    world.west.update_table(TableName=NAME, ReplicaUpdates=[update])
    put(world.west, "meanwhile", "1")
    world.settle()
    assert "Replicas" not in described(world.west)
    assert described(world.west)["TableStatus"] == described(world.east)["TableStatus"] == "ACTIVE"
    here, there = contents(world.west), contents(world.east)
    assert len(here) == 251
    assert here.keys() - there.keys() <= {"meanwhile"}


def test_wrong_replica_updates(world: World) -> None:
    world.create()

    def wrong(*updates: dict[str, Any]) -> tuple[str, str]:
        return refusal(world.east.update_table, TableName=NAME, ReplicaUpdates=list(updates))

    local = (
        "Cannot add, delete, or update the local region through ReplicaUpdates. Use CreateTable, DeleteTable, or "
        "UpdateTable as required."
    )
    missing = "Replica specified in the Replica Update or Replica Delete action of the request was not found."
    taken = (
        "Failed to create a the new replica of table with name: 'table' because one or more replicas already existed "
        "as tables."
    )
    west = {"RegionName": WEST}
    assert wrong({"Create": {"RegionName": EAST}}) == invalid(local)
    assert wrong({"Delete": west}) == wrong({"Update": west}) == invalid(missing)
    assert wrong({"Create": {"RegionName": "nowhere"}})[0] == "ValidationException"
    assert wrong({"Create": west}, {"Create": {"RegionName": EUROPE}})[0] == "ValidationException"
    assert wrong({"Create": {**west, "ProvisionedThroughputOverride": {"ReadCapacityUnits": 5}}}) == invalid_values(
        "ProvisionedThroughputOverride cannot be specified when BillingMode is PAY_PER_REQUEST"
    )
    assert wrong({"Create": {**west, "GlobalSecondaryIndexes": [{"IndexName": "none"}]}})[0] == "ValidationException"
    assert refusal(world.west.describe_table, TableName=NAME)[0] == "ResourceNotFoundException"
    assert "Replicas" not in described(world.east)
    world.add(WEST)
    assert wrong({"Create": west}) == invalid(taken)
    assert wrong({"Create": {"RegionName": EAST}}) == invalid(local)
    off = {"StreamSpecification": {"StreamEnabled": False}}
    assert refusal(world.east.update_table, TableName=NAME, **off)[0] == "ValidationException"
    world.europe.create_table(TableName=NAME, **definition("id:S"))
    assert wrong({"Create": {"RegionName": EUROPE}}) == invalid(taken)


def test_a_stream_of_another_view_is_refused(world: World) -> None:
    world.create(StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"})
    code, _ = refusal(world.add, WEST)
    assert code == "ValidationException"


# ------------------------------------------------------------------------------------------------------------- settings


def test_what_replicas_have_alike(world: World) -> None:
    world.create("id:S | v:S", GlobalSecondaryIndexes=[index("first", "v")])
    for at in range(3):
        put(world.east, f"i{at}", str(at))
    world.add(WEST, TableClassOverride="STANDARD_INFREQUENT_ACCESS")
    found = world.west.query(
        TableName=NAME,
        IndexName="first",
        KeyConditionExpression="v = :v",
        ExpressionAttributeValues={":v": {"S": "1"}},
    )
    assert [item["id"]["S"] for item in found["Items"]] == ["i1"]
    # An index made in one region is made, and filled, in all.
    world.west.update_table(
        TableName=NAME,
        AttributeDefinitions=[{"AttributeName": "v", "AttributeType": "S"}],
        GlobalSecondaryIndexUpdates=[{"Create": index("second", "v", kind="KEYS_ONLY")}],
    )
    for client in (world.east, world.west):
        names = {each["IndexName"]: each["IndexStatus"] for each in described(client)["GlobalSecondaryIndexes"]}
        assert names == {"first": "ACTIVE", "second": "ACTIVE"}
        assert len(client.scan(TableName=NAME, IndexName="second")["Items"]) == 3
    world.east.update_table(TableName=NAME, GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "first"}}])
    assert [each["IndexName"] for each in described(world.west)["GlobalSecondaryIndexes"]] == ["second"]
    put(world.east, "later", "1")
    world.settle()
    assert len(world.west.scan(TableName=NAME, IndexName="second")["Items"]) == 4
    throughput = {"MaxReadRequestUnits": 50, "MaxWriteRequestUnits": 60}
    world.west.update_table(TableName=NAME, OnDemandThroughput=throughput)
    assert described(world.east)["OnDemandThroughput"] == throughput
    # Each is protected, tagged and recovered for itself, and keeps what is its own.
    world.east.update_table(TableName=NAME, DeletionProtectionEnabled=True)
    assert described(world.west)["DeletionProtectionEnabled"] is False
    assert described(world.west)["TableClassSummary"]["TableClass"] == "STANDARD_INFREQUENT_ACCESS"
    assert "TableClassSummary" not in described(world.east)
    [replica] = described(world.east)["Replicas"]
    assert replica["ReplicaTableClassSummary"] == {"TableClass": "STANDARD_INFREQUENT_ACCESS"}


def test_overrides(world: World) -> None:
    units = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6}
    world.create(
        "id:S | v:S",
        BillingMode="PROVISIONED",
        ProvisionedThroughput=units,
        GlobalSecondaryIndexes=[{**index("idx", "v"), "ProvisionedThroughput": units}],
    )
    override = {"ProvisionedThroughputOverride": {"ReadCapacityUnits": 20}}
    assert refusal(world.add, WEST) == invalid("Table write capacity should either be Pay-Per-Request or AutoScaled.")
    scale(world)
    world.add(WEST, **override, GlobalSecondaryIndexes=[{"IndexName": "idx", **override}])

    def capacity(client: Any) -> tuple[int, int, int, int]:
        table = described(client)
        own, of_index = (each["ProvisionedThroughput"] for each in (table, table["GlobalSecondaryIndexes"][0]))
        return (
            own["ReadCapacityUnits"],
            own["WriteCapacityUnits"],
            of_index["ReadCapacityUnits"],
            of_index["WriteCapacityUnits"],
        )

    assert capacity(world.east) == (5, 6, 5, 6)
    assert capacity(world.west) == (20, 6, 20, 6)
    [replica] = described(world.east)["Replicas"]
    assert replica["ProvisionedThroughputOverride"] == {"ReadCapacityUnits": 20}
    assert replica["GlobalSecondaryIndexes"] == [{"IndexName": "idx", **override}]
    world.east.update_table(TableName=NAME, ProvisionedThroughput={"ReadCapacityUnits": 7, "WriteCapacityUnits": 8})
    assert capacity(world.west) == (20, 8, 20, 6)
    update = {"Update": {"RegionName": WEST, "ProvisionedThroughputOverride": {"ReadCapacityUnits": 30}}}
    world.east.update_table(TableName=NAME, ReplicaUpdates=[update])
    assert capacity(world.west) == (30, 8, 20, 6)
    world.settle()
    # One that is made from there begins with what that one has.
    world.west.update_table(TableName=NAME, ReplicaUpdates=[{"Create": {"RegionName": EUROPE}}])
    assert capacity(world.europe) == (30, 8, 20, 6)
    assert capacity(world.east) == (7, 8, 5, 6)


def scale(world: World) -> None:
    """Have the write capacity follow the load, within limits that the table lies in."""
    target = {
        "ServiceNamespace": "dynamodb",
        "ResourceId": f"table/{NAME}",
        "ScalableDimension": "dynamodb:table:WriteCapacityUnits",
    }
    world.client(EAST, "application-autoscaling").register_scalable_target(**target, MinCapacity=2, MaxCapacity=50)


def test_auto_scaling_of_replicas(world: World) -> None:
    units = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6}
    world.create(
        "id:S | v:S",
        BillingMode="PROVISIONED",
        ProvisionedThroughput=units,
        GlobalSecondaryIndexes=[{**index("idx", "v"), "ProvisionedThroughput": units}],
    )
    scale(world)
    tracking = {"TargetTrackingScalingPolicyConfiguration": {"TargetValue": 60.0}}
    write = {"MinimumUnits": 3, "MaximumUnits": 40, "ScalingPolicyUpdate": tracking}
    world.add(WEST)
    world.settle()

    def shown(found: dict[str, Any]) -> dict[str, Any]:
        return {each["RegionName"]: each for each in found["TableAutoScalingDescription"]["Replicas"]}

    # What scales writes comes along.
    found = shown(world.east.describe_table_replica_auto_scaling(TableName=NAME))
    assert set(found) == {EAST, WEST}
    for replica in found.values():
        settings = replica["ReplicaProvisionedWriteCapacityAutoScalingSettings"]
        assert (settings["MinimumUnits"], settings["MaximumUnits"], settings["ScalingPolicies"]) == (2, 50, [])
        assert replica["ReplicaProvisionedReadCapacityAutoScalingSettings"] == {"AutoScalingDisabled": True}
        assert replica["ReplicaStatus"] == "ACTIVE"
    read = {
        "RegionName": WEST,
        "ReplicaProvisionedReadCapacityAutoScalingUpdate": {"MinimumUnits": 5, "MaximumUnits": 9},
    }
    found = shown(
        world.east.update_table_replica_auto_scaling(
            TableName=NAME,
            ProvisionedWriteCapacityAutoScalingUpdate=write,
            GlobalSecondaryIndexUpdates=[{"IndexName": "idx", "ProvisionedWriteCapacityAutoScalingUpdate": write}],
            ReplicaUpdates=[read],
        )
    )
    for replica in found.values():
        of_index = replica["GlobalSecondaryIndexes"][0]["ProvisionedWriteCapacityAutoScalingSettings"]
        for settings in (replica["ReplicaProvisionedWriteCapacityAutoScalingSettings"], of_index):
            assert (settings["MinimumUnits"], settings["MaximumUnits"]) == (3, 40)
            (policy,) = settings["ScalingPolicies"]
            assert policy["TargetTrackingScalingPolicyConfiguration"]["TargetValue"] == 60.0
    reads = {region: each["ReplicaProvisionedReadCapacityAutoScalingSettings"] for region, each in found.items()}
    assert reads[EAST] == {"AutoScalingDisabled": True}
    assert (reads[WEST]["MinimumUnits"], reads[WEST]["MaximumUnits"]) == (5, 9)
    # What is scaled in one region stays there.
    world.west.update_table(TableName=NAME, ProvisionedThroughput={"ReadCapacityUnits": 8, "WriteCapacityUnits": 7})
    own = {client: described(client)["ProvisionedThroughput"] for client in (world.east, world.west)}
    assert {client: each["ReadCapacityUnits"] for client, each in own.items()} == {world.east: 5, world.west: 8}
    assert {each["WriteCapacityUnits"] for each in own.values()} == {7}
    off = {"ProvisionedWriteCapacityAutoScalingUpdate": {"AutoScalingDisabled": True}}
    found = shown(world.west.update_table_replica_auto_scaling(TableName=NAME, **off))
    for replica in found.values():
        assert replica["ReplicaProvisionedWriteCapacityAutoScalingSettings"] == {"AutoScalingDisabled": True}
    call = world.east.update_table_replica_auto_scaling
    assert refusal(call, TableName=NAME)[0] == "ValidationException"
    assert refusal(call, TableName=NAME, ReplicaUpdates=[{**read, "RegionName": EUROPE}])[0] == "ValidationException"
    missing = [{"IndexName": "none", "ProvisionedWriteCapacityAutoScalingUpdate": write}]
    assert refusal(call, TableName=NAME, GlobalSecondaryIndexUpdates=missing)[0] == "ResourceNotFoundException"
    assert refusal(call, TableName="nowhere", **off)[0] == "ResourceNotFoundException"


def test_items_expire_once(world: World) -> None:
    world.create()
    world.add(WEST)
    world.west.update_time_to_live(
        TableName=NAME, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
    )
    for client in (world.east, world.west):
        found = client.describe_time_to_live(TableName=NAME)["TimeToLiveDescription"]
        assert found == {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}
    expires = int(described(world.east)["CreationDateTime"].timestamp()) + 3600
    put(world.east, "east", expires={"N": str(expires)})
    put(world.west, "west", expires={"N": str(expires)})
    put(world.west, "stays")
    world.settle(2 * 3600)
    assert contents(world.east) == contents(world.west) == {"stays": ""}
    removed = {
        region: [each for each in records(world, region) if each["eventName"] == "REMOVE"] for region in (EAST, WEST)
    }
    assert {region: len(each) for region, each in removed.items()} == {EAST: 2, WEST: 2}
    # Only where it happened does the stream say that it was the service.
    assert sum("userIdentity" in each for found in removed.values() for each in found) == 2
    assert len({region for region, found in removed.items() for each in found if "userIdentity" in each}) == 1


def test_the_role_of_replication(world: World) -> None:
    world.create()
    world.add(WEST)
    world.add(EUROPE)
    world.settle()
    role = world.client(EAST, "iam").get_role(RoleName="AWSServiceRoleForDynamoDBReplication")["Role"]
    assert role["Path"] == "/aws-service-role/replication.dynamodb.amazonaws.com/"


# -------------------------------------------------------------------------------------------------- convergence


@pytest.mark.parametrize("seed", range(4))
def test_replicas_become_equal(world: World, seed: int) -> None:
    """Whatever is written where, in whatever order it arrives, in the end all have the same."""
    chance = random.Random(seed)
    world.create("id:S | v:S", GlobalSecondaryIndexes=[index("idx", "v")])
    clients = [world.east]
    keys = [f"k{at}" for at in range(6)]

    def write(client: Any, at: int) -> None:
        key, kind = keys[at % len(keys)], at % 7
        if kind < 3:
            put(client, key, f"{at}")
        elif kind < 5:
            delete(client, key)
        else:
            client.update_item(
                TableName=NAME,
                Key={"id": {"S": key}},
                UpdateExpression="SET v = :v",
                ExpressionAttributeValues={":v": {"S": f"u{at}"}},
            )

    with ThreadPoolExecutor(6) as pool:
        for round_ in range(12):
            if round_ in (2, 5):
                region = WEST if round_ == 2 else EUROPE
                world.add(region)
                clients.append(world.client(region))
            if round_ == 9 and seed % 2:
                world.east.update_table(TableName=NAME, ReplicaUpdates=[{"Delete": {"RegionName": WEST}}])
                del clients[1]
            list(pool.map(lambda at: write(chance.choice(clients), at), [chance.randrange(10**6) for _ in range(12)]))
            if chance.random() < 0.6:
                world.settle(chance.choice((0.1, 0.4, 1.5)))
    world.settle()
    first, *others = [contents(client) for client in clients]
    assert all(other == first for other in others)
    for client in clients:
        assert contents(client, IndexName="idx") == first
        assert described(client)["ItemCount"] == len(first)


# -------------------------------------------------------------------------------------------------------- permissions


def test_regions_ask_for_permissions(world: World) -> None:
    world.create()
    iam = world.client(EAST, "iam")
    iam.create_user(UserName="u")
    keys = iam.create_access_key(UserName="u")["AccessKey"]
    as_user = world.account.client(
        "dynamodb",
        region=EAST,
        credentials={"AccessKeyId": keys["AccessKeyId"], "SecretAccessKey": keys["SecretAccessKey"]},
    )

    def allow(*statements: tuple[str, str]) -> None:
        document = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": action, "Resource": arn} for action, arn in statements],
        }
        iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=json.dumps(document))

    here, there = (f"arn:aws:dynamodb:{region}:{world.account.account}:table/{NAME}" for region in (EAST, WEST))

    def update() -> None:
        as_user.update_table(TableName=NAME, ReplicaUpdates=[{"Create": {"RegionName": WEST}}])

    allow(("dynamodb:UpdateTable", here))
    code, message = refusal(update)
    assert code == "AccessDeniedException"
    assert "dynamodb:CreateTable on resource: " + there in message
    allow(("dynamodb:UpdateTable", here), ("dynamodb:*", there))
    update()
    ttl = {"Enabled": True, "AttributeName": "x"}
    allow(("dynamodb:UpdateTimeToLive", here))
    code, _ = refusal(as_user.update_time_to_live, TableName=NAME, TimeToLiveSpecification=ttl)
    assert code == "AccessDeniedException"
    allow(("dynamodb:UpdateTimeToLive", here), ("dynamodb:UpdateTimeToLive", there))
    as_user.update_time_to_live(TableName=NAME, TimeToLiveSpecification=ttl)
    allow(("dynamodb:UpdateTable", here))
    alone = {"Disassociate": {"RegionName": EAST, "DisassociationMode": "WAIT_FOR_REPLICATION"}}
    code, message = refusal(as_user.update_table, TableName=NAME, ReplicaUpdates=[alone])
    assert code == "AccessDeniedException"
    assert "dynamodb:DisassociateTableReplica on resource: " + here in message
