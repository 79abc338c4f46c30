"""The old-style parameters, from before there were expressions."""

from __future__ import annotations

from typing import Any

import pytest
from dynamodb_cases import Table, invalid, invalid_values, refusal

FAILED = ("ConditionalCheckFailedException", "The conditional request failed")
ITEM: dict[str, Any] = {
    "id": {"S": "a"},
    "n": {"N": "5"},
    "s": {"S": "text"},
    "words": {"SS": ["x", "y"]},
    "l": {"L": [{"N": "1"}]},
}


def when(operator: str, *values: Any) -> dict[str, Any]:
    return {"ComparisonOperator": operator, **({"AttributeValueList": list(values)} if values else {})}


@pytest.fixture
def filled(dynamodb: Any, table: Table) -> Any:
    table()
    dynamodb.put_item(TableName="table", Item=ITEM)
    return dynamodb


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ({"n": when("EQ", {"N": "5.0"})}, True),
        ({"n": when("NE", {"N": "5"})}, False),
        ({"absent": when("NE", {"N": "5"})}, True),
        ({"n": when("GT", {"N": "4"})}, True),
        ({"n": when("LE", {"N": "4"})}, False),
        ({"n": when("BETWEEN", {"N": "1"}, {"N": "5"})}, True),
        ({"n": when("IN", {"N": "1"}, {"N": "5"})}, True),
        ({"s": when("BEGINS_WITH", {"S": "te"})}, True),
        ({"s": when("CONTAINS", {"S": "ex"})}, True),
        ({"words": when("CONTAINS", {"S": "y"})}, True),
        ({"words": when("NOT_CONTAINS", {"S": "y"})}, False),
        ({"s": when("NOT_NULL")}, True),
        ({"s": when("NULL")}, False),
        ({"absent": when("NULL")}, True),
        ({"n": when("EQ", {"N": "5"}), "s": when("NULL")}, False),
    ],
)
def test_filters(filled: Any, conditions: dict[str, Any], expected: bool) -> None:
    answer = filled.scan(TableName="table", ScanFilter=conditions)
    assert (answer["Count"], answer["ScannedCount"]) == (int(expected), 1)


def test_joining(filled: Any) -> None:
    conditions = {"n": when("EQ", {"N": "5"}), "s": when("NULL")}
    assert filled.scan(TableName="table", ScanFilter=conditions, ConditionalOperator="OR")["Count"] == 1
    assert filled.scan(TableName="table", ScanFilter=conditions, ConditionalOperator="AND")["Count"] == 0


@pytest.mark.parametrize(
    ("expected", "holds"),
    [
        ({"n": {"Value": {"N": "5"}}}, True),
        ({"n": {"Value": {"N": "6"}, "Exists": True}}, False),
        ({"absent": {"Exists": False}}, True),
        ({"n": {"Exists": False}}, False),
        ({"n": {"ComparisonOperator": "GE", "Value": {"N": "5"}}}, True),
        ({"n": when("LT", {"N": "5"})}, False),
    ],
)
def test_expectations(filled: Any, expected: dict[str, Any], holds: bool) -> None:
    call = {"TableName": "table", "Item": {"id": {"S": "a"}}, "Expected": expected}
    if holds:
        filled.put_item(**call)
    else:
        assert refusal(filled.put_item, **call) == FAILED


@pytest.mark.parametrize(
    ("updates", "changes"),
    [
        ({"n": {"Value": {"N": "6"}}}, {"n": {"N": "6"}}),
        ({"n": {"Action": "ADD", "Value": {"N": "6"}}}, {"n": {"N": "11"}}),
        ({"fresh": {"Action": "ADD", "Value": {"N": "6"}}}, {"fresh": {"N": "6"}}),
        ({"words": {"Action": "ADD", "Value": {"SS": ["z"]}}}, {"words": {"SS": ["x", "y", "z"]}}),
        ({"words": {"Action": "DELETE", "Value": {"SS": ["x"]}}}, {"words": {"SS": ["y"]}}),
        ({"l": {"Action": "ADD", "Value": {"L": [{"N": "2"}]}}}, {"l": {"L": [{"N": "1"}, {"N": "2"}]}}),
        ({"s": {"Action": "DELETE"}}, {"s": None}),
    ],
)
def test_updates(filled: Any, updates: dict[str, Any], changes: dict[str, Any]) -> None:
    answer = filled.update_item(
        TableName="table", Key={"id": {"S": "a"}}, AttributeUpdates=updates, ReturnValues="ALL_NEW"
    )
    assert answer["Attributes"] == {name: value for name, value in {**ITEM, **changes}.items() if value is not None}


def test_deleting_attributes_makes_no_item(filled: Any) -> None:
    filled.update_item(TableName="table", Key={"id": {"S": "b"}}, AttributeUpdates={"s": {"Action": "DELETE"}})
    assert filled.scan(TableName="table")["Count"] == 1
    filled.update_item(TableName="table", Key={"id": {"S": "b"}}, AttributeUpdates={"s": {"Value": {"S": "v"}}})
    assert filled.scan(TableName="table")["Count"] == 2


def test_reading(dynamodb: Any, table: Table) -> None:
    table("id:S sort:N")
    for number in range(5):
        dynamodb.put_item(
            TableName="table", Item={"id": {"S": "p"}, "sort": {"N": str(number)}, "x": {"S": f"x{number}"}}
        )
    answer = dynamodb.query(
        TableName="table",
        KeyConditions={"id": when("EQ", {"S": "p"}), "sort": when("BETWEEN", {"N": "1"}, {"N": "3"})},
        QueryFilter={"x": when("NE", {"S": "x2"})},
        AttributesToGet=["x"],
    )
    assert answer["Items"] == [{"x": {"S": "x1"}}, {"x": {"S": "x3"}}]
    key = {"id": {"S": "p"}, "sort": {"N": "1"}}
    assert dynamodb.get_item(TableName="table", Key=key, AttributesToGet=["x", "y"])["Item"] == {"x": {"S": "x1"}}


@pytest.mark.parametrize(
    ("members", "refused"),
    [
        (
            {"ScanFilter": {"n": when("EQ")}},
            invalid_values("Invalid number of argument(s) for the EQ ComparisonOperator"),
        ),
        (
            {"ScanFilter": {"n": when("GT", {"SS": ["a"]})}},
            invalid_values("ComparisonOperator GT is not valid for SS AttributeValue type"),
        ),
        (
            {"ScanFilter": {"n": when("BETWEEN", {"N": "2"}, {"N": "1"})}},
            invalid("The BETWEEN condition was provided a range where the lower bound is greater than the upper bound"),
        ),
        (
            {"ScanFilter": {"n": when("BETWEEN", {"N": "2"}, {"S": "1"})}},
            invalid_values("AttributeValues inside AttributeValueList must be of same type"),
        ),
        (
            {"ScanFilter": {"n": when("NULL")}, "ConditionalOperator": "OR"},
            invalid("ConditionalOperator can only be used when Filter or Expected has two or more elements"),
        ),
        (
            {"ConditionalOperator": "OR"},
            invalid("ConditionalOperator cannot be used without Filter or Expected"),
        ),
        ({"AttributesToGet": ["a", "a"]}, invalid_values("Duplicate value in attribute name: a")),
        (
            {"ScanFilter": {}, "FilterExpression": "attribute_exists(a)"},
            invalid(
                "Can not use both expression and non-expression parameters in the same request: "
                "Non-expression parameters: {ScanFilter} Expression parameters: {FilterExpression}"
            ),
        ),
    ],
)
def test_wrong_scans(filled: Any, members: dict[str, Any], refused: tuple[str, str]) -> None:
    assert refusal(filled.scan, TableName="table", **members) == refused


@pytest.mark.parametrize(
    ("expected", "message"),
    [
        ({"Exists": True}, "Value must be provided when Exists is true for Attribute: n"),
        ({}, "Value must be provided when Exists is null for Attribute: n"),
        ({"Exists": False, "Value": {"N": "1"}}, "Value cannot be used when Exists is false for Attribute: n"),
        (
            {"ComparisonOperator": "EQ"},
            "Value or AttributeValueList must be used with ComparisonOperator: EQ for Attribute: n",
        ),
        (
            {"AttributeValueList": [{"N": "1"}]},
            "AttributeValueList can only be used with a ComparisonOperator for Attribute: n",
        ),
    ],
)
def test_wrong_expectations(filled: Any, expected: dict[str, Any], message: str) -> None:
    assert refusal(
        filled.put_item, TableName="table", Item={"id": {"S": "a"}}, Expected={"n": expected}
    ) == invalid_values(message)


@pytest.mark.parametrize(
    ("update", "message"),
    [
        ({"Action": "PUT"}, "Only DELETE action is allowed when no attribute value is specified"),
        ({"Action": "ADD", "Value": {"S": "a"}}, "ADD action is not supported for the type S"),
        ({"Action": "DELETE", "Value": {"N": "1"}}, "DELETE action with value is not supported for the type N"),
    ],
)
def test_wrong_updates(filled: Any, update: dict[str, Any], message: str) -> None:
    assert refusal(
        filled.update_item, TableName="table", Key={"id": {"S": "a"}}, AttributeUpdates={"n": update}
    ) == invalid_values(message)
