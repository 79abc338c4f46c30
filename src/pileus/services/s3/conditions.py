"""Conditional requests.

Sources: "Conditional requests" in the Amazon S3 User Guide, RFC 9110 section 13, recorded answers.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from pileus.kernel.errors import AWSError
from pileus.services.s3 import errors
from pileus.services.s3.records import Object

_NOT_THIS_VALUE = "We don't accept the provided value of {} header for this API"


def http_date(when: float) -> str:
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(when))


def _matches(given: str, etag: str) -> bool:
    """Whether an If-Match style list of entity tags, quoted or not, names `etag`."""
    if given.strip() == "*":
        return True
    return any(one.strip().removeprefix("W/").strip('"') == etag for one in given.split(","))


def check_read(request: Mapping[str, Any], current: Object, now: float) -> None:
    """GetObject's and HeadObject's conditions: PreconditionFailed (412) or NotModified (304)."""
    modified = int(current.modified)
    if (given := request.get("IfMatch")) is not None:
        if not _matches(given, current.etag):
            raise errors.precondition_failed("If-Match")
    elif (since := request.get("IfUnmodifiedSince")) is not None and modified > since:
        raise errors.precondition_failed("If-Unmodified-Since")
    if (given := request.get("IfNoneMatch")) is not None:
        if _matches(given, current.etag):
            raise errors.not_modified(_validators(current))
    elif (since := request.get("IfModifiedSince")) is not None and modified <= since <= now:
        # A date in the future is no date at all here.
        raise errors.not_modified(_validators(current))


def _validators(current: Object) -> dict[str, str]:
    return {"ETag": f'"{current.etag}"', "Last-Modified": http_date(current.modified)}


def check_copy_source(request: Mapping[str, Any], source: Object, now: float) -> None:
    """`x-amz-copy-source-if-*`: always 412."""
    modified = int(source.modified)
    if (given := request.get("CopySourceIfMatch")) is not None:
        if not _matches(given, source.etag):
            raise errors.precondition_failed("x-amz-copy-source-If-Match")
    elif (since := request.get("CopySourceIfUnmodifiedSince")) is not None and modified > since:
        raise errors.precondition_failed("x-amz-copy-source-If-Unmodified-Since")
    if (given := request.get("CopySourceIfNoneMatch")) is not None:
        if _matches(given, source.etag):
            raise errors.precondition_failed("x-amz-copy-source-If-None-Match")
    elif (since := request.get("CopySourceIfModifiedSince")) is not None and modified <= since <= now:
        raise errors.precondition_failed("x-amz-copy-source-If-Modified-Since")


def check_write_form(request: Mapping[str, Any]) -> None:
    """What writes accept as conditions at all: `If-None-Match: *`, or `If-Match` with an entity tag."""
    match, none_match = request.get("IfMatch"), request.get("IfNoneMatch")
    if match is not None and none_match is not None:
        raise errors.header_not_implemented(
            "If-Match,If-None-Match", "Multiple conditional request headers present in the request"
        )
    if none_match is not None and none_match != "*":
        raise errors.header_not_implemented("If-None-Match", _NOT_THIS_VALUE.format("If-None-Match"))
    if match == "*":
        raise errors.header_not_implemented("If-Match", _NOT_THIS_VALUE.format("If-Match"))


def check_write(request: Mapping[str, Any], current: Object | None, key: str) -> None:
    """Whether the current object lets a conditional write through."""
    if request.get("IfNoneMatch") is not None and current is not None:
        raise errors.precondition_failed("If-None-Match")
    if (match := request.get("IfMatch")) is not None:
        if current is None:
            raise errors.no_such_key(key)
        if not _matches(match, current.etag):
            raise errors.precondition_failed("If-Match")


def check_complete(request: Mapping[str, Any], current: Object | None, key: str, seen: int) -> None:
    """The same for CompleteMultipartUpload, where the object must not have changed since the upload began.

    `seen` is the sequence of the object that was there then; 0: none.
    """
    check_write(request, current, key)
    if request.get("IfMatch") is not None and current is not None and current.sequence != seen:
        raise errors.conditional_conflict("If-Match", key)
    if request.get("IfNoneMatch") is not None and current is None and seen:
        raise errors.conditional_conflict("If-None-Match", key)


def check_delete(request: Mapping[str, Any], current: Object | None, key: str) -> None:
    """DeleteObject's `If-Match`, where "*" asks for any object at all; directory buckets take size and time, too."""
    match, size, modified = (request.get(name) for name in ("IfMatch", "IfMatchSize", "IfMatchLastModifiedTime"))
    if match is None and size is None and modified is None:
        return
    if current is None:
        raise errors.no_such_key(key)
    if match is not None and not _matches(match, current.etag):
        raise errors.precondition_failed("If-Match")
    if size is not None and size != current.size:
        raise errors.precondition_failed("x-amz-if-match-size")
    if modified is not None and int(modified) != int(current.modified):
        raise errors.precondition_failed("x-amz-if-match-last-modified-time")


def check_rename_form(request: Mapping[str, Any]) -> None:
    """What RenameObject accepts as conditions of its destination."""
    if request.get("DestinationIfNoneMatch") not in (None, "*"):
        raise errors.header_not_implemented("If-None-Match", _NOT_THIS_VALUE.format("If-None-Match"))


def check_rename(request: Mapping[str, Any], source: Object, destination: Object | None, key: str) -> None:
    """RenameObject's conditions: those of the source, then those of the object that is there under the new key."""
    _check_side(request, "Source", "x-amz-rename-source-if-", source)
    if request.get("DestinationIfNoneMatch") is not None and destination is not None:
        raise errors.precondition_failed("If-None-Match")
    if destination is None:
        if request.get("DestinationIfMatch") is not None:
            raise errors.precondition_failed("If-Match")
        if request.get("DestinationIfModifiedSince") is not None:
            raise errors.precondition_failed("If-Modified-Since")
        return
    _check_side({**request, "DestinationIfNoneMatch": None}, "Destination", "If-", destination)


def _check_side(request: Mapping[str, Any], side: str, header: str, current: Object) -> None:
    modified = int(current.modified)
    match, none_match = request.get(f"{side}IfMatch"), request.get(f"{side}IfNoneMatch")
    since, until = request.get(f"{side}IfModifiedSince"), request.get(f"{side}IfUnmodifiedSince")
    lower = header.islower()

    def failed(name: str) -> AWSError:
        return errors.precondition_failed(header + (name.lower() if lower else name))

    if match is not None and not _matches(match, current.etag):
        raise failed("Match")
    if none_match is not None and _matches(none_match, current.etag):
        raise failed("None-Match")
    if since is not None and modified <= since:
        raise failed("Modified-Since")
    if until is not None and modified > until:
        raise failed("Unmodified-Since")
