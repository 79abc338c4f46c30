"""Amazon MQ's errors."""

from __future__ import annotations

from pileus.kernel.errors import AWSError


def bad_request(message: str, attribute: str) -> AWSError:
    return AWSError("BadRequestException", message, ErrorAttribute=attribute)


def no_broker(id: str) -> AWSError:
    return AWSError(
        "NotFoundException",
        f"Can't find requested broker [{id}]. Make sure your broker exists.",
        status=404,
        ErrorAttribute="broker-id",
    )


def no_resource(arn: str) -> AWSError:
    return AWSError(
        "NotFoundException",
        f"Can't find requested resource [{arn}]. Make sure your resource exists.",
        status=404,
        ErrorAttribute="resource-arn",
    )


def exists(name: str) -> AWSError:
    return AWSError(
        "ConflictException",
        f"Broker name [{name}] is already in use. Choose another name.",
        status=409,
        ErrorAttribute="brokerName",
    )
