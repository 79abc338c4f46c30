"""Parameters that are wrong by themselves or with one another, and which of several faults is told."""

from __future__ import annotations

from typing import Any

import pytest
from dynamodb_cases import definition, index, refusal

from conftest import Account, Server

KEY: dict[str, Any] = {"id": {"S": "a"}, "sort": {"N": "1"}}
EMPTY = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
TWO = "Supplied AttributeValue has more than one datatypes set, must contain exactly one of the supported datatypes"
MISMATCH = "The provided key element does not match the schema"
NULL = "failed to satisfy constraint: Member must not be null"


@pytest.fixture(scope="module")
def shared(pileus: Server) -> Any:
    """A client, and a table with an item and an index of each kind, which no test changes."""
    client = Account(pileus.endpoint).client("dynamodb", config={"parameter_validation": False})
    client.create_table(
        TableName="table",
        **definition(
            "id:S sort:N|city:S score:N",
            LocalSecondaryIndexes=[index("local", "id", "score", kind="KEYS_ONLY")],
            GlobalSecondaryIndexes=[index("global", "city", "score", kind="KEYS_ONLY")],
        ),
    )
    client.put_item(TableName="table", Item={**KEY, "city": {"S": "o"}, "score": {"N": "1"}, "note": {"S": "t"}})
    return client


def values(**given: Any) -> dict[str, Any]:
    return {"ExpressionAttributeValues": {f":{name}": value for name, value in given.items()}}


def batch(*writes: Any) -> dict[str, Any]:
    return {"RequestItems": {"table": list(writes)}}


def names(members: Any) -> str:
    """What a case is called."""
    return " ".join(f"{name}={value}" for name, value in members.items())[:60] if isinstance(members, dict) else ""


def check(client: Any, operation: str, members: dict[str, Any], message: str) -> None:
    assert refusal(getattr(client, operation), **members) == ("ValidationException", message)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, f"1 validation error detected: Value null at 'item' {NULL}"),
        ({"Item": {}}, "One or more parameter values were invalid: Missing the key id in the item"),
        ({"Item": {**KEY, "x": {"S": "a", "N": "1"}}}, TWO),
        ({"Item": {**KEY, "x": {"L": [{}]}}}, EMPTY),
        ({"Item": {**KEY, "x": {"M": {"y": {"S": "a", "N": "1"}}}}}, TWO),
        ({"Item": KEY, "ConditionalOperator": "AND"}, "ConditionalOperator cannot be used without Filter or Expected"),
        ({"Item": KEY, "ReturnValues": "ALL_NEW"}, "ReturnValues can only be ALL_OLD or NONE"),
        # Values come before expressions, these before the table, and the table before its key.
        ({"Item": {"x": {}}, "ConditionExpression": "("}, EMPTY),
        (
            {"Item": {}, "ConditionExpression": "("},
            'Invalid ConditionExpression: Syntax error; token: "<EOF>", near: "("',
        ),
        (
            {"Item": KEY, "ExpressionAttributeNames": {"#n": "x"}},
            "ExpressionAttributeNames can only be specified when using expressions",
        ),
        (
            {"Item": KEY, "ConditionExpression": "attribute_exists(#n)", "ExpressionAttributeNames": {"#n": ""}},
            "ExpressionAttributeNames contains invalid value: "
            "An attribute name must have at least one character for key #n",
        ),
        (
            {"Item": KEY, "ConditionExpression": "id = :v", **values()},
            "ExpressionAttributeValues must not be empty",
        ),
        (
            {"Item": KEY, "ConditionExpression": "id = :v", **values(v={"N": "x"})},
            "ExpressionAttributeValues contains invalid value: "
            "The parameter cannot be converted to a numeric value: x for key :v",
        ),
    ],
    ids=names,
)
def test_puts(shared: Any, members: dict[str, Any], message: str) -> None:
    check(shared, "put_item", {"TableName": "table", **members}, message)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({}, "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request."),
        ({"KeyConditions": {}}, "Conditions can be of length 1 or 2 only"),
        (
            {
                "KeyConditionExpression": "id = :a AND sort = :b AND city = :c",
                **values(a={"S": "a"}, b={"N": "1"}, c={"S": "o"}),
            },
            "Conditions can be of length 1 or 2 only",
        ),
        (
            {"KeyConditionExpression": "id = :a AND city = :c", **values(a={"S": "a"}, c={"S": "o"})},
            "Query condition missed key schema element: sort",
        ),
        (
            {"IndexName": "global", "KeyConditionExpression": "id = :a", **values(a={"S": "a"})},
            "Query condition missed key schema element: city",
        ),
        (
            {
                "IndexName": "global",
                "KeyConditionExpression": "city = :o",
                "ConsistentRead": True,
                **values(o={"S": "o"}),
            },
            "Consistent reads are not supported on global secondary indexes",
        ),
        (
            {
                "IndexName": "global",
                "KeyConditionExpression": "city = :o",
                "FilterExpression": "score > :r",
                **values(o={"S": "o"}, r={"N": "0"}),
            },
            "Filter Expression can only contain non-primary key attributes: Primary key attribute: score",
        ),
        (
            {
                "IndexName": "global",
                "KeyConditionExpression": "city = :o",
                "ProjectionExpression": "Text",
                **values(o={"S": "o"}),
            },
            "Invalid ProjectionExpression: Attribute name is a reserved keyword; reserved keyword: Text",
        ),
        (
            {
                "IndexName": "global",
                "KeyConditionExpression": "city = :o",
                "ProjectionExpression": "#t",
                "ExpressionAttributeNames": {"#t": "note"},
                **values(o={"S": "o"}),
            },
            "One or more parameter values were invalid: Global secondary index global does not project [note]",
        ),
        (
            {
                "KeyConditionExpression": "id = :a",
                "ExclusiveStartKey": {"id": {"S": "b"}, "sort": {"N": "1"}},
                **values(a={"S": "a"}),
            },
            "The provided starting key is outside query boundaries based on provided conditions",
        ),
        (
            {"KeyConditionExpression": "id = :a", "Select": "ALL_PROJECTED_ATTRIBUTES", **values(a={"S": "a"})},
            "One or more parameter values were invalid: "
            "ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName",
        ),
    ],
    ids=names,
)
def test_queries(shared: Any, members: dict[str, Any], message: str) -> None:
    check(shared, "query", {"TableName": "table", **members}, message)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (batch({}), EMPTY),
        (batch({"PutRequest": {"Item": KEY}, "DeleteRequest": {"Key": KEY}}), TWO),
        (batch({"PutRequest": {"Item": {"id": {"S": "a"}}}}), MISMATCH),
        (batch({"DeleteRequest": {"Key": {**KEY, "x": {"S": "a"}}}}), MISMATCH),
        (
            batch({"PutRequest": {"Item": KEY}}, {"DeleteRequest": {"Key": {**KEY, "sort": {"N": "1.0"}}}}),
            "Provided list of item keys contains duplicates",
        ),
    ],
    ids=names,
)
def test_batches(shared: Any, members: dict[str, Any], message: str) -> None:
    check(shared, "batch_write_item", members, message)


CREATE = {"Create": index("new", "city", "note")}
DELETE = {"Delete": {"IndexName": "global"}}


def attributes(*given: str) -> list[dict[str, str]]:
    return [{"AttributeName": name, "AttributeType": "S"} for name in given]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (
            {},
            "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or "
            "SSESpecification or ReplicaUpdates is required",
        ),
        (
            {"GlobalSecondaryIndexUpdates": []},
            "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates or "
            "SSESpecification or ReplicaUpdates is required",
        ),
        (
            {"GlobalSecondaryIndexUpdates": [{}]},
            "One or more parameter values were invalid: One of GlobalSecondaryIndexUpdate.Update, "
            "GlobalSecondaryIndexUpdate.Create, GlobalSecondaryIndexUpdate.Delete must not be null",
        ),
        (
            {"GlobalSecondaryIndexUpdates": [DELETE, DELETE]},
            "One or more parameter values were invalid: "
            "Only one global secondary index update per index is allowed simultaneously. Index: global",
        ),
        # All of a new index's key has to be defined anew, also what the table has in its own.
        (
            {"GlobalSecondaryIndexUpdates": [CREATE], "AttributeDefinitions": attributes("note")},
            "One or more parameter values were invalid: Some index key attributes are not defined in "
            "AttributeDefinitions. Keys: [city, note], AttributeDefinitions: [note]",
        ),
        (
            {"GlobalSecondaryIndexUpdates": [CREATE], "AttributeDefinitions": attributes("city")},
            "Invalid KeySchema: Some index key attribute have no definition",
        ),
    ],
    ids=names,
)
def test_updates_of_tables(shared: Any, members: dict[str, Any], message: str) -> None:
    check(shared, "update_table", {"TableName": "table", **members}, message)
