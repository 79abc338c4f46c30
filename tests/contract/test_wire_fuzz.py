"""Whatever arrives, a decoder gives members or an error of AWS's with a 4xx, and that error can be answered."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_cases import Maker, models_by_protocol, request_of

from pileus.kernel.errors import AWSError
from pileus.model import Operation, ServiceModel, load
from pileus.wire import clean, constraints
from pileus.wire.compression import gunzip
from pileus.wire.eventstream import decode_message, encode_message
from pileus.wire.message import HttpRequest
from pileus.wire.protocols import codec

OPERATIONS = [
    ("dynamodb", "json", "PutItem"),
    ("dynamodb", "json", "TransactWriteItems"),
    ("sqs", "json", "SendMessageBatch"),
    ("sqs", "query", "SendMessageBatch"),
    ("kinesis", "json", "PutRecords"),
    ("events", "json", "PutTargets"),
    ("rds-data", "rest-json", "ExecuteStatement"),
    ("lambda", "rest-json", "CreateFunction"),
    ("lambda", "rest-json", "ListFunctions"),
    ("apigateway", "rest-json", "ImportRestApi"),
    ("s3", "rest-xml", "PutBucketLifecycleConfiguration"),
    ("s3", "rest-xml", "ListObjectsV2"),
    ("s3", "rest-xml", "PutObject"),
    ("s3", "rest-xml", "PutBucketAcl"),
    ("cloudfront", "rest-xml", "CreateDistribution"),
    ("route53", "rest-xml", "ChangeResourceRecordSets"),
    ("sns", "query", "PublishBatch"),
    ("iam", "query", "CreateRole"),
    ("ec2", "ec2", "RunInstances"),
    ("cloudwatch", "smithy-rpc-v2-cbor", "PutMetricData"),
    ("cloudwatch", "query", "PutMetricData"),
]
# What breaks parsers: deep nesting, huge numbers, entities, foreign types, cut-off sequences.
SPLICES = [
    b'{"a":' * 2000,
    b"[" * 100_000,
    b"[[]]",
    b"null",
    b"true",
    b"1e999",
    b"-0",
    b"99999999999999999999999999",
    b'"\\ud800"',
    b'"NaN"',
    b"NaN",
    b"\xff\xfe",
    b"\x00",
    b"&lol;",
    b'<!DOCTYPE l [<!ENTITY a "b">]>',
    b"<a>" * 2000,
    b"<?xml version='1.0' encoding='utf-7'?>",
    b"&#0;",
    b"]]>",
    b".1.1.1.1",
    b"%zz%ff",
    b"=&=&.=.",
    b"\xd8\x1c\xd8\x1d\x00",
    b"\x9f" * 3000,
    b"\x5b\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\xfb\x7f\xf8\x00\x00\x00\x00\x00\x00",
    b"\xc1\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
]


def survives(service: str, protocol: str, request: HttpRequest, name: str | None = None) -> None:
    model = load(service)
    chosen = codec(model, protocol)
    operation = model.operations[name] if name else None
    try:
        if operation is None:
            operation, labels = chosen.find(request)
        else:
            labels = {}
        members = chosen.decode(operation, request, labels)
        assert isinstance(members, dict)
        constraints.check(model, operation, members)
        if (clean_members := read_clean(model, operation, request, protocol)) is not None:
            assert same(clean_members, members)
    except AWSError as error:
        if operation is not None:
            assert read_clean(model, operation, request, protocol) is None
        answer = chosen.encode_error(operation, error, "id")
        assert 400 <= answer.status < 500
        assert isinstance(answer.body, bytes)
        for header, value in answer.headers:
            assert header.isascii()
            assert "\n" not in value
            value.encode("latin-1")


def read_clean(model: ServiceModel, operation: Operation, request: HttpRequest, protocol: str) -> Any:
    """The members as they are read at once; None where they are not, or where they are refused."""
    if protocol != "json":
        return None
    try:
        return clean.read(model, operation, request.body)
    except AWSError:
        return None


def same(one: Any, other: Any) -> bool:
    """Equal in their types, too, and in their order."""
    if type(one) is not type(other):
        return False
    if type(one) is dict:
        return list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if type(one) is list:
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


@st.composite
def mutations(draw: st.DrawFn) -> Any:
    """A function from a valid request to a spoilt one."""
    at = draw(st.floats(0, 1))
    kind = draw(st.sampled_from(["cut", "flip", "splice", "double", "random", "query", "path", "header"]))
    data = draw(st.binary(max_size=60))
    splice = draw(st.sampled_from(SPLICES))
    text = draw(st.text(max_size=20))

    def spoil(request: HttpRequest) -> HttpRequest:
        body = request.body
        place = int(at * len(body))
        match kind:
            case "cut":
                return msgspec.structs.replace(request, body=body[:place])
            case "flip" if body:
                place = min(place, len(body) - 1)
                return msgspec.structs.replace(request, body=body[:place] + data[:1] + body[place + 1 :])
            case "splice":
                return msgspec.structs.replace(request, body=body[:place] + splice + body[place:])
            case "double":
                return msgspec.structs.replace(request, body=body[:place] + body)
            case "random":
                return msgspec.structs.replace(request, body=data)
            case "query":
                return msgspec.structs.replace(request, query=request.query + "&" + data.decode("latin-1"))
            case "path":
                where = int(at * len(request.path))
                return msgspec.structs.replace(request, path="/" + request.path[1:where] + data.decode("latin-1"))
            case "header":
                names = list(request.headers) or ["x-amz-meta-a"]
                name = names[place % len(names)]
                return msgspec.structs.replace(request, headers={**request.headers, name: text, "x-amz-target": text})
        return request

    return spoil


def _valid(service: str, protocol: str, name: str, seed: int) -> HttpRequest:
    model = dict(models_by_protocol(service))[protocol]
    operation = model.operation_model(name)
    maker = Maker(f"{name} {seed}", full=seed % 2 == 0)
    return request_of(operation, maker.structure(operation.input_shape), protocol)


@pytest.mark.parametrize(("service", "protocol", "name"), OPERATIONS)
def test_spoilt_requests_get_a_client_error(service: str, protocol: str, name: str) -> None:
    valid = [_valid(service, protocol, name, seed) for seed in range(4)]

    @settings(max_examples=1500, deadline=None, derandomize=True, database=None)
    @given(st.sampled_from(valid), st.lists(mutations(), min_size=1, max_size=3))
    def run(request: HttpRequest, spoils: list[Any]) -> None:
        for spoil in spoils:
            request = spoil(request)
        survives(service, protocol, request)
        survives(service, protocol, request, name)

    run()


# Parsed JSON and CBOR of the wrong types, everywhere in a request.
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from(["", "AA==", "NaN"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("service", "protocol", "name"),
    [case for case in OPERATIONS if case[1] in ("json", "smithy-rpc-v2-cbor", "rest-json")],
)
def test_wrong_types_get_a_client_error(service: str, protocol: str, name: str) -> None:
    import cbor2
    import orjson

    shape = load(service).operations[name].input
    assert shape is not None
    names = [member.location_name or key for key, member in shape.members.items()]
    dump = cbor2.dumps if protocol == "smithy-rpc-v2-cbor" else _dump_json
    assert orjson.loads(_dump_json({"a": 1})) == {"a": 1}

    @settings(max_examples=150, deadline=None, derandomize=True, database=None)
    @given(st.dictionaries(st.sampled_from(names), VALUES, max_size=4))
    def run(content: dict[str, Any]) -> None:
        survives(service, protocol, HttpRequest("POST", "/", "", {}, dump(content)), name)

    run()


def _dump_json(value: Any) -> bytes:
    import json

    return json.dumps(value).encode("utf-8", "surrogatepass")


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(st.binary(max_size=200), st.integers(0, 60), st.binary(min_size=1, max_size=1))
def test_broken_event_stream_messages_are_told_from_whole_ones(payload: bytes, at: int, byte: bytes) -> None:
    whole = encode_message({":event-type": "E", "n": 5, "b": b"\x00", "t": True}, payload)
    assert decode_message(whole).payload == payload
    place = at % len(whole)
    broken = whole[:place] + byte + whole[place + 1 :]
    if broken != whole:
        with pytest.raises(ValueError, match=r"."):
            decode_message(broken)
    with pytest.raises(ValueError, match=r"."):
        decode_message(whole[:place])


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.binary(max_size=100))
def test_what_is_no_gzip_is_refused(data: bytes) -> None:
    with pytest.raises(AWSError) as raised:
        gunzip(b"\x1f\x8b\x08" + data, 1000)
    assert raised.value.status in (400, 413)


@pytest.mark.parametrize("service", ["s3", "lambda", "apigateway", "route53", "cloudfront", "backup"])
def test_any_path_is_an_operation_or_a_client_error(service: str) -> None:
    draw = random.Random(service)
    model = load(service)
    pieces = ["", "a", "%2F", "..", ".", "functions", "2015-03-31", "tags", "%C3", "restapis", "{x}", "*", "b?", "+"]
    queries = [
        "",
        "acl",
        "uploads",
        "uploadId=1&partNumber=x",
        "list-type=2",
        "=",
        "&&",
        "%ff",
        "x-id=PutObject",
        "a=b=c",
    ]
    for _ in range(400):
        path = "/" + "/".join(draw.choice(pieces) for _ in range(draw.randrange(0, 6)))
        method = draw.choice(["GET", "PUT", "POST", "DELETE", "HEAD", "PATCH", "OPTIONS", "FOO"])
        request = HttpRequest(method, path, draw.choice(queries), {}, draw.choice([b"", b"x", b"{}", b"<a/>"]))
        survives(service, model.protocols[0], request)
