"""What the tests of directory buckets share."""

from __future__ import annotations

import http.client
import uuid
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

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


class Signed:
    """Requests with a session's credentials, or any, as they stand on the wire."""

    def __init__(self, aws: Any) -> None:
        self._aws = aws
        self._address = urlsplit(aws.endpoint).netloc

    def __call__(
        self,
        method: str,
        path: str,
        credentials: dict[str, str] | None = None,
        *,
        host: str = "",
        body: bytes = b"",
        token: str = "x-amz-s3session-token",
        service: str = "s3express",
        region: str = "us-east-1",
    ) -> tuple[int, dict[str, str], str]:
        host = host or self._address
        keys_ = credentials or {"AccessKeyId": self._aws.account, "SecretAccessKey": "test"}
        headers = {token: keys_["SessionToken"]} if keys_.get("SessionToken") else {}
        request = AWSRequest(method, f"http://{host}{path}", headers=headers, data=body)
        request.headers["Host"] = host
        S3SigV4Auth(Credentials(keys_["AccessKeyId"], keys_["SecretAccessKey"]), service, region).add_auth(request)
        connection = http.client.HTTPConnection(self._address, timeout=30)
        try:
            connection.request(method, path, body=body or None, headers=dict(request.headers.items()))
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode()
        finally:
            connection.close()
