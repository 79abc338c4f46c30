"""What the tests of directory buckets share."""

from __future__ import annotations

import uuid
from typing import Any

ZONE = "use1-az4"


def new_directory(zone: str = ZONE) -> str:
    return f"dir-{uuid.uuid4().hex[:20]}--{zone}--x-s3"


def configuration(zone: str = ZONE, **more: Any) -> dict[str, Any]:
    return {
        "Location": {"Type": "AvailabilityZone", "Name": zone},
        "Bucket": {"Type": "Directory", "DataRedundancy": "SingleAvailabilityZone"},
        **more,
    }


def make(s3: Any, name: str = "", **more: Any) -> str:
    name = name or new_directory()
    s3.create_bucket(Bucket=name, CreateBucketConfiguration=configuration(**more))
    return name


def keys(s3: Any, bucket: str, **more: Any) -> list[str]:
    """All keys of a bucket, in their order."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, **more)
    return sorted(one["Key"] for page in pages for one in page.get("Contents", ()))
