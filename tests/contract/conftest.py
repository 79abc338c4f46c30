"""The engines that the store's contract is tested on."""

import pytest

from pileus.store.sqlite import open_store

ENGINES = {
    "sqlite-full": lambda folder: open_store(folder / "store", "full"),
    "sqlite-relaxed": lambda folder: open_store(folder / "store", "relaxed"),
    "sqlite-memory": lambda folder: open_store(None, "memory"),
}


@pytest.fixture(params=ENGINES)
async def store(request, tmp_path):
    store = ENGINES[request.param](tmp_path)
    yield store
    await store.close()
