"""The policy simulator."""

from __future__ import annotations

import json
from typing import Any

import pytest

from .support import TRUST_LAMBDA, allow, refused


@pytest.mark.parametrize("kind", ["user", "group", "role"])
def test_a_principal(aws: Any, kind: str) -> None:
    iam = aws.client("iam")
    make = {
        "user": lambda: iam.create_user(UserName="o")["User"],
        "group": lambda: iam.create_group(GroupName="o")["Group"],
        "role": lambda: iam.create_role(RoleName="o", AssumeRolePolicyDocument=json.dumps(TRUST_LAMBDA))["Role"],
    }
    source = make[kind]()["Arn"]
    document = (
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"}]}'
    )
    policy = iam.create_policy(PolicyName="p", PolicyDocument=document)["Policy"]["Arn"]
    getattr(iam, f"attach_{kind}_policy")(**{f"{kind.capitalize()}Name": "o"}, PolicyArn=policy)
    answer = iam.simulate_principal_policy(
        PolicySourceArn=source,
        ActionNames=["s3:PutObject", "s3:GetObjectVersion"],
        ResourceArns=["arn:aws:s3:::bucket"],
    )
    assert answer["IsTruncated"] is False
    matched = [
        {
            "SourcePolicyId": "p",
            "SourcePolicyType": "IAM Policy",
            "StartPosition": {"Line": 1, "Column": 41},
            "EndPosition": {"Line": 1, "Column": 103},
        }
    ]

    def expected(action: str, decision: str, statements: list[Any]) -> dict[str, Any]:
        return {
            "EvalActionName": action,
            "EvalResourceName": "arn:aws:s3:::bucket",
            "EvalDecision": decision,
            "MatchedStatements": statements,
            "MissingContextValues": [],
            "OrganizationsDecisionDetail": {"AllowedByOrganizations": True},
            "EvalDecisionDetails": {},
            "ResourceSpecificResults": [
                {
                    "EvalResourceName": "arn:aws:s3:::bucket",
                    "EvalResourceDecision": decision,
                    "MatchedStatements": statements,
                    "MissingContextValues": [],
                }
            ],
        }

    assert answer["EvaluationResults"] == [
        expected("s3:PutObject", "allowed", matched),
        expected("s3:GetObjectVersion", "implicitDeny", []),
    ]


def test_given_policies(aws: Any) -> None:
    iam = aws.client("iam")
    conditional = allow("s3:*", Condition={"StringEquals": {"s3:prefix": "a"}})
    statement = {"Effect": "Deny", "Action": "s3:Delete*", "Resource": "*"}
    denial = json.dumps({"Version": "2012-10-17", "Statement": statement})
    answer = iam.simulate_custom_policy(
        PolicyInputList=[conditional, denial], ActionNames=["s3:GetObject", "s3:DeleteObject"]
    )
    got, deleted = answer["EvaluationResults"]
    assert (got["EvalDecision"], got["MissingContextValues"]) == ("implicitDeny", ["s3:prefix"])
    assert deleted["EvalDecision"] == "explicitDeny"
    assert [one["SourcePolicyId"] for one in deleted["MatchedStatements"]] == ["PolicyInputList.2"]
    entry = {"ContextKeyName": "s3:prefix", "ContextKeyValues": ["a"], "ContextKeyType": "string"}
    [got] = iam.simulate_custom_policy(
        PolicyInputList=[conditional], ActionNames=["s3:GetObject"], ContextEntries=[entry]
    )["EvaluationResults"]
    assert got["EvalDecision"] == "allowed"


def test_unknown_sources(aws: Any) -> None:
    iam = aws.client("iam")
    with refused("NoSuchEntity", "The role with name nobody cannot be found.", 404):
        iam.simulate_principal_policy(
            PolicySourceArn=f"arn:aws:iam::{aws.account}:role/nobody", ActionNames=["s3:GetObject"]
        )
    with refused("InvalidInput"):
        iam.simulate_principal_policy(PolicySourceArn="arn:aws:s3:::bucket-of-ours", ActionNames=["s3:GetObject"])
