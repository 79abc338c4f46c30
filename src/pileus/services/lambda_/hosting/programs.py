"""Templates of programs that are not Python's: the Python that makes the sandbox is taken away before they run."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from pileus.sandbox import roots
from pileus.sandbox.contract import TemplateSpec
from pileus.services.lambda_.hosting.frame import LIBRARIES, RUNTIME_API_PORT, TELEMETRY_FD, XRAY_DAEMON_PORT, Place

_MAKER = "/.maker"


def program_template(
    name: str,
    place: Place,
    *,
    binds: Mapping[str, Path] | None = None,
    links: Mapping[str, str] | None = None,
    files: Mapping[str, bytes] | None = None,
    ahead: Sequence[str] = (),
    ahead_environment: Mapping[str, str] | None = None,
) -> TemplateSpec:
    """A root with the machine's programs, what is bound beside them, and /var/task and /opt to come."""
    python = Path(os.path.realpath(sys.executable))
    if not place.private_root:
        return TemplateSpec(
            name=name,
            python_inside=str(python),
            python_outside=python,
            ports=(RUNTIME_API_PORT,),
            datagram_ports=(XRAY_DAEMON_PORT,),
            output_again=TELEMETRY_FD,
        )
    root = roots.machine_root(993, 990, "sbx_user1051")
    root.directories += ["/var/task", "/opt", "/var/runtime", "/var/lang/bin", _MAKER]
    if ahead:
        # The dynamic linker never looks again at a folder that was not there when it first did.
        root.directories += [each for each in LIBRARIES.split(":") if each.startswith(("/var/task", "/opt"))]
    return TemplateSpec(
        name=name,
        binds={**root.binds, **(binds or {}), _MAKER: Path(sys.base_prefix)},
        files={**root.files, **(files or {})},
        links={**root.links, **(links or {})},
        directories=root.directories,
        dropped=(_MAKER,),
        python_inside=f"{_MAKER}/bin/{python.name}",
        python_outside=python,
        environment={"LD_LIBRARY_PATH": f"{_MAKER}/lib", "PYTHONDONTWRITEBYTECODE": "1"},
        ahead=ahead,
        ahead_environment={"LD_LIBRARY_PATH": LIBRARIES, **(ahead_environment or {})},
        ports=(RUNTIME_API_PORT, place.endpoint_port),
        datagram_ports=(XRAY_DAEMON_PORT,),
        output_again=TELEMETRY_FD,
    )


def on_path(*names: str) -> list[Path]:
    """Programs of these names in the folders of $PATH; scripts (shims of version managers) are left out."""
    found = []
    for folder in os.environ.get("PATH", os.defpath).split(os.pathsep):
        for name in names:
            path = Path(folder or ".", name)
            if is_program(path):
                found.append(path)
    return found


def is_program(path: Path) -> bool:
    """Whether it is an executable of this machine, no script."""
    try:
        with path.open("rb") as file:
            return file.read(4) in (b"\x7fELF", b"\xcf\xfa\xed\xfe") and os.access(path, os.X_OK)
    except OSError:
        return False


def matching(*patterns: str) -> list[Path]:
    """Paths that match; "~" and variables stand for what they do in a shell."""
    import glob

    found = []
    for pattern in patterns:
        expanded = os.path.expandvars(os.path.expanduser(pattern))
        if "$" not in expanded:
            found += sorted(map(Path, glob.glob(expanded)))
    return found


def said_by(program: Path, *arguments: str) -> str:
    """What a program prints of itself; remembered for as long as the file stays the same."""
    import subprocess

    try:
        stamp = program.stat()
        key = (str(program), arguments, stamp.st_mtime_ns, stamp.st_size)
        if key not in _said:
            done = subprocess.run(
                [program, *arguments], capture_output=True, text=True, timeout=20, check=False, stdin=subprocess.DEVNULL
            )
            _said[key] = done.stdout if done.returncode == 0 else ""
        return _said[key]
    except (OSError, subprocess.TimeoutExpired):
        return ""


_said: dict[tuple[str, tuple[str, ...], int, int], str] = {}
