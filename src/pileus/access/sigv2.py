"""Presigned URLs of Amazon S3 in Signature Version 2: what SDKs still make by default for the older regions.

Only the query form; in the Authorization header Version 2 is refused.

Source: "Signing and authenticating REST requests" (Amazon S3 User Guide), section "Query string request authentication
alternative".
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from pileus.access import errors
from pileus.access.canonical import CHARSET, amz_parameters
from pileus.kernel.errors import AWSError

# The query parameters that are part of what is asked for, and so of what is signed.
_SUBRESOURCES = frozenset(
    [
        "accelerate",
        "acl",
        "analytics",
        "cors",
        "defaultObjectAcl",
        "delete",
        "inventory",
        "lifecycle",
        "location",
        "logging",
        "metrics",
        "notification",
        "object-lock",
        "partNumber",
        "policy",
        "replication",
        "requestPayment",
        "response-cache-control",
        "response-content-disposition",
        "response-content-encoding",
        "response-content-language",
        "response-content-type",
        "response-expires",
        "restore",
        "select",
        "select-type",
        "storageClass",
        "tagging",
        "torrent",
        "uploadId",
        "uploads",
        "versionId",
        "versioning",
        "versions",
        "website",
    ]
)


class Claim(NamedTuple):
    access_key_id: str
    signature: str
    # Seconds since the epoch.
    expires: int
    session_token: str
    # The query's parameters in their order, decoded; None where there is no "=".
    parameters: list[tuple[str, str | None]]
    # Those that stand for headers.
    amz: dict[str, str]


def read_claim(query: str) -> Claim | None:
    """What a URL claims that is presigned in Version 2; None where it is not."""
    if "AWSAccessKeyId=" not in query and "Signature=" not in query:
        return None
    parameters: list[tuple[str, str | None]] = []
    for part in query.split("&"):
        name, equals, value = part.partition("=")
        parameters.append((name, unquote_to_bytes(value).decode(CHARSET) if equals else None))
    found = {name: value for name, value in parameters if value}
    if "AWSAccessKeyId" not in found and "Signature" not in found:
        return None
    if not ("AWSAccessKeyId" in found and "Signature" in found and "Expires" in found):
        message = "Query-string authentication requires the Signature, Expires and AWSAccessKeyId parameters"
        raise AWSError("AccessDenied", message, status=403)
    expires = found["Expires"]
    if not (expires.isascii() and expires.isdigit() and len(expires) < 15):
        message = f"Invalid date (should be seconds since epoch): {expires}"
        raise AWSError("AccessDenied", message, status=403)
    amz = {name: value.decode(CHARSET) for name, value in amz_parameters(query).items()}
    token = amz.get("x-amz-security-token", "")
    return Claim(found["AWSAccessKeyId"], found["Signature"], int(expires), token, parameters, amz)


def check_signature(claim: Claim, secret: str, *, method: str, path: str, headers: Mapping[str, str]) -> None:
    """Check that whoever knows `secret` made this URL; `path` begins with the bucket even where the host names it."""
    found = {name: value for name, value in claim.parameters if value is not None}

    def standard(name: str) -> str:
        return (headers.get(name) or found.get(name) or "").strip()

    amz = claim.amz | {name: value.strip() for name, value in headers.items() if name.startswith("x-amz-")}
    resource = path
    subresources = sorted(
        (name, name if value is None else f"{name}={value}")
        for name, value in claim.parameters
        if name in _SUBRESOURCES
    )
    if subresources:
        resource += "?" + "&".join(text for _, text in subresources)
    lines = [method, standard("content-md5"), standard("content-type"), str(claim.expires)]
    lines += [f"{name}:{value}" for name, value in sorted(amz.items())]
    lines.append(resource)
    to_sign = "\n".join(lines)
    expected = b64encode(hmac.digest(secret.encode(), to_sign.encode(CHARSET), "sha1"))
    if not hmac.compare_digest(expected, claim.signature.encode(CHARSET)):
        raise errors.signature_mismatch(
            "s3", access_key_id=claim.access_key_id, signature=claim.signature, string_to_sign=to_sign
        )
