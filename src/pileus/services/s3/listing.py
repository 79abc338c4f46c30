"""Listing in S3's way: keys in UTF-8 order, those with a common prefix rolled into one.

Source: "Listing object keys programmatically" and "Organizing objects using prefixes" in the Amazon S3 User Guide.

A listing never reads what it does not show: behind a common prefix it goes on at the least key after all of those that
begin with it.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from typing import Any
from urllib.parse import quote_plus

import msgspec

from pileus.services.s3 import errors, keys
from pileus.services.s3.records import Object, decode_object
from pileus.store.contract import Reader
from pileus.store.keys import after, pack_onto, range_onto, unpack

PAGE_MAX = 1000
# How many entries are read first where there may be common prefixes.
_BATCH = 64
# Behind both spaces of versions, in the order of a page: a common prefix.
_ROLLED = 2


class Page(msgspec.Struct):
    # (object key, the other parts of the store's key, stored value)
    entries: list[tuple[bytes, tuple[Any, ...], bytes]] = []
    prefixes: list[bytes] = []
    truncated: bool = False
    # The last entry's key or common prefix: where the next page goes on behind.
    last: bytes = b""

    @property
    def count(self) -> int:
        return len(self.entries) + len(self.prefixes)


def successor(prefix: bytes) -> bytes | None:
    """The least bytes behind everything that begins with `prefix`; None where there are none."""
    head = prefix.rstrip(b"\xff")
    return head[:-1] + bytes([head[-1] + 1]) if head else None


def common_prefix(key: bytes, prefix: bytes, delimiter: bytes) -> bytes | None:
    """What `key` is rolled into: up to and with the first delimiter behind `prefix`."""
    if not delimiter:
        return None
    at = key.find(delimiter, len(prefix))
    return key[: at + len(delimiter)] if at >= 0 else None


async def list_page(
    tx: Reader,
    space: bytes,
    *,
    prefix: bytes = b"",
    delimiter: bytes = b"",
    marker: bytes = b"",
    start_at: bytes | None = None,
    most: int = PAGE_MAX,
) -> Page:
    """One page of the keys of `space` (a packed prefix of store keys that go on with the object key).

    `marker` is exclusive: what stands behind it, and, where it lies in a common prefix, behind that. `start_at` is a
    full store key to begin at instead (several entries of one object key).
    """
    page = Page()
    if most <= 0:
        return page
    start, end = _bounds(space, prefix)
    if marker:
        rolled = common_prefix(marker, prefix, delimiter) if marker.startswith(prefix) else None
        start = max(start, _behind_prefix(space, rolled) if rolled else _behind_key(space, marker))
    if start_at is not None:
        start = max(start, start_at)
    skip = len(space)
    # Few at a time while most of what is read lies in a common prefix, many while it is shown.
    ahead = _BATCH
    while start < end:
        wanted = most - page.count + 1
        limit = min(wanted, ahead) if delimiter else wanted
        batch = await tx.scan(start, end, limit=limit)
        rolled = None
        before = page.count
        for store_key, value in batch:
            key, *rest = unpack(store_key, skip)
            assert isinstance(key, bytes)
            if rolled and key.startswith(rolled):
                continue
            rolled = common_prefix(key, prefix, delimiter)
            if page.count == most:
                page.truncated = True
                return page
            page.last = rolled or key
            if rolled:
                page.prefixes.append(rolled)
            else:
                page.entries.append((key, tuple(rest), value))
        if len(batch) < limit:
            return page
        ahead = ahead * 2 if (page.count - before) * 2 > len(batch) else max(1, ahead // 2)
        start = _behind_prefix(space, rolled) if rolled else after(batch[-1][0])
    return page


async def list_directory(tx: Reader, bucket: str, *, prefix: bytes, delimiter: bytes, marker: bytes, most: int) -> Page:
    """One page of a directory bucket's objects: with a delimiter, also the common prefixes of uploads under way.

    Nobody may rely on an order here: pages follow one another by key, what is in one is strewn.
    """
    page = await list_page(tx, keys.objects(bucket), prefix=prefix, delimiter=delimiter, marker=marker, most=most)
    if delimiter and most:
        uploads = await list_page(
            tx, keys.uploads(bucket), prefix=prefix, delimiter=delimiter, marker=marker, most=most
        )
        page = _with_prefixes(page, uploads, most)
    page.entries.sort(key=lambda entry: zlib.crc32(entry[0]))
    page.prefixes.sort(key=zlib.crc32)
    return page


def _with_prefixes(page: Page, other: Page, most: int) -> Page:
    """`page` with the common prefixes of another space: as far as both have been read, and at most `most` in all."""
    ends = [one.last for one in (page, other) if one.truncated]
    entries = {entry[0]: entry for entry in page.entries}
    names = sorted({*entries, *page.prefixes, *other.prefixes})
    if ends:
        names = [name for name in names if name <= min(ends)]
    shown = names[:most]
    return Page(
        entries=[entries[name] for name in shown if name in entries],
        prefixes=[name for name in shown if name not in entries],
        truncated=bool(ends) or len(names) > most,
        last=min(ends) if ends and len(names) <= most else shown[-1] if shown else b"",
    )


class VersionPage(msgspec.Struct):
    # (object key, whether it is the key's newest version, the version)
    entries: list[tuple[bytes, bool, Object]] = []
    prefixes: list[bytes] = []
    truncated: bool = False
    # The last entry's key, and its version; or the last common prefix and None.
    last: bytes = b""
    last_version: Object | None = None


async def list_versions(
    tx: Reader,
    bucket: str,
    *,
    prefix: bytes = b"",
    delimiter: bytes = b"",
    key_marker: bytes = b"",
    behind: int | None = None,
    most: int = PAGE_MAX,
) -> VersionPage:
    """One page of a bucket's versions: by key, the newest first.

    `key_marker` is exclusive, with `behind` inclusive: of that key the versions of lower sequences are listed.
    Current objects and the other versions stand in two spaces, of which a page each is read and merged.
    """
    spaces = []
    if common_prefix(key_marker, prefix, delimiter) is not None:
        behind = None
    if behind is None:
        for space in (keys.objects(bucket), keys.versions(bucket)):
            page = await list_page(tx, space, prefix=prefix, delimiter=delimiter, marker=key_marker, most=most)
            spaces.append(page)
    else:
        text = key_marker.decode()
        for space, store_key in (
            (keys.objects(bucket), keys.object_(bucket, text)),
            (keys.versions(bucket), keys.version(bucket, text, behind)),
        ):
            # One more each: the first may be the marker's own version, or a newer one.
            page = await list_page(tx, space, prefix=prefix, delimiter=delimiter, start_at=store_key, most=most + 1)
            spaces.append(page)
    # Of one key the current object comes before the versions of the other space, which stand there newest first.
    merged: list[tuple[bytes, int, int, bytes]] = []
    for order, page in enumerate(spaces):
        for number, (key, _, value) in enumerate(page.entries):
            if behind is None or key != key_marker or decode_object(value).sequence < behind:
                merged.append((key, order, number, value))
    merged += [(rolled, _ROLLED, 0, b"") for rolled in {rolled for page in spaces for rolled in page.prefixes}]
    merged.sort(key=lambda one: one[:3])
    found = VersionPage(truncated=most > 0 and (len(merged) > most or any(page.truncated for page in spaces)))
    current = {key for key, _, _ in spaces[0].entries}
    before = b""
    for key, order, _, value in merged[:most]:
        if order == _ROLLED:
            found.last, found.last_version = key, None
            found.prefixes.append(key)
            continue
        version = decode_object(value)
        found.last, found.last_version = key, version
        is_latest = key != before
        if is_latest and behind is not None and key == key_marker:
            is_latest = await _is_newest(tx, bucket, key, version)
        elif is_latest and version.delete_marker:
            is_latest = key not in current
        found.entries.append((key, is_latest, version))
        before = key
    return found


async def _is_newest(tx: Reader, bucket: str, key: bytes, version: Object) -> bool:
    text = key.decode()
    data = await tx.get(keys.object_(bucket, text))
    if data is None:
        rows = await tx.scan(*range_onto(keys.versions_of(bucket, text)), limit=1)
        data = rows[0][1] if rows else None
    return data is not None and decode_object(data).sequence == version.sequence


def _bounds(space: bytes, prefix: bytes) -> tuple[bytes, bytes]:
    start, end = range_onto(space)
    if prefix:
        start = pack_onto(space, prefix)
        beyond = successor(prefix)
        end = pack_onto(space, beyond) if beyond is not None else end
    return start, end


def _behind_prefix(space: bytes, prefix: bytes) -> bytes:
    beyond = successor(prefix)
    return pack_onto(space, beyond) if beyond is not None else range_onto(space)[1]


def _behind_key(space: bytes, key: bytes) -> bytes:
    """Behind every entry of an object key."""
    return range_onto(pack_onto(space, key))[1]


def page_size(given: int | None, name: str) -> int:
    """`max-keys` and its like: at most 1,000 are given, however many are asked for."""
    if given is None:
        return PAGE_MAX
    if given < 0:
        raise errors.invalid_argument(f"Argument {name} must be an integer between 0 and 2147483647", name, str(given))
    return min(given, PAGE_MAX)


def check_encoding(given: str | None) -> None:
    if given is not None and given != "url":
        raise errors.invalid_argument("Invalid Encoding Method specified in Request", "encoding-type", given)


def shown(text: str, encoding: str | None) -> str:
    """A key or prefix as a listing shows it: with `encoding-type=url`, percent-encoded but for slashes."""
    return url_encoded(text) if encoding else text


def url_encoded(text: str) -> str:
    return quote_plus(text, safe="/*")


def token(last: bytes) -> str:
    """A continuation token."""
    return "1" + base64.urlsafe_b64encode(last).decode()


def from_token(given: str) -> bytes:
    try:
        if given[:1] != "1":
            raise ValueError(given)
        return base64.b64decode(given[1:], altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise errors.invalid_argument("The continuation token provided is incorrect", "continuation-token") from None
