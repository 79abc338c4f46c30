"""Server access logs: a line for each request about a bucket that has them, gathered and delivered to another bucket.

A line is noted when its answer has been sent, and waits in memory until the next delivery: a node that is killed loses
those of the last minute. AWS promises no more ("best effort"). What does not come by HTTP to the bucket itself
(lifecycles, replication, websites, the deliveries) has no lines, and a copy is told of where it is written only.

Sources: "Logging requests with server access logging", "Amazon S3 server access log format", "Enabling Amazon S3 server
access logging" in the Amazon S3 User Guide.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple
from urllib.parse import quote

from pileus.cloud.context import Cloud, Context, Sent
from pileus.kernel.errors import AWSError
from pileus.kernel.principal import Principal, service_principal
from pileus.services.s3 import keys
from pileus.services.s3.accounts import canonical_id
from pileus.services.s3.records import Bucket, decode_bucket
from pileus.store.contract import Reader

log = logging.getLogger("pileus.s3")

LOOP = "s3.access-logs"
PERIOD_S = 60.0
# So many lines are delivered before their time; of one object, and of what a target that fails leaves.
_LINES_SOON = 10_000
_LINES_MAX = 100_000
_HEX = "0123456789ABCDEF"

# The part of an operation's name behind the method, where it is not the model's: the resource that the query names.
_RESOURCES = {
    "AbortMultipartUpload": "UPLOAD",
    "CompleteMultipartUpload": "UPLOAD",
    "CopyObject": "OBJECT",
    "CreateBucket": "BUCKET",
    "CreateMultipartUpload": "UPLOADS",
    "DeleteBucket": "BUCKET",
    "DeleteObject": "OBJECT",
    "DeleteObjects": "MULTI_OBJECT_DELETE",
    "GetObject": "OBJECT",
    "HeadBucket": "BUCKET",
    "HeadObject": "OBJECT",
    "ListMultipartUploads": "UPLOADS",
    "ListObjectVersions": "BUCKETVERSIONS",
    "ListObjects": "BUCKET",
    "ListObjectsV2": "BUCKET",
    "ListParts": "UPLOAD",
    "PutObject": "OBJECT",
    "RestoreObject": "OBJECT",
    "UploadPart": "PART",
    "UploadPartCopy": "PART",
}
# Parameters of a query whose resource is called otherwise.
_SUBRESOURCES = {
    "logging": "LOGGING_STATUS",
    "policy": "BUCKETPOLICY",
    "requestPayment": "REQUEST_PAYMENT",
    "publicAccessBlock": "PUBLIC_ACCESS_BLOCK",
    "ownershipControls": "OWNERSHIP_CONTROLS",
    "object-lock": "OBJECT_LOCK_CONFIGURATION",
    "legal-hold": "LEGAL_HOLD",
    "policyStatus": "POLICY_STATUS",
    "intelligent-tiering": "INTELLIGENT_TIERING",
}
_GRANTS = {"FULL_CONTROL": "GrantFullControl", "READ": "GrantRead"}


class Line(NamedTuple):
    # Seconds since the epoch.
    when: float
    text: str


class AccessLogs:
    """`cloud.part(AccessLogs)`: the lines that are still to be delivered, by bucket."""

    def __init__(self) -> None:
        self.lines: dict[str, list[Line]] = defaultdict(list)
        self.count = 0

    def take(self) -> dict[str, list[Line]]:
        taken, self.lines, self.count = self.lines, defaultdict(list), 0
        return taken

    def add(self, bucket: str, lines: list[Line]) -> None:
        self.lines[bucket] += lines
        self.count += len(lines)


def watch(ctx: Context, bucket: Bucket, request: Mapping[str, Any]) -> None:
    """The call is about a bucket that has logs: when it has been answered, its line is noted."""
    if ctx.when_sent is None:
        ctx.when_sent = partial(_note, ctx, bucket, request.get("Key"), request.get("VersionId"))


def _note(ctx: Context, bucket: Bucket, key: str | None, version_id: str | None, sent: Sent) -> None:
    logs = ctx.cloud.part(AccessLogs)
    if logs.count < _LINES_MAX:
        logs.add(bucket.name, [Line(ctx.now, _line(ctx, bucket, key, version_id, sent))])
        if logs.count == _LINES_SOON:
            ctx.cloud.nudge(LOOP)


# ------------------------------------------------------------------------------------------------------------- lines


def _line(ctx: Context, bucket: Bucket, key: str | None, version_id: str | None, sent: Sent) -> str:
    http = ctx.http
    headers = {name.lower(): value for name, value in sent.headers}
    when = datetime.fromtimestamp(ctx.now, UTC)
    query = http.query
    target = f"{http.path}?{query}" if query else http.path
    signature, kind = _signature(http.headers, query)
    fields = (
        canonical_id(bucket.account),
        bucket.name,
        f"[{when:%d/%b/%Y:%H:%M:%S} +0000]",
        http.source_ip or "-",
        _requester(ctx.principal),
        ctx.request_id,
        f"REST.{http.method}.{_resource(ctx.operation, query)}",
        quote(key, safe="/") if key else "-",
        _quoted(f"{http.method} {target} HTTP/1.1"),
        str(sent.status),
        sent.error or "-",
        str(sent.body_bytes or "-"),
        _object_size(ctx.operation, http.headers, headers),
        str(sent.total_ms),
        str(sent.turn_around_ms),
        _quoted(http.headers.get("referer", "-")),
        _quoted(http.user_agent or "-"),
        headers.get("x-amz-version-id", version_id or "-"),
        headers.get("x-amz-id-2", "-"),
        signature,
        "-",
        kind,
        http.headers.get("host", "-"),
        "-",
        "-",
        "-",
    )
    return " ".join(fields)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', "%22") + '"'


def _requester(principal: Principal) -> str:
    if principal.kind == "root":
        return canonical_id(principal.account)
    return principal.arn or principal.service or "-"


def _resource(operation: str, query: str) -> str:
    """Source: the names in "Amazon S3 server access log format" and in the Guide's examples."""
    known = _RESOURCES.get(operation)
    if known is not None:
        return known
    name = query.split("&", 1)[0].partition("=")[0]
    if name == "tagging" and "Object" in operation:
        return "OBJECT_TAGGING"
    return _SUBRESOURCES.get(name, name.upper().replace("-", "_") or "BUCKET")


def _object_size(operation: str, asked: Mapping[str, str], answered: Mapping[str, str]) -> str:
    if operation in ("GetObject", "HeadObject"):
        ranged = answered.get("content-range", "").rpartition("/")[2]
        return ranged or answered.get("content-length", "-")
    if operation in ("PutObject", "UploadPart"):
        return asked.get("x-amz-decoded-content-length") or asked.get("content-length", "-")
    return "-"


def _signature(headers: Mapping[str, str], query: str) -> tuple[str, str]:
    """The signature's version, and where it stands."""
    if "authorization" in headers:
        return "SigV4", "AuthHeader"
    if "X-Amz-Signature=" in query:
        return "SigV4", "QueryString"
    if "Signature=" in query and "AWSAccessKeyId=" in query:
        return "SigV2", "QueryString"
    return "-", "-"


# -------------------------------------------------------------------------------------------------------- deliveries


async def deliver(cloud: Cloud) -> None:
    """The loop: write what has been noted to the buckets that are to have it."""
    logs = cloud.part(AccessLogs)
    for name, lines in logs.take().items():
        bucket = await cloud.store.read(partial(_load, name))
        if bucket is None or not bucket.logging:
            continue
        try:
            await _write(cloud, bucket, lines)
        except AWSError as error:
            # As at AWS nobody is told, but by the logs that are missing.
            log.warning("no access logs of %s are delivered to %s: %s", name, bucket.logging["TargetBucket"], error)
            if error.fault == "server" and logs.count < _LINES_MAX:
                logs.add(name, lines)


async def _load(name: str, tx: Reader) -> Bucket | None:
    data = await tx.get(keys.bucket(name))
    return None if data is None else decode_bucket(data)


async def _write(cloud: Cloud, bucket: Bucket, lines: list[Line]) -> None:
    settings = bucket.logging
    partitioned = (settings.get("TargetObjectKeyFormat") or {}).get("PartitionedPrefix")
    by_day: dict[str, list[str]] = defaultdict(list)
    now = datetime.fromtimestamp(cloud.clock.time(), UTC)
    for line in lines:
        # Only logs that are sorted by the time of the event are parted by its day.
        is_by_event = partitioned is not None and partitioned.get("PartitionDateSource") == "EventTime"
        day = (
            f"{datetime.fromtimestamp(line.when, UTC):%Y-%m-%d}-00-00-00" if is_by_event else f"{now:%Y-%m-%d-%H-%M-%S}"
        )
        by_day[day].append(line.text)
    for time, texts in by_day.items():
        beginning = settings.get("TargetPrefix") or ""
        if partitioned is not None:
            day = time[:10].replace("-", "/")
            beginning += f"{bucket.account}/{bucket.region}/{bucket.name}/{day}/"
        request: dict[str, Any] = {
            "Bucket": settings["TargetBucket"],
            "Key": f"{beginning}{time}-{cloud.ids.string(16, _HEX)}",
            "Body": ("\n".join(texts) + "\n").encode(),
            "ContentType": "text/plain",
            **_granted(settings.get("TargetGrants") or ()),
        }
        principal = service_principal("logging.s3", account=bucket.account, source_arn=bucket.arn)
        await cloud.call(principal, "s3", "PutObject", request, region=bucket.region)


def _granted(grants: Any) -> dict[str, str]:
    """The target grants, as PutObject takes them; to write is nothing that an object can grant."""
    found: dict[str, list[str]] = defaultdict(list)
    for grant in grants:
        grantee = grant["Grantee"]
        who = f'id="{grantee["ID"]}"' if grantee.get("ID") else f'uri="{grantee.get("URI", "")}"'
        if grant["Permission"] in _GRANTS:
            found[_GRANTS[grant["Permission"]]].append(who)
    return {member: ", ".join(given) for member, given in found.items()}
