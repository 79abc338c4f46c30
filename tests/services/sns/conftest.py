"""A client, and a node whose time stands still until it is told to move."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sns_web import Web

from conftest import Account, Server


@pytest.fixture
def sns(aws: Any) -> Any:
    return aws.client("sns")


@pytest.fixture(scope="session")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on virtual time, shared by the tests that move it: each has an account of its own."""
    server = Server(tmp_path_factory.mktemp("still") / "data", "--clock", "virtual")
    yield server
    assert server.stop() == 0, server.log.read_text()


@pytest.fixture
def later(still: Server) -> Account:
    """An account on virtual time."""
    return Account(still.endpoint)


@pytest.fixture
def web() -> Iterator[Web]:
    made = Web()
    yield made
    made.close()
