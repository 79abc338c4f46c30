"""A service model's parts: the service, its operations, its shapes, its errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import msgspec

Traits = dict[str, Any]


class Shape:
    """A shape as one place refers to it: the shape's own traits, overlaid with those of the reference.

    `type` is one of structure, list, map, string, character, boolean, integer, long, float, double, bigdecimal,
    biginteger, timestamp, blob. `traits` holds what the model says, in the model's words ("locationName",
    "timestampFormat", ...).
    """

    __slots__ = ("_element", "_key", "_members", "_model", "_value", "name", "traits", "type")

    def __init__(self, model: ServiceModel, name: str, traits: Traits) -> None:
        self._model = model
        self.name = name
        self.traits = traits
        self.type: str = traits["type"]
        self._members: dict[str, Shape] | None = None
        self._element: Shape | None = None
        self._key: Shape | None = None
        self._value: Shape | None = None

    @property
    def members(self) -> dict[str, Shape]:
        """A structure's members by name, in the model's order."""
        members = self._members
        if members is None:
            resolve = self._model.resolve
            members = self._members = {n: resolve(ref) for n, ref in self.traits.get("members", {}).items()}
        return members

    @property
    def element(self) -> Shape:
        """What a list holds."""
        if self._element is None:
            self._element = self._model.resolve(self.traits["member"])
        return self._element

    @property
    def key(self) -> Shape:
        if self._key is None:
            self._key = self._model.resolve(self.traits["key"])
        return self._key

    @property
    def value(self) -> Shape:
        """What a map holds under its keys."""
        if self._value is None:
            self._value = self._model.resolve(self.traits["value"])
        return self._value

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(self.traits.get("required", ()))

    @property
    def location(self) -> str | None:
        """Where a member travels when not in the body: uri, querystring, header, headers, statusCode."""
        location: str | None = self.traits.get("location")
        return location

    @property
    def location_name(self) -> str | None:
        name: str | None = self.traits.get("locationName")
        return name

    @property
    def is_document(self) -> bool:
        return bool(self.traits.get("document"))

    @property
    def is_union(self) -> bool:
        return bool(self.traits.get("union"))

    @property
    def is_eventstream(self) -> bool:
        return bool(self.traits.get("eventstream"))

    @property
    def is_streaming(self) -> bool:
        return bool(self.traits.get("streaming"))

    @property
    def flattened(self) -> bool:
        return bool(self.traits.get("flattened"))

    @property
    def payload(self) -> str | None:
        """The member of a structure that alone makes up the body."""
        payload: str | None = self.traits.get("payload")
        return payload

    def __repr__(self) -> str:
        return f"Shape({self.name}: {self.type})"


class Operation:
    """One operation. `traits` holds what the model says, in the model's words ("httpChecksum", "auth", ...)."""

    __slots__ = (
        "_input",
        "_output",
        "_streams",
        "codecs",
        "error_names",
        "host_prefix",
        "method",
        "model",
        "name",
        "status",
        "traits",
        "uri",
    )

    def __init__(self, model: ServiceModel, name: str, traits: Traits) -> None:
        http = traits["http"]
        self.model = model
        self.name = name
        self.traits = traits
        self.method: str = http["method"]
        # The path template, with the query literals it demands: "/{Bucket}/{Key+}?uploads".
        self.uri: str = http["requestUri"]
        # The status of a success.
        self.status: int = http.get("responseCode", 200)
        self.host_prefix: str | None = traits.get("endpoint", {}).get("hostPrefix")
        self.error_names: tuple[str, ...] = tuple(error["shape"] for error in traits.get("errors", ()))
        self._input: Shape | None = None
        self._output: Shape | None = None
        self._streams: tuple[str | None, str | None, str | None] | None = None
        # Compiled codecs by protocol; they belong to `wire`.
        self.codecs: dict[str, Any] = {}

    @staticmethod
    def _find(shape: Shape | None, wanted: Any) -> str | None:
        if shape is None:
            return None
        return next((name for name, member in shape.members.items() if wanted(member)), None)

    def _find_streams(self) -> tuple[str | None, str | None, str | None]:
        found = self._streams
        if found is None:
            found = self._streams = (
                self._find(self.input, _is_blob_stream),
                self._find(self.input, _is_event_stream),
                self._find(self.output, _is_event_stream),
            )
        return found

    @property
    def streaming_input(self) -> str | None:
        """The member of the input whose bytes stream."""
        return self._find_streams()[0]

    @property
    def event_input(self) -> str | None:
        """The member of the input that is an event stream."""
        return self._find_streams()[1]

    @property
    def event_output(self) -> str | None:
        """The member of the output that is an event stream."""
        return self._find_streams()[2]

    @property
    def input(self) -> Shape | None:
        if self._input is None and "input" in self.traits:
            self._input = self.model.resolve(self.traits["input"])
        return self._input

    @property
    def output(self) -> Shape | None:
        if self._output is None and "output" in self.traits:
            self._output = self.model.resolve(self.traits["output"])
        return self._output

    @property
    def result_wrapper(self) -> str | None:
        """The query protocol's element around an answer's members."""
        wrapper: str | None = self.traits.get("output", {}).get("resultWrapper")
        return wrapper

    @property
    def idempotency_token(self) -> str | None:
        """The input member that clients fill with a fresh token where the caller gives none."""
        return self._find(self.input, lambda member: member.traits.get("idempotencyToken"))

    @property
    def checksum(self) -> Traits:
        """The `httpChecksum` trait: requestAlgorithmMember, requestChecksumRequired, responseAlgorithms, ..."""
        checksum: Traits = self.traits.get("httpChecksum", {})
        return checksum

    @property
    def compressions(self) -> tuple[str, ...]:
        """Content encodings in which clients may send the body."""
        return tuple(self.traits.get("requestcompression", {}).get("encodings", ()))

    @property
    def unauthenticated(self) -> bool:
        """Whether clients call it without a signature."""
        return self.traits.get("authtype") == "none" or "smithy.api#noAuth" in self.traits.get("auth", ())

    def __repr__(self) -> str:
        return f"Operation({self.model.name}.{self.name})"


def _is_blob_stream(shape: Shape) -> bool:
    return shape.is_streaming and shape.type == "blob"


def _is_event_stream(shape: Shape) -> bool:
    return shape.is_eventstream


class ErrorShape(NamedTuple):
    """A modelled error: the shape's name, the code that the query protocol shows, its status and whose fault it is."""

    shape: Shape
    name: str
    code: str
    # None where the model does not say.
    status: int | None
    fault: bool


class Operations(Mapping[str, Operation]):
    """A service's operations by name, each made at its first use."""

    __slots__ = ("_made", "_model", "_raw")

    def __init__(self, model: ServiceModel, raw: dict[str, Traits]) -> None:
        self._model = model
        self._raw = raw
        self._made: dict[str, Operation] = {}

    def __getitem__(self, name: str) -> Operation:
        operation = self._made.get(name)
        if operation is None:
            operation = self._made[name] = Operation(self._model, name, self._raw[name])
        return operation

    def __contains__(self, name: object) -> bool:
        return name in self._raw

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __len__(self) -> int:
        return len(self._raw)


class Metadata(msgspec.Struct, rename="camel"):
    """The model's `metadata` section, as far as it concerns a server."""

    api_version: str
    endpoint_prefix: str
    protocol: str
    service_id: str = ""
    protocols: list[str] = []
    json_version: str = "1.0"
    target_prefix: str = ""
    signing_name: str = ""
    xml_namespace: str = ""
    aws_query_compatible: dict[str, Any] | None = None
    service_full_name: str = ""
    service_abbreviation: str = ""


class ServiceModel:
    """One service as its model describes it; `name` is botocore's."""

    __slots__ = ("_errors", "_raw", "_shapes", "metadata", "name", "operations", "protocols", "signing_name")

    def __init__(self, name: str, raw: dict[str, Any]) -> None:
        self.name = name
        self.metadata = msgspec.convert(raw["metadata"], Metadata)
        # Those that the model lists, the preferred one first.
        listed = self.metadata.protocols or [self.metadata.protocol]
        self.protocols: tuple[str, ...] = tuple(dict.fromkeys([self.metadata.protocol, *listed]))
        self.signing_name = self.metadata.signing_name or self.metadata.endpoint_prefix
        self.operations: Mapping[str, Operation] = Operations(self, raw["operations"])
        self._raw: dict[str, Traits] = raw["shapes"]
        self._shapes: dict[str, Shape] = {}
        self._errors: dict[str, ErrorShape] | None = None

    def shape(self, name: str) -> Shape:
        shape = self._shapes.get(name)
        if shape is None:
            shape = self._shapes[name] = Shape(self, name, self._raw[name])
        return shape

    def resolve(self, reference: Traits) -> Shape:
        """The shape a reference (a member, a list's element, an operation's input) stands for."""
        name = reference["shape"]
        if len(reference) == 1:
            return self.shape(name)
        return Shape(self, name, {**self._raw[name], **reference})

    @property
    def query_compatible(self) -> bool:
        """Whether errors also carry the code they had when the service spoke the query protocol."""
        return self.metadata.aws_query_compatible is not None

    def error(self, code: str) -> ErrorShape | None:
        """The modelled error of that shape name or code."""
        errors = self._errors
        if errors is None:
            errors = self._errors = self._read_errors()
        return errors.get(code)

    def _read_errors(self) -> dict[str, ErrorShape]:
        errors: dict[str, ErrorShape] = {}
        for name, traits in self._raw.items():
            if traits.get("exception"):
                error = traits.get("error", {})
                code = error.get("code", name)
                errors[name] = ErrorShape(
                    self.shape(name), name, code, error.get("httpStatusCode"), bool(traits.get("fault"))
                )
        # By code too, where no shape has that name. The raw order decides between several of one code.
        for shape in list(errors.values()):
            errors.setdefault(shape.code, shape)
        return errors

    def __repr__(self) -> str:
        return f"ServiceModel({self.name})"
