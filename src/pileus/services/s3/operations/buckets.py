"""Making, finding and deleting buckets."""

from __future__ import annotations

from typing import Any

from pileus.cloud.context import Context
from pileus.kernel.errors import AWSError, NotBuilt
from pileus.services.s3 import (
    access_logs,
    accesspoints,
    acls,
    buckets,
    directories,
    errors,
    keys,
    listing,
    uploading,
)
from pileus.services.s3.accounts import canonical_id
from pileus.services.s3.metadata import BUCKET_TAGS_MAX, tag_set
from pileus.services.s3.operations.directories import create_bucket as create_directory_bucket
from pileus.services.s3.records import Bucket, decode_bucket, encode
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after, range_onto

_LIST_MAX = 10_000
_BATCH = 1000


async def create_bucket(ctx: Context, tx: Transaction, request: dict[str, Any]) -> dict[str, Any]:
    name = request["Bucket"]
    configuration = request.get("CreateBucketConfiguration") or {}
    if directories.is_one(name):
        return await create_directory_bucket(ctx, tx, request)
    if configuration.get("Bucket") is not None or configuration.get("Location") is not None:
        # Names of other forms are none of directory buckets.
        raise errors.invalid_bucket_name(name)
    if request.get("BucketNamespace") not in (None, "global"):
        raise NotBuilt("CreateBucket in the account's regional namespace")
    buckets.check_name(name)
    location = configuration.get("LocationConstraint")
    region = buckets.choose_region(ctx.region, location)
    ownership = _ownership(request)
    me = canonical_id(ctx.account)
    grants = acls.of_headers(request, acls.BUCKET_CANNED, owner=me, bucket_owner=me) or ()
    if grants and ownership == acls.ENFORCED:
        raise acls.invalid_with_enforced()
    if acls.is_public(grants):
        # New buckets block public access.
        raise AWSError(
            "InvalidBucketAclWithBlockPublicAccessError",
            "Bucket cannot have public ACLs set with BlockPublicAccess enabled",
            status=400,
        )
    tags = tag_set(configuration.get("Tags") or (), BUCKET_TAGS_MAX, "Bucket")

    existing = await buckets.load(tx, name)
    if existing is None:
        bucket = Bucket(
            name=name,
            account=ctx.account,
            region=region,
            created=ctx.now,
            location=location or "",
            tags=tags,
            ownership=ownership,
            acl=acls.kept(grants, me),
            # Locks are those of versions.
            versioning="Enabled" if request.get("ObjectLockEnabledForBucket") else "",
            object_lock=bool(request.get("ObjectLockEnabledForBucket")),
        )
        tx.put(keys.bucket(name), encode(bucket))
        tx.put(keys.owned(ctx.account, name), b"")
    elif existing.account != ctx.account:
        raise errors.bucket_already_exists(name)
    elif not (region == existing.region == buckets.DEFAULT_REGION):
        # In us-east-1 alone, making a bucket that one owns already is a success without effect.
        raise errors.bucket_already_owned(name)
    shown = f"/{name}" if region == buckets.DEFAULT_REGION else f"http://{name}.s3.amazonaws.com/"
    return {"Location": shown, "BucketArn": f"arn:aws:s3:::{name}"}


def _ownership(request: dict[str, Any]) -> str:
    given = request.get("ObjectOwnership")
    if given is not None and given not in acls.OWNERSHIPS:
        raise errors.invalid_argument(f"Invalid x-amz-object-ownership header: {given}", "x-amz-object-ownership")
    return given or acls.ENFORCED


async def head_bucket(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    bucket = await buckets.find(ctx, tx, request)
    ctx.response_headers["Content-Type"] = "application/xml"
    answer = {"BucketArn": bucket.arn, "BucketRegion": bucket.region, "AccessPointAlias": accesspoints.VIA in request}
    if bucket.is_directory:
        zone = directories.zone_of(bucket.name)
        answer |= {"BucketLocationType": directories.location_type(zone), "BucketLocationName": zone}
    return answer


async def admit(ctx: Context, tx: Reader, request: dict[str, Any]) -> None:
    """Raise where there is no such bucket; asked before it is told what is wrong with a body."""
    if "Bucket" in request and ctx.operation != "CreateBucket":
        await buckets.find(ctx, tx, request)


async def get_bucket_location(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    """The one call that may be made in any region."""
    bucket = await buckets.find_source(tx, request["Bucket"], request.get("ExpectedBucketOwner"))
    access_logs.watch(ctx, bucket, request)
    if bucket.region == buckets.DEFAULT_REGION:
        return {}
    return {"LocationConstraint": bucket.location or bucket.region}


async def list_buckets(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    prefix: str = request.get("Prefix") or ""
    region = request.get("BucketRegion")
    most = request.get("MaxBuckets")
    if region is not None and region not in buckets.REGIONS:
        raise errors.invalid_argument(f"Argument value {region} is not a valid AWS Region", "bucket-region")
    if most is not None and not 1 <= most <= _LIST_MAX:
        raise errors.invalid_argument(
            "Argument max-buckets must be an integer between 1 and 10000", "max-buckets", str(most)
        )
    start, end = keys.owned_range(ctx.account)
    if given := request.get("ContinuationToken"):
        start = max(start, after(keys.owned(ctx.account, listing.from_token(given).decode("utf-8", "replace"))))
    found: list[Bucket] = []
    wanted = (most or _LIST_MAX) + 1
    while len(found) < wanted:
        batch = await tx.scan(start, end, limit=_BATCH)
        listed = [keys.owned_name(key) for key, _ in batch]
        names = [name for name in listed if name.startswith(prefix) and not directories.is_one(name)]
        values = await tx.get_many([keys.bucket(name) for name in names])
        found += [
            bucket
            for value in values
            if value is not None and ((bucket := decode_bucket(value)).region == region or region is None)
        ]
        if len(batch) < _BATCH:
            break
        start = after(batch[-1][0])
    answer: dict[str, Any] = {
        "Buckets": [
            {
                "Name": bucket.name,
                "CreationDate": float(int(bucket.created)),
                "BucketRegion": bucket.region,
                "BucketArn": bucket.arn,
            }
            for bucket in found[: wanted - 1]
        ],
        "Owner": {"ID": canonical_id(ctx.account)},
    }
    if request.get("Prefix") is not None:
        answer["Prefix"] = prefix
    if len(found) >= wanted:
        answer["ContinuationToken"] = listing.token(found[wanted - 2].name.encode())
    return answer


async def delete_bucket(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    bucket = await buckets.find(ctx, tx, request)
    for space in (keys.objects(bucket.name), keys.versions(bucket.name)):
        if await tx.scan(*range_onto(space), limit=1):
            raise errors.bucket_not_empty(bucket.name, versioned=bool(bucket.versioning))
    if bucket.is_directory and await tx.scan(*range_onto(keys.uploads(bucket.name)), limit=1):
        # Here uploads under way do keep their bucket.
        raise errors.bucket_not_empty(bucket.name, versioned=False)
    await _drop_uploads(ctx, tx, bucket.name)
    for span in keys.rename_tokens(bucket.name):
        tx.delete_range(*span)
    tx.delete(keys.bucket(bucket.name))
    tx.delete(keys.owned(bucket.account, bucket.name))
    tx.delete(keys.lifecycle(bucket.name))
    tx.delete(keys.inventory(bucket.name))


async def _drop_uploads(ctx: Context, tx: Transaction, bucket: str) -> None:
    """Uploads under way do not keep a bucket; they end with it."""
    while batch := await tx.scan(*range_onto(keys.uploads(bucket)), limit=_BATCH):
        for key, _ in batch:
            await uploading.drop(ctx.cloud, tx, bucket, keys.upload_key(key), keys.last_name(key))
