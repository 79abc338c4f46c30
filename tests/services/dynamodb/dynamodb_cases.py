"""Definitions of tables, and what wrong calls are answered with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

# Makes a table; see the fixture `table`.
Table = Callable[..., str]


def definition(keys: str, **members: Any) -> dict[str, Any]:
    """CreateTable's members for keys like "id:S sort:N"; further attributes behind a "|" are only defined."""
    key_part, _, others = keys.partition("|")
    pairs = [part.split(":") for part in key_part.split()]
    return {
        "AttributeDefinitions": [
            {"AttributeName": name, "AttributeType": kind}
            for name, kind in (*pairs, *(part.split(":") for part in others.split()))
        ],
        "KeySchema": schema(*(name for name, _ in pairs)),
        "BillingMode": "PAY_PER_REQUEST",
        **members,
    }


def schema(partition: str, sort: str = "") -> list[dict[str, str]]:
    found = [{"AttributeName": partition, "KeyType": "HASH"}]
    return [*found, {"AttributeName": sort, "KeyType": "RANGE"}] if sort else found


def index(name: str, partition: str, sort: str = "", *project: str, kind: str = "ALL") -> dict[str, Any]:
    """An element of GlobalSecondaryIndexes or LocalSecondaryIndexes."""
    projection: dict[str, Any] = {"ProjectionType": "INCLUDE" if project else kind}
    if project:
        projection["NonKeyAttributes"] = list(project)
    return {"IndexName": name, "KeySchema": schema(partition, sort), "Projection": projection}


def refusal(call: Callable[..., Any], /, *args: Any, **members: Any) -> tuple[str, str]:
    """(code, message) of the error that a call is answered with."""
    with pytest.raises(ClientError) as caught:
        call(*args, **members)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def invalid(message: str) -> tuple[str, str]:
    return "ValidationException", message


def invalid_values(message: str) -> tuple[str, str]:
    return "ValidationException", f"One or more parameter values were invalid: {message}"
