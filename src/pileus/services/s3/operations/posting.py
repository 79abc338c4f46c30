"""Browsers' uploads: a form becomes a PutObject.

Sources: "POST Object", "Authenticating requests in browser-based uploads using POST (AWS Signature Version 4)" in the
Amazon S3 API Reference, "Signing and authenticating REST requests" for Version 2; recorded answers.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from html import escape
from typing import Any
from urllib.parse import quote, unquote, urlencode
from xml.parsers import expat

from pileus.access.sigv4 import signing_key
from pileus.cloud.context import Cloud
from pileus.cloud.forms import Form, Posted
from pileus.kernel.digests import ALGORITHMS
from pileus.kernel.errors import AWSError
from pileus.kernel.principal import ANONYMOUS, Principal
from pileus.services.s3 import checksums, errors, forms, locks, postpolicies

_MEMBERS = {
    "acl": "ACL",
    "cache-control": "CacheControl",
    "content-type": "ContentType",
    "content-disposition": "ContentDisposition",
    "content-encoding": "ContentEncoding",
    "content-language": "ContentLanguage",
    "content-md5": "ContentMD5",
    "expires": "Expires",
    "x-amz-acl": "ACL",
    "x-amz-storage-class": "StorageClass",
    "x-amz-website-redirect-location": "WebsiteRedirectLocation",
    "x-amz-server-side-encryption": "ServerSideEncryption",
    "x-amz-server-side-encryption-customer-algorithm": "SSECustomerAlgorithm",
    "x-amz-server-side-encryption-customer-key": "SSECustomerKey",
    "x-amz-server-side-encryption-customer-key-md5": "SSECustomerKeyMD5",
    "x-amz-object-lock-legal-hold": "ObjectLockLegalHoldStatus",
    "x-amz-object-lock-mode": "ObjectLockMode",
    "x-amz-object-lock-retain-until-date": "ObjectLockRetainUntilDate",
    "x-amz-grant-full-control": "GrantFullControl",
    "x-amz-grant-read": "GrantRead",
    "x-amz-grant-read-acp": "GrantReadACP",
    "x-amz-grant-write-acp": "GrantWriteACP",
    **{checksums.header(name): checksums.member(name) for name in ALGORITHMS},
}
_META = "x-amz-meta-"
# In Version 4 and 2: the access key's field, the signature's.
_V2 = ("awsaccesskeyid", "signature", "AWSAccessKeyId", "Signature")
_V4 = ("x-amz-credential", "x-amz-signature", "X-Amz-Credential", "X-Amz-Signature")
# Where functions post what they make of objects: no bucket has such a name.
_RESPONSES = "WriteGetObjectResponse"


async def read_form(cloud: Cloud, form: Form) -> Posted | None:
    """The upload that a POST to a bucket's address asks for; None where it is none."""
    bucket, _, key = form.path.removeprefix("/").partition("/")
    if not bucket or key or bucket == _RESPONSES:
        return None
    kind, _, parameters = form.headers.get("content-type", "").partition(";")
    if kind.strip().lower() != "multipart/form-data":
        raise AWSError(
            "PreconditionFailed",
            "At least one of the pre-conditions you specified did not hold",
            status=412,
            Condition="Bucket POST must be of the enclosure-type multipart/form-data",
        )
    name = unquote(bucket)
    fields, file_name, file = await forms.read_form(form.body, _boundary(parameters))
    if "key" not in fields:
        raise _missing("key")
    fields = {field: value.replace("${filename}", file_name) for field, value in fields.items()}
    if not fields["key"]:
        raise errors.invalid_argument("User key must have a length greater than 0.", "key", "")
    principal, region = await _caller(form, fields)
    if "policy" in fields and principal.kind != "anonymous":
        sizes = postpolicies.check(fields["policy"], fields, name, form.now)
        file.least, file.most = sizes.least, sizes.most
    await file.settle()
    request = _request(name, fields)
    request["Body"] = file
    return Posted(
        operation="PutObject",
        request=request,
        principal=principal,
        region=region,
        answer=lambda answer: _answer(form, name, fields, answer),
    )


def _boundary(parameters: str) -> bytes:
    for one in parameters.split(";"):
        name, _, value = one.strip().partition("=")
        if name.lower() == "boundary" and (boundary := value.strip('"')):
            return boundary.encode("latin-1")
    raise forms.malformed()


def _missing(name: str) -> AWSError:
    return errors.invalid_argument(
        f"Bucket POST must contain a field named '{name}'.  If it is specified, please check the order of the fields.",
        name,
        "",
    )


async def _caller(form: Form, fields: Mapping[str, str]) -> tuple[Principal, str]:
    """(who signed the form's policy, the region that was signed for)."""
    if "x-amz-credential" in fields or "x-amz-signature" in fields or "x-amz-algorithm" in fields:
        names = _V4
    elif "awsaccesskeyid" in fields or "signature" in fields:
        names = _V2
    elif "policy" in fields:
        raise _missing("AWSAccessKeyId")
    else:
        return ANONYMOUS, ""
    key_field, signature_field, shown_key, shown_signature = names
    for field, shown in ((key_field, shown_key), (signature_field, shown_signature), ("policy", "policy")):
        if field not in fields:
            raise _missing(shown)
    policy = fields["policy"]
    token = fields.get("x-amz-security-token", "")
    if names is _V2:
        secret, principal = await form.credential(fields[key_field], token, False)
        expected = base64.b64encode(hmac.digest(secret.encode(), policy.encode(), "sha1")).decode()
        region, key_id = "", fields[key_field]
    else:
        scope = fields[key_field].split("/")
        if len(scope) != 5 or scope[3] not in ("s3", "s3express") or scope[4] != "aws4_request":
            raise AWSError(
                "AuthorizationQueryParametersError",
                'Error parsing the X-Amz-Credential parameter; the Credential is mal-formed; expecting "<YOUR-AKID>/'
                'YYYYMMDD/REGION/SERVICE/aws4_request".',
                status=400,
            )
        key_id, date, region, service, _ = scope
        bucket_token = fields.get("x-amz-s3session-token", "") if service == "s3express" else ""
        secret, principal = await form.credential(key_id, bucket_token or token, bool(bucket_token))
        key = signing_key(secret, date, region, service)
        expected = hmac.digest(key, policy.encode(), "sha256").hex()
    if not hmac.compare_digest(expected.encode(), fields[signature_field].encode()):
        raise AWSError(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. Check your key and "
            "signing method.",
            status=403,
            AWSAccessKeyId=key_id,
            StringToSign=policy,
            SignatureProvided=fields[signature_field],
        )
    return principal, region


def _request(bucket: str, fields: Mapping[str, str]) -> dict[str, Any]:
    """PutObject's members."""
    request: dict[str, Any] = {"Bucket": bucket, "Key": fields["key"]}
    metadata = {}
    for field, value in fields.items():
        if field in _MEMBERS:
            request[_MEMBERS[field]] = value
        elif field.startswith(_META):
            metadata[field[len(_META) :]] = value
    if metadata:
        request["Metadata"] = metadata
    if (until := request.get("ObjectLockRetainUntilDate")) is not None:
        request["ObjectLockRetainUntilDate"] = locks.date_of_field(until)
    if "tagging" in fields:
        request["Tagging"] = _tagging(fields["tagging"])
    return request


def _tagging(text: str) -> str:
    """Tags stand in a form as a document, in PutObject as a query string."""
    path: list[str] = []
    tags: list[dict[str, str]] = []

    def start(name: str, _: dict[str, str]) -> None:
        path.append(name.rpartition("}")[2])
        if path == ["Tagging", "TagSet", "Tag"]:
            tags.append({})
        elif path[:3] == ["Tagging", "TagSet", "Tag"] and len(path) == 4:
            tags[-1][path[3]] = ""

    def characters(data: str) -> None:
        if len(path) == 4:
            tags[-1][path[3]] += data

    def refuse(*_: object) -> int:
        raise ValueError("document type declarations are not taken")

    parser = expat.ParserCreate(namespace_separator="}")
    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: path.pop()
    parser.CharacterDataHandler = characters
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(text.encode(), True)
        return urlencode([(tag["Key"], tag["Value"]) for tag in tags])
    except (expat.ExpatError, ValueError, KeyError, IndexError):
        raise errors.malformed_xml() from None


def _answer(
    form: Form, bucket: str, fields: Mapping[str, str], answer: Mapping[str, Any]
) -> tuple[int, dict[str, str], bytes]:
    key, etag = fields["key"], answer["ETag"]
    in_path = not form.headers.get("host", "").lower().startswith(f"{bucket}.s3")
    location = f"{form.origin}/{f'{bucket}/' if in_path else ''}{quote(key)}"
    headers = {"ETag": etag, "Location": location}
    for member, header in (
        ("VersionId", "x-amz-version-id"),
        ("ServerSideEncryption", "x-amz-server-side-encryption"),
        ("Expiration", "x-amz-expiration"),
        ("SSECustomerAlgorithm", "x-amz-server-side-encryption-customer-algorithm"),
        ("SSECustomerKeyMD5", "x-amz-server-side-encryption-customer-key-MD5"),
        ("ChecksumType", "x-amz-checksum-type"),
        *((checksums.member(name), checksums.header(name)) for name in ALGORITHMS),
    ):
        if member in answer:
            headers[header] = answer[member]
    redirect = fields.get("success_action_redirect") or fields.get("redirect")
    if redirect and redirect.startswith(("http://", "https://")) and not set(redirect) & set("\r\n"):
        query = urlencode({"bucket": bucket, "key": key, "etag": etag}, quote_via=quote)
        return 303, {**headers, "Location": f"{redirect}{'&' if '?' in redirect else '?'}{query}"}, b""
    status = fields.get("success_action_status")
    if status == "201":
        shown = {"Location": location, "Bucket": bucket, "Key": key, "ETag": etag}
        inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in shown.items())
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<PostResponse>{inner}</PostResponse>'
        return 201, {**headers, "Content-Type": "application/xml"}, body.encode()
    return (200 if status == "200" else 204), headers, b""
