"""What a client announces of a body that does not stream: Content-MD5 and `x-amz-checksum-*` (S3).

Bodies that stream are checked by who reads them. Source: "Checking object integrity for data uploads in Amazon S3".
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from typing import Any

from pileus.kernel import digests
from pileus.kernel.errors import AWSError

# Whose checksum headers are about the object that is made, not about the body.
_ABOUT_THE_OBJECT = frozenset({"CompleteMultipartUpload"})
# Which must come with one or the other: reported so against AWS's own tools.
_REQUIRED = frozenset(
    (
        "DeleteObjects",
        "PutBucketCors",
        "PutBucketLifecycleConfiguration",
        "PutBucketReplication",
        "PutBucketTagging",
        "PutObjectLegalHold",
        "PutObjectLockConfiguration",
        "PutObjectRetention",
    )
)
_HEADERS = {"x-amz-checksum-" + algorithm.lower(): algorithm for algorithm in digests.ALGORITHMS}


def check_body(operation: str, headers: Mapping[str, str], body: bytes) -> None:
    """Raises InvalidDigest, InvalidRequest or BadDigest where the body is not what was announced."""
    if (given := headers.get("content-md5")) is not None:
        _check_md5(given, body)
    elif operation in _REQUIRED and not _HEADERS.keys() & headers.keys():
        raise AWSError(
            "InvalidRequest",
            "Missing required header for this request: Content-MD5 OR x-amz-checksum-*",
            status=400,
        )
    if operation in _ABOUT_THE_OBJECT:
        return
    for name, given in headers.items():
        algorithm = _HEADERS.get(name)
        if algorithm is None:
            continue
        if not digests.is_value(algorithm, given):
            raise AWSError("InvalidRequest", f"Value for {name} header is invalid.", status=400)
        if digests.of(algorithm, body) != given:
            raise AWSError(
                "BadDigest", f"The {algorithm} you specified did not match the calculated checksum.", status=400
            )


def _check_md5(given: str, body: bytes) -> None:
    if not digests.is_value("MD5", given):
        members: dict[str, Any] = {"Content-MD5": given}
        raise AWSError("InvalidDigest", "The Content-MD5 you specified was invalid.", status=400, **members)
    calculated = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    if calculated != given:
        raise AWSError(
            "BadDigest",
            "The Content-MD5 you specified did not match what we received.",
            status=400,
            CalculatedDigest=calculated,
            ExpectedDigest=given,
        )
