"""Code that runs from a folder of this machine, as it is saved: `S3Bucket` is "hot-reload", `S3Key` the absolute path.

Only folders below one that `pileus start --hot-reload DIR` named: whoever may create a function could read any other.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from pileus.services.lambda_ import errors

BUCKET = "hot-reload"
# What editors, version control and interpreters write there is no code.
_PASSED_OVER = frozenset({".git", "__pycache__", ".idea", ".vscode"})


def folder_of(source: dict[str, Any]) -> str:
    """The folder that a function's code is to be; "" where it is an ordinary package."""
    key = source.get("S3Key") or ""
    return key if source.get("S3Bucket") == BUCKET and key.startswith("/") else ""


def check(folder: str, allowed: Sequence[Path]) -> Path:
    """The folder itself, links followed. Raises AWS's error for a bad parameter where it may not be used."""
    path = Path(os.path.realpath(folder))
    if not any(path.is_relative_to(os.path.realpath(each)) for each in allowed):
        named = ", ".join(map(str, allowed)) or "none"
        raise errors.invalid_parameter(
            f"The code of a function may not run from {folder}: start Pileus with --hot-reload DIR, where DIR is that "
            f"folder or one above it (given now: {named})."
        )
    if not path.is_dir():
        raise errors.invalid_parameter(f"There is no folder {folder} that a function's code could run from.")
    return path


def stamp(folder: Path) -> str:
    """Changes when a file in the folder is saved, made, renamed or removed."""
    digest = sha256(str(os.stat(folder).st_ino).encode())
    for root, names, files in os.walk(folder):
        names[:] = sorted(set(names) - _PASSED_OVER)
        for name in sorted(files):
            try:
                found = os.lstat(os.path.join(root, name))
            except OSError:
                continue
            line = f"{root}/{name}\0{found.st_mtime_ns}\0{found.st_size}\0{found.st_ino}\0{found.st_mode}"
            digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()
