"""What Lambda counts of its functions, as Prometheus reads it at /_pileus/metrics."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from waiting import until

CODE = "def handler(event, context):\n    if event == 'fail':\n        raise ValueError('no')\n    return event\n"


def read(aws: Any, metric: str) -> dict[str, float]:
    """Values of one metric in the test's account, by function ("" where it has none)."""
    page = urllib.request.urlopen(aws.endpoint + "/_pileus/metrics").read().decode()
    found = re.findall(rf"^{metric}\{{account=\"{aws.account}\",region=\"us-east-1\"(.*)\}} (\S+)$", page, re.MULTILINE)
    return {re.sub(r'.*function_name="([^"]*)".*|^$', r"\1", labels): float(value) for labels, value in found}


def test_invocations_errors_and_durations(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    make(code=CODE)
    for payload in (b"1", b'"fail"', b"2"):
        lambda_.invoke(FunctionName="f", Payload=payload)
    assert read(aws, "aws_lambda_invocations_total") == {"f": 3}
    assert read(aws, "aws_lambda_errors_total") == {"f": 1}
    assert read(aws, "aws_lambda_throttles_total") == {"f": 0}
    assert read(aws, "aws_lambda_duration_milliseconds_count") == {"f": 3}
    assert 0 < read(aws, "aws_lambda_duration_milliseconds_sum")["f"] < 30_000
    assert read(aws, "aws_lambda_init_duration_milliseconds_count") == {"f": 1}
    assert read(aws, "aws_lambda_unreserved_concurrent_executions_count") == {"": 3}
    assert read(aws, "aws_lambda_concurrent_executions_sum") == {"f": 3}
    assert read(aws, "aws_lambda_claimed_account_concurrency_sum") == {"": 3}
    make("reserved")
    lambda_.put_function_concurrency(FunctionName="reserved", ReservedConcurrentExecutions=20)
    lambda_.invoke(FunctionName="reserved")
    assert read(aws, "aws_lambda_claimed_account_concurrency_sum") == {"": 23}
    assert read(aws, "aws_lambda_unreserved_concurrent_executions_count") == {"": 3}
    lambda_.delete_function(FunctionName="reserved")
    lambda_.delete_function(FunctionName="f")
    assert read(aws, "aws_lambda_invocations_total") == {}


def test_throttles(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    make()
    lambda_.put_function_concurrency(FunctionName="f", ReservedConcurrentExecutions=0)
    with pytest.raises(lambda_.exceptions.TooManyRequestsException):
        lambda_.invoke(FunctionName="f")
    assert read(aws, "aws_lambda_throttles_total") == {"f": 1}
    assert read(aws, "aws_lambda_invocations_total").get("f", 0) == 0


def test_asynchronous_events(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    make(code=CODE)
    lambda_.put_function_event_invoke_config(FunctionName="f", MaximumRetryAttempts=0)
    lambda_.invoke(FunctionName="f", InvocationType="Event", Payload=b"1")
    lambda_.invoke(FunctionName="f", InvocationType="Event", Payload=b'"fail"')
    assert read(aws, "aws_lambda_async_events_received_total") == {"f": 2}
    until(lambda: read(aws, "aws_lambda_async_events_dropped_total") == {"f": 1})
    assert read(aws, "aws_lambda_async_event_age_milliseconds_count") == {"f": 2}


def test_only_the_machines_own_user_reads_them(aws: Any) -> None:
    request = urllib.request.Request(aws.endpoint + "/_pileus/metrics", headers={"Origin": "https://example.com"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    assert refused.value.code == 403
