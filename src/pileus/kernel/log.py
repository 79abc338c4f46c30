"""What Pileus says of itself: the standard library's logging, one line per event, to stderr.

Loggers are named `pileus.<part>`. Structured details go in as `extra={"details": {...}}`. Secrets (keys, tokens,
payloads, environment variables of functions) are never logged.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from typing import Any, Literal

_LEVEL_COLOURS = {"WARNING": "33", "ERROR": "31", "CRITICAL": "31;1"}


def configure_logging(style: Literal["text", "json"], level: int = logging.INFO) -> None:
    """Send the process's log to stderr: lines for people, coloured on a terminal, or one JSON object a line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if style == "json" else _Text(colour=sys.stderr.isatty()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("pileus").setLevel(level)


class _Text(logging.Formatter):
    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        line = f"{_when(record)} {record.levelname:<7} {record.name}  {_one_line(record.getMessage())}"
        details: dict[str, Any] = getattr(record, "details", {})
        if details:
            line += "  " + " ".join(f"{name}={_one_line(str(value))}" for name, value in details.items())
        if self._colour and record.levelname in _LEVEL_COLOURS:
            line = f"\x1b[{_LEVEL_COLOURS[record.levelname]}m{line}\x1b[0m"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        event = {
            "time": _when(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "details", {}),
        }
        if record.exc_info:
            event["exception"] = self.formatException(record.exc_info)
        return json.dumps(event, default=str)


def _when(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"


def _one_line(text: str) -> str:
    """Strangers' words cannot forge further lines, nor steer a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
