"""X-Ray around functions: which invocations are traced, what the function is told, and the segments of Lambda itself.

Source: "Visualize Lambda function invocations using AWS X-Ray" and "AWS X-Ray segment documents". A caller's decision
counts. Where there is none, a function with active tracing has one invocation a second traced and 5 % of the others;
a function that passes through tells what it was told, and writes no segments.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable
from typing import Any

from pileus.cloud.traces import Traces
from pileus.kernel.clock import Clock, SystemClock
from pileus.kernel.ids import Ids
from pileus.services.lambda_.execution import Finished, FunctionSpec, Invocation, Trace

_SYSTEM = SystemClock()
_RATE = 0.05

# Takes what is sent to the X-Ray daemon's address: (account, region, datagram).
DatagramSink = Callable[[str, str, bytes], None]


class Tracer:
    """Decides for one node."""

    def __init__(self, ids: Ids, clock: Clock) -> None:
        self._ids = ids
        self._clock = clock
        # The second in which one was traced last, by function.
        self._second = 0
        self._traced: set[str] = set()

    def begin(self, spec: FunctionSpec, invocation: Invocation) -> Trace | None:
        """None where there is no header and nothing to trace."""
        header = invocation.trace_header
        active = spec.tracing == "Active"
        if not header and not active:
            return None
        if not active and "Sampled=" in header:
            return Trace("", "", False, header, header)
        fields = dict(part.strip().partition("=")[::2] for part in header.split(";")) if header else {}
        root = fields.get("Root") or self._root()
        parent = fields.get("Parent", "")
        decided = fields.get("Sampled", "")
        if not active:
            return Trace(root, parent, False, header, _header(root, parent or self._ids.hex(16), "0", fields))
        sampled = decided == "1" if decided in ("0", "1") else self._draw(spec.arn)
        upstream = f"Root={root}" + (f";Parent={parent}" if parent else "") + f";Sampled={int(sampled)}"
        segment_id, function_id = self._ids.hex(16), self._ids.hex(16)
        told = _header(root, function_id if sampled else parent or segment_id, str(int(sampled)), fields)
        return Trace(root, parent, sampled, upstream, told, sampled, segment_id, function_id)

    def _root(self) -> str:
        return f"1-{int(self._clock.time()):08x}-{self._ids.hex(24)}"

    def _draw(self, arn: str) -> bool:
        second = int(_SYSTEM.monotonic())
        if second != self._second:
            self._second = second
            self._traced.clear()
        if arn not in self._traced:
            self._traced.add(arn)
            return True
        return self._ids.uniform(0.0, 1.0) < _RATE


class DaemonSocket:
    """The X-Ray daemon's address inside an environment: hands on what is sent there, until it is stopped."""

    def __init__(self, daemon: socket.socket, spec: FunctionSpec, sink: DatagramSink) -> None:
        self._socket = daemon
        self._spec = spec
        self._sink = sink
        daemon.setblocking(False)
        asyncio.get_running_loop().add_reader(daemon.fileno(), self._read)

    def stop(self) -> None:
        if self._socket.fileno() >= 0:
            self._read()
            asyncio.get_running_loop().remove_reader(self._socket.fileno())

    def _read(self) -> None:
        with contextlib.suppress(OSError):
            for _ in range(64):
                self._sink(self._spec.account, self._spec.region, self._socket.recv(1 << 16))


def _header(root: str, parent: str, sampled: str, fields: dict[str, str]) -> str:
    """The header for a function; what else the caller's had comes along."""
    rest = "".join(
        f";{name}={value}" for name, value in fields.items() if name not in ("Root", "Parent", "Sampled", "")
    )
    return f"Root={root};Parent={parent};Sampled={sampled}{rest}"


def write_segments(traces: Traces, done: Finished) -> None:
    """Write the segments of an invocation that was traced: Lambda's, and the function's below it."""
    trace = done.trace
    if trace is None or not trace.recorded:
        return
    spec = done.spec
    end, begin = done.ended, done.ended - done.duration_ms / 1000
    started_ms = done.init_ms if done.init_ms is not None else done.restore_ms
    init_s = (started_ms or 0.0) / 1000
    common = {"trace_id": trace.root, "name": spec.name}
    service: dict[str, Any] = {
        **common,
        "id": trace.segment_id,
        "start_time": begin - init_s,
        "end_time": end,
        "origin": "AWS::Lambda",
        "resource_arn": done.invocation.invoked_arn,
        "http": {"response": {"status": 200}},
        "aws": {"request_id": done.invocation.request_id},
    }
    if trace.parent:
        service["parent_id"] = trace.parent
    if done.failed:
        service["fault"] = True
    parts = [{"id": _below(trace, 1), "name": "Invocation", "start_time": begin, "end_time": end}]
    if started_ms is not None:
        initialization = {"id": _below(trace, 2), "name": "Initialization" if done.restore_ms is None else "Restore"}
        parts.insert(0, {**initialization, "start_time": begin - init_s, "end_time": begin})
    if done.overhead_ms:
        overhead = {"id": _below(trace, 3), "name": "Overhead"}
        parts.append({**overhead, "start_time": end - done.overhead_ms / 1000, "end_time": end})
    function: dict[str, Any] = {
        **common,
        "id": trace.function_id,
        "parent_id": trace.segment_id,
        "start_time": begin,
        "end_time": end,
        "origin": "AWS::Lambda::Function",
        "resource_arn": spec.arn,
        "aws": {"function_arn": spec.arn, "request_id": done.invocation.request_id},
        "subsegments": parts,
    }
    if done.failed:
        function["fault"] = True
    for document in (service, function):
        traces.put(spec.account, spec.region, json.dumps(document, separators=(",", ":")))


def _below(trace: Trace, number: int) -> str:
    """Ids of the parts of a segment, which nobody names."""
    return f"{(int(trace.function_id, 16) + number) & 0xFFFFFFFFFFFFFFFF:016x}"
