"""Buckets as such: names, regions, owners; finding the one that a request means.

Sources: "General purpose bucket naming rules", "Regions and endpoints", recorded answers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pileus.cloud.context import Context
from pileus.kernel.errors import AWSError
from pileus.services.s3 import access_logs, cors, errors, keys
from pileus.services.s3.accounts import canonical_id
from pileus.services.s3.records import PUBLIC_ACCESS, Bucket, decode_bucket, decode_public_access
from pileus.store.contract import Reader

DEFAULT_REGION = "us-east-1"
REGIONS = frozenset(
    (
        "af-south-1",
        "ap-east-1",
        "ap-east-2",
        "ap-northeast-1",
        "ap-northeast-2",
        "ap-northeast-3",
        "ap-south-1",
        "ap-south-2",
        "ap-southeast-1",
        "ap-southeast-2",
        "ap-southeast-3",
        "ap-southeast-4",
        "ap-southeast-5",
        "ap-southeast-6",
        "ap-southeast-7",
        "ca-central-1",
        "ca-west-1",
        "cn-north-1",
        "cn-northwest-1",
        "eu-central-1",
        "eu-central-2",
        "eu-north-1",
        "eu-south-1",
        "eu-south-2",
        "eu-west-1",
        "eu-west-2",
        "eu-west-3",
        "il-central-1",
        "me-central-1",
        "me-south-1",
        "mx-central-1",
        "sa-east-1",
        "us-east-1",
        "us-east-2",
        "us-gov-east-1",
        "us-gov-west-1",
        "us-west-1",
        "us-west-2",
    )
)

_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
_IP_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+", re.ASCII)
_ACCOUNT = re.compile(r"\d{12}", re.ASCII)
_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_NEIGHBOURS = ("..", ".-", "-.")
_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


def check_name(name: str) -> None:
    if (
        not _NAME.fullmatch(name)
        or any(one in name for one in _NEIGHBOURS)
        or _IP_ADDRESS.fullmatch(name)
        or name.startswith(_PREFIXES)
        or name.endswith(_SUFFIXES)
    ):
        raise errors.invalid_bucket_name(name)


def owner(bucket: Bucket) -> dict[str, str]:
    return {"ID": canonical_id(bucket.account)}


def choose_region(endpoint_region: str, location: str | None) -> str:
    """The region of a new bucket, from that of the endpoint and the location constraint."""
    if endpoint_region not in REGIONS:
        raise errors.authorization_region(endpoint_region, DEFAULT_REGION)
    if endpoint_region == DEFAULT_REGION:
        if location is None:
            return DEFAULT_REGION
        if location == "EU":
            return "eu-west-1"
        if location == DEFAULT_REGION or location not in REGIONS:
            raise errors.invalid_location(location)
        return location
    if location == "EU" and endpoint_region == "eu-west-1":
        return endpoint_region
    if location is not None and location not in REGIONS:
        raise errors.invalid_location(location)
    if location != endpoint_region:
        raise errors.illegal_location(location or "")
    return endpoint_region


async def load(tx: Reader, name: str) -> Bucket | None:
    data = await tx.get(keys.bucket(name))
    return decode_bucket(data) if data is not None else None


async def find(ctx: Context, tx: Reader, request: Mapping[str, Any]) -> Bucket:
    """The bucket that a request names: it exists, in this region, and is owned by whom the caller expects.

    Also adds the CORS headers of its answer, if its origin is one that the bucket allows.
    """
    bucket = await load(tx, request["Bucket"])
    if bucket is None:
        raise errors.no_such_bucket(request["Bucket"])
    access_logs.watch(ctx, bucket, request)
    check_region(ctx, bucket)
    check_owner(request.get("ExpectedBucketOwner"), bucket)
    if bucket.cors and (origin := ctx.http.headers.get("origin")):
        rule = cors.find_rule(bucket.cors, origin, ctx.http.method, ())
        if rule is not None:
            ctx.response_headers.update(cors.response_headers(rule, origin))
    return bucket


async def public_access(tx: Reader, bucket: Bucket) -> dict[str, bool]:
    """The public access block that counts: of the bucket and of its account, whichever is stricter."""
    own = bucket.public_access_block or {}
    data = await tx.get(keys.public_access(bucket.account))
    account = decode_public_access(data) if data is not None else {}
    return {name: bool(own.get(name) or account.get(name)) for name in PUBLIC_ACCESS}


async def find_source(tx: Reader, name: str, expected_owner: str | None) -> Bucket:
    """The bucket that a copy reads from; any region."""
    bucket = await load(tx, name)
    if bucket is None:
        raise errors.no_such_bucket(name)
    check_owner(expected_owner, bucket)
    return bucket


def check_region(ctx: Context, bucket: Bucket) -> None:
    """A signed request must be made in the bucket's own region."""
    if ctx.region != bucket.region and ctx.principal.kind not in ("anonymous", "service"):
        if bucket.is_directory or ctx.region not in REGIONS:
            # A directory bucket's endpoint is of its region alone, and knows of no other; clients that sign for a
            # region of their own invention learn from this which it is.
            raise errors.authorization_region(ctx.region, bucket.region)
        raise errors.permanent_redirect(bucket.name, bucket.region)


def check_payer(ctx: Context, bucket: Bucket, request: Mapping[str, Any]) -> None:
    """Where requesters pay, strangers must say that they will, and nobody comes unnamed."""
    if bucket.payer != "Requester" or ctx.principal.account == bucket.account or ctx.principal.kind == "service":
        return
    if ctx.principal.kind == "anonymous" or request.get("RequestPayer") != "requester":
        raise errors.access_denied()
    ctx.response_headers["x-amz-request-charged"] = "requester"


def check_owner(expected: str | None, bucket: Bucket) -> None:
    """`x-amz-expected-bucket-owner` and its like."""
    if expected is None:
        return
    if not _ACCOUNT.fullmatch(expected):
        raise AWSError(
            "InvalidBucketOwnerAWSAccountID",
            f"The value of the expected bucket owner parameter must be an AWS Account ID... [{expected}]",
            status=400,
        )
    if expected != bucket.account:
        raise errors.access_denied()
