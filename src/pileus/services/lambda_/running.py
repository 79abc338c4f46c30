"""One invocation in an execution environment, from its delivery to the last line of its log; see `environment`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pileus.kernel.clock import SystemClock
from pileus.services.lambda_ import failures, initializing
from pileus.services.lambda_.execution import Invocation, InvokeResult
from pileus.services.lambda_.failures import Failure
from pileus.services.lambda_.runs import Conclusion, Gathering, Life, Outcome, Run
from pileus.services.lambda_.runtime_api import RuntimeState, Streamed, StreamReader

if TYPE_CHECKING:
    from pileus.services.lambda_.environment import Environment

# Functions run in real time, whatever time it is in the cloud.
_SYSTEM = SystemClock()


async def invoke(env: Environment, invocation: Invocation) -> InvokeResult:
    """Run it; the environment is ready again, or broken, when the result, or its `rest`, is there."""
    env.cancel_overrun()
    env.log.tail.clear()
    env.request_id = invocation.request_id
    init_ms: float | None = None
    must_init = env.life is Life.BROKEN
    if env.life is Life.NEW or env.begun is not None:
        first, init_ms = env.begun or await initializing.first(env)
        env.begun = None
        env.log.tail.clear()
        must_init = first is not None
    if env.shutdown is not None:
        # What is left of the last failure is not this invocation's time.
        await asyncio.wait([env.shutdown])
    env.life = Life.BUSY if not must_init else env.life
    trace = env.tracer.begin(env.spec, invocation)
    now_ms = env.log.now_ms()
    run = env.run = Run(env.spec, invocation, trace, init_ms, _SYSTEM.monotonic(), now_ms, env.restored)
    env.restored = None
    env.log.write([], env.lines.start(invocation.request_id, trace))
    if must_init:
        failure = await initializing.again(env, run.left_s())
        if failure is not None:
            return _finish(env, run, failure)
        env.life = Life.BUSY
    _deliver(env, run)
    outcome = await env.wait(run.left_s(), watched=True)
    if outcome.kind == "exit" and env.event is not None:
        # It ended after its last answer and has not seen this event: another runtime takes it.
        env.event = None
        failure = await initializing.again(env, run.left_s())
        if failure is not None:
            return _finish(env, run, failure)
        env.life = Life.BUSY
        _deliver(env, run)
        outcome = await env.wait(run.left_s(), watched=True)
    if outcome.kind == "stream" and outcome.stream is not None and not invocation.streaming:
        outcome = await _gather(env, outcome.stream, run.left_s())
    if outcome.kind == "stream" and outcome.stream is not None:
        return _begin_stream(env, run, outcome.stream)
    if outcome.kind == "too_large":
        # The runtime has been told, and goes on.
        failure = env.explain(outcome, env.spec.timeout_s)
        outcome = Outcome("error", failure.payload(), failure.error_type)
    if outcome.kind not in ("answer", "error"):
        failure = env.explain(outcome, env.spec.timeout_s)
        env.break_off(failure.reason)
        return _finish(env, run, failure)
    own = None
    if outcome.kind == "error":
        own = Failure("", outcome.error_type or failures.error_type_of(outcome.payload))
    run.begins_to_answer(len(outcome.payload))
    if not env.extensions.engaged:
        return _finish(env, run, own, outcome.payload)
    rest = env.later(_complete(env, run, own, outcome.payload))
    if invocation.wants_log:
        return await asyncio.shield(rest)
    return InvokeResult(
        payload=outcome.payload,
        function_error="Unhandled" if own is not None else None,
        init_ms=init_ms,
        max_memory_mb=env.max_memory_mb,
        rest=rest,
    )


def _deliver(env: Environment, run: Run) -> None:
    env.sandbox.thaw()
    # The function compares it with the machine's own clock. Rounded down, as functions round the time: else they would
    # be told of a millisecond more than their timeout.
    deadline_ms = int((_SYSTEM.time() + run.left_s()) * 1000)
    if env.extensions.engaged:
        env.telemetry.resume()
        env.extensions.send("INVOKE", run.extension_event(deadline_ms))
    told = run.event(deadline_ms)
    waiting, env.waiting = env.waiting, None
    env.state = RuntimeState.RUNNING
    if waiting is None or not waiting.send_event(told):
        # It has answered the last one and not asked for the next one yet.
        env.state = RuntimeState.RESPONSE_SENT
        env.event = told


async def _complete(env: Environment, run: Run, own: Failure | None, payload: bytes | None) -> InvokeResult:
    """Wait for the runtime and all extensions to ask for their next event."""
    failure = None
    while failure is None and not env.at_rest():
        outcome = await env.wait(run.left_s(), watched=True)
        note_runtime_done(env, run, own)
        if outcome.kind == "exit":
            # The runtime has answered, and has ended by itself.
            env.break_off("failure")
            break
        if outcome.kind != "rested":
            failure = env.explain(outcome, env.spec.timeout_s)
            env.break_off(failure.reason)
    note_runtime_done(env, run, own)
    if failure is not None:
        return _finish(env, run, failure)
    return _finish(env, run, own, payload)


def note_runtime_done(env: Environment, run: Run, own: Failure | None) -> None:
    if run.runtime_done or (env.waiting is None and env.life is Life.BUSY):
        return
    env.drain()
    env.log.write([], run.tell_of_runtime(env.lines, own, env.log.now_ms()))


def _finish(env: Environment, run: Run, failure: Failure | None, payload: bytes | None = None) -> InvokeResult:
    """Write the last lines and give the result. A `payload` beside a failure is the runtime's own error."""
    env.drain()
    end = Conclusion(run, failure, payload, max_memory_mb=env.measure(), extensions=env.extensions.engaged)
    told = end.told(env.lines, env.log.now_ms(), detailed=env.log.detailed)
    env.log.write(env.output.rest(), *told)
    env.last_used = env.clock.monotonic()
    env.run = None
    if env.on_finished is not None:
        env.on_finished(end.finished(env.clock.time()))
    if env.life is Life.BUSY:
        env.life = Life.READY
        env.rest()
    return end.result(env.log.tail.bytes())


async def _gather(env: Environment, stream: Streamed, left_s: float) -> Outcome:
    """A streamed answer for a caller who takes it whole."""
    gathering = Gathering(stream)
    try:
        outcome = await env.wait_for_end(stream, left_s)
        return outcome if outcome.kind != "stream_end" else await gathering.outcome()
    finally:
        gathering.stop()


def _begin_stream(env: Environment, run: Run, stream: Streamed) -> InvokeResult:
    """Hand the stream out; the invocation ends when the runtime has written all of it."""
    run.begins_to_answer(0)

    async def end() -> InvokeResult:
        outcome = await env.wait_for_end(stream, run.left_s())
        if outcome.kind == "stream_end":
            run.has_streamed(stream.total_bytes)
            own = Failure("", stream.error[0]) if stream.error is not None else None
            if env.extensions.engaged:
                return await _complete(env, run, own, b"")
            return _finish(env, run, own, b"")
        failure = env.explain(outcome, env.spec.timeout_s)
        stream.error = (failure.error_type, failure.message)
        stream.chunks.put_nowait(None)
        env.break_off(failure.reason)
        return _finish(env, run, failure)

    task = env.later(end())
    waits = run.invocation.wants_log or not env.extensions.engaged
    return InvokeResult(
        payload=b"",
        stream=StreamReader(stream, task if waits else None),
        init_ms=run.init_ms,
        max_memory_mb=env.max_memory_mb,
        rest=task,
    )
