"""A cluster over HTTP: DynamoDB's own protocol, answered through the cluster's caches.

For clients that know DynamoDB and not DAX, as plain boto3 with `endpoint_url`: `http://{cluster}.dax-clusters.{region}.
localhost:4566`, or the path `/_aws/dax-clusters/{cluster}` where such names do not resolve.
"""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Any

import orjson

from pileus.cloud.context import Cloud
from pileus.cloud.hosted import HostedAnswer, HostedRequest
from pileus.kernel.errors import AWSError
from pileus.services.dax import certificates, errors
from pileus.services.dax.nodes import Nodes
from pileus.services.dax.proxy import OPERATIONS, Caller
from pileus.services.dax.session import BYTES_MAX

LABEL = "dax-clusters"
# Everybody may have it: it is what a cluster shows whoever connects.
CERTIFICATE_PATH = "/certificate.pem"

_TARGET = "DynamoDB_20120810."
_REGION = re.compile(r"Credential=[^/,\s]+/\d+/([a-z0-9-]+)/")


async def serve(cloud: Cloud, request: HostedRequest) -> HostedAnswer:
    if request.http.method == "GET" and request.path == CERTIFICATE_PATH:
        kept = await certificates.load(cloud)
        return HostedAnswer(200, [("Content-Type", "application/x-pem-file")], kept.certificate)
    headers = [("Content-Type", "application/x-amz-json-1.0")]
    try:
        return HostedAnswer(200, headers, await _answer(cloud, request))
    except AWSError as error:
        content = {
            "__type": f"com.amazonaws.dynamodb.v20120810#{error.code}",
            "message": error.message,
            **error.members,
        }
        status = error.status or (500 if error.fault == "server" else 400)
        return HostedAnswer(status, headers, orjson.dumps(content, default=_plain))


async def _answer(cloud: Cloud, request: HostedRequest) -> bytes:
    body = await request.access.body(BYTES_MAX)
    principal = await request.access.caller("dynamodb", body)
    if not principal.account:
        raise AWSError("MissingAuthenticationTokenException", "Missing Authentication Token")
    target = request.http.headers.get("x-amz-target", "")
    operation = target.removeprefix(_TARGET)
    if request.http.method != "POST" or not target.startswith(_TARGET) or operation not in OPERATIONS:
        raise AWSError("UnknownOperationException", "")
    signed = _REGION.search(request.http.headers.get("authorization", ""))
    region = request.region or (signed[1] if signed else cloud.settings.region)
    proxy = cloud.part(Nodes).proxy((principal.account, region, request.name))
    if proxy is None:
        raise errors.cluster_not_found()
    members = cloud.documents.read("dynamodb", operation, body)
    answer = await proxy.execute(Caller(principal, request.http.source_ip), operation, members)
    return orjson.dumps(cloud.documents.answer("dynamodb", operation, answer), default=_plain)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return b64encode(value).decode()
    raise TypeError(type(value).__name__)
