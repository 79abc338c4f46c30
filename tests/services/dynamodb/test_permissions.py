"""Who may do what: tables, indexes, and the condition keys of single items and attributes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from dynamodb_cases import Table, index, refusal

ITEM = {"id": {"S": "ann"}, "secret": {"S": "s"}, "shown": {"S": "p"}, "g": {"S": "ann"}}


@pytest.fixture
def ann(aws: Any, table: Table, dynamodb: Any) -> Any:
    """Gives the client of a user with just these statements; there is a table "table" with an index "idx"."""
    table("id:S | g:S", GlobalSecondaryIndexes=[index("idx", "g")])
    for name in ("ann", "bob"):
        dynamodb.put_item(TableName="table", Item={**ITEM, "id": {"S": name}})
    iam = aws.client("iam")
    iam.create_user(UserName="ann")
    key = iam.create_access_key(UserName="ann")["AccessKey"]

    def client(*statements: dict[str, Any]) -> Any:
        iam.put_user_policy(
            UserName="ann",
            PolicyName="p",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": list(statements)}),
        )
        return aws.client("dynamodb", credentials=key)

    return client


def allow(aws: Any, *actions: str, resource: str = "table/table", **condition: Any) -> dict[str, Any]:
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Action": [f"dynamodb:{action}" for action in actions],
        "Resource": f"arn:aws:dynamodb:{aws.region}:{aws.account}:{resource}",
    }
    return {**statement, "Condition": condition} if condition else statement


def key(name: str, **members: Any) -> dict[str, Any]:
    return {"TableName": "table", "Key": {"id": {"S": name}}, **members}


def denial(aws: Any, action: str, resource: str = "table/table") -> tuple[str, str]:
    return (
        "AccessDeniedException",
        f"User: arn:aws:iam::{aws.account}:user/ann is not authorized to perform: dynamodb:{action} on resource: "
        f"arn:aws:dynamodb:{aws.region}:{aws.account}:{resource} "
        f"because no identity-based policy allows the dynamodb:{action} action",
    )


def by_group(name: str, **members: Any) -> dict[str, Any]:
    return {
        "TableName": "table",
        "IndexName": "idx",
        "KeyConditionExpression": "g = :g",
        "ExpressionAttributeValues": {":g": {"S": name}},
        **members,
    }


def test_every_operation_is_asked_for(aws: Any, ann: Any) -> None:
    client = ann(allow(aws, "Nothing"))
    put = {"TableName": "table", "Item": {"id": {"S": "ann"}}}
    update = key("ann", UpdateExpression="REMOVE x")
    for operation, members in {
        "GetItem": key("ann"),
        "PutItem": put,
        "UpdateItem": update,
        "DeleteItem": key("ann"),
        "Scan": {"TableName": "table"},
        "BatchGetItem": {"RequestItems": {"table": {"Keys": [{"id": {"S": "ann"}}]}}},
        "BatchWriteItem": {"RequestItems": {"table": [{"PutRequest": {"Item": {"id": {"S": "ann"}}}}]}},
        "DescribeTable": {"TableName": "table"},
        "UpdateTable": {"TableName": "table", "BillingMode": "PAY_PER_REQUEST"},
        "DeleteTable": {"TableName": "table"},
        "DescribeTimeToLive": {"TableName": "table"},
        "DescribeContinuousBackups": {"TableName": "table"},
    }.items():
        assert refusal(client._make_api_call, operation, members) == denial(aws, operation)
    assert refusal(client.query, **by_group("ann")) == denial(aws, "Query", "table/table/index/idx")
    assert refusal(client.list_tables)[0] == "AccessDeniedException"
    # A transaction needs what its actions need.
    assert refusal(client.transact_write_items, TransactItems=[{"Put": put}]) == denial(aws, "PutItem")
    assert refusal(client.transact_write_items, TransactItems=[{"Update": update}]) == denial(aws, "UpdateItem")
    assert refusal(client.transact_get_items, TransactItems=[{"Get": key("ann")}]) == denial(aws, "GetItem")
    # What is not there is not told to those who may not ask.
    assert refusal(client.get_item, TableName="nope", Key={"id": {"S": "a"}}) == denial(aws, "GetItem", "table/nope")


def test_tables_and_indexes_are_allowed_each_for_itself(aws: Any, ann: Any) -> None:
    client = ann(allow(aws, "Query", "GetItem", "PutItem"))
    assert client.get_item(**key("ann"))["Item"] == ITEM
    assert refusal(client.query, **by_group("ann")) == denial(aws, "Query", "table/table/index/idx")
    client = ann(allow(aws, "Query", resource="table/table/index/*"))
    assert client.query(**by_group("ann"))["Count"] == 2
    assert refusal(client.get_item, **key("ann")) == denial(aws, "GetItem")


def test_leading_keys(aws: Any, ann: Any) -> None:
    client = ann(
        allow(
            aws,
            "*",
            resource="table/table*",
            **{"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["${aws:username}"]}},
        )
    )
    mine = {"TableName": "table", "Item": {"id": {"S": "ann"}, "x": {"S": "1"}}}
    theirs = {"TableName": "table", "Item": {"id": {"S": "bob"}, "x": {"S": "1"}}}
    client.put_item(**mine)
    assert refusal(client.put_item, **theirs) == denial(aws, "PutItem")
    client.get_item(**key("ann"))
    assert refusal(client.get_item, **key("bob")) == denial(aws, "GetItem")
    assert refusal(client.delete_item, **key("bob")) == denial(aws, "DeleteItem")
    assert refusal(client.update_item, **key("bob", UpdateExpression="REMOVE x")) == denial(aws, "UpdateItem")
    both = {"table": {"Keys": [{"id": {"S": "ann"}}, {"id": {"S": "bob"}}]}}
    assert refusal(client.batch_get_item, RequestItems=both) == denial(aws, "BatchGetItem")
    writes = {"table": [{"DeleteRequest": {"Key": {"id": {"S": "bob"}}}}]}
    assert refusal(client.batch_write_item, RequestItems=writes) == denial(aws, "BatchWriteItem")
    assert refusal(client.transact_write_items, TransactItems=[{"Put": mine}, {"Put": theirs}])[0] == (
        "AccessDeniedException"
    )
    query = {
        "TableName": "table",
        "KeyConditionExpression": "#k = :v",
        "ExpressionAttributeNames": {"#k": "id"},
    }
    assert client.query(**query, ExpressionAttributeValues={":v": {"S": "ann"}})["Count"] == 1
    assert refusal(client.query, **query, ExpressionAttributeValues={":v": {"S": "bob"}}) == denial(aws, "Query")
    # Of an index it is the index's own partition key that counts.
    client.query(**by_group("ann"))
    assert refusal(client.query, **by_group("bob")) == denial(aws, "Query", "table/table/index/idx")


def test_attributes(aws: Any, ann: Any) -> None:
    client = ann(
        allow(
            aws,
            "GetItem",
            "UpdateItem",
            "Query",
            resource="table/table*",
            **{
                "ForAllValues:StringEquals": {"dynamodb:Attributes": ["id", "shown", "g"]},
                "StringEqualsIfExists": {
                    "dynamodb:Select": "SPECIFIC_ATTRIBUTES",
                    "dynamodb:ReturnValues": ["NONE", "UPDATED_OLD", "UPDATED_NEW"],
                },
            },
        )
    )
    assert client.get_item(**key("ann", ProjectionExpression="shown"))["Item"] == {"shown": {"S": "p"}}
    assert refusal(client.get_item, **key("ann")) == denial(aws, "GetItem")
    assert refusal(client.get_item, **key("ann", ProjectionExpression="shown, secret")) == denial(aws, "GetItem")
    hidden = {"ProjectionExpression": "#p", "ExpressionAttributeNames": {"#p": "secret"}}
    assert refusal(client.get_item, **key("ann", **hidden)) == denial(aws, "GetItem")
    client.update_item(**key("ann", UpdateExpression="REMOVE shown"))
    assert refusal(client.update_item, **key("ann", UpdateExpression="REMOVE secret.x")) == denial(aws, "UpdateItem")
    assert refusal(client.update_item, **key("ann", UpdateExpression="REMOVE shown", ReturnValues="ALL_NEW")) == denial(
        aws, "UpdateItem"
    )
    # Reading by way of a filter or condition is reading, too.
    peek = {"ConditionExpression": "attribute_exists(secret)", "UpdateExpression": "REMOVE shown"}
    assert refusal(client.update_item, **key("ann", **peek)) == denial(aws, "UpdateItem")
    assert client.query(**by_group("ann", ProjectionExpression="shown"))["Count"] == 2
    filtered = by_group("ann", ProjectionExpression="shown", FilterExpression="attribute_exists(secret)")
    assert refusal(client.query, **filtered) == denial(aws, "Query", "table/table/index/idx")
