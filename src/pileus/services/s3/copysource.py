"""`x-amz-copy-source`: "bucket/key" or "/bucket/key", encoded as in a query, with "?versionId=" behind it.

A plus sign stands for a space: a key's own must come as %2B, as those found who copied without encoding.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import unquote, unquote_plus

from pileus.kernel.errors import AWSError
from pileus.services.s3 import errors


class CopySource(NamedTuple):
    bucket: str
    key: str
    version_id: str | None


def parse_copy_source(given: str) -> CopySource:
    path, mark, query = given.partition("?versionId=")
    try:
        bucket, slash, key = unquote_plus(path, errors="strict").removeprefix("/").partition("/")
    except UnicodeDecodeError:
        raise _invalid("Invalid copy source encoding.") from None
    if not bucket or not slash or not key:
        raise _invalid("Invalid copy source object key")
    if not bucket.startswith("arn:") and not errors.BUCKET_NAME.fullmatch(bucket):
        raise _invalid("Invalid copy source bucket name")
    return CopySource(bucket, key, unquote(query) if mark else None)


def _invalid(message: str) -> AWSError:
    return errors.invalid_argument(message, "x-amz-copy-source", "x-amz-copy-source")
