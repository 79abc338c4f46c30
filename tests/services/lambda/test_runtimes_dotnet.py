""".NET functions: what the machine's `dotnet` is told to run. What it runs is tried where there is one."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from pileus.services.lambda_.execution import FunctionSpec
from pileus.services.lambda_.hosting import dotnet
from pileus.services.lambda_.hosting.frame import Hosted, Interpreter, Place, Roots, Start


async def _nobody() -> Any:
    raise AssertionError("nobody asks for credentials here")


def _start(folder: Path, handler: str, *files: str) -> Start:
    for name in files:
        (folder / name).write_text("")
    spec = FunctionSpec(
        fingerprint="f", arn="a", name="f", version="1", account="0", region="r", runtime="dotnet8", handler=handler,
        code_dir=folder, log_group="g", credentials=_nobody,
    )  # fmt: skip
    hosted = Hosted("dotnet8", dotnet.LANGUAGE, Interpreter((8,), "8.0.1", Path("/usr/lib/dotnet/dotnet"), folder))
    where = Roots(task="/var/task", layers=["/opt"], private=True)
    return dotnet.start(spec, hosted, where, Place(endpoint_port=1, private_root=True, folder=folder), False)


def test_an_executable_assembly(tmp_path: Path) -> None:
    start = _start(tmp_path, "App", "App.dll", "App.runtimeconfig.json", "App.deps.json")
    described = ["--depsfile", "/var/task/App.deps.json", "--runtimeconfig", "/var/task/App.runtimeconfig.json"]
    assert list(start.argv) == ["/var/lang/bin/dotnet", "exec", *described, "/var/task/App.dll"]


def test_a_class_library_with_its_runtime_client(tmp_path: Path) -> None:
    start = _start(tmp_path, "Lib::Space.Type::Method", "Lib.dll", "Amazon.Lambda.RuntimeSupport.dll")
    assert list(start.argv)[2:] == ["/var/task/Amazon.Lambda.RuntimeSupport.dll", "Lib::Space.Type::Method"]


def test_a_package_without_what_its_handler_names(tmp_path: Path) -> None:
    start = _start(tmp_path, "Missing")
    assert start.failure == ("Runtime.InvalidEntrypoint", "Couldn't find /var/task/Missing.dll")


@pytest.mark.skipif(shutil.which("dotnet") is None, reason="dotnet is not installed")
def test_the_frameworks_of_the_machine() -> None:
    assert dotnet.find(Path("/nowhere"))
