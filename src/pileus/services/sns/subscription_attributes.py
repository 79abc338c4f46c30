"""What subscriptions may be set to, and how it is shown.

Sources: Subscribe, SetSubscriptionAttributes, GetSubscriptionAttributes of the API reference; recorded answers.
"""

from __future__ import annotations

from typing import Any

import orjson

from pileus.kernel.arn import parse_arn
from pileus.services.sns import delivery_policies, errors, filters
from pileus.services.sns.delivery_policies import InvalidDeliveryPolicy
from pileus.services.sns.filters import InvalidFilter
from pileus.services.sns.records import Subscription
from pileus.services.sns.topics import HTTP

SETTABLE = (
    "DeliveryPolicy",
    "FilterPolicy",
    "FilterPolicyScope",
    "RawMessageDelivery",
    "RedrivePolicy",
    "ReplayPolicy",
    "SubscriptionRoleArn",
)
_RAW = ("sqs", "http", "https", "firehose")


class InvalidAttribute(Exception):
    """What is wrong with an attribute, in SNS's words after "Invalid parameter: " and whatever stands before it."""


class UnknownAttribute(Exception):
    """There is no attribute of that name."""


def check(given: dict[str, str], former: dict[str, str], *, protocol: str, endpoint: str, fifo: bool) -> dict[str, str]:
    """`former` with what is given, as it is kept. Raises InvalidAttribute, UnknownAttribute."""
    values = dict(former)
    raw = given.get("RawMessageDelivery", former.get("RawMessageDelivery", "")).lower() == "true"
    for name, value in given.items():
        if name not in SETTABLE:
            raise UnknownAttribute(name)
        kept = _check_one(name, value, protocol=protocol, endpoint=endpoint, fifo=fifo, raw=raw)
        if kept:
            values[name] = kept
        else:
            values.pop(name, None)
    policy = values.get("FilterPolicy")
    if policy and ("FilterPolicy" in given or "FilterPolicyScope" in given):
        try:
            filters.check(policy, in_body=values.get("FilterPolicyScope") == "MessageBody")
        except InvalidFilter as error:
            raise InvalidAttribute(f"FilterPolicy: {error}") from None
    return values


def _check_one(name: str, value: str, *, protocol: str, endpoint: str, fifo: bool, raw: bool) -> str:
    match name:
        case "RawMessageDelivery":
            if value.lower() not in ("true", "false"):
                raise InvalidAttribute(f"RawMessageDelivery: Invalid value [{value}]. Must be true or false.")
            if value.lower() == "true" and protocol not in _RAW:
                raise InvalidAttribute(
                    f"RawMessageDelivery: RawMessageDelivery cannot be set for protocol [{protocol}]."
                )
            return value.lower()
        case "FilterPolicyScope":
            if value not in filters.SCOPES:
                raise InvalidAttribute(
                    f"FilterPolicyScope: Invalid value [{value}]. Please use either {' or '.join(filters.SCOPES)}"
                )
            return value
        case "RedrivePolicy":
            return _redrive(value, endpoint=endpoint, fifo=fifo) if value else ""
        case "DeliveryPolicy":
            if not value:
                return ""
            try:
                return orjson.dumps(delivery_policies.check_subscription(value, raw=raw)).decode()
            except InvalidDeliveryPolicy as error:
                raise InvalidAttribute(f"DeliveryPolicy: {error}") from None
        case "SubscriptionRoleArn":
            arn = parse_arn(value)
            if value and (arn is None or arn.service != "iam"):
                raise InvalidAttribute("SubscriptionRoleArn")
            return value
        case "ReplayPolicy":
            if not value or value == "{}":
                return ""
            if not fifo:
                raise InvalidAttribute("ReplayPolicy: can only be set for subscriptions to FIFO topics")
            return value
        case _:
            return value


def _redrive(value: str, *, endpoint: str, fifo: bool) -> str:
    try:
        policy = filters.parse_json(value)
    except InvalidFilter as error:
        raise InvalidAttribute(f"RedrivePolicy: {error}") from None
    if policy == {}:
        return ""
    if isinstance(policy, dict):
        for name in policy:
            if name != "deadLetterTargetArn":
                raise InvalidAttribute(f"RedrivePolicy: invalid JSON. Attribute {name} is unknown.")
    target = policy.get("deadLetterTargetArn") if isinstance(policy, dict) else None
    arn = parse_arn(target) if isinstance(target, str) else None
    if arn is None or arn.service != "sqs" or not arn.account or not arn.resource:
        raise InvalidAttribute("RedrivePolicy: deadLetterTargetArn is an invalid arn")
    if fifo and endpoint.endswith(".fifo") and not arn.resource.endswith(".fifo"):
        raise InvalidAttribute("RedrivePolicy: must use a FIFO queue as DLQ for a FIFO Subscription to a FIFO Topic.")
    if not fifo and arn.resource.endswith(".fifo"):
        raise InvalidAttribute(
            "RedrivePolicy: must use a standard queue as DLQ for a subscription to a standard Topic."
        )
    return value


def needed_role(protocol: str, values: dict[str, str]) -> None:
    if protocol == "firehose" and not values.get("SubscriptionRoleArn"):
        raise errors.invalid_reason("Attributes", "SubscriptionRoleArn is required for firehose subscriptions")


def differs(existing: Subscription, values: dict[str, str]) -> bool:
    """Whether a subscription that is there has other attributes than those asked for."""
    defaults = {"RawMessageDelivery": "false", "FilterPolicyScope": "MessageAttributes"}

    def read(name: str, value: str | None) -> Any:
        if value is None:
            return defaults.get(name)
        return orjson.loads(value) if name.endswith("Policy") else value

    return any(read(name, existing.attributes.get(name)) != read(name, value) for name, value in values.items())


def show(subscription: Subscription, topic_policy: dict[str, Any] | None) -> dict[str, str]:
    shown = {
        "SubscriptionPrincipal": subscription.principal,
        "Owner": subscription.owner,
        "RawMessageDelivery": "false",
        "TopicArn": subscription.topic_arn,
        "Endpoint": subscription.endpoint,
        "Protocol": subscription.protocol,
        "PendingConfirmation": "true" if subscription.pending else "false",
        "ConfirmationWasAuthenticated": "true" if subscription.authenticated else "false",
        "SubscriptionArn": subscription.arn,
    }
    if subscription.replay is not None:
        shown["ReplayStatus"] = subscription.replay.status
    if "FilterPolicy" in subscription.attributes:
        shown["FilterPolicyScope"] = "MessageAttributes"
    if subscription.protocol in HTTP:
        own = subscription.attributes.get("DeliveryPolicy")
        effective = delivery_policies.effective_subscription(orjson.loads(own) if own else None, topic_policy)
        shown["EffectiveDeliveryPolicy"] = orjson.dumps(effective).decode()
    return shown | subscription.attributes
