"""What botocore's serializers send of every operation comes out of the codecs as it went in."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from wire_cases import SERVICES, Maker, models_by_protocol, request_of

from pileus.kernel.streams import BytesStream
from pileus.model import load
from pileus.wire.protocols import codec, codec_for

VARIATIONS = 3

# Operations whose requests look like another's: those of S3 that have a successor, and the one told by its host alone.
TWINS = {
    "GetBucketLifecycle": "GetBucketLifecycleConfiguration",
    "GetBucketNotification": "GetBucketNotificationConfiguration",
    "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
    "PutBucketNotification": "PutBucketNotificationConfiguration",
    "ListDirectoryBuckets": "ListBuckets",
}


def _expected(members: dict[str, Any], operation: Any, protocol: str) -> dict[str, Any]:
    """The members as a server can know them: what has no form on the wire is gone."""
    shape = operation.input_shape
    expected = dict(members)
    for name, value in members.items():
        location = shape.members[name].serialization.get("location")
        if (location is not None and value in ([], {}, "")) or (
            name == shape.serialization.get("payload") and value in (b"", "")
        ):
            del expected[name]
    payload = shape.serialization.get("payload")
    if protocol == "rest-json" and payload is not None and shape.members[payload].type_name == "structure":
        # botocore sends "{}" for nothing.
        expected.setdefault(payload, {})
    if protocol in ("query", "ec2", "rest-xml"):
        for name, value in list(expected.items()):
            kept = _without_empty(value, shape.members[name], protocol)
            if kept is None:
                del expected[name]
            else:
                expected[name] = kept
    return expected


def _without_empty(value: Any, shape: Any, protocol: str) -> Any:
    """Forms cannot tell an empty structure or map from a missing one, XML not a flattened list."""
    flattened = bool(shape.serialization.get("flattened"))
    match shape.type_name:
        case "structure":
            kept = {}
            for name, item in value.items():
                inner = _without_empty(item, shape.members[name], protocol)
                if inner is not None:
                    kept[name] = inner
            return kept if kept or protocol == "rest-xml" else None
        case "list":
            kept_items = [_without_empty(item, shape.member, protocol) for item in value]
            if protocol != "rest-xml":
                kept_items = [item for item in kept_items if item is not None]
            if not value:
                return None if protocol == "ec2" or (protocol == "rest-xml" and flattened) else []
            return kept_items if kept_items or protocol == "rest-xml" else None
        case "map":
            kept_map = {key: _without_empty(item, shape.value, protocol) for key, item in value.items()}
            if protocol != "rest-xml":
                kept_map = {key: item for key, item in kept_map.items() if item is not None}
            return kept_map if kept_map or (protocol == "rest-xml" and not flattened) else None
    return value


def _read_streams(members: dict[str, Any]) -> dict[str, Any]:
    return {
        name: asyncio.run(value.read()) if isinstance(value, BytesStream) else value for name, value in members.items()
    }


@pytest.mark.parametrize("service", SERVICES)
def test_every_request_comes_out_as_it_went_in(service: str) -> None:
    ours = load(service)
    wrong = []
    for protocol, theirs in models_by_protocol(service):
        for name in theirs.operation_names:
            operation = theirs.operation_model(name)
            for variation in range(VARIATIONS):
                maker = Maker(f"{service} {name} {variation}", full=variation == 0)
                shape = operation.input_shape
                members = maker.structure(shape) if shape is not None else {}
                request = request_of(operation, members, protocol)
                chosen = codec_for(ours, request)
                assert chosen is codec(ours, protocol)
                found, labels = chosen.find(request)
                decoded = _read_streams(chosen.decode(found, request, labels))
                expected = _expected(members, operation, protocol) if shape is not None else {}
                if ours.operations[name].streaming_input:
                    expected.setdefault(ours.operations[name].streaming_input, b"")
                if service == "s3" and name in TWINS:
                    assert found.name == TWINS[name]
                elif found.name != name or decoded != expected:
                    wrong.append((protocol, name, found.name, expected, decoded, request))
    assert not wrong, f"{len(wrong)} wrong, the first: {wrong[0]}"
