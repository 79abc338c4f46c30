"""Secondary indexes: what is in them, how they are read, made and dropped."""

from __future__ import annotations

import itertools
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from dynamodb_cases import Table, index, invalid, invalid_values, refusal


def put(dynamodb: Any, **attributes: str) -> None:
    dynamodb.put_item(TableName="table", Item={name: {"S": value} for name, value in attributes.items()})


def query(dynamodb: Any, name: str, attribute: str, value: str, **members: Any) -> Any:
    return dynamodb.query(
        TableName="table",
        IndexName=name,
        KeyConditionExpression=f"{attribute} = :v",
        ExpressionAttributeValues={":v": {"S": value}},
        **members,
    )


def items(answer: Any) -> list[dict[str, str]]:
    return [{name: value["S"] for name, value in item.items()} for item in answer["Items"]]


def test_a_global_index_follows_the_table(dynamodb: Any, table: Table) -> None:
    table("id:S | g:S s:S", GlobalSecondaryIndexes=[index("idx", "g", "s")])
    put(dynamodb, id="1", g="a", s="2", x="x")
    put(dynamodb, id="2", g="a", s="1")
    put(dynamodb, id="3", g="b", s="1")
    # Sparse: without one of the keys, no entry.
    put(dynamodb, id="4", g="a")
    put(dynamodb, id="5", s="1")
    assert items(query(dynamodb, "idx", "g", "a")) == [
        {"id": "2", "g": "a", "s": "1"},
        {"id": "1", "g": "a", "s": "2", "x": "x"},
    ]
    dynamodb.update_item(
        TableName="table",
        Key={"id": {"S": "1"}},
        UpdateExpression="SET g = :b",
        ExpressionAttributeValues={":b": {"S": "b"}},
    )
    dynamodb.update_item(TableName="table", Key={"id": {"S": "2"}}, UpdateExpression="REMOVE s")
    assert items(query(dynamodb, "idx", "g", "a")) == []
    assert [item["id"] for item in items(query(dynamodb, "idx", "g", "b"))] == ["3", "1"]
    put(dynamodb, id="3", g="b", s="3")
    assert [item["id"] for item in items(query(dynamodb, "idx", "g", "b"))] == ["1", "3"]
    dynamodb.delete_item(TableName="table", Key={"id": {"S": "1"}})
    assert [item["id"] for item in items(query(dynamodb, "idx", "g", "b"))] == ["3"]


def test_equal_keys_in_pages(dynamodb: Any, table: Table) -> None:
    table("id:S | g:S", GlobalSecondaryIndexes=[index("idx", "g")])
    for number in range(10):
        put(dynamodb, id=f"i{number}", g="same")
    for forward in (True, False):
        found: list[str] = []
        answer = query(dynamodb, "idx", "g", "same", Limit=3, ScanIndexForward=forward)
        while True:
            found += [item["id"] for item in items(answer)]
            last = answer.get("LastEvaluatedKey")
            if last is None:
                break
            assert last == {"id": {"S": found[-1]}, "g": {"S": "same"}}
            answer = query(dynamodb, "idx", "g", "same", Limit=3, ScanIndexForward=forward, ExclusiveStartKey=last)
        assert sorted(found) == [f"i{number}" for number in range(10)]


def test_projections(dynamodb: Any, table: Table) -> None:
    table(
        "id:S sort:S | g:S l:S",
        GlobalSecondaryIndexes=[index("keys", "g", kind="KEYS_ONLY"), index("some", "g", "", "x")],
        LocalSecondaryIndexes=[index("local", "id", "l", kind="KEYS_ONLY")],
    )
    put(dynamodb, id="1", sort="s", g="a", l="l", x="x", y="y")
    keys = {"id": "1", "sort": "s", "g": "a"}
    assert items(query(dynamodb, "keys", "g", "a")) == [keys]
    assert items(query(dynamodb, "some", "g", "a")) == [{**keys, "x": "x"}]
    assert items(query(dynamodb, "local", "id", "1")) == [{"id": "1", "sort": "s", "l": "l"}]
    assert items(query(dynamodb, "some", "g", "a", ProjectionExpression="x")) == [{"x": "x"}]
    # A local index gets from the table what it has not; a global one has nothing to get it with.
    whole = {**keys, "l": "l", "x": "x", "y": "y"}
    assert items(query(dynamodb, "local", "id", "1", Select="ALL_ATTRIBUTES")) == [whole]
    fetched = query(dynamodb, "local", "id", "1", ProjectionExpression="y, l", ReturnConsumedCapacity="INDEXES")
    assert items(fetched) == [{"y": "y", "l": "l"}]
    assert fetched["ConsumedCapacity"] == {
        "TableName": "table",
        "CapacityUnits": 1.0,
        "Table": {"CapacityUnits": 0.5},
        "LocalSecondaryIndexes": {"local": {"CapacityUnits": 0.5}},
    }
    assert refusal(query, dynamodb, "keys", "g", "a", Select="ALL_ATTRIBUTES") == invalid_values(
        "Select type ALL_ATTRIBUTES is not supported for global secondary index keys "
        "because its projection type is not ALL"
    )
    assert refusal(query, dynamodb, "keys", "g", "a", ProjectionExpression="y, g") == invalid_values(
        "Global secondary index keys does not project [y]"
    )
    # What the index does not have may change without it.
    put(dynamodb, id="1", sort="s", g="a", l="l", x="new", y="new")
    assert items(query(dynamodb, "keys", "g", "a")) == [keys]
    assert items(query(dynamodb, "some", "g", "a")) == [{**keys, "x": "new"}]


def test_a_local_index_has_an_order_of_its_own(dynamodb: Any, table: Table) -> None:
    table("PK:S SK:S | LSI1SK:N", LocalSecondaryIndexes=[index("lsi", "PK", "LSI1SK")])
    for sort, number in (("a", "3"), ("b", "-1"), ("c", "20"), ("d", None)):
        item = {"PK": {"S": "p"}, "SK": {"S": sort}}
        dynamodb.put_item(TableName="table", Item={**item, **({"LSI1SK": {"N": number}} if number else {})})

    def ask(condition: str, **values: Any) -> list[str]:
        answer = dynamodb.query(
            TableName="table",
            IndexName="lsi",
            KeyConditionExpression=condition,
            ExpressionAttributeValues={":p": {"S": "p"}, **values},
            ConsistentRead=True,
        )
        return [item["SK"]["S"] for item in answer["Items"]]

    assert ask("PK = :p") == ["b", "a", "c"]
    assert ask("PK = :p AND LSI1SK >= :n", **{":n": {"N": "3"}}) == ["a", "c"]
    metrics = dynamodb.put_item(
        TableName="table",
        Item={"PK": {"S": "p"}, "SK": {"S": "e"}},
        ReturnItemCollectionMetrics="SIZE",
    )["ItemCollectionMetrics"]
    assert metrics == {"ItemCollectionKey": {"PK": {"S": "p"}}, "SizeEstimateRangeGB": [0.0, 1.0]}


def test_scanning_an_index(dynamodb: Any, table: Table) -> None:
    table("id:S | g:S", GlobalSecondaryIndexes=[index("idx", "g")])
    for number in range(12):
        put(dynamodb, id=f"i{number}", **({"g": f"g{number}"} if number % 2 else {}))
    pages = dynamodb.get_paginator("scan").paginate(TableName="table", IndexName="idx", Limit=2)
    found = [item["id"]["S"] for page in pages for item in page["Items"]]
    assert sorted(found) == ["i1", "i11", "i3", "i5", "i7", "i9"]


@pytest.mark.parametrize(
    ("item", "refused"),
    [
        (
            {"g": {"N": "1"}},
            invalid_values("Type mismatch for Index Key g Expected: S Actual: N IndexName: idx"),
        ),
        (
            {"g": {"S": ""}},
            invalid(
                "One or more parameter values are not valid. A value specified for a secondary index key is not "
                "supported. The AttributeValue for a key attribute cannot contain an empty string value. "
                "IndexName: idx, IndexKey: g"
            ),
        ),
        (
            {"g": {"S": "x" * 2049}},
            invalid_values("Size of hashkey has exceeded the maximum size limit of2048 bytes"),
        ),
    ],
)
def test_wrong_index_keys(dynamodb: Any, table: Table, item: dict[str, Any], refused: tuple[str, str]) -> None:
    table("id:S | g:S", GlobalSecondaryIndexes=[index("idx", "g")])
    assert refusal(dynamodb.put_item, TableName="table", Item={"id": {"S": "a"}, **item}) == refused
    assert dynamodb.scan(TableName="table")["Count"] == 0


def test_wrong_reads(dynamodb: Any, table: Table) -> None:
    table("id:S | g:S", GlobalSecondaryIndexes=[index("idx", "g")])
    assert refusal(query, dynamodb, "idx", "g", "a", ConsistentRead=True) == invalid(
        "Consistent reads are not supported on global secondary indexes"
    )
    assert refusal(query, dynamodb, "idx", "id", "a") == invalid("Query condition missed key schema element: g")
    assert refusal(query, dynamodb, "idx", "g", "a", ExclusiveStartKey={"id": {"S": "a"}}) == invalid(
        "The provided starting key is invalid"
    )


def wait_active(dynamodb: Any, name: str) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        found = dynamodb.describe_table(TableName="table")["Table"]["GlobalSecondaryIndexes"]
        (status,) = [each["IndexStatus"] for each in found if each["IndexName"] == name]
        if status == "ACTIVE":
            return
    raise AssertionError(f"{name} did not become active")


def test_an_index_is_filled_while_everything_changes(aws: Any, dynamodb: Any, table: Table) -> None:
    """Items come, go, and change their place in the index, from several clients, from before its making until after."""
    table()
    count = 6_000
    for start in range(0, count, 25):
        puts = [
            {"PutRequest": {"Item": {"id": {"S": str(n)}, "g": {"S": f"g{n % 5}"}}}} for n in range(start, start + 25)
        ]
        dynamodb.batch_write_item(RequestItems={"table": puts})
    begun, active = threading.Barrier(4), threading.Event()

    def change(seed: int) -> None:
        chance, client = random.Random(seed), aws.client("dynamodb")
        for number in itertools.count():
            if active.is_set():
                return
            key = {"id": {"S": str(chance.randrange(count))}}
            what = chance.randrange(4)
            if what == 0:
                client.delete_item(TableName="table", Key=key)
            elif what == 1:
                client.update_item(TableName="table", Key=key, UpdateExpression="REMOVE g")
            else:
                g = {"S": f"g{chance.randrange(5)}"}
                client.put_item(TableName="table", Item={**key, "g": g, "by": {"N": str(number)}})
            if number == 0:
                begun.wait(30)

    with ThreadPoolExecutor(3) as pool:
        try:
            changing = [pool.submit(change, seed) for seed in range(3)]
            begun.wait(30)
            dynamodb.update_table(
                TableName="table",
                AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("id", "g")],
                GlobalSecondaryIndexUpdates=[{"Create": index("idx", "g")}],
            )
            wait_active(dynamodb, "idx")
        finally:
            active.set()
        for each in changing:
            each.result()

    def held(**name: str) -> list[tuple[str, str, str]]:
        pages = dynamodb.get_paginator("scan").paginate(TableName="table", **name)
        found = [item for page in pages for item in page["Items"] if "g" in item]
        return sorted((item["id"]["S"], item["g"]["S"], item.get("by", {}).get("N", "")) for item in found)

    assert held(IndexName="idx") == held()


@pytest.mark.parametrize(("count", "size"), [(3, 1), (430, 1), (24, 350_000)])
def test_an_index_made_later(dynamodb: Any, table: Table, count: int, size: int) -> None:
    table()
    large = {"x": {"S": "x" * size}}
    names = [f"i{number}" for number in range(count)]
    for start in range(0, count, 25):
        dynamodb.batch_write_item(
            RequestItems={
                "table": [
                    {"PutRequest": {"Item": {"id": {"S": name}, "g": {"S": "g"}, **large}}}
                    for name in names[start : start + 25]
                ]
            }
        )
    # What cannot be in the index is left out of it, and stays as it is in the table.
    dynamodb.put_item(TableName="table", Item={"id": {"S": "odd"}, "g": {"N": "1"}})
    create = {"Create": index("idx", "g")}
    updated = dynamodb.update_table(
        TableName="table",
        AttributeDefinitions=[
            {"AttributeName": "id", "AttributeType": "S"},
            {"AttributeName": "g", "AttributeType": "S"},
        ],
        GlobalSecondaryIndexUpdates=[create],
    )["TableDescription"]
    assert updated["TableStatus"] == "UPDATING"
    assert updated["GlobalSecondaryIndexes"][0]["IndexStatus"] == "CREATING"
    dynamodb.put_item(TableName="table", Item={"id": {"S": "new"}, "g": {"S": "g"}})
    wait_active(dynamodb, "idx")
    pages = dynamodb.get_paginator("query").paginate(
        TableName="table",
        IndexName="idx",
        KeyConditionExpression="g = :g",
        ExpressionAttributeValues={":g": {"S": "g"}},
    )
    assert sorted(item["id"]["S"] for page in pages for item in page["Items"]) == sorted([*names, "new"])
    dynamodb.update_item(TableName="table", Key={"id": {"S": "odd"}}, UpdateExpression="REMOVE g")

    assert refusal(dynamodb.update_table, TableName="table", GlobalSecondaryIndexUpdates=[create])[0] == (
        "ValidationException"
    )
    delete = {"Delete": {"IndexName": "idx"}}
    dynamodb.update_table(TableName="table", GlobalSecondaryIndexUpdates=[delete])
    described = dynamodb.describe_table(TableName="table")["Table"]
    assert "GlobalSecondaryIndexes" not in described
    assert described["AttributeDefinitions"] == [{"AttributeName": "id", "AttributeType": "S"}]
    assert refusal(query, dynamodb, "idx", "g", "g") == invalid("The table does not have the specified index: idx")
    assert refusal(dynamodb.update_table, TableName="table", GlobalSecondaryIndexUpdates=[delete]) == (
        "ResourceNotFoundException",
        "Requested resource not found",
    )


def test_equal_sort_keys_of_a_local_index_are_paged_through_one_by_one(dynamodb: Any, table: Table) -> None:
    table("id:S sort:S | rank:N", LocalSecondaryIndexes=[index("local", "id", "rank")])
    sorts = [f"{number:02}" for number in range(60)]
    for at in range(0, len(sorts), 20):
        puts = [
            {"PutRequest": {"Item": {"id": {"S": "a"}, "sort": {"S": sort}, "rank": {"N": "1"}}}}
            for sort in sorts[at : at + 20]
        ]
        dynamodb.batch_write_item(RequestItems={"table": puts})
    query = {
        "TableName": "table",
        "IndexName": "local",
        "KeyConditionExpression": "id = :id AND #r = :one",
        "ExpressionAttributeNames": {"#r": "rank"},
        "ExpressionAttributeValues": {":id": {"S": "a"}, ":one": {"N": "1"}},
    }
    orders = []
    for forward in (True, False):
        whole = [item["sort"]["S"] for item in dynamodb.query(**query, ScanIndexForward=forward)["Items"]]
        found: list[str] = []
        members: dict[str, Any] = {"Limit": 1, "ScanIndexForward": forward}
        while True:
            page = dynamodb.query(**query, **members)
            found += [item["sort"]["S"] for item in page["Items"]]
            if "LastEvaluatedKey" not in page:
                break
            members["ExclusiveStartKey"] = page["LastEvaluatedKey"]
        assert found == whole
        orders.append(found)
    assert sorted(orders[0]) == sorts
    assert orders[1] == orders[0][::-1]
