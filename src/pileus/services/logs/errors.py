"""CloudWatch Logs' errors, in its words."""

from __future__ import annotations

from pileus.kernel.errors import AWSError


def invalid(message: str) -> AWSError:
    return AWSError("InvalidParameterException", message)


def no_group() -> AWSError:
    return AWSError("ResourceNotFoundException", "The specified log group does not exist.")


def no_stream() -> AWSError:
    return AWSError("ResourceNotFoundException", "The specified log stream does not exist.")


def no_resource() -> AWSError:
    return AWSError("ResourceNotFoundException", "The specified resource does not exist.")


def group_exists() -> AWSError:
    return AWSError("ResourceAlreadyExistsException", "The specified log group already exists")


def stream_exists() -> AWSError:
    return AWSError("ResourceAlreadyExistsException", "The specified log stream already exists")


def name_and_identifier() -> AWSError:
    return AWSError("ValidationException", "LogGroup name and LogGroup ARN are mutually exclusive parameters.")


def bad_token() -> AWSError:
    return invalid("The specified nextToken is invalid.")


def name_too_long() -> AWSError:
    return invalid("Invalid LogGroup or LogStream, both must have length less than or equal to 512.")


def protected() -> AWSError:
    return AWSError(
        "ValidationException",
        "Deletion protection is enabled for this log group. Disable deletion protection before deleting the log group.",
    )
