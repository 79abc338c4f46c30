"""What is made or fetched for runtimes: whole or not at all, by programs that say why where they fail."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_TIMEOUT_S = 300.0


@contextlib.contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder that becomes `target` when all went well, and nothing otherwise. Who comes second finds it there."""
    target.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        making.chmod(0o755)
        yield making
        with contextlib.suppress(OSError):
            making.rename(target)
    finally:
        shutil.rmtree(making, ignore_errors=True)


async def run_quietly(command: list[str], cwd: Path | None = None) -> str:
    """The last line of what it said, where it failed; "" where it went well."""
    # Not what Pileus itself was told about its own Python.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
            cwd=cwd,
        )
    except OSError as error:
        return str(error)
    try:
        _out, said = await asyncio.wait_for(process.communicate(), _TIMEOUT_S)
    except BaseException as error:
        process.kill()
        await process.wait()
        if isinstance(error, TimeoutError):
            return f"{command[0]} took longer than {_TIMEOUT_S:.0f} s"
        raise
    if process.returncode == 0:
        return ""
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"{command[0]} ended with {process.returncode}"
