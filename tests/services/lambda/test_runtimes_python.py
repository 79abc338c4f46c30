"""Python functions on every interpreter that is here: each with a template, a runtime client and an SDK of its own."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lambda_kit import TRUST, caught, invoked, package, program

from pileus.cli.common import cache_dir
from pileus.sandbox.contract import SandboxError
from pileus.services.lambda_.hosting import python
from pileus.services.lambda_.hosting.catalog import Catalog, Missing, nearest
from pileus.services.lambda_.hosting.frame import Hosted, Interpreter
from pileus.services.lambda_.hosting.python import packages
from waiting import until

OWN = (sys.version_info.major, sys.version_info.minor)
CODE = """
import os, sys
import boto3
def handler(event, context):
    try:
        os.mkdir("/var/lang/mine")
    except OSError as error:
        written = type(error).__name__
    found = [name for name in ("pip", "setuptools") if __import__("importlib.util").util.find_spec(name)]
    return {"version": list(sys.version_info[:2]), "boto3": boto3.__file__, "user": os.getuid(), "found": found,
            "written": written, "prefix": sys.prefix, "tmp": os.listdir("/tmp"), "root": sorted(os.listdir("/"))}
"""


@pytest.mark.parametrize("minor", range(9, 15))
def test_each_interpreter(minor: int, make: Callable[..., Any], lambda_: Any) -> None:
    folder = (cache_dir() or Path("/nowhere")) / "runtimes"
    interpreter = next((each for each in python.find(folder) if each.version == (3, minor)), None)
    if interpreter is None:
        pytest.skip(f"python3.{minor} is not installed")
    if interpreter.version != OWN:
        try:
            asyncio.run(packages.fetch(interpreter, folder))
        except SandboxError as error:
            pytest.skip(str(error))
    make("f", CODE, Runtime=f"python3.{minor}", Timeout=10)

    def answer() -> Any:
        # The node may have looked before what it needs was there.
        found, failure, log = invoked(lambda_, "f")
        assert failure is None, (found, log)
        return found if found["version"] == [3, minor] else None

    found = until(answer)
    root = found.pop("root")
    assert found == {
        "version": [3, minor],
        "boto3": "/var/runtime/boto3/__init__.py",
        "user": 993,
        "found": [],
        "written": "OSError",
        "prefix": "/var/lang",
        "tmp": [],
    }
    # Nothing of the machine's users and settings.
    assert not {"root", "mnt", "srv", "boot"} & set(root)


def test_a_wrapper_script(make: Callable[..., Any], lambda_: Any) -> None:
    """It starts the runtime itself, with what it likes in its environment."""
    code = (
        b"import os, sys\ndef handler(event, c):\n    return [os.environ.get('WRAPPED'), sys.flags.optimize, event]\n"
    )
    script = b'#!/bin/bash\nexport WRAPPED="$1"\nshift\nexec /var/lang/bin/python3 -O "$@"\n'
    files = {"index.py": code, "wrapper": script.replace(b"python3", f"python{OWN[0]}.{OWN[1]}".encode())}
    wrapper = {"Variables": {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrapper"}}
    make("f", Code={"ZipFile": program(files, "wrapper")}, Environment=wrapper, Timeout=10)
    answer, failure, log = invoked(lambda_, "f", {"a": 1})
    assert failure is None, (answer, log)
    assert answer == [f"/var/lang/bin/python{OWN[0]}.{OWN[1]}", 1, {"a": 1}]


@pytest.mark.parametrize(("mode", "status"), [("missing", 127), ("plain", 126)])
def test_a_wrapper_script_that_cannot_run(make: Any, lambda_: Any, mode: str, status: int) -> None:
    """A recorded answer of AWS."""
    files = {"index.py": "", **({"wrapper": ""} if mode == "plain" else {})}
    wrapper = {"Variables": {"AWS_LAMBDA_EXEC_WRAPPER": "/var/task/wrapper"}}
    make("f", Code={"ZipFile": package(files)}, Environment=wrapper)
    answer, failure, _log = invoked(lambda_, "f")
    assert failure == "Unhandled"
    assert answer["errorType"] == "Runtime.ExitError"
    assert answer["errorMessage"].endswith(f" Error: Runtime exited with error: exit status {status}")


def _interpreter(minor: int) -> Interpreter:
    return Interpreter((3, minor), f"3.{minor}.0", Path(f"/python3.{minor}"), Path("/"))


def test_the_nearest_interpreter() -> None:
    """Newer before older."""
    found = [_interpreter(minor) for minor in (12, 10, 9)]

    def chosen(wanted: int) -> int:
        best = nearest((3, wanted), found)
        assert best is not None
        return best.version[1]

    assert [chosen(each) for each in (8, 9, 10, 11, 12, 13, 14)] == [9, 9, 10, 12, 12, 12, 12]
    assert nearest((3, 12), []) is None


def test_what_the_catalog_says(tmp_path: Path) -> None:
    catalog, strict = Catalog(tmp_path), Catalog(tmp_path, strict=True)
    for each in (catalog, strict):
        each.look(python.LANGUAGE)
    minor = OWN[1]
    exact = strict.choose_known(f"python3.{minor}", python.LANGUAGE)
    assert isinstance(exact, Hosted)
    assert exact.note == ""
    other = catalog.choose_known("python3.8", python.LANGUAGE)
    assert isinstance(other, Hosted)
    assert other.note.startswith("python3.8 is not installed on this machine: it runs on Python 3.")
    refused = strict.choose_known("python3.8", python.LANGUAGE)
    assert isinstance(refused, Missing)
    assert refused.reason.startswith("python3.8 is not installed on this machine, and --strict-runtimes takes no other")


def test_strict_runtimes_refuse_another_version(start_pileus: Any, account: Any) -> None:
    aws = account(start_pileus("--strict-runtimes"))
    aws.client("iam").create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST))
    settings = {"Handler": "index.handler", "Role": f"arn:aws:iam::{aws.account}:role/r"}
    settings["Code"] = {"ZipFile": package({"index.py": ""})}
    create = aws.client("lambda").create_function
    code, status, message = caught(create, FunctionName="f", Runtime="python3.8", **settings)
    assert (code, status) == ("InvalidParameterValueException", 400)
    assert "python3.8 is not installed on this machine, and --strict-runtimes takes no other version" in message
    made = create(FunctionName="f", Runtime=f"python3.{OWN[1]}", **settings)
    assert made["Runtime"] == f"python3.{OWN[1]}"


def test_a_language_that_is_not_there_is_refused_at_once(lambda_: Any, role: str) -> None:
    missing = {"ruby3.3": "ruby", "dotnet8": "dotnet"}
    runtime = next((runtime for runtime, program in missing.items() if shutil.which(program) is None), None)
    if runtime is None:
        pytest.skip("ruby and dotnet are installed")
    code = {"ZipFile": package({"x": ""})}
    create = lambda_.create_function
    kind, status, message = caught(create, FunctionName="f", Runtime=runtime, Handler="a", Role=role, Code=code)
    assert (kind, status) == ("InvalidParameterValueException", 400)
    title = {"ruby3.3": "Ruby", "dotnet8": ".NET"}[runtime]
    begin = f"Functions of the runtime {runtime} cannot run here: {title} is not installed on this machine: install "
    assert message.startswith(begin)
    assert lambda_.list_functions()["Functions"] == []
