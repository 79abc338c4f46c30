"""How an execution environment ends, or begins anew after a failure: Shutdown, restart, close; see `environment`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pileus.kernel.clock import SystemClock
from pileus.sandbox.contract import Exit
from pileus.services.lambda_.runs import Life, Outcome
from pileus.services.lambda_.runtime_api import RuntimeState

if TYPE_CHECKING:
    from pileus.services.lambda_.environment import Environment

# Functions run in real time, whatever time it is in the cloud.
_SYSTEM = SystemClock()

# The Shutdown phase: how long the runtime has, and all of it, with external extensions and with internal ones only.
# Without extensions there is none.
SHUTDOWN_EXTERNAL_S = (0.3, 2.0)
_SHUTDOWN_INTERNAL_S = (0.5, 0.5)


async def close(env: Environment) -> None:
    """End it, whatever it does; extensions are told before."""
    if env.life is Life.CLOSED:
        return
    if env.shutdown is None and env.extensions.engaged and env.life is not Life.BROKEN:
        env.life = Life.BROKEN
        env.shutdown = env.loop.create_task(shut_down(env, "spindown"))
    if env.shutdown is not None:
        await asyncio.wait([env.shutdown])
    if env.life is Life.CLOSED:
        return  # by somebody who waited, too
    env.life = Life.CLOSED
    env.cancel_timers()
    if env.server is not None:
        env.server.close()
    if env.close_debugger is not None:
        env.close_debugger()
    if env.stop_endpoint is not None:
        env.stop_endpoint()
    if env.daemon is not None:
        env.daemon.stop()
    await env.sandbox.close()
    if env.watcher is not None:
        env.watcher.cancel()
    env.guests.dismiss()
    env.telemetry.close()
    env.output.close()
    env.settle(Outcome("exit", exit=Exit(signal=9)))


async def shut_down(env: Environment, reason: str) -> None:
    """The Shutdown phase: the runtime ends first, then the extensions; whoever does not is ended."""
    begin = env.loop.time()
    env.sandbox.thaw()
    env.telemetry.resume()
    runtime_s, whole_s = SHUTDOWN_EXTERNAL_S if env.guests else _SHUTDOWN_INTERNAL_S
    if env.watcher is not None and not env.watcher.done():
        env.sandbox.terminate(first=True)
        done, _ = await asyncio.wait([env.watcher], timeout=runtime_s)
        if not done:
            env.sandbox.kill_first()
    env.drain()
    env.telemetry.flush()
    until = begin + whole_s
    deadline_ms = int((_SYSTEM.time() + until - env.loop.time()) * 1000)
    env.extensions.send("SHUTDOWN", {"shutdownReason": reason, "deadlineMs": deadline_ms})
    if leaving := env.guests.leaving():
        await asyncio.wait(leaving, timeout=max(0.0, until - env.loop.time()))
    env.drain()
    env.sandbox.kill()


async def restart(env: Environment) -> None:
    """From broken to new; what lies in /tmp stays. Raises `SandboxError`."""
    if env.shutdown is not None:
        await asyncio.wait([env.shutdown])
        env.shutdown = None
    await env.sandbox.restart()
    env.guests.dismiss()
    env.waiting = None
    env.event = None
    env.state = RuntimeState.STARTED
    env.life = Life.NEW
