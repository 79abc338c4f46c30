"""Deployment packages from strangers: what is taken, what is refused, and that nothing leaves the folder."""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pileus.kernel.errors import AWSError
from pileus.services.lambda_ import archive
from pileus.services.lambda_.archive import inspect, unpack

UNZIP = "Could not unzip uploaded file. Please check your file, then try to upload again."
LINK = (stat.S_IFLNK | 0o777) << 16


def zipped(*entries: tuple[str, bytes] | tuple[str, bytes, int], compression: int = zipfile.ZIP_DEFLATED) -> io.BytesIO:
    """A package of (name, content, external attributes); names may occur twice."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as package:
        for name, content, *attributes in entries:
            info = zipfile.ZipInfo(name)
            info.create_system = 3
            info.external_attr = attributes[0] if attributes else 0o644 << 16
            info.compress_type = compression
            package.writestr(info, content)
    out.seek(0)
    return out


def refusal(source: io.BytesIO) -> str:
    with pytest.raises(AWSError) as caught:
        inspect(source)
    assert caught.value.code == "InvalidParameterValueException"
    assert caught.value.members["Type"] == "User"
    return caught.value.message


def unpacked(source: io.BytesIO, folder: Path) -> dict[str, bytes]:
    inspect(source)
    unpack(source, folder)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_and_folders_are_unpacked_with_modes_that_every_user_can_read(tmp_path: Path) -> None:
    source = zipped(
        ("index.py", b"x = 1", 0o600 << 16),
        ("bin/tool", b"#!/bin/sh", (stat.S_IFREG | 0o700) << 16),
        ("setuid", b"", (stat.S_IFREG | 0o6777) << 16),
        ("nothing", b"", 0),
        ("empty/", b"", (stat.S_IFDIR | 0o000) << 16),
    )
    assert inspect(source) == len(b"x = 1") + len(b"#!/bin/sh")
    assert unpacked(source, tmp_path) == {"index.py": b"x = 1", "bin/tool": b"#!/bin/sh", "setuid": b"", "nothing": b""}
    modes = {
        name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("index.py", "bin/tool", "setuid", "nothing")
    }
    assert modes == {"index.py": 0o644, "bin/tool": 0o755, "setuid": 0o755, "nothing": 0o644}
    assert (tmp_path / "empty").is_dir()


@pytest.mark.parametrize(
    "content",
    [b"not a zip", b"PK\x03\x04", b"PK\x05\x06" + b"\x00" * 10, os.urandom(4096), b"\x00" * 100],
    ids=["text", "only a head", "cut end record", "noise", "zeros"],
)
def test_what_is_no_zip_is_refused(content: bytes) -> None:
    assert refusal(io.BytesIO(content)) == UNZIP


@pytest.mark.parametrize(
    "source", [io.BytesIO(b""), zipped(), zipped((".", b""))], ids=["nothing", "no entry", "itself"]
)
def test_an_empty_package_is_refused(source: io.BytesIO) -> None:
    assert refusal(source) == "Uploaded file must be a non-empty zip"


@pytest.mark.parametrize(
    "name",
    ["../evil", "a/../../evil", "a/..", "/etc/passwd", "//evil", "a" * 256, "/".join(["a" * 200] * 30)],
    ids=["up", "up from below", "up at the end", "absolute", "doubly absolute", "long part", "long path"],
)
def test_names_that_lead_out_or_cannot_be_are_refused(name: str) -> None:
    assert refusal(zipped(("index.py", b""), (name, b"evil"))) == UNZIP


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK], ids=oct)
def test_devices_pipes_and_sockets_are_refused(kind: int) -> None:
    assert refusal(zipped(("index.py", b""), ("node", b"", (kind | 0o666) << 16))) == UNZIP


def test_links_inside_are_kept(tmp_path: Path) -> None:
    source = zipped(
        ("lib/libx.so.1", b"code"),
        ("lib/libx.so", b"libx.so.1", LINK),
        ("top", b"lib/libx.so", LINK),
        ("deep/er/back", b"../../lib/libx.so.1", LINK),
        ("circle", b"circle", LINK),
        ("gone", b"not-there", LINK),
    )
    unpacked(source, tmp_path)
    assert os.readlink(tmp_path / "lib/libx.so") == "libx.so.1"
    assert (tmp_path / "top").read_bytes() == b"code"
    assert (tmp_path / "deep/er/back").read_bytes() == b"code"
    assert os.readlink(tmp_path / "circle") == "circle"


@pytest.mark.parametrize(
    "links",
    [
        [("out", "../outside")],
        [("out", "/etc/passwd")],
        [("a/out", "../../outside")],
        [("a/b/up", "../.."), ("x", "a/b/up/../outside")],
        [("a/b/up", "../.."), ("x", "a/b/up/up2"), ("up2", "..")],
        [("out", "")],
        [("out", "a" * 5000)],
        [("out", "a\x00b")],
    ],
    ids=["up", "absolute", "up from below", "over a link", "over two links", "empty", "endless", "nul"],
)
def test_links_that_lead_out_are_refused(links: list[tuple[str, str]]) -> None:
    entries = [(name, target.encode(), LINK) for name, target in links]
    assert refusal(zipped(("a/b/file", b""), *entries)) == UNZIP


@pytest.mark.parametrize(
    "entries",
    [
        [("link", b"folder", LINK), ("folder/", b""), ("link/file", b"through the link")],
        [("file", b""), ("file/below", b"")],
    ],
    ids=["link", "file"],
)
def test_an_entry_below_what_is_no_folder_is_refused(entries: list[tuple[str, bytes]]) -> None:
    assert refusal(zipped(*entries)) == UNZIP


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_two_entries_with_one_name_the_last_counts(tmp_path: Path) -> None:
    source = zipped(("index.py", b"first"), ("./index.py", b"second"), ("index.py", b"third"))
    assert unpacked(source, tmp_path) == {"index.py": b"third"}


def test_encrypted_and_unknown_compression_are_refused() -> None:
    assert refusal(zipped(("index.py", b"x" * 100), compression=zipfile.ZIP_BZIP2)) == UNZIP
    data = bytearray(zipped(("index.py", b"x")).getvalue())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    assert refusal(io.BytesIO(bytes(data))) == UNZIP


def test_a_changed_byte_is_noticed() -> None:
    data = bytearray(zipped(("index.py", b"content"), compression=zipfile.ZIP_STORED).getvalue())
    data[data.index(b"content")] ^= 1
    assert refusal(io.BytesIO(bytes(data))) == UNZIP


def test_more_than_the_unzipped_limit_is_refused_in_aws_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "UNPACKED_BYTES_MAX", 1000)
    assert inspect(zipped(("a", b"0" * 500), ("b", b"0" * 500))) == 1000
    assert refusal(zipped(("a", b"0" * 500), ("b", b"0" * 501))) == "Unzipped size must be smaller than 1000 bytes"
    assert archive.UNPACKED_BYTES_MAX == 1000


def test_the_announced_size_is_not_believed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A bomb that says it is small: what really comes out counts, and no more than the limit is ever written."""
    monkeypatch.setattr(archive, "UNPACKED_BYTES_MAX", 1000)
    data = bytearray(zipped(("bomb", b"0" * 100_000)).getvalue())
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", data, data.index(signature) + offset, 10)
    with pytest.raises(AWSError):
        inspect(io.BytesIO(bytes(data)))
    with pytest.raises(AWSError):
        unpack(io.BytesIO(bytes(data)), tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*")) <= 1000


def test_too_many_entries_are_refused_before_they_are_parsed() -> None:
    source = zipped(*((f"{number:x}", b"") for number in range(archive.ENTRIES_MAX + 1)))
    assert refusal(source) == UNZIP


def test_a_directory_that_is_too_large_is_refused_before_it_is_parsed() -> None:
    data = bytearray(zipped(("index.py", b"")).getvalue())
    struct.pack_into("<I", data, data.index(b"PK\x05\x06") + 12, archive.DIRECTORY_BYTES_MAX + 1)
    assert refusal(io.BytesIO(bytes(data))) == UNZIP


@given(st.binary(max_size=300), st.integers(0, 400), st.binary(min_size=1, max_size=8))
@settings(max_examples=300, deadline=None)
def test_whatever_comes_is_taken_or_refused_in_lambdas_words(prefix: bytes, at: int, change: bytes) -> None:
    data = bytearray(prefix + zipped(("index.py", b"x = 1"), ("lib/a", b"y"), ("l", b"lib/a", LINK)).getvalue())
    data[at : at + len(change)] = change
    try:
        inspect(io.BytesIO(bytes(data)))
    except AWSError as error:
        assert error.code == "InvalidParameterValueException"  # noqa: PT017 -- either outcome is right
