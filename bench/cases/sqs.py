"""SQS: sending, receiving and deleting messages of 1 KB, one by one and in tens, and waking who waits."""

from __future__ import annotations

import json
import statistics
import threading
import time
from itertools import count

from bench.cases import arrivals
from bench.cases.lambda_ import ROLE
from bench.client import Connection, ask_all, aws, expect, sqs
from bench.gauge import Figures, Round, during, repeat
from bench.load import Load, Requests, Spent
from bench.servers import Cannot, Server

BODY = "x" * 1024
CONNECTIONS = 64
TEN = 10
# Waiting receivers that are woken in one round.
WAKES = 17
# More messages than these are laid into no queue, for however many requests are made.
MOST = 1_000_000
# Of which a queue has at most so many: AWS lets 120,000 be in flight.
IN_ONE_QUEUE = 100_000


def run(server: Server, quick: bool) -> Figures:
    seconds = 1 if quick else 2
    url = _queue(server, "send")
    for name, each in (("", 1), ("_batch", TEN)):
        requests = Requests([_send(server, url, each)] * 100)
        requests.run(server, CONNECTIONS, 1)
        loads = requests.rounds(server, CONNECTIONS, seconds, quick)
        yield f"sqs_send{name}_per_s", [(load.per_s * each, speed) for load, speed in loads]
        yield f"sqs_send{name}_cpu_us", [(load.cpu_us, speed) for load, speed in loads]
    for name, each in (("", 1), ("_batch", TEN)):
        pairs = _consume(server, each, quick)
        # As many a second as where the two take turns.
        rates = [(each / (1 / one.per_s + 1 / other.per_s), speed) for (one, other), speed in pairs]
        yield f"sqs_consume{name}_per_s", rates
        yield f"sqs_consume{name}_cpu_us", [(one.cpu_us + other.cpu_us, speed) for (one, other), speed in pairs]
    url = _queue(server, "wake")
    yield "sqs_wake_ms", repeat(lambda: during(_wake_ms, server, url, WAKES), quick)
    yield "sqs_to_handler_ms", _to_handler_ms(server, quick)


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


def _consume(server: Server, each: int, quick: bool) -> list[Round[tuple[Load, Load]]]:
    """Of receiving and of deleting; what is deleted has been received and signed for beforehand."""
    receiving, deleting = (_Consuming(server, each, deletes=deletes) for deletes in (False, True))

    def one() -> Round[tuple[Load, Load]]:
        (received, speed), (deleted, its) = receiving.one(), deleting.one()
        return (received, deleted), None if speed is None or its is None else min(speed, its)

    # Filling takes longer than what is measured, so more rounds take their time.
    return repeat(one, quick, limit_s=45)


class _Consuming:
    """Rounds of receiving, or of deleting, a second long, each in queues of its own that have enough for it.

    A queue's depth is what the speed of some servers depends on, so it has no more than is needed: it grows until a
    round no longer comes to its end, and a round that did is made anew.
    """

    def __init__(self, server: Server, each: int, *, deletes: bool) -> None:
        self._server, self._each, self._deletes = server, each, deletes
        self._queues = count()
        self._calls = 300

    def one(self) -> Round[Load]:
        while self._calls * self._each <= MOST:
            urls = self._fresh_queues()
            requests = Requests(self._requests(urls))
            try:
                load, speed = during(requests.run, self._server, CONNECTIONS, 1, self._calls)
            except Spent as spent:
                # Whole tens, which is how queues are filled.
                self._calls = round(self._calls / TEN * min(4.0, max(2.0, 1.5 * spent.calls / self._calls))) * TEN
                continue
            self._check(urls, load)
            return load, speed
        raise Cannot(f"it answered whatever was asked: in a second more than {MOST} messages")

    def _fresh_queues(self) -> list[str]:
        """Their addresses; each has its share of the messages, in whole tens of calls."""
        what = "delete" if self._deletes else "receive"
        queues = -(-self._calls * self._each // IN_ONE_QUEUE)
        self._calls = -(-self._calls // (queues * TEN)) * queues * TEN
        urls = [_queue(self._server, f"consume-{what}-{self._each}-{next(self._queues)}") for _ in range(queues)]
        for url in urls:
            _fill(self._server, url, self._calls // queues * self._each)
        return urls

    def _requests(self, urls: list[str]) -> list[bytes]:
        """Of one queue after the other, again and again."""
        if not self._deletes:
            return [_receive(self._server, url, self._each) for url in urls]
        each, share = self._each, self._calls // len(urls) * self._each
        handles = {url: _handles(self._server, url, share) for url in urls}
        return [
            _delete(self._server, url, handles[url][at : at + each]) for at in range(0, share, each) for url in urls
        ]

    def _check(self, urls: list[str], load: Load) -> None:
        """What these requests leave is in the queues; those that were cut off at the end may have been done or not."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        client = aws(self._server, "sqs")
        told = [client.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"] for url in urls]
        visible, hidden = (sum(int(of_queue[name]) for of_queue in told) for name in names)
        sent, least = self._calls * self._each, load.requests * self._each
        most = least + CONNECTIONS * self._each
        taken = sent - visible - hidden if self._deletes else hidden
        if not least <= taken <= most or not (self._deletes or visible + hidden == sent):
            what = "deletes" if self._deletes else "receives"
            raise Cannot(f"{what} of {least} to {most} of {sent} messages left {visible} and {hidden} in flight")


def _fill(server: Server, url: str, count: int) -> None:
    expect(ask_all(server, [_send(server, url, TEN)] * -(-count // TEN), 8))


def _handles(server: Server, url: str, count: int) -> list[str]:
    """All of them, by receives of ten."""
    found: list[str] = []
    while len(found) < count:
        answers = ask_all(server, [_receive(server, url, TEN)] * -(-(count - len(found)) // TEN), 8)
        expect(answers)
        messages = [one for _, answer in answers for one in json.loads(answer).get("Messages", [])]
        if not messages:
            raise Cannot(f"of {count} messages {len(found)} could be received")
        found += [message["ReceiptHandle"] for message in messages]
    return found


def _wake_ms(server: Server, url: str, count: int) -> float:
    """The median, from before a send to the end of the answer to one who has waited for it."""
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


def _to_handler_ms(server: Server, quick: bool) -> list[Round[float]]:
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

        return arrivals.medians_ms(server, name, quick, send)
