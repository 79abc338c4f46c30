"""What a target gets of an event: all of it, a part (InputPath), a constant (Input), or a text made of parts.

Source: "Amazon EventBridge input transformation" of the EventBridge user guide; recorded answers. A template is either
JSON, in which a variable stands for a JSON value (or, within quotes, for the text of a string), or lines of quoted
text, in which it stands for a text. What a template comes to must be JSON, or lines that are each a JSON string; what
is not is not delivered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from pileus.delivery import json_paths
from pileus.delivery.json_paths import MISSING

RULE_ARN = "aws.events.rule-arn"
RULE_NAME = "aws.events.rule-name"
INGESTION_TIME = "aws.events.event.ingestion-time"
EVENT = "aws.events.event"
EVENT_JSON = "aws.events.event.json"
PREDEFINED = frozenset((RULE_ARN, RULE_NAME, INGESTION_TIME, EVENT, EVENT_JSON))

_VARIABLE = re.compile(r"<([A-Za-z0-9_.\-]+)>")


class InvalidOutput(Exception):
    """What a template came to is not JSON."""


def placeholders(template: str) -> list[str]:
    return [found[1] for found in _VARIABLE.finditer(template)]


def make_input(
    target: Mapping[str, Any], event: Mapping[str, Any], *, rule_arn: str, rule_name: str, ingested: str
) -> bytes:
    """Raises InvalidOutput."""
    if target.get("Input") is not None:
        return str(target["Input"]).encode()
    if target.get("InputPath") is not None:
        found = json_paths.find(target["InputPath"], event)
        return b"null" if found is MISSING else orjson.dumps(found)
    transformer = target.get("InputTransformer")
    if transformer is None:
        return orjson.dumps(event)
    values: dict[str, Any] = {
        name: json_paths.find(path, event) for name, path in (transformer.get("InputPathsMap") or {}).items()
    }
    values[RULE_ARN] = rule_arn
    values[RULE_NAME] = rule_name
    values[INGESTION_TIME] = ingested
    # Without the detail, and with the spelling and the time that AWS gives it.
    values[EVENT] = {
        "detailType" if name == "detail-type" else name: ingested if name == "time" else value
        for name, value in event.items()
        if name != "detail"
    }
    values[EVENT_JSON] = event
    return transform(transformer["InputTemplate"], values).encode()


def transform(template: str, values: Mapping[str, Any]) -> str:
    as_text = template.lstrip().startswith('"')
    pieces: list[str] = []
    at = 0
    quoted = False
    for found in _VARIABLE.finditer(template):
        piece = template[at : found.start()]
        quoted = _ends_quoted(piece, quoted)
        pieces.append(piece)
        value = values.get(found[1], MISSING)
        pieces.append(_within_quotes(value, as_text=as_text) if quoted else _as_json(value))
        at = found.end()
    pieces.append(template[at:])
    made = "".join(pieces)
    check(made)
    return made


def _ends_quoted(piece: str, quoted: bool) -> bool:
    """Whether a piece of JSON ends within a string that it, or an earlier piece, has begun."""
    escaped = False
    for char in piece:
        if escaped:
            escaped = False
        elif char == "\\":
            escaped = True
        elif char == '"':
            quoted = not quoted
    return quoted


def _as_json(value: Any) -> str:
    return '""' if value is MISSING else orjson.dumps(value).decode()


def _within_quotes(value: Any, *, as_text: bool) -> str:
    if value is MISSING:
        return ""
    if isinstance(value, str):
        return orjson.dumps(value).decode()[1:-1]
    if isinstance(value, dict | list):
        return _bare(value) if as_text else orjson.dumps(value).decode()
    return orjson.dumps(value).decode()


def _bare(value: Any) -> str:
    """An object or a list without the quotes of its names and texts."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{name}:{_bare(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_bare(one) for one in value) + "]"
    if isinstance(value, str):
        return orjson.dumps(value).decode()[1:-1]
    return orjson.dumps(value).decode()


def check(made: str) -> None:
    try:
        orjson.loads(made)
        return
    except orjson.JSONDecodeError:
        lines = [line for line in made.splitlines() if line.strip()]
    try:
        if lines and all(isinstance(orjson.loads(line), str) for line in lines):
            return
    except orjson.JSONDecodeError:
        pass
    raise InvalidOutput(made)
