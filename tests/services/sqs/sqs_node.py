"""SQS on a store, in this process and without a wire in front: fast enough for thousands of calls, and to be killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pileus.cloud.context import Cloud, Context, HttpInfo
from pileus.cloud.manifest import Kind
from pileus.delivery.outbox import open_outbox
from pileus.kernel.clock import VirtualClock
from pileus.kernel.ids import Ids
from pileus.kernel.loops import Driver
from pileus.kernel.principal import Principal
from pileus.kernel.settings import Settings
from pileus.services.sqs.service import SERVICE
from pileus.store.sqlite import open_store

ACCOUNT, REGION = "000000000000", "us-east-1"
ROOT = Principal(kind="root", account=ACCOUNT, arn=f"arn:aws:iam::{ACCOUNT}:root", id=ACCOUNT)
BEGIN = 1_800_000_000.0


async def _no_call(*_: Any, **__: Any) -> dict[str, Any]:
    raise AssertionError("SQS calls nobody")


class Node:
    """`folder` None keeps all in memory. Its time begins at `begin` and moves with `advance` only."""

    def __init__(self, folder: Path | None, begin: float = BEGIN) -> None:
        self.folder = folder
        self.clock = VirtualClock(begin)

    async def start(self) -> None:
        self.store = open_store(self.folder, "memory" if self.folder is None else "relaxed")
        self.loops = Driver(self.clock)
        ids = Ids()
        self.cloud = Cloud(
            settings=Settings(data_dir=self.folder or Path()),
            clock=self.clock,
            ids=ids,
            store=self.store,
            blobs=None,  # type: ignore[arg-type]  # SQS has none
            outbox=await open_outbox(self.store, ids=ids),
            nudge=self.loops.nudge,
            call=_no_call,
            listen=_no_call,  # type: ignore[arg-type]
            endpoint="http://localhost:4566",
        )
        assert SERVICE.start is not None
        await SERVICE.start(self.cloud)
        for loop in SERVICE.loops:
            self.loops.add(loop.name, lambda step=loop.step: step(self.cloud), loop.period_s)  # type: ignore[misc]
        await self.loops.start()

    async def stop(self) -> None:
        await self.loops.stop()
        await self.store.close()

    async def advance(self, seconds: float) -> None:
        await self.clock.advance(seconds)

    async def call(self, operation: str, **request: Any) -> dict[str, Any]:
        """As the pipeline runs it, for the account's root. Raises `AWSError`."""
        ctx = Context(
            cloud=self.cloud,
            request_id="request",
            service="sqs",
            operation=operation,
            account=ACCOUNT,
            region=REGION,
            principal=ROOT,
            now=self.clock.time(),
            http=HttpInfo(),
        )
        built = SERVICE.operations[operation]
        answer: dict[str, Any] | None
        if built.kind is Kind.READING:
            answer = await self.store.read(lambda tx: built.function(ctx, tx, request))
        elif built.kind is Kind.WRITING:
            answer = await self.store.write(lambda tx: built.function(ctx, tx, request))
        else:
            answer = await built.function(ctx, request)
        return answer or {}

    async def queue(self, name: str, **attributes: str) -> str:
        answer = await self.call("CreateQueue", QueueName=name, Attributes=attributes)
        url: str = answer["QueueUrl"]
        return url
