"""The two bodies that rest services have, JSON and XML, behind one interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import orjson

from pileus.kernel.errors import AWSError
from pileus.kernel.ids import host_id
from pileus.model import Operation, ServiceModel, Shape
from pileus.wire.protocols import faults, values
from pileus.wire.protocols.errors import Fault
from pileus.wire.protocols.json_shapes import JsonShapes
from pileus.wire.protocols.rpc_json import read_json
from pileus.wire.protocols.s3_names import S3_NAMESPACE, S3_ROOTS
from pileus.wire.protocols.xml_reader import read_xml
from pileus.wire.protocols.xml_shapes import XmlShapes, escape, xml_name

DecodeBody = Callable[[bytes], dict[str, Any]]
EncodeBody = Callable[[Mapping[str, Any]], bytes]

# Of PutBucketNotification, which S3 takes where PutBucketNotificationConfiguration has its place.
_OUTDATED = frozenset({"InvocationRole"})
XML_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'


class Body(Protocol):
    """How structures travel in bodies."""

    content_type: str
    # Whether a query parameter that should be a number and is empty counts as missing.
    skips_empty_numbers: bool

    def members_decoder(self, operation: Operation, names: list[str]) -> DecodeBody:
        """From a body to those members of the operation's input."""
        ...

    def payload_decoder(self, shape: Shape, name: str) -> Callable[[bytes], Any]:
        """From a body to the one member that it is."""
        ...

    def members_encoder(self, operation: Operation, names: list[str]) -> EncodeBody: ...

    def payload_encoder(self, operation: Operation, shape: Shape, name: str) -> Callable[[Any], bytes]: ...

    def event_body(self, shape: Shape, value: Any) -> bytes: ...

    def error(self, fault: Fault, request_id: str) -> tuple[bytes, dict[str, str]]:
        """The body of an error, and the headers that go with it."""
        ...

    def malformed(self, kind: str, text: str, name: str) -> AWSError:
        """A label, header or query parameter that is not of the model's type."""
        ...


class JsonBody:
    content_type = "application/json"
    skips_empty_numbers = False

    def __init__(self, model: ServiceModel) -> None:
        self._model = model
        self._shapes = JsonShapes(model.name)

    def members_decoder(self, operation: Operation, names: list[str]) -> DecodeBody:
        assert operation.input is not None
        decode = self._shapes.structure_decoder(operation.input, names)
        return lambda body: decode(read_json(body))

    def payload_decoder(self, shape: Shape, name: str) -> Callable[[bytes], Any]:
        decode = self._shapes.decoder(shape)
        return lambda body: decode(read_json(body))

    def members_encoder(self, operation: Operation, names: list[str]) -> EncodeBody:
        assert operation.output is not None
        encode = self._shapes.structure_encoder(operation.output, names)
        return lambda answer: orjson.dumps(encode(answer))

    def payload_encoder(self, operation: Operation, shape: Shape, name: str) -> Callable[[Any], bytes]:
        encode = self._shapes.encoder(shape)
        return lambda value: orjson.dumps(encode(value))

    def event_body(self, shape: Shape, value: Any) -> bytes:
        return orjson.dumps(self._shapes.encoder(shape)(value))

    def error(self, fault: Fault, request_id: str) -> tuple[bytes, dict[str, str]]:
        content: dict[str, Any] = {}
        if fault.shape is not None:
            # An error that is to have none says so by a `Type` of None.
            if "Type" in fault.shape.members and "Type" not in fault.members and self._model.name == "lambda":
                content["Type"] = "User" if fault.status < 500 else "Service"
            names = [name for name, member in fault.shape.members.items() if member.location is None]
            members = {name: value for name, value in fault.members.items() if value is not None}
            content.update(self._shapes.structure_encoder(fault.shape, names)(members))
        else:
            content.update(fault.members)
        if fault.message and "message" not in content and "Message" not in content:
            content["message"] = fault.message
        return orjson.dumps(content, default=str), {"x-amzn-ErrorType": fault.name}

    def malformed(self, kind: str, text: str, name: str) -> AWSError:
        return faults.wrong_type(self._model.name, kind, text)


class XmlBody:
    def __init__(self, model: ServiceModel) -> None:
        self._model = model
        self._s3 = self.skips_empty_numbers = model.name == "s3"
        self.content_type = "application/xml" if self._s3 else "text/xml"
        # "... or did not validate against our published schema": S3 says so of elements that it does not know.
        self._shapes = XmlShapes(
            self._malformed_xml, format_time=values.iso8601_millis, strict=self._s3, outdated=_OUTDATED
        )
        self._namespace = S3_NAMESPACE if self._s3 else _namespace(model)

    def _malformed_xml(self) -> AWSError:
        if self._model.name == "route53":
            return AWSError("InvalidInput", "Invalid XML", status=400)
        return AWSError(
            "MalformedXML",
            "The XML you provided was not well-formed or did not validate against our published schema",
            status=400,
        )

    def members_decoder(self, operation: Operation, names: list[str]) -> DecodeBody:
        assert operation.input is not None
        decode = self._shapes.members_decoder(operation.input, names)
        root_name = operation.input.location_name
        return lambda body: decode(self._read(body, root_name)) if body else {}

    def payload_decoder(self, shape: Shape, name: str) -> Callable[[bytes], Any]:
        decode = self._shapes.structure_decoder(shape)
        root_name = xml_name(name, shape)
        return lambda body: decode(self._read(body, root_name))

    def _read(self, body: bytes, root_name: str | None) -> Any:
        try:
            root = read_xml(body)
        except ValueError:
            raise self._malformed_xml() from None
        if root_name is not None and root.name != root_name:
            raise self._malformed_xml()
        return root

    def members_encoder(self, operation: Operation, names: list[str]) -> EncodeBody:
        assert operation.output is not None
        content = self._shapes.content_encoder(operation.output, names)
        opening, closing = self._root(operation, S3_ROOTS.get(operation.name) or f"{operation.name}Response")
        if self._s3 and operation.name == "GetBucketLocation":
            # The member is the root itself, empty for us-east-1.
            return lambda answer: (opening + escape(answer.get("LocationConstraint") or "") + closing).encode()
        return lambda answer: (opening + content(answer) + closing).encode()

    def payload_encoder(self, operation: Operation, shape: Shape, name: str) -> Callable[[Any], bytes]:
        content = self._shapes.content_encoder(shape)
        opening, closing = self._root(operation, S3_ROOTS.get(operation.name) or shape.location_name or shape.name)
        return lambda value: (opening + content(value) + closing).encode()

    def _root(self, operation: Operation, name: str) -> tuple[str, str]:
        return f'{XML_DECLARATION}<{name} xmlns="{self._namespace}">', f"</{name}>"

    def event_body(self, shape: Shape, value: Any) -> bytes:
        return (f"<{shape.name}>" + self._shapes.content_encoder(shape)(value) + f"</{shape.name}>").encode()

    def error(self, fault: Fault, request_id: str) -> tuple[bytes, dict[str, str]]:
        members = error_members(self._shapes, fault)
        if self._s3:
            # "Error Responses" of the Amazon S3 API Reference: no namespace, no wrapper.

            text = (
                f"{XML_DECLARATION}<Error><Code>{escape(fault.code)}</Code><Message>{escape(fault.message)}</Message>"
                f"{members}<RequestId>{request_id}</RequestId><HostId>{host_id(request_id)}</HostId></Error>"
            )
        else:
            # S3's control plane has S3's two ids, and does not say whose fault it is.
            control = self._model.name == "s3control"
            type_ = "" if control else f"<Type>{fault.type}</Type>"
            host = f"<HostId>{host_id(request_id)}</HostId>" if control else ""
            text = (
                f'<?xml version="1.0"?>\n<ErrorResponse xmlns="{self._namespace}"><Error>{type_}'
                f"<Code>{escape(fault.code)}</Code><Message>{escape(fault.message)}</Message>{members}</Error>"
                f"<RequestId>{request_id}</RequestId>{host}</ErrorResponse>"
            )
        return text.encode(), {}

    def malformed(self, kind: str, text: str, name: str) -> AWSError:
        if self._s3 and kind in ("integer", "long"):
            return AWSError(
                "InvalidArgument",
                f"Provided {name} not an integer or within integer range",
                status=400,
                ArgumentName=name,
                ArgumentValue=text,
            )
        if self._s3:
            if name == "x-amz-object-lock-retain-until-date":
                message = "The retain until date must be provided in ISO 8601 format"
                return AWSError("InvalidArgument", message, status=400, ArgumentName=name, ArgumentValue=text)
            return AWSError("InvalidArgument", "Invalid Argument", status=400, ArgumentName=name, ArgumentValue=text)
        return AWSError(
            "InvalidInput" if self._model.name == "route53" else "InvalidArgument",
            f"Invalid value for {name}",
            status=400,
        )


def error_members(shapes: XmlShapes, fault: Fault) -> str:
    """The elements of an error's members beyond code and message."""
    if fault.shape is None:
        return "".join(
            f"<{name}>{escape(str(value))}</{name}>" for name, value in fault.members.items() if value is not None
        )
    shown = {name: member for name, member in fault.shape.members.items() if name.lower() != "message"}
    text = shapes.content_encoder(fault.shape, list(shown))(fault.members)
    # S3 shows more than its model has (BucketName, Key, ...).
    extra = [(name, value) for name, value in fault.members.items() if name not in fault.shape.members]
    return text + "".join(f"<{name}>{escape(str(value))}</{name}>" for name, value in extra if value is not None)


def _namespace(model: ServiceModel) -> str:
    if model.metadata.xml_namespace:
        return model.metadata.xml_namespace
    for operation in model.operations.values():
        namespace = operation.traits.get("input", {}).get("xmlNamespace")
        if namespace is not None:
            uri: str = namespace["uri"]
            return uri
    return ""
