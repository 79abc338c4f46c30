"""Which services a node starts by itself: those that hold something."""

import json
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from pileus.app import SERVICES, _in_use
from pileus.store.keys import pack
from pileus.store.sqlite import open_store


async def test_services_that_hold_something_are_in_use() -> None:
    store = open_store(None, "memory")
    names = sorted(SERVICES)
    try:
        assert await store.read(partial(_in_use, names)) == []

        async def put(tx: Any) -> None:
            tx.put(pack("dynamodb", "1", "us-east-1", "table", "t"), b"")
            tx.put(pack("s3", "", "", "bucket", "b"), b"")

        await store.write(put)
        assert await store.read(partial(_in_use, names)) == ["dynamodb", "dynamodbstreams", "s3", "s3control"]

        async def wait(tx: Any) -> None:
            tx.put(pack("outbox", "record", "1"), b"")

        await store.write(wait)
        assert await store.read(partial(_in_use, names)) == names
    finally:
        await store.close()


def test_a_node_works_for_what_it_holds_before_anybody_calls(
    start_pileus: Callable[..., Any], aws: Any, tmp_path: Path
) -> None:
    first = start_pileus()
    type(aws)(first.endpoint).client("sqs").create_queue(QueueName="kept")
    assert first.stop() == 0
    again = start_pileus()
    loops: list[str] = []
    while "sqs.due" not in loops:
        with urllib.request.urlopen(again.endpoint + "/_pileus/status") as answer:
            loops = [loop["name"] for loop in json.load(answer)["loops"]]
    assert "scheduler.due" not in loops
