"""The node's metrics in Prometheus's text format, version 0.0.4: `/_pileus/metrics`.

    aws_lambda_invocations_total{account="000000000000",region="us-east-1",function_name="f"} 3
    aws_lambda_duration_milliseconds_sum{...} 12.5
    aws_lambda_duration_milliseconds_count{...} 3

What AWS counts is a counter, what it measures a summary without quantiles; and, as the format's users expect, there are
figures of the process itself.
"""

from __future__ import annotations

import os
import re
import resource
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from pileus.cloud.metrics import Metric, Series

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^A-Za-z0-9]+")


def exposition(series: Iterable[Series]) -> bytes:
    """The whole page."""
    lines: list[str] = [*_process()]
    for metric, members in groupby(series, key=lambda each: each.key.metric):
        name = metric_name(metric)
        kind = "counter" if metric.counted else "summary"
        suffix = "_total" if metric.counted else ""
        lines.append(f"# HELP {name}{suffix} {metric.name} of {metric.namespace}, since the node was started.")
        lines.append(f"# TYPE {name}{suffix} {kind}")
        for each in members:
            labels = _labels(each)
            if metric.counted:
                lines.append(f"{name}_total{labels} {_number(each.total)}")
            else:
                lines.append(f"{name}_sum{labels} {_number(each.total)}")
                lines.append(f"{name}_count{labels} {_number(each.count)}")
    return ("\n".join(lines) + "\n").encode()


def metric_name(metric: Metric) -> str:
    """ "aws_lambda_duration_milliseconds" for the Duration of AWS/Lambda."""
    unit = "" if metric.unit in ("Count", "None") else "_" + snake(metric.unit)
    return f"{snake(metric.namespace)}_{snake(metric.name)}{unit}"


def snake(name: str) -> str:
    return _WORDS.sub("_", name).strip("_").lower()


def _labels(series: Series) -> str:
    key = series.key
    pairs = [("account", key.account), ("region", key.region)]
    pairs += [(snake(name), value) for name, value in key.dimensions]
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in pairs) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _process() -> Iterator[str]:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    yield "# HELP process_cpu_seconds_total Processor time of the node itself, without its functions."
    yield "# TYPE process_cpu_seconds_total counter"
    yield f"process_cpu_seconds_total {usage.ru_utime + usage.ru_stime:.2f}"
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        files = len(os.listdir("/proc/self/fd"))
    except (OSError, ValueError, IndexError):
        return
    yield "# HELP process_resident_memory_bytes Resident memory of the node itself, without its functions."
    yield "# TYPE process_resident_memory_bytes gauge"
    yield f"process_resident_memory_bytes {pages * os.sysconf('SC_PAGE_SIZE')}"
    yield "# HELP process_open_fds Open file descriptors."
    yield "# TYPE process_open_fds gauge"
    yield f"process_open_fds {files}"
