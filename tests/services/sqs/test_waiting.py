"""Long polls."""

from __future__ import annotations

import asyncio
import http.client
import json
import resource
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest
from sqs_kit import bodies, counts

from pileus.services.sqs.memory import Memory


def test_a_send_wakes_whoever_waits(sqs: Any, aws: Any) -> None:
    url = sqs.create_queue(QueueName="poll")["QueueUrl"]
    with ThreadPoolExecutor(4) as pool:
        polls = [pool.submit(aws.client("sqs").receive_message, QueueUrl=url, WaitTimeSeconds=20) for _ in range(4)]
        for number in range(4):
            sqs.send_message(QueueUrl=url, MessageBody=str(number))
        assert sorted(body for poll in polls for body in bodies(poll.result(timeout=30))) == ["0", "1", "2", "3"]


def test_a_batch_wakes_several(sqs: Any, aws: Any) -> None:
    url = sqs.create_queue(QueueName="poll-batch", Attributes={"ReceiveMessageWaitTimeSeconds": "20"})["QueueUrl"]
    with ThreadPoolExecutor(3) as pool:
        polls = [pool.submit(aws.client("sqs").receive_message, QueueUrl=url) for _ in range(3)]
        sqs.send_message_batch(QueueUrl=url, Entries=[{"Id": one, "MessageBody": one} for one in "abc"])
        assert sorted(body for poll in polls for body in bodies(poll.result(timeout=30))) == ["a", "b", "c"]


def test_what_falls_due_wakes_too(sqs: Any) -> None:
    url = sqs.create_queue(QueueName="poll-due")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="delayed", DelaySeconds=1)
    assert bodies(sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20, VisibilityTimeout=1)) == ["delayed"]
    assert bodies(sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)) == ["delayed"]


def test_a_group_that_is_free_again_wakes(sqs: Any, aws: Any) -> None:
    url = sqs.create_queue(
        QueueName="poll.fifo", Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    )["QueueUrl"]
    for body in ("a", "b"):
        sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId="g")
    handle = sqs.receive_message(QueueUrl=url)["Messages"][0]["ReceiptHandle"]
    with ThreadPoolExecutor(1) as pool:
        poll = pool.submit(aws.client("sqs").receive_message, QueueUrl=url, WaitTimeSeconds=20)
        sqs.delete_message(QueueUrl=url, ReceiptHandle=handle)
        assert bodies(poll.result(timeout=30)) == ["b"]


def poll(aws: Any, url: str) -> tuple[bytes, dict[str, str]]:
    """A signed long poll: (body, headers)."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    body = b'{"QueueUrl": "%s", "WaitTimeSeconds": 20}' % url.encode()
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS.ReceiveMessage"}
    request = AWSRequest("POST", aws.endpoint + "/", data=body, headers=headers)
    SigV4Auth(Credentials(aws.account, "test"), "sqs", "us-east-1").add_auth(request)
    return body, dict(request.headers)


def test_who_has_gone_away_gets_nothing(sqs: Any, aws: Any) -> None:
    """A client that hangs up while it waits takes no message with it."""
    url = sqs.create_queue(QueueName="gone")["QueueUrl"]
    body, headers = poll(aws, url)
    host = aws.endpoint.partition("://")[2]
    connections = []
    for _ in range(5):
        connection = http.client.HTTPConnection(host)
        connection.request("POST", "/", body, headers)
        connections.append(connection)
    # The server takes them in order: once a call that came later is answered, they wait.
    assert counts(sqs, url) == (0, 0, 0)
    for connection in connections:
        connection.close()
    assert counts(sqs, url) == (0, 0, 0)
    sqs.send_message(QueueUrl=url, MessageBody="m")
    assert bodies(sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)) == ["m"]


@pytest.fixture
def many_files() -> Iterator[int]:
    """As many open files as this process may have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_thousands_wait_and_cost_only_memory(start_pileus: Any, many_files: int) -> None:
    """They wait on a clock that stands, so that nobody's time is over; each gets a message, and none gets two."""
    from conftest import Account

    count = min(3_000, many_files - 500)
    server = start_pileus("--clock", "virtual")
    aws = Account(server.endpoint)
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName="crowd")["QueueUrl"]
    body, headers = poll(aws, url)
    host = aws.endpoint.partition("://")[2]
    process = psutil.Process(server.process.pid)
    before = process.memory_info().rss
    waiting = []
    for _ in range(count):
        connection = http.client.HTTPConnection(host, timeout=60)
        connection.request("POST", "/", body, headers)
        waiting.append(connection)
    assert counts(sqs, url) == (0, 0, 0)
    assert process.memory_info().rss - before < count * 60_000
    # Whoever works on another queue has as little to do as if nobody waited.
    other = sqs.create_queue(QueueName="other")["QueueUrl"]
    sqs.send_message(QueueUrl=other, MessageBody="m")
    assert bodies(sqs.receive_message(QueueUrl=other)) == ["m"]
    sent = set()
    for start in range(0, count, 10):
        entries = [{"Id": str(n), "MessageBody": str(n)} for n in range(start, min(start + 10, count))]
        sqs.send_message_batch(QueueUrl=url, Entries=entries)
        sent |= {one["MessageBody"] for one in entries}
    got: list[str] = []
    for connection in waiting:
        got += bodies(json.loads(connection.getresponse().read()))
        connection.close()
    assert len(got) == count
    assert set(got) == sent
    assert counts(sqs, url) == (0, count, 0)


def test_a_deleted_queue_ends_waiting(sqs: Any, aws: Any) -> None:
    from botocore.exceptions import ClientError

    url = sqs.create_queue(QueueName="deleted-meanwhile")["QueueUrl"]
    started = threading.Event()

    def receive() -> Any:
        client = aws.client("sqs")
        started.set()
        return client.receive_message(QueueUrl=url, WaitTimeSeconds=20)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(receive)
        started.wait()
        sqs.delete_queue(QueueUrl=url)
        with pytest.raises(ClientError):
            waiting.result(timeout=15)


def test_the_node_ends_while_clients_wait(start_pileus: Any) -> None:
    from conftest import Account

    server = start_pileus()
    account = Account(server.endpoint)
    url = account.client("sqs").create_queue(QueueName="end")["QueueUrl"]
    with ThreadPoolExecutor(1) as pool:
        poll = pool.submit(account.client("sqs").receive_message, QueueUrl=url, WaitTimeSeconds=20)
        account.client("sqs").list_queues()
        assert server.stop() == 0
        # Answered, with nothing, or not let in any more.
        assert poll.exception(timeout=15) is not None or bodies(poll.result()) == []


async def test_lines_are_served_in_order_and_passed_on() -> None:
    nudges: list[None] = []
    memory = Memory(lambda: nudges.append(None))
    first, second, third = (memory.wait("q", deadline) for deadline in (30.0, 10.0, 20.0))
    assert len(nudges) == 2  # for 30, and for 10, which is earlier
    memory.arrived("q", 1)
    assert (first.future.done(), second.future.done()) == (True, False)
    memory.leave("q", second)
    memory.arrived("q", 5)
    assert third.future.done()
    fourth = memory.wait("q", 40.0)
    memory.end_waits(39.0)
    assert not fourth.future.done()
    memory.end_waits(40.0)
    await asyncio.wait_for(fourth.future, 1)
    memory.close()
    assert memory.wait("q", 50.0).future.done()


def test_a_message_that_comes_as_the_wait_begins_is_received(later: Any) -> None:
    url = later.create_queue(QueueName="q")["QueueUrl"]
    # On this clock nobody's time is ever over: a receiver that the message passes by hangs.
    for n in range(60):
        sender = threading.Thread(target=later.send_message, kwargs={"QueueUrl": url, "MessageBody": str(n)})
        sender.start()
        (got,) = later.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"]
        assert got["Body"] == str(n)
        sender.join()
