"""What a pipe may say of its source, its enrichment and its target.

Sources: "Amazon EventBridge Pipes sources", "... targets", "Event filtering in Amazon EventBridge Pipes" of the user
guide.
"""

from __future__ import annotations

import importlib.util
from typing import Any

from pileus.delivery.event_patterns import InvalidPattern, compile_pattern
from pileus.kernel.arn import Arn, parse_arn
from pileus.kernel.errors import NotBuilt
from pileus.services.pipes import errors

# Services that a pipe may have as source, with the member of its parameters.
_SOURCES = {
    "sqs": "SqsQueueParameters",
    "dynamodb": "DynamoDBStreamParameters",
    "kinesis": "KinesisStreamParameters",
    "kafka": "ManagedStreamingKafkaParameters",
    "mq": "RabbitMQBrokerParameters",
    # Brokers of one's own: "smk://host:9092", which is no ARN.
    "smk": "SelfManagedKafkaParameters",
}
# Packages that some need, which not everybody has.
_PACKAGES = {"mq": ("pika", "Amazon MQ"), "smk": ("confluent_kafka", "Kafka")}
_SOURCES_BUILT = frozenset(("sqs", "dynamodb", "mq", "smk"))
_TARGETS = frozenset(
    (
        *("lambda", "sqs", "sns", "events", "logs", "states", "kinesis", "firehose", "ecs", "batch", "execute-api"),
        *("redshift", "redshift-serverless", "sagemaker", "timestream", "inspector", "apigateway"),
    )
)
_TARGETS_BUILT = frozenset(("lambda", "sqs", "sns", "events", "logs"))
_STARTS = ("TRIM_HORIZON", "LATEST")
BATCH_SIZES = {"sqs": 10, "dynamodb": 100, "mq": 100, "smk": 100}


def source_arn(text: str) -> Arn:
    """Raises ValidationException for what is no source, NotBuilt for what is not one yet.

    Of brokers of Kafka it has the service "smk", and host and port as its resource.
    """
    if text.startswith("smk://"):
        return Arn("aws", "smk", "", "", text.removeprefix("smk://"))
    arn = parse_arn(text)
    if arn is None or arn.service not in _SOURCES:
        raise errors.invalid(f"Source {text} is not supported.")
    if arn.service not in _SOURCES_BUILT:
        raise NotBuilt(f"Pipes from {arn.service}")
    if arn.service == "dynamodb" and "/stream/" not in arn.resource:
        raise errors.invalid(f"Source {text} is not the ARN of a stream.")
    return arn


def check_source(text: str, parameters: dict[str, Any]) -> None:
    arn = source_arn(text)
    if arn.service in _PACKAGES and importlib.util.find_spec(_PACKAGES[arn.service][0]) is None:
        raise NotBuilt("Pipes from {1} without the package {0}".format(*_PACKAGES[arn.service]))
    member = _SOURCES[arn.service]
    if "ActiveMQBrokerParameters" in parameters:
        raise NotBuilt("Pipes from ActiveMQ brokers")
    others = [name for name in parameters if name not in (member, "FilterCriteria")]
    if others:
        raise errors.invalid(f"{others[0]} is not valid for source {text}.")
    own = parameters.get(member) or {}
    if arn.service == "smk" and not own.get("TopicName"):
        raise errors.invalid("SelfManagedKafkaParameters.TopicName is required.")
    if "ClientCertificateTlsAuth" in (own.get("Credentials") or {}):
        raise NotBuilt("Pipes from Kafka by client certificate")
    if arn.service == "dynamodb" and own.get("StartingPosition") not in _STARTS:
        raise errors.invalid("DynamoDBStreamParameters.StartingPosition is required.")
    if arn.service == "mq" and not own.get("Credentials", {}).get("BasicAuth"):
        raise errors.invalid("RabbitMQBrokerParameters.Credentials is required.")
    for one in filters(parameters):
        try:
            compile_pattern(one)
        except InvalidPattern as reason:
            raise errors.invalid(f"Event pattern is not valid. Reason: {reason}") from None


def own_parameters(source: Arn, parameters: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = parameters.get(_SOURCES[source.service]) or {}
    return found


def filters(parameters: dict[str, Any]) -> list[str]:
    criteria = parameters.get("FilterCriteria") or {}
    return [one["Pattern"] for one in criteria.get("Filters") or () if one.get("Pattern")]


def check_enrichment(text: str) -> None:
    if not text:
        return
    arn = parse_arn(text)
    if arn is None:
        raise errors.invalid(f"Enrichment {text} is not supported.")
    if arn.service != "lambda":
        raise NotBuilt(f"Pipes enriched by {arn.service}")


def check_target(text: str, parameters: dict[str, Any] | None) -> None:
    arn = parse_arn(text)
    if arn is None or arn.service not in _TARGETS:
        raise errors.invalid(f"Target {text} is not supported.")
    if arn.service not in _TARGETS_BUILT:
        raise NotBuilt(f"Pipes to {arn.service}")
    if arn.service == "events" and arn.resource.partition("/")[0] not in ("event-bus", "api-destination"):
        raise errors.invalid(f"Target {text} is not supported.")
    queue = (parameters or {}).get("SqsQueueParameters") or {}
    if arn.service == "sqs" and arn.resource.endswith(".fifo") and not queue.get("MessageGroupId"):
        raise errors.invalid("SqsQueueParameters.MessageGroupId is required for a FIFO queue.")
