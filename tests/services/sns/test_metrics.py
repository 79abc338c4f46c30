"""What SNS counts of its topics, as Prometheus reads it at /_pileus/metrics."""

from __future__ import annotations

import json
import re
import urllib.request
from typing import Any

from sns_kit import Queue

from waiting import until


def read(aws: Any, metric: str) -> float:
    """The metric's value, over the topics of the test's account; 0 where there is none."""
    page = urllib.request.urlopen(aws.endpoint + "/_pileus/metrics").read().decode()
    lines = rf"^aws_sns_{metric}\{{account=\"{aws.account}\",.*topic_name=\"t\".*\}} (\S+)$"
    return sum(float(value) for value in re.findall(lines, page, re.MULTILINE))


def test_messages_and_deliveries_are_counted(aws: Any, sns: Any) -> None:
    arn = sns.create_topic(Name="t")["TopicArn"]
    dead = Queue(aws, "dead")
    redrive = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": dead.arn})}
    filters = {"FilterPolicy": json.dumps({"a": ["b"]})}
    queue = Queue(aws, "q")
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue.arn)
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=Queue(aws, "other").arn, Attributes=filters)
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue.arn + "x", Attributes=redrive)
    for text in ("one", "zwö"):
        sns.publish(TopicArn=arn, Message=text)
    queue.take(2)
    dead.take(2)
    until(lambda: read(aws, "number_of_notifications_redriven_to_dlq_total") == 2)
    assert read(aws, "number_of_messages_published_total") == 2
    assert read(aws, "publish_size_bytes_sum") == 7
    assert read(aws, "number_of_notifications_delivered_total") == 2
    assert read(aws, "number_of_notifications_filtered_out_total") == 2
    assert read(aws, "number_of_notifications_failed_total") == 2
    sns.delete_topic(TopicArn=arn)
    assert read(aws, "number_of_messages_published_total") == 0
