"""Which invocations are traced, what functions are told of it, and what is kept for X-Ray."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from function_kit import ROOT, SAMPLED, invocation, spec

from pileus.cloud.traces import DOCUMENT_BYTES_MAX, DOCUMENTS_MAX, Traces
from pileus.kernel.clock import VirtualClock
from pileus.kernel.ids import Ids
from pileus.services.lambda_.execution import Finished
from pileus.services.lambda_.tracing import Tracer, write_segments


@pytest.fixture
def tracer() -> Tracer:
    return Tracer(Ids(), VirtualClock(start=1_000_000_000.0))


def test_a_header_is_passed_through(tracer: Tracer) -> None:
    trace = tracer.begin(spec("PassThrough"), invocation(SAMPLED))
    assert trace is not None
    assert (trace.header, trace.recorded) == (SAMPLED, False)
    # Of one that leaves it open, Lambda says that it is not sampled; what else it has stays.
    trace = tracer.begin(spec("PassThrough"), invocation(f"Root={ROOT};Lineage=a:1"))
    assert trace is not None
    assert re.fullmatch(f"Root={ROOT};Parent=[0-9a-f]{{16}};Sampled=0;Lineage=a:1", trace.header)
    assert tracer.begin(spec("PassThrough"), invocation("")) is None


def test_the_callers_decision_counts(tracer: Tracer) -> None:
    trace = tracer.begin(spec("Active"), invocation(SAMPLED))
    assert trace is not None
    assert trace.recorded
    # The function's segment is the parent of what the function does.
    assert trace.header == f"Root={ROOT};Parent={trace.function_id};Sampled=1"
    trace = tracer.begin(spec("Active"), invocation(SAMPLED.replace("Sampled=1", "Sampled=0")))
    assert trace is not None
    assert not trace.recorded
    assert trace.header == f"Root={ROOT};Parent=53995c3f42cd8ad8;Sampled=0"


def test_one_a_second_and_five_percent(tracer: Tracer) -> None:
    found = [tracer.begin(spec("Active"), invocation("")) for _ in range(2000)]
    assert found[0] is not None
    assert found[0].recorded
    assert re.fullmatch(r"1-3b9aca00-[0-9a-f]{24}", found[0].root)
    assert 20 < sum(each is not None and each.recorded for each in found) < 300


def test_segments(tracer: Tracer) -> None:
    traces = Traces()
    function, called = spec("Active"), invocation(SAMPLED)
    trace = tracer.begin(function, called)
    done: dict[str, Any] = {"spec": function, "invocation": called, "ended": 1000.0, "billed_ms": 1, "max_memory_mb": 1}
    write_segments(
        traces, Finished(**done, duration_ms=500.0, init_ms=250.0, failed=True, overhead_ms=100.0, trace=trace)
    )
    assert trace is not None
    service, own = traces.shown("0" * 12)
    assert (service["origin"], service["id"], service["parent_id"]) == (
        "AWS::Lambda",
        trace.segment_id,
        "53995c3f42cd8ad8",
    )
    assert (service["start_time"], service["end_time"], service["fault"]) == (999.25, 1000.0, True)
    assert (own["origin"], own["id"], own["parent_id"]) == ("AWS::Lambda::Function", trace.function_id, service["id"])
    parts = {each["name"]: each for each in own["subsegments"]}
    assert list(parts) == ["Initialization", "Invocation", "Overhead"]
    assert len({each["id"] for each in parts.values()} | {own["id"]}) == 4
    assert (parts["Initialization"]["start_time"], parts["Initialization"]["end_time"]) == (999.25, 999.5)
    unsampled = tracer.begin(function, invocation("Root=1-x;Sampled=0"))
    write_segments(traces, Finished(**done, duration_ms=1.0, init_ms=None, failed=False, trace=unsampled))
    write_segments(traces, Finished(**done, duration_ms=1.0, init_ms=None, failed=False))
    assert [each.region for each in traces.take()] == ["us-east-1"] * 2
    assert traces.take() == []
    # Restored from a snapshot.
    write_segments(
        traces, Finished(**done, duration_ms=500.0, init_ms=None, restore_ms=250.0, failed=False, trace=trace)
    )
    service, own = traces.shown("0" * 12)
    assert service["start_time"] == 999.25
    assert [each["name"] for each in own["subsegments"]] == ["Restore", "Invocation"]


def test_what_is_sent_to_the_daemon() -> None:
    traces = Traces()
    head, document = b'{"format": "json", "version": 1}', b'{"name": "n"}'
    traces.daemon("1" * 12, "us-east-1", head + b"\n" + document)
    for bad in (
        b"",
        b"x",
        head,
        head + b"\n[]",
        b'{"format":"x"}\n' + document,
        b"[]\n{}",
        b"\xff\n{}",
        head + b"\n\xff",
    ):
        traces.daemon("1" * 12, "us-east-1", bad)
    large = json.dumps({"name": "x" * DOCUMENT_BYTES_MAX}).encode()
    traces.daemon("1" * 12, "us-east-1", head + b"\n" + large)
    assert traces.shown("1" * 12) == [{"name": "n"}]
    assert traces.shown("2" * 12) == []
    for _ in range(DOCUMENTS_MAX + 5):
        traces.put("1" * 12, "us-east-1", "{}")
    assert len(traces.take()) == DOCUMENTS_MAX
