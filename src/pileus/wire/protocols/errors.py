"""What an `AWSError` is on the wire, whatever the protocol: its name, its code, its status, its members."""

from __future__ import annotations

from typing import Any, NamedTuple

from pileus.kernel.errors import AWSError
from pileus.model import ServiceModel, Shape

# What stands before the "#" in `__type`, where a service shows it.
_NAMESPACES = {
    "cloudwatch": "com.amazonaws.cloudwatch.v2010_08_01",
    "dynamodb": "com.amazonaws.dynamodb.v20120810",
    "dynamodbstreams": "com.amazonaws.dynamodb.v20120810",
    "sqs": "com.amazonaws.sqs",
    "stepfunctions": "com.amazonaws.swf.service.v2.model",
}
_FRAME_NAMESPACE = "com.amazon.coral.service"
# In those services, what the frame around them answers.
_FRAME_NAMESPACES = {
    "ValidationException": "com.amazon.coral.validate",
    **dict.fromkeys(
        ("AccessDeniedException", "InvalidParameterValueException", "MissingRequiredParameterException"),
        _FRAME_NAMESPACE,
    ),
}


class Fault(NamedTuple):
    """An error, looked up in its service's model."""

    # The shape's name, or the code where the service has no shape for it.
    name: str
    # What query, XML and `x-amzn-query-error` show.
    code: str
    status: int
    # "Sender" or "Receiver".
    type: str
    message: str
    shape: Shape | None
    # All members of the shape, the message among them under the shape's own name for it.
    members: dict[str, Any]


def look_up(model: ServiceModel, error: AWSError) -> Fault:
    modelled = model.error(error.code)
    server = error.fault == "server" or (modelled is not None and modelled.fault)
    status = error.status or (modelled.status if modelled else None) or (500 if server else 400)
    kind = "Receiver" if status >= 500 else "Sender"
    if modelled is None:
        return Fault(error.code, error.code, status, kind, error.message, None, error.members)
    members = dict(error.members)
    if error.message:
        for name in modelled.shape.members:
            if name.lower() == "message":
                members.setdefault(name, error.message)
                break
    return Fault(modelled.name, modelled.code, status, kind, error.message, modelled.shape, members)


def type_name(model: ServiceModel, fault: Fault) -> str:
    """What JSON and CBOR answers have under `__type`."""
    namespace = _NAMESPACES.get(model.name)
    if namespace is None:
        return fault.name
    if fault.shape is None or fault.name in _FRAME_NAMESPACES:
        namespace = _FRAME_NAMESPACES.get(fault.name, _FRAME_NAMESPACE)
    return f"{namespace}#{fault.name}"
