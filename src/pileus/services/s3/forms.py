"""Reading what a browser posts: the form's fields, then its file as a stream.

Source: "POST Object", "Creating an HTML form (using AWS Signature Version 4)" in the Amazon S3 API Reference.

All fields that count stand before the file; what follows it is passed over.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from pileus.kernel.errors import AWSError
from pileus.kernel.streams import ByteStream
from pileus.services.s3 import errors

FIELDS_BYTES_MAX = 20_000
# A file of this size, at most, is read whole before it is put: then its length is known.
_SMALL_BYTES = 64 * 1024


def malformed() -> AWSError:
    return AWSError(
        "MalformedPOSTRequest", "The body of your POST request is not well-formed multipart/form-data.", status=400
    )


class FormParts:
    """The parts of a form, as the parser finds them in what it is fed."""

    def __init__(self, boundary: bytes) -> None:
        # Imported with the first form.
        from python_multipart.multipart import MultipartParser

        self.fields: dict[str, str] = {}
        self.file_name = ""
        # Whether the file has begun, and ended.
        self.in_file = False
        self.over = False
        # What has come of the file and was not taken yet.
        self.pieces: list[bytes] = []
        self._name = ""
        self._headers: dict[str, str] = {}
        self._header = b""
        self._value = b""
        self._data = bytearray()
        self._size = 0
        self._parser: Any = MultipartParser(
            boundary,
            {
                "on_part_begin": self._part_begin,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_end,
                "on_headers_finished": self._headers_finished,
                "on_part_data": self._part_data,
                "on_part_end": self._part_end,
            },
        )

    def feed(self, data: bytes) -> None:
        from python_multipart.exceptions import MultipartParseError

        try:
            self._parser.write(data)
        except MultipartParseError:
            raise malformed() from None

    def _part_begin(self) -> None:
        self._headers, self._data = {}, bytearray()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._header.decode("latin-1").lower()] = self._value.decode("utf-8", "replace")
        self._header = self._value = b""

    def _headers_finished(self) -> None:
        from python_multipart.multipart import parse_options_header

        _, options = parse_options_header(self._headers.get("content-disposition", ""))
        self._name = options.get(b"name", b"").decode("latin-1").encode("latin-1").decode("utf-8", "replace").lower()
        if self._name == "file" and not self.in_file and not self.over:
            self.in_file = True
            file_name = options.get(b"filename", b"").decode("utf-8", "replace")
            self.file_name = file_name.replace("\\", "/").rpartition("/")[2]

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self.in_file:
            self.pieces.append(bytes(data[start:end]))
            return
        if self.over:
            return
        self._size += end - start
        if self._size > FIELDS_BYTES_MAX:
            raise AWSError(
                "MaxPostPreDataLengthExceeded",
                "Your POST request fields preceding the upload file were too large.",
                status=400,
                MaxPostPreDataLengthBytes=str(FIELDS_BYTES_MAX),
            )
        self._data += data[start:end]

    def _part_end(self) -> None:
        if self.in_file:
            self.in_file, self.over = False, True
        elif not self.over and self._name:
            # Of several of one name the first counts.
            self.fields.setdefault(self._name, self._data.decode("utf-8", "replace"))


class FormFile:
    """A `ByteStream` over the file of a form. Its length is known only where it is small."""

    def __init__(self, parts: FormParts, source: AsyncIterator[bytes]) -> None:
        self._parts = parts
        self._source = source
        self.length: int | None = None
        self.trailers: dict[str, str] = {}
        # Of the policy's `content-length-range`.
        self.least = 0
        self.most: int | None = None

    async def settle(self) -> None:
        """Read as much as tells whether the file is small."""
        parts = self._parts
        while not parts.over and sum(map(len, parts.pieces)) <= _SMALL_BYTES:
            await self._more()
        if parts.over:
            self.length = sum(map(len, parts.pieces))
            self._check(self.length)

    async def _more(self) -> None:
        try:
            self._parts.feed(await anext(self._source))
        except StopAsyncIteration:
            raise malformed() from None

    def _check(self, size: int) -> None:
        if self.most is not None and size > self.most:
            raise errors.entity_too_large(size, self.most)
        if size < self.least:
            raise AWSError(
                "EntityTooSmall",
                "Your proposed upload is smaller than the minimum allowed size",
                status=400,
                ProposedSize=str(size),
                MinSizeAllowed=str(self.least),
            )

    async def __aiter__(self) -> AsyncIterator[bytes]:
        parts = self._parts
        size = 0
        while True:
            taken, parts.pieces = parts.pieces, []
            chunk = b"".join(taken)
            size += len(chunk)
            # What is too large is read to its end, so that its size can be told, and not kept.
            if chunk and (self.most is None or size <= self.most):
                yield chunk
            if parts.over:
                break
            await self._more()
        self._check(size)
        async for _ in self._source:
            pass

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self])


async def read_form(body: ByteStream, boundary: bytes) -> tuple[dict[str, str], str, FormFile]:
    """(fields by lower-case name, the file's name, the file) of a form."""
    parts = FormParts(boundary)
    source = aiter(body)
    while not (parts.in_file or parts.over):
        try:
            parts.feed(await anext(source))
        except StopAsyncIteration:
            break
    if not (parts.in_file or parts.over):
        raise errors.invalid_argument("POST requires exactly one file upload per request.", "file", "0")
    return parts.fields, parts.file_name, FormFile(parts, source)
