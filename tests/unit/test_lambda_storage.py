"""Code storage has a limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from pileus.kernel.errors import AWSError
from pileus.services.lambda_ import storage
from pileus.store.contract import Transaction
from pileus.store.sqlite import open_store


async def test_what_is_more_than_the_limit_is_refused_and_not_counted(tmp_path: Path) -> None:
    store = open_store(tmp_path, "relaxed")
    try:

        async def add(tx: Transaction, more: int) -> None:
            await storage.change(tx, "000000000000", "us-east-1", more)

        await store.write(lambda tx: add(tx, storage.BYTES_MAX - 10))
        with pytest.raises(AWSError) as failure:
            await store.write(lambda tx: add(tx, 11))
        assert (failure.value.code, failure.value.message) == (
            "CodeStorageExceededException",
            "Code storage limit exceeded.",
        )
        await store.write(lambda tx: add(tx, 10))
        await store.write(lambda tx: add(tx, -storage.BYTES_MAX))
        assert await store.read(lambda tx: storage.used(tx, "000000000000", "us-east-1")) == 0
    finally:
        await store.close()
