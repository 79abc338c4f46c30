"""Keys: tuples as bytes that sort as the tuples do (the tuple layer's encoding of FoundationDB).

    pack("sqs", account, region, "queue", name)       one key
    pack_onto(prefix, name, number)                   the same with the first parts packed beforehand
    prefix_range("sqs", account, region, "queue")     every key that goes on from these parts
    text_range(prefix, "photos/")                     every key whose next part is a text that begins so
    after(key)                                        where a scan goes on behind `key`

A part is None, bytes, str, int, float or bool. Parts of one type sort as in Python (text by code point, -0.0 before
0.0), parts of different types in the order of that list. A shorter tuple sorts before those that go on from it.
"""

from __future__ import annotations

import struct

Part = None | bytes | str | int | float | bool

# Type codes. Integers use _INT_ZERO ± the number of bytes they take; those of more than 8 bytes the two codes outside.
_NONE = 0x00
_BYTES = 0x01
_TEXT = 0x02
_INT_BIG_NEGATIVE = 0x0B
_INT_ZERO = 0x14
_INT_BIG_POSITIVE = 0x1D
_DOUBLE = 0x21
_FALSE = 0x26
_TRUE = 0x27

INT_BYTES_MAX = 255

_DOUBLE_FORMAT = struct.Struct(">d")
_SIGN = 1 << 63
_ALL = (1 << 64) - 1
_HEADS = [bytes([_INT_ZERO + size]) for size in range(9)]
_SMALL = [b"\x14"] + [b"\x15" + bytes([n]) for n in range(1, 256)]


def pack(*parts: Part) -> bytes:
    """The key of `parts`."""
    return pack_onto(b"", *parts)


def pack_onto(prefix: bytes, *parts: Part) -> bytes:
    """`prefix`, itself packed, with `parts` behind it."""
    out = [prefix]
    for part in parts:
        kind = type(part)
        if kind is str:
            if "\x00" in part:  # type: ignore[operator]
                out.append(b"\x02%b\x00" % part.encode().replace(b"\x00", b"\x00\xff"))  # type: ignore[union-attr]
            else:
                out.append(f"\x02{part}\x00".encode())  # type: ignore[str-bytes-safe]
        elif kind is int:
            out.append(_SMALL[part] if 0 <= part < 256 else _pack_int(part))  # type: ignore[operator, index, arg-type]
        elif kind is bytes:
            out.append(b"\x01%b\x00" % (part.replace(b"\x00", b"\x00\xff") if 0 in part else part))  # type: ignore
        else:
            out.append(_pack_other(part))
    return b"".join(out)


def _pack_int(value: int) -> bytes:
    size = (value.bit_length() + 7) // 8
    if value >= 0 and size <= 8:
        return _HEADS[size] + value.to_bytes(size, "big")
    if size > INT_BYTES_MAX:
        raise ValueError(f"an integer in a key takes at most {INT_BYTES_MAX} bytes, not {size}")
    if value >= 0:
        return bytes([_INT_BIG_POSITIVE, size]) + value.to_bytes(size, "big")
    # Negative ones are stored as their distance from the least of their size, so that they sort upwards.
    head = bytes([_INT_ZERO - size]) if size <= 8 else bytes([_INT_BIG_NEGATIVE, size ^ 0xFF])
    return head + (value + (1 << 8 * size) - 1).to_bytes(size, "big")


def _pack_other(part: Part) -> bytes:
    if part is None:
        return b"\x00"
    if part is False:
        return b"\x26"
    if part is True:
        return b"\x27"
    if isinstance(part, float):
        bits = int.from_bytes(_DOUBLE_FORMAT.pack(part), "big")
        return b"\x21" + (bits ^ (_ALL if bits & _SIGN else _SIGN)).to_bytes(8, "big")
    # Subclasses: enumerations of text or numbers, for example.
    if isinstance(part, str):
        return pack(str.__str__(part))
    if isinstance(part, int):
        return pack(int(part))
    if isinstance(part, bytes):
        return pack(bytes(part))
    raise TypeError(f"a key is made of None, bytes, str, int, float and bool, not {type(part).__name__}")


def unpack(key: bytes, skip: int = 0) -> tuple[Part, ...]:
    """The parts of `key` from byte `skip` on: behind a packed prefix of that length."""
    parts: list[Part] = []
    at, end = skip, len(key)
    while at < end:
        size = key[at] - _INT_ZERO
        if 0 <= size <= 8 and at + size < end:
            # Numbers and times, in most keys that are read.
            stop = at + 1 + size
            parts.append(int.from_bytes(key[at + 1 : stop], "big"))
            at = stop
            continue
        part, at = _unpack_one(key, at)
        parts.append(part)
    return tuple(parts)


def unpack_numbers(key: bytes, skip: int) -> tuple[int, int]:
    """The last two parts of `key`, behind a packed prefix of `skip` bytes: numbers from 0 to 2**64 - 1."""
    middle = skip + 1 + key[skip] - _INT_ZERO
    return int.from_bytes(key[skip + 1 : middle], "big"), int.from_bytes(key[middle + 1 :], "big")


def _unpack_one(key: bytes, at: int) -> tuple[Part, int]:
    code = key[at]
    at += 1
    if code in (_TEXT, _BYTES):
        stop = key.find(b"\x00", at)
        while stop != -1 and key[stop + 1 : stop + 2] == b"\xff":
            stop = key.find(b"\x00", stop + 2)
        if stop == -1:
            raise ValueError("the key breaks off")
        data = key[at:stop]
        if 0 in data:
            data = data.replace(b"\x00\xff", b"\x00")
        return (data.decode() if code == _TEXT else data), stop + 1
    if _INT_BIG_NEGATIVE <= code <= _INT_BIG_POSITIVE:
        negative = code < _INT_ZERO
        size = abs(code - _INT_ZERO)
        if size > 8:
            size = _take(key, at, 1)[0] ^ (0xFF if negative else 0)
            at += 1
        value = int.from_bytes(_take(key, at, size), "big")
        return (value - (1 << 8 * size) + 1 if negative else value), at + size
    if code == _NONE:
        return None, at
    if code in (_FALSE, _TRUE):
        return code == _TRUE, at
    if code == _DOUBLE:
        bits = int.from_bytes(_take(key, at, 8), "big")
        bits ^= _SIGN if bits & _SIGN else _ALL
        number: float = _DOUBLE_FORMAT.unpack(bits.to_bytes(8, "big"))[0]
        return number, at + 8
    raise ValueError(f"no part of a key begins with byte {code:#04x}")


def _take(key: bytes, at: int, size: int) -> bytes:
    data = key[at : at + size]
    if len(data) != size:
        raise ValueError("the key breaks off")
    return data


def prefix_range(*parts: Part) -> tuple[bytes, bytes]:
    """(start, end) of every key that begins with `parts` and has at least one part more."""
    return range_onto(pack(*parts))


def range_onto(prefix: bytes) -> tuple[bytes, bytes]:
    """`prefix_range` of parts that are packed already."""
    return prefix + b"\x00", prefix + b"\xff"


def text_range(prefix: bytes, text: str) -> tuple[bytes, bytes]:
    """(start, end) of every key that goes on from `prefix` with a text beginning with `text`."""
    start = pack_onto(prefix, text)[:-1]
    head = start.rstrip(b"\xff")
    return start, head[:-1] + bytes([head[-1] + 1])


def after(key: bytes) -> bytes:
    """The least key behind `key`."""
    return key + b"\x00"
