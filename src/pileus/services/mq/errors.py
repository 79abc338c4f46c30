"""Amazon MQ's errors."""

from __future__ import annotations

from pileus.kernel.errors import AWSError


def bad_request(message: str, attribute: str) -> AWSError:
    return AWSError("BadRequestException", message, ErrorAttribute=attribute)


def not_found(kind: str, name: str) -> AWSError:
    """`kind`: broker (by its id), resource (by its ARN)."""
    return AWSError(
        "NotFoundException",
        f"Can't find requested {kind} [{name}]. Make sure your {kind} exists.",
        status=404,
        ErrorAttribute="broker-id" if kind == "broker" else "resource-arn",
    )


def exists(name: str) -> AWSError:
    return AWSError(
        "ConflictException",
        f"Broker name [{name}] is already in use. Choose another name.",
        status=409,
        ErrorAttribute="brokerName",
    )
