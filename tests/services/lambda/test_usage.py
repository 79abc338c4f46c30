"""The usage meter, over restarts, and `pileus bill`."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lambda_kit import ECHO, TRUST, package


def run_bill(endpoint: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pileus", "bill", "--endpoint", endpoint, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def bill(aws: Any, *options: str) -> dict[str, Any]:
    done = run_bill(aws.endpoint, "--account", aws.account, "--json", *options)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_what_functions_use(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    make(MemorySize=512, EphemeralStorage={"Size": 1024})
    for _ in range(3):
        lambda_.invoke(FunctionName="f")
    (line,) = bill(aws)["functions"]
    assert (line["function"], line["region"], line["architecture"], line["requests"]) == ("f", "us-east-1", "x86_64", 3)
    # Whole milliseconds with half a GB.
    assert 3 * 0.5e-3 <= line["duration_gb_s"] < 10
    assert line["duration_gb_s"] / 0.5e-3 == pytest.approx(round(line["duration_gb_s"] / 0.5e-3))
    assert line["ephemeral_storage_gb_s"] == pytest.approx(line["duration_gb_s"])
    assert bill(aws, "--month", "2001-01")["functions"] == []
    shown = run_bill(aws.endpoint, "--account", aws.account)
    assert f"Account {aws.account}: 3 requests, 3 of them free" in shown.stdout
    assert "on AWS: 0.00 USD" in shown.stdout


def test_bad_months_are_refused(aws: Any) -> None:
    done = run_bill(aws.endpoint, "--month", "2026-13")
    assert done.returncode == 1
    assert done.stderr == "Error: 2026-13 is not a month: write it like 2026-11.\n"


def test_only_the_machines_own_user_sees_it(aws: Any) -> None:
    headers = {"Origin": "https://example.com"}
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(aws.endpoint + "/_pileus/lambda/bill", headers=headers))
    assert refused.value.code == 403


def test_usage_outlives_the_node(start_pileus: Callable[..., Any], account: Callable[..., Any], tmp_path: Path) -> None:
    server = start_pileus(data_dir=tmp_path / "data")
    mine = account(server)
    lambda_ = mine.client("lambda")
    role = mine.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]["Arn"]
    code = {"ZipFile": package({"index.py": ECHO})}
    lambda_.create_function(FunctionName="f", Runtime="python3.11", Handler="index.handler", Role=role, Code=code)
    lambda_.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"Delay": 0.05, "MaxAttempts": 200})
    lambda_.invoke(FunctionName="f")
    server.stop()
    server = start_pileus(data_dir=tmp_path / "data")
    again = account(server, mine.account)
    again.client("lambda").invoke(FunctionName="f")
    (line,) = bill(again)["functions"]
    assert line["requests"] == 2
