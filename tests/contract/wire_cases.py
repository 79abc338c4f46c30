"""Generated members for every shape, and requests and answers as botocore makes and reads them."""

from __future__ import annotations

import base64
import copy
import random
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import botocore.loaders
import botocore.model
import botocore.parsers
import botocore.serialize
from botocore.awsrequest import AWSRequest, HeadersDict, prepare_request_dict

from pileus.model.legacy import add_legacy_traits
from pileus.wire.message import HttpAnswer, HttpRequest

SERVICES = [
    "lambda",
    "dynamodb",
    "dynamodbstreams",
    "s3",
    "sqs",
    "sns",
    "kinesis",
    "firehose",
    "events",
    "scheduler",
    "pipes",
    "logs",
    "cloudwatch",
    "xray",
    "apigateway",
    "apigatewayv2",
    "apigatewaymanagementapi",
    "stepfunctions",
    "cognito-idp",
    "cognito-identity",
    "iam",
    "sts",
    "cloudformation",
    "cloudfront",
    "codedeploy",
    "codepipeline",
    "codebuild",
    "rds",
    "rds-data",
    "ecs",
    "ecr",
    "ec2",
    "elbv2",
    "secretsmanager",
    "ssm",
    "kms",
    "acm",
    "route53",
    "backup",
    "dax",
    "application-autoscaling",
    "mq",
    "kafka",
]

WORDS = ("a", "Zed", "x-1", "ünï ✓", "<&>\"'", "two words", "new\nline", "0", "true", "tab\tbed", "𝄞", "a+b%2F/c=d&e")
# What survives in a header, unquoted.
PLAIN = ("a", "Zed", "x-1", "two words", "0")


def load_botocore_model(service: str) -> botocore.model.ServiceModel:
    # Without the `sdk-extras` (members that only clients know).
    return botocore.model.ServiceModel(_raw_model(service), service)


def _raw_model(service: str) -> dict[str, Any]:
    loader = botocore.loaders.Loader(include_default_search_paths=True, include_default_extras=False)
    raw: dict[str, Any] = loader.load_service_model(service, "service-2")
    return raw


def models_by_protocol(service: str) -> list[tuple[str, botocore.model.ServiceModel]]:
    """Every protocol in which a service is served, with the model that botocore's clients of it have."""
    model = load_botocore_model(service)
    listed = model.metadata.get("protocols", [model.metadata["protocol"]])
    found = [(protocol, model) for protocol in listed]
    if service == "sqs":
        found.append(("query", _sqs_query_model()))
    return found


def _sqs_query_model() -> botocore.model.ServiceModel:
    # As it was before SQS went to JSON: the server's own supplement, for what it is worth against botocore's code.
    raw = copy.deepcopy(_raw_model("sqs"))
    add_legacy_traits("sqs", raw)
    raw["metadata"]["protocol"] = "query"
    del raw["metadata"]["awsQueryCompatible"]
    for shape in raw["shapes"].values():
        for member in shape.get("members", {}).values():
            if "queryLocationName" in member:
                member["locationName"] = member.pop("queryLocationName")
    return botocore.model.ServiceModel(raw, "sqs")


class Maker:
    """Makes members for botocore's shapes; one seed, one sequence.

    `full`: every member is set, once. `whole_seconds`: timestamps have no fraction.
    """

    def __init__(self, seed: str, *, full: bool, whole_seconds: bool = False) -> None:
        self._random = random.Random(seed)
        self._full = full
        self._whole = whole_seconds
        self._open: list[str] = []

    def structure(self, shape: Any, *, skip: frozenset[str] = frozenset()) -> dict[str, Any]:
        names = [name for name in shape.members if name not in skip]
        # DynamoDB's values are a union that its model does not call one.
        if shape.is_tagged_union or shape.name == "AttributeValue":
            names = [self._random.choice(names)] if names else []
        elif not self._full:
            required = {name for name in shape.required_members if name in shape.members}
            names = [name for name in names if name in required or self._random.random() < 0.4]
        made = {}
        for name in names:
            member = shape.members[name]
            # A shape may hold itself: twice is enough.
            if self._open.count(member.name) < 2:
                made[name] = self.value(member)
        return made

    def value(self, shape: Any) -> Any:
        self._open.append(shape.name)
        try:
            return self._value(shape)
        finally:
            self._open.pop()

    def _value(self, shape: Any) -> Any:
        draw = self._random
        location = shape.serialization.get("location")
        in_header = location in ("header", "headers")
        match shape.type_name:
            case "structure" if shape.is_document_type:
                return {"a": [1, "two", None, {"b": True}], "c": 1.5}
            case "structure":
                return self.structure(shape)
            case "list":
                if self._open.count(shape.member.name) >= 2:
                    return []
                count = 2 if self._full else draw.randrange(0, 3)
                if location is not None:
                    return [draw.choice(shape.member.enum or PLAIN) for _ in range(max(count, 1))]
                return [self.value(shape.member) for _ in range(count)]
            case "map":
                if self._open.count(shape.value.name) >= 2:
                    return {}
                count = 2 if self._full else draw.randrange(0, 3)
                if location is not None:
                    return {f"key-{i}": draw.choice(PLAIN) for i in range(max(count, 1))}
                return {f"k{i} {self.value(shape.key)}": self.value(shape.value) for i in range(count)}
            case "boolean":
                return draw.random() < 0.5
            case "integer":
                return draw.choice((0, 1, -1, 100, 2**31 - 1)) if location != "statusCode" else 200
            case "long":
                return draw.choice((0, 1, -1, 2**53, -(2**40)))
            case "float" | "double":
                return draw.choice((0.0, 1.5, -2.25, 1e10, 123456.789) if shape.type_name == "double" else (0.5, -2.25))
            case "timestamp":
                form = shape.serialization.get("timestampFormat", "rfc822" if in_header else "")
                whole = self._whole or form.lower() == "rfc822" or in_header
                return draw.choice((1_500_000_000.0, 0.0, 4_000_000_000.0) if whole else (1_500_000_000.25, 1.0, 1e9))
            case "blob":
                return draw.choice((b"bytes", b"\x00\x01\xff", b"a" * 100)) if not in_header else b"x"
            case "string" | "character":
                if shape.enum:
                    return draw.choice(shape.enum)
                if shape.serialization.get("hostLabel"):
                    return "route-1"
                if in_header:
                    return draw.choice(PLAIN)
                return draw.choice(WORDS)
        raise AssertionError(f"no value for {shape.type_name}")


def plain(value: Any) -> Any:
    """botocore's members as ours: seconds for datetimes, no metadata."""
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).timestamp()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items() if key != "ResponseMetadata"}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value


def datetimes(value: Any, shape: Any) -> Any:
    """Our members as botocore's: datetimes for seconds."""
    match shape.type_name:
        case "timestamp":
            return datetime.fromtimestamp(value, UTC)
        case "structure" if not shape.is_document_type:
            return {name: datetimes(item, shape.members[name]) for name, item in value.items()}
        case "list":
            return [datetimes(item, shape.member) for item in value]
        case "map":
            return {key: datetimes(item, shape.value) for key, item in value.items()}
    return value


def request_of(operation: Any, members: Mapping[str, Any], protocol: str) -> HttpRequest:
    """The request that botocore's serializer makes of members."""
    serializer = botocore.serialize.create_serializer(protocol, include_validation=False)
    shape = operation.input_shape
    made = serializer.serialize_to_request(datetimes(members, shape) if shape is not None else {}, operation)
    headers = dict(made["headers"])
    prepare_request_dict(made, endpoint_url="http://localhost:4566")
    prepared = AWSRequest(method=made["method"], url=made["url"], data=made["body"], headers=made["headers"]).prepare()
    url = urlsplit(prepared.url)
    body = prepared.body if prepared.body is not None else b""
    return HttpRequest(
        prepared.method,
        url.path,
        url.query,
        {name.lower(): str(value) for name, value in headers.items()},
        body.encode() if isinstance(body, str) else body,
    )


class Stream:
    """A body as urllib3 hands it to botocore's event stream."""

    def __init__(self, frames: bytes) -> None:
        self._frames = frames

    def stream(self) -> Any:
        return iter([self._frames[:7], self._frames[7:]])

    def close(self) -> None:
        pass


def read_answer(operation: Any, answer: HttpAnswer, protocol: str, shape: Any = None) -> dict[str, Any]:
    """What botocore's parser makes of an answer."""
    response = {
        "status_code": answer.status,
        "headers": HeadersDict(answer.headers),
        "body": answer.body,
        "context": {"operation_name": operation.name},
    }
    parser = botocore.parsers.create_parser(protocol)
    parsed: dict[str, Any] = parser.parse(response, operation.output_shape if shape is None else shape)
    return parsed


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
