"""AWS STS's errors in AWS's words."""

from __future__ import annotations

from pileus.kernel.errors import AWSError


def validation_error(message: str) -> AWSError:
    return AWSError("ValidationError", message, status=400)


def access_denied(message: str) -> AWSError:
    return AWSError("AccessDenied", message, status=403)


def not_authorized(who: str, action: str, resource: str) -> AWSError:
    """STS does not tell which policy was missing: the one that was may be another account's."""
    return access_denied(f"User: {who} is not authorized to perform: {action} on resource: {resource}")


def invalid_parameter(message: str) -> AWSError:
    return AWSError("InvalidParameterValue", message, status=400)


def malformed_policy(message: str) -> AWSError:
    return AWSError("MalformedPolicyDocument", message, status=400)


def packed_policy_too_large(percent: int) -> AWSError:
    return AWSError(
        "PackedPolicyTooLarge",
        f"Packed policy consumes {percent}% of allotted space, please use smaller policy.",
        status=400,
    )
