"""Condition operators, each with values that fit and values that do not."""

from __future__ import annotations

from typing import Any

import pytest

from pileus.access.policy import PolicyError, compile_policy
from pileus.access.request import Call, Circumstances
from pileus.kernel.principal import Principal

ALICE = Principal(
    kind="user",
    account="111111111111",
    arn="arn:aws:iam::111111111111:user/alice",
    id="AIDAALICE",
    name="alice",
    tags={"Team": "Red"},
)
CIRCUMSTANCES = Circumstances(
    region="eu-west-1", now=1_700_000_000.0, source_ip="10.1.2.3", user_agent="Boto3/1", secure=False
)


def holds(condition: Any, keys: dict[str, Any] | None = None) -> bool:
    policy = compile_policy(
        {
            "Version": "2012-10-17",
            "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": condition},
        }
    )
    return policy.statements[0].applies(Call(ALICE, "s3:GetObject", "arn:aws:s3:::b/k", keys or {}, CIRCUMSTANCES))


@pytest.mark.parametrize(
    ("operator", "wanted", "value", "fits"),
    [
        ("StringEquals", "a", "a", True),
        ("StringEquals", "a", "A", False),
        ("StringEquals", "a*", "ab", False),
        ("StringEquals", ["x", "a"], "a", True),
        ("StringNotEquals", ["x", "a"], "a", False),
        ("StringNotEquals", ["x", "a"], "b", True),
        ("StringEqualsIgnoreCase", "A", "a", True),
        ("StringNotEqualsIgnoreCase", "A", "a", False),
        ("StringLike", "a*c?", "abbcd", True),
        ("StringNotLike", "a*", "abc", False),
        ("NumericEquals", "10", "10.0", True),
        ("NumericEquals", 10, "10", True),
        ("NumericLessThan", "10", "9", True),
        ("NumericLessThanEquals", "10", "10", True),
        ("NumericGreaterThan", "10", "10", False),
        ("NumericGreaterThanEquals", "10", "10", True),
        ("NumericNotEquals", "10", "11", True),
        ("NumericEquals", "10", "ten", False),
        ("DateLessThan", "2030-01-01T00:00:00Z", "2029-12-31T23:59:59Z", True),
        ("DateGreaterThan", "2030-01-01T00:00:00Z", "2029-12-31T23:59:59Z", False),
        ("DateEquals", "1893456000", "2030-01-01T00:00:00Z", True),
        ("Bool", "true", "true", True),
        ("Bool", False, "false", True),
        ("Bool", "true", "false", False),
        ("BinaryEquals", "YQ==", "YQ==", True),
        ("BinaryEquals", "YQ==", "Yg==", False),
        ("IpAddress", "10.0.0.0/8", "10.9.9.9", True),
        ("IpAddress", "10.0.0.0/8", "11.0.0.1", False),
        ("IpAddress", "2001:db8::/32", "2001:db8::1", True),
        ("NotIpAddress", "10.0.0.0/8", "11.0.0.1", True),
        ("ArnEquals", "arn:aws:s3:::b*", "arn:aws:s3:::bucket", True),
        ("ArnLike", "arn:aws:sns:*:111111111111:t", "arn:aws:sns:us-east-1:111111111111:t", True),
        ("ArnLike", "arn:aws:*:*:111111111111:t", "arn:aws:a:b:c:111111111111:t", False),
        ("ArnNotLike", "arn:aws:s3:::b*", "arn:aws:s3:::bucket", False),
        ("ArnNotEquals", "arn:aws:s3:::b", "arn:aws:s3:::c", True),
    ],
)
def test_operators(operator: str, wanted: Any, value: str, fits: bool) -> None:
    assert holds({operator: {"Key": wanted}}, {"key": value}) is fits


@pytest.mark.parametrize(
    ("operator", "fits"),
    [
        ("StringEquals", False),
        ("StringEqualsIfExists", True),
        ("StringNotEquals", True),
        ("StringNotEqualsIfExists", True),
        ("ForAllValues:StringEquals", True),
        ("ForAnyValue:StringEquals", False),
        ("ForAnyValue:StringNotEquals", False),
        ("ForAnyValue:StringEqualsIfExists", True),
        ("Bool", False),
        ("NotIpAddress", True),
    ],
)
def test_absent_keys(operator: str, fits: bool) -> None:
    assert holds({operator: {"absent": "10.0.0.0/8"}}) is fits


@pytest.mark.parametrize(
    ("operator", "wanted", "values", "fits"),
    [
        ("ForAllValues:StringEquals", ["a", "b"], ["a", "b"], True),
        ("ForAllValues:StringEquals", ["a", "b"], ["a", "c"], False),
        ("ForAnyValue:StringEquals", ["a", "b"], ["c", "b"], True),
        ("ForAnyValue:StringEquals", ["a", "b"], ["c"], False),
        ("ForAllValues:StringNotEquals", ["a"], ["b", "c"], True),
        ("ForAllValues:StringNotEquals", ["a"], ["a", "c"], False),
        ("ForAnyValue:StringNotEquals", ["a"], ["a", "c"], True),
        ("forallvalues:stringlike", ["a*"], ["ab", "ac"], True),
    ],
)
def test_keys_with_several_values(operator: str, wanted: Any, values: list[str], fits: bool) -> None:
    assert holds({operator: {"key": wanted}}, {"key": values}) is fits


@pytest.mark.parametrize(
    ("key", "value", "fits"), [("absent", "true", True), ("absent", "false", False), ("key", "true", False)]
)
def test_null(key: str, value: str, fits: bool) -> None:
    assert holds({"Null": {key: value}}, {"key": "x"}) is fits


@pytest.mark.parametrize(
    ("key", "wanted"),
    [
        ("aws:SourceIp", "10.1.2.3"),
        ("aws:CurrentTime", "2023-11-14T22:13:20Z"),
        ("aws:EpochTime", "1700000000"),
        ("aws:SecureTransport", "false"),
        ("aws:UserAgent", "Boto3/1"),
        ("aws:PrincipalArn", "arn:aws:iam::111111111111:user/alice"),
        ("aws:PrincipalAccount", "111111111111"),
        ("aws:PrincipalType", "User"),
        ("aws:userid", "AIDAALICE"),
        ("aws:username", "alice"),
        ("aws:RequestedRegion", "eu-west-1"),
        ("aws:PrincipalTag/team", "Red"),
        ("AWS:principaltag/TEAM", "Red"),
        ("aws:PrincipalIsAWSService", "false"),
        ("aws:ViaAWSService", "false"),
    ],
)
def test_global_keys(key: str, wanted: str) -> None:
    assert holds({"StringEquals": {key: wanted}})
    assert not holds({"StringEquals": {key: wanted + "x"}})


def test_keys_that_this_request_does_not_have() -> None:
    for key in (
        "aws:SourceArn",
        "aws:CalledVia",
        "aws:TokenIssueTime",
        "aws:PrincipalTag/Other",
        "aws:Referer",
        "s3:x",
    ):
        assert holds({"Null": {key: "true"}}), key


def test_all_conditions_must_hold() -> None:
    keys = {"a": "1", "b": "2"}
    assert holds({"StringEquals": {"a": "1", "b": "2"}}, keys)
    assert not holds({"StringEquals": {"a": "1"}, "StringLike": {"b": "3"}}, keys)


@pytest.mark.parametrize(
    "condition",
    [
        "x",
        {"StringEquals": "x"},
        {"StringSoundsLike": {"a": "b"}},
        {"ForSomeValues:StringEquals": {"a": "b"}},
        {"NumericEquals": {"a": "ten"}},
        {"DateEquals": {"a": "yesterday"}},
        {"IpAddress": {"a": "10.0.0.0/99"}},
        {"BinaryEquals": {"a": "?"}},
        {"Null": {"a": "maybe"}},
        {"StringEquals": {"a": {"b": "c"}}},
    ],
)
def test_what_is_no_condition(condition: Any) -> None:
    with pytest.raises(PolicyError):
        holds(condition)
