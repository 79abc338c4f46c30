"""Receipt handles: where a message was put when it was received, opaque to the caller.

With that, deleting needs no search: the entry is where the handle says, unless the message has become visible or has
been received again meanwhile.
"""

from __future__ import annotations

import struct
from binascii import a2b_base64, b2a_base64
from hashlib import blake2b

import msgspec

from pileus.services.sqs import errors

_NUMBERS = struct.Struct(">QQQI")
_CHECK_BYTES = 8
# The beginning of AWS's own handles.
_VERSION = b"\x01\x00\x81"
_START = len(_VERSION) + _CHECK_BYTES
_EMPTY = blake2b(digest_size=_CHECK_BYTES, person=b"sqs handle")


class Handle(msgspec.Struct, gc=False):
    queue_id: str
    data: str
    seq: int
    rank: int
    # Under which the message waits after this receive; 0: it does not.
    due: int
    # How often it had been received, this time included.
    receives: int
    group: str


def write(handle: Handle) -> str:
    content = _NUMBERS.pack(handle.seq, handle.rank, handle.due, handle.receives)
    content += f"{handle.queue_id}{handle.data}{handle.group}".encode()
    return b2a_base64(_VERSION + _check(content) + content, newline=False).decode()


ID_LENGTH = 16


def read(text: str) -> Handle:
    """Raises ReceiptHandleIsInvalid."""
    try:
        raw = a2b_base64(text, strict_mode=True)
    except ValueError:
        raise errors.bad_handle(text) from None
    check, content = raw[len(_VERSION) : _START], raw[_START:]
    if not raw.startswith(_VERSION) or check != _check(content) or len(content) < _NUMBERS.size + 2 * ID_LENGTH:
        raise errors.bad_handle(text)
    seq, rank, due, count = _NUMBERS.unpack_from(content)
    rest = content[_NUMBERS.size :].decode()
    return Handle(rest[:ID_LENGTH], rest[ID_LENGTH : 2 * ID_LENGTH], seq, rank, due, count, rest[2 * ID_LENGTH :])


def _check(content: bytes) -> bytes:
    """Not a secret: who may receive from a queue may delete what is in it. It tells what was cut off or made up."""
    digest = _EMPTY.copy()
    digest.update(content)
    return digest.digest()
