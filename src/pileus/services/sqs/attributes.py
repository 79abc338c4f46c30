"""Queue attributes: what may be set, what a change makes of them, and how they are shown.

Sources: the API reference's pages CreateQueue, SetQueueAttributes, GetQueueAttributes; "Amazon SQS policy quotas"
(Amazon SQS Developer Guide); recorded answers of AWS.
"""

from __future__ import annotations

import re
from typing import Any

import orjson

from pileus.access.policy import PolicyError, compile_policy
from pileus.kernel.arn import parse_arn
from pileus.services.sqs import errors
from pileus.services.sqs.queues import DEFAULTS, FIFO_DEFAULTS, Live
from pileus.services.sqs.records import Counts

NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")
FIFO_NAME = re.compile(r"[A-Za-z0-9_-]{1,75}\.fifo")
RECEIVES_MAX = 1000
SOURCES_MAX = 10
# "Amazon SQS policy quotas".
POLICY_BYTES_MAX = 8192
STATEMENTS_MAX = 20
ACTIONS_MAX = 7
PRINCIPALS_MAX = 50
CONDITIONS_MAX = 10

_NUMBERS = {
    "DelaySeconds": (0, 900),
    "KmsDataKeyReusePeriodSeconds": (60, 86_400),
    "MaximumMessageSize": (1024, 1_048_576),
    "MessageRetentionPeriod": (60, 1_209_600),
    "ReceiveMessageWaitTimeSeconds": (0, 20),
    "VisibilityTimeout": (0, 43_200),
}
_BOOLEANS = ("ContentBasedDeduplication", "FifoQueue", "SqsManagedSseEnabled")
_FIFO_ONLY = {"DeduplicationScope": ("queue", "messageGroup"), "FifoThroughputLimit": ("perQueue", "perMessageGroupId")}
_COUNTED = (
    "ApproximateNumberOfMessages",
    "ApproximateNumberOfMessagesNotVisible",
    "ApproximateNumberOfMessagesDelayed",
)
_FIXED = ("QueueArn", "CreatedTimestamp", "LastModifiedTimestamp", *_COUNTED)
SETTABLE = (
    *_NUMBERS,
    *_BOOLEANS,
    *_FIFO_ONLY,
    "KmsMasterKeyId",
    "Policy",
    "RedriveAllowPolicy",
    "RedrivePolicy",
)
_BOTH_ENCRYPTIONS = (
    "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE."
)


def check_name(name: str, attributes: dict[str, str]) -> bool:
    """Whether the name and attributes of a new queue make it a FIFO queue. Raises what is wrong with them."""
    wants_fifo = attributes.get("FifoQueue") == "true"
    if wants_fifo and not FIFO_NAME.fullmatch(name):
        raise errors.invalid(
            "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end "
            "with .fifo suffix and be 1 to 80 in length."
        )
    if not wants_fifo and not NAME.fullmatch(name):
        raise errors.invalid("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
    return wants_fifo


def check(given: dict[str, str], current: dict[str, str], *, fifo: bool, arn: str, new: bool) -> dict[str, str]:
    """The attributes of a queue once `given` is set; `current` are those it has. Raises what is wrong with them."""
    attributes = dict(current)
    for name, value in given.items():
        if name not in SETTABLE:
            raise errors.unknown_attribute(name)
        _check_type(name, value, fifo=fifo, new=new)
        if value == "" or (name in DEFAULTS and value == DEFAULTS[name]):
            attributes.pop(name, None)
        elif name != "FifoQueue":
            attributes[name] = _checked(name, value, arn)
    _check_encryption(given, attributes)
    limit, scope = attributes.get("FifoThroughputLimit"), attributes.get("DeduplicationScope")
    if limit == "perMessageGroupId" and scope != "messageGroup":
        raise errors.attribute_value(
            "FifoThroughputLimit",
            "The perMessageGroupId value is allowed only when the value for DeduplicationScope is messageGroup.",
        )
    return attributes


def _checked(name: str, value: str, arn: str) -> str:
    """The value as it is kept and shown."""
    match name:
        case "Policy":
            return _policy(value)
        case "RedrivePolicy":
            return _redrive_policy(value, arn)
        case "RedriveAllowPolicy":
            return _redrive_allow_policy(value)
        case _ if name in _NUMBERS:
            return _number(name, value)
        case _ if name in _BOOLEANS:
            if value.lower() not in ("true", "false"):
                raise errors.attribute_value(name)
            return value.lower()
        case _ if name in _FIFO_ONLY and value not in _FIFO_ONLY[name]:
            raise errors.attribute_value(name)
    return value


def _check_type(name: str, value: str, *, fifo: bool, new: bool) -> None:
    """What is not for every type of queue."""
    if name == "FifoQueue":
        if not fifo:
            raise errors.unknown_attribute(name)
        if not new and value != "true":
            raise errors.attribute_value(name, "Modifying queue type is not supported.")
    elif not fifo and name == "ContentBasedDeduplication":
        raise errors.unknown_attribute(name)
    elif not fifo and name in _FIFO_ONLY:
        raise errors.attribute_name(f"You can specify the {name} only when FifoQueue is set to true.")


def _check_encryption(given: dict[str, str], attributes: dict[str, str]) -> None:
    """Keys of KMS and of SQS exclude each other; setting the one ends the other's default."""
    key, own = attributes.get("KmsMasterKeyId"), given.get("SqsManagedSseEnabled", "").lower()
    if key and own == "true":
        raise errors.attribute_name(_BOTH_ENCRYPTIONS)
    if key or ("KmsMasterKeyId" in given and own != "true"):
        attributes["SqsManagedSseEnabled"] = "false"
    if not key and "KmsMasterKeyId" in given:
        attributes.pop("KmsDataKeyReusePeriodSeconds", None)


def _number(name: str, value: str) -> str:
    low, high = _NUMBERS[name]
    if not re.fullmatch(r"\d{1,9}", value) or not low <= int(value) <= high:
        raise errors.attribute_value(name)
    return str(int(value))


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _policy(text: str) -> str:
    if len(text.encode()) > POLICY_BYTES_MAX:
        raise errors.policy_too_large()
    document = _json_object(text)
    if document is None:
        raise errors.attribute_value("Policy")
    statements = statements_of(document)
    if not statements:
        raise errors.attribute_value("Policy")
    for statement in statements:
        if not isinstance(statement, dict) or statement.get("Effect") not in ("Allow", "Deny"):
            raise errors.attribute_value("Policy")
        if not ({"Action", "NotAction"} & statement.keys() and {"Principal", "NotPrincipal"} & statement.keys()):
            raise errors.attribute_value("Policy")
    check_policy_quotas(statements)
    try:
        # What cannot be evaluated would keep everybody out, who could mend it too.
        compile_policy(document)
    except PolicyError:
        raise errors.attribute_value("Policy") from None
    return text


def statements_of(document: dict[str, Any]) -> list[Any]:
    statements = document.get("Statement", [])
    if isinstance(statements, dict):
        return [statements]
    return list(statements) if isinstance(statements, list) else []


def check_policy_quotas(statements: list[dict[str, Any]]) -> None:
    if len(statements) > STATEMENTS_MAX:
        raise errors.policy_over_limit(f"{len(statements)} statements were found in", STATEMENTS_MAX)
    principals = conditions = 0
    for statement in statements:
        actions = _many(statement.get("Action", statement.get("NotAction")))
        if actions > ACTIONS_MAX:
            raise errors.policy_over_limit(f"{actions} actions were found in a statement from", ACTIONS_MAX)
        principal = statement.get("Principal", statement.get("NotPrincipal"))
        principals += sum(map(_many, principal.values())) if isinstance(principal, dict) else 1
        tests = statement.get("Condition")
        if isinstance(tests, dict):
            conditions += sum(len(keys) for keys in tests.values() if isinstance(keys, dict))
    if principals > PRINCIPALS_MAX:
        raise errors.policy_over_limit(f"{principals} principals were found in", PRINCIPALS_MAX)
    if conditions > CONDITIONS_MAX:
        raise errors.policy_over_limit(f"{conditions} conditions were found in", CONDITIONS_MAX)


def _many(value: Any) -> int:
    """How many a policy element names: it may be one or a list."""
    return len(value) if isinstance(value, list) else 1


def _redrive_policy(text: str, arn: str) -> str:
    def invalid(reason: str) -> Exception:
        return errors.invalid_value(text, "RedrivePolicy", reason)

    document = _json_object(text)
    if document is None:
        raise invalid("Redrive policy is not a valid JSON map.")
    for name in ("maxReceiveCount", "deadLetterTargetArn"):
        if name not in document:
            raise invalid(f"Redrive policy does not contain mandatory attribute: {name}.")
    unknown = [name for name in document if name not in ("deadLetterTargetArn", "maxReceiveCount")]
    if unknown:
        raise invalid("Only following attributes are supported: [deadLetterTargetArn, maxReceiveCount].")
    target, limit = document["deadLetterTargetArn"], str(document["maxReceiveCount"])
    if not re.fullmatch(r"\d{1,6}", limit) or not 1 <= int(limit) <= RECEIVES_MAX:
        raise invalid(
            f"Invalid value for maxReceiveCount: {limit}, valid values are from 1 to {RECEIVES_MAX} both inclusive."
        )
    parsed, own = parse_arn(target) if isinstance(target, str) else None, parse_arn(arn)
    assert own is not None
    if parsed is None or parsed.service != "sqs":
        raise invalid("Invalid value for deadLetterTargetArn.")
    if (parsed.account, parsed.region) != (own.account, own.region):
        raise invalid("Dead letter target owner should be same as the source.")
    if parsed.resource.endswith(".fifo") != own.resource.endswith(".fifo"):
        raise invalid("Dead-letter queue must be same type of queue as the source.")
    return orjson.dumps({"deadLetterTargetArn": target, "maxReceiveCount": int(limit)}).decode()


def _redrive_allow_policy(text: str) -> str:
    document = _json_object(text)
    name = "RedriveAllowPolicy"
    if document is None:
        raise errors.invalid_value(text, name, "Redrive allow policy is not a valid JSON map.")
    permission, sources = document.get("redrivePermission"), document.get("sourceQueueArns")
    if permission not in ("allowAll", "denyAll", "byQueue"):
        raise errors.invalid_value(
            text, name, "RedrivePermission must be one of the following: [allowAll, denyAll, byQueue]."
        )
    if (permission == "byQueue") != (sources is not None):
        raise errors.invalid_value(
            text, name, "SourceQueueArns must be specified when and only when redrivePermission is byQueue."
        )
    if sources is not None and not (
        isinstance(sources, list) and 1 <= len(sources) <= SOURCES_MAX and all(isinstance(one, str) for one in sources)
    ):
        raise errors.invalid_value(text, name, f"SourceQueueArns must hold 1 to {SOURCES_MAX} ARNs of queues.")
    return text


def allows_redrive(target: Live, source_arn: str) -> bool:
    """Whether a dead-letter queue takes the messages of that queue."""
    document = _json_object(target.record.attributes.get("RedriveAllowPolicy", "")) or {}
    permission = document.get("redrivePermission", "allowAll")
    return permission == "allowAll" or (permission == "byQueue" and source_arn in document.get("sourceQueueArns", ()))


def differing(given: dict[str, str], queue: Live) -> str:
    """The attribute with which a queue that exists differs from one that is to be made; "" where none does."""
    wanted = check(given, {}, fifo=queue.fifo, arn=queue.arn, new=True)
    for name in given:
        if name == "FifoQueue":
            continue
        default = DEFAULTS.get(name) or (FIFO_DEFAULTS.get(name, "") if queue.fifo else "")
        if wanted.get(name, default) != (queue.record.attributes.get(name) or default):
            return name
    return ""


def show(queue: Live, counts: Counts, due: tuple[int, int], names: list[str]) -> dict[str, str]:
    """The attributes that were asked for; `due`: how many in flight and delayed have become visible uncounted."""
    wanted = set(names)
    for name in names:
        if name != "All" and name not in SETTABLE and name not in _FIXED:
            raise errors.unknown_attribute(name)
    in_flight_due, delayed_due = due
    record = queue.record
    attributes = {
        "QueueArn": queue.arn,
        "ApproximateNumberOfMessages": str(counts.visible + in_flight_due + delayed_due),
        "ApproximateNumberOfMessagesNotVisible": str(counts.in_flight - in_flight_due),
        "ApproximateNumberOfMessagesDelayed": str(counts.delayed - delayed_due),
        "CreatedTimestamp": str(record.created),
        "LastModifiedTimestamp": str(record.modified),
        **DEFAULTS,
        **(FIFO_DEFAULTS if queue.fifo else {}),
        **record.attributes,
    }
    if "KmsMasterKeyId" in attributes:
        attributes.setdefault("KmsDataKeyReusePeriodSeconds", "300")
    if "All" in wanted:
        return attributes
    return {name: value for name, value in attributes.items() if name in wanted}
