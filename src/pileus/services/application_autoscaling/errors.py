"""Application Auto Scaling's errors, in AWS's wording."""

from __future__ import annotations

from pileus.kernel.errors import AWSError


def invalid(message: str) -> AWSError:
    return AWSError("ValidationException", message)


def unsupported() -> AWSError:
    return invalid("Unsupported service namespace, resource type or scalable dimension")


def not_found(message: str) -> AWSError:
    return AWSError("ObjectNotFoundException", message)


def no_target(target: object) -> AWSError:
    return not_found(f"No scalable target found for {target}")


def not_registered(target: object) -> AWSError:
    return not_found(f"No scalable target registered for {target}")


def no_resource(arn: str) -> AWSError:
    return AWSError("ResourceNotFoundException", f"The specified resource doesn't exist: {arn}", ResourceName=arn)


def bad_token() -> AWSError:
    return AWSError("InvalidNextTokenException", "The next token is invalid.")
