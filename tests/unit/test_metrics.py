"""What services count: statistic sets a minute, taken once, bounded; and what Prometheus reads of it."""

from __future__ import annotations

import pytest

from pileus.cloud.metrics import WAITING_MINUTES_MAX, Metric, Metrics
from pileus.wire import prometheus

SENT = Metric("AWS/SQS", "NumberOfMessagesSent")
LATENCY = Metric("AWS/DynamoDB", "SuccessfulRequestLatency", "Milliseconds", counted=False)
HERE = ("1" * 12, "us-east-1")
QUEUE = (("QueueName", "q"),)


def test_a_statistic_set_a_minute() -> None:
    metrics = Metrics()
    for value, now in ((3.0, 60.0), (5.0, 119.9), (1.0, 120.0)):
        metrics.add(LATENCY, *HERE, (), value, now=now)
    first, second = metrics.take()
    assert (first.minute, first.count, first.total, first.minimum, first.maximum) == (1, 2, 8, 3, 5)
    assert (second.minute, second.count, second.total) == (2, 1, 1)
    assert first.key == (LATENCY, *HERE, ())
    # The percentiles' buckets: 1.1^n <= value < 1.1^(n+1).
    assert sorted(first.buckets) == [11, 16]
    assert 1.1**11 <= 3 < 1.1**12
    assert metrics.take() == []
    # The same minute goes on, in another part.
    metrics.add(LATENCY, *HERE, (), 7.0, now=121.0)
    (rest,) = metrics.take()
    assert (rest.minute, rest.count, rest.total) == (2, 1, 7)


def test_zero_and_less_have_a_bucket_of_their_own() -> None:
    metrics = Metrics()
    metrics.add(LATENCY, *HERE, (), 0.0, now=1.0)
    metrics.add(LATENCY, *HERE, (), -1.0, now=1.0)
    (datum,) = metrics.take()
    assert datum.buckets == {None: 2}


def test_a_clock_that_is_set_back_begins_another_datum() -> None:
    metrics = Metrics()
    metrics.add(SENT, *HERE, (), now=600.0)
    metrics.add(SENT, *HERE, (), now=60.0)
    assert [each.minute for each in metrics.take()] == [10, 1]


def test_series_are_bounded_and_nothing_counted_is_lost_with_them() -> None:
    metrics = Metrics(series_max=10)
    kept = metrics.series(SENT, *HERE, QUEUE)
    kept.add(1, now=0.0)
    for number in range(30):
        metrics.add(SENT, *HERE, (("QueueName", str(number)),), now=float(number))
    assert kept.gone
    # Whoever kept the handle counts on.
    kept.add(1, now=6000.0)
    kept.add(1, now=6001.0)
    taken = metrics.take()
    assert sum(each.total for each in taken) == 33
    assert [each.total for each in taken if each.key.dimensions == QUEUE] == [1, 2]
    assert len(list(metrics.shown())) <= 10


def test_minutes_that_nobody_takes_are_bounded() -> None:
    metrics = Metrics(data_max=5)
    for minute in range(20):
        metrics.add(SENT, *HERE, (), now=60.0 * minute)
    assert [each.minute for each in metrics.take()] == [14, 15, 16, 17, 18, 19]


def test_minutes_that_nobody_takes_are_forgotten() -> None:
    metrics = Metrics()
    for minute in range(100):
        metrics.add(SENT, *HERE, (), now=60.0 * minute)
        metrics.add(SENT, *HERE, QUEUE, now=60.0 * minute)
    minutes = [each.minute for each in metrics.take()]
    assert min(minutes) >= 99 - WAITING_MINUTES_MAX - 1
    assert set(range(99 - WAITING_MINUTES_MAX, 100)) <= set(minutes)
    # What Prometheus sees is the sum since the start all the same.
    assert [(each.count, each.total) for each in metrics.shown()] == [(100, 100), (100, 100)]


def test_what_is_gone_is_not_shown() -> None:
    metrics = Metrics()
    metrics.add(SENT, *HERE, QUEUE, now=0.0)
    metrics.add(SENT, *HERE, (("QueueName", "other"),), now=0.0)
    metrics.forget(QUEUE, *HERE, "AWS/SQS")
    assert [each.key.dimensions for each in metrics.shown()] == [(("QueueName", "other"),)]
    assert len(metrics.take()) == 2


def test_prometheus_reads_counters_and_summaries() -> None:
    metrics = Metrics()
    metrics.add(SENT, *HERE, (("QueueName", 'q"\\\n'),), 2.0, now=0.0)
    metrics.add(LATENCY, *HERE, (), 1.5, now=0.0)
    metrics.series(LATENCY, *HERE, (("TableName", "t"),), shown=False).add(9.0, 0.0)
    lines = prometheus.exposition(metrics.shown()).decode().splitlines()
    labels = '{account="111111111111",region="us-east-1",queue_name="q\\"\\\\\\n"}'
    assert f"aws_sqs_number_of_messages_sent_total{labels} 2" in lines
    assert "# TYPE aws_sqs_number_of_messages_sent_total counter" in lines
    name = "aws_dynamo_db_successful_request_latency_milliseconds"
    assert f"# TYPE {name} summary" in lines
    assert f'{name}_sum{{account="111111111111",region="us-east-1"}} 1.5' in lines
    assert f'{name}_count{{account="111111111111",region="us-east-1"}} 1' in lines
    assert not any("table_name" in line for line in lines)
    # One block for each metric, and a help line that says what it is.
    assert sum(line.startswith(f"# HELP {name} ") for line in lines) == 1


@pytest.mark.parametrize(
    ("name", "expected"),
    [("AWS/Lambda", "aws_lambda"), ("ConcurrentExecutions", "concurrent_executions"), ("4XXError", "4_xx_error")],
)
def test_names(name: str, expected: str) -> None:
    assert prometheus.snake(name) == expected
