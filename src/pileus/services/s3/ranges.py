"""Byte ranges: RFC 9110 section 14, as far as S3 takes them (one range)."""

from __future__ import annotations

import re

from pileus.services.s3 import errors

_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)
_COPY_RANGE = re.compile(r"bytes=(\d+)-(\d+)", re.ASCII)
# No object is longer than 50 TB; a number with more digits is beyond every end, and costly to read.
_DIGITS_MAX = 18


def parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """(first, last) of `Range`; None where the whole is meant: no header, or none that S3 heeds.

    Raises InvalidRange where nothing of the object lies in it.
    """
    if header is None or not (found := _RANGE.fullmatch(header.strip())):
        return None
    first_text, last_text = found.groups()
    if not first_text and not last_text:
        return None
    if not first_text:
        wanted = _number(last_text)
        if wanted == 0 or size == 0:
            raise errors.invalid_range(size, header)
        return max(0, size - wanted), size - 1
    first = _number(first_text)
    last = _number(last_text) if last_text else size - 1
    if last_text and last < first:
        return None
    if first >= size:
        raise errors.invalid_range(size, header)
    return first, min(last, size - 1)


def parse_copy_range(header: str, size: int) -> tuple[int, int]:
    """(first, last) of UploadPartCopy's `x-amz-copy-source-range`."""
    found = _COPY_RANGE.fullmatch(header)
    first, last = (_number(found[1]), _number(found[2])) if found else (1, 0)
    if last < first:
        raise errors.invalid_argument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
            "zero-based offsets of the first and last bytes to copy",
            "x-amz-copy-source-range",
            header,
        )
    if first >= size:
        raise errors.invalid_request("The specified copy range is invalid for the source object size")
    if last >= size:
        raise errors.invalid_argument(
            f"Range specified is not valid for source object of size: {size}", "x-amz-copy-source-range", header
        )
    return first, last


def _number(digits: str) -> int:
    return int(digits) if len(digits) <= _DIGITS_MAX else 10**_DIGITS_MAX
