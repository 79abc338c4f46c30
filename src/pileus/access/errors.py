"""What AWS answers to a caller whom it does not know or does not believe.

The same fault has another code, message and status in each family of services; a family is known by the protocol of the
request. Source: each service's "Common Errors" page, Amazon S3's "Error responses", "Troubleshoot Signature Version 4
signing for AWS API requests".
"""

from __future__ import annotations

import time
from typing import Any, Literal

from pileus.kernel.errors import AWSError

# s3: Amazon S3's REST interface; query: the query protocol and the XML services that answer as it does; ec2: the query
# dialect of EC2; json: JSON 1.x and CBOR, whose client errors are all 400; rest-json: their REST kin, which answer 403.
Family = Literal["s3", "query", "ec2", "json", "rest-json"]

_FAMILIES: dict[str, Family] = {
    "query": "query",
    "rest-xml": "query",
    "ec2": "ec2",
    "json": "json",
    "smithy-rpc-v2-cbor": "json",
    "rest-json": "rest-json",
}


def family_of(service: str, protocol: str) -> Family:
    """The family of a request to `service` (its signing or model name) in botocore's `protocol`."""
    if service in ("s3", "s3control", "s3-outposts", "s3express"):
        return "s3"
    return _FAMILIES.get(protocol, "json")


def _by_family(family: Family, message: str, *, xml: str, json: str, status: int = 403) -> AWSError:
    """One message under the two codes that the XML and the JSON services have for it."""
    if family == "query":
        return AWSError(xml, message, status=status)
    if family == "ec2":
        return AWSError("AuthFailure", "AWS was not able to validate the provided access credentials", status=401)
    return AWSError(json, message, status=status if family == "rest-json" else 400)


def missing_token(family: Family) -> AWSError:
    """The request carries no signature at all."""
    if family == "s3":
        return AWSError("AccessDenied", "Access Denied", status=403)
    if family == "ec2":
        return AWSError("MissingParameter", "The request must contain the parameter AWSAccessKeyId", status=400)
    if family == "rest-json":
        return AWSError("MissingAuthenticationTokenException", "Missing Authentication Token", status=403)
    message = "Request is missing Authentication Token"
    return _by_family(family, message, xml="MissingAuthenticationToken", json="MissingAuthenticationTokenException")


def unknown_access_key(family: Family, access_key_id: str) -> AWSError:
    if family == "s3":
        return AWSError(
            "InvalidAccessKeyId",
            "The AWS Access Key Id you provided does not exist in our records.",
            status=403,
            AWSAccessKeyId=access_key_id,
        )
    return _invalid_token(family)


def _invalid_token(family: Family) -> AWSError:
    message = "The security token included in the request is invalid."
    return _by_family(family, message, xml="InvalidClientTokenId", json="UnrecognizedClientException")


def invalid_session_token(family: Family, token: str) -> AWSError:
    """A session token that was not issued here, or not for this access key."""
    if family == "s3":
        message = "The provided token is malformed or otherwise invalid."
        members: dict[str, Any] = {"Token-0": token}
        return AWSError("InvalidToken", message, status=400, **members)
    return _invalid_token(family)


def expired_session_token(family: Family, token: str) -> AWSError:
    if family == "s3":
        members: dict[str, Any] = {"Token-0": token}
        return AWSError("ExpiredToken", "The provided token has expired.", status=400, **members)
    if family == "ec2":
        return AWSError("RequestExpired", "Request has expired.", status=400)
    message = "The security token included in the request is expired"
    return _by_family(family, message, xml="ExpiredToken", json="ExpiredTokenException")


def incomplete_signature(family: Family, message: str) -> AWSError:
    """An Authorization header (or its query form) of which not even the parts can be read; not for S3."""
    return _by_family(family, message, xml="IncompleteSignature", json="IncompleteSignatureException", status=400)


def invalid_signature(family: Family, message: str) -> AWSError:
    """A signature that is readable and does not count: wrong scope, wrong time; not for S3."""
    return _by_family(family, message, xml="SignatureDoesNotMatch", json="InvalidSignatureException")


def signature_mismatch(
    family: Family,
    *,
    access_key_id: str,
    signature: str,
    string_to_sign: str,
    canonical_request: str = "",
    charset: str = "latin-1",
) -> AWSError:
    """The signature is not the one that the secret gives for this request."""
    if family == "s3":
        members: dict[str, Any] = {
            "AWSAccessKeyId": access_key_id,
            "StringToSign": string_to_sign,
            "SignatureProvided": signature,
            "StringToSignBytes": _spaced_hex(string_to_sign, charset),
        }
        if canonical_request:
            members["CanonicalRequest"] = canonical_request
            members["CanonicalRequestBytes"] = _spaced_hex(canonical_request, charset)
        message = (
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method."
        )
        return AWSError("SignatureDoesNotMatch", message, status=403, **members)
    message = (
        "The request signature we calculated does not match the signature you provided. "
        "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
    )
    if family == "rest-json":
        message += (
            f"\n\nThe Canonical String for this request should have been\n'{canonical_request}'"
            f"\n\nThe String-to-Sign should have been\n'{string_to_sign}'\n"
        )
    return invalid_signature(family, message)


def _spaced_hex(text: str, charset: str) -> str:
    return text.encode(charset, "replace").hex(" ")


def header_malformed(detail: str, **members: Any) -> AWSError:
    """S3: the Authorization header's parts are not what they should be."""
    message = f"The authorization header is malformed; {detail}"
    return AWSError("AuthorizationHeaderMalformed", message, status=400, **members)


def query_parameters_error(message: str, **members: Any) -> AWSError:
    """S3: a presigned URL's parameters are not what they should be."""
    return AWSError("AuthorizationQueryParametersError", message, status=400, **members)


def request_time_too_skewed(request_time: str, now: float, skew_max_s: int) -> AWSError:
    """S3: signed more than 15 minutes from now."""
    return AWSError(
        "RequestTimeTooSkewed",
        "The difference between the request time and the current time is too large.",
        status=403,
        RequestTime=request_time,
        ServerTime=iso_time(now),
        MaxAllowedSkewMilliseconds=str(skew_max_s * 1000),
    )


def request_expired(now: float, expires: float, expires_s: int | None = None) -> AWSError:
    """S3: a presigned URL past its time; `expires_s` is its X-Amz-Expires."""
    members: dict[str, Any] = {} if expires_s is None else {"X-Amz-Expires": str(expires_s)}
    return AWSError(
        "AccessDenied",
        "Request has expired",
        status=403,
        **members,
        Expires=iso_time(expires),
        ServerTime=iso_time(now),
    )


def headers_not_signed(names: list[str]) -> AWSError:
    """S3: headers that change what a request means must be signed."""
    return AWSError(
        "AccessDenied",
        "There were headers present in the request which were not signed",
        status=403,
        HeadersNotSigned=", ".join(names),
    )


def unsupported_mechanism() -> AWSError:
    """S3: a signature of another kind than this node takes."""
    message = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
    return AWSError("InvalidRequest", message, status=400)


def content_sha256_mismatch(claimed: str, computed: str) -> AWSError:
    """S3: the body is not the one whose hash was signed."""
    return AWSError(
        "XAmzContentSHA256Mismatch",
        "The provided 'x-amz-content-sha256' header does not match what was computed.",
        status=400,
        ClientComputedContentSHA256=claimed,
        S3ComputedContentSHA256=computed,
    )


def invalid_argument(message: str, name: str, value: str) -> AWSError:
    """S3: a header or parameter that has no such value."""
    return AWSError("InvalidArgument", message, status=400, ArgumentName=name, ArgumentValue=value)


def iso_time(when: float) -> str:
    """`2026-11-20T19:31:00Z`."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))


def basic_time(when: float) -> str:
    """`20261120T193100Z`, the form in which requests are signed."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(when))
