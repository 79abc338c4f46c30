"""The lines that Lambda itself writes into a function's log, in their two forms: text and JSON.

Text as CloudWatch Logs shows it; JSON as in "Lambda Telemetry API Event schema reference".
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pileus.services.lambda_.execution import FunctionSpec


@dataclass(slots=True)
class Report:
    """What the REPORT line tells."""

    request_id: str
    duration_ms: float
    billed_ms: int
    memory_mb: int
    max_memory_mb: int
    init_ms: float | None = None
    # "success", "error", "timeout".
    status: str = "success"
    error_type: str = ""


def timestamp(milliseconds: int) -> str:
    return (
        datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{milliseconds % 1000:03d}Z"
    )


def billed(duration_ms: float, init_ms: float | None) -> int:
    """Whole milliseconds, those of Init included, as AWS bills since August 2025."""
    return math.ceil(duration_ms + (init_ms or 0.0))


class PlatformLog:
    """Makes the lines for one function version. Every method gives the message, or "" where the level leaves it out."""

    def __init__(self, spec: FunctionSpec) -> None:
        self._json = spec.log_format == "JSON"
        self._version = spec.version
        self._runtime = spec.runtime
        self._quiet = self._json and spec.system_log_level == "WARN"

    def init_start(self, now_ms: int, kind: str) -> str:
        if self._json:
            record = {
                "initializationType": kind,
                "phase": "init",
                "runtimeVersion": self._runtime_version(),
                "functionVersion": self._version,
            }
            return self._event(now_ms, "platform.initStart", record)
        return f"INIT_START Runtime Version: {self._runtime_version()}\n"

    def note(self, now_ms: int, text: str) -> str:
        """Not AWS's: what is to be known of the runtime here."""
        if self._json:
            record = {"timestamp": timestamp(now_ms), "level": "WARN", "message": text}
            return json.dumps(record, separators=(",", ":")) + "\n"
        return f"[WARNING] {text}\n"

    def init_report(
        self, now_ms: int, kind: str, duration_ms: float, *, phase: str, status: str, error_type: str
    ) -> str:
        if self._json:
            record: dict[str, Any] = {
                "initializationType": kind,
                "phase": phase,
                "status": status,
                "metrics": {"durationMs": round(duration_ms, 3)},
            }
            if error_type:
                record["errorType"] = error_type
            return self._event(now_ms, "platform.initReport", record, important=True)
        ending = f"\tError Type: {error_type}" if error_type else ""
        return f"INIT_REPORT Init Duration: {duration_ms:.2f} ms\tPhase: {phase}\tStatus: {status}{ending}\n"

    def start(self, now_ms: int, request_id: str) -> str:
        if self._json:
            return self._event(now_ms, "platform.start", {"requestId": request_id, "version": self._version})
        return f"START RequestId: {request_id} Version: {self._version}\n"

    def end(self, request_id: str) -> str:
        return "" if self._json else f"END RequestId: {request_id}\n"

    def timed_out(self, now_ms: int, request_id: str, timeout_s: float) -> str:
        return (
            "" if self._json else f"{timestamp(now_ms)} {request_id} Task timed out after {timeout_s:.2f} seconds\n\n"
        )

    def failed(self, message: str, error_type: str) -> str:
        return "" if self._json else f"{message}\n{error_type}\n"

    def report(self, now_ms: int, report: Report) -> str:
        if self._json:
            metrics: dict[str, Any] = {
                "durationMs": round(report.duration_ms, 3),
                "billedDurationMs": report.billed_ms,
                "memorySizeMB": report.memory_mb,
                "maxMemoryUsedMB": report.max_memory_mb,
            }
            if report.init_ms is not None:
                metrics["initDurationMs"] = round(report.init_ms, 3)
            record: dict[str, Any] = {"requestId": report.request_id, "metrics": metrics, "status": report.status}
            if report.error_type:
                record["errorType"] = report.error_type
            return self._event(now_ms, "platform.report", record, important=report.status != "success")
        line = (
            f"REPORT RequestId: {report.request_id}\tDuration: {report.duration_ms:.2f} ms"
            f"\tBilled Duration: {report.billed_ms} ms\tMemory Size: {report.memory_mb} MB"
            f"\tMax Memory Used: {report.max_memory_mb} MB\t"
        )
        if report.init_ms is not None:
            line += f"Init Duration: {report.init_ms:.2f} ms\t"
        if report.status != "success":
            line += f"Status: {report.status}" + (f"\tError Type: {report.error_type}" if report.error_type else "")
        return line + "\n"

    def _runtime_version(self) -> str:
        # "python:3.12", "nodejs:20", "java:17", "provided:al2023".
        match = re.fullmatch(r"([a-z]+)\.?(.*?)(?:\.x)?", self._runtime)
        return f"{match[1]}:{match[2]}" if match else self._runtime

    def _event(self, now_ms: int, kind: str, record: dict[str, Any], *, important: bool = False) -> str:
        if self._quiet and not important:
            return ""
        return json.dumps({"time": timestamp(now_ms), "type": kind, "record": record}, separators=(",", ":")) + "\n"
