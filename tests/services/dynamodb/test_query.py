"""Query: key conditions, order, pages, filters, selection."""

from __future__ import annotations

from typing import Any

import pytest
from dynamodb_cases import Table, invalid, invalid_values, refusal

ORDER = ["-100", "-2.5", "0", "1", "3", "20", "1000000"]


@pytest.fixture
def numbers(dynamodb: Any, table: Table) -> Any:
    """Queries partition "p" of a table whose sort key holds ORDER; gives the sort keys."""
    table("id:S sort:N")
    for partition in ("o", "p", "q"):
        dynamodb.batch_write_item(
            RequestItems={
                "table": [
                    {"PutRequest": {"Item": {"id": {"S": partition}, "sort": {"N": number}, "x": {"S": number[0]}}}}
                    for number in reversed(ORDER)
                ]
            }
        )

    def run(condition: str, *values: str, **members: Any) -> Any:
        given = {":p": {"S": "p"}, **{f":v{at}": {"N": value} for at, value in enumerate(values)}}
        return dynamodb.query(
            TableName="table",
            KeyConditionExpression=condition,
            ExpressionAttributeValues={**given, **members.pop("values", {})},
            **members,
        )

    return run


def sorts(answer: Any) -> list[str]:
    return [item["sort"]["N"] for item in answer["Items"]]


@pytest.mark.parametrize(
    ("condition", "values", "expected"),
    [
        ("id = :p", [], ORDER),
        (":p = id", [], ORDER),
        ("id = :p AND sort = :v0", ["3.0"], ["3"]),
        ("id = :p AND sort < :v0", ["1"], ["-100", "-2.5", "0"]),
        ("id = :p AND sort <= :v0", ["1"], ["-100", "-2.5", "0", "1"]),
        ("sort > :v0 AND id = :p", ["1"], ["3", "20", "1000000"]),
        ("id = :p AND sort >= :v0", ["20"], ["20", "1000000"]),
        ("id = :p AND :v0 > sort", ["0"], ["-100", "-2.5"]),
        ("id = :p AND sort BETWEEN :v0 AND :v1", ["-2.5", "3"], ["-2.5", "0", "1", "3"]),
        ("(id = :p) AND (sort BETWEEN :v0 AND :v1)", ["4", "19"], []),
    ],
)
def test_key_conditions(numbers: Any, condition: str, values: list[str], expected: list[str]) -> None:
    answer = numbers(condition, *values)
    assert sorts(answer) == expected
    assert (answer["Count"], answer["ScannedCount"]) == (len(expected), len(expected))
    assert "LastEvaluatedKey" not in answer
    assert sorts(numbers(condition, *values, ScanIndexForward=False)) == expected[::-1]


def test_names(numbers: Any) -> None:
    answer = numbers(
        "#i = :p AND #s > :v0", "3", ExpressionAttributeNames={"#i": "id", "#s": "sort"}, Select="ALL_ATTRIBUTES"
    )
    assert sorts(answer) == ["20", "1000000"]


@pytest.mark.parametrize("forward", [True, False])
def test_pages(numbers: Any, forward: bool) -> None:
    found: list[str] = []
    start: dict[str, Any] = {}
    for count in (3, 3, 1):
        answer = numbers("id = :p", Limit=3, ScanIndexForward=forward, **start)
        assert answer["Count"] == count
        found += sorts(answer)
        if count == 3:
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}
            assert start["ExclusiveStartKey"] == {"id": {"S": "p"}, "sort": {"N": found[-1]}}
    assert "LastEvaluatedKey" not in answer
    assert found == (ORDER if forward else ORDER[::-1])


def test_a_limit_that_is_met_exactly_leaves_a_key(numbers: Any) -> None:
    answer = numbers("id = :p", Limit=len(ORDER))
    assert answer["LastEvaluatedKey"]["sort"] == {"N": ORDER[-1]}
    rest = numbers("id = :p", ExclusiveStartKey=answer["LastEvaluatedKey"])
    assert (rest["Items"], rest["Count"]) == ([], 0)
    assert "LastEvaluatedKey" not in rest


def test_filters_come_after_limits(numbers: Any) -> None:
    answer = numbers("id = :p", FilterExpression="x = :x", values={":x": {"S": "1"}})
    assert sorts(answer) == ["1", "1000000"]
    assert (answer["Count"], answer["ScannedCount"]) == (2, len(ORDER))
    answer = numbers("id = :p", FilterExpression="x = :x", values={":x": {"S": "1"}}, Limit=3)
    assert (answer["Items"], answer["Count"], answer["ScannedCount"]) == ([], 0, 3)
    assert answer["LastEvaluatedKey"]["sort"] == {"N": "0"}


def test_selection(numbers: Any) -> None:
    answer = numbers("id = :p", Select="COUNT")
    assert "Items" not in answer
    assert answer["Count"] == len(ORDER)
    answer = numbers("id = :p AND sort = :v0", "1", ProjectionExpression="x")
    assert answer["Items"] == [{"x": {"S": "1"}}]
    assert refusal(numbers, "id = :p", Select="SPECIFIC_ATTRIBUTES") == invalid(
        "1 validation error detected: "
        "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"
    )
    assert refusal(numbers, "id = :p", Select="ALL_PROJECTED_ATTRIBUTES") == invalid_values(
        "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName"
    )
    assert refusal(numbers, "id = :p", Select="COUNT", ProjectionExpression="x")[0] == "ValidationException"


def test_consumed_capacity(dynamodb: Any, table: Table) -> None:
    table("id:S sort:N")
    for number in range(10):
        dynamodb.put_item(
            TableName="table", Item={"id": {"S": "p"}, "sort": {"N": str(number)}, "x": {"S": "x" * 1000}}
        )
    query = {
        "TableName": "table",
        "KeyConditionExpression": "id = :p",
        "ExpressionAttributeValues": {":p": {"S": "p"}},
        "ReturnConsumedCapacity": "TOTAL",
    }
    # Ten times a little over a kilobyte: three blocks of four, once for all of them.
    assert dynamodb.query(**query)["ConsumedCapacity"] == {"TableName": "table", "CapacityUnits": 1.5}
    assert dynamodb.query(**query, ConsistentRead=True)["ConsumedCapacity"]["CapacityUnits"] == 3.0
    query["ExpressionAttributeValues"] = {":p": {"S": "none"}}
    assert dynamodb.query(**query)["ConsumedCapacity"]["CapacityUnits"] == 0.5


def test_a_page_ends_at_a_megabyte(dynamodb: Any, table: Table) -> None:
    table("id:S sort:N")
    for number in range(5):
        dynamodb.put_item(
            TableName="table",
            Item={"id": {"S": "p"}, "sort": {"N": str(number)}, "x": {"S": "x" * 300_000}},
        )
    query = {
        "TableName": "table",
        "KeyConditionExpression": "id = :p",
        "ExpressionAttributeValues": {":p": {"S": "p"}},
        "ProjectionExpression": "sort",
    }
    answer = dynamodb.query(**query)
    assert sorts(answer) == ["0", "1", "2", "3"]
    assert sorts(dynamodb.query(**query, ExclusiveStartKey=answer["LastEvaluatedKey"])) == ["4"]
    pages = dynamodb.get_paginator("query").paginate(**query)
    assert [number for page in pages for number in sorts(page)] == ["0", "1", "2", "3", "4"]


def test_text_and_binary_sort_keys(dynamodb: Any, table: Table) -> None:
    texts = ["", "a", "a\x00", "a\x00b", "aa", "ab", "abc", "b", "z", "ä", "€", "\U0001f600"]
    table("id:S sort:S", name="texts")
    table("id:S sort:B", name="blobs")
    for text in texts[1:]:
        dynamodb.put_item(TableName="texts", Item={"id": {"S": "p"}, "sort": {"S": text}})
        dynamodb.put_item(TableName="blobs", Item={"id": {"S": "p"}, "sort": {"B": text.encode()}})
    dynamodb.put_item(TableName="blobs", Item={"id": {"S": "p"}, "sort": {"B": b"\xff\xff"}})
    blobs = [*(text.encode() for text in texts[1:]), b"\xff\xff"]

    def found(condition: str, table_name: str, kind: str, *values: Any) -> list[Any]:
        answer = dynamodb.query(
            TableName=table_name,
            KeyConditionExpression=f"id = :p AND {condition}",
            ExpressionAttributeValues={":p": {"S": "p"}, **{f":v{at}": {kind: v} for at, v in enumerate(values)}},
        )
        return [item["sort"][kind] for item in answer["Items"]]

    for start in ("a", "a\x00", "ab", "\U0001f600", "nothing", ""):
        assert found("begins_with(sort, :v0)", "texts", "S", start) == [t for t in texts[1:] if t.startswith(start)]
    for head in (b"a", b"a\x00", b"\xff", b"\xff\xff", b"\xc3"):
        assert found("begins_with(sort, :v0)", "blobs", "B", head) == [b for b in blobs if b.startswith(head)]
    for bound in texts[1:]:
        assert found("sort > :v0", "texts", "S", bound) == [t for t in texts[1:] if t > bound]
        assert found("sort <= :v0", "texts", "S", bound) == [t for t in texts[1:] if t <= bound]
        assert found("sort = :v0", "texts", "S", bound) == [bound]
        assert found("sort BETWEEN :v0 AND :v1", "blobs", "B", bound.encode(), b"b") == [
            b for b in blobs if bound.encode() <= b <= b"b"
        ] if bound.encode() <= b"b" else True  # fmt: skip


@pytest.mark.parametrize(
    ("members", "refused"),
    [
        (
            {"KeyConditionExpression": "sort = :n"},
            invalid("Query condition missed key schema element: id"),
        ),
        ({"KeyConditionExpression": "id > :p"}, invalid("Query key condition not supported")),
        (
            {"KeyConditionExpression": "id = :p AND x = :n"},
            invalid("Query condition missed key schema element: sort"),
        ),
        (
            {"KeyConditionExpression": "id = :n"},
            invalid_values("Condition parameter type does not match schema type"),
        ),
        (
            {"KeyConditionExpression": "id = :p AND sort = :p"},
            invalid_values("Condition parameter type does not match schema type"),
        ),
        (
            {"KeyConditionExpression": "id = :p OR sort = :n"},
            invalid("Invalid operator used in KeyConditionExpression: OR"),
        ),
        (
            {"KeyConditionExpression": "id = :p AND NOT sort = :n"},
            invalid("Invalid operator used in KeyConditionExpression: NOT"),
        ),
        (
            {"KeyConditionExpression": "id = :p AND sort <> :n"},
            invalid("Invalid operator used in KeyConditionExpression: <>"),
        ),
        (
            {"KeyConditionExpression": "id = :p AND sort IN (:n)"},
            invalid("Invalid operator used in KeyConditionExpression: IN"),
        ),
        (
            {"KeyConditionExpression": "id = :p AND attribute_exists(sort)"},
            invalid("Invalid operator used in KeyConditionExpression: attribute_exists"),
        ),
        (
            {"KeyConditionExpression": "id = :p AND id = :p"},
            invalid("KeyConditionExpressions must only contain one condition per key"),
        ),
        (
            {"KeyConditionExpression": "id = :p AND sort = :n AND x = :n"},
            invalid("Conditions can be of length 1 or 2 only"),
        ),
        (
            {"KeyConditionExpression": "id.x = :p"},
            invalid("KeyConditionExpressions cannot have conditions on nested attributes"),
        ),
        (
            {"KeyConditionExpression": "id = sort"},
            invalid("Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition"),
        ),
        (
            {"KeyConditionExpression": ":p = :n"},
            invalid("Invalid condition in KeyConditionExpression: No key attribute specified"),
        ),
        (
            {"KeyConditionExpression": "id = :p AND size(sort) = :n"},
            invalid("KeyConditionExpressions cannot contain nested operations"),
        ),
        (
            {"KeyConditionExpression": "id = :p AND begins_with(sort, :n)"},
            invalid(
                "Invalid KeyConditionExpression: Incorrect operand type for operator or function; "
                "operator or function: begins_with, operand type: N"
            ),
        ),
        (
            {"KeyConditionExpression": "id = :empty"},
            invalid(
                "One or more parameter values are not valid. "
                "The AttributeValue for a key attribute cannot contain an empty string value. Key: id"
            ),
        ),
        ({"KeyConditionExpression": ""}, invalid("Invalid KeyConditionExpression: The expression can not be empty;")),
        (
            {"FilterExpression": "x = :p"},
            invalid("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."),
        ),
        (
            {"KeyConditionExpression": "id = :p", "FilterExpression": "sort = :n"},
            invalid("Filter Expression can only contain non-primary key attributes: Primary key attribute: sort"),
        ),
        (
            {"KeyConditionExpression": "id = :p", "IndexName": "nope"},
            invalid("The table does not have the specified index: nope"),
        ),
        (
            {"KeyConditionExpression": "id = :p", "ExclusiveStartKey": {"id": {"S": "p"}}},
            invalid("The provided starting key is invalid: The provided key element does not match the schema"),
        ),
        (
            {
                "KeyConditionExpression": "id = :p",
                "ExclusiveStartKey": {"id": {"S": "q"}, "sort": {"N": "1"}},
            },
            invalid("The provided starting key is outside query boundaries based on provided conditions"),
        ),
        (
            {
                "KeyConditionExpression": "id = :p AND sort > :n",
                "ExclusiveStartKey": {"id": {"S": "p"}, "sort": {"N": "-7"}},
            },
            invalid("The provided starting key does not match the range key predicate"),
        ),
    ],
)
def test_wrong_queries(dynamodb: Any, table: Table, members: dict[str, Any], refused: tuple[str, str]) -> None:
    table("id:S sort:N")
    text = " ".join(str(value) for name, value in members.items() if name.endswith("Expression"))
    values = {
        name: value for name, value in {":p": {"S": "p"}, ":n": {"N": "1"}, ":empty": {"S": ""}}.items() if name in text
    }
    if values:
        members = {**members, "ExpressionAttributeValues": values}
    assert refusal(dynamodb.query, TableName="table", **members) == refused


def test_a_table_that_is_not_there(dynamodb: Any) -> None:
    assert refusal(
        dynamodb.query,
        TableName="nope",
        KeyConditionExpression="id = :p",
        ExpressionAttributeValues={":p": {"S": "p"}},
    ) == ("ResourceNotFoundException", "Requested resource not found")
