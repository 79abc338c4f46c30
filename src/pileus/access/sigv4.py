"""AWS Signature Version 4: reading what a request claims, and checking it.

    claim = read_claim(query, headers, family)      who says so; None where nothing is signed
    check_time(claim, now, family)                  is it of now
    key = check_signature(claim, secret, ...)       is it true

Pure functions over plain arguments. `path` and `query` come as they stood on the request line, `headers` with
lower-case names, their values decoded as latin-1 (so that the bytes that were signed can be had back), several of one
name joined with ",".

Source: "Create a signed AWS API request" (IAM User Guide), "Authenticating Requests (AWS Signature Version 4)" and
"Signature Calculations for the Authorization Header: Transferring Payload in Multiple Chunks (Chunked Upload)" (Amazon
S3 API Reference).
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from urllib.parse import quote

from pileus.access import errors, sigv4a
from pileus.access.canonical import (
    CHARSET,
    canonical_request,
    check_headers_signed,
    double_encoded,
    encoded,
    encoded_query,
    sorted_query,
)
from pileus.access.claim import (
    ALGORITHM,
    EMPTY_SHA256,
    SKEW_MAX_S,
    STREAMING_SIGNED_TRAILER,
    TERMINATOR,
    UNSIGNED_PAYLOAD,
    Claim,
    Scope,
    read_claim,
)
from pileus.access.errors import Family
from pileus.kernel.errors import AWSError
from pileus.kernel.mac import Mac

__all__ = [
    "ChunkSignatures",
    "Claim",
    "Scope",
    "check_signature",
    "check_time",
    "read_claim",
    "signing_key",
    "wrong_service",
]


def check_time(claim: Claim, now: float, family: Family) -> None:
    """Refuse a request that was signed too long ago or not yet, and a presigned URL past its time."""
    age_s = now - claim.time
    if claim.expires_s is not None:
        if age_s < -SKEW_MAX_S:
            if family == "s3":
                raise AWSError("AccessDenied", "Request is not valid yet", status=403)
            raise _not_yet_current(claim, now, family)
        if age_s > claim.expires_s:
            if family == "s3":
                raise errors.request_expired(now, claim.time + claim.expires_s, claim.expires_s)
            limit = errors.basic_time(claim.time + claim.expires_s)
            message = f"Signature expired: {limit} is now earlier than {errors.basic_time(now)}"
            raise errors.invalid_signature(family, message)
        return
    if -SKEW_MAX_S <= age_s <= SKEW_MAX_S:
        return
    if family == "s3":
        raise errors.request_time_too_skewed(claim.timestamp, now, SKEW_MAX_S)
    if age_s < 0:
        raise _not_yet_current(claim, now, family)
    message = (
        f"Signature expired: {claim.timestamp} is now earlier than {errors.basic_time(now - SKEW_MAX_S)} "
        f"({errors.basic_time(now)} - 15 min.)"
    )
    raise errors.invalid_signature(family, message)


def _not_yet_current(claim: Claim, now: float, family: Family) -> AWSError:
    message = (
        f"Signature not yet current: {claim.timestamp} is still later than {errors.basic_time(now + SKEW_MAX_S)} "
        f"({errors.basic_time(now)} + 15 min.)"
    )
    return errors.invalid_signature(family, message)


def check_signature(
    claim: Claim,
    secret: str,
    *,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body_sha256: str,
    family: Family,
) -> bytes:
    """Check that whoever knows `secret` signed this very request; returns the signing key (of version 4A: b"").

    `body_sha256` (hex) is the body's own hash, counted where the claim does not bring the payload's.
    """
    if family == "s3":
        check_headers_signed(claim.scope.signed_headers, headers)
        uri = path or "/"
    else:
        uri = double_encoded(path)
    scope = claim.scope
    payload = claim.payload or body_sha256
    if claim.expires_s is not None:
        query = "&".join(part for part in query.split("&") if not part.startswith("X-Amz-Signature="))
    key = b"" if claim.regions else signing_key(secret, scope.date, scope.region, scope.service)
    canonical = canonical_request(
        method=method,
        uri=uri,
        query=sorted_query(query),
        headers=headers,
        signed=scope.signed_headers,
        payload=payload,
    )
    to_sign = _string_to_sign(claim, canonical)
    if _is_signed(claim, secret, key, to_sign):
        return key
    # The client may have signed the encoded form of characters that it sent unencoded.
    canonical_encoded = canonical_request(
        method=method,
        uri=encoded(path or "/", safe="/~") if family == "s3" else uri,
        query=encoded_query(query),
        headers=headers,
        signed=scope.signed_headers,
        payload=payload,
    )
    if canonical_encoded != canonical:
        canonical = canonical_encoded
        to_sign = _string_to_sign(claim, canonical)
        if _is_signed(claim, secret, key, to_sign):
            return key
    raise errors.signature_mismatch(
        family,
        access_key_id=scope.access_key_id,
        signature=claim.signature,
        string_to_sign=to_sign,
        canonical_request=canonical,
    )


def presigned_query(
    access_key_id: str,
    secret: str,
    session_token: str,
    *,
    method: str,
    region: str,
    host: str,
    path: str,
    parameters: Mapping[str, str],
    now: float,
    expires_s: int,
) -> str:
    """The query of an address of S3's under which anybody may read `path` (percent-encoded) in the key's name."""
    timestamp = errors.basic_time(now)
    date = timestamp[:8]
    given = {
        **parameters,
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{access_key_id}/{date}/{region}/s3/{TERMINATOR}",
        "X-Amz-Date": timestamp,
        "X-Amz-Expires": str(expires_s),
        "X-Amz-Security-Token": session_token,
        "X-Amz-SignedHeaders": "host",
    }
    query = "&".join(sorted(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in given.items()))
    canonical = canonical_request(
        method=method, uri=path, query=query, headers={"host": host}, signed=("host",), payload=UNSIGNED_PAYLOAD
    )
    hashed = sha256(canonical.encode(CHARSET)).hexdigest()
    to_sign = f"{ALGORITHM}\n{timestamp}\n{date}/{region}/s3/{TERMINATOR}\n{hashed}"
    signature = hmac.digest(signing_key(secret, date, region, "s3"), to_sign.encode(), "sha256").hex()
    return f"{query}&X-Amz-Signature={signature}"


def _is_signed(claim: Claim, secret: str, key: bytes, to_sign: str) -> bool:
    if claim.regions:
        return sigv4a.is_signed(secret, claim.scope.access_key_id, to_sign, claim.signature)
    return hmac.compare_digest(_mac(key).digest(to_sign.encode()).hex(), claim.signature)


@lru_cache(maxsize=4096)
def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The key that `secret` gives for one day, region and service."""
    key = hmac.digest(b"AWS4" + secret.encode(), date.encode(), "sha256")
    for part in (region, service, TERMINATOR):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


@lru_cache(maxsize=4096)
def _mac(key: bytes) -> Mac:
    return Mac(key)


def _string_to_sign(claim: Claim, canonical: str) -> str:
    scope = claim.scope
    hashed = sha256(canonical.encode(CHARSET)).hexdigest()
    if claim.regions:
        return f"{sigv4a.ALGORITHM}\n{claim.timestamp}\n{scope.date}/{scope.service}/{TERMINATOR}\n{hashed}"
    return f"{ALGORITHM}\n{claim.timestamp}\n{scope.date}/{scope.region}/{scope.service}/{TERMINATOR}\n{hashed}"


def wrong_service(scope: Scope, expected: str, family: Family) -> AWSError:
    """A signature for another service than the one that was asked."""
    if family == "s3":
        return errors.header_malformed(f'incorrect service "{scope.service}". This endpoint belongs to "{expected}".')
    return errors.invalid_signature(family, f"Credential should be scoped to correct service: '{expected}'. ")


class ChunkSignatures:
    """The chain of signatures of a body in aws-chunked framing: each covers its chunk and the signature before it."""

    def __init__(self, key: bytes, claim: Claim) -> None:
        scope = claim.scope
        self._mac = Mac(key)
        self._access_key_id = scope.access_key_id
        self._middle = f"{claim.timestamp}\n{scope.date}/{scope.region}/{scope.service}/{TERMINATOR}"
        self._previous = claim.signature
        # Whether trailing headers, signed in their turn, follow the last chunk.
        self.trailer_signed = claim.payload == STREAMING_SIGNED_TRAILER

    def chunk(self, payload_hash: str, signature: str) -> None:
        """Check the next chunk by the SHA-256 (hex) of its data; the last one is empty."""
        self._check(
            f"AWS4-HMAC-SHA256-PAYLOAD\n{self._middle}\n{self._previous}\n{EMPTY_SHA256}\n{payload_hash}", signature
        )

    def trailer(self, block: bytes, signature: str) -> None:
        """Check the trailing headers: `name:value\\n` each, lower-case, as they came."""
        self._check(
            f"AWS4-HMAC-SHA256-TRAILER\n{self._middle}\n{self._previous}\n{sha256(block).hexdigest()}", signature
        )

    def _check(self, to_sign: str, signature: str) -> None:
        expected = self._mac.digest(to_sign.encode()).hex()
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            raise errors.signature_mismatch(
                "s3", access_key_id=self._access_key_id, signature=signature, string_to_sign=to_sign
            )
        self._previous = expected
