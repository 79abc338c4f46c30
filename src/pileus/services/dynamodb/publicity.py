"""Whether a resource-based policy lets anyone in: such a policy cannot be attached.

A statement that allows everybody something is public, unless a condition says with which principals, accounts, sources
or networks it is content, by values without wildcards and variables. What other statements deny is not weighed.

Source: "Blocking public access with resource-based policies in DynamoDB" in the Developer Guide.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TRUSTED = frozenset(
    f"aws:{name}".lower()
    for name in (
        "PrincipalAccount",
        "PrincipalArn",
        "PrincipalOrgID",
        "PrincipalOrgPaths",
        "SourceAccount",
        "SourceArn",
        "SourceVpc",
        "SourceVpce",
        "UserId",
        "PrincipalServiceName",
        "PrincipalServiceNamesList",
        "Ec2InstanceSourceVpc",
        "SourceOrgID",
        "SourceOrgPaths",
    )
)
_IS_SERVICE = "aws:principalisawsservice"
# Those that hold for nothing but what is named, and only where the key is there.
_OPERATORS = frozenset(
    prefix + operator.lower()
    for prefix in ("", "foranyvalue:")
    for operator in ("StringEquals", "StringEqualsIgnoreCase", "StringLike", "ArnEquals", "ArnLike")
)


def is_public(document: Mapping[str, Any]) -> bool:
    return any(
        statement.get("Effect") == "Allow"
        and ("NotPrincipal" in statement or _is_everybody(statement.get("Principal")))
        and not _is_restricted(statement.get("Condition") or {})
        for statement in _listed(document["Statement"])
    )


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _is_everybody(principal: Any) -> bool:
    return principal == "*" or (isinstance(principal, Mapping) and "*" in _listed(principal.get("AWS")))


def _is_restricted(condition: Mapping[str, Any]) -> bool:
    return any(
        _names_who(operator.lower(), key.lower(), [str(value) for value in _listed(given)])
        for operator, tests in condition.items()
        for key, given in tests.items()
    )


def _names_who(operator: str, key: str, values: list[str]) -> bool:
    if key == _IS_SERVICE:
        return operator == "bool" and [value.lower() for value in values] == ["true"]
    if key not in _TRUSTED or operator not in _OPERATORS:
        return False
    return not any(sign in value for value in values for sign in ("*", "?", "${"))
