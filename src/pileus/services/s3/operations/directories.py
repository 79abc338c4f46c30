"""Making and listing directory buckets, and sessions with them.

Sources: the pages of CreateBucket, ListDirectoryBuckets and CreateSession in the Amazon S3 API Reference.
"""

from __future__ import annotations

from typing import Any

from pileus.access.sessions import Sessions, issue_session
from pileus.cloud.context import Context
from pileus.kernel.errors import AWSError, NotBuilt
from pileus.kernel.principal import BucketSession
from pileus.services.s3 import abac, buckets, directories, encryption, errors, keys, listing
from pileus.services.s3.metadata import BUCKET_TAGS_MAX, tag_set
from pileus.services.s3.records import Bucket, decode_bucket, encode
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

SESSION_S = 300.0
_LIST_MAX = 1000
_REDUNDANCY = {"AvailabilityZone": "SingleAvailabilityZone", "LocalZone": "SingleLocalZone"}


async def create_bucket(ctx: Context, tx: Transaction, request: dict[str, Any]) -> dict[str, Any]:
    """CreateBucket, where it is about a directory bucket."""
    name, configuration = request["Bucket"], request.get("CreateBucketConfiguration") or {}
    location, kind = configuration.get("Location"), configuration.get("Bucket")
    if location is None or kind is None or configuration.get("LocationConstraint") is not None:
        raise errors.malformed_xml()
    zone = directories.zone_of(name)
    if not zone or location.get("Name") != zone:
        raise errors.invalid_bucket_name(name)
    type_ = directories.location_type(zone)
    if location.get("Type") != type_ or kind.get("Type") != "Directory":
        raise errors.malformed_xml()
    if kind.get("DataRedundancy") != _REDUNDANCY[type_]:
        raise errors.malformed_xml()
    if not directories.is_in(zone, ctx.region):
        raise errors.invalid_location(zone)
    existing = await buckets.load(tx, name)
    if existing is not None:
        mine = existing.account == ctx.account
        raise errors.bucket_already_owned(name) if mine else errors.bucket_already_exists(name)
    bucket = Bucket(
        name=name,
        account=ctx.account,
        region=ctx.region,
        created=ctx.now,
        tags=tag_set(configuration.get("Tags") or (), BUCKET_TAGS_MAX, "Bucket"),
    )
    tx.put(keys.bucket(name), encode(bucket))
    tx.put(keys.owned(ctx.account, name), b"")
    return {
        "Location": f"https://{name}.s3express-{zone}.{ctx.region}.amazonaws.com/",
        "BucketArn": bucket.arn,
    }


async def list_directory_buckets(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    """The caller's directory buckets in this region."""
    most = request.get("MaxDirectoryBuckets")
    if most is not None and not 0 <= most <= _LIST_MAX:
        raise errors.invalid_argument(
            "Argument max-directory-buckets must be an integer between 0 and 1000", "max-directory-buckets", str(most)
        )
    most = _LIST_MAX if most is None else most
    start, end = keys.owned_range(ctx.account)
    if given := request.get("ContinuationToken"):
        start = max(start, after(keys.owned(ctx.account, listing.from_token(given).decode("utf-8", "replace"))))
    found: list[Bucket] = []
    while most and len(found) <= most:
        batch = await tx.scan(start, end, limit=_LIST_MAX)
        names = [name for key, _ in batch if directories.is_one(name := keys.owned_name(key))]
        values = await tx.get_many([keys.bucket(name) for name in names])
        loaded = [decode_bucket(value) for value in values if value is not None]
        found += [bucket for bucket in loaded if bucket.region == ctx.region]
        if len(batch) < _LIST_MAX:
            break
        start = after(batch[-1][0])
    answer: dict[str, Any] = {
        "Buckets": [
            {"Name": bucket.name, "CreationDate": float(int(bucket.created)), "BucketArn": bucket.arn}
            for bucket in found[:most]
        ]
    }
    if len(found) > most > 0:
        answer["ContinuationToken"] = listing.token(found[most - 1].name.encode())
    return answer


async def create_session(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    """Credentials for one directory bucket, for five minutes.

    Without a mode it is the one that may do the most of those that the caller may have.
    """
    if not directories.is_one(request["Bucket"]):
        raise errors.method_not_allowed("GET", resource_type="BUCKET")
    asked = request.get("SessionMode")
    if asked not in (None, "ReadOnly", "ReadWrite"):
        raise errors.invalid_argument("Invalid session mode", "x-amz-create-session-mode", asked)
    if ctx.principal.kind == "anonymous":
        raise errors.access_denied()
    _check_encryption(request)
    bucket = await buckets.load(tx, request["Bucket"])
    if bucket is None and _may_be_made(ctx):
        session = BucketSession(request["Bucket"], 0.0, asked or "ReadWrite", asked is None)
    else:
        bucket = await buckets.find(ctx, tx, request)
        encryption.check_bucket(bucket, request, "CreateSession")
        mode = await _allowed(ctx, tx, bucket, request)
        session = BucketSession(
            bucket.name, bucket.created, mode, asked is None, request.get("DataAccessPointArn") or ""
        )
    issued = issue_session(
        ctx.cloud.part(Sessions),
        ctx.cloud.ids,
        ctx.principal,
        now=ctx.now,
        duration_s=SESSION_S,
        bucket_session=session,
    )
    return {
        "ServerSideEncryption": encryption.AES256,
        "Credentials": {
            "AccessKeyId": issued.access_key_id,
            "SecretAccessKey": issued.secret_access_key,
            "SessionToken": issued.session_token,
            "Expiration": issued.expiration,
        },
    }


def _may_be_made(ctx: Context) -> bool:
    """Whether the session may be one that an SDK opens to make the bucket; at a zonal endpoint it cannot be."""
    return ".s3express-" not in ctx.http.headers.get("host", "").lower()


async def _allowed(ctx: Context, tx: Reader, bucket: Bucket, request: dict[str, Any]) -> directories.Mode:
    """The mode that the caller gets: the one asked for, else the first that is allowed."""
    asked: directories.Mode | None = request.get("SessionMode")
    modes: tuple[directories.Mode, ...] = (asked,) if asked is not None else ("ReadWrite", "ReadOnly")
    more = directories.through(request)
    if (method := request.get("ServerSideEncryption")) is not None:
        more["s3express:x-amz-server-side-encryption"] = str(method)
    assert ctx.permit is not None
    refused: AWSError | None = None
    for mode in modes:
        needed = [directories.create_session(ctx, bucket.name, mode, **more)]
        try:
            await ctx.permit(ctx, tx, await abac.refine(ctx, tx, request, needed))
        except AWSError as error:
            refused = refused or error
        else:
            return mode
    assert refused is not None
    raise refused


def _check_encryption(request: dict[str, Any]) -> None:
    """A session's encryption is its bucket's."""
    given = request.get("ServerSideEncryption")
    if given not in (None, encryption.AES256, "aws:kms"):
        raise errors.invalid_argument(
            "The encryption method specified is not supported", "x-amz-server-side-encryption", given
        )
    if given == "aws:kms":
        if not request.get("SSEKMSKeyId"):
            raise errors.invalid_argument(
                "Server Side Encryption with AWS KMS managed key requires x-amz-server-side-encryption-aws-kms-key-id.",
                "x-amz-server-side-encryption-aws-kms-key-id",
            )
        raise NotBuilt("CreateSession with server-side encryption aws:kms")
