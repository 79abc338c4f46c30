"""BatchGetItem and BatchWriteItem."""

from __future__ import annotations

from typing import Any

from dynamodb_cases import Table, invalid, refusal

DUPLICATES = invalid("Provided list of item keys contains duplicates")
NOT_FOUND = ("ResourceNotFoundException", "Requested resource not found")


def put(name: str, **others: Any) -> dict[str, Any]:
    return {"PutRequest": {"Item": {"id": {"S": name}, **others}}}


def delete(name: str) -> dict[str, Any]:
    return {"DeleteRequest": {"Key": {"id": {"S": name}}}}


def test_write_and_get(dynamodb: Any, table: Table) -> None:
    table(name="one")
    table(name="two")
    dynamodb.put_item(TableName="one", Item={"id": {"S": "old"}})
    answer = dynamodb.batch_write_item(
        RequestItems={"one": [put("a", v={"B": b"x"}), put("b"), delete("old"), delete("none")], "two": [put("a")]}
    )
    assert answer["UnprocessedItems"] == {}
    keys = [{"id": {"S": name}} for name in ("a", "b", "old", "none")]
    answer = dynamodb.batch_get_item(
        RequestItems={"one": {"Keys": keys}, "two": {"Keys": [{"id": {"S": "a"}}], "ProjectionExpression": "x"}}
    )
    assert sorted(answer["Responses"]["one"], key=lambda item: item["id"]["S"]) == [
        {"id": {"S": "a"}, "v": {"B": b"x"}},
        {"id": {"S": "b"}},
    ]
    assert answer["Responses"]["two"] == [{}]
    assert answer["UnprocessedKeys"] == {}


def test_nothing_found(dynamodb: Any, table: Table) -> None:
    table()
    answer = dynamodb.batch_get_item(RequestItems={"table": {"Keys": [{"id": {"S": "a"}}]}})
    assert (answer["Responses"], answer["UnprocessedKeys"]) == ({"table": []}, {})


def test_one_wrong_write_and_none_is_done(dynamodb: Any, table: Table) -> None:
    table()
    # In a batch a put's key is spoken of as a deletion's.
    for item in ({"x": {"S": "a"}}, {"id": {"N": "1"}}):
        wrong = {"PutRequest": {"Item": item}}
        assert refusal(dynamodb.batch_write_item, RequestItems={"table": [put("a"), wrong]}) == invalid(
            "The provided key element does not match the schema"
        )
    assert refusal(dynamodb.batch_write_item, RequestItems={"table": [put("a")], "nope": [put("a")]}) == NOT_FOUND
    assert dynamodb.scan(TableName="table")["Count"] == 0


def test_duplicates(dynamodb: Any, table: Table) -> None:
    table()
    assert refusal(dynamodb.batch_write_item, RequestItems={"table": [put("a"), delete("a")]}) == DUPLICATES
    keys = [{"id": {"S": "a"}}, {"id": {"S": "a"}}]
    assert refusal(dynamodb.batch_get_item, RequestItems={"table": {"Keys": keys}}) == DUPLICATES


def test_too_many(dynamodb: Any, table: Table) -> None:
    table(name="one")
    table(name="two")
    writes = [put(f"i{number}") for number in range(13)]
    assert refusal(dynamodb.batch_write_item, RequestItems={"one": writes, "two": writes}) == invalid(
        "Too many items requested for the BatchWriteItem call"
    )
    keys = {"Keys": [{"id": {"S": f"i{number}"}} for number in range(51)]}
    assert refusal(dynamodb.batch_get_item, RequestItems={"one": keys, "two": keys}) == invalid(
        "Too many items requested for the BatchGetItem call"
    )


def test_an_answer_has_sixteen_megabytes_at_most(dynamodb: Any, table: Table) -> None:
    table()
    names = [f"i{number:02}" for number in range(45)]
    for name in names:
        dynamodb.put_item(TableName="table", Item={"id": {"S": name}, "x": {"S": "x" * 390_000}})
    keys = [{"id": {"S": name}} for name in names]
    found: list[str] = []
    request = {"table": {"Keys": keys, "ProjectionExpression": "id"}}
    answer = dynamodb.batch_get_item(RequestItems=request)
    assert 0 < len(answer["Responses"]["table"]) < len(names)
    while True:
        found += [item["id"]["S"] for item in answer["Responses"]["table"]]
        if not answer["UnprocessedKeys"]:
            break
        answer = dynamodb.batch_get_item(RequestItems=answer["UnprocessedKeys"])
    assert sorted(found) == names


def test_consumed_capacity(dynamodb: Any, table: Table) -> None:
    table()
    answer = dynamodb.batch_write_item(
        RequestItems={"table": [put("a", x={"S": "x" * 2000}), put("b")]}, ReturnConsumedCapacity="TOTAL"
    )
    assert answer["ConsumedCapacity"] == [{"TableName": "table", "CapacityUnits": 3.0}]
    answer = dynamodb.batch_get_item(
        RequestItems={"table": {"Keys": [{"id": {"S": "a"}}, {"id": {"S": "none"}}], "ConsistentRead": True}},
        ReturnConsumedCapacity="INDEXES",
    )
    assert answer["ConsumedCapacity"] == [{"TableName": "table", "CapacityUnits": 2.0, "Table": {"CapacityUnits": 2.0}}]


def test_nothing_asked(dynamodb: Any) -> None:
    assert refusal(dynamodb.batch_get_item, RequestItems={}) == invalid(
        "1 validation error detected: Value '{}' at 'requestItems' failed to satisfy constraint: "
        "Member must have length greater than or equal to 1"
    )
