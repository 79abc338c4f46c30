"""Serving static websites: GET and HEAD, index and error documents, redirects, pages for browsers.

Source: "Website endpoints", "Configuring a custom error document" in the Amazon S3 User Guide; recorded answers.

Everything is read as by somebody unknown: what policies and lists do not let everybody read is not shown.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from pileus.cloud.context import Cloud
from pileus.cloud.hosted import HostedAnswer, HostedRequest
from pileus.kernel.errors import AWSError
from pileus.kernel.ids import host_id
from pileus.kernel.principal import ANONYMOUS
from pileus.services.s3 import access_logs, buckets, cors, errors, websites
from pileus.services.s3.conditions import http_date
from pileus.services.s3.records import Bucket

LABEL = "s3-website"
_HEADERS = {
    "ContentType": "Content-Type",
    "CacheControl": "Cache-Control",
    "ContentDisposition": "Content-Disposition",
    "ContentEncoding": "Content-Encoding",
    "ContentLanguage": "Content-Language",
    "Expires": "Expires",
    "ETag": "ETag",
    "ContentRange": "Content-Range",
    "VersionId": "x-amz-version-id",
}
_CONDITIONS = {"if-none-match": "IfNoneMatch", "if-match": "IfMatch", "range": "Range"}


class _Refused(Exception):
    """A page that says what is wrong."""

    def __init__(self, error: AWSError, custom: AWSError | None = None, custom_key: str = "") -> None:
        super().__init__(error.code)
        self.error = error
        self.custom = custom
        self.custom_key = custom_key


async def serve(cloud: Cloud, request: HostedRequest) -> HostedAnswer:
    # In the form of S3's own.
    request.request_id = cloud.ids.string(16)
    ids = [("x-amz-request-id", request.request_id), ("x-amz-id-2", host_id(request.request_id))]
    bucket: Bucket | None = None
    try:
        bucket = await cloud.store.read(lambda tx: buckets.load(tx, request.name))
        answer = await _answer(cloud, request, bucket)
    except _Refused as refused:
        answer = _page(request, refused)
    except AWSError as error:
        answer = _page(request, _Refused(error))
    answer.headers += [*ids, ("Server", "AmazonS3")]
    origin = request.http.headers.get("origin")
    if bucket is not None and bucket.cors and origin:
        rule = cors.find_rule(bucket.cors, origin, request.http.method, ())
        if rule is not None:
            answer.headers += cors.response_headers(rule, origin).items()
    if request.http.method == "HEAD":
        answer.body = b""
    if bucket is not None:
        suffix = (bucket.website.get("IndexDocument") or {}).get("Suffix", "")
        key = websites.index_key(unquote(request.path.removeprefix("/")), suffix)
        access_logs.watch_visit(cloud, request, bucket, key, answer)
    return answer


async def _answer(cloud: Cloud, request: HostedRequest, bucket: Bucket | None) -> HostedAnswer:
    method = request.http.method
    if bucket is None:
        raise errors.no_such_bucket(request.name)
    if method == "OPTIONS" and "origin" in request.http.headers:
        return HostedAnswer(200, [*cors.preflight(bucket.cors, request.http.headers, resource_type="OBJECT").items()])
    if method not in ("GET", "HEAD"):
        raise errors.method_not_allowed(method, resource_type="OBJECT")
    if request.region not in ("", bucket.region):
        raise errors.permanent_redirect(bucket.name, bucket.region)
    site = bucket.website
    if not site:
        raise errors.no_such_website(bucket.name)
    scheme = "https" if request.http.secure else "http"
    host = request.http.headers.get("host", request.domain)
    if (redirect := websites.redirect_all(site, request.path, request.query, scheme)) is not None:
        return _redirected(redirect.status, redirect.location)
    key = unquote(request.path.removeprefix("/"))
    if (redirect := websites.redirect_by_rule(site, key, None, scheme=scheme, host=host)) is not None:
        return _redirected(redirect.status, redirect.location)
    wanted = websites.index_key(key, site["IndexDocument"]["Suffix"])
    try:
        found = await _get(cloud, request, bucket, wanted)
    except AWSError as error:
        if error.status not in (403, 404):
            raise
        if (
            key
            and not key.endswith("/")
            and await _exists(cloud, request, bucket, f"{key}/{site['IndexDocument']['Suffix']}")
        ):
            return _redirected(302, f"/{quote(key)}/")
        status = error.status
        if (redirect := websites.redirect_by_rule(site, key, status, scheme=scheme, host=host)) is not None:
            return _redirected(redirect.status, redirect.location)
        return await _error_document(cloud, request, bucket, error)
    if (location := found.get("WebsiteRedirectLocation")) is not None:
        return _redirected(301, location)
    return _shown(found, 206 if "ContentRange" in found else 200)


async def _get(cloud: Cloud, request: HostedRequest, bucket: Bucket, key: str) -> dict[str, Any]:
    asked: dict[str, Any] = {"Bucket": bucket.name, "Key": key}
    for header, member in _CONDITIONS.items():
        if header in request.http.headers:
            asked[member] = request.http.headers[header]
    return await _read(cloud, request, bucket, "GetObject", asked)


async def _read(
    cloud: Cloud, request: HostedRequest, bucket: Bucket, operation: str, asked: Mapping[str, Any]
) -> dict[str, Any]:
    return await cloud.call(
        ANONYMOUS, "s3", operation, asked, region=bucket.region, account=bucket.account, source=request.http
    )


async def _exists(cloud: Cloud, request: HostedRequest, bucket: Bucket, key: str) -> bool:
    try:
        await _read(cloud, request, bucket, "HeadObject", {"Bucket": bucket.name, "Key": key})
    except AWSError:
        return False
    return True


async def _error_document(cloud: Cloud, request: HostedRequest, bucket: Bucket, error: AWSError) -> HostedAnswer:
    key = (bucket.website.get("ErrorDocument") or {}).get("Key")
    if key is None:
        raise error
    try:
        found = await _read(cloud, request, bucket, "GetObject", {"Bucket": bucket.name, "Key": key})
    except AWSError as custom:
        raise _Refused(error, custom, key) from None
    if (location := found.get("WebsiteRedirectLocation")) is not None:
        return _redirected(301, location)
    answer = _shown(found, error.status or 404)
    answer.headers += _told(error)
    return answer


def _redirected(status: int, location: str) -> HostedAnswer:
    # A location is built of what a stranger asked for: nothing in it may begin another header.
    return HostedAnswer(status, [("Location", location.replace("\r", "%0D").replace("\n", "%0A"))])


def _shown(found: Mapping[str, Any], status: int) -> HostedAnswer:
    headers = [(header, str(found[member])) for member, header in _HEADERS.items() if member in found]
    headers += [("Last-Modified", http_date(found["LastModified"])), ("Content-Length", str(found["ContentLength"]))]
    headers += [(f"x-amz-meta-{name}", value) for name, value in (found.get("Metadata") or {}).items()]
    return HostedAnswer(status, headers, found["Body"])


def _told(error: AWSError) -> list[tuple[str, str]]:
    return [("x-amz-error-code", error.code), ("x-amz-error-message", error.message)]


def _page(request: HostedRequest, refused: _Refused) -> HostedAnswer:
    error = refused.error
    status = error.status or 400
    if status == 304:
        return HostedAnswer(status, [*error.headers.items()])
    body = websites.page(
        error,
        status,
        request_id=request.request_id,
        host_id=host_id(request.request_id),
        custom=refused.custom,
        custom_key=refused.custom_key,
    )
    headers = [*_told(error), ("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(body)))]
    if error.code == "PermanentRedirect":
        headers.append(("x-amz-bucket-region", error.headers["x-amz-bucket-region"]))
    return HostedAnswer(status, headers, body)
