"""TransactWriteItems and TransactGetItems."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from dynamodb_cases import Table, index, invalid, refusal


def put(name: str, **members: Any) -> dict[str, Any]:
    return {"Put": {"TableName": "table", "Item": {"id": {"S": name}}, **members}}


def key(name: str, **members: Any) -> dict[str, Any]:
    return {"TableName": "table", "Key": {"id": {"S": name}}, **members}


def cancelled(dynamodb: Any, *actions: Any) -> tuple[str, list[Any]]:
    with pytest.raises(dynamodb.exceptions.TransactionCanceledException) as caught:
        dynamodb.transact_write_items(TransactItems=list(actions))
    return caught.value.response["Error"]["Message"], caught.value.response["CancellationReasons"]


def test_all_kinds_at_once(dynamodb: Any, table: Table) -> None:
    table()
    for name in ("upd", "del", "chk"):
        dynamodb.put_item(TableName="table", Item={"id": {"S": name}, "n": {"N": "1"}})
    dynamodb.transact_write_items(
        TransactItems=[
            put("new"),
            {
                "Update": key(
                    "upd",
                    UpdateExpression="SET n = n + :one",
                    ConditionExpression="n = :one",
                    ExpressionAttributeValues={":one": {"N": "1"}},
                )
            },
            {"Delete": key("del")},
            {"ConditionCheck": key("chk", ConditionExpression="attribute_exists(id)")},
        ]
    )
    answer = dynamodb.transact_get_items(
        TransactItems=[
            {"Get": key("new")},
            {"Get": key("upd", ProjectionExpression="n")},
            {"Get": key("del")},
        ]
    )
    assert answer["Responses"] == [{"Item": {"id": {"S": "new"}}}, {"Item": {"n": {"N": "2"}}}, {}]


def test_empty_keys_are_refused_before_there_is_a_transaction(dynamodb: Any, table: Table) -> None:
    table("id:S | g:B", GlobalSecondaryIndexes=[index("idx", "g")])
    empty = "The AttributeValue for a key attribute cannot contain an empty {} value."
    condition = {"ConditionExpression": "attribute_exists(id)"}
    for action in (
        put(""),
        {"Delete": key("")},
        {"ConditionCheck": key("", **condition)},
        {"Update": key("", UpdateExpression="REMOVE x")},
    ):
        assert refusal(dynamodb.transact_write_items, TransactItems=[put("a"), action]) == invalid(
            f"One or more parameter values are not valid. {empty.format('string')} Key: id"
        )
    indexed = {"Put": {"TableName": "table", "Item": {"id": {"S": "a"}, "g": {"B": b""}}}}
    code, message = refusal(dynamodb.transact_write_items, TransactItems=[indexed])
    assert (code, empty.format("binary") in message) == ("ValidationException", True)
    # What is wrong otherwise with a key cancels it.
    wrong = {"Put": {"TableName": "table", "Item": {"id": {"N": "1"}}}}
    _, reasons = cancelled(dynamodb, put("a"), wrong)
    assert [reason["Code"] for reason in reasons] == ["None", "ValidationError"]
    assert dynamodb.scan(TableName="table")["Count"] == 0


def test_one_condition_fails_and_nothing_is_done(dynamodb: Any, table: Table) -> None:
    table()
    dynamodb.put_item(TableName="table", Item={"id": {"S": "old"}})
    condition = {"ConditionExpression": "attribute_not_exists(id)"}
    message, reasons = cancelled(
        dynamodb,
        put("new"),
        put("old", **condition, ReturnValuesOnConditionCheckFailure="ALL_OLD"),
        {"Update": key("other", UpdateExpression="ADD id2 :n", ExpressionAttributeValues={":n": {"N": "1"}})},
    )
    assert message == (
        "Transaction cancelled, please refer cancellation reasons for specific reasons "
        "[None, ConditionalCheckFailed, None]"
    )
    assert reasons == [
        {"Code": "None"},
        {
            "Code": "ConditionalCheckFailed",
            "Message": "The conditional request failed",
            "Item": {"id": {"S": "old"}},
        },
        {"Code": "None"},
    ]
    assert dynamodb.scan(TableName="table")["Count"] == 1


def test_an_update_that_does_not_fit(dynamodb: Any, table: Table) -> None:
    table()
    dynamodb.put_item(TableName="table", Item={"id": {"S": "a"}, "s": {"S": "text"}})
    update = key("a", UpdateExpression="SET s = s + :n", ExpressionAttributeValues={":n": {"N": "1"}})
    message, reasons = cancelled(dynamodb, put("b"), {"Update": update})
    assert message.endswith("[None, ValidationError]")
    assert reasons[1]["Message"] == "An operand in the update expression has an incorrect data type"


def test_refused_before_anything_is_done(dynamodb: Any, table: Table) -> None:
    table("id:S | g:S", GlobalSecondaryIndexes=[index("idx", "g")])

    def write(*actions: Any) -> tuple[str, str]:
        return refusal(dynamodb.transact_write_items, TransactItems=list(actions))

    assert write(put("a"), {"Delete": key("a")}) == invalid(
        "Transaction request cannot include multiple operations on one item"
    )
    assert write({**put("a"), "Delete": key("b")}) == invalid(
        "TransactItems can only contain one of Check, Put, Update or Delete"
    )
    assert write({}) == invalid("TransactItems can only contain one of Check, Put, Update or Delete")
    # What only the table can tell is a reason like any other.
    for item, message in (
        ({"id": {"N": "1"}}, "Type mismatch for key id expected: S actual: N"),
        ({"id": {"S": "a"}, "g": {"N": "1"}}, "Type mismatch for Index Key g Expected: S Actual: N IndexName: idx"),
    ):
        with pytest.raises(ClientError) as caught:
            dynamodb.transact_write_items(TransactItems=[put("b"), {"Put": {"TableName": "table", "Item": item}}])
        assert caught.value.response["Error"]["Message"].endswith("[None, ValidationError]")
        assert caught.value.response["CancellationReasons"][1] == {
            "Code": "ValidationError",
            "Message": f"One or more parameter values were invalid: {message}",
        }
    assert write(put("a"), put("b", TableName="nope")) == (
        "ResourceNotFoundException",
        "Requested resource not found",
    )
    assert write(put("a", ConditionExpression="x")) == invalid(
        'Invalid ConditionExpression: Syntax error; token: "<EOF>", near: "x"'
    )
    assert write(*(put(f"i{number}") for number in range(101)))[0] == "ValidationException"
    assert dynamodb.scan(TableName="table")["Count"] == 0


def test_a_token_makes_it_once(dynamodb: Any, table: Table) -> None:
    table()
    add = [{"Update": key("a", UpdateExpression="ADD n :n", ExpressionAttributeValues={":n": {"N": "1"}})}]
    for _ in range(3):
        dynamodb.transact_write_items(TransactItems=add, ClientRequestToken="token")
    assert dynamodb.get_item(**key("a"))["Item"]["n"] == {"N": "1"}
    code, _ = refusal(dynamodb.transact_write_items, TransactItems=[put("b")], ClientRequestToken="token")
    assert code == "IdempotentParameterMismatchException"
    dynamodb.transact_write_items(TransactItems=add, ClientRequestToken="another")
    assert dynamodb.get_item(**key("a"))["Item"]["n"] == {"N": "2"}


def test_a_repeated_call_consumes_what_reading_its_items_does(dynamodb: Any, table: Table) -> None:
    table()
    large = put("a", Item={"id": {"S": "a"}, "d": {"S": "x" * 5000}})
    call = {"TransactItems": [large, put("b")], "ReturnConsumedCapacity": "TOTAL"}
    first, again = (dynamodb.transact_write_items(**call, ClientRequestToken="token") for _ in range(2))
    assert first["ConsumedCapacity"] == [{"TableName": "table", "CapacityUnits": 12.0, "WriteCapacityUnits": 12.0}]
    assert again["ConsumedCapacity"] == [{"TableName": "table", "CapacityUnits": 6.0, "ReadCapacityUnits": 6.0}]
    statements = [{"Statement": "DELETE FROM \"table\" WHERE id='b'"}]
    call = {"TransactStatements": statements, "ReturnConsumedCapacity": "TOTAL", "ClientRequestToken": "other"}
    dynamodb.execute_transaction(**call)
    assert dynamodb.execute_transaction(**call)["ConsumedCapacity"] == [
        {"TableName": "table", "CapacityUnits": 2.0, "ReadCapacityUnits": 2.0}
    ]


def test_a_cancelled_call_does_not_use_its_token_up(dynamodb: Any, table: Table) -> None:
    table()
    action = put("a", ConditionExpression="attribute_exists(id)")
    for _ in range(2):
        code, _ = refusal(dynamodb.transact_write_items, TransactItems=[action], ClientRequestToken="token")
        assert code == "TransactionCanceledException"


def test_consumed_capacity(dynamodb: Any, table: Table) -> None:
    table()
    answer = dynamodb.transact_write_items(TransactItems=[put("a"), put("b")], ReturnConsumedCapacity="TOTAL")
    assert answer["ConsumedCapacity"] == [{"TableName": "table", "CapacityUnits": 4.0, "WriteCapacityUnits": 4.0}]
    answer = dynamodb.transact_get_items(TransactItems=[{"Get": key("a")}], ReturnConsumedCapacity="TOTAL")
    assert answer["ConsumedCapacity"] == [{"TableName": "table", "CapacityUnits": 2.0, "ReadCapacityUnits": 2.0}]
