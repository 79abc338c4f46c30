"""Appending to objects of directory buckets: PutObject with `x-amz-write-offset-bytes`.

Sources: "Appending data to objects in directory buckets" in the Amazon S3 User Guide, PutObject in the Amazon S3 API
Reference.

Each append makes a part. An object that was appended to has its bytes in a list of pieces whose last ones are lists
themselves, of a hundred parts each: so an append writes two short lists, however many parts there are, and what was
there stays where it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pileus.cloud.context import Cloud
from pileus.kernel.errors import AWSError
from pileus.services.s3 import bodies, checksums, errors, keys
from pileus.services.s3.records import Body, Checksum, Object, Piece, decode_pieces, encode
from pileus.store.contract import Reader, Transaction

PARTS_MAX = 10_000
_LIST_PARTS_MAX = 100


def check_form(request: Mapping[str, Any]) -> None:
    offset: int = request["WriteOffsetBytes"]
    if offset < 0:
        raise errors.invalid_argument("Invalid write offset", "x-amz-write-offset-bytes", str(offset))


def algorithm_of(old: Object | None) -> str | None:
    """Of the checksum that the object has; None: there is none yet."""
    return old.checksum.algorithm if old is not None and old.checksum is not None else None


def _empty() -> AWSError:
    return errors.invalid_request("Request body cannot be empty when 'write offset' is specified.")


def check(request: Mapping[str, Any], old: Object | None, size: int | None, algorithm: str | None) -> None:
    """Whether the bytes may follow those of the object that is there now. `algorithm`: of their checksum, where the
    client chose one."""
    if request["WriteOffsetBytes"] != (0 if old is None else old.size):
        raise AWSError(
            "InvalidWriteOffset",
            "The write offset value that you specified does not match the current object size.",
            status=400,
        )
    if old is None:
        return
    if size == 0:
        raise _empty()
    if request.get("Metadata"):
        raise errors.invalid_request(
            "Cannot specify both a write offset value and user-defined object metadata for existing objects."
        )
    if algorithm is not None and old.checksum is not None and algorithm != old.checksum.algorithm:
        raise errors.invalid_request(
            f"Checksum Type mismatch occurred, expected checksum Type: {old.checksum.algorithm.lower()}, "
            f"actual checksum Type: {algorithm.lower()}"
        )
    if parts_of(old) >= PARTS_MAX:
        raise AWSError(
            "TooManyParts",
            f"You have attempted to add more parts than the maximum of {PARTS_MAX} that are allowed for this object. "
            "You can use the CopyObject operation to copy this object to another and then add more data to the newly "
            "copied object.",
            status=400,
        )


def parts_of(old: Object) -> int:
    return old.parts or int(old.size > 0)


async def extended(cloud: Cloud, tx: Transaction, old: Object, added: Body, algorithm: str, value: str) -> Object:
    """The object with another body behind its own, whose checksum that is."""
    checksum = await _checksum(tx, old, added, algorithm, value)
    return msgspec.structs.replace(
        old,
        body=await _joined(cloud, tx, old, added, value),
        checksum=checksum,
        parts=parts_of(old) + 1,
        upload_id="",
    )


async def _joined(cloud: Cloud, tx: Transaction, old: Object, added: Body, checksum: str) -> Body:
    piece = Piece(parts_of(old) + 1, added, checksum)
    top, tail = await _lists(tx, old)
    if tail is not None and len(tail) < _LIST_PARTS_MAX:
        last = top.pop().body
        tx.put(keys.pieces(last.at), encode([*tail, piece]))
        top.append(Piece(tail[0].number, Body("pieces", last.at, last.size + added.size)))
    else:
        token = bodies.new_token(cloud)
        tx.put(keys.pieces(token), encode([piece]))
        top.append(Piece(piece.number, Body("pieces", token, added.size)))
    at = old.body.at if tail is not None else bodies.new_token(cloud)
    tx.put(keys.pieces(at), encode(top))
    return Body("pieces", at, old.size + added.size)


async def _lists(tx: Reader, old: Object) -> tuple[list[Piece], list[Piece] | None]:
    """(what the new list begins with, the parts of its last list; None where nothing was appended before)."""
    if old.body.kind == "pieces":
        top = decode_pieces(await tx.get(keys.pieces(old.body.at)) or b"\x90")
        if top and top[-1].body.kind == "pieces":
            return top, decode_pieces(await tx.get(keys.pieces(top[-1].body.at)) or b"\x90")
    if not old.size:
        return [], None
    return [Piece(1, old.body, old.checksum.value if old.checksum else "")], None


async def _checksum(tx: Reader, old: Object, added: Body, algorithm: str, value: str) -> Checksum:
    """The checksum of the whole: a CRC is put together, of others it is that of the parts' checksums."""
    if not old.size or old.checksum is None:
        return Checksum(algorithm, value)
    if algorithm in checksums.LINEAR and old.checksum.type == "FULL_OBJECT":
        return Checksum(algorithm, checksums.combined(algorithm, [(old.checksum.value, old.size), (value, added.size)]))
    if old.body.kind == "pieces":
        values = [piece.checksum for piece in await bodies.parts(tx, old.body)]
    else:
        values = [old.checksum.value]
    return Checksum(algorithm, checksums.composite(algorithm, [*values, value]), "COMPOSITE")
