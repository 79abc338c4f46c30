"""What Lambda's tests share: a role, packages, functions that are ready."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from lambda_kit import ECHO, LOGGING, TRUST, package


@pytest.fixture
def role(aws: Any) -> str:
    """The ARN of a role that Lambda may assume and that may write logs."""
    iam = aws.client("iam")
    iam.create_role(RoleName="function-role", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.put_role_policy(RoleName="function-role", PolicyName="logs", PolicyDocument=json.dumps(LOGGING))
    return f"arn:aws:iam::{aws.account}:role/function-role"


@pytest.fixture
def lambda_(aws: Any) -> Any:
    return aws.client("lambda")


@pytest.fixture
def make(lambda_: Any, role: str) -> Callable[..., dict[str, Any]]:
    """Creates a function, and waits until it is active."""

    def create(name: str = "f", code: str = ECHO, **request: Any) -> dict[str, Any]:
        settings = {"Runtime": "python3.11", "Handler": "index.handler", "Role": role}
        settings["Code"] = {"ZipFile": package({"index.py": code})}
        answer: dict[str, Any] = lambda_.create_function(FunctionName=name, **{**settings, **request})
        lambda_.get_waiter("function_active_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 200}
        )
        return answer

    return create


@pytest.fixture
def updated(lambda_: Any) -> Callable[[str], None]:
    """Waits until a function's update is through."""

    def wait(name: str = "f") -> None:
        waiter = lambda_.get_waiter("function_updated_v2")
        waiter.wait(FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 200})

    return wait


@pytest.fixture
def account(aws: Any) -> Callable[..., Any]:
    """A client factory for an account on a server of the test's own: `account(server, number)`."""

    def on(server: Any, number: str | None = None) -> Any:
        return type(aws)(server.endpoint, number)

    return on
