"""A queue with millions of messages beside an empty one: sending and receiving, memory, and the time of a restart.

python -m bench.deep_queue [messages]        ten million when not said

The messages, of 100 bytes, are put into the store by SQS's own code while no server runs, some 400 bytes of disk for
each. Compare the processor time for one request: it moves least when the machine has other work.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.cases import start
from bench.client import REGION, ask_all, aws, expect, sqs
from bench.load import Requests
from bench.servers import HOME, Server, await_answer
from pileus.kernel.ids import Ids
from pileus.services.sqs import keys, standard
from pileus.services.sqs.content import body_md5
from pileus.services.sqs.queues import Live, counts_of
from pileus.services.sqs.records import Content, Entry, encode
from pileus.store.contract import Transaction
from pileus.store.sqlite import open_store

ACCOUNT = "000000000000"
AT_ONCE = 20_000
BODY = "x" * 100
SECONDS, ROUNDS = 2, 3


@contextmanager
def serving(folder: Path) -> Iterator[tuple[Server, float]]:
    """A server on `folder`, and how long its start took until the first good answer, seconds."""
    command = [sys.executable, "-m", "pileus", "start", "--port", "0", "--json", "--data-dir", str(folder)]
    log = folder.parent / "deep.log"
    with log.open("wb") as out:
        begun = time.perf_counter()
        process = subprocess.Popen([*command, "--durability", "full"], stdout=subprocess.PIPE, stderr=out)
    assert process.stdout is not None
    port = int(json.loads(process.stdout.readline())["endpoint"].rpartition(":")[2])
    server = Server("pileus", port, process, begun, log)
    try:
        yield server, await_answer(server, start.answers)
    finally:
        process.terminate()
        process.wait()


async def fill(folder: Path, name: str, count: int) -> None:
    """Put `count` messages into a queue that is there, as SendMessage would have."""
    store, ids, sent = open_store(folder, "relaxed"), Ids(), int(time.time() * 1000)
    digest = body_md5(BODY.encode())

    async def put(tx: Transaction) -> None:
        raw = await tx.get(keys.queue(ACCOUNT, REGION, name))
        assert raw is not None
        queue = Live(ACCOUNT, REGION, raw)
        counts = await counts_of(tx, queue)
        for _ in range(AT_ONCE):
            content = Content(id=ids.uuid(), body=BODY, md5=digest, sender=ACCOUNT)
            await standard.put(tx, queue, counts, Entry(sent=sent), content, due=0)
        tx.put(queue.counts_key, encode(counts))

    for _ in range(-(-count // AT_ONCE)):
        await store.write(put)
    await store.close()


def measure(server: Server, name: str) -> dict[str, float]:
    """Medians: processor time of the server for a send and for a receive, µs, and the first answer of each, ms."""
    url = aws(server, "sqs").get_queue_url(QueueName=name)["QueueUrl"]
    send = sqs(server, "SendMessage", {"QueueUrl": url, "MessageBody": BODY})
    receive = sqs(server, "ReceiveMessage", {"QueueUrl": url, "VisibilityTimeout": 600})
    found: dict[str, float] = {}
    for what, request in (("send", send), ("receive", receive)):
        begun = time.perf_counter()
        expect(ask_all(server, [request], 1))
        found[f"{what}_first_ms"] = (time.perf_counter() - begun) * 1000
        # What is sent is enough to receive from in a queue that was empty.
        loads = [Requests([request]).run(server, 64, SECONDS) for _ in range(ROUNDS if what == "send" else 1)]
        server.settle()
        found[f"{what}_cpu_us"] = sorted(load.cpu_us for load in loads)[len(loads) // 2]
    found["memory_mb"] = server.pss_mb()
    return found


def main() -> None:
    count = int(sys.argv[1].replace(",", "")) if len(sys.argv) > 1 else 10_000_000
    folder = HOME / "deep"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        with serving(folder) as (server, _):
            for name in ("empty", "deep"):
                aws(server, "sqs").create_queue(QueueName=name)
            empty = measure(server, "empty")
        begun = time.perf_counter()
        asyncio.run(fill(folder, "deep", count))
        print(f"{count:,} messages in {time.perf_counter() - begun:.0f} s", flush=True)
        with serving(folder) as (server, ready_s):
            print(f"ready after {ready_s:.2f} s")
            deep = measure(server, "deep")
        for key, value in empty.items():
            print(f"{key:18} {value:8.1f} empty {deep[key]:8.1f} deep   {deep[key] / value:.2f}x")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
