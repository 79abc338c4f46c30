"""AWS's own client of DAX, against a cluster's port."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import amazondax
import pytest
from dax_kit import World, key, refused


@pytest.fixture
def world(aws: Any) -> World:
    return World(aws)


@pytest.fixture
def client(world: World) -> Iterator[Any]:
    import botocore.session

    session = botocore.session.get_session()
    session.set_credentials(world.account.account, "test")
    endpoint = world.made["ClusterDiscoveryEndpoint"]
    with amazondax.AmazonDaxClient(
        session, region_name=world.account.region, endpoints=[f"{endpoint['Address']}:{endpoint['Port']}"]
    ) as made:
        yield made


def test_by_tls(aws: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import botocore.session

    world = World(aws, ClusterEndpointEncryptionType="TLS")
    made = world.dax.describe_clusters()["Clusters"][0]
    assert made["ClusterEndpointEncryptionType"] == "TLS"
    endpoint = made["ClusterDiscoveryEndpoint"]["URL"]
    assert endpoint == f"daxs://127.0.0.1:{made['ClusterDiscoveryEndpoint']['Port']}"
    world.put(world.direct, "one")
    session = botocore.session.get_session()
    session.set_credentials(aws.account, "test")

    def read() -> Any:
        with amazondax.AmazonDaxClient(session, region_name=aws.region, endpoints=[endpoint]) as client:
            return client.get_item(TableName="things", Key=key())["Item"]["v"]["S"]

    # Nobody trusts it who has not been told to.
    with pytest.raises(amazondax.DaxError.DaxClientError):
        read()
    certificate = urllib.request.urlopen(f"{aws.endpoint}/_aws/dax-clusters/front/certificate.pem").read()
    assert b"PRIVATE" not in certificate
    trusted = tmp_path / "dax.pem"
    trusted.write_bytes(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    assert read() == "one"


def item(sort: int, **attributes: Any) -> dict[str, Any]:
    return {**key(sort), **attributes}


def test_items(world: World, client: Any) -> None:
    whole = item(
        1,
        v={"S": "one"},
        n={"N": "-12.5"},
        b={"B": b"\x00\xff"},
        set={"NS": ["1"]},
        l={"L": [{"BOOL": True}, {"NULL": True}, {"M": {"x": {"S": "y"}}}]},
    )
    client.put_item(TableName="things", Item=whole)
    assert client.get_item(TableName="things", Key=key())["Item"] == whole
    assert world.direct.get_item(TableName="things", Key=key())["Item"] == whole
    part = client.get_item(TableName="things", Key=key(), ProjectionExpression="v, l[2].x")["Item"]
    assert part == {"v": {"S": "one"}, "l": {"L": [{"M": {"x": {"S": "y"}}}]}}
    changed = client.update_item(
        TableName="things",
        Key=key(),
        UpdateExpression="SET v = :v, n = n + :one REMOVE b",
        ConditionExpression="v = :old AND attribute_exists(n)",
        ExpressionAttributeValues={":v": {"S": "two"}, ":one": {"N": "1"}, ":old": {"S": "one"}},
        ReturnValues="UPDATED_NEW",
    )["Attributes"]
    assert changed == {"v": {"S": "two"}, "n": {"N": "-11.5"}}
    code, message = refused(
        client.put_item,
        TableName="things",
        Item=whole,
        ConditionExpression="attribute_not_exists(p)",
    )
    assert (code, message) == ("ConditionalCheckFailedException", "The conditional request failed")
    gone = client.delete_item(TableName="things", Key=key(), ReturnValues="ALL_OLD")["Attributes"]
    assert gone["v"] == {"S": "two"}
    assert "Item" not in client.get_item(TableName="things", Key=key())
    assert refused(client.get_item, TableName="none", Key=key())[0] == "ResourceNotFoundException"


def test_many(world: World, client: Any) -> None:
    puts = [{"PutRequest": {"Item": item(sort, v={"S": str(sort)})}} for sort in (-3, 1, 2, 250)]
    assert client.batch_write_item(RequestItems={"things": puts})["UnprocessedItems"] == {}
    query = client.query(
        TableName="things",
        KeyConditionExpression="p = :p AND s BETWEEN :low AND :high",
        ExpressionAttributeValues={":p": {"S": "a"}, ":low": {"N": "-5"}, ":high": {"N": "2"}},
    )
    assert [one["s"]["N"] for one in query["Items"]] == ["-3", "1", "2"]
    first = client.scan(TableName="things", Limit=3)
    rest = client.scan(TableName="things", ExclusiveStartKey=first["LastEvaluatedKey"])
    assert [one["v"]["S"] for one in first["Items"] + rest["Items"]] == ["-3", "1", "2", "250"]
    found = client.batch_get_item(RequestItems={"things": {"Keys": [key(1), key(250), key(9)]}})
    assert sorted(one["v"]["S"] for one in found["Responses"]["things"]) == ["1", "250"]


def test_transactions(world: World, client: Any) -> None:
    world.put(world.direct, "one")
    client.transact_write_items(
        TransactItems=[
            {"Put": {"TableName": "things", "Item": item(2, v={"S": "two"})}},
            {
                "Update": {
                    "TableName": "things",
                    "Key": key(),
                    "UpdateExpression": "SET v = :v",
                    "ExpressionAttributeValues": {":v": {"S": "new"}},
                }
            },
        ]
    )
    gets = [{"Get": {"TableName": "things", "Key": key(sort)}} for sort in (1, 2, 3)]
    found = client.transact_get_items(TransactItems=gets)["Responses"]
    assert [one.get("Item", {}).get("v") for one in found] == [{"S": "new"}, {"S": "two"}, None]
    check = {"TableName": "things", "Key": key(3), "ConditionExpression": "attribute_exists(p)"}
    code, _ = refused(client.transact_write_items, TransactItems=[{"ConditionCheck": check}])
    assert code == "TransactionCanceledException"


def test_indexes_and_what_calls_consume(world: World, client: Any) -> None:
    world.direct.create_table(
        TableName="indexed",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[
            {"AttributeName": "id", "AttributeType": "S"},
            {"AttributeName": "tag", "AttributeType": "S"},
            {"AttributeName": "n", "AttributeType": "N"},
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-tag",
                "KeySchema": [{"AttributeName": "tag", "KeyType": "HASH"}, {"AttributeName": "n", "KeyType": "RANGE"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
            }
        ],
        BillingMode="PAY_PER_REQUEST",
    )
    for number in (3, 1, 2):
        entry = {"id": {"S": str(number)}, "tag": {"S": "t"}, "n": {"N": str(number)}, "v": {"S": "x"}}
        written = client.put_item(TableName="indexed", Item=entry, ReturnConsumedCapacity="INDEXES")
        assert written["ConsumedCapacity"] == {
            "TableName": "indexed",
            "CapacityUnits": 2.0,
            "Table": {"CapacityUnits": 1.0},
            "GlobalSecondaryIndexes": {"by-tag": {"CapacityUnits": 1.0}},
        }
    query = {
        "TableName": "indexed",
        "IndexName": "by-tag",
        "KeyConditionExpression": "tag = :t AND n >= :n",
        "ExpressionAttributeValues": {":t": {"S": "t"}, ":n": {"N": "2"}},
        "ReturnConsumedCapacity": "TOTAL",
    }
    first = client.query(**query, Limit=1)
    assert first["Items"] == [{"id": {"S": "2"}, "tag": {"S": "t"}, "n": {"N": "2"}}]
    assert first["LastEvaluatedKey"] == first["Items"][0]
    assert first["ConsumedCapacity"] == {"TableName": "indexed", "CapacityUnits": 0.5}
    rest = client.query(**query, ExclusiveStartKey=first["LastEvaluatedKey"])
    assert [one["id"]["S"] for one in rest["Items"]] == ["3"]
    # The same again comes out of the cache, which costs nothing.
    again = client.query(**query, Limit=1)
    assert (again["Items"], again["ConsumedCapacity"]["CapacityUnits"]) == (first["Items"], 0.0)
    scanned = client.scan(TableName="indexed", IndexName="by-tag", Select="COUNT")
    assert (scanned["Count"], scanned["ScannedCount"]) == (3, 3)


def test_a_throttled_table_is_told(world: World, client: Any) -> None:
    world.direct.create_table(
        TableName="slow",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
    )
    # More than the table saves in five minutes, so that it owes some units for a while.
    large = {"id": {"S": "a"}, "v": {"S": "x" * (390 * 1024)}}
    client.put_item(TableName="slow", Item=large)
    code, message = refused(world.direct.put_item, TableName="slow", Item={"id": {"S": "b"}})
    assert code == "ProvisionedThroughputExceededException"
    assert refused(client.put_item, TableName="slow", Item={"id": {"S": "b"}}) == (code, message)
