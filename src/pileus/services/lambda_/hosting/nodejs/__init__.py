"""Node.js: a runtime client of our own (`index.mjs`), in a node that is there before its function is known.

V8 takes the size of its heap when it starts: there is a template for each size of memory that functions have.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from pileus.sandbox.contract import TemplateSpec
from pileus.services.lambda_.execution import FunctionSpec
from pileus.services.lambda_.hosting.frame import (
    WRAPPER,
    Hosted,
    Interpreter,
    Language,
    Place,
    Roots,
    Start,
    Version,
    wrapped,
)
from pileus.services.lambda_.hosting.nodejs import packages
from pileus.services.lambda_.hosting.programs import is_program, matching, on_path, program_template, said_by

_CLIENT = Path(__file__).parent / "index.mjs"
_CLIENT_INSIDE = "/var/runtime/index.mjs"
_NODE_INSIDE = "/var/lang/bin/node"
_PLACES = (
    "~/.nvm/versions/node/v*/bin/node",
    "$NVM_DIR/versions/node/v*/bin/node",
    "~/.volta/tools/image/node/*/bin/node",
    "~/.local/share/fnm/node-versions/*/installation/bin/node",
    "~/.asdf/installs/nodejs/*/bin/node",
    "~/.local/share/mise/installs/node/*/bin/node",
    "/usr/local/n/versions/node/*/bin/node",
    "/opt/node*/bin/node",
    "/opt/homebrew/opt/node*/bin/node",
)
_OLDEST = 16
_ENVIRONMENT = {
    "LANG": "en_US.UTF-8",
    "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
    "TZ": ":UTC",
    # What it would report to itself.
    "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9001",
}


def find(folder: Path) -> list[Interpreter]:
    found = []
    for path in [*on_path("node", "nodejs"), *matching(*_PLACES), *packages.installed_nodes(folder)]:
        program = Path(os.path.realpath(path))
        match = re.match(r"v(\d+)(\.\d+\.\d+)", said_by(program, "--version")) if is_program(program) else None
        if match and int(match[1]) >= _OLDEST:
            found.append(Interpreter((int(match[1]),), match[1] + match[2], program, program.parent.parent))
    return found


def _options(memory_mb: int) -> list[str]:
    """As AWS starts it: the old generation has nine tenths of the function's memory."""
    return [
        "--expose-gc",
        f"--max-semi-space-size={max(1, memory_mb * 5 // 100)}",
        f"--max-old-space-size={memory_mb * 90 // 100}",
    ]


def _inspector(interpreter: Interpreter, port: int) -> list[str]:
    """Wait for a debugger: before the first line where that is possible, else stopped in it."""
    if not port:
        return []
    number = tuple(int(each) for each in interpreter.full.split(".")[:2])
    waits = number >= (22, 2) or (20, 15) <= number < (21, 0)
    return [f"--inspect-{'wait' if waits else 'brk'}=127.0.0.1:{port}"]


async def debugger(_interpreter: Interpreter, _folder: Path) -> None:
    """The inspector is part of Node.js."""


def template(hosted: Hosted, place: Place, memory_mb: int) -> TemplateSpec:
    interpreter = hosted.interpreter
    assert interpreter is not None
    binds = {_CLIENT_INSIDE: _CLIENT, _NODE_INSIDE: interpreter.program}
    # Named by NODE_EXTRA_CA_CERTS of older runtimes.
    links = {"/var/runtime/ca-cert.pem": "/etc/ssl/certs/ca-certificates.crt"}
    sdk = packages.sdk(place.folder)
    if sdk is not None:
        binds["/var/runtime/node_modules"] = sdk
        # ES modules do not look at NODE_PATH, and end their search here.
        links["/node_modules"] = "/var/runtime/node_modules"
    node = "".join(map(str, interpreter.version))
    ahead: list[str] = []
    if memory_mb and place.private_root:
        ahead = [_NODE_INSIDE, *_options(memory_mb), _CLIENT_INSIDE, "ahead"]
    return program_template(
        f"nodejs{node}",
        place,
        binds=binds,
        links=links,
        files={"/var/runtime/warm.json": b"{}"},
        ahead=ahead,
        ahead_environment={**_ENVIRONMENT, "NODE_PATH": node_path(interpreter.version)},
    )


def node_path(version: Version, task_root: str = "/var/task") -> str:
    modules = f"/opt/nodejs/node{version[0]}/node_modules:/opt/nodejs/node_modules"
    return f"{modules}:/var/runtime/node_modules:/var/runtime:{task_root}"


def variables(runtime: str, task_root: str) -> Mapping[str, str]:
    version = LANGUAGE.version_of(runtime)
    found = {"PWD": task_root, "SHLVL": "0", "NODE_PATH": node_path(version, task_root)} if version else {}
    if version is not None and version < (20,):
        found["NODE_EXTRA_CA_CERTS"] = "/var/runtime/ca-cert.pem"
    return found


def start(spec: FunctionSpec, hosted: Hosted, where: Roots, _place: Place, ahead: bool) -> Start:
    interpreter = hosted.interpreter
    assert interpreter is not None
    if ahead:
        return Start()
    options = [*_options(spec.memory_mb), *_inspector(interpreter, spec.debug_port)]
    program = [_NODE_INSIDE, *options, _CLIENT_INSIDE]
    if not where.private:
        program = [str(interpreter.program), *options, str(_CLIENT)]
    return Start(
        argv=wrapped(program) if WRAPPER in spec.environment else program,
        readable=() if where.private else (interpreter.program, _CLIENT),
    )


LANGUAGE = Language(
    name="nodejs",
    title="Node.js",
    pattern=r"nodejs(\d+)\.x",
    how_to_get=(
        "`pileus runtimes install nodejs22.x` fetches it, or install it so that `node` is on the PATH of `pileus start`"
    ),
    find=find,
    template=template,
    start=start,
    variables=variables,
    install=packages.install_node,
    complete=packages.fetch_sdk,
    debugger=debugger,
    remark=lambda folder: "" if packages.sdk(folder) else "without the AWS SDK: `pileus runtimes install` fetches it",
    ahead=True,
    # Read when it starts, by V8, libuv, OpenSSL or the dynamic linker.
    read_at_start=("NODE_", "LD_", "UV_", "OPENSSL_", "SSL_CERT_", "MALLOC_", "GLIBC_", WRAPPER),
)
