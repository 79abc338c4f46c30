"""rest-json and rest-xml: members in path, query, headers, status and body, where the model puts them."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import orjson

from pileus.kernel.errors import AWSError
from pileus.kernel.streams import BytesStream
from pileus.model import Operation, ServiceModel, Shape
from pileus.wire import eventstream
from pileus.wire.message import HttpAnswer, HttpRequest, s3_headers
from pileus.wire.protocols import faults, s3_resources, values
from pileus.wire.protocols.errors import look_up
from pileus.wire.protocols.rest_body import Body, JsonBody, XmlBody
from pileus.wire.protocols.rest_router import Match, RestRouter, decode_query, parameters
from pileus.wire.protocols.rpc_json import header_text, merge_headers
from pileus.wire.protocols.xml_shapes import parser

Members = dict[str, Any]
# Puts what it finds in a request into the members.
Reader = Callable[[HttpRequest, Mapping[str, str], Members], None]
DecodeOperation = Callable[[HttpRequest, Mapping[str, str]], Members]
# By member: the header that it makes, and how its value is written; None: a map's entries make one each, and this is
# what their names begin with.
HeaderWriters = dict[str, tuple[str, Callable[[Any], str] | None]]
EncodeOperation = Callable[[Mapping[str, Any]], tuple[bytes | AsyncIterator[bytes], str | None]]

# A date that is none makes such a condition not count (RFC 9110, 13.1.3).
_LENIENT_HEADERS = frozenset({"if-modified-since", "if-unmodified-since"})
# Parameters of the query that are the signature's (a presigned URL) or the SDK's, never a map member's.
_FOREIGN_PARAMETERS = ("x-amz-", "X-Amz-")


class RestCodec:
    """See `pileus.wire.protocols`."""

    def __init__(self, model: ServiceModel, protocol: str) -> None:
        self.protocol = protocol
        self._model = model
        self._body: Body = JsonBody(model) if protocol == "rest-json" else XmlBody(model)
        self._router: RestRouter | None = None
        self._decoders: dict[str, DecodeOperation] = {}
        self._encoders: dict[str, tuple[EncodeOperation, HeaderWriters, str | None]] = {}

    def find(self, request: HttpRequest) -> tuple[Operation, dict[str, str]]:
        if self._router is None:
            self._router = RestRouter(self._model)
        found = self._router.match(request.method, request.path, request.query, request.headers)
        if self._model.name == "s3" and (request.query or found is None or request.method == "POST"):
            self._check_resource(self._router, request, found)
        if found is None:
            raise self._no_such_operation()
        return found

    def _check_resource(self, router: RestRouter, request: HttpRequest, found: Match | None) -> None:
        given = parameters(request.query)
        parts = s3_resources.named(given)
        refused = s3_resources.check(request.method, given, parts, s3_resources.of(found[0]) if found else ())
        # A bare POST of an object is no operation.
        is_bare = found is not None and found[0].name == "CompleteMultipartUpload" and "uploadId" not in given
        if found is not None and refused is None and not is_bare:
            return
        allowed = [
            method
            for method in s3_resources.METHODS
            if (other := router.match(method, request.path, refused or "", {})) is not None
            and s3_resources.of(other[0]) == ({refused} if refused else set())
        ]
        if found is not None and request.method == "GET" and not allowed:
            # A part of something else altogether; whoever reads gets what the path names.
            return
        raise s3_resources.not_allowed(request.method, s3_resources.resource(request.path, refused), allowed)

    def _no_such_operation(self) -> AWSError:
        if self._model.name in ("apigateway", "apigatewayv2"):
            return AWSError("MissingAuthenticationTokenException", "Missing Authentication Token", status=403)
        if self.protocol == "rest-json":
            message = "Unable to determine service/operation name to be authorized"
            return AWSError("AccessDeniedException", message, status=403)
        return AWSError("UnknownOperationException", "Could not find the operation.", status=404)

    # -- decoding

    def decode(self, operation: Operation, request: HttpRequest, labels: Mapping[str, str]) -> Members:
        decoder = self._decoders.get(operation.name)
        if decoder is None:
            decoder = self._decoders[operation.name] = self._compile_decoder(operation)
        try:
            return decoder(request, labels)
        except RecursionError:
            raise faults.serialization() from None

    def _compile_decoder(self, operation: Operation) -> DecodeOperation:
        shape = operation.input
        if shape is None:
            return lambda request, labels: {}
        readers: list[Reader] = []
        query: dict[str, tuple[str, Shape]] = {}
        query_map: str | None = None
        by_header: dict[str, tuple[str, Shape]] = {}
        prefixes: dict[str, str] = {}
        body_names = []
        for name, member in shape.members.items():
            wire_name = member.location_name or name
            match member.location:
                case "uri":
                    readers.append(self._label_reader(name, wire_name, member))
                case "querystring" if member.type == "map":
                    query_map = name
                case "querystring":
                    query[wire_name] = (name, member)
                case "header":
                    by_header[wire_name.lower()] = (name, member)
                case "headers":
                    prefixes[wire_name.lower()] = name
                case _ if name != shape.payload and not member.traits.get("hostLabel"):
                    body_names.append(name)
                case _:
                    pass
        if by_header or prefixes:
            readers.append(self._header_reader(by_header, prefixes))
        if query or query_map:
            readers.append(self._query_reader(operation, query, query_map))
        if shape.payload is not None:
            readers.append(self._payload_reader(operation, shape.payload, shape.members[shape.payload]))
        elif body_names:
            readers.append(_body_reader(self._body.members_decoder(operation, body_names)))

        def decode(request: HttpRequest, labels: Mapping[str, str]) -> Members:
            members: Members = {}
            for reader in readers:
                reader(request, labels, members)
            return members

        return decode

    def _parse(self, member: Shape, name: str, default_format: str) -> Callable[[str], Any]:
        if member.type in ("string", "character"):
            return str
        parse, kind, body = parser(member, default_format), member.type, self._body

        def convert(text: str) -> Any:
            try:
                return parse(text)
            except ValueError:
                raise body.malformed(kind, text, name) from None

        return convert

    def _label_reader(self, name: str, wire_name: str, member: Shape) -> Reader:
        parse = self._parse(member, wire_name, "iso8601")

        def read(request: HttpRequest, labels: Mapping[str, str], members: Members) -> None:
            text = labels.get(wire_name)
            if text is not None:
                members[name] = parse(text)

        return read

    def _header_reader(self, members_by_header: dict[str, tuple[str, Shape]], prefixes: dict[str, str]) -> Reader:
        """Of the headers of these names (lower case), and of those with these prefixes (prefix to member)."""
        fields = {
            header: (name, self._parse_header(header, member)) for header, (name, member) in members_by_header.items()
        }

        def read(request: HttpRequest, labels: Mapping[str, str], members: Members) -> None:
            for header, text in request.headers.items():
                field = fields.get(header)
                if field is not None:
                    try:
                        members[field[0]] = field[1](text)
                    except AWSError:
                        if header not in _LENIENT_HEADERS:
                            raise
                    continue
                for prefix, name in prefixes.items():
                    if header.startswith(prefix):
                        members.setdefault(name, {})[header[len(prefix) :]] = text

        return read

    def _parse_header(self, header: str, member: Shape) -> Callable[[str], Any]:
        if member.traits.get("jsonvalue"):
            return _parse_json_header
        if member.type == "list":
            one = self._parse(member.element, header, "rfc822")
            return lambda text: [one(part) for part in _split_header(text)]
        return self._parse(member, header, "rfc822")

    def _query_reader(self, operation: Operation, query: dict[str, tuple[str, Shape]], query_map: str | None) -> Reader:
        fields = {}
        for wire_name, (name, member) in query.items():
            several = member.type == "list"
            fields[wire_name] = (
                name,
                self._parse(member.element if several else member, wire_name, "iso8601"),
                several,
                self._body.skips_empty_numbers and member.type in ("integer", "long"),
            )
        literals = {part.partition("=")[0] for part in operation.uri.partition("?")[2].split("&")} | {"x-id"}

        def read(request: HttpRequest, labels: Mapping[str, str], members: Members) -> None:
            if not request.query:
                return
            rest: dict[str, str] = {}
            for part in request.query.split("&"):
                if not part:
                    continue
                key, _, text = part.partition("=")
                key, text = decode_query(key), decode_query(text)
                field = fields.get(key)
                if field is None:
                    if query_map and key not in literals and not key.startswith(_FOREIGN_PARAMETERS):
                        rest.setdefault(key, text)
                    continue
                name, parse, several, skips_empty = field
                if skips_empty and not text:
                    continue
                if several:
                    members.setdefault(name, []).append(parse(text))
                elif name not in members:
                    members[name] = parse(text)
            if query_map and rest:
                members[query_map] = rest

        return read

    def _payload_reader(self, operation: Operation, name: str, member: Shape) -> Reader:
        if operation.streaming_input == name:

            def read_stream(request: HttpRequest, labels: Mapping[str, str], members: Members) -> None:
                members[name] = request.stream if request.stream is not None else BytesStream(request.body)

            return read_stream
        if member.type == "blob":

            def read_blob(request: HttpRequest, labels: Mapping[str, str], members: Members) -> None:
                if request.body:
                    members[name] = request.body

            return read_blob
        if member.type == "string":

            def read_text(request: HttpRequest, labels: Mapping[str, str], members: Members) -> None:
                if request.body:
                    try:
                        members[name] = request.body.decode()
                    except UnicodeDecodeError:
                        raise faults.serialization() from None

            return read_text
        decode = self._body.payload_decoder(member, name)

        def read(request: HttpRequest, labels: Mapping[str, str], members: Members) -> None:
            if request.body:
                members[name] = decode(request.body)

        return read

    # -- encoding

    def encode(
        self,
        operation: Operation,
        answer: Mapping[str, Any] | None,
        request_id: str,
        *,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> HttpAnswer:
        compiled = self._encoders.get(operation.name)
        if compiled is None:
            compiled = self._encoders[operation.name] = self._compile_encoder(operation)
        encode, writers, status_member = compiled
        answer = answer or {}
        if status is None:
            status = (answer.get(status_member) if status_member else None) or operation.status
        body, content_type = (b"", None) if status in (204, 304) else encode(answer)
        sent = dict(self._id_headers(request_id))
        if content_type is not None:
            sent["Content-Type"] = content_type
        _write(writers, answer, sent)
        listed = [*sent.items()]
        if headers:
            merge_headers(listed, headers)
        return HttpAnswer(status, listed, body)

    def _id_headers(self, request_id: str) -> list[tuple[str, str]]:
        if self._model.name == "s3":
            return s3_headers(request_id)
        return [("x-amzn-RequestId", request_id)]

    def _compile_encoder(self, operation: Operation) -> tuple[EncodeOperation, HeaderWriters, str | None]:
        shape = operation.output
        if shape is None:
            return (lambda answer: (b"", None)), {}, None
        writers, status_member, body_names = self._compile_headers(shape)
        if shape.payload is not None:
            return self._payload_encoder(operation, shape.payload, shape.members[shape.payload]), writers, status_member
        content_type = self._body.content_type
        if body_names:
            encode = self._body.members_encoder(operation, body_names)
            return (lambda answer: (encode(answer), content_type)), writers, status_member
        # JSON has a body even where there is nothing to say; S3 and its like have none.
        empty = (b"{}", content_type) if self.protocol == "rest-json" else (b"", None)
        return (lambda answer: empty), writers, status_member

    def _compile_headers(self, shape: Shape) -> tuple[HeaderWriters, str | None, list[str]]:
        """The writers of a structure's headers, the member that is the status, the members left for the body."""
        writers: HeaderWriters = {}
        status_member = None
        body_names = []
        for name, member in shape.members.items():
            wire_name = member.location_name or name
            match member.location:
                case "statusCode":
                    status_member = name
                case "header":
                    writers[name] = wire_name, _header_text(member)
                case "headers":
                    writers[name] = wire_name, None
                case _:
                    body_names.append(name)
        return writers, status_member, body_names

    def _payload_encoder(self, operation: Operation, name: str, member: Shape) -> EncodeOperation:
        body = self._body
        if member.is_eventstream:
            events = eventstream.EventEncoder(member, body.event_body, body.content_type)
            return lambda answer: (events.encode(answer[name], None), eventstream.CONTENT_TYPE)
        if member.type in ("blob", "string"):
            # Lambda's results and S3's policies are JSON; what else is streamed says itself what it is.
            default = "application/json" if member.type == "string" or self._model.name == "lambda" else None

            def encode_raw(answer: Mapping[str, Any]) -> tuple[bytes | AsyncIterator[bytes], str | None]:
                value = answer.get(name)
                if value is None:
                    return b"", None
                return (value.encode() if isinstance(value, str) else value), default

            return encode_raw
        encode = body.payload_encoder(operation, member, name)

        def encode_payload(answer: Mapping[str, Any]) -> tuple[bytes | AsyncIterator[bytes], str | None]:
            value = answer.get(name)
            return (b"", None) if value is None else (encode(value), body.content_type)

        return encode_payload

    def encode_error(self, operation: Operation | None, error: AWSError, request_id: str) -> HttpAnswer:
        fault = look_up(self._model, error)
        headers = self._id_headers(request_id)
        more: dict[str, str] = {}
        if fault.status == 304 or (operation is not None and operation.method == "HEAD"):
            body = b""
            if fault.status != 304 and self._model.name == "s3":
                headers.append(("Content-Type", self._body.content_type))
        else:
            body, more = self._body.error(fault, request_id)
            headers.append(("Content-Type", self._body.content_type))
        if fault.shape is not None:
            more = {**more}
            _write(self._compile_headers(fault.shape)[0], fault.members, more)
        merge_headers(headers, {**more, **error.headers})
        return HttpAnswer(fault.status, headers, body)


def _body_reader(decode: Callable[[bytes], Members]) -> Reader:
    def read(request: HttpRequest, labels: Mapping[str, str], members: Members) -> None:
        members.update(decode(request.body))

    return read


def _split_header(text: str) -> list[str]:
    """The parts of a header that is a list; a part in quotes may hold commas."""
    parts: list[str] = []
    current: list[str] = []
    quoted = escaped = False
    for character in text:
        if escaped:
            current.append(character)
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == "," and not quoted:
            parts.append("".join(current).strip())
            current = []
        else:
            current.append(character)
    parts.append("".join(current).strip())
    return [part for part in parts if part]


def _parse_json_header(text: str) -> Any:
    try:
        return orjson.loads(base64.b64decode(text, validate=True))
    except ValueError:
        raise faults.serialization() from None


def _write(writers: HeaderWriters, members: Mapping[str, Any], headers: dict[str, str]) -> None:
    """Add the headers that members make. Few of those that a model knows are there: they lead, not the model."""
    for name, value in members.items():
        writer = writers.get(name)
        if writer is None or value is None:
            continue
        header, to_text = writer
        if to_text is not None:
            headers[header] = to_text(value)
        else:
            for key, text in value.items():
                headers[header + key] = header_text(text)


def _header_text(member: Shape) -> Callable[[Any], str]:
    if member.traits.get("jsonvalue"):
        return lambda value: base64.b64encode(orjson.dumps(value)).decode()
    match member.type:
        case "timestamp":
            match member.traits.get("timestampFormat", "rfc822").lower():
                case "iso8601":
                    return values.iso8601_millis
                case "unixtimestamp":
                    return lambda value: str(values.unix(value))
                case _:
                    return values.rfc822
        case "boolean":
            return lambda value: "true" if value else "false"
        case "float" | "double":
            return values.float_text
        case "list":
            one = _header_text(member.element)
            return lambda value: ",".join([_quote(one(item)) for item in value])
        case "blob":
            return values.blob_text
        case "string":
            return lambda value: header_text(str(value))
        case _:
            return str


def _quote(text: str) -> str:
    if '"' in text or "," in text:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return text
