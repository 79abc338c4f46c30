"""What the tests of pipes share."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pytest

from waiting import until


def refused(call: Any, **request: Any) -> tuple[str, str]:
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


def bare(answer: dict[str, Any]) -> dict[str, Any]:
    return {member: value for member, value in answer.items() if member != "ResponseMetadata"}


def make_role(account: Any, name: str, service: str) -> str:
    """A role that may do everything, and that the service may assume."""
    iam = account.client("iam")
    trust = {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": "sts:AssumeRole"}
    arn: str = iam.create_role(
        RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]["Arn"]
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_role_policy(RoleName=name, PolicyName="all", PolicyDocument=json.dumps(policy))
    return arn


class World:
    """An account with a table that has a stream, a log group as target, and pipes between them."""

    def __init__(self, account: Any) -> None:
        self.account = account
        self.pipes = account.client("pipes")
        self.logs = account.client("logs")
        self.dynamodb = account.client("dynamodb")
        self.role = make_role(account, "pipe", "pipes")

    def table(self, name: str = "things") -> str:
        """Returns the ARN of its stream."""
        arn: str = self.dynamodb.create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )["TableDescription"]["LatestStreamArn"]
        return arn

    def put(self, id: str, table: str = "things", **attributes: dict[str, str]) -> None:
        self.dynamodb.put_item(TableName=table, Item={"id": {"S": id}, **attributes})

    def group(self, name: str = "out") -> str:
        self.logs.create_log_group(logGroupName=name)
        return f"arn:aws:logs:us-east-1:{self.account.account}:log-group:{name}"

    def texts(self, group: str = "out") -> list[str]:
        return [one["message"] for one in self.logs.filter_log_events(logGroupName=group)["events"]]

    def wait_texts(self, count: int, group: str = "out") -> list[str]:
        found: list[str] = until(lambda: texts if len(texts := self.texts(group)) >= count else None)
        return found

    def create(self, name: str = "p", **request: Any) -> dict[str, Any]:
        """A pipe, once it runs."""
        answer: dict[str, Any] = self.pipes.create_pipe(Name=name, RoleArn=self.role, **request)
        self.wait_state("RUNNING", name)
        return answer

    def wait_state(self, state: str, name: str = "p") -> None:
        until(lambda: self.pipes.describe_pipe(Name=name)["CurrentState"] == state)

    def function(self, name: str, code: str) -> str:
        role = make_role(self.account, name, "lambda")
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("index.py", code)
        lambda_ = self.account.client("lambda")
        arn: str = lambda_.create_function(
            FunctionName=name,
            Runtime="python3.11",
            Handler="index.handler",
            Role=role,
            Code={"ZipFile": out.getvalue()},
        )["FunctionArn"]
        lambda_.get_waiter("function_active_v2").wait(
            FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 200}
        )
        return arn
