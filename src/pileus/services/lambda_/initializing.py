"""How an execution environment becomes ready: Init, ahead or for an invocation, or in its place the restoration of a
snapshot; see `environment`."""

from __future__ import annotations

import asyncio
import logging
import math
import signal
from typing import TYPE_CHECKING

from pileus.kernel.clock import SystemClock
from pileus.sandbox.contract import Assignment, Exit, NotClonable, SandboxError, Template
from pileus.services.lambda_ import ending, errors
from pileus.services.lambda_.execution import LogEvent
from pileus.services.lambda_.failures import Failure
from pileus.services.lambda_.inside import assignment, restoration
from pileus.services.lambda_.platform_logs import PlatformEvent
from pileus.services.lambda_.runs import Life, Outcome, Restored
from pileus.services.lambda_.runtime_api import RuntimeState

if TYPE_CHECKING:
    from pileus.services.lambda_.environment import Environment

log = logging.getLogger("pileus.lambda")

# Functions run in real time, whatever time it is in the cloud.
_SYSTEM = SystemClock()

INIT_TIMEOUT_S = 10.0
# Provisioned concurrency: 130 s, or the function's timeout where that is longer.
_PROVISIONED_INIT_TIMEOUT_S = 130.0


async def snapshot(env: Environment, obstacle: str) -> tuple[Failure | None, Template | str]:
    """Init at publishing: what went wrong, else what its clones are made from, or why it cannot be cloned.

    `obstacle`: why it need not be tried.
    """
    if not obstacle and env.start.argv:
        obstacle = "a program of the function's starts its runtime"
    limit = max(_PROVISIONED_INIT_TIMEOUT_S, env.spec.timeout_s)
    env.takes_snapshot = True
    failure, _took = await init(env, limit, phase="init", template=not obstacle)
    if failure is None and env.snapshot is None:
        return None, obstacle or env.obstacle
    if env.snapshot is not None and env.extensions.engaged:
        return None, "it has extensions"
    env.own_memory_mb = env.sandbox.memory_mb()
    return failure, env.snapshot or ""


async def ahead(env: Environment) -> bool:
    """Init that waits for no invocation; False where it failed."""
    limit = max(_PROVISIONED_INIT_TIMEOUT_S, env.spec.timeout_s)
    failure, _took = await init(env, limit, phase="init")
    if failure is None:
        env.rest()
    return failure is None


async def _wait_for_snapshot(env: Environment) -> None:
    try:
        env.snapshot = await env.sandbox.snapshot()
    except NotClonable as error:
        env.obstacle = str(error)
    except SandboxError:
        # It has ended, which is told by whoever watches that; or it says what makes no sense.
        if env.watcher is not None:
            await asyncio.wait([env.watcher], timeout=ending.SHUTDOWN_EXTERNAL_S[0])
        env.settle(Outcome("exit", exit=Exit()))
        return
    env.settle(Outcome("snapshot"))


async def init(env: Environment, limit_s: float, *, phase: str, template: bool = False) -> tuple[Failure | None, float]:
    """Start extensions and runtime, and wait until all of them are ready; why not, and milliseconds taken."""
    begin = _SYSTEM.monotonic()
    env.telemetry.begin()
    env.extensions.begin(env.guests.names)
    env.log.write([], env.lines.init_start(phase))
    for note in env.notes if phase == "init" else ():
        now_ms = env.log.now_ms()
        env.log.write([LogEvent(now_ms, env.lines.note(now_ms, note))])
    env.init_error = env.lost = None
    env.state = RuntimeState.STARTED
    credentials = await env.spec.credentials()
    failure = _cannot_start(env)
    try:
        env.over_memory = False
        whole = assignment(
            env.spec,
            env.sandbox,
            env.hosted,
            env.start,
            credentials,
            env.log_stream,
            endpoint_port=env.endpoint_port,
            token=env.token,
            template=template,
        )
        if failure is None and env.guests.names:
            failure = await _start_extensions(env, whole, limit_s)
        if failure is None:
            env.sandbox.assign(whole)
            env.watch_exit()
            if template:
                env.later(_wait_for_snapshot(env))
            outcome = await env.wait(limit_s - (_SYSTEM.monotonic() - begin))
            if phase == "invoke" and outcome.exit is not None and outcome.exit.signal == signal.SIGSEGV:
                # Record "test_lambda_runtime_exit_segfault": of this end nobody at AWS hears, and its time runs out.
                await _SYSTEM.sleep(limit_s - (_SYSTEM.monotonic() - begin))
                outcome = Outcome("timeout")
            if outcome.kind not in ("ready", "snapshot"):
                failure = env.explain(outcome, env.spec.timeout_s if phase == "invoke" else limit_s)
    except SandboxError as error:
        failure = Failure(f"RequestId: {env.request_id} Error: {error}", "Runtime.Unknown")
    took = (_SYSTEM.monotonic() - begin) * 1000
    env.extensions.open = False
    _tell(env, phase, took, failure)
    if failure is None:
        env.life = Life.READY
    else:
        env.break_off(failure.reason)
    return failure, took


async def _restore(env: Environment, limit_s: float) -> Failure | None:
    """Let a clone of a snapshot go on, and wait until it is ready; why not."""
    begin = _SYSTEM.monotonic()
    env.extensions.open = False
    env.log.write([], env.lines.restore_start())
    env.init_error = env.lost = None
    env.over_memory = False
    env.state = RuntimeState.RESTORING
    failure = None
    try:
        env.sandbox.assign(restoration(env.spec))
        env.watch_exit()
        outcome = await env.wait(limit_s)
        if outcome.kind != "ready":
            failure = env.explain(outcome, limit_s)
    except SandboxError as error:
        failure = Failure(f"RequestId: {env.request_id} Error: {error}", "Runtime.Unknown")
    now = _SYSTEM.monotonic()
    since, env.restores_since = env.restores_since or begin, 0.0
    env.restored = Restored((now - since) * 1000, math.ceil((now - begin) * 1000))
    status, error_type = ("success", "") if failure is None else (failure.status, failure.error_type)
    error_type = "" if status == "timeout" else error_type
    env.drain()
    done = env.lines.restore_runtime_done(status, error_type)
    env.log.write([], done, env.lines.restore_report(env.restored.whole_ms, status, error_type))
    if failure is None:
        env.life = Life.READY
    else:
        # AWS's error says no more than that it failed.
        why = {"why": failure.message or failure.error_type, "inside": env.sandbox.failure}
        details = {"function": env.spec.arn, "version": env.spec.version, **why}
        log.warning("an environment was not restored", extra={"details": details})
        env.break_off(failure.reason)
    return failure


def _cannot_start(env: Environment) -> Failure | None:
    found = env.start.failure
    return None if found is None else Failure(f"RequestId: {env.request_id} Error: {found[1]}", found[0])


def _tell(env: Environment, phase: str, took_ms: float, failure: Failure | None) -> None:
    status, error_type = ("success", "") if failure is None else (failure.status, failure.error_type)
    error_type = "" if status == "timeout" else error_type
    if failure is not None:
        env.drain()
    told: list[PlatformEvent] = [env.lines.init_runtime_done(phase, status, error_type)]
    if phase == "init" or failure is not None:
        lines, every = env.lines, env.extensions.all
        told += [lines.extension(each.name, each.state.value, each.events, each.error_type) for each in every]
    told.append(env.lines.init_report(phase, took_ms, status, error_type))
    env.log.write([], *told)
    env.telemetry.end_init()


async def _start_extensions(env: Environment, whole: Assignment, limit_s: float) -> Failure | None:
    """Extension init: every program in /opt/extensions is started, and has to register."""
    await env.sandbox.prepare(whole)
    env.registering = True
    try:
        env.guests.start(env.extensions, whole.environment)
        outcome = await env.wait(limit_s)
        return None if outcome.kind == "registered" else env.explain(outcome, limit_s)
    finally:
        env.registering = False


async def first(env: Environment) -> tuple[Failure | None, float | None]:
    """Init with a time of its own: what went wrong, else the milliseconds it took.

    Raises `SnapStartException`, `SnapStartTimeoutException` where it is restored instead.
    """
    if env.restores_since is not None:
        lost = await _restore(env, INIT_TIMEOUT_S)
        if lost is not None:
            raise errors.restore_timed_out() if lost.status == "timeout" else errors.not_restored()
        return None, None
    # Who debugs takes the time it takes.
    limit_s = env.spec.timeout_s if env.spec.debug_port else INIT_TIMEOUT_S
    failure, took = await init(env, limit_s, phase="init")
    return failure, took if failure is None else None


async def again(env: Environment, limit_s: float) -> Failure | None:
    """Within an invocation, after one that failed or an Init that did: why it cannot go on."""
    try:
        await ending.restart(env)
    except SandboxError as error:
        return Failure(f"RequestId: {env.request_id} Error: {error}", "Runtime.Unknown")
    if env.restores_since is not None:
        failure = await _restore(env, limit_s)
        env.restored = None
        return failure
    failure, _took = await init(env, limit_s, phase="invoke")
    return failure
