"""Lambda's errors, in its words. Most carry `Type: User`."""

from __future__ import annotations

from pileus.kernel.errors import AWSError


def invalid_parameter(message: str) -> AWSError:
    return AWSError("InvalidParameterValueException", message, Type="User")


def untyped_invalid_parameter(message: str) -> AWSError:
    """Some checks of AWS answer without `Type`."""
    return AWSError("InvalidParameterValueException", message, Type=None)


def not_found(message: str) -> AWSError:
    return AWSError("ResourceNotFoundException", message, Type="User")


def function_not_found(arn: str) -> AWSError:
    return not_found(f"Function not found: {arn}")


def alias_not_found(arn: str) -> AWSError:
    return not_found(f"Cannot find alias arn: {arn}")


def layer_version_not_found(arn: str) -> AWSError:
    return not_found(f"Layer version {arn} does not exist.")


def conflict(message: str) -> AWSError:
    return AWSError("ResourceConflictException", message, Type="User")


def function_exists(name: str) -> AWSError:
    return conflict(f"Function already exist: {name}")


def update_in_progress(arn: str) -> AWSError:
    return conflict(f"The operation cannot be performed at this time. An update is in progress for resource: {arn}")


def in_state(state: str) -> AWSError:
    return conflict(
        f"The operation cannot be performed at this time. The function is currently in the following state: {state}"
    )


def resource_pending(arn: str) -> AWSError:
    return resource_in_state(arn, "Pending", "Creating")


def resource_in_state(arn: str, state: str, reason_code: str) -> AWSError:
    return conflict(
        f"The operation cannot be performed at this time. The resource {arn} is currently in the following state: "
        f"'{state}'. StateReasonCode: '{reason_code}'"
    )


def statement_exists(sid: str) -> AWSError:
    return conflict(
        f"The statement id ({sid}) provided already exists. Please provide a new statement id, or remove the existing "
        "statement."
    )


def revision_mismatch(calls: str = "GetFunction/GetAlias") -> AWSError:
    return AWSError(
        "PreconditionFailedException",
        "The Revision Id provided does not match the latest Revision Id. "
        f"Call the {calls} API to retrieve the latest Revision Id",
        Type="User",
    )


def access_denied() -> AWSError:
    """Another account's function where only one's own counts: AWS says no more than this, a message that is null."""
    return AWSError("AccessDeniedException", status=403, Message=None)


def too_large(message: str) -> AWSError:
    return AWSError("RequestEntityTooLargeException", message, status=413, Type=None)


def payload_too_large(limit_bytes: int, operation: str) -> AWSError:
    return AWSError(
        "RequestTooLargeException",
        f"Request must be smaller than {limit_bytes} bytes for the {operation} operation",
        status=413,
        Type="User",
    )


def throttled(reason: str) -> AWSError:
    return AWSError("TooManyRequestsException", "Rate Exceeded.", status=429, Reason=reason, Type="User")


def recursive() -> AWSError:
    return AWSError(
        "RecursiveInvocationException",
        "Lambda has detected your function being invoked in a recursive loop with other Amazon Web Services resources "
        "and stopped your function's invocation.",
        Type="User",
    )


def runtime_not_here(runtime: str, reason: str) -> AWSError:
    """A function that AWS could run and this machine cannot."""
    return AWSError(
        "InvalidRuntimeException",
        f"The runtime or runtime version specified is not supported: {runtime} ({reason}).",
        status=502,
        fault="server",
        Type="Service",
    )


def bad_zip() -> AWSError:
    return invalid_parameter("Could not unzip uploaded file. Please check your file, then try to upload again.")


def empty_zip() -> AWSError:
    return invalid_parameter("Uploaded file must be a non-empty zip")


def unzipped_too_large(limit_bytes: int) -> AWSError:
    return invalid_parameter(f"Unzipped size must be smaller than {limit_bytes} bytes")


def role_not_assumable() -> AWSError:
    return invalid_parameter("The role defined for the function cannot be assumed by Lambda.")


def snapshot_not_ready() -> AWSError:
    return AWSError(
        "SnapStartNotReadyException",
        "Lambda is initializing your function. It will be ready to invoke once your function state becomes ACTIVE.",
        status=409,
        Type="User",
    )


def not_restored() -> AWSError:
    return AWSError(
        "SnapStartException",
        "The afterRestore() runtime hook encountered an error. For more information, check the Amazon CloudWatch logs.",
        Type="User",
    )


def restore_timed_out() -> AWSError:
    return AWSError(
        "SnapStartTimeoutException",
        "Lambda couldn't restore the snapshot within the timeout limit.",
        status=408,
        Type="User",
    )


def not_for_snap_start(what: str) -> AWSError:
    return invalid_parameter(f"{what} is not supported for SnapStart enabled functions.")
