"""Requests in JSON that are read and checked at once: what is taken, and what is left to the codec."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pileus.kernel.errors import AWSError
from pileus.model import load
from pileus.wire import clean, constraints
from pileus.wire.message import HttpRequest
from pileus.wire.protocols import codec

PUT: dict[str, Any] = {"TableName": "t", "Item": {"pk": {"S": "a"}}}


def read(service: str, operation: str, body: dict[str, Any] | bytes) -> dict[str, Any] | None:
    model = load(service)
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return clean.read(model, model.operations[operation], data)


def read_by_codec(service: str, operation: str, body: bytes) -> dict[str, Any]:
    model = load(service)
    found = model.operations[operation]
    members = codec(model, "json").decode(found, HttpRequest("POST", "/", "", {}, body), {})
    constraints.check(model, found, members)
    return members


def test_a_clean_request_gives_the_members_that_the_codec_gives() -> None:
    item = {
        "pk": {"S": "a"},
        "n": {"N": "1.50"},
        "b": {"B": "AAEC"},
        "bs": {"BS": ["AA==", "AAE="]},
        "ss": {"SS": ["x", "y"]},
        "ns": {"NS": ["1"]},
        "l": {"L": [{"S": "x"}, {"L": []}, {"M": {"deep": {"BOOL": True}}}]},
        "m": {"M": {"": {"NULL": True}}},
    }
    body = json.dumps({"TableName": "t", "Item": item, "ReturnValues": "ALL_OLD", "Unknown": [1, {"a": None}]}).encode()
    members = read("dynamodb", "PutItem", body)
    assert members == read_by_codec("dynamodb", "PutItem", body)
    assert members is not None
    assert members["Item"]["b"] == {"B": b"\x00\x01\x02"}
    assert members["Item"]["bs"] == {"BS": [b"\x00", b"\x00\x01"]}
    assert "Unknown" not in members


@pytest.mark.parametrize(
    ("service", "operation", "body"),
    [
        ("dynamodb", "PutItem", {"TableName": "t"}),
        ("dynamodb", "PutItem", {**PUT, "TableName": ""}),
        ("dynamodb", "PutItem", {**PUT, "TableName": None}),
        ("dynamodb", "PutItem", {**PUT, "ReturnValues": "SOME"}),
        ("dynamodb", "PutItem", {**PUT, "ReturnValues": None}),
        ("dynamodb", "PutItem", {**PUT, "Item": {"pk": {"S": 1}}}),
        ("dynamodb", "PutItem", {**PUT, "Item": {"pk": {"B": "AA="}}}),
        ("dynamodb", "PutItem", {**PUT, "Item": {"pk": None}}),
        ("dynamodb", "PutItem", {**PUT, "Item": {"pk": {"S": "ä"}}}),
        ("dynamodb", "Query", {"TableName": "t", "IndexName": "no such name!"}),
        ("dynamodb", "Query", {"TableName": "t", "IndexName": "index\n"}),
        ("dynamodb", "Query", {"TableName": "t", "Limit": 0}),
        ("dynamodb", "Query", {"TableName": "t", "Limit": 2**31}),
        ("dynamodb", "Query", {"TableName": "t", "Limit": True}),
        ("dynamodb", "TransactWriteItems", {"TransactItems": []}),
        ("dynamodb", "TransactWriteItems", {"TransactItems": [None]}),
        ("dynamodb", "TransactWriteItems", {"TransactItems": [{"Put": PUT}] * 101}),
        ("dynamodb", "TransactWriteItems", {"TransactItems": [{"Put": {"TableName": "t"}}]}),
        ("sqs", "SendMessage", {"QueueUrl": "u"}),
        ("sqs", "SendMessage", {"QueueUrl": "u", "MessageBody": 1}),
        # A timestamp is converted.
        ("events", "PutEvents", {"Entries": [{"Time": 1700000000}]}),
    ],
)
def test_what_is_not_clean_is_left_to_the_codec(service: str, operation: str, body: dict[str, Any]) -> None:
    assert read(service, operation, body) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'{"TableName": "t", "Item": {}',
        b'{"TableName": "t", "Item": {}} x',
        # One that is there twice does not stand for another that is missing.
        b'{"TableName": "t", "TableName": "t"}',
        b'{"Item": {}, "Item": {}}',
        b'{"TableName": "t", "Item": {"pk": {"S": "\\ud800"}}}',
        b'{"TableName": "t", "Item": ' + b'{"m": {"M": ' * 5000 + b"}" * 10000 + b"}",
    ],
)
def test_what_is_no_json_of_the_kind_is_left_to_the_codec(body: bytes) -> None:
    assert read("dynamodb", "PutItem", body) is None


def test_the_last_of_two_of_one_name_counts() -> None:
    body = b'{"TableName": "a", "Item": {"pk": {"S": "1"}, "pk": {"S": "2"}}, "TableName": "b"}'
    assert read("dynamodb", "PutItem", body) == read_by_codec("dynamodb", "PutItem", body)
    assert read_by_codec("dynamodb", "PutItem", body) == {"TableName": "b", "Item": {"pk": {"S": "2"}}}


@pytest.mark.parametrize("text", ["", "AA==", "AB==", "AA=", "AA", "A===", "AA==AA==", "A-_=", "AA= =", "====", "QUJD"])
def test_base64_is_taken_where_the_codec_takes_it(text: str) -> None:
    body = json.dumps({"TableName": "t", "Item": {"pk": {"B": text}}}).encode()
    members = read("dynamodb", "PutItem", body)
    if members is not None:
        assert members == read_by_codec("dynamodb", "PutItem", body)


def test_a_pattern_that_needs_more_than_one_class_is_checked_behind() -> None:
    entry = {"Detail": "{}", "DetailType": "t", "Source": "s"}
    assert read("events", "PutEvents", {"Entries": [entry]}) == {"Entries": [entry]}
    with pytest.raises(AWSError, match="failed to satisfy constraint: Member must satisfy regular expression pattern"):
        read("events", "PutEvents", {"Entries": [entry], "EndpointId": "no such endpoint!"})


def test_an_operation_without_members_has_nothing_to_read() -> None:
    assert load("organizations").operations["DescribeOrganization"].input is None
    assert read("organizations", "DescribeOrganization", b"{}") is None
