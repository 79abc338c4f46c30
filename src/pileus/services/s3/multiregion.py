"""Multi-Region access points as such: what is kept of one, which of its buckets a request goes to, what may be done
through it.

Sources: "Managing multi-Region traffic with Multi-Region Access Points" and its pages (naming rules, restrictions,
permissions, failover, supported API operations) in the Amazon S3 User Guide; "List of Amazon S3 asynchronous error
codes" in the API Reference.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from pileus.kernel.errors import AWSError
from pileus.services.s3 import errors

TARGET = "s3.multi-region"
ALIAS_END = ".mrap"
# Where multi-Region access points are managed, and where their routes are.
HOME_REGION = "us-west-2"
ROUTING_REGIONS = ("us-east-1", "us-west-2", "ap-southeast-2", "ap-northeast-1", "eu-west-1")
POINTS_MAX = 100
BUCKETS_MAX = 20
# How long the outcome of a request can be asked for.
REMEMBERED_S = 14 * 24 * 3600.0
ACTIVE, PASSIVE = 100, 0

# What can be done through one; all else is about one bucket.
_OPERATIONS = frozenset(
    (
        "AbortMultipartUpload",
        "CompleteMultipartUpload",
        "CopyObject",
        "CreateMultipartUpload",
        "DeleteObject",
        "DeleteObjectTagging",
        "DeleteObjects",
        "GetObject",
        "GetObjectAcl",
        "GetObjectAttributes",
        "GetObjectLegalHold",
        "GetObjectRetention",
        "GetObjectTagging",
        "HeadBucket",
        "HeadObject",
        "ListMultipartUploads",
        "ListObjectVersions",
        "ListObjects",
        "ListObjectsV2",
        "ListParts",
        "PutObject",
        "PutObjectAcl",
        "PutObjectLegalHold",
        "PutObjectRetention",
        "PutObjectTagging",
        "RestoreObject",
        "UploadPart",
        "UploadPartCopy",
    )
)

# Degrees of latitude and longitude, of the places that AWS names its regions after.
_PLACES = {
    "af-south-1": (-33.9, 18.4),
    "ap-east-1": (22.3, 114.2),
    "ap-east-2": (25.0, 121.6),
    "ap-northeast-1": (35.7, 139.7),
    "ap-northeast-2": (37.6, 127.0),
    "ap-northeast-3": (34.7, 135.5),
    "ap-south-1": (19.1, 72.9),
    "ap-south-2": (17.4, 78.5),
    "ap-southeast-1": (1.3, 103.8),
    "ap-southeast-2": (-33.9, 151.2),
    "ap-southeast-3": (-6.2, 106.8),
    "ap-southeast-4": (-37.8, 145.0),
    "ap-southeast-5": (3.1, 101.7),
    "ap-southeast-6": (-36.8, 174.8),
    "ap-southeast-7": (13.8, 100.5),
    "ca-central-1": (45.5, -73.6),
    "ca-west-1": (51.0, -114.1),
    "eu-central-1": (50.1, 8.7),
    "eu-central-2": (47.4, 8.5),
    "eu-north-1": (59.3, 18.1),
    "eu-south-1": (45.5, 9.2),
    "eu-south-2": (41.6, -0.9),
    "eu-west-1": (53.3, -6.3),
    "eu-west-2": (51.5, -0.1),
    "eu-west-3": (48.9, 2.4),
    "il-central-1": (32.1, 34.8),
    "me-central-1": (24.5, 54.4),
    "me-south-1": (26.1, 50.6),
    "mx-central-1": (20.6, -100.4),
    "sa-east-1": (-23.5, -46.6),
    "us-east-1": (38.9, -77.4),
    "us-east-2": (40.0, -83.0),
    "us-west-1": (37.4, -122.0),
    "us-west-2": (45.8, -119.7),
}


class Side(msgspec.Struct, kw_only=True, array_like=True):
    """One bucket of a multi-Region access point."""

    bucket: str
    account: str
    # "": not looked up yet.
    region: str = ""
    # Percent of the traffic that would come here: all of it or none.
    dial: int = ACTIVE


class MultiRegionPoint(msgspec.Struct, kw_only=True, tag=1):
    """A name under which buckets in several regions are reached, each request by the one of them that is nearest."""

    name: str
    account: str
    alias: str
    # Seconds since the epoch.
    created: float
    # CREATING, READY or DELETING.
    status: str
    public_access_block: dict[str, bool]
    sides: list[Side]
    # The id of the request that made it.
    made_by: str
    # The policies as they were put: the one that counts, and the one that is asked for.
    policy: str = ""
    proposed: str = ""

    @property
    def arn(self) -> str:
        return f"arn:aws:s3::{self.account}:accesspoint/{self.alias}"


class Asked(msgspec.Struct, kw_only=True, tag=1):
    """An asynchronous request to make, change or drop a multi-Region access point."""

    id: str
    account: str
    # "CreateMultiRegionAccessPoint" and so on.
    operation: str
    # Details, as they were sent.
    details: dict[str, Any]
    # Seconds since the epoch.
    created: float
    # INPROGRESS, SUCCEEDED or FAILED.
    status: str = "INPROGRESS"
    # Of the point's regions, once it is known which.
    regions: list[str] = []
    # Code and message of what was wrong.
    failure: tuple[str, str] | None = None
    request_id: str = ""
    client_token: str = ""

    @property
    def arn(self) -> str:
        return request_arn(self.account, self.operation, self.id)


decode_point = msgspec.msgpack.Decoder(MultiRegionPoint).decode
decode_asked = msgspec.msgpack.Decoder(Asked).decode

_KINDS = {
    "CreateMultiRegionAccessPoint": "create",
    "DeleteMultiRegionAccessPoint": "delete",
    "PutMultiRegionAccessPointPolicy": "put-policy",
}


def request_arn(account: str, operation: str, id: str) -> str:
    return f"arn:aws:s3:{HOME_REGION}:{account}:async-request/mrap/{_KINDS[operation]}/{id}"


def missing() -> AWSError:
    return AWSError(
        "NoSuchMultiRegionAccessPoint", "The specified Multi-Region Access Point does not exist.", status=404
    )


def check_region(region: str, regions: Sequence[str]) -> None:
    """Refuse what is asked for at the endpoint of a region that does not manage such points."""
    if region not in regions:
        raise AWSError(
            "PermanentRedirect",
            "The API you are attempting to access must be addressed using the specified endpoint. "
            "Please send all future requests to this endpoint.",
            status=301,
        )


def check_operation(operation: str) -> None:
    if operation not in _OPERATIONS:
        method = "DELETE" if operation.startswith("Delete") else "PUT" if operation.startswith("Put") else "GET"
        raise errors.method_not_allowed(method, resource_type="BUCKET")


def supports(region: str) -> bool:
    """Whether buckets of a region can be behind such a point: AWS's other partitions have none."""
    return region in _PLACES


def choose(point: MultiRegionPoint, region: str) -> Side:
    """The bucket that a request from a region goes to: the nearest of the active ones."""
    active = [side for side in point.sides if side.dial == ACTIVE]
    return min(active, key=lambda side: (_distance(region, side.region), side.region))


def _distance(one: str, other: str) -> float:
    """The angle between two regions on the globe, in radians; a place that is not known is far from all."""
    if one == other:
        return -1.0
    if one not in _PLACES or other not in _PLACES:
        return math.pi
    (north, east), (north_, east_) = (map(math.radians, _PLACES[name]) for name in (one, other))
    across = math.sin(north) * math.sin(north_) + math.cos(north) * math.cos(north_) * math.cos(east - east_)
    return math.acos(max(-1.0, min(1.0, across)))


def routed(point: MultiRegionPoint, updates: Sequence[dict[str, Any]]) -> list[Side]:
    """The point's buckets after a change of its routes. Raises where there are no such, or none would be active."""
    dials = {side.bucket: side.dial for side in point.sides}
    for update in updates:
        bucket, region, dial = update.get("Bucket"), update.get("Region"), update["TrafficDialPercentage"]
        if bucket is None and region is None:
            raise errors.invalid_request("Either the Bucket or the Region value must be provided.")
        if dial not in (ACTIVE, PASSIVE):
            raise errors.invalid_request("TrafficDialPercentage must be either 0 or 100.")
        fits = [side for side in point.sides if bucket in (None, side.bucket) and region in (None, side.region)]
        if not fits:
            raise errors.invalid_request(
                "The specified route does not exist in the Multi-Region Access Point's configuration."
            )
        dials |= {side.bucket: dial for side in fits}
    if ACTIVE not in dials.values():
        raise errors.invalid_request("At least one Region must be active at all times.")
    return [
        Side(bucket=side.bucket, account=side.account, region=side.region, dial=dials[side.bucket])
        for side in point.sides
    ]
