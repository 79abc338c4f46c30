"""Single items: put, get, update, delete; conditions, returned values, keys, limits."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from dynamodb_cases import Table, index, invalid, invalid_values, refusal

FAILED = ("ConditionalCheckFailedException", "The conditional request failed")
KEY_MISMATCH = invalid("The provided key element does not match the schema")
NOT_FOUND = ("ResourceNotFoundException", "Requested resource not found")
EVERYTHING: dict[str, Any] = {
    "id": {"S": "all"},
    "s": {"S": "ünï\u0000\U0001f600"},
    "n": {"N": "-12.5"},
    "b": {"B": b"\x00\xff"},
    "ss": {"SS": ["a", "b"]},
    "ns": {"NS": ["1", "2.5"]},
    "bs": {"BS": [b"x", b""]},
    "l": {"L": [{"B": b"in"}, {"L": []}, {"NULL": True}]},
    "m": {"M": {"k": {"BOOL": False}, "": {"S": ""}}},
}


def get(dynamodb: Any, key: dict[str, Any], **members: Any) -> Any:
    return dynamodb.get_item(TableName="table", Key=key, **members).get("Item")


def test_every_type_comes_back(dynamodb: Any, table: Table) -> None:
    table()
    answer = dynamodb.put_item(TableName="table", Item=EVERYTHING)
    assert answer.keys() == {"ResponseMetadata"}
    assert get(dynamodb, {"id": {"S": "all"}}) == EVERYTHING
    assert get(dynamodb, {"id": {"S": "none"}}) is None


def test_numbers_come_back_in_canonical_form(dynamodb: Any, table: Table) -> None:
    table("id:N")
    dynamodb.put_item(TableName="table", Item={"id": {"N": "1.0e1"}, "s": {"NS": ["007", "1e-2"]}})
    assert get(dynamodb, {"id": {"N": "10.00"}}) == {"id": {"N": "10"}, "s": {"NS": ["7", "0.01"]}}


def test_what_a_put_returns(dynamodb: Any, table: Table) -> None:
    table()
    old, new = {"id": {"S": "a"}, "v": {"B": b"1"}}, {"id": {"S": "a"}, "w": {"S": "2"}}
    assert "Attributes" not in dynamodb.put_item(TableName="table", Item=old, ReturnValues="ALL_OLD")
    assert dynamodb.put_item(TableName="table", Item=new, ReturnValues="ALL_OLD")["Attributes"] == old
    assert "Attributes" not in dynamodb.put_item(TableName="table", Item=new, ReturnValues="NONE")
    assert get(dynamodb, {"id": {"S": "a"}}) == new
    assert refusal(dynamodb.put_item, TableName="table", Item=old, ReturnValues="ALL_NEW") == invalid(
        "ReturnValues can only be ALL_OLD or NONE"
    )


def test_delete(dynamodb: Any, table: Table) -> None:
    table()
    item = {"id": {"S": "a"}, "v": {"S": "1"}}
    dynamodb.put_item(TableName="table", Item=item)
    key = {"id": {"S": "a"}}
    assert (
        refusal(dynamodb.delete_item, TableName="table", Key=key, ConditionExpression="attribute_exists(x)") == FAILED
    )
    assert dynamodb.delete_item(TableName="table", Key=key, ReturnValues="ALL_OLD")["Attributes"] == item
    assert "Attributes" not in dynamodb.delete_item(TableName="table", Key=key, ReturnValues="ALL_OLD")
    assert get(dynamodb, key) is None


def test_conditions(dynamodb: Any, table: Table) -> None:
    table()
    item = {"id": {"S": "a"}, "price": {"N": "650"}, "b": {"B": b"x"}}
    dynamodb.put_item(TableName="table", Item=item, ConditionExpression="attribute_not_exists(id)")
    again = {"TableName": "table", "Item": item, "ConditionExpression": "attribute_not_exists(id)"}
    assert refusal(dynamodb.put_item, **again) == FAILED
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException) as caught:
        dynamodb.put_item(**again, ReturnValuesOnConditionCheckFailure="ALL_OLD")
    assert caught.value.response["Item"] == item
    # As "Message" it is no member of the modelled error.
    assert "message" not in caught.value.response
    assert caught.value.response["Error"]["Message"] == "The conditional request failed"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    with pytest.raises(dynamodb.exceptions.ConditionalCheckFailedException) as caught:
        dynamodb.update_item(
            TableName="table",
            Key={"id": {"S": "new"}},
            ConditionExpression="price > :p",
            ExpressionAttributeValues={":p": {"N": "1"}},
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert "Item" not in caught.value.response
    assert get(dynamodb, {"id": {"S": "new"}}) is None


@pytest.mark.parametrize(
    ("returns", "expected"),
    [
        ("NONE", None),
        ("ALL_OLD", {"id": {"S": "a"}, "n": {"N": "1"}, "m": {"M": {"x": {"S": "1"}, "y": {"S": "2"}}}}),
        ("UPDATED_OLD", {"n": {"N": "1"}, "m": {"M": {"x": {"S": "1"}}}}),
        (
            "ALL_NEW",
            {
                "id": {"S": "a"},
                "n": {"N": "2"},
                "m": {"M": {"x": {"S": "new"}, "y": {"S": "2"}}},
                "fresh": {"S": "new"},
            },
        ),
        ("UPDATED_NEW", {"n": {"N": "2"}, "m": {"M": {"x": {"S": "new"}}}, "fresh": {"S": "new"}}),
    ],
)
def test_what_an_update_returns(dynamodb: Any, table: Table, returns: str, expected: dict[str, Any] | None) -> None:
    table()
    dynamodb.put_item(
        TableName="table",
        Item={"id": {"S": "a"}, "n": {"N": "1"}, "m": {"M": {"x": {"S": "1"}, "y": {"S": "2"}}}},
    )
    answer = dynamodb.update_item(
        TableName="table",
        Key={"id": {"S": "a"}},
        UpdateExpression="SET m.x = :s, fresh = :s ADD n :one REMOVE absent",
        ExpressionAttributeValues={":s": {"S": "new"}, ":one": {"N": "1"}},
        ReturnValues=returns,
    )
    assert answer.get("Attributes") == expected


def test_an_update_makes_the_item(dynamodb: Any, table: Table) -> None:
    table("id:S sort:N")
    key = {"id": {"S": "a"}, "sort": {"N": "1"}}
    answer = dynamodb.update_item(
        TableName="table",
        Key=key,
        UpdateExpression="SET v = :v",
        ExpressionAttributeValues={":v": {"S": "x"}},
        ReturnValues="ALL_NEW",
    )
    assert answer["Attributes"] == {**key, "v": {"S": "x"}}
    bare = {"id": {"S": "b"}, "sort": {"N": "2"}}
    assert "Attributes" not in dynamodb.update_item(TableName="table", Key=bare, ReturnValues="ALL_OLD")
    assert get(dynamodb, bare) == bare


def test_projection(dynamodb: Any, table: Table) -> None:
    table()
    dynamodb.put_item(TableName="table", Item=EVERYTHING)
    assert get(
        dynamodb,
        {"id": {"S": "all"}},
        ProjectionExpression="n, #m.k, l[0]",
        ExpressionAttributeNames={"#m": "m"},
    ) == {"n": {"N": "-12.5"}, "m": {"M": {"k": {"BOOL": False}}}, "l": {"L": [{"B": b"in"}]}}
    assert get(dynamodb, {"id": {"S": "all"}}, ProjectionExpression="absent") == {}


def test_table_names_may_be_arns(dynamodb: Any, table: Table) -> None:
    table()
    arn = dynamodb.describe_table(TableName="table")["Table"]["TableArn"]
    dynamodb.put_item(TableName=arn, Item={"id": {"S": "a"}})
    assert dynamodb.get_item(TableName=arn, Key={"id": {"S": "a"}})["Item"] == {"id": {"S": "a"}}
    consumed = dynamodb.put_item(TableName=arn, Item={"id": {"S": "a"}}, ReturnConsumedCapacity="TOTAL")
    assert consumed["ConsumedCapacity"] == {"TableName": arn, "CapacityUnits": 1.0}


@pytest.mark.parametrize(
    ("item", "refused"),
    [
        ({"x": {"S": "a"}}, invalid_values("Missing the key id in the item")),
        ({"id": {"S": "a"}}, invalid_values("Missing the key sort in the item")),
        (
            {"id": {"N": "1"}, "sort": {"N": "1"}},
            invalid_values("Type mismatch for key id expected: S actual: N"),
        ),
        (
            {"id": {"S": ""}, "sort": {"N": "1"}},
            invalid(
                "One or more parameter values are not valid. "
                "The AttributeValue for a key attribute cannot contain an empty string value. Key: id"
            ),
        ),
        (
            {"id": {"S": "x" * 2049}, "sort": {"N": "1"}},
            invalid_values("Size of hashkey has exceeded the maximum size limit of2048 bytes"),
        ),
        (
            {"id": {"S": "a"}, "sort": {"N": "1"}, "x": {}},
            invalid("Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"),
        ),
        (
            {"id": {"S": "a"}, "sort": {"N": "1"}, "x": {"S": "x" * (400 * 1024)}},
            invalid("Item size has exceeded the maximum allowed size"),
        ),
        (
            {"id": {"S": "a"}, "sort": {"N": "1"}, "x": {"SS": []}},
            invalid_values("An string set  may not be empty"),
        ),
        (
            {"id": {"S": "a"}, "sort": {"N": "x"}},
            invalid("The parameter cannot be converted to a numeric value: x"),
        ),
    ],
)
def test_wrong_items(dynamodb: Any, table: Table, item: dict[str, Any], refused: tuple[str, str]) -> None:
    table("id:S sort:N")
    assert refusal(dynamodb.put_item, TableName="table", Item=item) == refused
    assert dynamodb.scan(TableName="table")["Count"] == 0


@pytest.mark.parametrize(
    "key",
    [
        {},
        {"id": {"S": "a"}},
        {"id": {"S": "a"}, "other": {"N": "1"}},
        {"id": {"S": "a"}, "sort": {"S": "1"}},
        {"id": {"S": "a"}, "sort": {"N": "1"}, "more": {"S": "x"}},
    ],
)
def test_wrong_keys(dynamodb: Any, table: Table, key: dict[str, Any]) -> None:
    table("id:S sort:N")
    # Both ways of finding a table: anew, and remembered.
    for _ in range(2):
        assert refusal(dynamodb.get_item, TableName="table", Key=key) == KEY_MISMATCH
    assert refusal(dynamodb.delete_item, TableName="table", Key=key) == KEY_MISMATCH
    assert refusal(dynamodb.update_item, TableName="table", Key=key) == KEY_MISMATCH


def test_long_and_strange_keys(dynamodb: Any, table: Table) -> None:
    table("id:B sort:B")
    keys = [(b"\x00" * 2048, b"\x00" * 1024), (b"\xff" * 2048, b"\xff" * 1024), (b"a\x00", b"b"), (b"a", b"\x00b")]
    for number, (partition, sort) in enumerate(keys):
        dynamodb.put_item(
            TableName="table", Item={"id": {"B": partition}, "sort": {"B": sort}, "n": {"N": str(number)}}
        )
    for number, (partition, sort) in enumerate(keys):
        assert get(dynamodb, {"id": {"B": partition}, "sort": {"B": sort}})["n"] == {"N": str(number)}
    assert refusal(
        dynamodb.put_item, TableName="table", Item={"id": {"B": b"a"}, "sort": {"B": b"x" * 1025}}
    ) == invalid_values("Aggregated size of all range keys has exceeded the size limit of 1024 bytes")


def test_the_largest_item(dynamodb: Any, table: Table) -> None:
    table()
    dynamodb.put_item(TableName="table", Item={"id": {"S": "a"}, "x": {"S": "x" * (400 * 1024 - 4)}})
    assert refusal(
        dynamodb.update_item,
        TableName="table",
        Key={"id": {"S": "a"}},
        UpdateExpression="SET y = :y",
        ExpressionAttributeValues={":y": {"S": ""}},
    ) == invalid("Item size to update has exceeded the maximum allowed size")


def test_tables_that_are_not_there(dynamodb: Any) -> None:
    key = {"id": {"S": "a"}}
    assert refusal(dynamodb.put_item, TableName="nope", Item=key) == NOT_FOUND
    assert refusal(dynamodb.get_item, TableName="nope", Key=key) == NOT_FOUND
    assert refusal(dynamodb.update_item, TableName="nope", Key=key) == NOT_FOUND
    assert refusal(dynamodb.delete_item, TableName="nope", Key=key) == NOT_FOUND


def test_a_dropped_table_is_not_remembered(dynamodb: Any, table: Table) -> None:
    table()
    dynamodb.put_item(TableName="table", Item={"id": {"S": "a"}})
    assert get(dynamodb, {"id": {"S": "a"}})
    dynamodb.delete_table(TableName="table")
    assert refusal(dynamodb.get_item, TableName="table", Key={"id": {"S": "a"}}) == NOT_FOUND
    assert refusal(dynamodb.put_item, TableName="table", Item={"id": {"S": "a"}}) == NOT_FOUND
    table("other:S")
    assert refusal(dynamodb.get_item, TableName="table", Key={"id": {"S": "a"}}) == KEY_MISMATCH
    assert get(dynamodb, {"other": {"S": "a"}}) is None


@pytest.mark.parametrize(
    ("members", "refused"),
    [
        (
            {"UpdateExpression": "SET id = :v"},
            invalid_values("Cannot update attribute id. This attribute is part of the key"),
        ),
        (
            {"UpdateExpression": "SET v = :v", "AttributeUpdates": {}},
            invalid(
                "Can not use both expression and non-expression parameters in the same request: "
                "Non-expression parameters: {AttributeUpdates} Expression parameters: {UpdateExpression}"
            ),
        ),
        (
            {},
            invalid(
                "ExpressionAttributeValues can only be specified when using expressions: "
                "UpdateExpression and ConditionExpression are null"
            ),
        ),
        (
            {"UpdateExpression": "SET v = :v", "ExpressionAttributeNames": {"#a": "b"}},
            invalid("Value provided in ExpressionAttributeNames unused in expressions: keys: {#a}"),
        ),
        (
            {"UpdateExpression": "SET v = :w"},
            invalid(
                "Invalid UpdateExpression: An expression attribute value used in expression is not defined; "
                "attribute value: :w"
            ),
        ),
        (
            {"UpdateExpression": "SET v = w + :v"},
            invalid("The provided expression refers to an attribute that does not exist in the item"),
        ),
        (
            {"UpdateExpression": "SET v.w = :v"},
            invalid("The document path provided in the update expression is invalid for update"),
        ),
        ({"UpdateExpression": ""}, invalid("Invalid UpdateExpression: The expression can not be empty;")),
    ],
)
def test_wrong_updates(dynamodb: Any, table: Table, members: dict[str, Any], refused: tuple[str, str]) -> None:
    table()
    assert (
        refusal(
            dynamodb.update_item,
            TableName="table",
            Key={"id": {"S": "a"}},
            ExpressionAttributeValues={":v": {"N": "1"}},
            **members,
        )
        == refused
    )
    assert get(dynamodb, {"id": {"S": "a"}}) is None


def test_parameters_without_expressions(dynamodb: Any, table: Table) -> None:
    table()
    assert refusal(
        dynamodb.put_item,
        TableName="table",
        Item={"id": {"S": "a"}},
        ExpressionAttributeValues={":v": {"N": "1"}},
    ) == invalid("ExpressionAttributeValues can only be specified when using expressions: ConditionExpression is null")
    assert refusal(
        dynamodb.get_item, TableName="table", Key={"id": {"S": "a"}}, ExpressionAttributeNames={"#a": "b"}
    ) == invalid("ExpressionAttributeNames can only be specified when using expressions")


def test_consumed_capacity(dynamodb: Any, table: Table) -> None:
    table("id:S | g:S", GlobalSecondaryIndexes=[index("idx", "g", kind="KEYS_ONLY")])
    item = {"id": {"S": "a"}, "g": {"S": "1"}, "x": {"S": "x" * 4500}}

    def consumed(answer: Any) -> Any:
        return answer["ConsumedCapacity"]

    def put(**changes: Any) -> Any:
        return consumed(
            dynamodb.put_item(TableName="table", Item={**item, **changes}, ReturnConsumedCapacity="INDEXES")
        )

    def expect(table_units: float, index_units: float) -> dict[str, Any]:
        expected: dict[str, Any] = {
            "TableName": "table",
            "CapacityUnits": table_units + index_units,
            "Table": {"CapacityUnits": table_units},
        }
        if index_units:
            expected["GlobalSecondaryIndexes"] = {"idx": {"CapacityUnits": index_units}}
        return expected

    assert put() == expect(5.0, 1.0)
    # Nothing that the index has changes; then its key does: one entry goes, one comes.
    assert put(x={"S": "y"}) == expect(5.0, 0.0)
    assert put(x={"S": "y"}, g={"S": "2"}) == expect(1.0, 2.0)
    put()
    key = {"TableName": "table", "Key": {"id": {"S": "a"}}, "ReturnConsumedCapacity": "TOTAL"}
    assert consumed(dynamodb.get_item(**key)) == {"TableName": "table", "CapacityUnits": 1.0}
    assert consumed(dynamodb.get_item(**key, ConsistentRead=True))["CapacityUnits"] == 2.0
    none = {**key, "Key": {"id": {"S": "none"}}}
    assert consumed(dynamodb.get_item(**none))["CapacityUnits"] == 0.5
    assert consumed(dynamodb.delete_item(**key))["CapacityUnits"] == 6.0


def test_counting_at_the_same_time_loses_nothing(dynamodb: Any, aws: Any, table: Table) -> None:
    table()
    callers, rounds = 8, 25

    def count() -> None:
        own = aws.client("dynamodb")
        for _ in range(rounds):
            own.update_item(
                TableName="table",
                Key={"id": {"S": "counter"}},
                UpdateExpression="ADD n :one",
                ExpressionAttributeValues={":one": {"N": "1"}},
            )

    threads = [threading.Thread(target=count) for _ in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert get(dynamodb, {"id": {"S": "counter"}})["n"] == {"N": str(callers * rounds)}


def test_only_one_of_many_wins_a_condition(dynamodb: Any, aws: Any, table: Table) -> None:
    table()
    won: list[int] = []

    def claim(who: int) -> None:
        own = aws.client("dynamodb")
        try:
            own.put_item(
                TableName="table",
                Item={"id": {"S": "lock"}, "owner": {"N": str(who)}},
                ConditionExpression="attribute_not_exists(id)",
            )
        except own.exceptions.ConditionalCheckFailedException:
            return
        won.append(who)

    threads = [threading.Thread(target=claim, args=(who,)) for who in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [{"N": str(who)} for who in won] == [get(dynamodb, {"id": {"S": "lock"}})["owner"]]
