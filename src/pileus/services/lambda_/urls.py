"""Function URLs: from an HTTP request to the function behind it, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pileus.cloud.context import Cloud
from pileus.cloud.hosted import HostedAnswer, HostedRequest
from pileus.kernel.errors import AWSError
from pileus.kernel.principal import ANONYMOUS
from pileus.services.lambda_ import keys, payloads, url_payloads
from pileus.services.lambda_.execution import Invocation
from pileus.services.lambda_.invoking import new_trace, run
from pileus.services.lambda_.names import Target
from pileus.services.lambda_.node import node
from pileus.services.lambda_.permissions import document
from pileus.services.lambda_.records import Policy, Url, UrlPlace, decode
from pileus.store.contract import Reader

LABEL = "lambda-url"
_FORBIDDEN = (
    "Forbidden. For troubleshooting Function URL authorization issues, see: "
    "https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"
)
_PORT = re.compile(r":(\d+)$")


def address(cloud: Cloud, url_id: str, region: str) -> str:
    """`FunctionUrl` as answers show it."""
    port = _PORT.search(cloud.endpoint)
    domain = cloud.settings.domains[0] if cloud.settings.domains else "localhost"
    return f"http://{url_id}.{LABEL}.{region}.{domain}{port[0] if port else ''}/"


async def _find(tx: Reader, url_id: str, region: str) -> tuple[Target, Url, dict[str, Any] | None] | None:
    """What a URL stands for, its configuration, and the policy that says who may call it."""
    data = await tx.get(keys.url_place(url_id))
    if data is None:
        return None
    place = decode(UrlPlace, data)
    at = Target(place.account, place.region, place.name, place.qualifier)
    stored = await tx.get(keys.url(at))
    if stored is None or region not in ("", place.region):
        return None
    policy = await tx.get(keys.policy(at))
    return at, decode(Url, stored), document(decode(Policy, policy)) if policy is not None else None


async def serve(cloud: Cloud, request: HostedRequest) -> HostedAnswer:
    """Answer a request to a function URL."""
    found = await cloud.store.read(lambda tx: _find(tx, request.name, request.region))
    if found is None:
        raise AWSError("ResourceNotFoundException", "", status=404)
    at, url, policy = found
    cors = _cors_headers(url.cors, request.http.headers) if url.cors else {}
    if url.cors and request.http.method == "OPTIONS" and "access-control-request-method" in request.http.headers:
        return HostedAnswer(200, [*cors.items(), *_preflight_headers(url.cors, cors).items()])
    answer = await _invoke(cloud, request, at, url, policy)
    if cors:
        # "Lambda uses the function URL's CORS settings": the function's own headers give way.
        answer.headers = [(name, value) for name, value in answer.headers if name not in cors]
        answer.headers += cors.items()
    return answer


async def _invoke(
    cloud: Cloud, request: HostedRequest, at: Target, url: Url, policy: dict[str, Any] | None
) -> HostedAnswer:
    try:
        body = await request.access.body(payloads.SYNC_BYTES_MAX)
    except AWSError as error:
        if error.code != "RequestEntityTooLargeException":
            raise
        raise AWSError(error.code, "Request Entity Too Large", status=413) from None
    signed = url.auth_type == "AWS_IAM"
    caller = await request.access.caller("lambda", body) if signed else ANONYMOUS
    try:
        if signed and caller.kind == "anonymous":
            raise AWSError("AccessDeniedException", status=403)
        await request.access.allow(
            caller,
            "lambda:InvokeFunctionUrl",
            at.asked_arn,
            conditions={"lambda:FunctionUrlAuthType": url.auth_type},
            policy=policy,
        )
    except AWSError as error:
        if error.code != "AccessDeniedException":
            raise
        raise AWSError("AccessDeniedException", _FORBIDDEN, status=403) from None

    trace = request.http.headers.get("x-amzn-trace-id") or new_trace(cloud, request.now)
    payload = url_payloads.event(request, body, caller=caller if signed else None, trace=trace)
    if len(payload) > payloads.SYNC_BYTES_MAX:
        raise AWSError("RequestEntityTooLargeException", "Request Entity Too Large", status=413)
    mine = node(cloud)
    try:
        resolved = await mine.resolver.resolve(at)
    except AWSError as error:
        if error.code != "ResourceNotFoundException":
            raise
        raise AWSError("ResourceNotFoundException", "", status=404) from None
    streaming = url.invoke_mode == "RESPONSE_STREAM"
    result = await run(
        mine,
        resolved,
        resolved.choose(cloud.ids.uniform),
        Invocation(
            request_id=request.request_id,
            payload=payload,
            invoked_arn=at.asked_arn,
            trace_header=trace,
            streaming=streaming,
        ),
    )
    if result.function_error is not None:
        return _bad_gateway()
    try:
        if result.stream is not None:
            answer = await url_payloads.streamed(result.stream)
        elif streaming:
            # A function that does not stream answers in one piece, as it is.
            answer = HostedAnswer(200, [("content-type", "application/json")], result.payload)
        else:
            answer = url_payloads.answer(result.payload)
    except url_payloads.BadAnswer:
        return _bad_gateway()
    answer.headers.append(("x-amzn-trace-id", trace.partition(";")[0]))
    return answer


def _bad_gateway() -> HostedAnswer:
    """The function failed, or answered what is no HTTP response; what went wrong is for its log only."""
    return HostedAnswer(502, [("content-type", "application/json")], b"Internal Server Error")


def _cors_headers(cors: dict[str, Any], headers: Mapping[str, str]) -> dict[str, str]:
    """What a browser is told with every answer; nothing where the origin is not one of the configured."""
    origin = headers.get("origin", "")
    allowed: list[str] = cors.get("AllowOrigins") or []
    if not origin or not any(_matches(pattern, origin) for pattern in allowed):
        return {}
    credentials = cors.get("AllowCredentials") is True
    out = {"access-control-allow-origin": "*" if "*" in allowed and not credentials else origin}
    if out["access-control-allow-origin"] != "*":
        out["vary"] = "Origin"
    if credentials:
        out["access-control-allow-credentials"] = "true"
    if cors.get("ExposeHeaders"):
        out["access-control-expose-headers"] = ",".join(cors["ExposeHeaders"])
    return out


def _matches(pattern: str, origin: str) -> bool:
    """Origins are compared as they are, but for a `*` in front of a domain's last labels: `https://*.example.com`."""
    beginning, star, end = pattern.partition("*")
    if not star:
        return pattern.lower() == origin.lower()
    fits = origin.lower().startswith(beginning.lower()) and origin.lower().endswith(end.lower())
    return fits and len(origin) >= len(beginning) + len(end)


def _preflight_headers(cors: dict[str, Any], allowed: dict[str, str]) -> dict[str, str]:
    if not allowed:
        return {}
    out: dict[str, str] = {}
    if cors.get("AllowMethods"):
        out["access-control-allow-methods"] = ",".join(cors["AllowMethods"])
    if cors.get("AllowHeaders"):
        out["access-control-allow-headers"] = ",".join(cors["AllowHeaders"])
    if cors.get("MaxAge") is not None:
        out["access-control-max-age"] = str(cors["MaxAge"])
    return out
