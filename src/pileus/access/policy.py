"""Policy documents, compiled.

    policy = compile_policy(document)       from JSON text or what it parses to; the same text is compiled once
    for statement in policy.statements:
        statement.applies(call)

A document is compiled whole or refused with `PolicyError`; what IAM itself demands beyond that of the policies it keeps
is the service iam's business.

Source: "IAM JSON policy element reference", "Grammar of the IAM JSON policy language" (IAM User Guide).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

from pileus.access.conditions import Condition, compile_conditions
from pileus.access.patterns import ArnPattern, Patterns, compile_pattern
from pileus.access.principals import Grant, compile_principals
from pileus.access.request import Call

VERSION = "2012-10-17"
VERSIONS = (VERSION, "2008-10-17")


class PolicyError(ValueError):
    """A document that is no policy; says why."""


class Statement:
    __slots__ = (
        "_actions",
        "_actions_negated",
        "_conditions",
        "_principals",
        "_resources",
        "_resources_negated",
        "allow",
        "sid",
    )

    def __init__(self, source: Mapping[str, Any], *, variables: bool) -> None:
        effect = source.get("Effect")
        if effect not in ("Allow", "Deny"):
            raise PolicyError("Effect must be Allow or Deny")
        self.allow = effect == "Allow"
        self.sid = source.get("Sid", "")
        actions, self._actions_negated = _one_of(source, "Action", "NotAction")
        if actions is None:
            raise PolicyError("a statement must contain actions")
        self._actions = Patterns([compile_pattern(action.lower(), variables=False) for action in actions])
        resources, self._resources_negated = _one_of(source, "Resource", "NotResource")
        # Trust policies name no resource: they hang on the one they are for.
        self._resources = (
            None
            if resources is None
            else Patterns([ArnPattern(resource, variables=variables) for resource in resources])
        )
        self._principals = compile_principals(source, variables=variables)
        condition = source.get("Condition")
        self._conditions: tuple[Condition, ...] = (
            () if condition is None else compile_conditions(condition, variables=variables)
        )

    def applies(self, call: Call) -> bool:
        """Whether action, resource and conditions fit; says nothing of principals."""
        lookup = call.lookup
        if self._actions.match(call.action_lower, lookup) is self._actions_negated:
            return False
        resources = self._resources
        if resources is not None and resources.match(call.resource, lookup) is self._resources_negated:
            return False
        conditions = self._conditions
        return not conditions or all(condition(lookup) for condition in conditions)

    def grant(self, call: Call) -> Grant:
        """To whom of those named the caller belongs; for statements of resource-based policies."""
        if self._principals is None:
            return Grant.NONE
        return self._principals(call)

    @property
    def names_principals(self) -> bool:
        return self._principals is not None


class Policy:
    """The statements of one document."""

    __slots__ = ("statements",)

    def __init__(self, source: Any) -> None:
        if not isinstance(source, Mapping):
            raise PolicyError("a policy must be an object")
        version = source.get("Version", "2008-10-17")
        if version not in VERSIONS:
            raise PolicyError(f"unknown policy version {version!r}")
        statements = source.get("Statement")
        if isinstance(statements, Mapping):
            statements = [statements]
        if not isinstance(statements, list):
            raise PolicyError("Statement must be an object or a list of objects")
        compiled = []
        for statement in statements:
            if not isinstance(statement, Mapping):
                raise PolicyError("Statement must be an object or a list of objects")
            try:
                compiled.append(Statement(statement, variables=version == VERSION))
            except PolicyError:
                raise
            except ValueError as error:
                raise PolicyError(str(error)) from error
        self.statements: tuple[Statement, ...] = tuple(compiled)


def compile_policy(document: str | bytes | Mapping[str, Any]) -> Policy:
    """The policy of a document; raises `PolicyError` where it is none."""
    if isinstance(document, str | bytes):
        return _compile_text(document)
    try:
        text = orjson.dumps(document)
    except orjson.JSONEncodeError as error:
        raise PolicyError("a policy must not be nested so deeply") from error
    return _compile_text(text)


@lru_cache(maxsize=2048)
def _compile_text(text: str | bytes) -> Policy:
    try:
        source = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise PolicyError(f"a policy must be JSON: {error}") from error
    return Policy(source)


def _one_of(source: Mapping[str, Any], name: str, negated_name: str) -> tuple[list[str] | None, bool]:
    """The texts of an element or of its negation, and which of the two it is."""
    plain, negated = source.get(name), source.get(negated_name)
    if plain is not None and negated is not None:
        raise PolicyError(f"a statement has either {name} or {negated_name}")
    value = negated if plain is None else plain
    if value is None:
        return None, False
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(text, str) for text in texts):
        raise PolicyError(f"{name} must be a string or a list of strings")
    return texts, plain is None
