"""What a function gets of an HTTP request (payload format 2.0), and what its answer means as an HTTP response.

Source: "Invoking Lambda function URLs", "Request and response payloads" of the developer guide.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import orjson

from pileus.cloud.hosted import HostedAnswer, HostedRequest
from pileus.kernel.principal import Principal
from pileus.services.lambda_.execution import ResponseStream

STREAMED_TYPE = "application/vnd.awslambda.http-integration-response"
# Between the metadata of a streamed answer and its body.
_DELIMITER = b"\0" * 8
_METADATA_BYTES_MAX = 64 * 1024

_TEXT = re.compile(r"text/.*|application/(.*\+)?(json|javascript|xml)")
# Of the connection, not of the request.
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# Responses that end with their headers.
_BODILESS = frozenset({204, 304})
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


class BadAnswer(Exception):
    """The function's answer is no HTTP response."""


def event(request: HostedRequest, body: bytes, *, caller: Principal | None, trace: str) -> bytes:
    """The payload; `caller` None where nobody had to sign."""
    http = request.http
    headers = {name: value for name, value in http.headers.items() if name not in _HOP_BY_HOP}
    cookies = [part.strip() for part in re.split("[;,]", headers.pop("cookie", "")) if part.strip()]
    if caller is not None:
        # A signature is for Lambda; the function learns who signed.
        headers.pop("authorization", None)
    scheme, _, authority = http.origin.partition("://")
    port = authority.rpartition(":")[2]
    headers |= {
        "host": request.domain,
        "x-amzn-trace-id": trace,
        "x-forwarded-for": http.source_ip,
        "x-forwarded-port": port if port.isdigit() else ("443" if scheme == "https" else "80"),
        "x-forwarded-proto": scheme,
    }
    moment = datetime.fromtimestamp(request.now, UTC)
    out: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": request.path,
        "rawQueryString": request.query,
    }
    if cookies:
        out["cookies"] = cookies
    out["headers"] = dict(sorted(headers.items()))
    if request.query:
        parameters: dict[str, str] = {}
        for name, value in parse_qsl(request.query, keep_blank_values=True):
            parameters[name] = f"{parameters[name]},{value}" if name in parameters else value
        out["queryStringParameters"] = parameters
    context: dict[str, Any] = {
        "accountId": caller.account if caller is not None else "anonymous",
        "apiId": request.name,
    }
    if caller is not None:
        context["authorizer"] = {
            "iam": {
                "accessKey": caller.access_key_id,
                "accountId": caller.account,
                "callerId": caller.id,
                "cognitoIdentity": None,
                "principalOrgId": None,
                "userArn": caller.arn,
                "userId": caller.id,
            }
        }
    out["requestContext"] = context | {
        "domainName": request.domain,
        "domainPrefix": request.name,
        "http": {
            "method": http.method,
            "path": request.path,
            "protocol": "HTTP/1.1",
            "sourceIp": http.source_ip,
            "userAgent": http.user_agent,
        },
        "requestId": request.request_id,
        "routeKey": "$default",
        "stage": "$default",
        "time": f"{moment:%d/%b/%Y:%H:%M:%S} +0000",
        "timeEpoch": int(request.now * 1000),
    }
    text = _text(body, headers.get("content-type", ""))
    if body:
        out["body"] = text if text is not None else base64.b64encode(body).decode()
    out["isBase64Encoded"] = text is None
    # What is no UTF-8 in a header or path is told as the replacement character.
    return orjson.dumps(_clean(out))


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_clean(name): _clean(each) for name, each in value.items()}
    return [_clean(each) for each in value] if isinstance(value, list) else value


def _text(body: bytes, content_type: str) -> str | None:
    """The body as text, or None where it is to be told in base64."""
    if not body:
        return ""
    if not _TEXT.fullmatch(content_type.partition(";")[0].strip().lower()):
        return None
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def answer(payload: bytes) -> HostedAnswer:
    """What a function returned as a response: as it says where it names a status, else as the body of a 200.

    Raises `BadAnswer`.
    """
    try:
        value = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise BadAnswer(str(error)) from None
    if not isinstance(value, dict) or "statusCode" not in value:
        return HostedAnswer(200, [("content-type", "application/json")], payload)
    status, headers = _head(value)
    body = value.get("body")
    if body is None or status in _BODILESS:
        content = b""
    elif not isinstance(body, str):
        content = orjson.dumps(body)
    elif value.get("isBase64Encoded") is True:
        try:
            content = base64.b64decode(body, validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadAnswer(str(error)) from None
    else:
        content = body.encode("utf-8", "replace")
    return HostedAnswer(status, headers, content)


def _head(value: dict[str, Any]) -> tuple[int, list[tuple[str, str]]]:
    """Status and headers, cookies among them."""
    status = value.get("statusCode", 200)
    if isinstance(status, str) and status.isascii() and status.isdigit() and len(status) == 3:
        status = int(status)
    given, cookies = value.get("headers") or {}, value.get("cookies") or []
    if isinstance(status, bool) or not isinstance(status, int) or not 200 <= status <= 599:
        raise BadAnswer(f"statusCode {status!r}")
    if not isinstance(given, dict) or not isinstance(cookies, list):
        raise BadAnswer("headers or cookies of another type")
    headers: list[tuple[str, str]] = []
    for name, each in given.items():
        if each is None:
            continue
        if isinstance(each, dict | list) or not _HEADER_NAME.fullmatch(name):
            raise BadAnswer(f"header {name!r}")
        text = str(each).lower() if isinstance(each, bool) else str(each)
        lower = name.lower()
        if lower != "content-length":
            headers.append((f"x-amzn-remapped-{lower}" if lower in _HOP_BY_HOP else lower, text))
    if not any(name == "content-type" for name, _ in headers):
        headers.insert(0, ("content-type", "application/json"))
    for cookie in cookies:
        if not isinstance(cookie, str):
            raise BadAnswer("a cookie of another type")
        headers.append(("set-cookie", cookie))
    return status, headers


class CutOff(Exception):
    """The function failed in the middle of its answer: the connection ends without the body's end."""


async def streamed(stream: ResponseStream) -> HostedAnswer:
    """A streamed answer: its metadata, where it begins with some, and then the body as it comes. Raises `BadAnswer`."""
    chunks = aiter(stream)
    if stream.content_type != STREAMED_TYPE:
        content_type = stream.content_type or "application/octet-stream"
        return HostedAnswer(200, [("content-type", content_type)], _rest(b"", chunks, stream))
    head = b""
    while _DELIMITER not in head:
        if len(head) > _METADATA_BYTES_MAX:
            raise BadAnswer("no end of the metadata")
        try:
            head += await anext(chunks)
        except StopAsyncIteration:
            raise BadAnswer("no end of the metadata") from None
    metadata, _, begun = head.partition(_DELIMITER)
    try:
        value = orjson.loads(metadata)
    except orjson.JSONDecodeError as error:
        raise BadAnswer(str(error)) from None
    if not isinstance(value, dict):
        raise BadAnswer("metadata that is no object")
    status, headers = _head(value)
    if status in _BODILESS:
        async for _ in chunks:
            pass
        return HostedAnswer(status, headers)
    return HostedAnswer(status, headers, _rest(begun, chunks, stream))


async def _rest(begun: bytes, chunks: AsyncIterator[bytes], stream: ResponseStream) -> AsyncIterator[bytes]:
    if begun:
        yield begun
    async for chunk in chunks:
        yield chunk
    if stream.error is not None:
        raise CutOff(stream.error[0])
