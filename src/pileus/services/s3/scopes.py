"""Scopes of access points for directory buckets: what can be done through one, and to which keys.

Source: "Manage the scope of your access points for directory buckets" in the Amazon S3 User Guide, Scope in the API
Reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pileus.services.s3 import errors

# All prefixes together, bytes.
_PREFIX_BYTES_MAX = 256
# Which permission of a scope a call needs.
_NEEDED = {
    "GetObject": "GetObject",
    "HeadObject": "GetObject",
    "GetObjectAttributes": "GetObjectAttributes",
    "ListParts": "ListMultipartUploadParts",
    "ListObjectsV2": "ListBucket",
    "HeadBucket": "ListBucket",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "PutObject": "PutObject",
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "DeleteObject": "DeleteObject",
    "DeleteObjects": "DeleteObject",
    "AbortMultipartUpload": "AbortMultipartUpload",
}
_PERMISSIONS = frozenset(_NEEDED.values())


def check(scope: Mapping[str, Any]) -> dict[str, list[str]]:
    """The scope to keep; raises what is wrong with it."""
    permissions, prefixes = list(scope.get("Permissions") or ()), list(scope.get("Prefixes") or ())
    if not set(permissions) <= _PERMISSIONS:
        raise errors.malformed_xml()
    if sum(len(prefix.encode()) for prefix in prefixes) >= _PREFIX_BYTES_MAX:
        raise errors.invalid_request("The total length of all prefixes must be less than 256 bytes.")
    kept = {"Permissions": permissions, "Prefixes": prefixes}
    return {name: values for name, values in kept.items() if values}


def covers(scope: Mapping[str, list[str]], operation: str, request: Mapping[str, Any]) -> bool:
    """Whether a call may go through an access point of this scope."""
    if not scope or operation == "CreateSession":
        return True
    needed = _NEEDED.get(operation)
    if needed is None or needed not in scope.get("Permissions", _PERMISSIONS):
        return False
    prefixes = tuple(scope.get("Prefixes") or ())
    if not prefixes or operation == "HeadBucket":
        return True
    if operation == "DeleteObjects":
        return all(one.get("Key", "").startswith(prefixes) for one in request["Delete"]["Objects"])
    return str(request.get("Key") or request.get("Prefix") or "").startswith(prefixes)
