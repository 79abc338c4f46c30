"""What Lambda itself tells of an environment's life: once as an event, shown in three ways.

As a line of text and as a JSON record in the function's log ("Sending Lambda function logs to CloudWatch Logs"), and to
subscribers of the Telemetry and Logs APIs ("Lambda Telemetry API Event schema reference"). Which level an event has is
in "System log level event mapping" of the developer guide.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from pileus.services.lambda_.execution import FunctionSpec, Trace

DEBUG, INFO, WARN = 0, 1, 2
LEVELS = {"DEBUG": DEBUG, "INFO": INFO, "WARN": WARN}


@dataclass(slots=True)
class PlatformEvent:
    # "platform.start"
    kind: str
    record: dict[str, Any]
    level: int = INFO
    # The line of a log in text; "" where it has none.
    text: str = ""


@dataclass(slots=True)
class Span:
    name: str
    start_ms: int
    duration_ms: float

    def shown(self) -> dict[str, Any]:
        return {"name": self.name, "start": timestamp(self.start_ms), "durationMs": round(self.duration_ms, 3)}


@dataclass(slots=True)
class Report:
    """What the REPORT line tells."""

    request_id: str
    duration_ms: float
    billed_ms: int
    memory_mb: int
    max_memory_mb: int
    init_ms: float | None = None
    restore_ms: float | None = None
    billed_restore_ms: int | None = None
    # "success", "error", "failure", "timeout".
    status: str = "success"
    error_type: str = ""
    spans: list[Span] = field(default_factory=list)
    # The function's own error: the line of text does not show it.
    own_error: bool = False
    # How long extensions went on after the runtime.
    extension_overhead_ms: float | None = None
    overhead_start_ms: int = 0


def timestamp(milliseconds: int) -> str:
    return (
        datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{milliseconds % 1000:03d}Z"
    )


def billed(duration_ms: float, init_ms: float | None) -> int:
    """Whole milliseconds, those of Init (or what counts of a restore) included, as AWS bills since August 2025."""
    return math.ceil(duration_ms + (init_ms or 0.0))


def encoded(now_ms: int, kind: str, record: Any) -> str:
    """An event as JSON: without its line end."""
    return json.dumps({"time": timestamp(now_ms), "type": kind, "record": record}, separators=(",", ":"))


class PlatformLog:
    """Makes the events of one environment."""

    def __init__(self, spec: FunctionSpec, log_stream: str) -> None:
        self._spec = spec
        self._stream = log_stream
        self._kind = spec.initialization_type

    def init_start(self, phase: str) -> PlatformEvent:
        spec = self._spec
        record: dict[str, Any] = {"initializationType": self._kind, "phase": phase}
        record["runtimeVersion"] = version = runtime_version(spec.runtime)
        if spec.runtime_version_arn:
            record["runtimeVersionArn"] = spec.runtime_version_arn
        record |= {"functionName": spec.name, "functionVersion": spec.version, "instanceId": self._stream}
        record["instanceMaxMemory"] = spec.memory_mb << 20
        arn = f"\tRuntime Version ARN: {spec.runtime_version_arn}" if spec.runtime_version_arn else ""
        # Init that is done again within an invocation is not told in the log.
        text = f"INIT_START Runtime Version: {version}{arn}\n" if phase == "init" else ""
        return PlatformEvent("platform.initStart", record, INFO if phase == "init" else DEBUG, text)

    def init_runtime_done(self, phase: str, status: str, error_type: str = "") -> PlatformEvent:
        record = {"initializationType": self._kind, "phase": phase, "status": status}
        if error_type:
            record["errorType"] = error_type
        return PlatformEvent("platform.initRuntimeDone", record, DEBUG if status == "success" else WARN)

    def init_report(self, phase: str, duration_ms: float, status: str, error_type: str = "") -> PlatformEvent:
        record: dict[str, Any] = {"initializationType": self._kind, "phase": phase, "status": status}
        if error_type:
            record["errorType"] = error_type
        record["metrics"] = {"durationMs": round(duration_ms, 3)}
        level, text = INFO if self._kind != "on-demand" else DEBUG, ""
        if status != "success":
            level = WARN
        if status != "success" or (phase == "init" and level != DEBUG):
            ending = f"\tError Type: {error_type}" if error_type else ""
            text = f"INIT_REPORT Init Duration: {duration_ms:.2f} ms\tPhase: {phase}\tStatus: {status}{ending}\n"
        return PlatformEvent("platform.initReport", record, level, text)

    def restore_start(self) -> PlatformEvent:
        spec = self._spec
        record: dict[str, Any] = {"runtimeVersion": runtime_version(spec.runtime)}
        if spec.runtime_version_arn:
            record["runtimeVersionArn"] = spec.runtime_version_arn
        record |= {"functionName": spec.name, "functionVersion": spec.version, "instanceId": self._stream}
        record["instanceMaxMemory"] = spec.memory_mb << 20
        arn = f"\tRuntime Version ARN: {spec.runtime_version_arn}" if spec.runtime_version_arn else ""
        text = f"RESTORE_START Runtime Version: {record['runtimeVersion']}{arn}\n"
        return PlatformEvent("platform.restoreStart", record, INFO, text)

    def restore_runtime_done(self, status: str, error_type: str = "") -> PlatformEvent:
        record = {"status": status} | ({"errorType": error_type} if error_type else {})
        return PlatformEvent("platform.restoreRuntimeDone", record, DEBUG if status == "success" else WARN)

    def restore_report(self, duration_ms: float, status: str, error_type: str = "") -> PlatformEvent:
        record: dict[str, Any] = {"status": status}
        text = f"RESTORE_REPORT Restore Duration: {duration_ms:.2f} ms"
        if status != "success":
            text += f"\tStatus: {status}"
        if error_type:
            record["errorType"] = error_type
            text += f"\tError Type: {error_type}"
        record["metrics"] = {"durationMs": round(duration_ms, 3)}
        level = INFO if status == "success" else WARN
        return PlatformEvent("platform.restoreReport", record, level, f"{text}\n")

    def start(self, request_id: str, trace: Trace | None) -> PlatformEvent:
        record: dict[str, Any] = {
            "requestId": request_id,
            "functionArn": self._spec.arn,
            "version": self._spec.version,
            **_tracing(trace),
        }
        text = f"START RequestId: {request_id} Version: {self._spec.version}\n"
        return PlatformEvent("platform.start", record, INFO, text)

    def runtime_done(self, report: Report, produced_bytes: int | None, trace: Trace | None) -> PlatformEvent:
        """The runtime is done with the event; `report.duration_ms` is what it took."""
        record: dict[str, Any] = {"requestId": report.request_id, "status": report.status}
        if report.error_type:
            record["errorType"] = report.error_type
        record["metrics"] = {"durationMs": round(report.duration_ms, 3)}
        if produced_bytes is not None:
            record["metrics"]["producedBytes"] = produced_bytes
        record["spans"] = [each.shown() for each in report.spans]
        record |= _tracing(trace)
        return PlatformEvent("platform.runtimeDone", record, DEBUG if report.status == "success" else WARN)

    def end(self, request_id: str) -> PlatformEvent:
        """Of the Logs API; elsewhere it is only a line of text."""
        return PlatformEvent("platform.end", {"requestId": request_id}, -1, f"END RequestId: {request_id}\n")

    def fault(self, message: str) -> PlatformEvent:
        """Of the Logs API; elsewhere it is only a line of text."""
        return PlatformEvent("platform.fault", {"": message}, -1, f"{message}\n")

    def report(self, report: Report, trace: Trace | None) -> PlatformEvent:
        metrics: dict[str, Any] = {
            "durationMs": round(report.duration_ms, 3),
            "billedDurationMs": report.billed_ms,
            "memorySizeMB": report.memory_mb,
            "maxMemoryUsedMB": report.max_memory_mb,
        }
        if report.init_ms is not None:
            metrics["initDurationMs"] = round(report.init_ms, 3)
        if report.restore_ms is not None:
            metrics["restoreDurationMs"] = round(report.restore_ms, 3)
        if report.billed_restore_ms is not None:
            metrics["billedRestoreDurationMs"] = report.billed_restore_ms
        record: dict[str, Any] = {"requestId": report.request_id, "metrics": metrics, **_tracing(trace)}
        if report.extension_overhead_ms is not None:
            overhead = Span("extensionOverhead", report.overhead_start_ms, report.extension_overhead_ms)
            record["spans"] = [overhead.shown()]
        record["status"] = report.status
        if report.error_type:
            record["errorType"] = report.error_type
        level = INFO if report.status == "success" else WARN
        return PlatformEvent("platform.report", record, level, self._report_line(report, trace))

    @staticmethod
    def _report_line(report: Report, trace: Trace | None) -> str:
        line = (
            f"REPORT RequestId: {report.request_id}\tDuration: {report.duration_ms:.2f} ms"
            f"\tBilled Duration: {report.billed_ms} ms\tMemory Size: {report.memory_mb} MB"
            f"\tMax Memory Used: {report.max_memory_mb} MB\t"
        )
        if report.init_ms is not None:
            line += f"Init Duration: {report.init_ms:.2f} ms\t"
        if report.restore_ms is not None:
            line += f"Restore Duration: {report.restore_ms:.2f} ms\t"
        if report.billed_restore_ms is not None:
            line += f"Billed Restore Duration: {report.billed_restore_ms} ms\t"
        if report.status != "success" and not report.own_error:
            line += f"Status: {report.status}" + (f"\tError Type: {report.error_type}" if report.error_type else "")
        if trace is not None and trace.recorded:
            line += f"\nXRAY TraceId: {trace.root}\tSegmentId: {trace.segment_id}\tSampled: true\t"
        return line + "\n"

    def extension(self, name: str, state: str, events: list[str], error_type: str = "") -> PlatformEvent:
        record: dict[str, Any] = {"name": name, "state": state, "events": events}
        ending = ""
        if error_type:
            record["errorType"] = error_type
            ending = f"\tError Type: {error_type}"
        text = f"EXTENSION\tName: {name}\tState: {state}\tEvents: [{', '.join(events)}]{ending}\n"
        return PlatformEvent("platform.extension", record, WARN if error_type else INFO, text)

    def subscription(self, kind: str, name: str, types: list[str]) -> PlatformEvent:
        """`kind`: "telemetry" or "logs"."""
        record = {"name": name, "state": "Subscribed", "types": types}
        word = "TELEMETRY" if kind == "telemetry" else "LOGS"
        text = f"{word}\tName: {name}\tState: Subscribed\tTypes: [{', '.join(each.title() for each in types)}]\n"
        return PlatformEvent(f"platform.{kind}Subscription", record, INFO, text)

    def note(self, now_ms: int, text: str) -> str:
        """Not AWS's: a line that says what is to be known of the runtime here."""
        if self._spec.log_format == "JSON":
            record = {"timestamp": timestamp(now_ms), "level": "WARN", "message": text}
            return json.dumps(record, separators=(",", ":")) + "\n"
        return f"[WARNING] {text}\n"

    def timed_out(self, now_ms: int, request_id: str, timeout_s: float) -> str:
        """A line of logs in text, not an event."""
        return f"{timestamp(now_ms)} {request_id} Task timed out after {timeout_s:.2f} seconds\n\n"


def logs_dropped(records: int, size: int) -> dict[str, Any]:
    """The record of platform.logsDropped."""
    return {
        "droppedBytes": size,
        "droppedRecords": records,
        "reason": "Consumer seems to have fallen behind as it has not acknowledged receipt of logs.",
    }


def runtime_version(runtime: str) -> str:
    """ "python:3.12", "nodejs:20", "java:17", "provided:al2023"."""
    match = re.fullmatch(r"([a-z]+)\.?(.*?)(?:\.x)?", runtime)
    return f"{match[1]}:{match[2]}" if match else runtime


def _tracing(trace: Trace | None) -> dict[str, Any]:
    if trace is None or not trace.recorded:
        return {}
    return {"tracing": {"spanId": trace.function_id, "type": "X-Amzn-Trace-Id", "value": trace.upstream}}
