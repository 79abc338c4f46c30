"""Expressions and PartiQL made at random: each gives a result or an error in AWS's words, and within the client's time.

The client waits `LIMIT_S` for an answer and asks once: what takes longer, or ends with a fault of ours, fails.
"""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from dynamodb_cases import definition
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

LIMIT_S = 10
REFUSALS = {
    "ValidationException",
    "ConditionalCheckFailedException",
    "DuplicateItemException",
    "ResourceNotFoundException",
}
VALUES = {
    ":s": {"S": "x"},
    ":n": {"N": "1"},
    ":l": {"L": [{"N": "1"}, {"S": "a"}]},
    ":set": {"SS": ["a", "b"]},
    ":m": {"M": {"k": {"N": "1"}}},
}
SPOKEN = """
a b l m #a #b id :s :n :l :set :m SET REMOVE ADD DELETE AND OR NOT BETWEEN IN ( ) [ ] 0 1
99999999999 . , = <> < <= > >= + - attribute_exists attribute_not_exists attribute_type begins_with
contains size if_not_exists list_append ( ) a :n = AND
"""
SPOKEN_PARTIQL = """
SELECT * FROM "fuzzed" fuzzed WHERE id = 'k' 1 ? AND OR NOT IN BETWEEN ( ) [ ] { } << >> , . a b
UPDATE SET REMOVE INSERT INTO VALUE DELETE IS MISSING NULL TRUE begins_with contains size set_add
list_append RETURNING ALL OLD NEW ' " -1 1e5 :
"""
expressions = st.lists(st.sampled_from(SPOKEN.split()), max_size=12).map(" ".join) | st.text(max_size=12)
statements = st.lists(st.sampled_from(SPOKEN_PARTIQL.split()), max_size=14).map(" ".join) | st.text(max_size=12)
# What is deep or long rather than strange.
HEAVY = [
    "(" * 1000 + "a = :n" + ")" * 1000,
    "(" * 1900,
    "NOT " * 900 + "a = :n",
    " AND ".join(["a = :n"] * 400),
    "a" + "[0]" * 1200 + " = :n",
    ".".join(["a"] * 1900) + " = :n",
    "a IN (" + ", ".join([":n"] * 1000) + ")",
    "size(" * 600 + "a" + ")" * 600 + " = :n",
    "SET a = " + "list_append(" * 200 + "l" + ", :l)" * 200,
    "SET a = " + " + ".join([":n"] * 900),
    "SET " + ", ".join(f"a{number} = :n" for number in range(300)),
]


@pytest.fixture
def fuzzed(aws: Any) -> Any:
    client = aws.client("dynamodb", config={"read_timeout": LIMIT_S})
    client.create_table(TableName="fuzzed", **definition("id:S"))
    return client


def ask(call: Any, **request: Any) -> None:
    try:
        call(TableName="fuzzed", **request)
    except ClientError as error:
        refused(error)


def refused(error: ClientError) -> None:
    assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 400, error
    assert error.response["Error"]["Code"] in REFUSALS, error


def try_everywhere(client: Any, text: str) -> None:
    names = {name: value for name, value in {"#a": "a", "#b": "b"}.items() if name in text}
    given_values = {name: value for name, value in VALUES.items() if name in text}
    given = {"ExpressionAttributeNames": names} if names else {}
    if given_values:
        given["ExpressionAttributeValues"] = given_values
    client.put_item(
        TableName="fuzzed",
        Item={"id": {"S": "k"}, "a": {"N": "1"}, "b": {"S": "x"}, "l": VALUES[":l"], "m": VALUES[":m"]},
    )
    key = {"id": {"S": "k"}}
    ask(client.update_item, Key=key, UpdateExpression=text, **given)
    ask(client.delete_item, Key={"id": {"S": "none"}}, ConditionExpression=text, **given)
    ask(client.scan, FilterExpression=text, **given)
    ask(client.query, KeyConditionExpression=text, **given)
    ask(client.get_item, Key=key, ProjectionExpression=text, **({"ExpressionAttributeNames": names} if names else {}))


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(text=expressions)
def test_any_expression_is_answered(fuzzed: Any, text: str) -> None:
    try_everywhere(fuzzed, text)


@pytest.mark.parametrize("text", HEAVY, ids=range(len(HEAVY)))
def test_heavy_expressions_are_answered(fuzzed: Any, text: str) -> None:
    try_everywhere(fuzzed, text)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(text=statements, parameters=st.lists(st.sampled_from(list(VALUES.values())), max_size=2))
def test_any_statement_is_answered(fuzzed: Any, text: str, parameters: list[dict[str, Any]]) -> None:
    state(fuzzed, text, parameters)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM fuzzed WHERE " + "(" * 2000 + "id = 'k'" + ")" * 2000,
        "SELECT * FROM fuzzed WHERE " + "NOT " * 1500 + "id = 'k'",
        "SELECT * FROM fuzzed WHERE " + " OR ".join(["id = 'k'"] * 500),
        "INSERT INTO fuzzed VALUE {'id': 'k', 'a': " + "[" * 2000 + "]" * 2000 + "}",
        "INSERT INTO fuzzed VALUE " + "{'a': " * 900,
        "SELECT a" + ".a" * 2000 + " FROM fuzzed",
    ],
    ids=range(6),
)
def test_heavy_statements_are_answered(fuzzed: Any, text: str) -> None:
    state(fuzzed, text, [])


def state(client: Any, text: str, parameters: list[dict[str, Any]]) -> None:
    request: dict[str, Any] = {"Statement": text or " "}
    if parameters:
        request["Parameters"] = parameters
    try:
        client.execute_statement(**request)
    except ClientError as error:
        refused(error)
