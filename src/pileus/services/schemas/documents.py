"""Schemas as documents: what is one, the one of given events, and the same in another language. Pure logic.

Sources: "Amazon EventBridge schemas" and "Inferring schemas from event bus events" of the EventBridge user guide; the
OpenAPI specification 3.0; JSON Schema draft 4.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from pileus.services.schemas import shapes

OPENAPI, JSON_SCHEMA = "OpenApi3", "JSONSchemaDraft4"
_DRAFT = "http://json-schema.org/draft-04/schema#"

# Deeper documents are refused: what is done with them here goes as deep as they do.
DEPTH_MAX = 200


class BadDocument(ValueError):
    """Why a text is no schema, or no event; one sentence."""


def check(type_: str, content: str) -> dict[str, Any]:
    """The document of a schema of this type."""
    document = parsed(content)
    if type_ == OPENAPI:
        if not str(document.get("openapi", "")).startswith("3."):
            raise BadDocument("The content is not a valid OpenAPI 3 document: it says no version 3.")
        for member in ("info", "paths"):
            if not isinstance(document.get(member), dict):
                raise BadDocument(f"The content is not a valid OpenAPI 3 document: it has no {member}.")
    elif not str(document.get("$schema", _DRAFT)).startswith(_DRAFT[:-1]):
        raise BadDocument("The content is not a valid JSON Schema of draft 4.")
    return document


def parsed(text: str) -> dict[str, Any]:
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
    found = [parsed(text) for text in events]
    first = found[0]
    shape = shapes.shape_of(found)
    if all(member in first for member in ("detail-type", "source", "detail")):
        document = shapes.document_of(shape, source=str(first["source"]), detail_type=str(first["detail-type"]))
    else:
        document = shapes.document_of(shape)
    return orjson.dumps(document if type_ == OPENAPI else to_json_schema(document)).decode()


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
        out["$ref"] = reference.replace(shapes.REFERENCE, "#/definitions/")
    if node.get("nullable") is True and isinstance(node.get("type"), str):
        out["type"] = [node["type"], "null"]
    return out
