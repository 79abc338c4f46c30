"""Signatures made by AWS's own signers (botocore, the AWS Common Runtime) are believed; altered requests are not."""

from __future__ import annotations

import datetime
import hashlib
from typing import Any
from unittest import mock
from urllib.parse import quote, urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import given, settings
from hypothesis import strategies as st

from pileus.access.errors import Family
from pileus.access.sigv4 import check_signature, check_time, read_claim
from pileus.kernel.errors import AWSError

ACCESS_KEY = "AKIDEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
NOW = 1_440_938_160.0  # 2015-08-30T12:36:00Z

# What may stand unencoded or encoded on a request line, and in a header.
segments = st.lists(
    st.text(st.sampled_from("abcZ09-_.~ %/+:@!$&'()*,;=é—?#[]\"<>|{}^`\\"), min_size=1, max_size=8),
    min_size=0,
    max_size=4,
)
names = st.text(st.sampled_from("abcXYZ-_.~ %é+=&"), min_size=1, max_size=6)
values = st.text(st.sampled_from("abc09 -_.~%/+:é&=—"), max_size=8)
header_values = st.text(st.sampled_from("abc09 -_,;:=/\"'"), max_size=12).map(str.strip)


def _frozen(now: float) -> Any:
    when = datetime.datetime.fromtimestamp(now, datetime.UTC)
    return mock.patch("botocore.auth.get_current_datetime", return_value=when.replace(tzinfo=None))


def _query(pairs: list[tuple[str, str]]) -> str:
    return "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs)


def _signed(
    signer: Any,
    service: str,
    *,
    method: str,
    path: str,
    query: str,
    headers: dict[str, str],
    body: bytes,
    **options: Any,
) -> AWSRequest:
    request = AWSRequest(
        method, f"http://example.amazonaws.com:4566{path}" + (f"?{query}" if query else ""), headers=headers, data=body
    )
    with _frozen(NOW):
        signer(Credentials(ACCESS_KEY, SECRET), service, "us-east-1", **options).add_auth(request)
    return request


def _verify(request: AWSRequest, family: Any, body: bytes, secret: str = SECRET, now: float = NOW) -> None:
    prepared = request.prepare()
    parts = urlsplit(prepared.url)
    headers: dict[str, str] = {"host": "example.amazonaws.com:4566"}
    for name, value in prepared.headers.items():
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        headers[name.lower()] = text
    # urlsplit drops nothing of what stands on the request line but the fragment, which is never sent.
    claim = read_claim(parts.query, headers, family)
    assert claim is not None
    check_time(claim, now, family)
    check_signature(
        claim,
        secret,
        method=prepared.method,
        path=parts.path,
        query=parts.query,
        headers=headers,
        body_sha256=hashlib.sha256(body).hexdigest(),
        family=family,
    )


@settings(max_examples=150, deadline=None)
@given(segments, st.lists(st.tuples(names, values), max_size=4), header_values, st.binary(max_size=20))
def test_header_signatures_of_botocore(parts: list[str], pairs: Any, header: str, body: bytes) -> None:
    path = "/" + "/".join(quote(part, safe="") for part in parts)
    for signer, service, family in ((SigV4Auth, "dynamodb", "json"), (S3SigV4Auth, "s3", "s3")):
        request = _signed(
            signer,
            service,
            method="PUT",
            path=path,
            query=_query(pairs),
            headers={"X-Amz-Meta-Odd": header, "Content-Type": "text/plain"},
            body=body,
        )
        _verify(request, family, body)
        with pytest.raises(AWSError, match="does not match the signature"):
            _verify(request, family, body, secret="another")


@settings(max_examples=100, deadline=None)
@given(segments, st.lists(st.tuples(names, values), max_size=4))
def test_presigned_urls_of_botocore(parts: list[str], pairs: Any) -> None:
    path = "/" + "/".join(quote(part, safe="") for part in parts)
    for signer, service, family in ((SigV4QueryAuth, "sts", "query"), (S3SigV4QueryAuth, "s3", "s3")):
        request = _signed(
            signer, service, method="GET", path=path, query=_query(pairs), headers={}, body=b"", expires=60
        )
        _verify(request, family, b"")
        with pytest.raises(AWSError, match="does not match the signature"):
            _verify(request, family, b"", secret="another")
        with pytest.raises(AWSError, match=r"Request has expired|Signature expired"):
            _verify(request, family, b"", now=NOW + 61)


@settings(max_examples=150, deadline=None)
@given(
    parts=segments,
    pairs=st.lists(st.tuples(names, values), max_size=4),
    header=header_values,
    body=st.binary(max_size=20),
    kind=st.sampled_from(["s3", "v4", "v4a"]),
)
def test_signatures_of_the_common_runtime(*, parts: list[str], pairs: Any, header: str, body: bytes, kind: str) -> None:
    import io

    s3 = kind == "s3"

    from awscrt.auth import (
        AwsCredentialsProvider,
        AwsSignedBodyHeaderType,
        AwsSigningAlgorithm,
        AwsSigningConfig,
        aws_sign_request,
    )
    from awscrt.http import HttpHeaders, HttpRequest

    path = "/" + "/".join(quote(part, safe="") for part in parts)
    query = _query(pairs)
    target = path + (f"?{query}" if query else "")
    given_headers = {"Host": "example.amazonaws.com:4566", "X-Amz-Meta-Odd": header}
    digest = hashlib.sha256(body).hexdigest()
    request = HttpRequest("POST", target, HttpHeaders(list(given_headers.items())), io.BytesIO(body))
    config = AwsSigningConfig(
        algorithm=AwsSigningAlgorithm.V4_ASYMMETRIC if kind == "v4a" else AwsSigningAlgorithm.V4,
        credentials_provider=AwsCredentialsProvider.new_static(ACCESS_KEY, SECRET),
        region="*" if kind == "v4a" else "us-east-1",
        service="s3" if s3 else "lambda",
        date=datetime.datetime.fromtimestamp(NOW, datetime.UTC),
        use_double_uri_encode=not s3,
        should_normalize_uri_path=not s3,
        signed_body_value=digest,
        signed_body_header_type=AwsSignedBodyHeaderType.X_AMZ_CONTENT_SHA_256 if s3 else AwsSignedBodyHeaderType.NONE,
    )
    aws_sign_request(request, config).result(10)
    headers = {name.lower(): value for name, value in request.headers}
    family: Family = "s3" if s3 else "json"
    claim = read_claim(query, headers, family)
    assert claim is not None
    assert claim.regions == ("*" if kind == "v4a" else "")
    assert claim.region_at("eu-west-1") == ("eu-west-1" if kind == "v4a" else "us-east-1")

    def check(secret: str) -> None:
        check_signature(
            claim,
            secret,
            method="POST",
            path=path,
            query=query,
            headers=headers,
            body_sha256=digest,
            family=family,
        )

    check(SECRET)
    with pytest.raises(AWSError, match="does not match the signature"):
        check("another")


@pytest.mark.parametrize("signature", ["00" * 200, "not hex", "", "3006020101020101"])
def test_asymmetric_signatures_of_a_wrong_form_are_wrong(signature: str) -> None:
    headers = {
        "host": "h",
        "x-amz-date": "20150830T123600Z",
        "x-amz-region-set": "eu-west-1",
        "authorization": "AWS4-ECDSA-P256-SHA256 Credential=AKIDEXAMPLE/20150830/events/aws4_request, "
        f"SignedHeaders=host;x-amz-date;x-amz-region-set, Signature={signature}",
    }
    refusal = "does not match the signature" if signature else "requires 'Signature' parameter"
    with pytest.raises(AWSError, match=refusal):
        check_headers(headers)


def test_asymmetric_signatures_cover_their_regions() -> None:
    headers = {
        "host": "h",
        "x-amz-date": "20150830T123600Z",
        "x-amz-region-set": "eu-west-1",
        "authorization": "AWS4-ECDSA-P256-SHA256 Credential=AKIDEXAMPLE/20150830/events/aws4_request, "
        "SignedHeaders=host;x-amz-date, Signature=3006020101020101",
    }
    with pytest.raises(AWSError, match="'X-Amz-Region-Set' must be a 'SignedHeader'"):
        check_headers(headers)


@pytest.mark.parametrize(
    ("regions", "region"),
    [
        ("*", "us-east-1"),
        ("us-*", "us-east-1"),
        ("eu-west-1, us-east-1", "us-east-1"),
        ("eu-west-1", "eu-west-1"),
        ("eu-*, ap-south-1, eu-west-1", "ap-south-1"),
        # For none that was called.
        ("eu-*", ""),
        ("eu-*,us-gov-*", ""),
        (",", ""),
    ],
)
def test_asymmetric_signatures_are_good_in_their_regions_alone(regions: str, region: str) -> None:
    headers = {
        "host": "h",
        "x-amz-date": "20150830T123600Z",
        "x-amz-region-set": regions,
        "authorization": "AWS4-ECDSA-P256-SHA256 Credential=AKIDEXAMPLE/20150830/events/aws4_request, "
        "SignedHeaders=host;x-amz-date;x-amz-region-set, Signature=3006020101020101",
    }
    claim = read_claim("", headers, "json")
    assert claim is not None
    assert claim.region_at("us-east-1") == region


def check_headers(headers: dict[str, str]) -> None:
    claim = read_claim("", headers, "json")
    assert claim is not None
    check_signature(
        claim, SECRET, method="POST", path="/", query="", headers=headers, body_sha256="0" * 64, family="json"
    )
