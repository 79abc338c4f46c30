"""What is kept with an object beside its bytes: content headers, user metadata, storage class, tags.

Sources: "Working with object metadata", "Categorizing your objects using tags" in the Amazon S3 User Guide.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from pileus.kernel.errors import AWSError
from pileus.services.s3 import directories, errors
from pileus.services.s3.records import Object

METADATA_BYTES_MAX = 2048
REDIRECT_BYTES_MAX = 2048
KEY_BYTES_MAX = 1024
OBJECT_TAGS_MAX = 10
BUCKET_TAGS_MAX = 50

# Members of requests and answers that are kept as they were put.
CONTENT_HEADERS = ("CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType", "Expires")
KEPT_HEADERS = (*CONTENT_HEADERS, "WebsiteRedirectLocation")
DEFAULT_CONTENT_TYPE = "binary/octet-stream"

STORAGE_CLASSES = frozenset(
    (
        "STANDARD",
        "REDUCED_REDUNDANCY",
        "STANDARD_IA",
        "ONEZONE_IA",
        "INTELLIGENT_TIERING",
        "GLACIER",
        "DEEP_ARCHIVE",
        "GLACIER_IR",
    )
)
ARCHIVED = ("GLACIER", "DEEP_ARCHIVE")


def check_key(key: str) -> None:
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        raise AWSError("InvalidURI", "Couldn't parse the specified URI.", status=400) from None
    if size > KEY_BYTES_MAX:
        raise errors.key_too_long(size)


def check_readable(version: Object, now: float) -> None:
    """An archived object is read where it was restored, and as long as that lasts."""
    if version.storage_class in ARCHIVED:
        restored = version.restoration
        if restored is None or not restored.ready <= now < restored.expires:
            raise errors.invalid_object_state(version.storage_class)


def storage_class(request: Mapping[str, Any]) -> str:
    if directories.is_one(request["Bucket"]):
        return directories.storage_class(request["Bucket"])
    given = str(request.get("StorageClass") or "STANDARD")
    if given not in STORAGE_CLASSES:
        raise AWSError(
            "InvalidStorageClass",
            "The storage class you specified is not valid",
            status=400,
            StorageClassRequested=given,
        )
    return given


def content_headers(request: Mapping[str, Any]) -> dict[str, str]:
    kept = {name: str(request[name]) for name in KEPT_HEADERS if request.get(name) is not None}
    if (encoding := kept.get("ContentEncoding")) is not None:
        # aws-chunked is how the body travelled, not what it is.
        rest = [one for part in encoding.split(",") if (one := part.strip()) and one != "aws-chunked"]
        if rest:
            kept["ContentEncoding"] = ",".join(rest)
        else:
            del kept["ContentEncoding"]
    kept.setdefault("ContentType", DEFAULT_CONTENT_TYPE)
    location = kept.get("WebsiteRedirectLocation")
    if location is not None and not location.startswith(("/", "http://", "https://")):
        raise AWSError(
            "InvalidRedirectLocation",
            "The website redirect location must have a prefix of 'http://' or 'https://' or '/'.",
            status=400,
        )
    if location is not None and len(location.encode("utf-8", "surrogateescape")) > REDIRECT_BYTES_MAX:
        raise AWSError(
            "InvalidRedirectLocation",
            f"The length of website redirect location cannot exceed {REDIRECT_BYTES_MAX:,} characters.",
            status=400,
        )
    return kept


def user_metadata(request: Mapping[str, Any]) -> dict[str, str]:
    """`x-amz-meta-*`, lower-case; RFC 2047's encoded words are read."""
    given: Mapping[str, str] = request.get("Metadata") or {}
    if not given:
        return {}
    plain = {name.lower(): _decoded(value) for name, value in given.items()}
    size = sum(len(name.encode()) + len(value.encode("utf-8", "surrogateescape")) for name, value in plain.items())
    if size > METADATA_BYTES_MAX:
        raise errors.metadata_too_large(size, METADATA_BYTES_MAX)
    return plain


def shown_metadata(kept: Mapping[str, str]) -> dict[str, str]:
    return {name: value if value.isascii() else _encoded(value) for name, value in kept.items()}


def _decoded(value: str) -> str:
    if "=?" not in value:
        return value
    import email.errors
    import email.header

    try:
        parts = email.header.decode_header(value)
    except (email.errors.HeaderParseError, ValueError):
        return value
    try:
        return "".join(
            part if isinstance(part, str) else part.decode(charset or "ascii", "replace") for part, charset in parts
        )
    except LookupError:
        return value


def _encoded(value: str) -> str:
    """RFC 2047: Q where most of it is ASCII, else B."""
    raw = value.encode("utf-8", "surrogateescape")
    ascii_count = sum(1 for char in value if char.isascii())
    if ascii_count <= len(value) - ascii_count:
        return f"=?UTF-8?B?{base64.b64encode(raw).decode()}?="
    quoted = "".join(
        "_" if byte == 32 else chr(byte) if 32 < byte < 127 and byte not in b"=?_" else f"={byte:02X}" for byte in raw
    )
    return f"=?UTF-8?Q?{quoted}?="


Tags = tuple[tuple[str, str], ...]


def header_tags(request: Mapping[str, Any]) -> Tags:
    """`x-amz-tagging`: tags as a query string."""
    given = request.get("Tagging")
    if not given:
        return ()
    tags = tuple(parse_qsl(str(given), keep_blank_values=True, max_num_fields=1000))
    if len({key for key, _ in tags}) != len(tags):
        raise errors.invalid_argument(
            "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without tag "
            "name duplicates.",
            "x-amz-tagging",
            str(given),
        )
    check_tags(tags, OBJECT_TAGS_MAX, "Object")
    return tags


def body_tags(tagging: Mapping[str, Any] | None, most: int, of: str) -> Tags:
    """The TagSet of a request's body."""
    if tagging is None:
        raise errors.malformed_xml()
    return tag_set(tagging.get("TagSet") or (), most, of)


def tag_set(given: Sequence[Mapping[str, str]], most: int, of: str) -> Tags:
    if any("Key" not in tag or "Value" not in tag for tag in given):
        raise errors.malformed_xml()
    tags = tuple((tag["Key"], tag["Value"]) for tag in given)
    seen: set[str] = set()
    for key, _ in tags:
        if key in seen:
            raise errors.invalid_tag("Cannot provide multiple Tags with the same key", key)
        seen.add(key)
    check_tags(tags, most, of)
    return tags


def check_tags(tags: Tags, most: int, of: str) -> None:
    """`of`: "Object" or "Bucket", as the message has it."""
    if len(tags) > most:
        raise AWSError("BadRequest", f"{of} tags cannot be greater than {most}", status=400)
    for key, value in tags:
        if not 1 <= len(key) <= 128 or not _tag_text(key):
            raise errors.invalid_tag("The TagKey you have provided is invalid", key)
        if len(value) > 256 or not _tag_text(value):
            raise errors.invalid_tag("The TagValue you have provided is invalid", key)
        if key.startswith("aws:"):
            raise errors.invalid_tag("System tags cannot be added/updated by requester", key)


def _tag_text(text: str) -> bool:
    return all(char.isalnum() or char.isspace() or char in "_.:/=+-@" or not char.isascii() for char in text)


def shown_tags(tags: Tags) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags]
