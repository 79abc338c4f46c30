""".NET (C#, F#, PowerShell): the function's own assembly, run by the machine's `dotnet`.

An executable assembly brings its runtime client (AWS's package Amazon.Lambda.RuntimeSupport) and is run as it is
("Lambda function handler in C#": executable assemblies). For a handler in a class library
("Assembly::Namespace.Class::Method") the same package, shipped with the function, is what is run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from pileus.sandbox.contract import TemplateSpec
from pileus.services.lambda_.execution import FunctionSpec
from pileus.services.lambda_.hosting.frame import (
    TELEMETRY,
    WRAPPER,
    Hosted,
    Interpreter,
    Language,
    Place,
    Roots,
    Start,
    wrapped,
)
from pileus.services.lambda_.hosting.programs import is_program, matching, on_path, program_template

_DOTNET_INSIDE = "/var/lang/bin/dotnet"
_PLACES = ("$DOTNET_ROOT/dotnet", "~/.dotnet/dotnet", "/usr/lib/dotnet/dotnet", "/usr/share/dotnet/dotnet")
_SUPPORT = "Amazon.Lambda.RuntimeSupport.dll"


def find(_folder: Path) -> list[Interpreter]:
    """A host runs whichever frameworks lie beside it: shared/Microsoft.NETCore.App/8.0.11."""
    found = []
    for path in [*on_path("dotnet"), *matching(*_PLACES)]:
        program = Path(os.path.realpath(path))
        if is_program(program):
            frameworks = sorted((program.parent / "shared" / "Microsoft.NETCore.App").glob("*"), reverse=True)
            numbers = [each.name for each in frameworks if re.fullmatch(r"\d+\.\d+\.\d+", each.name)]
            found += [Interpreter((int(each.split(".")[0]),), each, program, program.parent) for each in numbers]
    return found


def template(hosted: Hosted, place: Place, _memory_mb: int) -> TemplateSpec:
    interpreter = hosted.interpreter
    assert interpreter is not None
    return program_template(f"dotnet{interpreter.version[0]}", place, binds={"/var/lang/bin": interpreter.home})


def variables(runtime: str, task_root: str) -> Mapping[str, str]:
    return {
        "PWD": task_root,
        "SHLVL": "0",
        "DOTNET_ROOT": "/var/lang/bin",
        "LAMBDA_RUNTIME_NAME": runtime,
        **TELEMETRY,
        # There may be no ICU beside the machine's dotnet.
        "DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1",
    }


def start(spec: FunctionSpec, hosted: Hosted, where: Roots, _place: Place, _ahead: bool) -> Start:
    interpreter = hosted.interpreter
    assert interpreter is not None
    dotnet = _DOTNET_INSIDE if where.private else str(interpreter.program)
    assembly = spec.handler.partition("::")[0]
    main = assembly if "::" not in spec.handler else _SUPPORT.removesuffix(".dll")
    if not (spec.code_dir / f"{main}.dll").is_file():
        return Start(failure=("Runtime.InvalidEntrypoint", f"Couldn't find {where.task}/{main}.dll"))
    argv = [dotnet, "exec"]
    for option, suffix in (("--depsfile", "deps.json"), ("--runtimeconfig", "runtimeconfig.json")):
        if (spec.code_dir / f"{assembly}.{suffix}").is_file():
            argv += [option, f"{where.task}/{assembly}.{suffix}"]
    argv.append(f"{where.task}/{main}.dll")
    if main != assembly:
        argv.append(spec.handler)
    return Start(
        argv=wrapped(argv) if WRAPPER in spec.environment else argv,
        readable=() if where.private else (interpreter.home,),
    )


LANGUAGE = Language(
    name="dotnet",
    title=".NET",
    pattern=r"dotnet(\d+)",
    how_to_get="install the .NET runtime so that `dotnet` is on the PATH of `pileus start`",
    find=find,
    template=template,
    start=start,
    variables=variables,
)
