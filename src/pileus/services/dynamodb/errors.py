"""DynamoDB's errors, in AWS's wording."""

from __future__ import annotations

from typing import Any

from pileus.kernel.errors import AWSError


def validation(message: str) -> AWSError:
    return AWSError("ValidationException", message)


def invalid(message: str) -> AWSError:
    """A `ValidationException` with the prefix that most of them have."""
    return AWSError("ValidationException", f"One or more parameter values were invalid: {message}")


def constraint(value: str, member: str, rule: str) -> AWSError:
    """A broken constraint of a member, worded as AWS words the modelled ones."""
    return AWSError(
        "ValidationException",
        f"1 validation error detected: Value '{value}' at '{member}' failed to satisfy constraint: {rule}",
    )


def no_resource() -> AWSError:
    """What item operations answer for a table or index that is not there."""
    return AWSError("ResourceNotFoundException", "Requested resource not found")


def no_table(name: str) -> AWSError:
    """What table operations answer for a table that is not there."""
    return AWSError("ResourceNotFoundException", f"Requested resource not found: Table: {name} not found")


def no_arn(arn: str) -> AWSError:
    return AWSError("ResourceNotFoundException", f"Requested resource not found: ResourcArn: {arn} not found")


def table_exists(name: str) -> AWSError:
    return AWSError("ResourceInUseException", f"Table already exists: {name}")


def condition_failed(item: Any | None = None) -> AWSError:
    """`item`: what the item was, where the caller asked for it."""
    members = {} if item is None else {"Item": item}
    return AWSError("ConditionalCheckFailedException", "The conditional request failed", **members)


def duplicate_item() -> AWSError:
    return AWSError("DuplicateItemException", "Duplicate primary key exists in table")


def no_stream(arn: str) -> AWSError:
    return AWSError("ResourceNotFoundException", f"Requested resource not found: Stream: {arn} not found")


def no_shard() -> AWSError:
    return AWSError("ResourceNotFoundException", "Requested resource not found: Shard does not exist")


def expired_iterator() -> AWSError:
    return AWSError("ExpiredIteratorException", "Shard iterator has expired")


def trimmed() -> AWSError:
    return AWSError("TrimmedDataAccessException", "The data you are trying to access has been trimmed")


KEY_MISMATCH = "The provided key element does not match the schema"


def key_mismatch() -> AWSError:
    return validation(KEY_MISMATCH)


def expression(kind: str, message: str) -> AWSError:
    """An error of an expression; `kind` is the request's member ("UpdateExpression")."""
    return AWSError("ValidationException", f"Invalid {kind}: {message}")
