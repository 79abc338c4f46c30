"""Python: each interpreter has a template of its own, with AWS's runtime client and the SDK loaded.

The interpreter that Pileus itself runs on finds these beside Pileus; for every other one they are fetched once.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pileus.sandbox import roots
from pileus.sandbox.contract import OWN_ADDRESS, TemplateSpec
from pileus.services.lambda_.execution import FunctionSpec
from pileus.services.lambda_.hosting.frame import (
    RUNTIME_API_PORT,
    WRAPPER,
    XRAY_DAEMON_PORT,
    Hosted,
    Interpreter,
    Language,
    Place,
    Roots,
    Start,
    wrapped,
)
from pileus.services.lambda_.hosting.programs import is_program, matching, on_path, said_by
from pileus.services.lambda_.hosting.python import packages

_INSIDE = Path(__file__).parent / "inside.py"
_BOOTSTRAP = "/var/runtime/bootstrap.py"
# Where debugpy is found when a function is debugged.
_DEBUGGER = "/var/debugger"
# What Lambda has: others are not looked for.
_MINORS = range(9, 15)
_PLACES = (
    "~/.pyenv/versions/3.{0}.*/bin/python3.{0}",
    "$PYENV_ROOT/versions/3.{0}.*/bin/python3.{0}",
    "~/.local/share/uv/python/cpython-3.{0}.*/bin/python3.{0}",
    "~/.asdf/installs/python/3.{0}.*/bin/python3.{0}",
    "~/.local/share/mise/installs/python/3.{0}.*/bin/python3.{0}",
    "/opt/python3.{0}/bin/python3.{0}",
    "/opt/homebrew/bin/python3.{0}",
)
_ASK = "import json, platform, sys; print(json.dumps([platform.python_version(), sys.base_prefix]))"


def _own() -> Interpreter:
    version = sys.version_info
    full = f"{version.major}.{version.minor}.{version.micro}"
    program = Path(os.path.realpath(sys.executable))
    return Interpreter((version.major, version.minor), full, program, Path(sys.base_prefix))


def find(folder: Path) -> list[Interpreter]:
    found = [_own()]
    for minor in _MINORS:
        if (3, minor) == found[0].version:
            continue
        candidates = [*on_path(f"python3.{minor}"), *matching(*(each.format(minor) for each in _PLACES))]
        candidates += sorted(folder.glob(f"pythons/cpython-3.{minor}.*/bin/python3.{minor}"))
        for path in candidates:
            # Of a virtual environment, the interpreter it was made with.
            program = Path(os.path.realpath(path))
            said = said_by(program, "-I", "-S", "-c", _ASK) if is_program(program) else ""
            if said:
                full, prefix = json.loads(said)
                found.append(Interpreter((3, minor), full, program, Path(prefix)))
                break
    return found


def _is_own(interpreter: Interpreter) -> bool:
    return interpreter.version == (sys.version_info.major, sys.version_info.minor)


def usable(interpreter: Interpreter, folder: Path) -> bool:
    return _is_own(interpreter) or packages.is_there(interpreter, folder)


def _runtime_packages(interpreter: Interpreter, folder: Path) -> dict[str, Path]:
    return packages.beside_pileus() if _is_own(interpreter) else packages.fetched(interpreter, folder)


def template(hosted: Hosted, place: Place, _memory_mb: int) -> TemplateSpec:
    interpreter = hosted.interpreter
    assert interpreter is not None
    python = interpreter.program
    name = "python" + ".".join(map(str, interpreter.version))
    found = _runtime_packages(interpreter, place.folder)
    if not place.private_root:
        return TemplateSpec(
            name=name,
            python_inside=str(python),
            python_outside=python,
            entry=_INSIDE,
            config={"runtime_path": _folders(found), "sdk": True, "fixed_port": False},
            environment=_template_environment("0"),
            ports=(RUNTIME_API_PORT,),
            datagram_ports=(XRAY_DAEMON_PORT,),
        )
    root = roots.machine_root(993, 990, "sbx_user1051")
    root.binds["/var/lang"] = interpreter.home
    for path in found.values():
        root.binds[f"/var/runtime/{path.name}"] = path
    root.binds[_BOOTSTRAP] = _INSIDE
    root.directories += ["/var/task", "/opt", _DEBUGGER]
    # Whatever is installed beside this machine's interpreter is not the function's.
    libraries = [f"lib/{name}/site-packages", f"lib/{name}/dist-packages", "lib/python3/dist-packages"]
    return TemplateSpec(
        name=name,
        binds=root.binds,
        files=root.files,
        links=root.links,
        directories=root.directories,
        hidden=[f"/var/lang/{each}" for each in libraries if (interpreter.home / each).is_dir()],
        python_inside=_inside(interpreter),
        python_outside=python,
        entry=_INSIDE,
        config={"runtime_path": ["/var/runtime"], "sdk": True, "fixed_port": True},
        environment=_template_environment(f"{OWN_ADDRESS}:{RUNTIME_API_PORT}"),
        ports=(RUNTIME_API_PORT, place.endpoint_port),
        datagram_ports=(XRAY_DAEMON_PORT,),
    )


def _folders(found: Mapping[str, Path]) -> list[str]:
    return sorted({str(each.parent) for each in found.values()})


def _inside(interpreter: Interpreter) -> str:
    return f"/var/lang/bin/{interpreter.program.name}"


def _template_environment(runtime_api: str) -> dict[str, str]:
    return {
        "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
        "LD_LIBRARY_PATH": "/var/lang/lib:/lib64:/usr/lib64",
        "LANG": "en_US.UTF-8",
        "LC_CTYPE": "C.UTF-8",
        "TZ": ":UTC",
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
    }


def variables(runtime: str, task_root: str) -> dict[str, str]:
    found = {"PYTHONPATH": "/var/runtime", "PWD": task_root, "SHLVL": "0"}
    # Since python3.12 (recorded answers of AWS).
    if runtime not in ("python3.8", "python3.9", "python3.10", "python3.11"):
        found["LC_CTYPE"] = "C.UTF-8"
    return found


def start(spec: FunctionSpec, hosted: Hosted, where: Roots, place: Place, _ahead: bool) -> Start:
    interpreter = hosted.interpreter
    assert interpreter is not None
    told = payload(spec, interpreter, where)
    if WRAPPER not in spec.environment and not spec.debug_port:
        return Start(payload=told, readable=() if where.private else (interpreter.home,))
    found = _runtime_packages(interpreter, place.folder)
    runtime_path = ["/var/runtime"] if where.private else _folders(found)
    program = [_inside(interpreter), _BOOTSTRAP] if where.private else [str(interpreter.program), str(_INSIDE)]
    config = {"runtime_path": runtime_path, "sdk": False, "fixed_port": False}
    mounts, readable = {}, [interpreter.home, _INSIDE, *map(Path, runtime_path)]
    if spec.debug_port:
        found_debugger = packages.debugger_of(interpreter, place.folder)
        mounts = {_DEBUGGER: (found_debugger,)} if where.private else {}
        readable.append(found_debugger)
        debugpy = f"{_DEBUGGER if where.private else found_debugger}/debugpy"
        program[1:1] = [debugpy, "--listen", f"127.0.0.1:{spec.debug_port}", "--wait-for-client"]
    argv: Sequence[str] = [*program, json.dumps({"config": config, "payload": told})]
    return Start(
        argv=wrapped(argv) if WRAPPER in spec.environment else argv,
        mounts=mounts,
        readable=() if where.private else readable,
    )


def payload(spec: FunctionSpec, interpreter: Interpreter, where: Roots) -> dict[str, Any]:
    """What the template's `wait` answers inside. The roots are paths as the function sees them."""
    version = "python" + ".".join(map(str, interpreter.version))
    layers = [
        path for root in where.layers for path in (f"{root}/python/lib/{version}/site-packages", f"{root}/python")
    ]
    # Layers stand before the runtime's packages and once more at the end.
    return {"handler": spec.handler, "path": [[where.task, *layers], layers], "roots": [where.task, *layers]}


LANGUAGE = Language(
    name="python",
    title="Python",
    pattern=r"python(\d)\.(\d{1,2})",
    how_to_get=(
        "`pileus runtimes install python3.13` fetches it, or install it so that `python3.13` is on the PATH of "
        "`pileus start`"
    ),
    find=find,
    own=_own,
    template=template,
    start=start,
    variables=variables,
    usable=usable,
    fetch=packages.fetch,
    install=packages.install_python,
    debugger=packages.fetch_debugger,
    clonable=True,
)
