"""SQS: sending, receiving and deleting messages of 1 KB, one by one and in tens, and waking who waits."""

from __future__ import annotations

import json
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from bench.cases import arrivals
from bench.cases.lambda_ import ROLE
from bench.client import Connection, ask_all, aws, expect, sqs
from bench.load import Load, Requests
from bench.servers import Cannot, Server

BODY = "x" * 1024
CONNECTIONS = 64
TEN = 10


def run(server: Server, quick: bool) -> Iterator[tuple[str, list[float]]]:
    seconds, rounds = (1, 1) if quick else (3, 3)
    url = _queue(server, "send")
    for name, each in (("", 1), ("_batch", TEN)):
        requests = Requests([_send(server, url, each)] * 100)
        requests.run(server, CONNECTIONS, 1)
        loads = [requests.run(server, CONNECTIONS, seconds) for _ in range(rounds)]
        yield f"sqs_send{name}_per_s", [load.per_s * each for load in loads]
        yield f"sqs_send{name}_cpu_us", [load.cpu_us for load in loads]
    for name, each in (("", 1), ("_batch", TEN)):
        received, deleted = _consume(server, f"consume{name}", each, seconds, rounds)
        pairs = list(zip(received, deleted, strict=True))
        # As many a second as where the two take turns.
        yield f"sqs_consume{name}_per_s", [each / (1 / one.per_s + 1 / other.per_s) for one, other in pairs]
        yield f"sqs_consume{name}_cpu_us", [one.cpu_us + other.cpu_us for one, other in pairs]
    yield "sqs_wake_ms", [_wake_ms(server, 10 if quick else 50)]
    yield "sqs_to_handler_ms", [_to_handler_ms(server, 10 if quick else 40)]


def _queue(server: Server, name: str) -> str:
    attributes = {"VisibilityTimeout": "600"}
    url: str = aws(server, "sqs").create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    return url


def _send(server: Server, url: str, each: int) -> bytes:
    if each == 1:
        return sqs(server, "SendMessage", {"QueueUrl": url, "MessageBody": BODY})
    entries = [{"Id": str(number), "MessageBody": BODY} for number in range(each)]
    return sqs(server, "SendMessageBatch", {"QueueUrl": url, "Entries": entries})


def _receive(server: Server, url: str, each: int) -> bytes:
    return sqs(server, "ReceiveMessage", {"QueueUrl": url, "MaxNumberOfMessages": each})


def _delete(server: Server, url: str, handles: list[str]) -> bytes:
    if len(handles) == 1:
        return sqs(server, "DeleteMessage", {"QueueUrl": url, "ReceiptHandle": handles[0]})
    entries = [{"Id": str(number), "ReceiptHandle": handle} for number, handle in enumerate(handles)]
    return sqs(server, "DeleteMessageBatch", {"QueueUrl": url, "Entries": entries})


def _consume(server: Server, name: str, each: int, seconds: int, rounds: int) -> tuple[list[Load], list[Load]]:
    """Rounds of receiving, and rounds of deleting: what is deleted has been received and signed for beforehand."""

    def receives(number: str, calls: int) -> list[bytes]:
        url = _queue(server, f"{name}-receive-{number}")
        _fill(server, url, calls * each)
        return [_receive(server, url, each)]

    def deletes(number: str, calls: int) -> list[bytes]:
        url = _queue(server, f"{name}-delete-{number}")
        _fill(server, url, calls * each)
        return [_delete(server, url, handles) for handles in _handles(server, url, calls * each, each)]

    return _rounds(server, receives, seconds, rounds), _rounds(server, deletes, seconds, rounds)


def _rounds(server: Server, prepare: Callable[[str, int], list[bytes]], seconds: int, rounds: int) -> list[Load]:
    """Each with a queue of its own, in which there is enough for all its calls."""
    loads, enough = [], 300
    for number in range(-1, rounds):
        length = 1 if number < 0 else seconds
        requests = Requests(prepare(str(number + 1), enough))
        load = requests.run(server, CONNECTIONS, length)
        calls = load.per_s * length
        if number >= 0:
            if calls > enough:
                raise Cannot(f"{calls:.0f} calls were more than the {enough} that there were messages for")
            loads.append(load)
        enough = max(300, int(load.per_s * seconds * 1.8))
    return loads


def _fill(server: Server, url: str, count: int) -> None:
    expect(ask_all(server, [_send(server, url, TEN)] * -(-count // TEN), 8))


def _handles(server: Server, url: str, count: int, each: int) -> list[list[str]]:
    answers = ask_all(server, [_receive(server, url, TEN)] * -(-count // TEN), 8)
    expect(answers)
    messages: list[dict[str, Any]] = [one for _, answer in answers for one in json.loads(answer).get("Messages", [])]
    found = [message["ReceiptHandle"] for message in messages]
    return [found[at : at + each] for at in range(0, len(found) - each + 1, each)]


def _wake_ms(server: Server, count: int) -> float:
    """The median, from before a send to the end of the answer to one who has waited for it."""
    url = _queue(server, "wake")
    took: list[float] = []
    ready, done = threading.Event(), threading.Event()
    sent = 0.0
    handles: list[str] = []

    def wait() -> None:
        with Connection(server) as connection:
            for _ in range(count):
                request = sqs(server, "ReceiveMessage", {"QueueUrl": url, "WaitTimeSeconds": 20})
                ready.set()
                _, answer = connection.ask(request)
                took.append((time.perf_counter() - sent) * 1000)
                handles.extend(message["ReceiptHandle"] for message in json.loads(answer).get("Messages", []))
                done.set()

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    with Connection(server) as connection:
        for _ in range(count):
            if not ready.wait(30):
                raise Cannot("a receiver that waited was not answered within 30 s")
            ready.clear()
            request = _send(server, url, 1)
            time.sleep(0.1)
            sent = time.perf_counter()
            connection.ask(request)
            if not done.wait(30):
                raise Cannot("a receiver that waited was not answered within 30 s")
            done.clear()
    thread.join()
    if len(handles) != count:
        raise Cannot(f"of {count} messages {len(handles)} were received by who waited for them")
    return statistics.median(took)


def _to_handler_ms(server: Server, count: int) -> float:
    name = "queue"
    arrivals.function(server, name, 'event["Records"][0]["body"]')
    url = _queue(server, "mapped")
    arn = aws(server, "sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = {"Effect": "Allow", "Action": "sqs:*", "Resource": arn}
    document = json.dumps({"Version": "2012-10-17", "Statement": [policy]})
    aws(server, "iam").put_role_policy(RoleName=ROLE, PolicyName="queue", PolicyDocument=document)
    aws(server, "lambda").create_event_source_mapping(FunctionName=name, EventSourceArn=arn, BatchSize=1)
    with Connection(server) as connection:

        def send(now: float) -> None:
            connection.ask(sqs(server, "SendMessage", {"QueueUrl": url, "MessageBody": str(now)}))

        return arrivals.median_ms(server, name, count, send)
