"""AWS's runtime client and the SDK: beside Pileus for its own interpreter, fetched once for each other one."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path

from pileus.sandbox.contract import SandboxError
from pileus.services.lambda_.hosting.fetching import new_folder, run_quietly
from pileus.services.lambda_.hosting.frame import Interpreter, Version

# What AWS's /var/runtime holds.
_PACKAGES = (
    "awslambdaric",
    "boto3",
    "botocore",
    "dateutil",
    "jmespath",
    "runtime_client",
    "s3transfer",
    "simplejson",
    "six",
    "snapshot_restore_py",
    "urllib3",
)
_WANTED = ("awslambdaric", "boto3")


def beside_pileus() -> dict[str, Path]:
    """The folder or file of each package, as installed beside Pileus."""
    found: dict[str, Path] = {}
    for name in _PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            continue
        origin = Path(spec.origin)
        found[name] = origin.parent if spec.submodule_search_locations else origin
    return found


def place_of(interpreter: Interpreter, folder: Path) -> Path:
    return folder / f"python{interpreter.full}-packages"


def is_there(interpreter: Interpreter, folder: Path) -> bool:
    return place_of(interpreter, folder).is_dir()


def fetched(interpreter: Interpreter, folder: Path) -> dict[str, Path]:
    found = place_of(interpreter, folder)
    try:
        names = sorted(os.listdir(found))
    except OSError as error:
        raise SandboxError(f"the packages of Python {interpreter.full} are gone: {error}") from error
    return {name: found / name for name in names if name not in ("bin", "__pycache__") and not name.startswith(".")}


async def fetch(interpreter: Interpreter, folder: Path) -> None:
    """Install them for an interpreter that is not Pileus's own. Raises `SandboxError` with what the installer said."""
    if is_there(interpreter, folder):
        return
    target = place_of(interpreter, folder)
    with new_folder(target) as making:
        said = ""
        for command in _commands(interpreter, making, *_WANTED):
            said = await run_quietly(command)
            if not said:
                break
        if said or not _holds(making, "awslambdaric"):
            raise SandboxError(f"the runtime client for Python {interpreter.full} cannot be installed: {said}")


def _holds(folder: Path, name: str) -> bool:
    return (folder / name).exists()


def debugger_of(interpreter: Interpreter, folder: Path) -> Path:
    return folder / f"python{interpreter.full}-debugpy"


async def fetch_debugger(interpreter: Interpreter, folder: Path) -> None:
    """debugpy, which editors speak to. Raises `SandboxError`."""
    target = debugger_of(interpreter, folder)
    if _holds(target, "debugpy"):
        return
    with new_folder(target) as making:
        said = ""
        for command in _commands(interpreter, making, "debugpy"):
            said = await run_quietly(command)
            if not said:
                break
        if said:
            raise SandboxError(f"debugpy for Python {interpreter.full} cannot be installed: {said}")


def _commands(interpreter: Interpreter, target: Path, *wanted: str) -> list[list[str]]:
    python = str(interpreter.program)
    commands = []
    if uv := shutil.which("uv"):
        options = ["--quiet", "--compile-bytecode", "--python", python, "--target", str(target)]
        commands.append([uv, "pip", "install", *options, *wanted])
    pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--target", str(target)]
    commands.append([python, *pip, *wanted])
    commands.append([sys.executable, "-m", "pip", "--python", python, *pip[2:], *wanted])
    return commands


async def install_python(version: Version, folder: Path) -> None:
    """Through uv, which fetches builds that need nothing of the machine."""
    uv = shutil.which("uv")
    name = ".".join(map(str, version))
    if uv is None:
        raise SandboxError(f"uv is not on the PATH, and it is what fetches Python {name}: pip install uv")
    command = [uv, "python", "install", "--no-progress", "--no-bin", "--install-dir", str(folder / "pythons"), name]
    if said := await run_quietly(command):
        raise SandboxError(f"uv cannot install Python {name}: {said}")
