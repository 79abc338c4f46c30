"""What DynamoDB's tests share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from dynamodb_cases import Table, definition
from replica_cases import World

from conftest import Server


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


@pytest.fixture(scope="module")
def replicating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on the virtual clock: what is written comes to other replicas when time goes on."""
    server = Server(tmp_path_factory.mktemp("global") / "data", "--clock", "virtual", "--replication-lag", "1")
    yield server
    assert server.stop() == 0, server.log.read_text()


@pytest.fixture
def world(replicating: Server) -> World:
    return World(replicating)
