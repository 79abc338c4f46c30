"""What a presigned URL of S3 says in its query for headers: whoever opens it need not know which to send.

SDKs differ in what they put there (JavaScript's and Version 2's all of `x-amz-*`, Go's some, in capitals). Sources:
"Authenticating Requests: Using Query Parameters" in the Amazon S3 API Reference; recorded answers.
"""

from __future__ import annotations

from pileus.access.canonical import amz_parameters

# The signature's own, and what it says of the body.
_NOT_HEADERS = frozenset(
    "x-amz-" + name
    for name in (
        "algorithm",
        "content-sha256",
        "credential",
        "date",
        "expires",
        "s3session-token",
        "security-token",
        "signature",
        "signedheaders",
    )
)


def with_query_headers(query: str, headers: dict[str, str]) -> dict[str, str]:
    """`headers`, and each `x-amz-*` of a presigned URL that they do not have."""
    if "Signature=" not in query:
        return headers
    found = {
        name: value.decode(errors="replace").strip()
        for name, value in amz_parameters(query).items()
        if name not in _NOT_HEADERS
    }
    return {**found, **headers} if found else headers
