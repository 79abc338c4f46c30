"""EventBridge Pipes' errors, in its words."""

from __future__ import annotations

from pileus.kernel.errors import AWSError


def invalid(message: str) -> AWSError:
    return AWSError("ValidationException", message)


def no_pipe(name: str) -> AWSError:
    return AWSError("NotFoundException", f"Pipe {name} does not exist.")


def exists(name: str, arn: str) -> AWSError:
    return AWSError("ConflictException", f"Pipe {name} already exists.", resourceId=arn, resourceType="PIPE")


def in_state(name: str, state: str, arn: str) -> AWSError:
    return AWSError("ConflictException", f"Pipe {name} is in state {state}.", resourceId=arn, resourceType="PIPE")
