"""SQS's errors, in its words."""

from __future__ import annotations

from pileus.cloud.context import Context
from pileus.kernel.errors import AWSError


def invalid(message: str) -> AWSError:
    return AWSError("InvalidParameterValueException", message)


def invalid_value(value: object, parameter: str, reason: str) -> AWSError:
    return invalid(f"Value {value} for parameter {parameter} is invalid. Reason: {reason}")


def missing(parameter: str) -> AWSError:
    return AWSError("MissingRequiredParameterException", f"The request must contain the parameter {parameter}.")


def no_queue(ctx: Context) -> AWSError:
    """The JSON and the query protocol say it differently."""
    query = bool(ctx.http.method) and "x-amz-target" not in ctx.http.headers
    version = " for this wsdl version" if query else ""
    return AWSError("QueueDoesNotExist", f"The specified queue does not exist{version}.")


def bad_address(url: str) -> AWSError:
    return AWSError("InvalidAddress", f"The address {url} is not valid for this endpoint.")


def queue_exists(difference: str) -> AWSError:
    return AWSError("QueueNameExists", f"A queue already exists with the same name and {difference}")


def unknown_attribute(name: str) -> AWSError:
    return AWSError("InvalidAttributeName", f"Unknown Attribute {name}.")


def attribute_name(message: str) -> AWSError:
    return AWSError("InvalidAttributeName", message)


def attribute_value(name: str, reason: str = "") -> AWSError:
    return AWSError(
        "InvalidAttributeValue",
        f"Invalid value for the parameter {name}." + (f" Reason: {reason}" if reason else ""),
    )


def purge_in_progress(name: str) -> AWSError:
    return AWSError("PurgeQueueInProgress", f"Only one PurgeQueue operation on {name} is allowed every 60 seconds.")


def empty_batch(entry: str) -> AWSError:
    return AWSError("EmptyBatchRequest", f"There should be at least one {entry} in the request.")


def too_many_entries(count: int) -> AWSError:
    return AWSError(
        "TooManyEntriesInBatchRequest", f"Maximum number of entries per request are 10. You have sent {count}."
    )


def bad_entry_id() -> AWSError:
    return AWSError(
        "InvalidBatchEntryId",
        "A batch entry id can only contain alphanumeric characters, hyphens and underscores. "
        "It can be at most 80 letters long.",
    )


def repeated_entry_id(entry_id: str) -> AWSError:
    return AWSError("BatchEntryIdsNotDistinct", f"Id {entry_id} repeated.")


def batch_too_long(limit: int, sent: int) -> AWSError:
    return AWSError(
        "BatchRequestTooLong",
        f"Batch requests cannot be longer than {limit} bytes. You have sent {sent} bytes.",
    )


def too_long(limit: int) -> AWSError:
    return invalid(f"One or more parameters are invalid. Reason: Message must be shorter than {limit} bytes.")


def entry_too_long(limit: int) -> AWSError:
    """Of a batch's entry AWS says it otherwise."""
    return invalid(f"One or more parameters cannot be validated. Reason: Message must be shorter than {limit} bytes.")


def bad_character(character: str, where: str) -> AWSError:
    return AWSError(
        "InvalidMessageContents",
        f"Invalid binary character '#x{ord(character):X}' was found in the {where}, the set of allowed characters is "
        "#x9 | #xA | #xD | [#x20-#xD7FF] | [#xE000-#xFFFD] | [#x10000-#x10FFFF].",
    )


def bad_handle(handle: str) -> AWSError:
    return AWSError("ReceiptHandleIsInvalid", f'The input receipt handle "{handle}" is not a valid receipt handle.')


def other_handle(handle: str) -> AWSError:
    """A receipt handle of another queue."""
    return AWSError("ReceiptHandleIsInvalid", f'The receipt handle "{handle}" is not valid for this queue.')


def expired_handle(handle: str) -> AWSError:
    return invalid_value(handle, "ReceiptHandle", "The receipt handle has expired.")


def not_available(handle: str) -> AWSError:
    return invalid_value(
        handle, "ReceiptHandle", "Message does not exist or is not available for visibility timeout change."
    )


def attempt_over(attempt_id: str) -> AWSError:
    return invalid_value(
        attempt_id,
        "ReceiveRequestAttemptId",
        "The receiveRequestAttemptId is not valid anymore since the receive call is not retryable.",
    )


def too_many_in_flight() -> AWSError:
    return AWSError(
        "OverLimit",
        "Too many messages have been received without being deleted.\n"
        "Please delete your received messages or let them timeout before receiving more.",
    )


def policy_too_large() -> AWSError:
    return AWSError("OverLimit", "Submitted policy is over max allowed size.")


def policy_over_limit(found: str, limit: int) -> AWSError:
    """`found`: what there is too much of, and where: "21 statements were found in"."""
    return AWSError("OverLimit", f"{found} the submitted policy, max allowed is {limit}")


def bad_task_handle() -> AWSError:
    return invalid("Value for parameter TaskHandle is invalid.")


def no_task() -> AWSError:
    return AWSError("ResourceNotFoundException", "Task does not exist.")


def no_resource(parameter: str) -> AWSError:
    return AWSError(
        "ResourceNotFoundException",
        f"The resource that you specified for the {parameter} parameter doesn't exist.",
    )


def not_a_dead_letter_queue() -> AWSError:
    return invalid("Source queue must be configured as a Dead Letter Queue.")


def task_running() -> AWSError:
    return invalid(
        "There is already a task running. Only one active task is allowed for a source queue arn at a given time."
    )
