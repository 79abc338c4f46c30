"""Functions that run from a folder as it is saved, and `pileus watch`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lambda_kit import ECHO, TRUST, caught, invoked, package

from waiting import until


@pytest.fixture
def here(start_pileus: Any, account: Any, tmp_path: Path) -> Any:
    """A node with a folder for hot reload; a client, a role, and the folder."""
    folder = tmp_path / "code"
    folder.mkdir()
    tmp_path.chmod(0o755)
    aws = account(start_pileus("--hot-reload", str(folder)))
    aws.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST))
    return aws.client("lambda"), f"arn:aws:iam::{aws.account}:role/r", folder, aws


def _create(client: Any, role: str, key: Path | str) -> None:
    code = {"S3Bucket": "hot-reload", "S3Key": str(key)}
    client.create_function(FunctionName="h", Runtime="python3.11", Handler="index.handler", Role=role, Code=code)
    client.get_waiter("function_active_v2").wait(FunctionName="h", WaiterConfig={"Delay": 0.05})


def test_the_next_invocation_runs_what_was_saved(here: Any) -> None:
    client, role, folder, _aws = here
    app = folder / "app"
    app.mkdir()
    (app / "index.py").write_text("from other import x\ncount = 0\n" + HANDLER)
    (app / "other.py").write_text("x = 'one'\n")
    _create(client, role, app)
    assert invoked(client, "h")[0] == ["one", 1, "OSError"]
    assert invoked(client, "h")[0] == ["one", 2, "OSError"]
    (app / "other.py").write_text("x = 'two'\n")
    assert invoked(client, "h")[0] == ["two", 1, "OSError"]
    # Another file that is renamed into place, as many editors save.
    (app / "new.py").write_text("x = 'six'\n")
    os.replace(app / "new.py", app / "other.py")
    assert invoked(client, "h")[0] == ["six", 1, "OSError"]
    (app / "other.py").write_text("x = \n")
    answer, failure, _log = invoked(client, "h")
    assert failure == "Unhandled"
    assert answer["errorType"] == "Runtime.UserCodeSyntaxError"
    # The whole folder made anew, as a build does.
    os.rename(app, folder / "old")
    app.mkdir()
    (app / "index.py").write_text("def handler(event, context):\n    return 'built'\n")
    assert invoked(client, "h")[0] == "built"
    # And back to a package.
    client.update_function_code(FunctionName="h", ZipFile=package({"index.py": ECHO}))
    client.get_waiter("function_updated_v2").wait(FunctionName="h", WaiterConfig={"Delay": 0.05})
    assert invoked(client, "h", 7)[0] == 7


HANDLER = """
def handler(event, context):
    global count
    count += 1
    try:
        open("/var/task/new", "w")
    except OSError as error:
        return [x, count, type(error).__name__]
"""


def test_only_below_the_folders_that_were_named(here: Any, tmp_path: Path) -> None:
    client, role, folder, aws = here
    outside = tmp_path / "outside"
    outside.mkdir()
    (folder / "link").symlink_to(outside)
    (folder / "file").write_text("")
    for key in (outside, folder / "link", folder / ".." / "outside", f"{folder}-beside", "/", "/etc"):
        code, status, message = caught(_create, client=client, role=role, key=key)
        assert (code, status) == ("InvalidParameterValueException", 400)
        assert "start Pileus with --hot-reload DIR" in message
    for key in (folder / "missing", folder / "file"):
        assert "There is no folder" in caught(_create, client=client, role=role, key=key)[2]
    # Elsewhere it is a bucket like any other.
    code, _status, message = caught(_create, client=client, role=role, key="relative")
    assert "S3 Error Code: NoSuchBucket" in message
    assert aws.client("lambda").list_functions()["Functions"] == []


def test_without_the_option_no_folder_is_taken(lambda_: Any, role: str, tmp_path: Path) -> None:
    code, _status, message = caught(_create, client=lambda_, role=role, key=tmp_path)
    assert code == "InvalidParameterValueException"
    assert "(given now: none)" in message


def test_watch(make: Any, lambda_: Any, aws: Any, pileus: Any, tmp_path: Path) -> None:
    make("w", Runtime="python3.11")
    (tmp_path / "index.py").write_text("def handler(event, context):\n    return 1\n")
    environment = {**os.environ, "AWS_ACCESS_KEY_ID": aws.account, "AWS_SECRET_ACCESS_KEY": "test"}
    watching = subprocess.Popen(
        [sys.executable, "-m", "pileus", "watch", "w", str(tmp_path), "--endpoint", pileus.endpoint],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        assert watching.stdout is not None
        assert watching.stdout.readline().startswith("w updated in ")
        assert invoked(lambda_, "w")[0] == 1
        (tmp_path / "index.py").write_text("def handler(event, context):\n    return 22\n")
        assert watching.stdout.readline().startswith("w updated in ")
        assert until(lambda: invoked(lambda_, "w")[0] == 22)
    finally:
        watching.kill()
        watching.wait()
        watching.stdout.close() if watching.stdout else None
