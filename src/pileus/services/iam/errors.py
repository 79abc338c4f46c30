"""IAM's errors in AWS's words."""

from __future__ import annotations

from pileus.kernel.errors import AWSError


def no_such_entity(message: str) -> AWSError:
    return AWSError("NoSuchEntity", message, status=404)


def not_found(kind: str, name: str) -> AWSError:
    """A user, group, role or instance profile that is not there."""
    if kind == "instance-profile":
        return no_such_entity(f"Instance Profile {name} cannot be found.")
    return no_such_entity(f"The {kind} with name {name} cannot be found.")


def inline_policy_not_found(kind: str, name: str) -> AWSError:
    return no_such_entity(f"The {kind} policy with name {name} cannot be found.")


def policy_not_found(arn: str) -> AWSError:
    return no_such_entity(f"Policy {arn} was not found.")


def policy_not_attachable(arn: str) -> AWSError:
    return no_such_entity(f"Policy {arn} does not exist or is not attachable.")


def policy_version_not_found(arn: str, version: str) -> AWSError:
    return no_such_entity(f"Policy {arn} version {version} does not exist or is not attachable.")


def access_key_not_found(id: str) -> AWSError:
    return no_such_entity(f"The Access Key with id {id} cannot be found.")


def already_exists(message: str) -> AWSError:
    return AWSError("EntityAlreadyExists", message, status=409)


def delete_conflict(message: str) -> AWSError:
    return AWSError("DeleteConflict", message, status=409)


def limit_exceeded(message: str) -> AWSError:
    return AWSError("LimitExceeded", message, status=409)


def quota_exceeded(quota: str, limit: int) -> AWSError:
    return limit_exceeded(f"Cannot exceed quota for {quota}: {limit}")


def malformed_policy(message: str) -> AWSError:
    return AWSError("MalformedPolicyDocument", message, status=400)


def invalid_input(message: str) -> AWSError:
    return AWSError("InvalidInput", message, status=400)


def validation_error(message: str) -> AWSError:
    return AWSError("ValidationError", message, status=400)


def unmodifiable(role: str) -> AWSError:
    """A service-linked role."""
    message = f"Cannot perform the operation on the protected role '{role}' - this role is only modifiable by AWS"
    return AWSError("UnmodifiableEntity", message, status=400)
