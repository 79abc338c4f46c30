"""Object Lambda access points as such: what is kept of one, what a function is told, how its answer gets to who waits.

What waits is in this node's memory alone: the function writes its response while the request for the object is open.

Sources: "Transforming objects with S3 Object Lambda" and its pages (event context, writing functions) in the Amazon S3
User Guide; WriteGetObjectResponse and "List of Amazon S3 Object Lambda error codes" in the API Reference.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
import orjson

from pileus.cloud.context import Cloud, Context
from pileus.cloud.manifest import Permission, Request
from pileus.kernel.arn import parse_arn
from pileus.kernel.errors import AWSError, NotBuilt
from pileus.kernel.principal import Principal
from pileus.kernel.streams import ByteStream
from pileus.services.s3 import errors, keys
from pileus.store.contract import Reader

ALIAS_END = "--ol-s3"
ARN = "arn:aws:s3-object-lambda:"
# The member by which a request that came through such an access point says so, after `resolve`.
POINT = "ObjectLambdaAccessPointArn"
# What is done instead of what a function answers.
TRANSFORMED = {"GetObject": "GetObject of a function", "HeadObject": "HeadObject of a function"}
# How long a function has before it begins to answer, and then to go on.
ANSWER_S = 60.0
_FEATURES = ("Range", "PartNumber")
# Headers that a function may give of an object, beside S3's own.
_HEADERS = frozenset(
    (
        "accept-ranges",
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-length",
        "content-type",
        "etag",
        "expires",
        "last-modified",
    )
)
_HEADER_NAME = re.compile(r"[A-Za-z0-9-]+", re.ASCII)
_HEADER_VALUE = re.compile(r"[\x20-\x7e]*", re.ASCII)
_STATUSES = (200, 206, 304, 400, 401, 403, 404, 405, 409, 411, 412, 416, 500, 503)
_AUTHORIZING = ("authorization", "x-amz-security-token")


class ObjectLambdaPoint(msgspec.Struct, kw_only=True, tag=1):
    """An access point whose GetObject a function answers."""

    name: str
    account: str
    region: str
    # Seconds since the epoch.
    created: float
    alias: str
    # ObjectLambdaConfiguration.
    configuration: dict[str, Any]
    policy: str = ""

    @property
    def arn(self) -> str:
        return point_arn(self.region, self.account, self.name)

    def function(self, operation: str) -> dict[str, Any] | None:
        """AwsLambda of the transformation of an operation; None: it is answered by the supporting access point."""
        for one in self.configuration["TransformationConfigurations"]:
            if operation in one["Actions"]:
                return dict(one["ContentTransformation"]["AwsLambda"])
        return None


decode = msgspec.msgpack.Decoder(ObjectLambdaPoint).decode


def point_arn(region: str, account: str, name: str) -> str:
    return f"{ARN}{region}:{account}:accesspoint/{name}"


async def named(ctx: Context, tx: Reader, name: str) -> ObjectLambdaPoint:
    """The one of an ARN or alias."""
    arn = parse_arn(name)
    if arn is None:
        at = await tx.get(keys.alias(name))
    else:
        at = keys.object_lambda_point(arn.account, arn.region or ctx.region, arn.resource.removeprefix("accesspoint/"))
    data = await tx.get(at) if at is not None else None
    if data is None:
        raise errors.no_such_access_point(name)
    return decode(data)


def is_one(name: str) -> bool:
    return name.startswith(ARN) or name.endswith(ALIAS_END)


async def resolve(ctx: Context, request: dict[str, Any]) -> ObjectLambdaPoint:
    """Put the supporting access point in the place of an Object Lambda access point; that."""
    point = await ctx.cloud.store.read(lambda tx: named(ctx, tx, request["Bucket"]))
    request["Bucket"] = point.configuration["SupportingAccessPoint"]
    request[POINT] = point.arn
    return point


def check(configuration: Mapping[str, Any]) -> None:
    """Raise what is wrong with an ObjectLambdaConfiguration, or not built."""
    supporting = parse_arn(configuration["SupportingAccessPoint"])
    if supporting is None or supporting.service != "s3" or not supporting.resource.startswith("accesspoint/"):
        raise errors.invalid_request("The supporting access point ARN is not valid.")
    transformations = configuration["TransformationConfigurations"]
    if not transformations:
        raise errors.invalid_request("At least one transformation configuration is required.")
    for one in transformations:
        if not one["Actions"]:
            raise errors.invalid_request("At least one action is required in a transformation configuration.")
        for action in one["Actions"]:
            if action in ("ListObjects", "ListObjectsV2"):
                raise NotBuilt(f"Object Lambda access points that transform {action}")
            if action not in TRANSFORMED:
                raise errors.malformed_xml()
        function = parse_arn((one["ContentTransformation"].get("AwsLambda") or {}).get("FunctionArn") or "")
        if function is None or function.service != "lambda":
            raise errors.invalid_request("The Lambda function ARN is not valid.")


def check_features(point: ObjectLambdaPoint, operation: str, request: Mapping[str, Any]) -> None:
    """Parts of objects are asked for where the point's configuration says that its function knows of them."""
    allowed = point.configuration.get("AllowedFeatures") or ()
    for member in _FEATURES:
        if request.get(member) is not None and f"{operation}-{member}" not in allowed:
            raise errors.header_not_implemented(member)


def get_permission(ctx: Context, request: Request) -> Sequence[Permission]:
    """Of a GetObject or HeadObject that a function answers."""
    if ctx.principal.bucket_session is not None:
        raise errors.access_denied()
    return (Permission("s3-object-lambda:GetObject", request[POINT]),)


def write_permission(ctx: Context, request: Request) -> Sequence[Permission]:
    """On the access point that a function answers for."""
    arn = ctx.cloud.part(Calls).arn(request.get("RequestToken") or "")
    return (Permission("s3-object-lambda:WriteGetObjectResponse", arn),)


# ------------------------------------------------------------------------------------------------------- the event


def event(
    ctx: Context, point: ObjectLambdaPoint, function: Mapping[str, Any], asked: Mapping[str, Any]
) -> dict[str, Any]:
    """What the function is told; `asked` is what is particular of the operation: its context, by its name."""
    http = ctx.http
    headers = {
        "-".join(part.capitalize() for part in name.split("-")): value
        for name, value in http.headers.items()
        if name not in _AUTHORIZING
    }
    query = f"?{http.query}" if http.query and "X-Amz-Signature" not in http.query else ""
    return {
        "xAmzRequestId": ctx.request_id,
        **asked,
        "configuration": {
            "accessPointArn": point.arn,
            "supportingAccessPointArn": point.configuration["SupportingAccessPoint"],
            "payload": function.get("FunctionPayload") or "",
        },
        "userRequest": {"url": f"{http.origin}{http.path}{query}", "headers": headers},
        "userIdentity": _identity(ctx.principal),
        "protocolVersion": "1.00",
    }


def _identity(principal: Principal) -> dict[str, Any]:
    """The caller, as CloudTrail shows it."""
    kinds = {"root": "Root", "user": "IAMUser", "role": "AssumedRole", "federated": "FederatedUser"}
    shown: dict[str, Any] = {
        "type": kinds.get(principal.kind, "AWSService"),
        "principalId": principal.id,
        "arn": principal.arn,
        "accountId": principal.account,
        "accessKeyId": principal.access_key_id,
    }
    if principal.kind == "user":
        shown["userName"] = principal.name
    if principal.kind == "role":
        shown["sessionContext"] = {
            "attributes": {"mfaAuthenticated": "false"},
            "sessionIssuer": {
                "type": "Role",
                "principalId": principal.id.partition(":")[0],
                "arn": principal.role_arn,
                "accountId": principal.account,
                "userName": principal.role_arn.rpartition("/")[2],
            },
        }
    return shown


def head(payload: bytes) -> tuple[int, dict[str, str]]:
    """Status and headers of an object, of what a function returned for HeadObject. Raises the error that it tells of,
    or LambdaInvalidResponse."""
    try:
        document = orjson.loads(payload)
        status, headers = document["statusCode"], document.get("headers") or {}
        shown = {name.lower(): str(value) for name, value in headers.items() if _is_of_objects(name)}
        sane = status in _STATUSES and all(
            _HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(value) for name, value in shown.items()
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        # Whatever it is that the function returned, it has not the form.
        sane = False
    if not sane:
        raise AWSError("LambdaInvalidResponse", "The Lambda function returned an invalid response.", status=400)
    if status >= 400 or document.get("errorCode"):
        raise AWSError(
            str(document.get("errorCode") or "LambdaInvalidResponse"),
            str(document.get("errorMessage") or ""),
            status=status,
        )
    return status, shown


def _is_of_objects(name: str) -> bool:
    return name.lower() in _HEADERS or name.lower().startswith("x-amz-")


# ------------------------------------------------------------------------------------------------------ the response


class Pipe:
    """Hands a body from the call that brings it to the one that wants it, a chunk at a time."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._chunks: asyncio.Queue[bytes | AWSError | None] = asyncio.Queue(1)
        self._unwanted = False

    async def take(self, stream: ByteStream) -> None:
        """Hand over all of `stream`. Raises where nobody wants it any more, and what is wrong with the stream."""
        try:
            async for chunk in stream:
                await self._put(chunk)
        except AWSError as error:
            await self._put(error)
            raise
        await self._put(None)

    def discard(self) -> None:
        """Take the rest without keeping it: nobody wants it."""
        self._unwanted = True
        while not self._chunks.empty():
            self._chunks.get_nowait()

    async def _put(self, chunk: bytes | AWSError | None) -> None:
        if self._unwanted:
            return
        putting = asyncio.ensure_future(self._chunks.put(chunk))
        if not await first(self._cloud, putting):
            putting.cancel()
            raise AWSError("ValidationError", "The requester of the object has gone.", status=400)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            while (chunk := await self._chunks.get()) is not None:
                if isinstance(chunk, AWSError):
                    raise chunk
                yield chunk
        finally:
            self.discard()


class Response(NamedTuple):
    """What a function has written: members, as WriteGetObjectResponse has them, and the body as it comes."""

    members: dict[str, Any]
    body: Pipe
    # Bytes of the body, where the function says.
    length: int | None


async def first(cloud: Cloud, *awaited: asyncio.Future[Any]) -> bool:
    """Wait for the first of these, as long as a function has for its answer; whether there was one."""
    limit = asyncio.ensure_future(cloud.clock.sleep(ANSWER_S))
    try:
        await asyncio.wait((*awaited, limit), return_when=asyncio.FIRST_COMPLETED)
    finally:
        limit.cancel()
    return any(one.done() for one in awaited)


class Calls:
    """The requests of this node that wait for a function's response, by their token."""

    def __init__(self) -> None:
        self._waiting: dict[str, tuple[str, asyncio.Future[Response]]] = {}
        # Invocations that go on after their response; kept, as the event loop does not.
        self.running: set[asyncio.Task[Any]] = set()

    def ended(self, invocation: asyncio.Task[Any]) -> None:
        """Let go of an invocation; what became of one that has answered is for its function's log."""
        self.running.discard(invocation)
        if not invocation.cancelled():
            invocation.exception()

    def begin(self, token: str, arn: str) -> asyncio.Future[Response]:
        future: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._waiting[token] = arn, future
        return future

    def end(self, token: str) -> None:
        self._waiting.pop(token, None)

    def arn(self, token: str) -> str:
        """The access point that a token is of; "*" where it is of none."""
        return self._waiting[token][0] if token in self._waiting else "*"

    def answer(self, cloud: Cloud, token: str, members: dict[str, Any], length: int | None) -> Pipe:
        """Begin the response to whoever waits for it; once. Raises `AWSError`."""
        status = members.get("StatusCode", 200)
        if status not in _STATUSES:
            raise AWSError("ValidationError", f"The status code {status} is not valid.", status=400)
        if token not in self._waiting:
            raise AWSError("ValidationError", "The request token is not valid or has been used.", status=400)
        _, future = self._waiting.pop(token)
        pipe = Pipe(cloud)
        if not future.done():
            future.set_result(Response(members, pipe, length))
        return pipe
