"""Encryption of bodies at rest.

Each body is encrypted under a key of its own, which is derived (HMAC-SHA256) from a root and the body's id: the node's
root key for SSE-S3, or the key that the customer brings with each request for SSE-C, of which nothing is kept. A body
is a row of segments of 64 KiB, each AES-256-GCM with its number as the nonce: so any range can be read by itself, and a
segment that was changed, moved or cut off on the disk is noticed.

    stored:  segment 0 | tag | segment 1 | tag | ...

The node's root key is a file beside the store, for its owner alone: a copy of the store and the blobs without it shows
nothing of the objects. Who holds both reads them; keep it apart in backups.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import os
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

from pileus.cloud.context import Cloud
from pileus.kernel.ids import Ids
from pileus.kernel.mac import Mac
from pileus.services.s3 import keys
from pileus.services.s3.records import CustomerKey
from pileus.store.contract import Reader, StoreUnavailable, Transaction

SEGMENT_BYTES = 64 * 1024
TAG_BYTES = 16
STORED_BYTES = SEGMENT_BYTES + TAG_BYTES
KEY_BYTES = 32
FILE_NAME = "s3.key"

Seal = Literal["", "node", "customer"]


class Damaged(Exception):
    """Stored bytes that are not what was stored."""


class Vault:
    """The node's root key; one per node, in `cloud.parts`."""

    def __init__(self, root: bytes) -> None:
        # Imported with the service: only it needs it.
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._mac = Mac(root)
        self._make = AESGCM
        # Some bodies are read again and again.
        self.known = lru_cache(maxsize=1024)(self.cipher)

    def cipher(self, body_id: str, customer_key: bytes | None = None) -> Cipher:
        """That of one body: under the customer's key where there is one, else under the node's."""
        mac = Mac(customer_key) if customer_key else self._mac
        return Cipher(self._make(mac.digest(b"pileus s3 body " + body_id.encode())))


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")


class Cipher:
    __slots__ = ("_aead",)

    def __init__(self, aead: Any) -> None:
        self._aead = aead

    def seal(self, data: bytes, first: int = 0) -> bytes:
        """The stored form of whole segments, of which the first has the number `first`; the last may be short."""
        if len(data) <= SEGMENT_BYTES:
            sealed: bytes = self._aead.encrypt(_nonce(first), data, None)
            return sealed
        source = memoryview(data)
        count = -(-len(data) // SEGMENT_BYTES)
        out = bytearray(len(data) + count * TAG_BYTES)
        target = memoryview(out)
        for number in range(count):
            piece = source[number * SEGMENT_BYTES : (number + 1) * SEGMENT_BYTES]
            at = number * STORED_BYTES
            self._aead.encrypt_into(_nonce(first + number), piece, None, target[at : at + len(piece) + TAG_BYTES])
        return bytes(out)

    def open(self, stored: bytes, first: int = 0) -> bytes:
        """The other way round. Raises `Damaged`."""
        from cryptography.exceptions import InvalidTag

        try:
            if len(stored) <= STORED_BYTES:
                opened: bytes = self._aead.decrypt(_nonce(first), stored, None)
                return opened
            source = memoryview(stored)
            count = -(-len(stored) // STORED_BYTES)
            out = bytearray(len(stored) - count * TAG_BYTES)
            target = memoryview(out)
            for number in range(count):
                piece = source[number * STORED_BYTES : (number + 1) * STORED_BYTES]
                at = number * SEGMENT_BYTES
                self._aead.decrypt_into(_nonce(first + number), piece, None, target[at : at + len(piece) - TAG_BYTES])
            return bytes(out)
        except (InvalidTag, ValueError) as error:
            raise Damaged("the stored bytes do not fit their key") from error


class Sealer:
    """Seals a body that arrives in chunks of any size."""

    def __init__(self, cipher: Cipher) -> None:
        self._cipher = cipher
        self._held = b""
        self._number = 0

    def update(self, chunk: bytes) -> bytes:
        data = self._held + chunk if self._held else chunk
        whole = len(data) - len(data) % SEGMENT_BYTES
        self._held = data[whole:]
        if not whole:
            return b""
        sealed = self._cipher.seal(data[:whole] if whole < len(data) else data, self._number)
        self._number += whole // SEGMENT_BYTES
        return sealed

    def finish(self) -> bytes:
        held, self._held = self._held, b""
        return self._cipher.seal(held, self._number) if held else b""


def stored_range(first: int, length: int) -> tuple[int, int, int]:
    """(first segment, where it begins as stored, stored bytes up to the end of the last one) of a range."""
    segment = first // SEGMENT_BYTES
    behind = -(-(first + length) // SEGMENT_BYTES)
    return segment, segment * STORED_BYTES, (behind - segment) * STORED_BYTES


# ------------------------------------------------------------------------------------------------------ customers' keys


def remembered(key: bytes, ids: Ids) -> CustomerKey:
    salt = ids.token_bytes(16)
    md5 = base64.b64encode(hashlib.md5(key, usedforsecurity=False).digest()).decode()
    return CustomerKey(md5, salt, hmac.digest(salt, key, "sha256"))


def is_key(known: CustomerKey, key: bytes) -> bool:
    return hmac.compare_digest(known.proof, hmac.digest(known.salt, key, "sha256"))


# -------------------------------------------------------------------------------------------------------- the root key


async def start(cloud: Cloud) -> None:
    """Read the node's root key, or make it where nothing is encrypted yet."""
    path = cloud.settings.data_dir / FILE_NAME

    async def look(tx: Reader) -> bytes | None:
        return await tx.get(keys.sealing())

    known = await cloud.store.read(look)
    root = _read(path)
    if root is None:
        if known is not None:
            raise StoreUnavailable(f"{path} is missing: what is stored was encrypted under that key")
        root = _write(path, cloud.ids.token_bytes(KEY_BYTES))
    mark = hmac.digest(root, b"pileus s3 root", "sha256")
    if known is None:
        await cloud.store.write(partial(_note, mark))
    elif not hmac.compare_digest(known, mark):
        raise StoreUnavailable(f"{path} is not the key that what is stored was encrypted under")
    cloud.parts[Vault] = Vault(root)


async def _note(mark: bytes, tx: Transaction) -> None:
    tx.put(keys.sealing(), mark)


def _read(path: Path) -> bytes | None:
    try:
        root = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be read: {error.strerror}") from error
    if len(root) != KEY_BYTES:
        raise StoreUnavailable(f"{path} is not a key of {KEY_BYTES} bytes")
    return root


def _write(path: Path, root: bytes) -> bytes:
    """Make the file durable under its name before anything is encrypted under it."""
    temporary = path.with_suffix(".new")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    try:
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, root)
            os.fsync(file)
        finally:
            os.close(file)
        os.rename(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be written: {error.strerror}") from error
    return root
