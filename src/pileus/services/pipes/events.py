"""Events on their way through a pipe: which pass its filter, and what enrichment and target get of them.

Sources: "Event filtering in Amazon EventBridge Pipes", "Amazon EventBridge Pipes input transformation" (implicit
parsing of bodies, reserved variables) of the user guide.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import orjson

from pileus.delivery import json_paths
from pileus.delivery.event_patterns import compile_pattern
from pileus.delivery.input_templates import InvalidOutput, transform
from pileus.delivery.json_paths import MISSING
from pileus.services.pipes.names import PipeName
from pileus.services.pipes.records import Pipe

_VARIABLE = re.compile(r"<(\$[^<>\s]*|aws\.pipes\.[a-z.\-]+)>")
# The member of an event that may be JSON in a text; and by `eventSource` those that are so in base64.
_BODY = "body"
# Characters that templates may make of a batch: more than any of its sources gives or its targets take.
SHAPED_MAX = 64 * 1024 * 1024
RABBITMQ, KAFKA = "aws:rmq", "SelfManagedKafka"
_IN_BASE64 = {RABBITMQ: ("data",), KAFKA: ("key", "value")}


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
    # What brokers' messages say in base64 every pattern for it means decoded.
    return isinstance(pattern.get(_BODY), dict) or any(name in pattern for one in _IN_BASE64.values() for name in one)


def with_body(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The event with its body as the JSON that it is; what is in base64 at least as the text that it is."""
    opened = dict(event)
    for name in _IN_BASE64.get(str(event.get("eventSource")), ()):
        # An enrichment may have made something else of it.
        if isinstance(text := event.get(name), str):
            with suppress(NotBase64):
                opened[name] = _as_json(b64decode(text, validate=True).decode(errors="replace"))
    if isinstance(body := event.get(_BODY), str):
        opened[_BODY] = _as_json(body)
    return opened


def _as_json(text: str) -> Any:
    """The object or the list that a text is; else the text."""
    try:
        content = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    return content if isinstance(content, dict | list) else text


def all_shaped(at: PipeName, pipe: Pipe, template: str | None, batch: Sequence[Any], now: float) -> list[Any]:
    """The events as the template makes them: JSON where that is what comes out, else a text.

    Raises InvalidOutput where they come to too much.
    """
    if not template:
        return list(batch)
    shaped: list[Any] = []
    size = 0
    for event in batch:
        made = _made(at, pipe, template, event, now)
        size += len(made)
        if size > SHAPED_MAX:
            raise InvalidOutput(f"a batch came to more than {SHAPED_MAX} characters")
        try:
            shaped.append(orjson.loads(made))
        except orjson.JSONDecodeError:
            shaped.append(made)
    return shaped


def _made(at: PipeName, pipe: Pipe, template: str, event: Any, now: float) -> str:
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

    return transform(template, _VARIABLE, lookup)


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
