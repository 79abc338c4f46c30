"""What a target gets of an event: all of it, a part (InputPath), a constant (Input), or a text made of parts.

Source: "Amazon EventBridge input transformation" of the EventBridge user guide; recorded answers. What a template comes
to must be JSON, or lines that are each a JSON string; what is not is not delivered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from pileus.delivery import json_paths
from pileus.delivery.input_templates import InvalidOutput, check, transform
from pileus.delivery.json_paths import MISSING

RULE_ARN = "aws.events.rule-arn"
RULE_NAME = "aws.events.rule-name"
INGESTION_TIME = "aws.events.event.ingestion-time"
EVENT = "aws.events.event"
EVENT_JSON = "aws.events.event.json"
PREDEFINED = frozenset((RULE_ARN, RULE_NAME, INGESTION_TIME, EVENT, EVENT_JSON))

__all__ = ["PREDEFINED", "InvalidOutput", "check", "make_input", "placeholders"]

_VARIABLE = re.compile(r"<([A-Za-z0-9_.\-]+)>")


def placeholders(template: str) -> list[str]:
    return [found[1] for found in _VARIABLE.finditer(template)]


def log_event(made: str) -> tuple[str, float | None]:
    """The message and the time of a log event, where a template says both; else its text and no time.

    Source: `LogGroupTargetInput` of the CDK: log groups take templates of the form
    {"timestamp": <time>, "message": <message>}, both of them texts.
    """
    try:
        found = orjson.loads(made)
    except orjson.JSONDecodeError:
        return made, None
    if not isinstance(found, dict) or found.keys() != {"timestamp", "message"}:
        return made, None
    message, timestamp = found["message"], str(found["timestamp"])
    text = message if isinstance(message, str) else orjson.dumps(message).decode()
    if timestamp.isascii() and timestamp.isdigit() and len(timestamp) < 16:
        return text, int(timestamp) / 1000
    try:
        moment = datetime.fromisoformat(timestamp)
        # Wherever this machine stands.
        return text, (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return text, None


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
    made = transform(transformer["InputTemplate"], _VARIABLE, lambda name: values.get(name, MISSING))
    check(made)
    return made.encode()
