"""The Principal and NotPrincipal elements of resource-based policies.

Source: "AWS JSON policy elements: Principal", "AWS JSON policy elements: NotPrincipal" (IAM User Guide).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any

from pileus.access.request import Call
from pileus.kernel.principal import Principal


class Grant(IntEnum):
    """How a caller is named by a statement; the greater counts."""

    NONE = 0
    # The account is named: what its administrators allow there is up to their identity policies.
    ACCOUNT = 1
    # Everyone is named, or the role behind a session: boundary and session policies still limit the caller.
    LIMITED = 2
    # The caller is named.
    DIRECT = 3


PrincipalMatcher = Callable[[Call], Grant]


def compile_principals(source: Mapping[str, Any], *, variables: bool) -> PrincipalMatcher | None:
    """What tells whether a caller is named; None where the statement names nobody (identity-based policies)."""
    plain, negated = source.get("Principal"), source.get("NotPrincipal")
    if plain is not None and negated is not None:
        raise ValueError("a statement has either Principal or NotPrincipal")
    if negated is not None:
        excluded = _compile(negated)
        return lambda call: Grant.NONE if excluded(call) else Grant.DIRECT
    return None if plain is None else _compile(plain)


def _compile(element: Any) -> PrincipalMatcher:
    if element == "*":
        return lambda _call: Grant.LIMITED
    if not isinstance(element, Mapping):
        raise ValueError("Principal must be * or an object")
    aws: set[str] = set()
    services: set[str] = set()
    federated: set[str] = set()
    for kind, value in element.items():
        texts = value if isinstance(value, list) else [value]
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("a principal must be a string or a list of strings")
        if kind == "AWS":
            aws.update(texts)
        elif kind == "Service":
            services.update(texts)
        elif kind == "Federated":
            federated.update(texts)
        elif kind != "CanonicalUser":
            # Canonical ids name S3's accounts, of which Pileus has none.
            raise ValueError(f"Invalid principal in policy: {kind}")
    if "*" in aws:
        return lambda _call: Grant.LIMITED

    def matcher(call: Call) -> Grant:
        principal = call.principal
        if principal.kind == "service":
            return Grant.DIRECT if principal.service in services else Grant.NONE
        if principal.kind == "anonymous":
            return Grant.NONE
        if principal.kind == "federated" and principal.service in federated:
            return Grant.DIRECT
        return _aws_grant(principal, aws)

    return matcher


def _aws_grant(principal: Principal, named: set[str]) -> Grant:
    if principal.arn in named or principal.id in named:
        # The ARN of a root user stands for the whole account.
        return Grant.ACCOUNT if principal.kind == "root" else Grant.DIRECT
    if principal.role_arn and (principal.role_arn in named or principal.id.partition(":")[0] in named):
        return Grant.LIMITED
    account = principal.account
    return Grant.ACCOUNT if account in named or f"arn:aws:iam::{account}:root" in named else Grant.NONE
