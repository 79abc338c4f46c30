"""Schemas as documents: what is one, what events look like, and the same in another language. Pure logic.

Sources: "Amazon EventBridge schemas" and "Inferring schemas from event bus events" of the EventBridge user guide; the
OpenAPI specification 3.0; JSON Schema draft 4.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

OPENAPI, JSON_SCHEMA = "OpenApi3", "JSONSchemaDraft4"
_DRAFT = "http://json-schema.org/draft-04/schema#"
_REFERENCE = "#/components/schemas/"
_ENVELOPE = ("detail-type", "resources", "detail", "id", "source", "time", "region", "version", "account")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)")

# Deeper documents are refused: what is done with them here goes as deep as they do.
DEPTH_MAX = 200
_KINDS = ((bool, "boolean"), (int, "integer"), (float, "number"), (str, "string"), (list, "array"))


class BadDocument(ValueError):
    """Why a text is no schema, or no event; one sentence."""


def check(type_: str, content: str) -> dict[str, Any]:
    """The document of a schema of this type."""
    document = _parsed(content)
    if type_ == OPENAPI:
        if not str(document.get("openapi", "")).startswith("3."):
            raise BadDocument("The content is not a valid OpenAPI 3 document: it says no version 3.")
        for member in ("info", "paths"):
            if not isinstance(document.get(member), dict):
                raise BadDocument(f"The content is not a valid OpenAPI 3 document: it has no {member}.")
    elif not str(document.get("$schema", _DRAFT)).startswith(_DRAFT[:-1]):
        raise BadDocument("The content is not a valid JSON Schema of draft 4.")
    return document


def _parsed(text: str) -> dict[str, Any]:
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise BadDocument("The content is not a JSON object.")
    level: list[Any] = [document]
    for _ in range(DEPTH_MAX):
        level = [child for each in level for child in (each.values() if isinstance(each, dict) else each)]
        level = [each for each in level if isinstance(each, dict | list)]
    if level:
        raise BadDocument(f"The content is nested more than {DEPTH_MAX} levels deep.")
    return document


def discover(events: Iterable[str], type_: str) -> str:
    """The schema that all of the events have."""
    parsed = [_parsed(text) for text in events]
    first = parsed[0]
    components = _Components()
    if all(member in first for member in ("detail-type", "source", "detail")):
        title = _name(str(first["detail-type"]))
        root = _object(parsed, components, "AWSEvent", names={"detail": title})
        root["required"] = [member for member in _ENVELOPE if member in root["required"]] + [
            member for member in root["required"] if member not in _ENVELOPE
        ]
        root["x-amazon-events-detail-type"] = first["detail-type"]
        root["x-amazon-events-source"] = first["source"]
        named = {"AWSEvent": root}
    else:
        title = "Event"
        named = {title: _object(parsed, components, title)}
    document = {
        "openapi": "3.0.0",
        "info": {"version": "1.0.0", "title": title},
        "paths": {},
        "components": {"schemas": named | components.found},
    }
    return orjson.dumps(document if type_ == OPENAPI else to_json_schema(document)).decode()


class _Components:
    """The schemas of objects within objects, each under a name of its own."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}
        # The number behind which names are free, by what they begin with.
        self._numbers: dict[str, int] = {}

    def add(self, name: str, taken: str) -> str:
        """A name for one more, which is not `taken`; what is under it comes later."""
        unique, number = name, self._numbers.get(name, 0)
        while unique in self.found or unique == taken:
            number += 1
            unique = f"{name}_{number}"
        self._numbers[name] = number
        self.found[unique] = {}
        return unique


def _name(text: str) -> str:
    """ "order placed" as the name of a component: "OrderPlaced"."""
    return "".join(word[:1].upper() + word[1:] for word in re.split(r"[^A-Za-z0-9]+", text) if word) or "Event"


def _object(
    values: Sequence[dict[str, Any]], components: _Components, name: str, names: dict[str, str] | None = None
) -> dict[str, Any]:
    """The schema of objects, whose objects become components of their own. What one of them lacks is not required."""
    members = list(dict.fromkeys(member for value in values for member in value))
    properties = {}
    for member in members:
        found = [value[member] for value in values if member in value]
        properties[member] = _value(found, components, (names or {}).get(member) or _name(member), taken=name)
    return {
        "type": "object",
        "required": [member for member in members if all(member in value for value in values)],
        "properties": properties,
    }


def _value(values: Sequence[Any], components: _Components, name: str, taken: str) -> dict[str, Any]:
    kinds = {_kind(value) for value in values}
    nullable = "null" in kinds and len(kinds) > 1
    if nullable:
        kinds.discard("null")
    if kinds == {"integer", "number"}:
        kinds = {"number"}
    rest = [value for value in values if value is not None]
    # Values of several kinds, or of none that is known, are any objects.
    shown: dict[str, Any] = {"type": "object"}
    if kinds == {"object"}:
        unique = components.add(name, taken)
        components.found[unique] = _object(rest, components, unique)
        shown = {"$ref": _REFERENCE + unique}
    elif kinds == {"array"}:
        items = [item for value in rest for item in value]
        shown = {
            "type": "array",
            "items": _value(items, components, f"{name}Item", taken) if items else {"type": "object"},
        }
    elif len(kinds) == 1 and kinds != {"null"}:
        shown = {"type": kinds.pop()}
        if shown["type"] == "string" and all(_TIME.fullmatch(value) for value in rest):
            shown["format"] = "date-time"
    elif kinds == {"null"}:
        nullable = True
    if nullable and "$ref" not in shown:
        shown["nullable"] = True
    return shown


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    # In this order: a bool is an int, too.
    for kind, name in _KINDS:
        if isinstance(value, kind):
            return name
    return "object"


def to_json_schema(document: dict[str, Any]) -> dict[str, Any]:
    """An OpenAPI document as JSON Schema: its event, or its first component, with the others as definitions."""
    components = (document.get("components") or {}).get("schemas") or {}
    if not components:
        raise BadDocument("The schema has no components to export.")
    root = "AWSEvent" if "AWSEvent" in components else next(iter(components))
    definitions = {name: _translated(each) for name, each in components.items() if name != root}
    return {
        "$schema": _DRAFT,
        "title": (document.get("info") or {}).get("title") or root,
        **_translated(components[root]),
        "definitions": definitions,
    }


def _translated(node: Any) -> Any:
    if isinstance(node, list):
        return [_translated(each) for each in node]
    if not isinstance(node, dict):
        return node
    out = {member: _translated(value) for member, value in node.items() if member != "nullable"}
    if isinstance(reference := node.get("$ref"), str):
        out["$ref"] = reference.replace(_REFERENCE, "#/definitions/")
    if node.get("nullable") is True and isinstance(node.get("type"), str):
        out["type"] = [node["type"], "null"]
    return out
