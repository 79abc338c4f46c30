"""EventBridge Schemas' errors."""

from __future__ import annotations

from pileus.kernel.errors import AWSError


def bad_request(message: str) -> AWSError:
    return AWSError("BadRequestException", message, Code="BadRequest")


def not_found(message: str) -> AWSError:
    return AWSError("NotFoundException", message, status=404, Code="NotFound")


def no_registry(name: str) -> AWSError:
    return not_found(f"Registry with name {name} does not exist.")


def no_schema(name: str) -> AWSError:
    return not_found(f"Schema with name {name} does not exist.")


def no_version(name: str, version: str) -> AWSError:
    return not_found(f"Schema with name {name} and version {version} does not exist.")


def no_discoverer(id: str) -> AWSError:
    return not_found(f"Discoverer with id {id} does not exist.")


def exists(message: str) -> AWSError:
    return AWSError("ConflictException", message, status=409, Code="Conflict")
