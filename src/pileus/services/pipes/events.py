"""Events on their way through a pipe: which pass its filter, and what enrichment and target get of them.

Sources: "Event filtering in Amazon EventBridge Pipes", "Amazon EventBridge Pipes input transformation" (implicit
parsing of bodies, reserved variables) of the user guide.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson

from pileus.delivery import json_paths
from pileus.delivery.event_patterns import compile_pattern
from pileus.delivery.input_templates import transform
from pileus.delivery.json_paths import MISSING
from pileus.services.pipes.names import PipeName
from pileus.services.pipes.records import Pipe

# `eventSource` of messages of RabbitMQ's brokers.
BROKER_SOURCE = "aws:rmq"
_VARIABLE = re.compile(r"<(\$[^<>\s]*|aws\.pipes\.[a-z.\-]+)>")
# The members of events that may be JSON in a text: a queue's message, and a broker's, whose bytes are in base64.
_BODY, _DATA = "body", "data"


def compile_filter(patterns: Sequence[str]) -> Callable[[Mapping[str, Any]], bool]:
    """Whether an event passes. Against a pattern for what is inside of the body, a body counts as the JSON it is."""
    if not patterns:
        return lambda event: True
    compiled = [(compile_pattern(pattern), _looks_inside(orjson.loads(pattern))) for pattern in patterns]

    def passes(event: Mapping[str, Any]) -> bool:
        opened = with_body(event)
        return any(pattern.matches(opened if inside else event) for pattern, inside in compiled)

    return passes


def _looks_inside(pattern: dict[str, Any]) -> bool:
    # What a broker's message says in base64 every pattern for it means decoded.
    return isinstance(pattern.get(_BODY), dict) or _DATA in pattern


def with_body(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The event with its body as the JSON that it is; a broker's message at least as the text that it is."""
    name = _DATA if event.get("eventSource") == BROKER_SOURCE else _BODY
    body = event.get(name)
    if not isinstance(body, str):
        return event
    if name == _DATA:
        try:
            body = b64decode(body, validate=True).decode(errors="replace")
        except NotBase64:
            # An enrichment made something else of it.
            return event
        event = {**event, name: body}
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return event
    return {**event, name: content} if isinstance(content, dict | list) else event


def shaped(at: PipeName, pipe: Pipe, template: str | None, event: Any, now: float) -> Any:
    """The event as the template makes it: JSON where that is what comes out, else a text."""
    if not template:
        return event
    opened = with_body(event) if isinstance(event, dict) else event
    reserved = {
        "aws.pipes.pipe-arn": at.arn,
        "aws.pipes.pipe-name": at.name,
        "aws.pipes.source-arn": pipe.source,
        "aws.pipes.enrichment-arn": pipe.enrichment or MISSING,
        "aws.pipes.target-arn": pipe.target,
        "aws.pipes.event.ingestion-time": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "aws.pipes.event": event,
        "aws.pipes.event.json": opened,
    }

    def lookup(name: str) -> Any:
        return found(name, opened) if name.startswith("$") else reserved.get(name, MISSING)

    made = transform(template, _VARIABLE, lookup)
    try:
        return orjson.loads(made)
    except orjson.JSONDecodeError:
        return made


def found(path: str, event: Any) -> Any:
    try:
        return json_paths.find(path, event)
    except json_paths.InvalidPath:
        return MISSING


def parameter(value: str, event: Any) -> str:
    """A parameter of the target's, which may be a path into the event."""
    if not value.startswith("$"):
        return value
    there = found(value, with_body(event) if isinstance(event, dict) else event)
    if there is MISSING:
        return ""
    return there if isinstance(there, str) else orjson.dumps(there).decode()


def text_of(event: Any) -> str:
    return event if isinstance(event, str) else orjson.dumps(event).decode()
