"""EventBridge's errors, in its words."""

from __future__ import annotations

from pileus.kernel.errors import AWSError


def invalid(message: str) -> AWSError:
    return AWSError("ValidationException", message)


def not_found(message: str) -> AWSError:
    return AWSError("ResourceNotFoundException", message)


def no_bus(name: str) -> AWSError:
    return not_found(f"Event bus {name} does not exist.")


def no_rule(name: str, bus: str) -> AWSError:
    return not_found(f"Rule {name} does not exist on EventBus {bus}.")


def no_source(name: str) -> AWSError:
    return not_found(f"Event source {name} does not exist.")


def bad_state(message: str) -> AWSError:
    return AWSError("InvalidStateException", message)


def no_archive(name: str) -> AWSError:
    return not_found(f"Archive {name} does not exist.")


def no_replay(name: str) -> AWSError:
    return not_found(f"Replay {name} does not exist.")


def no_connection(name: str) -> AWSError:
    return not_found(f"Failed to describe the connection(s). Connection '{name}' does not exist.")


def no_api_destination(name: str) -> AWSError:
    return not_found(f"Failed to describe the api-destination(s). An api-destination '{name}' does not exist.")


def no_endpoint(name: str) -> AWSError:
    return not_found(f"Endpoint {name} does not exist.")


def concurrent(message: str) -> AWSError:
    return AWSError("ConcurrentModificationException", message)


def exists(what: str) -> AWSError:
    return AWSError("ResourceAlreadyExistsException", f"{what} already exists.")


def bad_pattern(reason: object) -> AWSError:
    return AWSError("InvalidEventPatternException", f"Event pattern is not valid. Reason: {reason}")


def managed(rule: str) -> AWSError:
    return AWSError(
        "ManagedRuleException", f"Rule {rule} is managed by an AWS service and can only be changed by that service."
    )


def too_many() -> AWSError:
    return AWSError("LimitExceededException", "The requested resource exceeds the maximum number allowed.")


def bad_token() -> AWSError:
    return invalid("Parameter NextToken is not valid.")
