"""Delivery policies: how deliveries over HTTP are retried, by topic and by subscription.

Sources: "Amazon SNS message delivery retries" ("Creating an HTTP/S delivery policy") of the developer guide; recorded
answers for how policies are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any

from pileus.services.sns.filters import InvalidFilter, parse_json

CONTENT_TYPE = "text/plain; charset=UTF-8"
_RETRIES = {
    "minDelayTarget": 20,
    "maxDelayTarget": 20,
    "numRetries": 3,
    "numMaxDelayRetries": 0,
    "numNoDelayRetries": 0,
    "numMinDelayRetries": 0,
    "backoffFunction": "linear",
}
# Who gives a retry policy gives these.
_NEEDED = ("minDelayTarget", "maxDelayTarget", "numRetries")
_LIMITS = {"minDelayTarget": (1, 3600), "maxDelayTarget": (1, 3600), "numRetries": (0, 100)}
_FUNCTIONS = ("arithmetic", "exponential", "geometric", "linear")
# What messages in envelopes may be said to be; and raw ones, which may be anything.
_ENVELOPE_TYPES = frozenset(("application/json", "text/plain"))
_RAW_TYPES = _ENVELOPE_TYPES | {
    "application/atom+xml",
    "application/octet-stream",
    "application/soap+xml",
    "application/x-www-form-urlencoded",
    "application/xhtml+xml",
    "application/xml",
    "text/css",
    "text/csv",
    "text/html",
    "text/xml",
}
# "The total policy retry time for an HTTP/S endpoint cannot be greater than 3,600 seconds."
TOTAL_S_MAX = 3600


class InvalidDeliveryPolicy(Exception):
    """What is wrong with a policy."""


def _object(text: str) -> dict[str, Any]:
    try:
        policy = parse_json(text)
    except InvalidFilter as error:
        raise InvalidDeliveryPolicy(str(error)) from None
    if not isinstance(policy, dict):
        raise InvalidDeliveryPolicy("must be a JSON object")
    return policy


def check_topic(text: str) -> dict[str, Any]:
    """A topic's policy as it is shown. Raises InvalidDeliveryPolicy."""
    policy = _object(text)
    http = policy.get("http")
    if not isinstance(http, dict) or len(policy) != 1:
        raise InvalidDeliveryPolicy("http must be present")
    shown: dict[str, Any] = {}
    for name, value in http.items():
        if name == "defaultHealthyRetryPolicy":
            shown[name] = None if value is None else _retries(value, name)
        elif name == "defaultThrottlePolicy":
            shown[name] = None if value is None else _throttle(value, name)
        elif name == "defaultRequestPolicy":
            shown[name] = None if value is None else _request(value, name, _ENVELOPE_TYPES)
        elif name == "disableSubscriptionOverrides" and isinstance(value, bool):
            pass
        elif name not in ("defaultSicklyRetryPolicy",):
            raise InvalidDeliveryPolicy(f"Unrecognized or invalid field {name}")
    shown = {name: value for name, value in shown.items() if value is not None}
    shown["disableSubscriptionOverrides"] = http.get("disableSubscriptionOverrides") or False
    return {"http": shown}


def check_subscription(text: str, *, raw: bool) -> dict[str, Any]:
    """A subscription's policy as it is shown. Raises InvalidDeliveryPolicy."""
    policy = _object(text)
    types = _RAW_TYPES if raw else _ENVELOPE_TYPES
    checks: dict[str, Callable[[Any, str], dict[str, Any]]] = {
        "healthyRetryPolicy": _retries,
        "throttlePolicy": _throttle,
        "requestPolicy": lambda value, name: _request(value, name, types),
    }
    for name in policy:
        if name not in checks and name not in ("sicklyRetryPolicy", "guaranteed"):
            raise InvalidDeliveryPolicy(f"Unrecognized field {name}")
    shown = {
        name: check(policy[name], name) if policy.get(name) is not None else None for name, check in checks.items()
    }
    return {
        "healthyRetryPolicy": shown["healthyRetryPolicy"],
        "sicklyRetryPolicy": None,
        "throttlePolicy": shown["throttlePolicy"],
        "requestPolicy": shown["requestPolicy"],
        "guaranteed": bool(policy.get("guaranteed")),
    }


def _retries(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidDeliveryPolicy(f"{name} must be an object")
    for member in value:
        if member not in _RETRIES:
            raise InvalidDeliveryPolicy(f"Unrecognized field {name}.{member}")
    for member in _NEEDED:
        if value.get(member) is None:
            raise InvalidDeliveryPolicy(f"{name}.{member} must be specified")
    policy = {**_RETRIES, **{member: one for member, one in value.items() if one is not None}}
    for member, one in policy.items():
        if member == "backoffFunction":
            if one not in _FUNCTIONS:
                raise InvalidDeliveryPolicy(f"{name}.backoffFunction must be one of {', '.join(_FUNCTIONS)}")
            continue
        least, most = _LIMITS.get(member, (0, 100))
        if isinstance(one, bool) or not isinstance(one, int) or not least <= one <= most:
            raise InvalidDeliveryPolicy(f"{name}.{member} must be between {least} and {most}")
    if policy["minDelayTarget"] > policy["maxDelayTarget"]:
        raise InvalidDeliveryPolicy(f"{name}.minDelayTarget must be less than or equal to maxDelayTarget")
    parts = ("numNoDelayRetries", "numMinDelayRetries", "numMaxDelayRetries")
    if sum(policy[part] for part in parts) > policy["numRetries"]:
        raise InvalidDeliveryPolicy(f"{name}.numRetries must be greater than or equal to its parts")
    if sum(waits(policy)) > TOTAL_S_MAX:
        raise InvalidDeliveryPolicy(f"{name} must not take longer than {TOTAL_S_MAX} seconds in total")
    return policy


def _throttle(value: Any, name: str) -> dict[str, Any]:
    rate = value.get("maxReceivesPerSecond") if isinstance(value, dict) else None
    if isinstance(rate, bool) or not isinstance(rate, int) or rate < 1:
        raise InvalidDeliveryPolicy(f"{name}.maxReceivesPerSecond must be at least 1")
    return {"maxReceivesPerSecond": rate}


def _request(value: Any, name: str, types: Collection[str]) -> dict[str, Any]:
    kind = value.get("headerContentType") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind.partition(";")[0].strip() not in types:
        raise InvalidDeliveryPolicy(f"{name}.headerContentType is not supported")
    return {"headerContentType": kind}


def effective_topic(policy: dict[str, Any] | None) -> dict[str, Any]:
    http = (policy or {}).get("http", {})
    shown: dict[str, Any] = {
        "defaultHealthyRetryPolicy": http.get("defaultHealthyRetryPolicy") or _RETRIES,
        "disableSubscriptionOverrides": http.get("disableSubscriptionOverrides", False),
    }
    if http.get("defaultThrottlePolicy"):
        shown["defaultThrottlePolicy"] = http["defaultThrottlePolicy"]
    shown["defaultRequestPolicy"] = http.get("defaultRequestPolicy") or {"headerContentType": CONTENT_TYPE}
    return {"http": shown}


def effective_subscription(policy: dict[str, Any] | None, topic_policy: dict[str, Any] | None) -> dict[str, Any]:
    """What counts for a subscription: its own policy, where the topic lets it, and the topic's for the rest."""
    topic = effective_topic(topic_policy)["http"]
    own = {} if topic["disableSubscriptionOverrides"] else (policy or {})
    return {
        "healthyRetryPolicy": own.get("healthyRetryPolicy") or topic["defaultHealthyRetryPolicy"],
        "sicklyRetryPolicy": None,
        "throttlePolicy": own.get("throttlePolicy") or topic.get("defaultThrottlePolicy"),
        "requestPolicy": own.get("requestPolicy") or topic["defaultRequestPolicy"],
        "guaranteed": bool(own.get("guaranteed")),
    }


def waits(retries: dict[str, Any]) -> list[float]:
    """Seconds before each retry: at once, then at the least delay, then growing, then at the most."""
    least, most = float(retries["minDelayTarget"]), float(retries["maxDelayTarget"])
    without, early, late = (retries[name] for name in ("numNoDelayRetries", "numMinDelayRetries", "numMaxDelayRetries"))
    growing = retries["numRetries"] - without - early - late
    return (
        [0.0] * without
        + [least] * early
        + [_grown(retries["backoffFunction"], least, most, step, growing) for step in range(growing)]
        + [most] * late
    )


def _grown(function: str, least: float, most: float, step: int, steps: int) -> float:
    """The delay of one step of the backoff phase, which leads from the least to the most."""
    if steps <= 1 or most == least:
        return least
    share = step / (steps - 1)
    if function == "geometric":
        return float(least * (most / least) ** share)
    if function == "exponential":
        return float(least + (most - least) * (2**step - 1) / (2 ** (steps - 1) - 1))
    if function == "arithmetic":
        return float(least + (most - least) * step * (step + 1) / ((steps - 1) * steps))
    return least + (most - least) * share
