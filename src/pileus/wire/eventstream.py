"""`application/vnd.amazon.eventstream`: framed messages with typed headers and checksums, in both directions.

Source: the Smithy specification's "Amazon Event Stream Specification".

    total length, header length, CRC-32 of both | headers | payload | CRC-32 of all before it       (big-endian)
"""

from __future__ import annotations

import struct
import uuid
import zlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pileus.kernel.errors import AWSError
from pileus.model import Shape

CONTENT_TYPE = "application/vnd.amazon.eventstream"
MAX_HEADERS_BYTES = 128 * 1024
MAX_MESSAGE_BYTES = 24 * 1024 * 1024

_PRELUDE = struct.Struct(">II")
_WORD = struct.Struct(">I")
_INTEGERS = {2: struct.Struct(">b"), 3: struct.Struct(">h"), 4: struct.Struct(">i"), 5: struct.Struct(">q")}
_OVERHEAD = 16

# bool, int, bytes, str, datetime (milliseconds are kept), UUID.
HeaderValue = bool | int | bytes | str | datetime | uuid.UUID


@dataclass(slots=True, frozen=True)
class Message:
    headers: dict[str, HeaderValue]
    payload: bytes


def encode_message(headers: Mapping[str, HeaderValue], payload: bytes = b"") -> bytes:
    """One framed message. A header's type follows from its value; integers are 32 bits wide where they fit."""
    head = b"".join(_encode_header(name, value) for name, value in headers.items())
    if len(head) > MAX_HEADERS_BYTES:
        raise ValueError("headers too long for an event stream message")
    total = _OVERHEAD + len(head) + len(payload)
    if total > MAX_MESSAGE_BYTES:
        raise ValueError("payload too long for an event stream message")
    prelude = _PRELUDE.pack(total, len(head))
    message = b"".join((prelude, _WORD.pack(zlib.crc32(prelude)), head, payload))
    return message + _WORD.pack(zlib.crc32(message))


def _encode_header(name: str, value: HeaderValue) -> bytes:
    key = name.encode()
    start = bytes((len(key),)) + key
    if isinstance(value, bool):
        return start + (b"\x00" if value else b"\x01")
    if isinstance(value, int):
        kind = 4 if -(2**31) <= value < 2**31 else 5
        return start + bytes((kind,)) + _INTEGERS[kind].pack(value)
    if isinstance(value, datetime):
        return start + b"\x08" + _INTEGERS[5].pack(round(value.timestamp() * 1000))
    if isinstance(value, uuid.UUID):
        return start + b"\x09" + value.bytes
    kind, data = (7, value.encode()) if isinstance(value, str) else (6, value)
    return start + bytes((kind,)) + struct.pack(">H", len(data)) + data


def decode_message(data: bytes) -> Message:
    """The message that `data` is, whole. Raises `ValueError` where lengths, checksums or headers are wrong."""
    if len(data) < _OVERHEAD:
        raise ValueError("shorter than any message")
    total, head_length = _PRELUDE.unpack_from(data)
    if total != len(data) or head_length > total - _OVERHEAD or head_length > MAX_HEADERS_BYTES:
        raise ValueError("lengths do not match")
    if _WORD.unpack_from(data, 8)[0] != zlib.crc32(data[:8]):
        raise ValueError("prelude checksum does not match")
    if _WORD.unpack_from(data, total - 4)[0] != zlib.crc32(data[:-4]):
        raise ValueError("message checksum does not match")
    return Message(dict(_decode_headers(data[12 : 12 + head_length])), data[12 + head_length : -4])


def _decode_headers(head: bytes) -> Iterator[tuple[str, HeaderValue]]:
    try:
        at = 0
        seen: set[str] = set()
        while at < len(head):
            end = at + 1 + head[at]
            name, kind, at = head[at + 1 : end].decode(), head[end], end + 1
            if not name or name in seen:
                raise ValueError("empty or repeated header name")
            seen.add(name)
            value: HeaderValue
            if kind <= 1:
                value = kind == 0
            elif kind in _INTEGERS:
                (value,) = _INTEGERS[kind].unpack_from(head, at)
                at += _INTEGERS[kind].size
            elif kind in (6, 7):
                (length,) = struct.unpack_from(">H", head, at)
                data = _take(head, at + 2, length)
                value = data if kind == 6 else data.decode()
                at += 2 + length
            elif kind == 8:
                value = datetime.fromtimestamp(_INTEGERS[5].unpack_from(head, at)[0] / 1000, UTC)
                at += 8
            elif kind == 9:
                value = uuid.UUID(bytes=_take(head, at, 16))
                at += 16
            else:
                raise ValueError("unknown header type")
            yield name, value
    except (struct.error, IndexError, OverflowError, OSError) as error:
        raise ValueError("headers are broken") from error


def _take(data: bytes, at: int, length: int) -> bytes:
    taken = data[at : at + length]
    if len(taken) != length:
        raise ValueError("header is cut off")
    return taken


async def read_messages(chunks: AsyncIterator[bytes]) -> AsyncIterator[Message]:
    """The messages of a request's stream, as they arrive. Raises `AWSError` where the stream is broken or cut off."""
    buffer = bytearray()
    async for chunk in chunks:
        buffer += chunk
        while len(buffer) >= 12:
            total, _ = _PRELUDE.unpack_from(buffer)
            if not _OVERHEAD <= total <= MAX_MESSAGE_BYTES or _WORD.unpack_from(buffer, 8)[0] != zlib.crc32(buffer[:8]):
                raise _broken()
            if len(buffer) < total:
                break
            try:
                message = decode_message(bytes(buffer[:total]))
            except ValueError:
                raise _broken() from None
            del buffer[:total]
            yield message
    if buffer:
        raise _broken()


def _broken() -> AWSError:
    return AWSError("SerializationException", "The event stream is malformed.", status=400)


class EventEncoder:
    """Events of one event stream shape as messages.

    An event is `{name of the event: its members}`. `encode_body(shape, members)` gives what an event without a payload
    member of its own carries, in the operation's protocol; `content_type` is that protocol's.
    """

    def __init__(self, stream: Shape, encode_body: Callable[[Shape, Any], bytes], content_type: str) -> None:
        self._stream = stream
        self._encode_body = encode_body
        self._content_type = content_type

    async def encode(self, events: AsyncIterator[Mapping[str, Any]], initial: bytes | None) -> AsyncIterator[bytes]:
        """The frames, the `initial` response first where the protocol has one. An `AWSError` that `events` raises ends
        the stream with it, as the modelled exception or as an unmodelled error."""
        if initial is not None:
            yield self._frame("initial-response", self._content_type, initial)
        try:
            async for event in events:
                for name, members in event.items():
                    yield self.event(name, members)
        except AWSError as error:
            yield self.error(error)

    def event(self, name: str, members: Mapping[str, Any]) -> bytes:
        shape = self._stream.members[name]
        if shape.traits.get("exception"):
            return self._exception(name, shape, members)
        headers: dict[str, HeaderValue] = {}
        payload_name = None
        for member_name, member in shape.members.items():
            if member.traits.get("eventpayload"):
                payload_name = member_name
            elif member.traits.get("eventheader") and members.get(member_name) is not None:
                value = members[member_name]
                headers[member_name] = datetime.fromtimestamp(value, UTC) if member.type == "timestamp" else value
        if payload_name is None:
            body = {key: value for key, value in members.items() if key not in headers}
            has_body = any(member not in headers for member in shape.members)
            payload = self._encode_body(shape, body) if has_body else b""
            return self._frame(name, self._content_type if has_body else None, payload, headers)
        member, value = shape.members[payload_name], members.get(payload_name)
        if member.type == "blob":
            return self._frame(name, "application/octet-stream", bytes(value or b""), headers)
        if member.type == "string":
            return self._frame(name, "text/plain", (value or "").encode(), headers)
        return self._frame(name, self._content_type, self._encode_body(member, value or {}), headers)

    def error(self, error: AWSError) -> bytes:
        shape = self._stream.members.get(error.code)
        if shape is not None and shape.traits.get("exception"):
            key = next((name for name in shape.members if name.lower() == "message"), "message")
            return self._exception(error.code, shape, {key: error.message, **error.members})
        return encode_message({":message-type": "error", ":error-code": error.code, ":error-message": error.message})

    def _exception(self, name: str, shape: Shape, members: Mapping[str, Any]) -> bytes:
        headers: dict[str, HeaderValue] = {
            ":message-type": "exception",
            ":exception-type": name,
            ":content-type": self._content_type,
        }
        return encode_message(headers, self._encode_body(shape, members))

    @staticmethod
    def _frame(
        name: str, content_type: str | None, payload: bytes, more: Mapping[str, HeaderValue] | None = None
    ) -> bytes:
        headers: dict[str, HeaderValue] = {":event-type": name, **(more or {})}
        if content_type is not None:
            headers[":content-type"] = content_type
        headers[":message-type"] = "event"
        return encode_message(headers, payload)


async def decode_events(
    stream: Shape, messages: AsyncIterator[Message], decode_body: Callable[[Shape, bytes], Any]
) -> AsyncIterator[dict[str, Any]]:
    """A request's events as `{name: members}`.

    `decode_body(shape, payload)` reads a body in the operation's protocol.
    """
    async for message in messages:
        name = message.headers.get(":event-type")
        shape = stream.members.get(name) if isinstance(name, str) else None
        if shape is None or not isinstance(name, str):
            raise _broken()
        members: dict[str, Any] = {}
        payload_name = None
        for member_name, member in shape.members.items():
            if member.traits.get("eventpayload"):
                payload_name = member_name
            elif member.traits.get("eventheader") and member_name in message.headers:
                value = message.headers[member_name]
                members[member_name] = value.timestamp() if isinstance(value, datetime) else value
        if payload_name is not None:
            members[payload_name] = _decode_payload(shape.members[payload_name], message.payload, decode_body)
        elif message.payload:
            members.update(decode_body(shape, message.payload))
        yield {name: members}


def _decode_payload(member: Shape, payload: bytes, decode_body: Callable[[Shape, bytes], Any]) -> Any:
    if member.type == "blob":
        return payload
    if member.type == "string":
        try:
            return payload.decode()
        except UnicodeDecodeError:
            raise _broken() from None
    return decode_body(member, payload)
