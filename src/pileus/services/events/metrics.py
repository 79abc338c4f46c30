"""What EventBridge counts, as CloudWatch has it.

Source: "EventBridge metrics" in "Monitoring Amazon EventBridge" of the user guide.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from pileus.cloud.context import Cloud
from pileus.cloud.metrics import Metric
from pileus.delivery.contract import Delivery
from pileus.services.events.names import DEFAULT, rule_of_arn

_NAMESPACE = "AWS/Events"
MATCHED_EVENTS = Metric(_NAMESPACE, "MatchedEvents")
TRIGGERED_RULES = Metric(_NAMESPACE, "TriggeredRules")
INVOCATIONS = Metric(_NAMESPACE, "Invocations")
FAILED_INVOCATIONS = Metric(_NAMESPACE, "FailedInvocations")
RETRIES = Metric(_NAMESPACE, "RetryInvocationAttempts")
SENT_TO_DEAD_LETTERS = Metric(_NAMESPACE, "InvocationsSentToDlq")

Handler = Callable[[Cloud, Delivery], Awaitable[None]]


def count(cloud: Cloud, metric: Metric, rule_arn: str) -> None:
    """Once, for a rule; rules of other buses than the default one by their bus, too."""
    at = rule_of_arn(rule_arn)
    if at is None:
        return
    bus = () if at.bus.name == DEFAULT else (("EventBusName", at.bus.name),)
    dimensions = (*bus, ("RuleName", at.name))
    cloud.metrics.add(metric, at.bus.account, at.bus.region, dimensions, now=cloud.clock.time())


def counted(handler: Handler) -> Handler:
    """A handler of deliveries to targets, whose attempts are counted."""

    async def deliver(cloud: Cloud, delivery: Delivery) -> None:
        rule_arn = delivery.payload["rule"]
        if delivery.attempts:
            count(cloud, RETRIES, rule_arn)
        await handler(cloud, delivery)
        count(cloud, INVOCATIONS, rule_arn)

    return deliver
