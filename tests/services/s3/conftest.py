"""What S3's tests share."""

from __future__ import annotations

import base64
import hashlib
import html
import http.client
import re
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from tests.services.s3.control_kit import control_of


@pytest.fixture
def s3(aws: Any) -> Any:
    return aws.client("s3")


@pytest.fixture
def bucket(s3: Any) -> str:
    name = new_name()
    s3.create_bucket(Bucket=name)
    return name


def new_name() -> str:
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture
def fails() -> Callable[..., dict[str, Any]]:
    """`fails(call, ...)`: the error's members, with its HTTP status as `status`."""

    def run(call: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
        with pytest.raises(ClientError) as caught:
            call(**arguments)
        response = caught.value.response
        error = {name: value for name, value in response["Error"].items() if name not in ("RequestId", "HostId")}
        return {"status": response["ResponseMetadata"]["HTTPStatusCode"], **error}

    return run


class _Auth(S3SigV4Auth):
    """Signs for the payload hash that the request names, if it names one."""

    def add_auth(self, request: AWSRequest) -> None:
        self._named = request.headers.get("x-amz-content-sha256")
        super().add_auth(request)

    def payload(self, request: AWSRequest) -> str:
        return self._named or super().payload(request)


class Raw:
    """Signed requests as they stand on the wire, for what boto3 would not send."""

    def __init__(self, aws: Any) -> None:
        self._aws = aws
        self._address = urlsplit(aws.endpoint).netloc

    def __call__(
        self,
        method: str,
        path: str,
        *,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        signed: bool = True,
    ) -> tuple[int, dict[str, str], bytes]:
        request = AWSRequest(method, f"http://{self._address}{path}", headers=headers or {}, data=body)
        if signed:
            credentials = Credentials(self._aws.account, "test")
            _Auth(credentials, "s3", self._aws.region).add_auth(request)
        connection = http.client.HTTPConnection(self._address, timeout=30)
        try:
            connection.request(method, path, body=body or None, headers=dict(request.headers.items()))
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()


@pytest.fixture
def raw(aws: Any) -> Raw:
    return Raw(aws)


@pytest.fixture
def refused(raw: Raw) -> Callable[..., tuple[Any, ...]]:
    """`refused("PUT", path, ...)`: (status, code) of a raw request, with the error's members of `names` behind them."""

    def run(method: str, path: str, *names: str, **options: Any) -> tuple[Any, ...]:
        status, _, body = raw(method, path, **options)
        found = dict(re.findall(r"<(\w+)>([^<]*)</", html.unescape(body.decode())))
        return (status, *(found.get(name) for name in ("Code", *names)))

    return run


@pytest.fixture
def md5() -> Callable[[bytes], dict[str, str]]:
    """The header that some bodies have to come with."""
    return lambda body: {"Content-MD5": base64.b64encode(hashlib.md5(body).digest()).decode()}


@pytest.fixture
def control(aws):
    """A client of S3's control plane."""
    return control_of(aws)


@pytest.fixture
def mine(aws):
    """The member that all of its calls have."""
    return {"AccountId": aws.account}
