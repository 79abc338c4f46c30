"""Deployment packages: zip files from strangers, checked whole and unpacked so that nothing leaves its folder.

What is refused: what is no zip, an entry that leads out of the folder (`..`, absolute, through a symbolic link), a link
that does, devices, pipes, encryption, unknown compression, names that cannot be a file, an entry below a file, and more
than AWS's 262,144,000 bytes in all. Of entries with one name the last counts, as with `unzip -o`.

Nothing here may run on the event loop.
"""

from __future__ import annotations

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, NamedTuple

from pileus.services.lambda_ import errors

UNPACKED_BYTES_MAX = 262_144_000
ENTRIES_MAX = 65_535
# Of the list of entries, which is parsed whole: a package may consist of nothing else.
DIRECTORY_BYTES_MAX = 32 << 20
NAME_BYTES_MAX = 4096
NAME_PART_BYTES_MAX = 255
LINK_BYTES_MAX = 4096
LINKS_FOLLOWED_MAX = 40
CHUNK_BYTES = 1 << 20

Path_ = tuple[str, ...]


class Entry(NamedTuple):
    info: zipfile.ZipInfo
    path: Path_
    # "file", "folder" or "link".
    kind: str


def inspect(source: BinaryIO) -> int:
    """The unpacked size in bytes; reads everything once. Raises Lambda's errors for what cannot be taken."""
    return _walk(source, None)


def unpack(source: BinaryIO, folder: Path) -> None:
    """Write the package's files into `folder`, which is there and empty: readable by all, writable by nobody else."""
    _walk(source, folder)


def _walk(source: BinaryIO, folder: Path | None) -> int:
    _check_directory_size(source)
    try:
        with zipfile.ZipFile(source) as package:
            return _take(package, folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, NotImplementedError, RuntimeError, ValueError):
        # What the standard library raises for broken, encrypted or unknown content.
        raise errors.bad_zip() from None


def _check_directory_size(source: BinaryIO) -> None:
    """The list of entries must be of a size that can be parsed: look at what the file says of it, before doing so."""
    size = source.seek(0, os.SEEK_END)
    if not size:
        raise errors.empty_zip()
    tail_size = min(size, 22 + 65_535)
    source.seek(size - tail_size)
    tail = source.read(tail_size)
    at = tail.rfind(b"PK\x05\x06")
    if at < 0 or len(tail) - at < 22:
        raise errors.bad_zip()
    entries, directory_bytes = struct.unpack_from("<HI", tail, at + 10)
    if entries == 0xFFFF or directory_bytes == 0xFFFFFFFF:
        # ZIP64: the true figures stand in a record of 56 bytes before the locator of 20.
        record = source.seek(max(0, size - tail_size + at - 76)) and source.read(56)
        if not record or len(record) < 56 or record[:4] != b"PK\x06\x06":
            raise errors.bad_zip()
        entries, directory_bytes = struct.unpack_from("<QQ", record, 32)
    if entries > ENTRIES_MAX or directory_bytes > DIRECTORY_BYTES_MAX:
        raise errors.bad_zip()
    source.seek(0)


def _take(package: zipfile.ZipFile, folder: Path | None) -> int:
    entries: dict[Path_, Entry] = {}
    for info in package.infolist():
        entry = _entry(info)
        if entry.path:
            entries.pop(entry.path, None)
            entries[entry.path] = entry
    if not entries:
        raise errors.empty_zip()
    if sum(entry.info.file_size for entry in entries.values()) > UNPACKED_BYTES_MAX:
        raise errors.unzipped_too_large(UNPACKED_BYTES_MAX)
    for entry in entries.values():
        for depth in range(1, len(entry.path)):
            above = entries.get(entry.path[:depth])
            if above is not None and above.kind != "folder":
                raise errors.bad_zip()

    links = {path: _link_target(package, entry) for path, entry in entries.items() if entry.kind == "link"}
    for path in links:
        _check_link(path, links)

    total = 0
    for path, entry in entries.items():
        place = folder.joinpath(*path) if folder is not None else None
        if entry.kind == "folder":
            if place is not None:
                place.mkdir(mode=0o755, parents=True, exist_ok=True)
        elif entry.kind == "link":
            if place is not None:
                place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                os.symlink("/".join(links[path]), place)
        else:
            total += _copy(package, entry.info, place, UNPACKED_BYTES_MAX - total)
    return total


def _entry(info: zipfile.ZipInfo) -> Entry:
    name = info.filename
    if name.startswith("/") or "\x00" in info.orig_filename or info.flag_bits & 0x1:
        raise errors.bad_zip()
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise errors.bad_zip()
    path = tuple(part for part in name.split("/") if part not in ("", "."))
    encoded = [part.encode(errors="surrogateescape") for part in path]
    if ".." in path or sum(map(len, encoded)) > NAME_BYTES_MAX or any(len(p) > NAME_PART_BYTES_MAX for p in encoded):
        raise errors.bad_zip()
    # The upper half is the Unix mode, where the package was made on Unix.
    kind = stat.S_IFMT(info.external_attr >> 16) if info.create_system == 3 else 0
    if kind == stat.S_IFLNK:
        return Entry(info, path, "link")
    if name.endswith("/") or kind == stat.S_IFDIR:
        return Entry(info, path, "folder")
    if kind not in (0, stat.S_IFREG):
        raise errors.bad_zip()
    return Entry(info, path, "file")


def _link_target(package: zipfile.ZipFile, entry: Entry) -> Path_:
    if entry.info.file_size > LINK_BYTES_MAX:
        raise errors.bad_zip()
    with package.open(entry.info) as source:
        target = source.read(LINK_BYTES_MAX + 1)
    try:
        text = target.decode()
    except UnicodeDecodeError:
        raise errors.bad_zip() from None
    if not text or len(target) > LINK_BYTES_MAX or text.startswith("/") or "\x00" in text:
        raise errors.bad_zip()
    return tuple(part for part in text.split("/") if part not in ("", ".")) or (".",)


def _check_link(path: Path_, links: dict[Path_, Path_]) -> None:
    """Follow the link as the kernel would, over the other links, and refuse it where it leaves the folder."""
    here: list[str] = list(path[:-1])
    todo = list(reversed(links[path]))
    followed = 0
    while todo:
        part = todo.pop()
        if part == ".":
            continue
        if part == "..":
            if not here:
                raise errors.bad_zip()
            here.pop()
            continue
        here.append(part)
        if (target := links.get(tuple(here))) is not None:
            followed += 1
            if followed > LINKS_FOLLOWED_MAX:
                # A circle: harmless, as opening it fails.
                return
            here.pop()
            todo += reversed(target)


def _copy(package: zipfile.ZipFile, info: zipfile.ZipInfo, place: Path | None, left_bytes: int) -> int:
    """Decompress one file, checking its checksum; the size it was announced with is not believed."""
    write: Callable[[bytes], object] = len
    with package.open(info) as source:
        if place is None:
            return _pump(source.read, write, left_bytes)
        place.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
        # Whatever the package says: readable by the function's user, executable if it was for anyone, nothing else.
        mode = 0o755 if (info.external_attr >> 16) & 0o111 else 0o644
        handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
        with os.fdopen(handle, "wb") as target:
            os.fchmod(handle, mode)
            return _pump(source.read, target.write, left_bytes)


def _pump(read: Callable[[int], bytes], write: Callable[[bytes], object], left_bytes: int) -> int:
    total = 0
    while chunk := read(CHUNK_BYTES):
        total += len(chunk)
        if total > left_bytes:
            raise errors.unzipped_too_large(UNPACKED_BYTES_MAX)
        write(chunk)
    return total
