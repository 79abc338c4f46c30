"""What is no valid signature, in AWS's words for each family of services."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pileus.access import sigv2
from pileus.access.errors import missing_token
from pileus.access.sigv4 import check_signature, check_time, read_claim, wrong_service
from pileus.kernel.errors import AWSError

NOW = 1_440_938_160.0  # 2015-08-30T12:36:00Z
SIGNATURE = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
CREDENTIAL = "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request"
S3_CREDENTIAL = "AKIDEXAMPLE/20150830/us-east-1/s3/aws4_request"


def header(credential: str = CREDENTIAL, signed: str = "host;x-amz-date", signature: str = SIGNATURE) -> str:
    return f"AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={signed}, Signature={signature}"


def refusal(family: Any, query: str = "", now: float = NOW, **headers: str) -> AWSError:
    """How a request with these headers (underscores for dashes) is refused before its signature is looked at."""
    found = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        claim = read_claim(query, {"host": "example.amazonaws.com", **found}, family)
        assert claim is not None
        check_time(claim, now, family)
    except AWSError as error:
        return error
    pytest.fail("was not refused")


DATE = {"x_amz_date": "20150830T123600Z"}
HASH = {"x_amz_content_sha256": "UNSIGNED-PAYLOAD"}


@pytest.mark.parametrize(
    ("authorization", "code", "message"),
    [
        ("AWS4-HMAC-SHA256 Credential", "IncompleteSignature",
         "'Credential' not a valid key=value pair (missing equal-sign) in Authorization header: "
         "'AWS4-HMAC-SHA256 Credential'."),
        ("AWS4-HMAC-SHA256 Credential=x, Credential=y", "IncompleteSignature", None),
        ("AWS4-HMAC-SHA256 Foo=bar", "IncompleteSignature",
         "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter. "
         "Authorization header requires 'SignedHeaders' parameter. Authorization=AWS4-HMAC-SHA256 Foo=bar"),
        ("Bearer token", "IncompleteSignature", None),
        ("AWS AKIDEXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=", "IncompleteSignature", None),
        (header().replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), "IncompleteSignature",
         "Unsupported AWS 'algorithm': 'AWS4-ECDSA-P256-SHA256'."),
        (header("AKIDEXAMPLE/20150830/us-east-1/service"), "IncompleteSignature",
         "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
         "got 'AKIDEXAMPLE/20150830/us-east-1/service'"),
        (header("AKIDEXAMPLE/20150830/us-east-1/service/aws_request"), "SignatureDoesNotMatch",
         "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws_request'."),
        (header("AKIDEXAMPLE/20150829/us-east-1/service/aws4_request"), "SignatureDoesNotMatch",
         "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
         "'20150829' != '20150830', from '20150830T123600Z'."),
        (header("AKIDEXAMPLE/20150830//service/aws4_request"), "SignatureDoesNotMatch", None),
        (header(signed="x-amz-date"), "SignatureDoesNotMatch",
         "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."),
    ],
)  # fmt: skip
def test_headers_that_cannot_be_read(authorization: str, code: str, message: str | None) -> None:
    error = refusal("query", authorization=authorization, **DATE)
    assert error.code == code
    if message is not None:
        assert error.message == message
    json_codes = {
        "IncompleteSignature": "IncompleteSignatureException",
        "SignatureDoesNotMatch": "InvalidSignatureException",
    }
    assert refusal("json", authorization=authorization, **DATE).code == json_codes[code]


def test_a_request_without_a_date() -> None:
    error = refusal("query", authorization=header())
    assert error.code == "IncompleteSignature"
    assert error.message.startswith(
        "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header. Authorization="
    )
    error = refusal("query", authorization=header(), x_amz_date="yesterday")
    assert error.message.startswith("Date must be in ISO-8601 'basic format'. Got 'yesterday'.")
    error = refusal("s3", authorization=header(S3_CREDENTIAL), **HASH)
    assert error.message == "AWS authentication requires a valid Date or x-amz-date header"


def test_the_date_header_counts_where_there_is_no_other() -> None:
    headers = {"host": "h", "date": "Sun, 30 Aug 2015 12:36:00 GMT", "authorization": header(signed="date;host")}
    claim = read_claim("", headers, "query")
    assert claim is not None
    assert (claim.timestamp, claim.time) == ("20150830T123600Z", NOW)


@pytest.mark.parametrize("family", ["query", "json", "rest-json"])
def test_requests_of_another_time(family: Any) -> None:
    late = refusal(family, now=NOW + 901, authorization=header(), **DATE)
    assert late.message == (
        "Signature expired: 20150830T123600Z is now earlier than 20150830T123601Z (20150830T125101Z - 15 min.)"
    )
    early = refusal(family, now=NOW - 901, authorization=header(), **DATE)
    assert early.message == (
        "Signature not yet current: 20150830T123600Z is still later than 20150830T123559Z (20150830T122059Z + 15 min.)"
    )
    status = {"query": 403, "json": 400, "rest-json": 403}[family]
    code = "SignatureDoesNotMatch" if family == "query" else "InvalidSignatureException"
    assert (late.code, late.status) == (early.code, early.status) == (code, status)
    for moment in (NOW - 900, NOW + 900):
        claim = read_claim("", {"host": "h", "authorization": header(), "x-amz-date": "20150830T123600Z"}, family)
        assert claim is not None
        check_time(claim, moment, family)


def test_s3_requests_of_another_time() -> None:
    for moment in (NOW - 901, NOW + 901):
        error = refusal("s3", now=moment, authorization=header(S3_CREDENTIAL), **DATE, **HASH)
        assert (error.code, error.status) == ("RequestTimeTooSkewed", 403)
        assert error.message == "The difference between the request time and the current time is too large."
        assert error.members["MaxAllowedSkewMilliseconds"] == "900000"
        assert error.members["RequestTime"] == "20150830T123600Z"


@pytest.mark.parametrize(
    ("authorization", "code", "message"),
    [
        ("Bearer token", "InvalidArgument", "Unsupported Authorization Type"),
        ("AWS AKIDEXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=", "InvalidRequest",
         "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."),
        (header(S3_CREDENTIAL).replace("AWS4-HMAC-SHA256", "AWS4-ECDSA-P256-SHA256"), "InvalidRequest",
         "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."),
        ("AWS4-HMAC-SHA256 nothing", "AuthorizationHeaderMalformed", None),
        (header("/20150830/us-east-1/s3/aws4_request"), "AuthorizationHeaderMalformed",
         "The authorization header is malformed; a non-empty Access Key (AKID) must be provided in the credential."),
        (header("AKIDEXAMPLE/us-east-1/s3/aws4_request"), "AuthorizationHeaderMalformed",
         "The authorization header is malformed; the Credential is mal-formed; "
         'expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'),
        (header("AKIDEXAMPLE/20150830/us-east-1/ec2/aws4_request"), "AuthorizationHeaderMalformed",
         'The authorization header is malformed; incorrect service "ec2". This endpoint belongs to "s3".'),
        (header("AKIDEXAMPLE/20150829/us-east-1/s3/aws4_request"), "AuthorizationHeaderMalformed",
         'The authorization header is malformed; Invalid credential date "20150829". '
         'This date is not the same as X-Amz-Date: "20150830".'),
        (header("AKIDEXAMPLE/20150830/us-east-1/s3/aws3"), "AuthorizationHeaderMalformed",
         'The authorization header is malformed; incorrect terminal "aws3". This endpoint uses "aws4_request".'),
    ],
)  # fmt: skip
def test_s3_headers_that_cannot_be_read(authorization: str, code: str, message: str | None) -> None:
    error = refusal("s3", authorization=authorization, **DATE, **HASH)
    assert (error.code, error.status) == (code, 400)
    if message is not None:
        assert error.message == message


def test_s3_wants_the_payloads_hash() -> None:
    error = refusal("s3", authorization=header(S3_CREDENTIAL), **DATE)
    assert error.message == "Missing required header for this request: x-amz-content-sha256"
    error = refusal("s3", authorization=header(S3_CREDENTIAL), x_amz_content_sha256="nonsense", **DATE)
    assert (error.code, error.members["ArgumentValue"]) == ("InvalidArgument", "nonsense")


def test_s3_wants_every_header_of_its_own_signed() -> None:
    headers = {
        "host": "h",
        "authorization": header(S3_CREDENTIAL),
        "x-amz-date": "20150830T123600Z",
        "x-amz-content-sha256": "UNSIGNED-PAYLOAD",
        "x-amz-meta-wrong": "x",
        "x-amz-acl": "public-read",
    }
    claim = read_claim("", headers, "s3")
    assert claim is not None
    with pytest.raises(AWSError) as caught:
        check_signature(
            claim, SECRET, method="PUT", path="/b/k", query="", headers=headers, body_sha256="", family="s3"
        )
    assert (caught.value.code, caught.value.status) == ("AccessDenied", 403)
    assert caught.value.message == "There were headers present in the request which were not signed"
    assert caught.value.members["HeadersNotSigned"] == "x-amz-acl, x-amz-meta-wrong"


PRESIGNED = {
    "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
    "X-Amz-Credential": S3_CREDENTIAL.replace("/", "%2F"),
    "X-Amz-Date": "20150830T123600Z",
    "X-Amz-Expires": "60",
    "X-Amz-SignedHeaders": "host",
    "X-Amz-Signature": SIGNATURE,
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        *(({name: None}, "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, "
           "X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters.") for name in PRESIGNED),
        ({"X-Amz-Expires": "soon"}, "X-Amz-Expires should be a number"),
        ({"X-Amz-Expires": "-1"}, "X-Amz-Expires must be non-negative"),
        ({"X-Amz-Expires": "604801"}, "X-Amz-Expires must be less than a week (in seconds); that is, the given "
         "X-Amz-Expires must be less than 604800 seconds"),
        ({"X-Amz-Expires": "9" * 4000}, None),
        ({"X-Amz-Date": "2015-08-30"}, "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""),
        ({"X-Amz-Credential": "x"}, "Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; "
         'expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'),
        ({"X-Amz-Algorithm": "AWS3"}, None),
        ({"X-Amz-Date": "20150829T123600Z"}, None),
    ],
)  # fmt: skip
def test_presigned_urls_that_cannot_be_read(change: dict[str, str | None], message: str | None) -> None:
    parameters = {**PRESIGNED, **change}
    query = "&".join(f"{name}={value}" for name, value in parameters.items() if value is not None)
    error = refusal("s3", query)
    assert (error.code, error.status) == ("AuthorizationQueryParametersError", 400)
    if message is not None:
        assert error.message == message


def test_presigned_urls_of_another_time() -> None:
    query = "&".join(f"{name}={value}" for name, value in PRESIGNED.items())
    error = refusal("s3", query, now=NOW + 61)
    assert (error.code, error.status, error.message) == ("AccessDenied", 403, "Request has expired")
    assert error.members == {
        "X-Amz-Expires": "60",
        "Expires": "2015-08-30T12:37:00Z",
        "ServerTime": "2015-08-30T12:37:01Z",
    }
    error = refusal("s3", query, now=NOW - 901)
    assert (error.code, error.message) == ("AccessDenied", "Request is not valid yet")


def test_two_signatures_at_once() -> None:
    query = "&".join(f"{name}={value}" for name, value in PRESIGNED.items())
    error = refusal("s3", query, authorization=header(S3_CREDENTIAL), **DATE, **HASH)
    assert (error.code, error.members["ArgumentName"]) == ("InvalidArgument", "Authorization")
    # Of one parameter twice, neither counts.
    error = refusal("s3", query + "&X-Amz-Expires=604800")
    assert error.code == "AuthorizationQueryParametersError"


def test_what_a_mismatch_tells() -> None:
    headers = {"host": "h", "authorization": header(S3_CREDENTIAL, signed="host;x-amz-content-sha256;x-amz-date"),
               "x-amz-date": "20150830T123600Z", "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}  # fmt: skip
    claim = read_claim("", headers, "s3")
    assert claim is not None
    with pytest.raises(AWSError) as caught:
        check_signature(
            claim, SECRET, method="GET", path="/b/k", query="x=1", headers=headers, body_sha256="", family="s3"
        )
    error = caught.value
    assert (error.code, error.status) == ("SignatureDoesNotMatch", 403)
    assert error.message == (
        "The request signature we calculated does not match the signature you provided. Check your key and signing "
        "method."
    )
    canonical = (
        "GET\n/b/k\nx=1\nhost:h\nx-amz-content-sha256:UNSIGNED-PAYLOAD\nx-amz-date:20150830T123600Z\n\n"
        "host;x-amz-content-sha256;x-amz-date\nUNSIGNED-PAYLOAD"
    )
    assert error.members["CanonicalRequest"] == canonical
    assert error.members["CanonicalRequestBytes"] == canonical.encode().hex(" ")
    assert error.members["StringToSign"].startswith(
        "AWS4-HMAC-SHA256\n20150830T123600Z\n20150830/us-east-1/s3/aws4_request\n"
    )
    assert error.members["SignatureProvided"] == SIGNATURE
    assert error.members["AWSAccessKeyId"] == "AKIDEXAMPLE"


@pytest.mark.parametrize("signature", ["é" * 64, "x" * 63, "x" * 5000])
def test_signatures_that_are_no_text(signature: str) -> None:
    headers = {"host": "h", "authorization": header(signature=signature), "x-amz-date": "20150830T123600Z"}
    claim = read_claim("", headers, "json")
    assert claim is not None
    with pytest.raises(AWSError, match="InvalidSignatureException"):
        check_signature(claim, SECRET, method="GET", path="/", query="", headers=headers, body_sha256="", family="json")


def test_other_services() -> None:
    claim = read_claim("", {"host": "h", "authorization": header(), "x-amz-date": "20150830T123600Z"}, "json")
    assert claim is not None
    error = wrong_service(claim.scope, "iam", "query")
    assert error.message == "Credential should be scoped to correct service: 'iam'. "


def test_no_signature_at_all() -> None:
    assert read_claim("a=b", {"host": "h"}, "json") is None
    assert read_claim("X-Amz-Date=20150830T123600Z", {"host": "h"}, "s3") is None
    cases: list[tuple[Any, str, int]] = [
        ("s3", "AccessDenied", 403),
        ("query", "MissingAuthenticationToken", 403),
        ("json", "MissingAuthenticationTokenException", 400),
        ("rest-json", "MissingAuthenticationTokenException", 403),
        ("ec2", "MissingParameter", 400),
    ]
    for family, code, status in cases:
        error = missing_token(family)
        assert (error.code, error.status) == (code, status)


_PARTS = st.sampled_from(
    ["AWS4-HMAC-SHA256", " ", ",", ", ", "=", "/", "&", "%", "%2F", "%zz", "Credential=", "SignedHeaders=",
     "Signature=",
     "host", ";", "AKIDEXAMPLE", "20150830", "us-east-1", "s3", "aws4_request", "X-Amz-Algorithm=",
     "X-Amz-Credential=",
     "X-Amz-Date=", "20150830T123600Z", "X-Amz-Expires=", "60", "X-Amz-SignedHeaders=", "X-Amz-Signature=", SIGNATURE,
     "AWSAccessKeyId=", "Expires=", "\xe9", "\xff", "²"]
)  # fmt: skip
_text = st.lists(_PARTS, max_size=20).map("".join)


@settings(max_examples=400, deadline=None)
@given(
    authorization=st.none() | _text,
    query=_text,
    date=st.none() | _text,
    family=st.sampled_from(["s3", "query", "json", "rest-json", "ec2"]),
)
def test_nothing_else_than_aws_errors_comes_out(
    *, authorization: str | None, query: str, date: str | None, family: Any
) -> None:
    headers = {"host": "h", "x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
    if authorization is not None:
        headers["authorization"] = authorization
    if date is not None:
        headers["x-amz-date"] = date
    with contextlib.suppress(AWSError):
        sigv2.read_claim(query)
    with contextlib.suppress(AWSError):
        claim = read_claim(query, headers, family)
        if claim is not None:
            check_time(claim, NOW, family)
            check_signature(
                claim, SECRET, method="GET", path="/", query=query, headers=headers, body_sha256="", family=family
            )
            pytest.fail("a guess was believed")
