"""What the codecs answer for every operation, and for every modelled error, botocore's parsers read as it was meant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from botocore.exceptions import EventStreamError
from wire_cases import SERVICES, Maker, Stream, load_botocore_model, models_by_protocol, plain, read_answer

from pileus.kernel.errors import AWSError
from pileus.model import load
from pileus.wire.message import HttpAnswer
from pileus.wire.protocols import codec

VARIATIONS = 3
# Their timestamps have whole seconds only.
WHOLE_SECONDS = ("iam", "sts")
# S3's odd ones: the first is tested below; in the second two members share one element (it has a successor).
READ_OTHERWISE = ("GetBucketLocation", "GetBucketNotification")
REQUEST_ID = "5d5f4bb7-52cb-4b9b-a3a8-f2a2d9a0c3f1"


def _expected(members: dict[str, Any], shape: Any, operation: Any, protocol: str) -> dict[str, Any]:
    """The members as a client can know them: what has no form on the wire is gone."""
    expected = {}
    for name, value in members.items():
        member = shape.members[name]
        location = member.serialization.get("location")
        if location in ("header", "headers") and value in ([], {}):
            continue
        kept = _as_read(value, member, protocol) if location is None else value
        if kept is not None:
            expected[name] = kept
    payload = shape.serialization.get("payload")
    if payload is not None:
        member = shape.members[payload]
        if member.type_name in ("blob", "string"):
            # botocore reads a missing body as an empty one, and bytes as text.
            text = expected.get(payload, "")
            expected[payload] = text.decode() if isinstance(text, bytes) else text
        else:
            expected.setdefault(payload, {})
    for name, member in shape.members.items():
        if member.serialization.get("location") == "headers":
            expected.setdefault(name, {})
        if member.serialization.get("location") == "statusCode":
            expected.setdefault(name, operation.http.get("responseCode", 200))
    if operation.http.get("responseCode") in (204, 304) and payload is None:
        # No body at all.
        for name in list(expected):
            if "location" not in shape.members[name].serialization:
                del expected[name]
    return expected


def _as_read(value: Any, shape: Any, protocol: str) -> Any:
    """XML cannot tell an empty flattened list or map from a missing one."""
    flattened = protocol not in ("json", "rest-json", "smithy-rpc-v2-cbor") and shape.serialization.get("flattened")
    match shape.type_name:
        case "structure" if not shape.is_document_type:
            kept = {name: _as_read(item, shape.members[name], protocol) for name, item in value.items()}
            return {name: item for name, item in kept.items() if item is not None}
        case "list":
            return [_as_read(item, shape.member, protocol) for item in value] if value or not flattened else None
        case "map":
            return {k: _as_read(v, shape.value, protocol) for k, v in value.items()} if value or not flattened else None
    return value


@pytest.mark.parametrize("service", SERVICES)
def test_every_answer_is_read_as_it_was_meant(service: str) -> None:
    ours = load(service)
    wrong = []
    for protocol, theirs in models_by_protocol(service):
        for name in theirs.operation_names:
            operation, shape = theirs.operation_model(name), theirs.operation_model(name).output_shape
            if ours.operations[name].event_output is not None or (service == "s3" and name in READ_OTHERWISE):
                continue
            for variation in range(VARIATIONS if shape is not None else 1):
                maker = Maker(
                    f"{service} {name} {variation}", full=variation == 0, whole_seconds=service in WHOLE_SECONDS
                )
                members = maker.structure(shape) if shape is not None else {}
                if ours.operations[name].output is not None and shape.serialization.get("payload"):
                    _make_ascii(members, shape)
                answer = codec(ours, protocol).encode(ours.operations[name], members, REQUEST_ID)
                read = read_answer(operation, answer, protocol)
                expected = _expected(members, shape, operation, protocol) if shape is not None else {}
                status = read["ResponseMetadata"]["HTTPStatusCode"] if "ResponseMetadata" in read else None
                if (
                    plain(read) != expected
                    or read.get("ResponseMetadata", {}).get("RequestId", REQUEST_ID) != REQUEST_ID
                ):
                    wrong.append((protocol, name, expected, plain(read), answer))
                if "statusCode" not in str(shape and [m.serialization for m in shape.members.values()]):
                    assert status in (None, operation.http.get("responseCode", 200))
    assert not wrong, f"{len(wrong)} wrong, the first: {wrong[0]}"


def _make_ascii(members: dict[str, Any], shape: Any) -> None:
    payload = shape.serialization["payload"]
    if shape.members[payload].type_name == "blob" and payload in members:
        # botocore's parser, given bytes instead of a stream, decodes them.
        members[payload] = b"\x00 bytes"


@pytest.mark.parametrize("service", SERVICES)
def test_every_modelled_error_is_read_as_it_was_meant(service: str) -> None:
    ours = load(service)
    wrong = []
    for protocol, theirs in models_by_protocol(service):
        users = {
            error.name: name for name in theirs.operation_names for error in theirs.operation_model(name).error_shapes
        }
        for shape in theirs.error_shapes:
            operation_name = users.get(shape.name)
            operation = theirs.operation_model(operation_name or theirs.operation_names[0])
            if operation.http["method"] == "HEAD":
                continue
            maker = Maker(f"{service} {shape.name}", full=True, whole_seconds=service in WHOLE_SECONDS)
            members = {k: v for k, v in maker.structure(shape).items() if k.lower() != "message"}
            message = f"No <such> & such {shape.name}"
            error = AWSError(shape.name, message)
            error.members = members
            mine = ours.operations[operation_name] if operation_name else None
            answer = codec(ours, protocol).encode_error(mine, error, REQUEST_ID)
            read = read_answer(operation, answer, protocol)
            code = read["Error"]["Code"]
            by_code = theirs.shape_for_error_code(code)
            if by_code is None:
                by_code = theirs.shape_for_error_code(read["Error"].get("QueryErrorCode", code))
            modelled = ours.error(shape.name)
            assert modelled is not None
            in_json = protocol in ("json", "rest-json", "smithy-rpc-v2-cbor") and not theirs.is_query_compatible
            wire_code = shape.name if in_json else modelled.code
            if (
                read["Error"]["Message"] != message
                or code != wire_code
                or by_code is None
                or read["ResponseMetadata"].get("RequestId") != REQUEST_ID
                or read["ResponseMetadata"]["HTTPStatusCode"] != (modelled.status or _status(shape))
            ):
                wrong.append((protocol, shape.name, read, answer))
            elif by_code.name == shape.name:
                again = plain(read_answer(operation, answer, protocol, by_code))
                expected = dict(members)
                for name in shape.members:
                    # In XML it is "Message" whatever the member's name, and botocore does not find it again.
                    if name == "Message" or (name == "message" and protocol not in ("query", "ec2", "rest-xml")):
                        expected[name] = message
                if shape.name == "ConditionalCheckFailedException" and "Item" in members:
                    # The one that DynamoDB spells otherwise than its model.
                    del expected["message"]
                if protocol in ("query", "ec2", "rest-xml"):
                    again = {name: value for name, value in again.items() if name in expected}
                    expected = {k: _as_read(v, shape.members[k], protocol) for k, v in expected.items()}
                if again != expected:
                    wrong.append((protocol, shape.name, expected, again, answer))
    assert not wrong, f"{len(wrong)} wrong, the first: {wrong[0]}"


def _status(shape: Any) -> int:
    fault = shape._shape_model.get("fault")
    status: int = shape.metadata.get("error", {}).get("httpStatusCode", 500 if fault else 400)
    return status


@pytest.mark.parametrize(
    ("answer", "content"), [({"LocationConstraint": "eu-west-2"}, b">eu-west-2<"), ({}, b'2006-03-01/"></Loc')]
)
def test_a_buckets_location_is_the_root_itself(answer: dict[str, Any], content: bytes) -> None:
    model = load("s3")
    body = codec(model, "rest-xml").encode(model.operations["GetBucketLocation"], answer, REQUEST_ID).body
    assert isinstance(body, bytes)
    assert body.startswith(
        b'<?xml version="1.0" encoding="UTF-8"?>\n<LocationConstraint xmlns="http://s3.amazonaws.com/'
    )
    assert content in body


async def _collect(answer: HttpAnswer) -> bytes:
    assert not isinstance(answer.body, bytes)
    return b"".join([frame async for frame in answer.body])


EVENT_OPERATIONS = [
    ("kinesis", "SubscribeToShard"),
    ("lambda", "InvokeWithResponseStream"),
    ("logs", "GetLogObject"),
    ("logs", "StartLiveTail"),
    ("s3", "SelectObjectContent"),
]


@pytest.mark.parametrize(("service", "name"), EVENT_OPERATIONS)
def test_every_event_stream_is_read_as_it_was_meant(service: str, name: str) -> None:
    theirs, ours = load_botocore_model(service), load(service)
    operation = theirs.operation_model(name)
    protocol = theirs.metadata["protocol"]
    stream_name = operation.output_shape.event_stream_name
    stream = operation.output_shape.members[stream_name]
    maker = Maker(f"{service} {name}", full=True)
    events: list[dict[str, Any]] = []
    failure: AWSError | None = None
    for event_name, event_shape in stream.members.items():
        if event_shape.metadata.get("exception"):
            failure = AWSError(event_name, f"it ended in {event_name}")
        else:
            events.append({event_name: maker.structure(event_shape)})

    async def produce() -> AsyncIterator[dict[str, Any]]:
        for event in events:
            yield event
        if failure is not None:
            raise failure

    others = maker.structure(operation.output_shape, skip=frozenset({stream_name}))
    answer = codec(ours, protocol).encode(ours.operations[name], {**others, stream_name: produce()}, REQUEST_ID)
    frames = asyncio.run(_collect(answer))
    read = read_answer(operation, HttpAnswer(answer.status, answer.headers, Stream(frames)), protocol)  # type: ignore[arg-type]
    got: list[dict[str, Any]] = []
    failed = None
    try:
        got.extend(plain(event) for event in read.pop(stream_name))
    except EventStreamError as error:
        failed = error
    assert got == events
    assert plain(read) == others
    if failure is None:
        assert failed is None
    else:
        assert failed is not None
        assert failed.response["Error"] == {"Code": failure.code, "Message": failure.message}
    if "ResponseStreamContentType" not in others:
        assert ("Content-Type", "application/vnd.amazon.eventstream") in answer.headers


def test_the_services_with_event_streams_are_the_ones_tested() -> None:
    found = [
        (service, name)
        for service in sorted(SERVICES)
        for name, operation in load(service).operations.items()
        if operation.event_output is not None or operation.event_input is not None
    ]
    assert found == EVENT_OPERATIONS
