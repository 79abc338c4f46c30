"""The store, on every engine."""

import pytest
from engines import ENGINES


@pytest.fixture(params=ENGINES)
async def store(request, tmp_path):
    store = ENGINES[request.param](tmp_path)
    yield store
    await store.close()
