"""Server access logs: what a record says, who wants one, and keeping them until they are delivered.

Sources: "Amazon S3 server access log format", "Logging requests with server access logging", "Lifecycle and logging" in
the Amazon S3 User Guide.

Nobody asks for a bucket's settings twice: who loads a bucket that is logged tells the call, and the record is made when
it has been answered. Records wait in memory for the write before theirs to end, then go into the store together.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Any
from urllib.parse import quote, unquote

from pileus.cloud.context import Cloud, Context, Sent
from pileus.cloud.hosted import HostedAnswer, HostedRequest
from pileus.kernel.ids import host_id
from pileus.kernel.principal import ANONYMOUS, Principal
from pileus.services.s3 import keys
from pileus.services.s3.accounts import canonical_id
from pileus.services.s3.records import AccessRecord, Bucket, encode
from pileus.store.contract import StoreUnavailable, Transaction

log = logging.getLogger("pileus.s3")

# By whom records are told that S3 writes of itself.
ITSELF = "AmazonS3"
# What a query must not give away to whoever reads logs.
_SECRET_PARAMETERS = ("x-amz-security-token", "x-amz-signature", "signature")
_NONE = "-"
# The member by which a request that came through an access point says so.
_VIA = "DataAccessPointArn"

# The end of `REST.{method}.{resource}`, where it is not "OBJECT".
_RESOURCES = {
    **dict.fromkeys(("CreateBucket", "HeadBucket", "DeleteBucket", "ListObjects", "ListObjectsV2"), "BUCKET"),
    "ListObjectVersions": "BUCKETVERSIONS",
    "GetBucketLocation": "LOCATION",
    **dict.fromkeys(("GetBucketVersioning", "PutBucketVersioning"), "VERSIONING"),
    **dict.fromkeys(("GetBucketTagging", "PutBucketTagging", "DeleteBucketTagging"), "TAGGING"),
    **dict.fromkeys(("GetBucketPolicy", "PutBucketPolicy", "DeleteBucketPolicy"), "BUCKETPOLICY"),
    "GetBucketPolicyStatus": "POLICY_STATUS",
    **dict.fromkeys(("GetBucketCors", "PutBucketCors", "DeleteBucketCors"), "CORS"),
    **dict.fromkeys(("GetPublicAccessBlock", "PutPublicAccessBlock", "DeletePublicAccessBlock"), "PUBLIC_ACCESS_BLOCK"),
    **dict.fromkeys(
        ("GetBucketOwnershipControls", "PutBucketOwnershipControls", "DeleteBucketOwnershipControls"),
        "OWNERSHIP_CONTROLS",
    ),
    **dict.fromkeys(("GetBucketEncryption", "PutBucketEncryption", "DeleteBucketEncryption"), "ENCRYPTION"),
    **dict.fromkeys(("GetBucketNotificationConfiguration", "PutBucketNotificationConfiguration"), "NOTIFICATION"),
    **dict.fromkeys(("GetObjectLockConfiguration", "PutObjectLockConfiguration"), "OBJECT_LOCK_CONFIGURATION"),
    **dict.fromkeys(("GetObjectRetention", "PutObjectRetention"), "OBJECT_LOCK_RETENTION"),
    **dict.fromkeys(("GetObjectLegalHold", "PutObjectLegalHold"), "OBJECT_LOCK_LEGALHOLD"),
    **dict.fromkeys(("GetBucketAcl", "PutBucketAcl", "GetObjectAcl", "PutObjectAcl"), "ACL"),
    **dict.fromkeys(("GetBucketRequestPayment", "PutBucketRequestPayment"), "REQUEST_PAYMENT"),
    **dict.fromkeys(("GetBucketAccelerateConfiguration", "PutBucketAccelerateConfiguration"), "ACCELERATE"),
    **dict.fromkeys(("GetBucketLogging", "PutBucketLogging"), "LOGGING_STATUS"),
    **dict.fromkeys(("GetBucketWebsite", "PutBucketWebsite", "DeleteBucketWebsite"), "WEBSITE"),
    **dict.fromkeys(("GetBucketReplication", "PutBucketReplication", "DeleteBucketReplication"), "REPLICATION"),
    **dict.fromkeys(
        ("GetBucketLifecycleConfiguration", "PutBucketLifecycleConfiguration", "DeleteBucketLifecycle"), "LIFECYCLE"
    ),
    **{
        f"{verb}Bucket{kind}Configuration{'s' if verb == 'List' else ''}": resource
        for kind, resource in (
            ("Inventory", "INVENTORY"),
            ("Analytics", "ANALYTICS"),
            ("Metrics", "METRICS"),
            ("IntelligentTiering", "INTELLIGENT_TIERING"),
        )
        for verb in ("Get", "Put", "Delete", "List")
    },
    "DeleteObjects": "MULTI_OBJECT_DELETE",
    "GetObjectAttributes": "OBJECT_ATTRIBUTES",
    **dict.fromkeys(("GetObjectTagging", "PutObjectTagging", "DeleteObjectTagging"), "OBJECT_TAGGING"),
    "RestoreObject": "RESTORE",
    "SelectObjectContent": "SELECT",
    "GetObjectTorrent": "TORRENT",
    **dict.fromkeys(("CreateMultipartUpload", "ListMultipartUploads"), "UPLOADS"),
    "UploadPart": "PART",
    **dict.fromkeys(("CompleteMultipartUpload", "AbortMultipartUpload", "ListParts"), "UPLOAD"),
}
_COPIES = {"CopyObject": "REST.COPY.OBJECT", "UploadPartCopy": "REST.COPY.PART"}


class AccessLogs:
    """Records of this node that are not in the store yet; one per node, in `cloud.parts`."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._waiting: list[AccessRecord] = []
        # By this records of one moment stand in their order.
        self.numbers = count()
        self._writer: asyncio.Task[None] | None = None

    def add(self, record: AccessRecord) -> None:
        self._waiting.append(record)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write(), name="s3 access records")

    async def flush(self) -> None:
        """Return once what was added so far is in the store, or could not be put there."""
        while self._writer is not None and not self._writer.done():
            await asyncio.wait([self._writer])

    async def _write(self) -> None:
        while self._waiting:
            records, self._waiting = self._waiting, []

            async def put(tx: Transaction, records: list[AccessRecord] = records) -> None:
                for record in records:
                    keep(self._cloud, tx, record)

            try:
                await self._cloud.store.write(put)
            except StoreUnavailable as error:
                log.error("%d access records are lost: %s", len(records), error)


def keep(cloud: Cloud, tx: Transaction, record: AccessRecord) -> None:
    """Keep a record until it is delivered; directly where something happens in a transaction of its own."""
    number = next(cloud.part(AccessLogs).numbers)
    tx.put(keys.access_record(record.bucket, record.time, number, cloud.ids.hex(16)), encode(record))


# ------------------------------------------------------------------------------------------------------- who is logged


def watch(ctx: Context, bucket: Bucket, request: Mapping[str, Any]) -> None:
    """Have the call told in the bucket's log, if it has one and the call is a request; may be asked for again."""
    if bucket.logging and ctx.http.method:
        name = _COPIES.get(ctx.operation)
        if name is None:
            name = f"REST.{ctx.http.method}.{_RESOURCES.get(ctx.operation, 'OBJECT')}"
        _listen(ctx, ctx.operation, partial(_told, ctx, bucket, request, name))


def watch_source(ctx: Context, bucket: Bucket, key: str, version_id: str | None, size: int | None) -> None:
    """The same for the bucket that a copy reads from: AWS tells of its two sides in two records."""
    if bucket.logging and ctx.http.method:
        request = {"Key": key, "VersionId": version_id}
        _listen(
            ctx, "source", partial(_told, ctx, bucket, request, f"{_COPIES[ctx.operation]}_GET", size=size, whole=False)
        )


def watch_deleted(
    ctx: Context, bucket: Bucket, key: str, version_id: str | None, *, status: int = 204, error: str = ""
) -> None:
    """The same for each of DeleteObjects' objects."""
    if bucket.logging and ctx.http.method:

        def told(sent: Sent) -> None:
            if not sent.error:  # else nothing of it has happened
                request = {"Key": key, "VersionId": version_id}
                one = replace(sent, status=status, error=error)
                _told(ctx, bucket, request, "BATCH.DELETE.OBJECT", one, whole=False)

        _listen(ctx, f"delete {key} {version_id}", told)


def watch_visit(cloud: Cloud, request: HostedRequest, bucket: Bucket, key: str, answer: HostedAnswer) -> None:
    """The same for a visitor of the bucket's website, who is shown `answer`; `key` is the object that is meant."""
    if not bucket.logging:
        return
    ctx = Context(
        cloud=cloud,
        request_id=request.request_id,
        service="s3",
        operation="GetObject",
        account=bucket.account,
        region=bucket.region,
        principal=ANONYMOUS,
        now=request.now,
        http=request.http,
    )
    error = next((value for name, value in answer.headers if name == "x-amz-error-code"), "")
    turn_around_ms = int((cloud.clock.time() - request.now) * 1000)

    def sent(body_bytes: int) -> None:
        total_ms = int((cloud.clock.time() - request.now) * 1000)
        what = Sent(answer.status, answer.headers, error, body_bytes, total_ms, turn_around_ms)
        _told(ctx, bucket, {"Key": key}, f"WEBSITE.{request.http.method}.OBJECT", what)

    answer.when_sent = sent


class _Listeners:
    """What a call is told in, each by a name of its own: a transaction may run again, and asks again."""

    def __init__(self) -> None:
        self.by_name: dict[str, Callable[[Sent], None]] = {}

    def __call__(self, sent: Sent) -> None:
        for listener in self.by_name.values():
            listener(sent)


def _listen(ctx: Context, name: str, listener: Callable[[Sent], None]) -> None:
    if ctx.when_sent is None:
        ctx.when_sent = _Listeners()
    if isinstance(ctx.when_sent, _Listeners):
        ctx.when_sent.by_name[name] = listener


def _told(
    ctx: Context,
    bucket: Bucket,
    request: Mapping[str, Any],
    operation: str,
    sent: Sent,
    *,
    size: int | None = None,
    whole: bool = True,
) -> None:
    """Make a record; `whole`: the answer and its time are those of the one thing that it tells of."""
    text = line(
        bucket,
        when=ctx.now,
        remote_ip=ctx.http.source_ip,
        requester=_requester(ctx.principal),
        request_id=ctx.request_id,
        operation=operation,
        key=request.get("Key"),
        uri=_uri(ctx),
        status=sent.status,
        error="" if sent.status == 304 else sent.error,
        bytes_sent=sent.body_bytes if whole else 0,
        size=_size(ctx, sent) if whole else size,
        total_ms=sent.total_ms if whole else None,
        turn_around_ms=sent.turn_around_ms if whole else None,
        referer=ctx.http.headers.get("referer", ""),
        user_agent=ctx.http.user_agent,
        version_id=request.get("VersionId"),
        signed=_signed(ctx),
        host=ctx.http.headers.get("host", ""),
        access_point=request.get(_VIA),
    )
    ctx.cloud.part(AccessLogs).add(of(bucket, ctx.now, text))


def of(bucket: Bucket, when: float, text: str) -> AccessRecord:
    return AccessRecord(
        bucket=bucket.name, account=bucket.account, region=bucket.region, time=when, line=text, target=bucket.logging
    )


def keep_own(ctx: Context, tx: Transaction, bucket: Bucket, operation: str, key: str, version_id: str = "") -> None:
    """Tell, in the transaction that does it, of what S3 does for a lifecycle rule: `S3.EXPIRE.OBJECT`."""
    if bucket.logging:
        text = line(
            bucket,
            when=ctx.now,
            requester=ITSELF,
            request_id=ctx.request_id,
            operation=operation,
            key=key,
            version_id=version_id,
        )
        keep(ctx.cloud, tx, of(bucket, ctx.now, text))


# ------------------------------------------------------------------------------------------------------------- records


def line(
    bucket: Bucket,
    *,
    when: float,
    requester: str,
    request_id: str,
    operation: str,
    key: str | None,
    version_id: str | None,
    remote_ip: str = "",
    uri: str = "",
    status: int | None = None,
    error: str = "",
    bytes_sent: int = 0,
    size: int | None = None,
    total_ms: int | None = None,
    turn_around_ms: int | None = None,
    referer: str = "",
    user_agent: str = "",
    signed: tuple[str, str] = ("", ""),
    host: str = "",
    access_point: str | None = None,
) -> str:
    """One record, its 27 fields in AWS's order; `-` for what is unknown, does not apply or is zero bytes.

    Of the last eight, the cipher suite, the TLS version, whether a list was needed and the region that the request came
    from are not known here.
    """
    return " ".join(
        (
            canonical_id(bucket.account),
            bucket.name,
            f"[{datetime.fromtimestamp(when, UTC):%d/%b/%Y:%H:%M:%S} +0000]",
            remote_ip or _NONE,
            requester or _NONE,
            request_id,
            operation,
            quote(key, safe="/", errors="replace") if key else _NONE,
            _quoted(uri) if uri else _NONE,
            _shown(status),
            error or _NONE,
            _shown(bytes_sent or None),
            _shown(size),
            _shown(total_ms),
            _shown(turn_around_ms),
            _quoted(referer),
            _quoted(user_agent),
            quote(version_id, errors="replace") if version_id else _NONE,
            host_id(request_id),
            signed[0] or _NONE,
            _NONE,
            signed[1] or _NONE,
            quote(host, safe=":[]") or _NONE,
            _NONE,
            access_point or _NONE,
            _NONE,
            _NONE,
        )
    )


def _shown(number: int | None) -> str:
    return _NONE if number is None else str(number)


def _quoted(text: str) -> str:
    """In quotes, which nothing inside ends."""
    return '"' + (text.replace('"', "%22") or _NONE) + '"'


def _requester(principal: Principal) -> str:
    if principal.kind == "root":
        return canonical_id(principal.account)
    return principal.arn or principal.service


def _uri(ctx: Context) -> str:
    query = ctx.http.query
    if query and any(name in unquote(query).lower() for name in _SECRET_PARAMETERS):
        parts = []
        for part in query.split("&"):
            name, equals, value = part.partition("=")
            parts.append(name + equals + ("REDACTED" if unquote(name).lower() in _SECRET_PARAMETERS else value))
        query = "&".join(parts)
    return f"{ctx.http.method} {ctx.http.path}{'?' if query else ''}{query} HTTP/1.1"


def _signed(ctx: Context) -> tuple[str, str]:
    """(signature version, authentication type)."""
    if ctx.principal.kind == "anonymous":
        return "", ""
    if authorization := ctx.http.headers.get("authorization"):
        return "SigV4" if authorization.startswith("AWS4-") else "SigV2", "AuthHeader"
    if ctx.http.query:
        return "SigV4" if "X-Amz-Algorithm" in ctx.http.query else "SigV2", "QueryString"
    return "SigV4", ""


def _size(ctx: Context, sent: Sent) -> int | None:
    """The size of the object that the request read or wrote."""
    given = ctx.http.headers
    found: str | None = None
    if sent.error:
        return None
    if ctx.operation in ("PutObject", "UploadPart") and ctx.http.method == "PUT":
        found = given.get("x-amz-decoded-content-length") or given.get("content-length")
    elif ctx.operation in ("GetObject", "HeadObject"):
        headers = {name.lower(): value for name, value in sent.headers}
        found = headers.get("content-range", "").rpartition("/")[2] or headers.get("content-length")
    return int(found) if found and found.isdigit() else None
