"""What an event source mapping may say, for each kind of source, and how AWS shows it.

Sources: the API reference's page CreateEventSourceMapping; "Event source mappings" of the developer guide; recorded
answers.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

from pileus.cloud.manifest import Answer, Request
from pileus.kernel.arn import Arn, make_arn, parse_arn
from pileus.kernel.errors import AWSError, NotBuilt
from pileus.services.lambda_ import errors
from pileus.services.lambda_.feeding.filters import check_filters
from pileus.services.lambda_.names import Target
from pileus.services.lambda_.records import EventSource

QUEUE_BATCH_DEFAULT = 10
STREAM_BATCH_DEFAULT = 100
# A batch of more messages is gathered over time.
QUEUE_BATCH_AT_ONCE = 10
DESTINATIONS = frozenset({"sqs", "sns", "s3"})

_OF_STREAMS = (
    "StartingPosition",
    "StartingPositionTimestamp",
    "ParallelizationFactor",
    "BisectBatchOnFunctionError",
    "MaximumRetryAttempts",
    "MaximumRecordAgeInSeconds",
    "TumblingWindowInSeconds",
)
# Sources that have members of their own, and are not read from yet.
_OTHERS = {
    "AmazonManagedKafkaEventSourceConfig": "Amazon MSK",
    "DocumentDBEventSourceConfig": "Amazon DocumentDB",
}
_OF_KAFKA = ("SelfManagedEventSource", "SelfManagedKafkaEventSourceConfig", "Topics")
_OF_MQ = ("Queues",)
_ACCESS = ("SourceAccessConfigurations",)
_SERVICES = {
    "kinesis": "Amazon Kinesis",
    "kafka": "Amazon MSK",
    "rds": "Amazon DocumentDB",
}


def is_queue(source: str) -> bool:
    return source.startswith("arn:") and source.split(":", 3)[2] == "sqs"


def is_broker(source: str) -> bool:
    """Whether it is a broker of Amazon MQ."""
    return source.startswith("arn:") and source.split(":", 3)[2] == "mq"


def is_kafka(mapping: EventSource) -> bool:
    """Whether it reads from Kafka brokers of one's own."""
    return not mapping.source


def pairs_of(mapping: EventSource) -> list[str]:
    """What there may be one mapping of for each function: the source, every queue or topic of every broker."""
    if is_broker(mapping.source):
        return [f"{mapping.source}/{queue}" for queue in mapping.queues]
    if mapping.source:
        return [mapping.source]
    return [f"{broker}/{topic}" for broker in mapping.brokers for topic in mapping.topics]


def is_fifo(source: str) -> bool:
    return source.endswith(".fifo")


def target_of(account: str, region: str, mapping: EventSource) -> Target:
    """The function that it feeds."""
    return Target(account, region, mapping.name, mapping.qualifier)


def mapping_arn(account: str, region: str, id: str) -> str:
    return make_arn("lambda", region, account, f"event-source-mapping:{id}")


def source_of(request: Request) -> Arn | None:
    """The source that a new mapping names, None for Kafka; raises for what is none, or none that is built."""
    text = request.get("EventSourceArn")
    if not text:
        if request.get("SelfManagedEventSource"):
            return None
        for member, name in _OTHERS.items():
            if request.get(member):
                raise NotBuilt(f"{name} as an event source")
        raise errors.invalid_parameter("Unrecognized event source.")
    arn = parse_arn(text)
    assert arn is not None, "the modelled pattern takes ARNs only"
    if arn.service in _SERVICES:
        if arn.service == "kinesis":
            _start_of(request)
        raise NotBuilt(f"{_SERVICES[arn.service]} as an event source")
    is_stream = arn.service == "dynamodb" and arn.resource.startswith("table/") and "/stream/" in arn.resource
    if arn.service == "mq" and importlib.util.find_spec("pika") is None:
        raise NotBuilt("Amazon MQ as an event source, without the package pika (pileus[mq]),")
    if arn.service not in ("sqs", "mq") and not is_stream:
        raise errors.invalid_parameter("Unrecognized event source.")
    return arn


def new_mapping(at: Target, source: Arn | None, request: Request, id: str, now: float) -> EventSource:
    """The mapping that a request asks for; raises what AWS refuses of it."""
    is_sqs = source is not None and source.service == "sqs"
    mapping = EventSource(
        id=id,
        name=at.name,
        qualifier=at.qualifier,
        source=str(source or ""),
        state="Creating",
        enabled=request.get("Enabled") is not False,
        revision=id,
        modified=now,
        batch_size=QUEUE_BATCH_DEFAULT if is_sqs else STREAM_BATCH_DEFAULT,
        tags=request.get("Tags") or {},
    )
    if source is None:
        _set_brokers(mapping, request)
    if is_broker(mapping.source):
        _set_queue(mapping, request)
    elif not is_sqs:
        _set_start(mapping, request)
    change_mapping(mapping, request)
    return mapping


def _start_of(request: Request) -> str:
    start: str | None = request.get("StartingPosition")
    if start is None:
        raise errors.invalid_parameter(
            "1 validation error detected: Value null at 'startingPosition' failed to satisfy constraint: Member must "
            "not be null."
        )
    return start


def _set_start(mapping: EventSource, request: Request) -> None:
    start = _start_of(request)
    if start == "AT_TIMESTAMP":
        if mapping.source:
            raise errors.invalid_parameter(f"Unsupported starting position for arn type: {mapping.source}")
        if request.get("StartingPositionTimestamp") is None:
            raise errors.invalid_parameter(
                "1 validation error detected: Value null at 'startingPositionTimestamp' failed to satisfy constraint: "
                "Member must not be null."
            )
        mapping.start_at = request["StartingPositionTimestamp"]
    mapping.start = start


def _set_queue(mapping: EventSource, request: Request) -> None:
    if not request.get("Queues"):
        raise errors.invalid_parameter("Required 'queues' parameter is missing.")
    if not any(each.get("Type") == "BASIC_AUTH" for each in request.get("SourceAccessConfigurations") or ()):
        raise errors.invalid_parameter("Required 'sourceAccessConfigurations' parameter is missing.")
    mapping.queues = request["Queues"]


def _set_brokers(mapping: EventSource, request: Request) -> None:
    if importlib.util.find_spec("confluent_kafka") is None:
        raise NotBuilt("Self-managed Kafka as an event source, without the package confluent-kafka (pileus[kafka]),")
    endpoints = request["SelfManagedEventSource"].get("Endpoints") or {}
    mapping.brokers = list(endpoints.get("KAFKA_BOOTSTRAP_SERVERS") or ())
    if not mapping.brokers:
        raise errors.invalid_parameter("Required 'selfManagedEventSource.endpoints' parameter is missing.")
    if not request.get("SourceAccessConfigurations"):
        raise errors.invalid_parameter("Required 'sourceAccessConfigurations' parameter is missing.")
    if not request.get("Topics"):
        raise errors.invalid_parameter("Required 'topics' parameter is missing.")
    mapping.topics = request["Topics"]
    config = request.get("SelfManagedKafkaEventSourceConfig") or {}
    for member in ("SchemaRegistryConfig", "ConsumptionMode"):
        if config.get(member):
            raise NotBuilt(f"{member} of an event source mapping")
    mapping.group = config.get("ConsumerGroupId") or mapping.id


def change_mapping(mapping: EventSource, request: Request) -> None:
    """Set what the request gives; raises what AWS refuses of it, or what is not built."""
    for member, name in _OTHERS.items():
        if request.get(member):
            raise NotBuilt(f"{name} as an event source")
    others, change = _kind_of(mapping)
    for member in others:
        if request.get(member):
            raise _unsupported(member)
    change(mapping, request)
    for member, field in (
        ("BatchSize", "batch_size"),
        ("MaximumBatchingWindowInSeconds", "window_s"),
        ("KMSKeyArn", "kms_key"),
    ):
        if request.get(member) is not None:
            setattr(mapping, field, request[member])
    if request.get("FilterCriteria") is not None:
        given = request["FilterCriteria"].get("Filters") or []
        mapping.filters = check_filters([each.get("Pattern") for each in given])
    if request.get("FunctionResponseTypes") is not None:
        mapping.report_items = "ReportBatchItemFailures" in request["FunctionResponseTypes"]
    if request.get("MetricsConfig") is not None:
        mapping.metrics = request["MetricsConfig"].get("Metrics") or []
    if request.get("LoggingConfig") is not None:
        mapping.log_level = request["LoggingConfig"].get("SystemLogLevel") or ""
    if request.get("ProvisionedPollerConfig") is not None:
        mapping.pollers = request["ProvisionedPollerConfig"] or None
    if is_queue(mapping.source):
        _check_queue(mapping)


def _unsupported(member: str) -> AWSError:
    return errors.invalid_parameter(
        f"Unsupported '{member[0].lower()}{member[1:]}' parameter for given event source mapping type."
    )


def _kind_of(mapping: EventSource) -> tuple[tuple[str, ...], Callable[[EventSource, Request], None]]:
    """The members that are for other kinds of sources, and what sets those of its own."""
    if is_kafka(mapping):
        return _OF_MQ, _change_kafka
    if is_broker(mapping.source):
        return (*_OF_KAFKA, *_OF_STREAMS), _change_broker
    return (*_OF_KAFKA, *_OF_MQ, *_ACCESS), _change_queue if is_queue(mapping.source) else _change_stream


def _change_broker(mapping: EventSource, request: Request) -> None:
    for member in ("DestinationConfig", "FunctionResponseTypes", "ScalingConfig"):
        if request.get(member):
            raise _unsupported(member)
    if request.get("SourceAccessConfigurations") is not None:
        mapping.access = [dict(each) for each in request["SourceAccessConfigurations"]]


def _change_kafka(mapping: EventSource, request: Request) -> None:
    for member in (*_OF_STREAMS[2:], "DestinationConfig", "FunctionResponseTypes"):
        if request.get(member):
            raise NotBuilt(f"{member} of an event source mapping for Kafka")
    if request.get("SourceAccessConfigurations") is not None:
        mapping.access = [dict(each) for each in request["SourceAccessConfigurations"]]


def _change_queue(mapping: EventSource, request: Request) -> None:
    if request.get("StartingPosition") is not None:
        raise errors.invalid_parameter("StartingPosition is not valid for SQS event sources.")
    for member in _OF_STREAMS:
        if request.get(member) is not None:
            raise _unsupported(member)
    if any((request.get("DestinationConfig") or {}).get(member) for member in ("OnSuccess", "OnFailure")):
        raise _unsupported("DestinationConfig")
    if request.get("ScalingConfig") is not None:
        mapping.concurrency_max = request["ScalingConfig"].get("MaximumConcurrency") or 0


def _check_queue(mapping: EventSource) -> None:
    if is_fifo(mapping.source) and mapping.window_s:
        raise errors.invalid_parameter("Batching window is not supported for FIFO queues")
    if mapping.batch_size > QUEUE_BATCH_AT_ONCE and not mapping.window_s:
        raise errors.invalid_parameter(
            "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
        )


def _change_stream(mapping: EventSource, request: Request) -> None:
    if (request.get("ScalingConfig") or {}).get("MaximumConcurrency"):
        raise _unsupported("ScalingConfig")
    for member, field in (
        ("ParallelizationFactor", "lanes"),
        ("BisectBatchOnFunctionError", "bisect"),
        ("MaximumRetryAttempts", "retries"),
        ("MaximumRecordAgeInSeconds", "age_max_s"),
        ("TumblingWindowInSeconds", "tumbling_s"),
    ):
        if request.get(member) is not None:
            setattr(mapping, field, request[member])
    if mapping.age_max_s != -1 and mapping.age_max_s < 60:
        raise AWSError(
            "ValidationException",
            f"1 validation error detected: Value '{mapping.age_max_s}' at 'maximumRecordAgeInSeconds' failed to "
            "satisfy constraint: Member must have value greater than or equal to 60",
        )
    if mapping.tumbling_s and mapping.lanes > 1:
        raise errors.invalid_parameter("Tumbling window is not supported with ParallelizationFactor greater than 1.")
    if request.get("DestinationConfig") is not None:
        mapping.on_failure = _destination(request["DestinationConfig"])


def _destination(given: dict[str, Any]) -> str:
    if given.get("OnSuccess"):
        raise errors.invalid_parameter("Unsupported DestinationConfig parameter for given event source mapping type.")
    on_failure = given.get("OnFailure")
    if on_failure is not None and "Destination" not in on_failure:
        raise errors.invalid_parameter("The Destination field is required for an OnFailure configuration.")
    destination: str = (on_failure or {}).get("Destination") or ""
    arn = parse_arn(destination)
    if destination and (arn is None or arn.service not in DESTINATIONS):
        raise errors.invalid_parameter(
            f"The provided destination config DestinationConfig(onSuccess=null, onFailure=OnFailure(destination="
            f"{destination})) is invalid."
        )
    return destination


def describe(account: str, region: str, mapping: EventSource) -> Answer:
    """An EventSourceMappingConfiguration."""
    if is_kafka(mapping):
        return _describe_kafka(account, region, mapping)
    if is_broker(mapping.source):
        return _describe_broker(account, region, mapping)
    answer: Answer = {
        "UUID": mapping.id,
        "EventSourceMappingArn": mapping_arn(account, region, mapping.id),
        "EventSourceArn": mapping.source,
        "FunctionArn": target_of(account, region, mapping).asked_arn,
        "BatchSize": mapping.batch_size,
        "MaximumBatchingWindowInSeconds": mapping.window_s,
        "FunctionResponseTypes": ["ReportBatchItemFailures"] if mapping.report_items else [],
        "LastModified": mapping.modified,
        "State": mapping.state,
    }
    _describe_rest(mapping, answer)
    if is_queue(mapping.source):
        answer["StateTransitionReason"] = "USER_INITIATED"
        if mapping.concurrency_max:
            answer["ScalingConfig"] = {"MaximumConcurrency": mapping.concurrency_max}
        return answer
    return answer | {
        "StateTransitionReason": "User action",
        "StartingPosition": mapping.start,
        "LastProcessingResult": mapping.result,
        "ParallelizationFactor": mapping.lanes,
        "BisectBatchOnFunctionError": mapping.bisect,
        "MaximumRetryAttempts": mapping.retries,
        "MaximumRecordAgeInSeconds": mapping.age_max_s,
        "TumblingWindowInSeconds": mapping.tumbling_s,
        "DestinationConfig": {"OnFailure": {"Destination": mapping.on_failure} if mapping.on_failure else {}},
    }


def _describe_rest(mapping: EventSource, answer: Answer) -> None:
    """What is shown only where it was given, whatever the source."""
    if mapping.filters:
        answer["FilterCriteria"] = {"Filters": [{"Pattern": pattern} for pattern in mapping.filters]}
    if mapping.kms_key:
        answer["KMSKeyArn"] = mapping.kms_key
    if mapping.metrics is not None:
        answer["MetricsConfig"] = {"Metrics": mapping.metrics}
    if mapping.log_level:
        answer["LoggingConfig"] = {"SystemLogLevel": mapping.log_level}
    if mapping.pollers:
        answer["ProvisionedPollerConfig"] = mapping.pollers


def _describe_broker(account: str, region: str, mapping: EventSource) -> Answer:
    answer: Answer = {
        "UUID": mapping.id,
        "EventSourceMappingArn": mapping_arn(account, region, mapping.id),
        "EventSourceArn": mapping.source,
        "FunctionArn": target_of(account, region, mapping).asked_arn,
        "Queues": mapping.queues,
        "SourceAccessConfigurations": mapping.access,
        "BatchSize": mapping.batch_size,
        "LastModified": mapping.modified,
        "LastProcessingResult": mapping.result,
        "State": mapping.state,
        "StateTransitionReason": "USER_INITIATED",
    }
    if mapping.window_s:
        answer["MaximumBatchingWindowInSeconds"] = mapping.window_s
    _describe_rest(mapping, answer)
    return answer


def _describe_kafka(account: str, region: str, mapping: EventSource) -> Answer:
    answer: Answer = {
        "UUID": mapping.id,
        "EventSourceMappingArn": mapping_arn(account, region, mapping.id),
        "FunctionArn": target_of(account, region, mapping).asked_arn,
        "SelfManagedEventSource": {"Endpoints": {"KAFKA_BOOTSTRAP_SERVERS": mapping.brokers}},
        "SelfManagedKafkaEventSourceConfig": {"ConsumerGroupId": mapping.group},
        "SourceAccessConfigurations": mapping.access,
        "Topics": mapping.topics,
        "StartingPosition": mapping.start,
        "BatchSize": mapping.batch_size,
        "LastModified": mapping.modified,
        "LastProcessingResult": mapping.result,
        "State": mapping.state,
        "StateTransitionReason": "USER_INITIATED",
    }
    if mapping.start_at is not None:
        answer["StartingPositionTimestamp"] = mapping.start_at
    if mapping.window_s:
        answer["MaximumBatchingWindowInSeconds"] = mapping.window_s
    _describe_rest(mapping, answer)
    return answer
