"""`pileus invoke` and `pileus logs`."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import uuid
import zipfile
from typing import Any

import pytest

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
LOGGING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]}
CODE = """
def handle(event, context):
    print("said", event.get("word"))
    return event["word"].upper()
"""


def run(aws: Any, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), check=False, capture_output=True, text=True, input=stdin, env=keys(aws))


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "pileus", *arguments]


def keys(aws: Any) -> dict[str, str]:
    return {
        **os.environ,
        "AWS_ENDPOINT_URL": aws.endpoint,
        "AWS_ACCESS_KEY_ID": aws.account,
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": aws.region,
    }


@pytest.fixture
def function(aws: Any) -> str:
    name = f"f-{uuid.uuid4().hex[:8]}"
    iam = aws.client("iam")
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.put_role_policy(RoleName="r", PolicyName="logs", PolicyDocument=json.dumps(LOGGING))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as code:
        code.writestr("index.py", CODE)
    lambda_ = aws.client("lambda")
    lambda_.create_function(
        FunctionName=name,
        Runtime="python3.11",
        Handler="index.handle",
        Role=f"arn:aws:iam::{aws.account}:role/r",
        Code={"ZipFile": archive.getvalue()},
    )
    lambda_.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.05, "MaxAttempts": 200})
    return name


def test_invoke_prints_the_answer_and_the_log(aws: Any, function: str) -> None:
    ended = run(aws, "invoke", function, "--payload", '{"word": "hello"}')
    assert (ended.returncode, ended.stdout) == (0, '"HELLO"\n')
    assert "said hello" in ended.stderr
    assert "REPORT RequestId" in ended.stderr
    assert run(aws, "invoke", function, "--payload", "-", "--no-log", stdin='{"word": "x"}').stdout == '"X"\n'
    assert run(aws, "invoke", function, '{"word": "y"}', "--no-log").stdout == '"Y"\n'
    twice = run(aws, "invoke", function, "{}", "--payload", "{}")
    assert (twice.returncode, "There is one event" in twice.stderr) == (2, True)


def test_invoke_of_a_function_that_fails_exits_with_1(aws: Any, function: str) -> None:
    ended = run(aws, "invoke", function, "--json")
    shown = json.loads(ended.stdout)
    assert ended.returncode == 1
    assert shown["error"] == "Unhandled"
    assert json.loads(shown["payload"])["errorType"] == "KeyError"


def test_invoke_of_what_is_not_there_is_one_line(aws: Any) -> None:
    ended = run(aws, "invoke", "nothing")
    assert ended.returncode == 1
    assert ended.stderr.startswith("Error: ResourceNotFoundException: Function not found: ")
    assert ended.stderr.count("\n") == 1


def test_commands_say_where_nobody_answers(free_port: int) -> None:
    nowhere = f"http://127.0.0.1:{free_port}"
    for words in (("invoke", "f"), ("logs", "f"), ("dynamodb",), ("status",)):
        ended = subprocess.run(command(*words, "--endpoint", nowhere), capture_output=True, text=True, check=False)
        assert ended.returncode == 1
        assert ended.stderr.startswith(f"Error: Pileus does not answer at {nowhere}")
        assert ended.stderr.endswith("Start it: pileus start\n")


def test_logs_follows_a_function(aws: Any, function: str) -> None:
    with subprocess.Popen(
        command("logs", "--follow", function), stdout=subprocess.PIPE, text=True, env=keys(aws)
    ) as following:
        try:
            assert following.stdout is not None
            # Before there is a group to follow.
            run(aws, "invoke", function, "--payload", '{"word": "first"}')
            while "said first" not in (line := following.stdout.readline()):
                assert line, "the follower ended"
            run(aws, "invoke", function, "--payload", '{"word": "second"}')
            while "said second" not in (line := following.stdout.readline()):
                assert line, "the follower ended"
                assert "said first" not in line
        finally:
            following.terminate()
    once = run(aws, "logs", function, "--filter", "said", "--json")
    assert [json.loads(line)["message"].strip() for line in once.stdout.splitlines()] == ["said first", "said second"]


def test_logs_of_what_is_not_there_is_one_line(aws: Any) -> None:
    ended = run(aws, "logs", "nothing")
    assert ended.returncode == 1
    assert "The specified log group does not exist" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert run(aws, "logs", "nothing", "--since", "yesterday").returncode == 2
