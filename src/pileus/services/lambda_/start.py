"""Lambda's start and end on a node."""

from __future__ import annotations

from functools import partial
from urllib.parse import urlsplit

from pileus.cloud.context import Cloud
from pileus.sandbox.choice import choose
from pileus.services.lambda_ import deployments, idle, keys
from pileus.services.lambda_.billing import LOOP, keep
from pileus.services.lambda_.codestore import CodeStore
from pileus.services.lambda_.concurrency import Concurrency
from pileus.services.lambda_.execution import Finished
from pileus.services.lambda_.feeding.feeds import Feeds
from pileus.services.lambda_.idle import Uses
from pileus.services.lambda_.logwriter import LogWriter
from pileus.services.lambda_.metrics import FunctionMetrics
from pileus.services.lambda_.node import Node, node
from pileus.services.lambda_.pool import EnvironmentPool
from pileus.services.lambda_.provisioning import Provisioner
from pileus.services.lambda_.resolver import Resolver
from pileus.services.lambda_.tracing import write_segments
from pileus.services.lambda_.usage import UsageMeter
from pileus.store.contract import Transaction

SECRET_BYTES = 32


async def start(cloud: Cloud) -> None:
    """Put the node's `Node` into `cloud.parts`."""
    code = CodeStore(cloud)
    code.start()
    logs = LogWriter(cloud)
    logs.start()
    metrics, usage, uses = FunctionMetrics(cloud.metrics, cloud.clock), UsageMeter(partial(cloud.nudge, LOOP)), Uses()

    def finished(done: Finished) -> None:
        metrics.finished(done)
        usage.finished(done)
        uses.finished(done)
        write_segments(cloud.traces, done)

    pool = EnvironmentPool(
        cloud.settings,
        cloud.clock,
        cloud.ids,
        partial(choose, cloud.settings.sandbox, internet=cloud.settings.internet),
        on_log=logs.sink,
        on_finished=finished,
        on_datagram=cloud.traces.daemon,
        endpoint_port=urlsplit(cloud.endpoint).port or 80,
        serve_endpoint=cloud.listen,
    )
    cloud.status["runtimes"] = pool.runtimes
    cloud.status["snapshots"] = pool.snapshots
    cloud.parts[Node] = Node(
        code=code,
        logs=logs,
        metrics=metrics,
        usage=usage,
        concurrency=Concurrency(),
        pool=pool,
        resolver=Resolver(cloud, code=code, logs=logs, pool=pool, wake=partial(deployments.wake, cloud)),
        secret=await _secret(cloud),
    )
    cloud.parts[Uses] = uses
    cloud.parts[Feeds] = Feeds(cloud)
    cloud.parts[Provisioner] = Provisioner(cloud, pool)


async def stop(cloud: Cloud) -> None:
    """Read from no source any more, end every environment, then write the last of what they had to say."""
    await cloud.part(Feeds).close()
    await cloud.part(Provisioner).close()
    mine = node(cloud)
    await mine.resolver.close()
    await mine.pool.close()
    await keep(cloud)
    await idle.look(cloud)
    await mine.logs.close()


async def _secret(cloud: Cloud) -> bytes:
    """What signs locations: made once, the same on every node and after a restart."""
    key, fresh = keys.secret("locations"), cloud.ids.token_bytes(SECRET_BYTES)

    async def load(tx: Transaction) -> bytes:
        found = await tx.get(key)
        if found is None:
            tx.put(key, fresh)
        return found or fresh

    return await cloud.store.write(load)
