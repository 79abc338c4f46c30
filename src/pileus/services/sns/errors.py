"""SNS's errors, in its words."""

from __future__ import annotations

from pileus.kernel.errors import AWSError


def bad(message: str) -> AWSError:
    return AWSError("InvalidParameterException", message)


def invalid(what: str) -> AWSError:
    return bad(f"Invalid parameter: {what}")


def invalid_reason(parameter: str, reason: str) -> AWSError:
    return invalid(f"{parameter} Reason: {reason}")


def no_value(parameter: str) -> AWSError:
    return invalid_reason(parameter, "no value for required parameter")


def bad_value(message: str) -> AWSError:
    return AWSError("InvalidParameterValueException", message)


def not_found(message: str) -> AWSError:
    return AWSError("NotFoundException", message)


def no_topic() -> AWSError:
    return not_found("Topic does not exist")


def no_subscription() -> AWSError:
    return not_found("Subscription does not exist")


def no_application() -> AWSError:
    return not_found("PlatformApplication does not exist")


def no_endpoint() -> AWSError:
    return not_found("Endpoint does not exist")


def no_resource() -> AWSError:
    return AWSError("ResourceNotFoundException", "Resource does not exist")


def not_authorized(message: str) -> AWSError:
    return AWSError("AuthorizationErrorException", message)


def too_many_tags() -> AWSError:
    return AWSError("TagLimitExceededException", "Could not complete request: tag quota of per resource exceeded")


def too_many_topics() -> AWSError:
    return AWSError("TopicLimitExceededException", "The customer already owns the maximum allowed number of topics")


def too_many_subscriptions() -> AWSError:
    return AWSError(
        "SubscriptionLimitExceededException", "The customer already owns the maximum allowed number of subscriptions"
    )


def too_many_filters() -> AWSError:
    return AWSError(
        "FilterPolicyLimitExceededException",
        "The number of filter policies in your Amazon Web Services account exceeds the limit",
    )


def too_many_for_large_messages(most: int) -> AWSError:
    return invalid(f"A topic with a MaximumMessageSize above 256 KiB must have {most} or fewer subscriptions")


def endpoint_for_small_messages() -> AWSError:
    return invalid(
        "Each subscription of a topic with a MaximumMessageSize above 256 KiB must be an Amazon SQS, Amazon Data "
        "Firehose, or Lambda subscription"
    )


def bad_next_token() -> AWSError:
    return invalid_reason("NextToken", "invalid token")


def application_disabled() -> AWSError:
    return AWSError("PlatformApplicationDisabledException", "Platform application is disabled")


def endpoint_disabled() -> AWSError:
    return AWSError("EndpointDisabledException", "Endpoint is disabled")


def no_number() -> AWSError:
    return AWSError("ResourceNotFoundException", "The phone number is not in the SMS sandbox")


def too_many_numbers() -> AWSError:
    return AWSError("UserErrorException", "The SMS sandbox has as many phone numbers as it may")


def opted_out() -> AWSError:
    return AWSError("OptedOutException", "The phone number has opted out of receiving SMS messages")


def wrong_password() -> AWSError:
    return AWSError("VerificationException", "The one-time password is not valid")


def archived() -> AWSError:
    return AWSError(
        "InvalidStateException", "Cannot delete a topic with an ArchivePolicy. Deactivate the archive first."
    )


def empty_batch() -> AWSError:
    return AWSError("EmptyBatchRequestException", "The batch request doesn't contain any entries.")


def too_many_entries() -> AWSError:
    return AWSError(
        "TooManyEntriesInBatchRequestException", "The batch request contains more entries than permissible."
    )


def repeated_entry_id() -> AWSError:
    return AWSError("BatchEntryIdsNotDistinctException", "Two or more batch entries in the request have the same Id.")


def entry_id_too_long(entry_id: str) -> AWSError:
    return AWSError(
        "InvalidBatchEntryIdException", f"The Id of a batch entry in the batch request is too long: {entry_id}"
    )


def bad_entry_id(entry_id: str) -> AWSError:
    return AWSError(
        "InvalidBatchEntryIdException",
        f"The Id of a batch entry in the batch request contains an impermissible character: {entry_id}",
    )


def batch_too_long() -> AWSError:
    return AWSError(
        "BatchRequestTooLongException", "The length of all the batch messages put together is more than the limit."
    )
