"""provided.al2023 and provided.al2: the function brings its own runtime, an executable named `bootstrap`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pileus.sandbox.contract import TemplateSpec
from pileus.services.lambda_.execution import FunctionSpec
from pileus.services.lambda_.hosting.frame import Hosted, Interpreter, Language, Place, Roots, Start
from pileus.services.lambda_.hosting.programs import program_template

_LIBRARIES = "/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"


def find(_folder: Path) -> list[Interpreter]:
    return []


def template(_hosted: Hosted, place: Place, _memory_mb: int) -> TemplateSpec:
    return program_template("provided", place)


def variables(runtime: str, _task_root: str) -> Mapping[str, str]:
    # Recorded answers of AWS: only here there is no /var/lang.
    if runtime == "provided.al2":
        return {"LD_LIBRARY_PATH": _LIBRARIES, "PATH": "/usr/local/bin:/usr/bin/:/bin:/opt/bin"}
    return {}


def start(spec: FunctionSpec, _hosted: Hosted, where: Roots, _place: Place, _ahead: bool) -> Start:
    """/var/task/bootstrap, else /opt/bootstrap ("Building a custom runtime")."""
    candidates = [(spec.code_dir, f"{where.task}/bootstrap")]
    # The later layer's file covers the earlier one's.
    candidates += [
        (layer, "/opt/bootstrap" if where.private else f"{layer}/bootstrap") for layer in reversed(spec.layer_dirs)
    ]
    for folder, inside in candidates:
        if (folder / "bootstrap").is_file():
            return Start(argv=(inside,))
    return Start(
        failure=(
            "Runtime.InvalidEntrypoint",
            "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]",
        )
    )


LANGUAGE = Language(
    name="provided",
    title="Custom runtimes",
    pattern=r"provided\.al2(?:023)?",
    how_to_get="they need nothing",
    find=find,
    template=template,
    start=start,
    variables=variables,
)
