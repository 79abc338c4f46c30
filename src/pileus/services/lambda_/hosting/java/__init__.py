"""Java: a runtime client of our own (`client/`), compiled once, in a JVM that is there before its function is known.

AWS's client comes from Maven's repositories only. The interfaces that functions are written against
(`com.amazonaws.services.lambda.runtime`) are part of this one, as they are part of AWS's runtime.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from pileus.sandbox.contract import SandboxError, TemplateSpec
from pileus.services.lambda_.execution import FunctionSpec
from pileus.services.lambda_.hosting.fetching import new_folder, run_quietly
from pileus.services.lambda_.hosting.frame import (
    TELEMETRY,
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
from pileus.services.lambda_.hosting.programs import matching, on_path, program_template

_SOURCES = Path(__file__).parent / "client"
_JAR_INSIDE = "/var/runtime/lib/client.jar"
_JAVA_INSIDE = "/var/lang/bin/java"
_PLACES = (
    "$JAVA_HOME/bin/java",
    "/usr/lib/jvm/*/bin/java",
    "~/.sdkman/candidates/java/*/bin/java",
    "~/.jdks/*/bin/java",
    "~/.asdf/installs/java/*/bin/java",
    "~/.local/share/mise/installs/java/*/bin/java",
    "/opt/java*/bin/java",
    "/opt/jdk*/bin/java",
)
_MAIN = "pileus.runtime.Main"
_ENVIRONMENT = {
    "LANG": "en_US.UTF-8",
    "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
    "TZ": ":UTC",
}


def find(_folder: Path) -> list[Interpreter]:
    found, seen = [], set()
    for path in [*on_path("java"), *matching(*_PLACES)]:
        program = Path(os.path.realpath(path))
        home = program.parent.parent
        # Before Java 9, a JDK has a JRE within.
        home = home.parent if home.name == "jre" else home
        if home in seen:
            continue
        seen.add(home)
        try:
            match = re.search(r'^JAVA_VERSION="(?:1\.)?(\d+)([^"]*)"', (home / "release").read_text(), re.MULTILINE)
        except OSError:
            continue
        if match and int(match[1]) >= 8:
            found.append(Interpreter((int(match[1]),), match[1] + match[2], program, home))
    return found


def _javac() -> str | None:
    beside = [str(each.with_name("javac")) for each in (*on_path("java"), *matching(*_PLACES))]
    return next(filter(None, map(shutil.which, ["javac", *beside])), None)


def _client(folder: Path) -> Path:
    """The compiled client: another source makes another one."""
    digest = hashlib.sha256()
    for path in sorted(_SOURCES.rglob("*.java")):
        digest.update(path.read_bytes())
    return folder / f"java-client-{digest.hexdigest()[:16]}" / "client.jar"


async def make(_hosted: Hosted, place: Place) -> None:
    """Compile the client, for every Java from 8 on."""
    jar = _client(place.folder)
    if not _is_there(jar):
        javac = _javac()
        if javac is None:
            raise SandboxError("Java functions need a JDK: javac is not on the PATH")
        with new_folder(jar.parent) as making:
            sources = [str(each) for each in sorted(_SOURCES.rglob("*.java"))]
            classes = making / "classes"
            said = await run_quietly([javac, "--release", "8", "-Xlint:-options", "-d", str(classes), *sources])
            if said:
                raise SandboxError(f"the runtime client for Java cannot be compiled: {said}")
            _pack(classes, making / jar.name)


def _is_there(path: Path) -> bool:
    return path.is_file()


def _pack(classes: Path, jar: Path) -> None:
    import zipfile

    with zipfile.ZipFile(jar, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\n\r\n")
        for path in sorted(classes.rglob("*.class")):
            archive.write(path, path.relative_to(classes))
    shutil.rmtree(classes)


def _options(version: Version, memory_mb: int, task_root: str) -> list[str]:
    """As AWS starts it: a small, quick JVM whose heap has 85 % of the function's memory."""
    options = [
        f"-XX:MaxHeapSize={memory_mb * 1024 * 85 // 100}k",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-XX:-UsePerfData",
        "-Xshare:auto",
        "-Djava.net.preferIPv4Stack=true",
        f"-Duser.dir={task_root}",
    ]
    if version >= (9,):
        # The environment of a JVM that was there before its function is written anew.
        options += ["--add-opens=java.base/java.util=ALL-UNNAMED", "--add-opens=java.base/java.lang=ALL-UNNAMED"]
    return options


def _settings(home: Path) -> set[Path]:
    """Debian's packages keep the settings of a JDK outside of it, in /etc/java-*."""
    targets = (Path(os.path.realpath(each)) for each in (home / "conf", *(home / "conf").rglob("*")))
    return {Path(*each.parts[:3]) for each in targets if each.parts[:2] == ("/", "etc")}


def template(hosted: Hosted, place: Place, memory_mb: int) -> TemplateSpec:
    interpreter = hosted.interpreter
    assert interpreter is not None
    binds = {"/var/lang": interpreter.home, _JAR_INSIDE: _client(place.folder)}
    binds |= {str(each): each for each in _settings(interpreter.home)}
    ahead: list[str] = []
    if memory_mb and place.private_root:
        options = _options(interpreter.version, memory_mb, "/var/task")
        ahead = [_JAVA_INSIDE, *options, "-cp", _JAR_INSIDE, _MAIN, "ahead"]
    name = f"java{interpreter.version[0]}"
    return program_template(name, place, binds=binds, ahead=ahead, ahead_environment=_ENVIRONMENT)


def variables(runtime: str, _task_root: str) -> Mapping[str, str]:
    # Recorded answers of AWS: the older two do not have it.
    return {} if runtime in ("java8.al2", "java11") else TELEMETRY


def start(spec: FunctionSpec, hosted: Hosted, where: Roots, place: Place, ahead: bool) -> Start:
    interpreter = hosted.interpreter
    assert interpreter is not None
    if ahead:
        return Start()
    jar = _client(place.folder)
    java, client = (_JAVA_INSIDE, _JAR_INSIDE) if where.private else (str(interpreter.program), str(jar))
    options = [*_options(interpreter.version, spec.memory_mb, where.task), f"-Dpileus.layers={':'.join(where.layers)}"]
    argv = [java, *options, "-cp", client, _MAIN]
    return Start(
        argv=wrapped(argv) if WRAPPER in spec.environment else argv,
        readable=() if where.private else (interpreter.home, jar, *_settings(interpreter.home)),
    )


LANGUAGE = Language(
    name="java",
    title="Java",
    pattern=r"java(\d+)(?:\.al2)?",
    how_to_get="install a JDK (openjdk-21-jdk, Corretto, Temurin) so that `java` is on the PATH of `pileus start`",
    find=find,
    template=template,
    start=start,
    variables=variables,
    make=make,
    ahead=True,
    # Read when the JVM starts.
    read_at_start=(
        "JAVA_TOOL_OPTIONS",
        "JDK_JAVA_OPTIONS",
        "_JAVA_OPTIONS",
        "LD_",
        "LANG",
        "LC_",
        "TZ",
        "MALLOC_",
        WRAPPER,
    ),
    ready_shells=1,
)
