"""The query protocol and EC2's dialect of it: a form in, XML out, the operation in `Action`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from pileus.kernel.errors import AWSError
from pileus.model import Operation, ServiceModel, Shape
from pileus.wire.message import HttpAnswer, HttpRequest
from pileus.wire.protocols import values
from pileus.wire.protocols.errors import look_up
from pileus.wire.protocols.rest_body import error_members
from pileus.wire.protocols.rest_router import decode_query
from pileus.wire.protocols.rpc_json import merge_headers
from pileus.wire.protocols.xml_shapes import ToXml, XmlShapes, escape, parser

# A parameter's tree: what stands under "Entry.1.Name" is tree["Entry"]["1"]["Name"]; a value of its own is under "".
Tree = dict[str, Any]
FromTree = Callable[[Tree, str], Any]

_INDEX = re.compile(r"[1-9]\d{0,5}", re.ASCII)
_MAX_DEPTH = 64
# Services whose timestamps have no fraction: "2024-03-06T18:53:26Z".
_WHOLE_SECONDS = frozenset({"iam", "sts"})
_EC2_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
# SQS's operations that a queue's own URL does not take, and those whose errors end without an empty `Detail`.
_SQS_ACCOUNT = frozenset({"CreateQueue", "ListQueues", "GetQueueUrl"})
_SQS_NO_DETAIL = frozenset({"ChangeMessageVisibilityBatch", "DeleteMessageBatch"})


class QueryCodec:
    """See `pileus.wire.protocols`."""

    def __init__(self, model: ServiceModel, protocol: str) -> None:
        self.protocol = protocol
        self._model = model
        self._ec2 = protocol == "ec2"
        self._form = FormShapes(model.name, ec2=self._ec2)
        whole = model.name in _WHOLE_SECONDS
        self._xml = XmlShapes(
            lambda: AWSError("MalformedXML", status=400),
            format_time=values.iso8601_seconds if whole else values.iso8601_millis,
        )
        self._namespace = model.metadata.xml_namespace
        if self._ec2 and not self._namespace.endswith("/"):
            self._namespace += "/"
        self._declaration = '<?xml version="1.0"?>' if model.name == "sqs" else ""
        self._decoders: dict[str, FromTree | None] = {}
        self._encoders: dict[str, ToXml | None] = {}

    def find(self, request: HttpRequest) -> tuple[Operation, dict[str, str]]:
        action = version = None
        for text in (request.body.decode("latin-1"), request.query):
            for part in text.split("&"):
                if part.startswith("Action="):
                    action = action or decode_query(part[7:])
                elif part.startswith("Version="):
                    version = version or decode_query(part[8:])
        if action is None:
            raise AWSError("MissingAction", "Missing Action", status=400)
        sqs = self._model.name == "sqs"
        if sqs and (action not in self._model.operations or (action in _SQS_ACCOUNT and _is_queue(request))):
            raise AWSError("InvalidAction", f"The action {action} is not valid for this endpoint.", status=400)
        if action not in self._model.operations:
            if self._ec2:
                raise AWSError("InvalidAction", f"The action {action} is not valid for this web service.", status=400)
            raise AWSError(
                "InvalidAction",
                f"Could not find operation {action} for version {version or 'NO_VERSION_SPECIFIED'}",
                status=400,
            )
        return self._model.operations[action], {}

    def decode(self, operation: Operation, request: HttpRequest, labels: Mapping[str, str]) -> dict[str, Any]:
        try:
            decoder = self._decoders[operation.name]
        except KeyError:
            shape = operation.input
            decoder = self._decoders[operation.name] = None if shape is None else self._form.decoder(shape)
        if decoder is None:
            return {}
        tree = self._tree(request)
        members: dict[str, Any] = decoder(tree, "")
        if self._model.name == "sqs" and "QueueUrl" not in members and _is_queue(request):
            # In the query protocol the queue may be the path itself.
            assert operation.input is not None
            if "QueueUrl" in operation.input.members:
                members["QueueUrl"] = f"http://{request.headers.get('host', 'localhost')}{request.path}"
        return members

    def _tree(self, request: HttpRequest) -> Tree:
        try:
            body = request.body.decode("ascii")
        except UnicodeDecodeError:
            body = request.body.decode("utf-8", "replace")
        tree: Tree = {}
        for text in (request.query, body):
            if not text:
                continue
            for part in text.split("&"):
                key, _, value = part.partition("=")
                if key:
                    self._plant(tree, decode_query(key), decode_query(value))
        return tree

    @staticmethod
    def _plant(tree: Tree, key: str, value: str) -> None:
        steps = key.split(".")
        if len(steps) > _MAX_DEPTH:
            raise AWSError("MalformedInput", "Parameter names are nested too deeply", status=400)
        for step in steps:
            # A parameter named "" or "A..B" must not end up as a value.
            tree = tree.setdefault(step or " ", {})
        # Of several parameters of one name the first counts.
        tree.setdefault("", value)

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
        try:
            encoder = self._encoders[operation.name]
        except KeyError:
            shape = operation.output
            encoder = self._encoders[operation.name] = None if shape is None else self._xml.content_encoder(shape)
        content = encoder(answer or {}) if encoder is not None else ""
        name = operation.name
        if self._ec2:
            if encoder is None:
                content = "<return>true</return>"
            text = (
                f'{_EC2_DECLARATION}<{name}Response xmlns="{self._namespace}"><requestId>{request_id}</requestId>'
                f"{content}</{name}Response>"
            )
        else:
            wrapper = operation.result_wrapper
            if wrapper is not None:
                content = f"<{wrapper}>{content}</{wrapper}>" if content else f"<{wrapper}/>"
            text = (
                f'{self._declaration}<{name}Response xmlns="{self._namespace}">{content}'
                f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{name}Response>"
            )
        return self._answer(status or operation.status, text, request_id, headers)

    def _answer(self, status: int, text: str, request_id: str, extra: Mapping[str, str] | None) -> HttpAnswer:
        content_type = "text/xml;charset=UTF-8" if self._ec2 else "text/xml"
        sent = [("x-amzn-RequestId", request_id), ("Content-Type", content_type)]
        if extra:
            merge_headers(sent, extra)
        return HttpAnswer(status, sent, text.encode("utf-8", "replace"))

    def encode_error(self, operation: Operation | None, error: AWSError, request_id: str) -> HttpAnswer:
        fault = look_up(self._model, error)
        members = error_members(self._xml, fault)
        message = f"<Message>{escape(fault.message)}</Message>" if fault.message else ""
        shown = f"<Code>{escape(fault.code)}</Code>{message}{members}"
        if self._ec2:
            text = (
                f"{_EC2_DECLARATION}<Response><Errors><Error>{shown}</Error></Errors>"
                f"<RequestID>{request_id}</RequestID></Response>"
            )
        else:
            if self._model.name == "sqs" and not (operation is not None and operation.name in _SQS_NO_DETAIL):
                shown += "<Detail/>"
            text = (
                f'{self._declaration}<ErrorResponse xmlns="{self._namespace}"><Error><Type>{fault.type}</Type>{shown}'
                f"</Error><RequestId>{request_id}</RequestId></ErrorResponse>"
            )
        return self._answer(fault.status, text, request_id, error.headers)


def _is_queue(request: HttpRequest) -> bool:
    """Whether SQS is called under a queue's own URL: /{account}/{name} or /queue/{region}/{account}/{name}."""
    return request.path.count("/") in (2, 4) and not request.path.endswith("/")


class FormShapes:
    """Compiling shapes to functions from a form's parameters to members."""

    def __init__(self, service: str, *, ec2: bool) -> None:
        self._service = service
        self._ec2 = ec2
        self._decoders: dict[str, FromTree] = {}

    def decoder(self, shape: Shape) -> FromTree:
        """The function from a tree (and the parameter's name, for errors) to the value. It raises `AWSError`."""
        match shape.type:
            case "structure":
                return self._structure_decoder(shape)
            case "list":
                return self._list_decoder(shape)
            case "map":
                return self._map_decoder(shape)
            case _:
                return self._scalar_decoder(shape)

    def _structure_decoder(self, shape: Shape) -> FromTree:
        made = self._decoders.get(shape.name)
        if made is not None:
            return made

        def later(tree: Tree, path: str) -> Any:
            return self._decoders[shape.name](tree, path)

        self._decoders[shape.name] = later
        fields: list[tuple[str, str, str, FromTree]] = []
        for name, member in shape.members.items():
            wire_name = self._name(member, name)
            # An empty list comes as "{member}=", even where its elements have another name.
            fields.append((name, wire_name, member.location_name or name, self.decoder(member)))

        def decode(tree: Tree, path: str) -> Any:
            found = {}
            prefix = f"{path}." if path else ""
            for name, wire_name, other_name, field in fields:
                branch = tree.get(wire_name)
                if branch is None and other_name != wire_name:
                    branch = tree.get(other_name)
                if branch is not None:
                    found[name] = field(branch, prefix + wire_name)
            return found

        self._decoders[shape.name] = decode
        return decode

    def _name(self, shape: Shape, default: str) -> str:
        if self._ec2:
            if "queryName" in shape.traits:
                name: str = shape.traits["queryName"]
                return name
            if shape.location_name:
                return shape.location_name[0].upper() + shape.location_name[1:]
            return default
        if shape.type == "list" and shape.flattened and shape.element.location_name:
            return shape.element.location_name
        return shape.traits.get("queryLocationName") or shape.location_name or default

    def _list_decoder(self, shape: Shape) -> FromTree:
        each = self.decoder(shape.element)
        flattened = self._ec2 or shape.flattened
        step = "" if flattened else shape.element.location_name or "member"

        def decode(tree: Tree, path: str) -> Any:
            if step:
                branch = tree.get(step)
                # Older SDKs name the elements of every list "member".
                branch = branch if branch is not None else tree.get("member", {})
                path = f"{path}.{step}"
            else:
                branch = tree
            return [each(branch[index], f"{path}.{index}") for index in _indices(branch)]

        return decode

    def _map_decoder(self, shape: Shape) -> FromTree:
        key_name, value_name = shape.key.location_name or "key", shape.value.location_name or "value"
        key, value = self.decoder(shape.key), self.decoder(shape.value)
        step = "" if shape.flattened else "entry"

        def decode(tree: Tree, path: str) -> Any:
            if step:
                tree = tree.get(step, {})
                path = f"{path}.{step}"
            found = {}
            for index in _indices(tree):
                entry = tree[index]
                if key_name not in entry:
                    raise self._malformed(f"{path}.{index}.{key_name}")
                if value_name in entry:
                    found[key(entry[key_name], path)] = value(entry[value_name], f"{path}.{index}.{value_name}")
            return found

        return decode

    def _scalar_decoder(self, shape: Shape) -> FromTree:
        parse = parser(shape, "iso8601")
        if shape.type in ("string", "character"):

            def decode_text(tree: Tree, path: str) -> Any:
                text = tree.get("")
                if text is None:
                    raise self._malformed(path)
                return text

            return decode_text

        def decode(tree: Tree, path: str) -> Any:
            text = tree.get("")
            try:
                if text is not None:
                    return parse(text)
            except ValueError:
                pass
            raise self._malformed(path, text, shape.type)

        return decode

    def _malformed(self, path: str, text: str | None = None, kind: str = "") -> AWSError:
        if self._ec2:
            return AWSError("InvalidParameterValue", f"Invalid value '{text or ''}' for {path}.", status=400)
        if text is not None and kind in ("integer", "long", "boolean", "float", "double", "timestamp"):
            # As IAM, CloudFormation and SNS answer a number that is none.
            return AWSError("MalformedInput", f"Value ({text}) for parameter {path} is invalid.", status=400)
        return AWSError("MalformedInput", f"The parameter {path} is malformed.", status=400)


def _indices(tree: Tree) -> list[str]:
    """The numbers under which elements stand, in order; gaps are closed."""
    return sorted((key for key in tree if _INDEX.fullmatch(key)), key=int)
