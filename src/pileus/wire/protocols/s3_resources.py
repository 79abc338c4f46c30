"""Which resource of S3's a request is about, and whether it may be asked for that: `?acl`, `?uploads`, `?policy` ...

A query that names a part of a bucket or object is about that part alone: where the part does not take the method, the
bucket or object itself must not be taken instead (`DELETE /bucket?versioning` deletes no bucket).

Sources: the request syntax of the actions in the Amazon S3 API Reference; AWS's answers as reported against its own
tools; the names of resources as in "Amazon S3 server access log format".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from pileus.kernel.errors import AWSError
from pileus.model import Operation

# The parameter of the query: the resource's name.
_PARTS = {
    "abac": "ABAC",
    "accelerate": "ACCELERATE",
    "acl": "ACL",
    "analytics": "ANALYTICS",
    "attributes": "OBJECT_ATTRIBUTES",
    "cors": "CORS",
    "delete": "MULTI_OBJECT_DELETE",
    "encryption": "ENCRYPTION",
    "intelligent-tiering": "INTELLIGENT_TIERING",
    "inventory": "INVENTORY",
    "legal-hold": "OBJECT_LOCK_LEGALHOLD",
    "lifecycle": "LIFECYCLE",
    "location": "LOCATION",
    "logging": "LOGGING_STATUS",
    "metrics": "METRICS",
    "notification": "NOTIFICATION",
    "object-lock": "OBJECT_LOCK_CONFIGURATION",
    "ownershipControls": "OWNERSHIP_CONTROLS",
    "policy": "BUCKETPOLICY",
    "policyStatus": "POLICY_STATUS",
    "publicAccessBlock": "PUBLIC_ACCESS_BLOCK",
    "replication": "REPLICATION",
    "requestPayment": "REQUEST_PAYMENT",
    "restore": "RESTORE",
    "retention": "OBJECT_LOCK_RETENTION",
    "select": "SELECT",
    "tagging": "TAGGING",
    "torrent": "TORRENT",
    "uploadId": "UPLOAD",
    "uploads": "UPLOADS",
    "versioning": "VERSIONING",
    "versions": "BUCKETVERSIONS",
    "website": "WEBSITE",
}
METHODS = ("DELETE", "POST", "PUT", "GET", "HEAD")


def of(operation: Operation) -> frozenset[str]:
    """The parts that an operation is about."""
    found: frozenset[str] | None = operation.codecs.get("s3 parts")
    if found is None:
        names = [literal.partition("=")[0] for literal in operation.uri.partition("?")[2].split("&")]
        if operation.input is not None:
            required = [operation.input.members[name] for name in operation.input.required]
            names += [one.location_name or "" for one in required if one.location == "querystring"]
        found = operation.codecs["s3 parts"] = frozenset(named(names))
    return found


def named(parameters: Iterable[str]) -> list[str]:
    """The parts that a query names."""
    return [name for name in parameters if name in _PARTS]


def not_allowed(method: str, resource: str, allowed: Collection[str]) -> AWSError:
    """`allowed`: the methods that the resource takes."""
    return AWSError(
        "MethodNotAllowed",
        "The specified method is not allowed against this resource.",
        status=405,
        headers={"Allow": ", ".join(one for one in METHODS if one in allowed)} if allowed else {},
        Method=method,
        ResourceType=resource,
    )


def check(method: str, parameters: Mapping[str, str], parts: list[str], meant: Collection[str]) -> str | None:
    """The part that a request must not be made of, if there is one; `meant`: those that its operation is about.

    Raises InvalidArgument where the query contradicts itself.
    """
    if len(parts) > 1:
        raise AWSError(
            "InvalidArgument",
            f"Conflicting query string parameters: {', '.join(sorted(parts))}",
            status=400,
            ArgumentName="ResourceType",
            ArgumentValue=parts[0],
        )
    if method == "PUT" and "partNumber" in parameters and "uploadId" not in parameters:
        raise AWSError(
            "InvalidArgument",
            "This operation does not accept partNumber without uploadId",
            status=400,
            ArgumentName="partNumber",
            ArgumentValue="partNumber",
        )
    # What HEAD asks for is told of the whole.
    return parts[0] if parts and method != "HEAD" and parts[0] not in meant else None


def resource(path: str, part: str | None) -> str:
    """The name of what a path and a part of it are about."""
    bucket, _, key = path.removeprefix("/").partition("/")
    if part == "tagging" and key:
        return "OBJECT_TAGGING"
    return _PARTS[part] if part else "OBJECT" if key else "BUCKET" if bucket else "SERVICE"
