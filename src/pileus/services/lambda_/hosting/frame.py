"""The words in which runtimes are described. A language is data: see the folders beside this module."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pileus.sandbox.contract import TemplateSpec
from pileus.services.lambda_.execution import FunctionSpec

RUNTIME_API_PORT = 9001
XRAY_DAEMON_PORT = 2000
# Programs have their standard output once more there: runtime clients write frames to it, which keep a message whole.
TELEMETRY_FD = 62
TELEMETRY = {"_LAMBDA_TELEMETRY_LOG_FD": str(TELEMETRY_FD)}
# Where programs look for libraries.
LIBRARIES = "/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib"

Version = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Interpreter:
    """One that was found on this machine."""

    # As runtimes name it: (3, 12) for python3.12, (20,) for nodejs20.x.
    version: Version
    # As it names itself: "3.12.1".
    full: str
    # The program itself, no link to it; and the folder that holds what it needs.
    program: Path
    home: Path


@dataclass(frozen=True, slots=True)
class Hosted:
    """What the functions of a runtime run on here."""

    runtime: str
    language: Language
    # None where the function brings its own.
    interpreter: Interpreter | None = None
    # What is to be known of it: that it is not the very one, and why.
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The node, as far as templates need it."""

    endpoint_port: int
    private_root: bool
    # What is made or fetched for runtimes is kept here.
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Roots:
    """Where a function finds its own files, as it sees them itself."""

    task: str
    # /opt; without a private root, each layer where it lies.
    layers: Sequence[str]
    private: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What an environment runs: a program, or (without `argv`) what its template has ready, told by the payload."""

    argv: Sequence[str] = ()
    payload: Mapping[str, Any] = field(default_factory=dict)
    # Directories of the machine that it needs beside the template's, by their paths inside.
    mounts: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    # Without a private root: what it must be able to read beside the function's own files.
    readable: Sequence[Path] = ()
    # It cannot be started at all: type and text of the error.
    failure: tuple[str, str] | None = None


async def _nothing_to_make(_hosted: Hosted, _place: Place) -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """How one language is hosted."""

    name: str
    # For people.
    title: str
    # Of its runtimes' names; the groups are the numbers of the version.
    pattern: str
    # One clause: what a person does to have it here.
    how_to_get: str
    # Interpreters on this machine; quick, and asked again and again.
    find: Callable[[Path], list[Interpreter]]
    # The one that Pileus itself runs on, which needs not be looked for.
    own: Callable[[], Interpreter] | None = None
    # `memory_mb` is 0 but for programs that start ahead of their function, which are told theirs.
    template: Callable[[Hosted, Place, int], TemplateSpec]
    # `ahead`: the template has the program running already.
    start: Callable[[FunctionSpec, Hosted, Roots, Place, bool], Start]
    # Environment variables beyond those that every function has; the function's own win over them.
    variables: Callable[[str, str], Mapping[str, str]]
    # What must be there before a template can be made: compiled, fetched. Raises `SandboxError`.
    make: Callable[[Hosted, Place], Awaitable[None]] = _nothing_to_make
    # Whether functions can have it now; False while something is being fetched for it in the background.
    usable: Callable[[Interpreter, Path], bool] = lambda _interpreter, _folder: True
    # Fetches what makes it usable, or more of it. Raises `SandboxError`.
    fetch: Callable[[Interpreter, Path], Awaitable[None]] | None = None
    # Brings an interpreter of that version into the folder, where `find` finds it. Raises `SandboxError`.
    install: Callable[[Version, Path], Awaitable[None]] | None = None
    # Fetches what functions may find beside the interpreter without needing it to start.
    complete: Callable[[Path, Callable[[str], None]], Awaitable[None]] | None = None
    # Fetches what a debugger needs; None: functions cannot be debugged. `start` honours the spec's `debug_port`.
    debugger: Callable[[Interpreter, Path], Awaitable[None]] | None = None
    # What is worth knowing where all is well.
    remark: Callable[[Path], str] = lambda _folder: ""
    # The program starts before its function is known, where the function sets no variables that begin with these.
    ahead: bool = False
    read_at_start: tuple[str, ...] = ()
    # Whether what its template has ready can be cloned after Init (`sandbox.contract.Assignment.template`).
    clonable: bool = False
    # Shells that wait for a function.
    ready_shells: int = 2

    def version_of(self, runtime: str) -> Version | None:
        """(3, 11) for "python3.11"; None where it is not a runtime of this language."""
        match = re.fullmatch(self.pattern, runtime)
        return tuple(int(each) for each in match.groups()) if match else None


WRAPPER = "AWS_LAMBDA_EXEC_WRAPPER"
# As the bootstrap scripts of AWS's base images do it ("Modifying the runtime environment": wrapper scripts).
_WRAP = (
    f'w="${WRAPPER}"; '
    'if [ ! -f "$w" ]; then echo "$w: does not exist"; exit 127; fi; '
    'if [ ! -x "$w" ]; then echo "$w: is not an executable"; exit 126; fi; '
    'exec "$w" "$@"'
)


def wrapped(argv: Sequence[str]) -> Sequence[str]:
    """The command line that starts the function's wrapper script, which starts `argv`."""
    return ("/bin/sh", "-c", _WRAP, "bootstrap", *argv)
