"""Where unpacked packages lie: `code/<sha256>` under the data folder, one folder per content, never changed.

The package itself is a blob and the truth; the folder is made from it, on the node that needs it, by `ensure`. It is
written under another name, synced and renamed, so that what is there is whole. `sweep` removes what no record names.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import shutil
from pathlib import Path

from pileus.cloud.context import Cloud
from pileus.services.lambda_ import keys
from pileus.services.lambda_.archive import unpack
from pileus.services.lambda_.records import Code, decode
from pileus.store.contract import Reader

# An unreferenced folder may still serve an environment, whose longest invocation takes 15 minutes.
UNREFERENCED_AGE_S = 3600.0
_PARTIAL = ".partial"


class CodeStore:
    """The node's folder of unpacked code."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._root = cloud.settings.data_dir / "code"
        self._unpacking: dict[str, asyncio.Task[Path]] = {}
        self._unreferenced_since: dict[str, float] = {}

    def start(self) -> None:
        """Remove what a former process left half done."""
        self._root.mkdir(parents=True, exist_ok=True)
        for left in self._root.glob(f"*{_PARTIAL}*"):
            shutil.rmtree(left, ignore_errors=True)

    def path(self, sha256: str) -> Path:
        return self._root / sha256

    async def ensure(self, sha256: str) -> Path:
        """The folder with that package's files, unpacked now if it is not there yet."""
        self._unreferenced_since.pop(sha256, None)
        path = self.path(sha256)
        if path.is_dir():
            return path
        task = self._unpacking.get(sha256)
        if task is None:
            task = asyncio.create_task(self._unpack(sha256))
            self._unpacking[sha256] = task
            task.add_done_callback(lambda _: self._unpacking.pop(sha256, None))
        # One that waits may be cancelled; the others still want it.
        return await asyncio.shield(task)

    async def _unpack(self, sha256: str) -> Path:
        async def load(tx: Reader) -> Code | None:
            data = await tx.get(keys.code(sha256))
            return decode(Code, data) if data is not None else None

        code = await self._cloud.store.read(load)
        if code is None:
            raise FileNotFoundError(f"no package {sha256}")
        partial = self._root / f"{sha256}{_PARTIAL}{self._cloud.ids.hex(8)}"
        durable = self._cloud.settings.durability == "full"
        await asyncio.to_thread(_unpack_to, self._cloud.blobs.path(code.blob), partial, self.path(sha256), durable)
        return self.path(sha256)

    async def sweep(self) -> None:
        """Remove folders that no record has named for an hour."""
        now = self._cloud.clock.monotonic()
        names = [entry.name for entry in await asyncio.to_thread(lambda: list(os.scandir(self._root)))]
        whole = [name for name in names if _PARTIAL not in name]

        async def referenced(tx: Reader) -> set[str]:
            found = await tx.get_many([keys.code(name) for name in whole])
            return {name for name, data in zip(whole, found, strict=True) if data is not None}

        kept = await self._cloud.store.read(referenced)
        for name in whole:
            if name in kept:
                self._unreferenced_since.pop(name, None)
            elif now - self._unreferenced_since.setdefault(name, now) >= UNREFERENCED_AGE_S:
                del self._unreferenced_since[name]
                # Renamed first, so that `ensure` never hands out a folder that is being emptied.
                doomed = self._root / f"{name}{_PARTIAL}{self._cloud.ids.hex(8)}"
                self.path(name).rename(doomed)
                await asyncio.to_thread(shutil.rmtree, doomed, True)


def _unpack_to(package: Path, partial: Path, final: Path, durable: bool) -> None:
    partial.mkdir(mode=0o755)
    try:
        with package.open("rb") as source:
            unpack(source, partial)
        for folder, _, _ in os.walk(partial):
            os.chmod(folder, 0o755)  # noqa: S103 -- functions run as another user and read their code
        if durable:
            _sync_filesystem(partial)
        try:
            partial.rename(final)
        except OSError:
            # Somebody else was first; the content is the same.
            if not final.is_dir():
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _sync_filesystem(path: Path) -> None:
    """One sync for all files: thousands of single ones would take seconds."""
    handle = os.open(path, os.O_RDONLY)
    try:
        syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
        if syncfs is None or syncfs(handle) != 0:
            os.sync()
    finally:
        os.close(handle)
