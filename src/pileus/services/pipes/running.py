"""The node's pipes at work: what each should do is in the store, what it does is a `Pump` here.

Applying brings the second in line with the first and moves the state on: CREATING to RUNNING, STOPPING to STOPPED,
DELETING to gone. It happens after each change on this node, and for all pipes once a minute, which is for those that
another node changed or a killed one left half done.
"""

from __future__ import annotations

import asyncio
import logging

from pileus.cloud.context import Cloud
from pileus.kernel.clock import VirtualClock
from pileus.kernel.errors import AWSError
from pileus.services.pipes import keys, settings
from pileus.services.pipes.delivering import role_of
from pileus.services.pipes.names import PipeName
from pileus.services.pipes.pump import Pump
from pileus.services.pipes.queue_pump import QueuePump
from pileus.services.pipes.records import Pipe, decode, encode
from pileus.services.pipes.stream_pump import StreamPump
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

log = logging.getLogger("pileus.pipes")

_SCAN = 500
_STARTING = {"CREATING": "CREATE_FAILED", "UPDATING": "UPDATE_FAILED", "STARTING": "START_FAILED"}


class Runners:
    """`cloud.part(Runners)`."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._pumps: dict[PipeName, Pump] = {}
        self._locks: dict[PipeName, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        if isinstance(cloud.clock, VirtualClock):
            cloud.clock.watch(self._busy)

    def changed(self, at: PipeName) -> None:
        """The pipe has come, gone or changed."""
        if self._closed:
            return
        task = asyncio.get_running_loop().create_task(self._apply_or_log(at))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def apply_all(self) -> None:
        found: set[PipeName] = set()
        start, end = keys.indexes()
        while True:
            rows = await self._cloud.store.read(lambda tx, start=start: tx.scan(start, end, limit=_SCAN))  # type: ignore[misc]
            found.update(PipeName(*keys.of_index(key)) for key, _ in rows)
            if len(rows) < _SCAN:
                break
            start = after(rows[-1][0])
        for at in sorted(found | self._pumps.keys()):
            await self._apply_or_log(at)

    async def close(self) -> None:
        """Read no more: the node ends."""
        self._closed = True
        tasks = [*self._tasks, *(task for pump in self._pumps.values() for task in pump.cancel())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _busy(self) -> list[asyncio.Task[None]]:
        return [*self._tasks, *(task for pump in self._pumps.values() for task in pump.busy())]

    async def _apply_or_log(self, at: PipeName) -> None:
        try:
            async with self._locks.setdefault(at, asyncio.Lock()):
                await self._apply(at)
        except Exception:  # the next round tries again
            log.exception("pipe %s could not be looked at", at.arn)

    async def _apply(self, at: PipeName) -> None:
        pipe = await self._cloud.store.read(lambda tx: find_pipe(tx, at))
        pump = self._pumps.get(at)
        if pump is not None and (pipe is None or pump.pipe.revision != pipe.revision):
            await pump.stop()
            del self._pumps[at]
            pump = None
        if pipe is None or self._closed:
            self._locks.pop(at, None)
            return
        state, reason = pipe.current, pipe.reason
        if pipe.current == "DELETING":
            state = ""
        elif pipe.desired == "RUNNING" and not pipe.current.endswith("_FAILED"):
            if pump is None:
                reason = await self._why_not(at, pipe)
                if not reason:
                    pump = self._pumps[at] = _kind_of(pipe)(self._cloud, at, pipe)
                    pump.start()
            state = "RUNNING" if not reason else _STARTING.get(pipe.current, pipe.current)
        elif pipe.desired == "STOPPED" and not pipe.current.endswith("_FAILED"):
            state = "STOPPED"
        if (state, reason) != (pipe.current, pipe.reason):
            await self._cloud.store.write(lambda tx: self._settle(tx, at, pipe, state, reason))

    async def _why_not(self, at: PipeName, pipe: Pipe) -> str:
        """Why the pipe cannot start: its role, or its source."""
        source = settings.source_arn(pipe.source)
        try:
            principal = await role_of(self._cloud, at, pipe)
            if source.service == "mq":
                await self._cloud.call(principal, "mq", "OpenBroker", {"BrokerId": pipe.source}, region=source.region)
            elif source.service == "smk":
                # What is wrong with brokers shows when they are read.
                return ""
            elif source.service == "dynamodb":
                await self._cloud.call(
                    principal, "dynamodbstreams", "DescribeStream", {"StreamArn": pipe.source}, region=source.region
                )
            else:
                await self._cloud.call(
                    principal,
                    "sqs",
                    "GetQueueAttributes",
                    {"QueueUrl": f"{self._cloud.endpoint}/{source.account}/{source.resource}"},
                    region=source.region,
                )
        except AWSError as error:
            return error.message or error.code
        return ""

    async def _settle(self, tx: Transaction, at: PipeName, seen: Pipe, state: str, reason: str) -> None:
        pipe = await find_pipe(tx, at)
        if pipe is None or pipe.revision != seen.revision:
            return
        if not state:
            tx.delete(keys.pipe(*at))
            tx.delete(keys.index(*at))
            tx.delete_range(*keys.places(*at))
            return
        pipe.current, pipe.reason = state, reason
        tx.put(keys.pipe(*at), encode(pipe))


def _kind_of(pipe: Pipe) -> type[Pump]:
    service = settings.source_arn(pipe.source).service
    if service == "mq":
        # The clients of brokers are there only where they were installed.
        from pileus.services.pipes.broker_pump import BrokerPump

        return BrokerPump
    if service == "smk":
        from pileus.services.pipes.kafka_pump import KafkaPump

        return KafkaPump
    return QueuePump if service == "sqs" else StreamPump


async def find_pipe(tx: Reader, at: PipeName) -> Pipe | None:
    data = await tx.get(keys.pipe(*at))
    return decode(Pipe, data) if data is not None else None


async def look_at_all(cloud: Cloud) -> None:
    """The loop's step."""
    await cloud.part(Runners).apply_all()
