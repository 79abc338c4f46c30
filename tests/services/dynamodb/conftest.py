"""What DynamoDB's tests share."""

from __future__ import annotations

from typing import Any

import pytest
from dynamodb_cases import Table, definition


@pytest.fixture
def dynamodb(aws: Any) -> Any:
    """A client that lets wrong parameters through to the server."""
    return aws.client("dynamodb", config={"parameter_validation": False})


@pytest.fixture
def table(dynamodb: Any) -> Table:
    """Makes a table, "table" unless named, of `definition`'s members."""

    def make(keys: str = "id:S", name: str = "table", **members: Any) -> str:
        dynamodb.create_table(TableName=name, **definition(keys, **members))
        return name

    return make
