"""Ruby: a runtime client of our own (`bootstrap.rb`), started with its function."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from pileus.sandbox.contract import TemplateSpec
from pileus.services.lambda_.execution import FunctionSpec
from pileus.services.lambda_.hosting.frame import WRAPPER, Hosted, Interpreter, Language, Place, Roots, Start, wrapped
from pileus.services.lambda_.hosting.programs import is_program, matching, on_path, program_template, said_by

_CLIENT = Path(__file__).parent / "bootstrap.rb"
_CLIENT_INSIDE = "/var/runtime/bootstrap.rb"
_RUBY_INSIDE = "/var/lang/bin/ruby"
_PLACES = (
    "~/.rbenv/versions/*/bin/ruby",
    "~/.rvm/rubies/*/bin/ruby",
    "~/.asdf/installs/ruby/*/bin/ruby",
    "~/.local/share/mise/installs/ruby/*/bin/ruby",
    "/opt/ruby*/bin/ruby",
)


def find(_folder: Path) -> list[Interpreter]:
    found = []
    for path in [*on_path("ruby"), *matching(*_PLACES)]:
        program = Path(os.path.realpath(path))
        match = re.match(r"ruby (\d+)\.(\d+)\.(\d+)", said_by(program, "--version")) if is_program(program) else None
        if match:
            version = (int(match[1]), int(match[2]))
            found.append(Interpreter(version, f"{match[1]}.{match[2]}.{match[3]}", program, program.parent.parent))
    return found


def template(hosted: Hosted, place: Place, _memory_mb: int) -> TemplateSpec:
    interpreter = hosted.interpreter
    assert interpreter is not None
    binds = {_CLIENT_INSIDE: _CLIENT}
    if not interpreter.home.is_relative_to("/usr"):
        # It finds its library where it was built to be.
        binds[str(interpreter.home)] = interpreter.home
    name = "ruby" + ".".join(map(str, interpreter.version))
    return program_template(name, place, binds=binds, links={_RUBY_INSIDE: str(interpreter.program)})


def variables(runtime: str, task_root: str) -> Mapping[str, str]:
    version = f"{runtime.removeprefix('ruby')}.0"
    gems = f"{task_root}/vendor/bundle/ruby/{version}:/opt/ruby/gems/{version}"
    libraries = "/var/lang/lib:/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib"
    return {
        "PWD": task_root,
        "SHLVL": "0",
        "GEM_HOME": "/var/runtime",
        "GEM_PATH": f"{gems}:/var/runtime:/var/runtime/ruby/{version}",
        "RUBYLIB": f"/var/runtime/gems/aws_lambda_ric-3.1.3/lib:{task_root}:/var/runtime/lib:/opt/ruby/lib",
        # Named twice, as in recorded answers of AWS.
        "LD_LIBRARY_PATH": f"{libraries}:/opt/lib",
        "PATH": "/var/lang/bin:/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
    }


def start(spec: FunctionSpec, hosted: Hosted, where: Roots, _place: Place, _ahead: bool) -> Start:
    interpreter = hosted.interpreter
    assert interpreter is not None
    argv = [_RUBY_INSIDE, _CLIENT_INSIDE] if where.private else [str(interpreter.program), str(_CLIENT)]
    return Start(
        argv=wrapped(argv) if WRAPPER in spec.environment else argv,
        readable=() if where.private else (interpreter.home, _CLIENT),
    )


LANGUAGE = Language(
    name="ruby",
    title="Ruby",
    pattern=r"ruby(\d)\.(\d)",
    how_to_get="install Ruby (`apt install ruby`, rbenv) so that `ruby` is on the PATH of `pileus start`",
    find=find,
    template=template,
    start=start,
    variables=variables,
)
