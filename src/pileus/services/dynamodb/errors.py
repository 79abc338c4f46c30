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


def datatypes(*, some: bool) -> AWSError:
    """For an attribute value, or a write of a batch, that is nothing, or (`some`) more than one thing."""
    return validation(
        f"Supplied AttributeValue {'has more than one datatypes set' if some else 'is empty'}, "
        "must contain exactly one of the supported datatypes"
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


_PROVISIONED = {
    "Table": (
        "ProvisionedThroughputExceededException",
        "The level of configured provisioned throughput for the table was exceeded. Consider increasing your "
        "provisioning level with the UpdateTable API.",
    ),
    "Index": (
        "ProvisionedThroughputExceededException",
        "The level of configured provisioned throughput for one or more global secondary indexes of the table was "
        "exceeded. Consider increasing your provisioning level for the under-provisioned global secondary indexes "
        "with the UpdateTable API",
    ),
}
_MAXIMUM = (
    "ThrottlingException",
    "Throughput exceeds the maximum OnDemandThroughput configured on table or index.",
)
_QUOTA = (
    "RequestLimitExceeded",
    "Throughput exceeds the current throughput limit for your account. Please contact AWS Support at "
    "https://aws.amazon.com/support to request a limit increase.",
)
_ON_DEMAND = {
    ("Table", "MaxOnDemandThroughputExceeded"): _MAXIMUM,
    ("Index", "MaxOnDemandThroughputExceeded"): _MAXIMUM,
    ("Table", "AccountLimitExceeded"): _QUOTA,
    ("Index", "AccountLimitExceeded"): _QUOTA,
    ("Table", "KeyRangeThroughputExceeded"): (
        "ThrottlingException",
        "Throughput exceeds the current capacity of your table or index. DynamoDB is automatically scaling your table "
        "or index so please try again shortly. If exceptions persist, check if you have a hot key: "
        "https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html",
    ),
    ("Index", "KeyRangeThroughputExceeded"): (
        "ThrottlingException",
        "Throughput exceeds the current capacity for one or more global secondary indexes. DynamoDB is automatically "
        "scaling your index so please try again shortly.",
    ),
}


def throttled(what: str, limit: str, arn: str, *, on_demand: bool) -> AWSError:
    """`what`: Table or Index, Read or Write; `limit` as ThrottlingReason has it; `arn` that of what is at its limit."""
    code, message = _ON_DEMAND[what[:5], limit] if on_demand else _PROVISIONED[what[:5]]
    reasons = [{"reason": what + limit, "resource": arn}]
    if code == "ThrottlingException":
        return AWSError(code, message, throttlingReasons=reasons)
    return AWSError(code, message, ThrottlingReasons=reasons)


def is_throttled(error: AWSError) -> bool:
    """Whether the same call may go through later."""
    return "ThrottlingReasons" in error.members or "throttlingReasons" in error.members


def limit_exceeded(message: str) -> AWSError:
    return AWSError("LimitExceededException", f"Subscriber limit exceeded: {message}")


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
