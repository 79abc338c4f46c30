"""What SNS counts, as CloudWatch has it.

Source: "Monitoring Amazon SNS topics using CloudWatch" of the developer guide.
"""

from __future__ import annotations

from pileus.cloud.context import Cloud
from pileus.cloud.metrics import Metric
from pileus.services.sns.names import TopicName, topic_of_arn

_NAMESPACE = "AWS/SNS"
PUBLISHED = Metric(_NAMESPACE, "NumberOfMessagesPublished")
SIZE = Metric(_NAMESPACE, "PublishSize", "Bytes", counted=False)
DELIVERED = Metric(_NAMESPACE, "NumberOfNotificationsDelivered")
FAILED = Metric(_NAMESPACE, "NumberOfNotificationsFailed")
FILTERED_OUT = Metric(_NAMESPACE, "NumberOfNotificationsFilteredOut")
REDRIVEN = Metric(_NAMESPACE, "NumberOfNotificationsRedrivenToDlq")
NOT_REDRIVEN = Metric(_NAMESPACE, "NumberOfNotificationsFailedToRedriveToDlq")


def forget(cloud: Cloud, at: TopicName) -> None:
    """The topic is gone."""
    cloud.metrics.forget((("TopicName", at.name),), at.account, at.region, _NAMESPACE)


def count(cloud: Cloud, metric: Metric, topic_arn: str, value: float = 1.0) -> None:
    at = topic_of_arn(topic_arn)
    if at is not None:
        dimensions = (("TopicName", at.name),)
        cloud.metrics.add(metric, at.account, at.region, dimensions, value, now=cloud.clock.time())
