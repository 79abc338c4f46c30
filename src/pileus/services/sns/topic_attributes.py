"""What topics may be set to, and how it is shown.

Sources: CreateTopic, SetTopicAttributes, GetTopicAttributes of the API reference; recorded answers.
"""

from __future__ import annotations

from collections.abc import Callable

import orjson

from pileus.kernel.errors import AWSError
from pileus.services.sns import content, delivery_policies, errors, policies
from pileus.services.sns.delivery_policies import InvalidDeliveryPolicy
from pileus.services.sns.envelopes import shown_time
from pileus.services.sns.feedback_settings import is_percentage, is_role
from pileus.services.sns.records import Counts, Topic
from pileus.services.sns.topics import Live

DISPLAY_NAME_CHARS_MAX = 100
ARCHIVE_DAYS_MAX = 365
# What MaximumMessageSize may be.
MESSAGE_BYTES = (1024, 1024 * 1024)
# Shown beside an archive policy.
ARCHIVED_SINCE = "BeginningArchiveTime"
_FEEDBACK = ("Application", "Firehose", "HTTP", "Lambda", "SQS")
_BOOLEANS = ("true", "false")


def _display_name(value: str) -> str:
    if len(value) > DISPLAY_NAME_CHARS_MAX:
        raise errors.invalid("DisplayName")
    return value


def _policy(value: str) -> str:
    return orjson.dumps(policies.check(value)).decode()


def _delivery_policy(value: str) -> str:
    if not value:
        return ""
    try:
        return orjson.dumps(delivery_policies.check_topic(value)).decode()
    except InvalidDeliveryPolicy as error:
        raise errors.invalid(f"DeliveryPolicy: {error}") from None


def _one_of(name: str, *allowed: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if value.lower() in _BOOLEANS and allowed == _BOOLEANS:
            return value.lower()
        if value not in allowed:
            raise errors.invalid(f"{name}: Invalid value [{value}]. Must be {' or '.join(allowed)}.")
        return value

    return check


def _role(name: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if value and not is_role(value):
            raise errors.invalid(f"{name}: {value} is not a valid role ARN")
        return value

    return check


def _rate(name: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if value and not is_percentage(value):
            raise errors.invalid(f"{name}: must be an integer between 0 and 100")
        return value

    return check


def _message_size(value: str) -> str:
    least, most = MESSAGE_BYTES
    if not (value.isascii() and value.isdigit() and len(value) <= 7 and least <= int(value) <= most):
        raise errors.invalid(f"MaximumMessageSize: Invalid value [{value}]. Must be between {least} and {most}.")
    return str(int(value))


def _archive(value: str) -> str:
    if not value or value == "{}":
        return ""
    try:
        policy = orjson.loads(value)
        days = int(policy["MessageRetentionPeriod"])
    except (ValueError, TypeError, KeyError):
        raise errors.invalid("ArchivePolicy: MessageRetentionPeriod must be an integer number of days") from None
    if not 1 <= days <= ARCHIVE_DAYS_MAX or len(policy) != 1:
        raise errors.invalid(f"ArchivePolicy: MessageRetentionPeriod must be between 1 and {ARCHIVE_DAYS_MAX}")
    return orjson.dumps(policy).decode()


_CHECKS: dict[str, Callable[[str], str]] = {
    "DisplayName": _display_name,
    "Policy": _policy,
    "DeliveryPolicy": _delivery_policy,
    "KmsMasterKeyId": lambda value: value,
    "MaximumMessageSize": _message_size,
    "SignatureVersion": _one_of("SignatureVersion", "1", "2"),
    "TracingConfig": _one_of("TracingConfig", "PassThrough", "Active"),
    **{
        name: check(name)
        for kind in _FEEDBACK
        for name, check in (
            (f"{kind}SuccessFeedbackRoleArn", _role),
            (f"{kind}SuccessFeedbackSampleRate", _rate),
            (f"{kind}FailureFeedbackRoleArn", _role),
        )
    },
}
_FIFO_CHECKS: dict[str, Callable[[str], str]] = {
    "ContentBasedDeduplication": _one_of("ContentBasedDeduplication", *_BOOLEANS),
    "FifoThroughputScope": _one_of("FifoThroughputScope", "Topic", "MessageGroup"),
    "ArchivePolicy": _archive,
}
# Set to nothing they are as if never set.
_UNSET_EMPTY = frozenset(name for name in _CHECKS if name not in ("DisplayName", "Policy")) | {"ArchivePolicy"}


def check_new(given: dict[str, str], *, fifo: bool) -> dict[str, str]:
    """The attributes of a new topic as they are kept."""
    values: dict[str, str] = {}
    for name, value in given.items():
        if name == "FifoTopic":
            continue
        if name not in _CHECKS and name not in _FIFO_CHECKS:
            raise errors.invalid_reason("Attributes", f"Unknown attribute {name}")
        try:
            values = with_one(values, name, value, fifo=fifo)
        except AWSError as error:
            prefix = "Invalid parameter: "
            if name == "Policy" or not error.message.startswith(prefix):
                raise
            raise errors.invalid_reason("Attributes", error.message.removeprefix(prefix)) from None
    return values


def with_one(values: dict[str, str], name: str, value: str, *, fifo: bool) -> dict[str, str]:
    """`values` with one attribute set. Raises InvalidParameter."""
    check = _CHECKS.get(name)
    if check is None:
        check = _FIFO_CHECKS.get(name)
        if check is None:
            raise errors.invalid("AttributeName")
        if not fifo:
            if name == "ContentBasedDeduplication":
                raise errors.invalid("Content-based deduplication can only be set for FIFO topics")
            raise errors.invalid(f"{name} can only be set for FIFO topics")
    kept = {key: one for key, one in values.items() if key != name}
    if not value and name in _UNSET_EMPTY:
        return kept
    checked = check(value)
    return {**kept, name: checked} if checked or name == "DisplayName" else kept


def is_same(given: dict[str, str], record: Topic) -> bool:
    """Whether a topic that is there has all of the attributes that are asked for."""
    checked = check_new(given, fifo=record.fifo)
    defaults = {
        "DisplayName": "",
        "MaximumMessageSize": str(content.MESSAGE_BYTES_MAX),
        "ContentBasedDeduplication": "false",
        "FifoThroughputScope": "Topic",
    }
    return all(record.attributes.get(name, defaults.get(name)) == value for name, value in checked.items())


def show(topic: Live, counts: Counts, *, now: float) -> dict[str, str]:
    record, at = topic.record, topic.at
    policy = record.attributes.get("DeliveryPolicy")
    effective = delivery_policies.effective_topic(orjson.loads(policy) if policy else None)
    shown = {
        "Policy": orjson.dumps(policies.default(at.arn, at.account)).decode(),
        "Owner": at.account,
        "SubscriptionsPending": str(counts.pending),
        "TopicArn": at.arn,
        "EffectiveDeliveryPolicy": orjson.dumps(effective).decode(),
        "SubscriptionsConfirmed": str(counts.confirmed),
        "DisplayName": "",
        "SubscriptionsDeleted": str(counts.deleted),
    }
    if topic.fifo:
        shown |= {"FifoTopic": "true", "ContentBasedDeduplication": "false"}
    shown |= record.attributes
    if "ArchivePolicy" in shown:
        days = int(orjson.loads(shown["ArchivePolicy"])["MessageRetentionPeriod"])
        # What is older than messages are kept is gone.
        shown[ARCHIVED_SINCE] = max(shown[ARCHIVED_SINCE], shown_time(now - days * 86400))
    return shown
