"""EventBridge Scheduler on a node that is killed while its schedules fall due: every one is invoked.

`PILEUS_KILL_ROUNDS` says how many kills, where somebody has the time for hundreds.
"""

from __future__ import annotations

import json
import os
import random
import threading
from contextlib import suppress
from datetime import UTC, timedelta
from http.client import HTTPException
from typing import Any

SCHEDULES = 30
KILLS = int(os.environ.get("PILEUS_KILL_ROUNDS", "4"))


def test_every_schedule_is_invoked(aws: Any, start_pileus: Any) -> None:
    chance = random.Random(5)
    server = start_pileus("--clock", "virtual")
    here = type(aws)(server.endpoint)
    iam, scheduler, logs = here.client("iam"), here.client("scheduler"), here.client("logs")
    trust = {"Effect": "Allow", "Principal": {"Service": "scheduler.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(
        RoleName="r", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]["Arn"]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]}
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=json.dumps(policy))
    logs.create_log_group(logGroupName="g")
    soon = scheduler.get_schedule_group(Name="default")["CreationDate"] + timedelta(hours=1)
    for n in range(SCHEDULES):
        document = {"logGroupName": "g", "logStreamName": f"s{n}"}
        scheduler.create_schedule(
            Name=f"s{n}",
            ScheduleExpression=f"at({(soon + timedelta(seconds=n)).astimezone(UTC):%Y-%m-%dT%H:%M:%S})",
            FlexibleTimeWindow={"Mode": "OFF"},
            ActionAfterCompletion="DELETE",
            Target={
                "Arn": "arn:aws:scheduler:::aws-sdk:cloudwatchlogs:createLogStream",
                "RoleArn": role,
                "Input": json.dumps(document),
            },
        )

    def fall_due() -> None:
        # The kill comes in the middle of it.
        with suppress(OSError, HTTPException):
            server.advance(3600 + SCHEDULES)

    for _ in range(KILLS):
        falling = threading.Thread(target=fall_due)
        falling.start()
        threading.Event().wait(chance.uniform(0.01, 0.15))
        server.kill()
        falling.join()
        # Its clock is back at the present: what was not invoked is due once more.
        server = start_pileus("--clock", "virtual")
    server.advance(2 * 3600)
    there = type(aws)(server.endpoint, here.account)
    streams = there.client("logs").describe_log_streams(logGroupName="g")["logStreams"]
    assert {one["logStreamName"] for one in streams} == {f"s{n}" for n in range(SCHEDULES)}
    # Each is gone with its last time.
    assert there.client("scheduler").list_schedules()["Schedules"] == []
