"""EventBridge Scheduler's errors, in its words."""

from __future__ import annotations

from pileus.kernel.errors import AWSError


def invalid(message: str) -> AWSError:
    return AWSError("ValidationException", message)


def no_schedule(name: str) -> AWSError:
    return AWSError("ResourceNotFoundException", f"Schedule {name} does not exist.")


def no_group(name: str) -> AWSError:
    return AWSError("ResourceNotFoundException", f"Schedule group {name} does not exist.")


def schedule_exists(name: str) -> AWSError:
    return AWSError("ConflictException", f"Schedule {name} already exists.")


def group_exists(name: str) -> AWSError:
    return AWSError("ConflictException", f"Schedule group {name} already exists.")


def bad_token() -> AWSError:
    return invalid("Invalid nextToken.")
