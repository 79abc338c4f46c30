"""SnapStart: versions that are initialized when they are published, and environments restored from that."""

from __future__ import annotations

import json
import os
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from feed_kit import allow
from lambda_kit import LOGGING, TRUST, caught, invoked, package

from pileus.sandbox import processes
from sandbox_lab import run_scenarios
from waiting import until

SNAP_START = {"Runtime": "python3.12", "SnapStart": {"ApplyOn": "PublishedVersions"}, "Timeout": 10}
TELLS = """
import os, uuid
ID = str(uuid.uuid4())
def handler(event, context):
    return [os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"], context.function_version, ID]
"""
IN_PENDING = "The operation cannot be performed at this time. The function is currently in the following state: "


def settled(lambda_: Any, version: str, name: str = "f") -> dict[str, Any]:
    """The version, once it is pending no more."""

    def look() -> Any:
        found = lambda_.get_function_configuration(FunctionName=name, Qualifier=version)
        return found if found["State"] != "Pending" else None

    found: dict[str, Any] = until(look)
    return found


def published(lambda_: Any, name: str = "f") -> dict[str, Any]:
    return settled(lambda_, lambda_.publish_version(FunctionName=name)["Version"], name)


def snapshots(endpoint: str) -> list[str]:
    with urllib.request.urlopen(f"{endpoint}/_pileus/status") as answer:
        return [f"{each['function']}:{each['version']}" for each in json.loads(answer.read())["snapshots"]]


@pytest.mark.skipif(sys.platform != "linux", reason="sandboxes are made of Linux")
@pytest.mark.parametrize("backend", ["namespaces", "nobody", "process"])
def test_snapshots(backend: str) -> None:
    if backend == "nobody" and os.geteuid() != 0:
        pytest.skip("this user has no privileges to give up: the namespaces case is the unprivileged one")
    results = run_scenarios("snapshot_scenarios", backend)
    assert len(results) > (12 if backend != "process" else 2)
    failed = {name: trace for name, trace in results.items() if trace}
    assert not failed, "\n\n".join(f"{name}\n{trace}" for name, trace in failed.items())


def test_a_version_is_snapshotted(lambda_: Any, make: Callable[..., Any], aws: Any) -> None:
    arn = make(code=TELLS, **SNAP_START)["FunctionArn"]
    made = lambda_.publish_version(FunctionName="f")
    on = {"ApplyOn": "PublishedVersions", "OptimizationStatus": "On"}
    assert made["SnapStart"] == on
    assert (made["State"], made["StateReasonCode"]) == ("Pending", "Creating")
    assert "LastUpdateStatus" not in made
    found = settled(lambda_, "1")
    assert (found["State"], found["LastUpdateStatus"], found["SnapStart"]) == ("Active", "Successful", on)
    assert "StateReason" not in found
    latest = lambda_.get_function_configuration(FunctionName="f")
    assert latest["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"}
    # Again without a change: the same version, which is there.
    assert lambda_.publish_version(FunctionName="f")["State"] == "Active"
    listed = {
        each["Version"]: each["SnapStart"] for each in lambda_.list_versions_by_function(FunctionName="f")["Versions"]
    }
    assert listed == {"$LATEST": latest["SnapStart"], "1": on}

    lambda_.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    (kind, version, snapshotted), error, log = invoked(lambda_, "f", Qualifier="live")
    assert (kind, version, error) == ("snap-start", "1", None)
    assert "Restore Duration: " in log
    assert "Billed Restore Duration: " in log
    assert "Init Duration" not in log
    assert invoked(lambda_, "f", Qualifier="1")[0] == ["snap-start", "1", snapshotted]
    assert invoked(lambda_, "f")[0][0] == "on-demand"

    logs = aws.client("logs")

    def messages() -> Any:
        events = logs.filter_log_events(logGroupName="/aws/lambda/f")["events"]
        found = [each for each in events if "[1]" in each["logStreamName"]]
        return found if any(each["message"].startswith("REPORT") for each in found) else None

    told = until(messages)
    streams = {each["message"].partition(" ")[0]: each["logStreamName"] for each in told}
    # Init at publishing has a stream of its own.
    assert streams["INIT_START"] == streams["INIT_REPORT"] != streams["RESTORE_START"]
    assert streams["RESTORE_START"] == streams["RESTORE_REPORT"] == streams["REPORT"]

    assert f"{arn}:1" in snapshots(aws.endpoint)
    lambda_.delete_alias(FunctionName="f", Name="live")
    lambda_.delete_function(FunctionName="f", Qualifier="1")
    until(lambda: f"{arn}:1" not in snapshots(aws.endpoint))


def test_created_and_updated_with_publish(lambda_: Any, make: Callable[..., Any]) -> None:
    made = make(code=TELLS, Publish=True, **SNAP_START)
    assert (made["Version"], made["SnapStart"]["OptimizationStatus"]) == ("1", "On")
    settled(lambda_, "1")
    changed = lambda_.update_function_code(
        FunctionName="f", ZipFile=package({"index.py": TELLS + "# changed"}), Publish=True
    )
    assert changed["Version"] == "2"
    settled(lambda_, "2")
    first, second = (invoked(lambda_, "f", Qualifier=each)[0] for each in "12")
    assert (first[:2], second[:2]) == (["snap-start", "1"], ["snap-start", "2"])
    assert first[2] != second[2]


def test_a_version_that_cannot_be_snapshotted_says_so(lambda_: Any, make: Callable[..., Any]) -> None:
    held = "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    make(code=held + TELLS, **SNAP_START)
    found = published(lambda_)
    assert found["State"] == "Active"
    assert found["SnapStart"] == {"ApplyOn": "PublishedVersions", "OptimizationStatus": "Off"}
    answer, error, log = invoked(lambda_, "f", Qualifier="1")
    assert (answer[0], error) == ("snap-start", None)
    assert "Init Duration: " in log


def test_a_failing_init(lambda_: Any, make: Callable[..., Any]) -> None:
    arn = make(code="raise RuntimeError('no')\n", **SNAP_START)["FunctionArn"]
    found = published(lambda_)
    why = "An error occurred during function initialization."
    assert (found["State"], found["StateReason"], found["StateReasonCode"]) == ("Failed", why, "FunctionError")
    assert (found["LastUpdateStatus"], found["LastUpdateStatusReason"]) == ("Failed", why)
    assert found["LastUpdateStatusReasonCode"] == "FunctionError"
    assert found["SnapStart"]["OptimizationStatus"] == "Off"
    refused = caught(lambda_.invoke, FunctionName="f", Qualifier="1")
    assert refused == ("ResourceConflictException", 409, f"{IN_PENDING}Failed")
    refused = caught(lambda_.create_alias, FunctionName="f", Name="live", FunctionVersion="1")
    assert refused == (
        "ResourceConflictException",
        409,
        f"The operation cannot be performed at this time. The resource {arn}:1 is currently in the following state: "
        "'Failed'. StateReasonCode: 'FunctionError'",
    )


def test_a_failing_restore(lambda_: Any, make: Callable[..., Any], aws: Any) -> None:
    hook = "from snapshot_restore_py import register_after_restore\nregister_after_restore(int, 'x')\n"
    make(code=hook + TELLS, **SNAP_START)
    assert published(lambda_)["State"] == "Active"
    refused = caught(lambda_.invoke, FunctionName="f", Qualifier="1")
    assert refused == (
        "SnapStartException",
        400,
        "The afterRestore() runtime hook encountered an error. For more information, check the Amazon CloudWatch logs.",
    )
    # Of an asynchronous event it is a failed attempt like others.
    sqs = aws.client("sqs")
    queue = sqs.create_queue(QueueName="failed")["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:{aws.account}:failed"
    allow(aws, {"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn})
    lambda_.put_function_event_invoke_config(
        FunctionName="f",
        Qualifier="1",
        MaximumRetryAttempts=0,
        DestinationConfig={"OnFailure": {"Destination": arn}},
    )
    lambda_.invoke(FunctionName="f", Qualifier="1", InvocationType="Event")
    (message,) = until(lambda: sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=2).get("Messages"))
    context = json.loads(message["Body"])["requestContext"]
    assert (context["condition"], context["approximateInvokeCount"]) == ("RetriesExhausted", 1)


def test_what_goes_with_it(lambda_: Any, make: Callable[..., Any], updated: Callable[[str], None]) -> None:
    def refused(what: str) -> tuple[str, int, str]:
        return "InvalidParameterValueException", 400, f"{what} is not supported for SnapStart enabled functions."

    storage = "Ephemeral storage greater than 512 MB"
    assert caught(make, EphemeralStorage={"Size": 513}, **SNAP_START) == refused(storage)
    files = {"Arn": "arn:aws:elasticfilesystem:us-east-1:111111111111:access-point/fsap-0123456789abcdef0"}
    network = {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
    mounted = {"FileSystemConfigs": [{**files, "LocalMountPath": "/mnt/x"}], "VpcConfig": network}
    assert caught(make, **mounted, **SNAP_START) == refused("FileSystemConfig")
    make(code=TELLS, **SNAP_START)
    update = lambda_.update_function_configuration
    assert caught(update, FunctionName="f", EphemeralStorage={"Size": 1024}) == refused(storage)
    published(lambda_)
    lambda_.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    for qualifier in ("1", "live"):
        put = lambda_.put_provisioned_concurrency_config
        asked = {"FunctionName": "f", "Qualifier": qualifier, "ProvisionedConcurrentExecutions": 1}
        assert caught(put, **asked) == refused("Provisioned concurrency")
    # Nor does an alias bring it along.
    update(FunctionName="f", SnapStart={"ApplyOn": "None"})
    updated("f")
    assert lambda_.publish_version(FunctionName="f")["SnapStart"]["OptimizationStatus"] == "Off"
    lambda_.create_alias(FunctionName="f", Name="other", FunctionVersion="2")
    lambda_.put_provisioned_concurrency_config(FunctionName="f", Qualifier="other", ProvisionedConcurrentExecutions=1)
    moved = {"FunctionName": "f", "Name": "other", "FunctionVersion": "1"}
    assert caught(lambda_.update_alias, **moved) == refused("Provisioned concurrency")
    assert lambda_.get_alias(FunctionName="f", Name="other")["FunctionVersion"] == "2"


def test_a_version_that_is_deleted_meanwhile(lambda_: Any, make: Callable[..., Any], aws: Any) -> None:
    """Its Init is given up, and holds nothing up."""
    arn = make(code="import time\ntime.sleep(60)\n", **SNAP_START)["FunctionArn"]
    lambda_.publish_version(FunctionName="f")
    logs = aws.client("logs")
    until(lambda: logs.filter_log_events(logGroupName="/aws/lambda/f", filterPattern="INIT_START")["events"])
    lambda_.delete_function(FunctionName="f", Qualifier="1")
    make("g", code=TELLS, **SNAP_START)
    assert published(lambda_, "g")["State"] == "Active"
    assert f"{arn}:1" not in snapshots(aws.endpoint)


def test_the_roles_credentials(lambda_: Any, make: Callable[..., Any]) -> None:
    code = """
import boto3
client = boto3.client("sts")
first = client.get_caller_identity()["Arn"]
def handler(event, context):
    return [first, client.get_caller_identity()["Arn"]]
"""
    make(code=code, MemorySize=256, **SNAP_START)
    assert published(lambda_)["SnapStart"]["OptimizationStatus"] == "On"
    found, error, _log = invoked(lambda_, "f", Qualifier="1")
    assert error is None, found
    assert found[0] == found[1]
    assert found[1].endswith(":assumed-role/function-role/f")


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _on_its_own(server: Any, account: Callable[..., Any], number: str | None = None) -> tuple[Any, Any]:
    """An account on a server of the test's own, and its Lambda; with a snapshotted version 1 of `f`, if it is new."""
    aws = account(server, number)
    lambda_ = aws.client("lambda")
    if number is None:
        iam = aws.client("iam")
        iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST))
        iam.put_role_policy(RoleName="r", PolicyName="logs", PolicyDocument=json.dumps(LOGGING))
        code = {"ZipFile": package({"index.py": TELLS})}
        settings = {"Handler": "index.handler", "Role": f"arn:aws:iam::{aws.account}:role/r", "Code": code}
        lambda_.create_function(FunctionName="f", Publish=True, **settings, **SNAP_START)
        assert settled(lambda_, "1")["SnapStart"]["OptimizationStatus"] == "On"
    return aws, lambda_


def test_a_version_that_nobody_invokes(start_pileus: Any, account: Any) -> None:
    server = start_pileus("--clock", "virtual")
    _aws, lambda_ = _on_its_own(server, account)
    day = 86400.0
    server.advance(13 * day)
    first = invoked(lambda_, "f", Qualifier="1")[0]
    # Counted from the last invocation.
    server.advance(13 * day)
    assert settled(lambda_, "1")["State"] == "Active"
    assert snapshots(server.endpoint)
    server.advance(1.1 * day)
    found = lambda_.get_function_configuration(FunctionName="f", Qualifier="1")
    assert (found["State"], found["StateReasonCode"]) == ("Inactive", "Idle")
    assert found["SnapStart"]["OptimizationStatus"] == "Off"
    until(lambda: not snapshots(server.endpoint))
    # An invocation has it initialized again.
    refused = caught(lambda_.invoke, FunctionName="f", Qualifier="1")
    assert refused == (
        "SnapStartNotReadyException",
        409,
        "Lambda is initializing your function. It will be ready to invoke once your function state becomes ACTIVE.",
    )
    found = settled(lambda_, "1")
    assert (found["State"], found["SnapStart"]["OptimizationStatus"]) == ("Active", "On")
    again = invoked(lambda_, "f", Qualifier="1")[0]
    assert again[:2] == first[:2]
    assert again[2] != first[2]


def test_what_snapshots_cost(start_pileus: Any, account: Any) -> None:
    server = start_pileus("--clock", "virtual")
    aws, lambda_ = _on_its_own(server, account)
    hour = 3600.0
    memory_gb = lambda_.get_function_configuration(FunctionName="f")["MemorySize"] / 1024

    def costs() -> tuple[float, float]:
        query = f"/_pileus/lambda/bill?account={aws.account}"
        found = json.load(urllib.request.urlopen(server.endpoint + query))["functions"]
        return sum(each["snapshots_cached_gb_s"] for each in found), sum(
            each["snapshots_restored_gb"] for each in found
        )

    server.advance(hour)
    cached, restored = costs()
    assert cached == pytest.approx(memory_gb * hour, rel=0.01)
    assert restored == 0
    invoked(lambda_, "f", Qualifier="1")
    until(lambda: costs()[1] == memory_gb)
    # Three hours at least, however soon it is deleted; and nothing after that.
    lambda_.delete_function(FunctionName="f")
    assert costs()[0] == pytest.approx(memory_gb * 3 * hour, rel=0.01)
    server.advance(2 * hour)
    assert costs()[0] == pytest.approx(memory_gb * 3 * hour, rel=0.01)


def test_a_node_that_is_killed(start_pileus: Any, account: Any, tmp_path: Any) -> None:
    """Its snapshots are gone; each is made again when its version is invoked."""
    server = start_pileus()
    aws, lambda_ = _on_its_own(server, account)
    first = invoked(lambda_, "f", Qualifier="1")[0]
    pending = lambda_.update_function_code(FunctionName="f", ZipFile=package({"index.py": TELLS + "#"}), Publish=True)[
        "Version"
    ]
    # Frozen and waiting ones among them: all end with the node.
    everybody = processes.below(server.process.pid)
    server.kill()
    until(lambda: not any(map(is_alive, everybody)))
    server = start_pileus(data_dir=tmp_path / "data")
    aws, lambda_ = _on_its_own(server, account, aws.account)
    assert settled(lambda_, "1")["State"] == "Active"
    assert not [each for each in snapshots(server.endpoint) if each.endswith(":1")]
    again, error, log = invoked(lambda_, "f", Qualifier="1")
    assert (again[:2], error) == (first[:2], None)
    assert again[2] != first[2]
    assert "Restore Duration: " in log
    # One that was being published is, all the same.
    assert settled(lambda_, pending)["State"] == "Active"
    assert invoked(lambda_, "f", Qualifier=pending)[0][:2] == ["snap-start", pending]
