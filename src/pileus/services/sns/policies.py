"""Topic policies: the one every topic begins with, and what others may say.

Sources: "Amazon SNS policy keys", AddPermission of the API reference; recorded answers.
"""

from __future__ import annotations

from typing import Any

import orjson

from pileus.access.policy import PolicyError, compile_policy
from pileus.kernel.arn import parse_arn
from pileus.services.sns import errors

# What AddPermission may name, and policies.
ACTIONS = frozenset(
    (
        "AddPermission",
        "DeleteTopic",
        "GetDataProtectionPolicy",
        "GetTopicAttributes",
        "ListSubscriptionsByTopic",
        "ListTagsForResource",
        "Publish",
        "PutDataProtectionPolicy",
        "Receive",
        "RemovePermission",
        "SetTopicAttributes",
        "Subscribe",
    )
)
_DEFAULT_ACTIONS = (
    "GetTopicAttributes",
    "SetTopicAttributes",
    "AddPermission",
    "RemovePermission",
    "DeleteTopic",
    "Subscribe",
    "ListSubscriptionsByTopic",
    "Publish",
)
# "Policy quotas".
POLICY_BYTES_MAX = 30 * 1024
STATEMENTS_MAX = 100
PRINCIPALS_MAX = 200


def default(topic_arn: str, account: str) -> dict[str, Any]:
    return {
        "Version": "2008-10-17",
        "Id": "__default_policy_ID",
        "Statement": [
            {
                "Sid": "__default_statement_ID",
                "Effect": "Allow",
                "Principal": {"AWS": "*"},
                "Action": [f"SNS:{action}" for action in _DEFAULT_ACTIONS],
                "Resource": topic_arn,
                "Condition": {"StringEquals": {"AWS:SourceOwner": account}},
            }
        ],
    }


def check(text: str) -> dict[str, Any]:
    """The parsed policy. Raises InvalidParameter."""
    try:
        policy = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise errors.invalid("Policy Error: null") from None
    if not isinstance(policy, dict) or len(text.encode()) > POLICY_BYTES_MAX:
        raise errors.invalid("Policy Error: null")
    if policy.get("Version") not in ("2008-10-17", "2012-10-17", None):
        raise errors.invalid("Policy Error: null")
    statements = policy.get("Statement")
    if isinstance(statements, list) and not 1 <= len(statements) <= STATEMENTS_MAX:
        raise errors.invalid("Policy Error: null")
    for statement in statements if isinstance(statements, list) else [statements]:
        if (
            not isinstance(statement, dict)
            or statement.get("Effect") not in ("Allow", "Deny")
            or not ("Principal" in statement or "NotPrincipal" in statement)
            or not ("Action" in statement or "NotAction" in statement)
            or not ("Resource" in statement or "NotResource" in statement)
        ):
            raise errors.invalid("Policy Error: null")
        if _principals(statement) > PRINCIPALS_MAX:
            raise errors.invalid("Policy Error: null")
        if len(_texts(statement.get("Resource"))) > 1:
            raise errors.invalid("Policy statement must apply to a single resource.")
        for action in _texts(statement.get("Action", statement.get("NotAction"))):
            if not is_in_scope(action):
                raise errors.invalid("Policy statement action out of service scope!")
    try:
        compile_policy(policy)
    except PolicyError:
        raise errors.invalid("Policy Error: null") from None
    return policy


def is_in_scope(action: str) -> bool:
    service, _, name = action.partition(":")
    if action == "*":
        return True
    if service.lower() != "sns":
        return False
    return "*" in name or "?" in name or name.lower() in {one.lower() for one in ACTIONS}


def _principals(statement: dict[str, Any]) -> int:
    given = statement.get("Principal", statement.get("NotPrincipal"))
    return sum(len(_texts(one)) for one in given.values()) if isinstance(given, dict) else 1


def _texts(value: Any) -> list[str]:
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]


def statement_for(label: str, accounts: list[str], actions: list[str], topic_arn: str) -> dict[str, Any]:
    """What AddPermission adds."""
    principals = [one if parse_arn(one) else f"arn:aws:iam::{one}:root" for one in accounts]
    named = [f"SNS:{action}" for action in actions]
    return {
        "Sid": label,
        "Effect": "Allow",
        "Principal": {"AWS": principals[0] if len(principals) == 1 else principals},
        "Action": named[0] if len(named) == 1 else named,
        "Resource": topic_arn,
    }
