"""What EventBridge's tests share: refused calls, and log groups in which targets' inputs arrive."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest


def refused(call: Any, **request: Any) -> tuple[str, str]:
    """Code and message of the error that a call must end with."""
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def bare(answer: dict[str, Any]) -> dict[str, Any]:
    return {member: value for member, value in answer.items() if member != "ResponseMetadata"}


def until(find: Callable[[], Any], *, seconds: float = 20) -> Any:
    """What `find` returns once it is something."""
    end = time.monotonic() + seconds
    while not (found := find()):
        assert time.monotonic() < end, "it never came"
        threading.Event().wait(0.02)
    return found


class Group:
    """A log group that rules may write to."""

    def __init__(self, aws: Any, name: str) -> None:
        self.logs = aws.client("logs")
        self.name = name
        self.arn = f"arn:aws:logs:us-east-1:{aws.account}:log-group:{name}"
        self.logs.create_log_group(logGroupName=name)
        policy = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"Service": ["events.amazonaws.com", "delivery.logs.amazonaws.com"]},
                    "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                    "Resource": "*",
                }
            ],
        }
        self.logs.put_resource_policy(policyName="rules", policyDocument=json.dumps(policy))

    def texts(self) -> list[str]:
        return [event["message"] for event in self.logs.filter_log_events(logGroupName=self.name)["events"]]

    def wait(self, count: int = 1) -> list[str]:
        """The messages, once there are `count` of them."""
        found: list[str] = until(lambda: texts if len(texts := self.texts()) >= count else None)
        return found
