"""The composition root: configuration in, a running cloud out.

Everything that is one per node is made here, in the order in which it is needed, and undone in the reverse order.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import resource
import signal
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

from pileus.access.authenticate import is_loopback
from pileus.access.sessions import Sessions, load_sessions
from pileus.cloud.context import Cloud
from pileus.cloud.directory import Directory
from pileus.cloud.manifest import Service
from pileus.cloud.roles import RoleSessions
from pileus.delivery.deliverer import LIMIT, Deliverer
from pileus.delivery.outbox import open_outbox
from pileus.kernel.clock import Clock, SystemClock, VirtualClock
from pileus.kernel.ids import Ids
from pileus.kernel.log import configure_logging
from pileus.kernel.loops import Driver
from pileus.kernel.settings import Settings
from pileus.kernel.sockets import listen
from pileus.services.iam.identities import IamIdentities
from pileus.store.blobs_local import LocalBlobs
from pileus.store.contract import Reader, Store, StoreUnavailable
from pileus.store.keys import prefix_range
from pileus.store.sqlite import open_store
from pileus.wire.documents import Documents
from pileus.wire.gate import Gate
from pileus.wire.http import HttpServer
from pileus.wire.internal import Internal
from pileus.wire.pipeline import Pipeline

log = logging.getLogger("pileus")

# Where each service's manifest is, by botocore's name of the service: see `pileus.cloud.directory`.
SERVICES = {
    "application-autoscaling": "pileus.services.application_autoscaling.service:SERVICE",
    "dax": "pileus.services.dax.service:SERVICE",
    "dynamodb": "pileus.services.dynamodb.service:SERVICE",
    "dynamodbstreams": "pileus.services.dynamodb.service:STREAMS",
    "events": "pileus.services.events.service:SERVICE",
    "iam": "pileus.services.iam.service:SERVICE",
    "lambda": "pileus.services.lambda_.service:SERVICE",
    "logs": "pileus.services.logs.service:SERVICE",
    "mq": "pileus.services.mq.service:SERVICE",
    "pipes": "pileus.services.pipes.service:SERVICE",
    "s3": "pileus.services.s3.service:SERVICE",
    "s3control": "pileus.services.s3.control:CONTROL",
    "scheduler": "pileus.services.scheduler.service:SERVICE",
    "schemas": "pileus.services.schemas.service:SERVICE",
    "sns": "pileus.services.sns.service:SERVICE",
    "sqs": "pileus.services.sqs.service:SERVICE",
    "sts": "pileus.services.sts.service:SERVICE",
}

# Services whose keys begin with the name of the one that they are a part of.
_KEPT_UNDER = {"dynamodbstreams": "dynamodb", "s3control": "s3"}

_SETTLE_AFTER_S = 0.3

_DELIVERY = "delivery"
# The outbox says itself when something is due; this is for what a clock that was set back may have hidden.
_DELIVERY_PERIOD_S = 60.0


class StartError(Exception):
    """Why Pileus cannot start, and what to do: one line for a person."""


def run(settings: Settings, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; `ready` hears of the endpoint once requests are answered. Raises StartError."""
    configure_logging(settings.log_format)
    if not is_loopback(settings.host) and not settings.root_keys:
        raise StartError(
            f"{settings.host} is not a loopback address: give root credentials of your own with --root-key ID:SECRET "
            "(or PILEUS_ROOT_KEY), or listen on 127.0.0.1."
        )
    if settings.internet and settings.sandbox != "process":
        from pileus.sandbox.choice import no_internet

        if missing := no_internet():
            raise StartError(f"{missing[0].upper()}{missing[1:]}.")
    _raise_file_limit()
    with contextlib.suppress(ImportError):
        import uvloop

        asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(serve(settings, ready))


async def serve(settings: Settings, ready: Callable[[str], None]) -> None:
    """`run`, on a running event loop."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    async with contextlib.AsyncExitStack() as stack:
        endpoint = await start(settings, stack)
        ready(endpoint)
        await stopping.wait()
        log.info("Stopping.")


async def start(settings: Settings, stack: contextlib.AsyncExitStack) -> str:
    """Start a node; `stack` undoes it. Returns the endpoint. Raises StartError."""
    try:
        sock = listen(settings.host, settings.port)
    except OSError as error:
        raise StartError(
            f"Cannot listen on {settings.host}:{settings.port}: {error.strerror}. Is Pileus or another program "
            "running there? Take another port with --port."
        ) from None
    stack.callback(sock.close)
    clock: Clock = VirtualClock() if settings.clock == "virtual" else SystemClock()
    ids = Ids()
    in_memory = settings.durability == "memory"
    if in_memory:
        # Code and blobs are files for the kernel's and the threads' sake; they go with the process.
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="pileus-"))
        settings = replace(settings, data_dir=Path(folder))
    try:
        settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        store = open_store(None if in_memory else settings.data_dir, settings.durability)
    except (OSError, StoreUnavailable) as error:
        raise StartError(f"{settings.data_dir}: {error}") from None
    stack.push_async_callback(store.close)
    blobs = LocalBlobs(settings.data_dir / "blobs", store, clock=clock, ids=ids, sync=settings.durability == "full")
    stack.push_async_callback(blobs.close)

    loops = Driver(clock)
    outbox = await open_outbox(store, ids=ids)
    deliverer = Deliverer(store, outbox, clock=clock, ids=ids, nudge=partial(loops.nudge, _DELIVERY))
    loops.add(_DELIVERY, deliverer.step, _DELIVERY_PERIOD_S)
    loops.add("store.sweep-blobs", blobs.sweep, 3600.0)
    cloud = Cloud(
        settings=settings,
        clock=clock,
        ids=ids,
        store=store,
        blobs=blobs,
        outbox=outbox,
        nudge=loops.nudge,
        call=_not_yet,
        listen=_not_yet,
    )
    sessions = await load_sessions(store, ids)
    identities = IamIdentities(cloud)
    cloud.parts[Sessions] = sessions
    cloud.parts[RoleSessions] = RoleSessions(cloud)
    services = Directory(SERVICES, cloud, partial(_begin, cloud, loops, deliverer))
    pipeline = Pipeline(
        cloud,
        services,
        identities=identities,
        sessions=sessions,
        internal=Internal(cloud, services, partial(_status, cloud, loops, deliverer, clock.monotonic())),
    )
    http = HttpServer(pipeline.handle, pipeline.cohort)
    cloud.call = pipeline.call
    cloud.documents = Documents(pipeline.model)
    cloud.gate = Gate(cloud, pipeline.keyring)
    cloud.listen = http.listen
    cloud.endpoint = f"http://{_reachable(settings.host)}:{sock.getsockname()[1]}"

    stack.push_async_callback(services.stop)
    await loops.start()
    stack.push_async_callback(deliverer.stop)
    stack.push_async_callback(loops.stop)
    await http.start(sock)
    stack.push_async_callback(http.stop)
    stack.callback(_end_waits, cloud)
    stack.callback(asyncio.ensure_future(_settle(services, loops, store)).cancel)
    return cloud.endpoint


async def _settle(services: Directory, loops: Driver, store: Store) -> None:
    """What need not be done before the first answer.

    Services that hold something are started: what they hold expires, falls due, waits to be delivered. The others take
    neither memory nor time before somebody calls them.
    """
    await SystemClock().sleep(_SETTLE_AFTER_S)
    loops.add("sandbox.sweep", _sweep_environments, 3600.0)
    for name in await store.read(partial(_in_use, services.names)):
        await services.start(name)
    # What is there now stays: the collector need not look at it again, and requests leave little that only it finds.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()
    loops.add("store.rest", partial(_rest, store), 300.0)


async def _rest(store: Store) -> None:
    """A node that has little to do takes little memory."""
    if store.rest():
        # Imported once there is something to give back.
        from pileus.kernel import memory

        memory.give_back()


async def _in_use(names: Sequence[str], reader: Reader) -> list[str]:
    """Those of `names` whose services hold something; all where deliveries wait, of which any may be the target."""
    if await reader.scan(*prefix_range("outbox", "record"), limit=1):
        return list(names)
    return [name for name in names if await reader.scan(*prefix_range(_KEPT_UNDER.get(name, name)), limit=1)]


async def _sweep_environments() -> None:
    """End what a killed node has left of its environments: frozen processes outlive their parent."""
    from pileus.sandbox import cgroups, internet

    await asyncio.to_thread(cgroups.sweep)
    await asyncio.to_thread(internet.sweep)


async def _begin(cloud: Cloud, loops: Driver, deliverer: Deliverer, service: Service) -> None:
    """Start a service: from now on its loops run and its deliveries arrive."""
    if service.start is not None:
        await service.start(cloud)
    for name, deliver in service.targets.items():
        deliverer.register(name, partial(deliver, cloud), limit=service.target_limits.get(name, LIMIT))
    for loop in service.loops:
        loops.add(loop.name, partial(loop.step, cloud), loop.period_s)


def _end_waits(cloud: Cloud) -> None:
    for end in cloud.before_end:
        end()


def _not_yet(*_: Any, **__: Any) -> Any:
    raise AssertionError("called before the node was put together")


def _reachable(host: str) -> str:
    """A host name under which clients of this machine reach a listening address."""
    if is_loopback(host) or host in ("0.0.0.0", "::"):  # noqa: S104 -- compared, not bound
        return "localhost" if host in ("::1", "::") else "127.0.0.1"
    return f"[{host}]" if ":" in host else host


async def _status(cloud: Cloud, loops: Driver, deliverer: Deliverer, started: float) -> dict[str, Any]:
    """What `pileus status` shows."""
    return {
        "uptime_s": cloud.clock.monotonic() - started,
        "data_dir": str(cloud.settings.data_dir),
        "loops": [asdict(one) for one in loops.status()],
        "deliveries": [asdict(one) for one in deliverer.status()],
        **{name: show() for name, show in cloud.status.items()},
    }


def _raise_file_limit() -> None:
    """As many descriptors as we may have: thousands of connections and environments are normal."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = hard if hard != resource.RLIM_INFINITY else 1 << 20
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
