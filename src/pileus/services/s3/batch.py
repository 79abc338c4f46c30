"""Batch jobs as such: what is kept of one, what a manifest says, and which call each task is.

Sources: "Performing object operations in bulk with Batch Operations", "Specifying a manifest", "Tracking job status and
completion reports" in the Amazon S3 User Guide.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from pileus.kernel.errors import AWSError, NotBuilt
from pileus.services.s3.listing import url_encoded

TARGET = "s3.batch"
CSV_FORMAT = "S3BatchOperations_CSV_20180820"
INVENTORY_FORMAT = "S3InventoryReport_CSV_20161130"
REPLICATE = "S3ReplicateObject"
INVOKE = "LambdaInvoke"
REPORT_FORMAT = "Report_CSV_20180820"
REPORT_SCHEMA = "Bucket, Key, VersionId, TaskStatus, ErrorCode, HTTPStatusCode, ResultMessage"
_FIELDS = (["Bucket", "Key"], ["Bucket", "Key", "VersionId"])
# Once more than half of at least this many tasks have failed, the job does.
FAILED_TASKS_MIN = 1000
ENDED = ("Complete", "Failed", "Cancelled")
_COPY = {
    "CannedAccessControlList": "ACL",
    "MetadataDirective": "MetadataDirective",
    "ModifiedSinceConstraint": "CopySourceIfModifiedSince",
    "UnModifiedSinceConstraint": "CopySourceIfUnmodifiedSince",
    "RedirectLocation": "WebsiteRedirectLocation",
    "StorageClass": "StorageClass",
    "ObjectLockLegalHoldStatus": "ObjectLockLegalHoldStatus",
    "ObjectLockMode": "ObjectLockMode",
    "ObjectLockRetainUntilDate": "ObjectLockRetainUntilDate",
    "ChecksumAlgorithm": "ChecksumAlgorithm",
}
_METADATA = {
    "CacheControl": "CacheControl",
    "ContentDisposition": "ContentDisposition",
    "ContentEncoding": "ContentEncoding",
    "ContentLanguage": "ContentLanguage",
    "ContentType": "ContentType",
    "HttpExpiresDate": "Expires",
    "UserMetadata": "Metadata",
}


class Job(msgspec.Struct, kw_only=True, tag=1):
    """A batch job; `request` is CreateJob's, without what names its account and token."""

    id: str
    account: str
    region: str
    # Seconds since the epoch.
    created: float
    request: dict[str, Any]
    status: str
    priority: int
    tags: list[dict[str, str]] = []
    reason: str = ""
    # (code, reason) of a job that has failed.
    failure: tuple[str, str] | None = None
    total: int = 0
    succeeded: int = 0
    failed: int = 0
    begun: float = 0.0
    ended: float = 0.0

    @property
    def arn(self) -> str:
        return f"arn:aws:s3:{self.region}:{self.account}:job/{self.id}"

    @property
    def done(self) -> int:
        return self.succeeded + self.failed


class Task(NamedTuple):
    bucket: str
    key: str
    version_id: str


class Result(NamedTuple):
    """What became of a task; `code` and `status` are the error's, or "" and 200."""

    task: Task
    code: str = ""
    status: int = 200
    message: str = "Successful"


decode_job = msgspec.msgpack.Decoder(Job).decode
decode_tasks = msgspec.msgpack.Decoder(list[Task]).decode
decode_results = msgspec.msgpack.Decoder(list[Result]).decode


def invalid(message: str) -> AWSError:
    return AWSError("InvalidRequest", message, status=400)


def check(request: Mapping[str, Any]) -> None:
    """Refuses what a job cannot be."""
    if ("Manifest" in request) == ("ManifestGenerator" in request):
        raise invalid("Exactly one of Manifest and ManifestGenerator must be specified")
    operation = request["Operation"]
    if len(operation) != 1:
        raise invalid("Exactly one operation must be specified")
    ((name, members),) = operation.items()
    if name not in _CALLS and name not in (INVOKE, REPLICATE):
        raise NotBuilt(f"CreateJob with the operation {name}")
    if "Manifest" in request:
        _check_manifest(request["Manifest"]["Spec"])
    else:
        _check_generator(request["ManifestGenerator"].get("S3JobManifestGenerator"), name)
    if name == "S3PutObjectCopy":
        _check_copy(members)
    report = request["Report"]
    if report["Enabled"] and not (report.get("Bucket") and report.get("Format") and report.get("ReportScope")):
        raise invalid("Bucket, Format and ReportScope are required if the report is enabled")


def _check_manifest(spec: Mapping[str, Any]) -> None:
    if spec["Format"] == CSV_FORMAT:
        if spec.get("Fields") not in _FIELDS:
            raise invalid("Manifest fields must be Bucket, Key or Bucket, Key, VersionId")
    elif spec["Format"] != INVENTORY_FORMAT:
        raise NotBuilt(f"CreateJob with a manifest of format {spec['Format']}")


def _check_generator(asked: Mapping[str, Any] | None, operation: str) -> None:
    if asked is None:
        raise invalid("Missing required field: S3JobManifestGenerator")
    if operation != REPLICATE:
        raise NotBuilt(f"CreateJob with a generated manifest for {operation}")
    if asked["EnableManifestOutput"]:
        raise NotBuilt("CreateJob with a generated manifest that is written to a bucket")
    if "MatchAnyObjectEncryption" in (asked.get("Filter") or {}):
        raise NotBuilt("CreateJob with a generated manifest by encryption")


def _check_copy(members: Mapping[str, Any]) -> None:
    taken = {*_COPY, "TargetResource", "TargetKeyPrefix", "NewObjectMetadata", "NewObjectTagging", "BucketKeyEnabled"}
    for member in members:
        if member not in taken:
            raise NotBuilt(f"CreateJob copying with {member}")
    for member in members.get("NewObjectMetadata") or {}:
        if member not in _METADATA:
            raise NotBuilt(f"CreateJob copying with new metadata's {member}")
    if "TargetResource" not in members:
        raise invalid("TargetResource is required")


def report(results: Iterable[Result]) -> str:
    """Rows of a completion report."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for (bucket, key, version_id), code, status, message in results:
        outcome = "failed" if code else "succeeded"
        writer.writerow([bucket, url_encoded(key), version_id, outcome, code, status, message])
    return text.getvalue()


# ------------------------------------------------------------------------------------------------------- functions


def event(job: Job, asked: Mapping[str, Any], task: Task, invocation_id: str) -> dict[str, Any]:
    """What a function is handed of a task, in the version that the job asks for."""
    version = asked.get("InvocationSchemaVersion") or "1.0"
    shown: dict[str, Any] = {"taskId": invocation_id[:16], "s3Key": url_encoded(task.key)}
    shown["s3VersionId"] = task.version_id or None
    about: dict[str, Any] = {"id": job.id}
    if version == "2.0":
        shown["s3Bucket"] = task.bucket
        about["userArguments"] = asked.get("UserArguments") or {}
    else:
        shown["s3BucketArn"] = f"arn:aws:s3:::{task.bucket}"
    return {"invocationSchemaVersion": version, "invocationId": invocation_id, "job": about, "tasks": [shown]}


def answered(task: Task, event: Mapping[str, Any], payload: bytes) -> Result:
    """What a function says became of its task; where it says nothing, `treatMissingKeysAs` counts."""
    try:
        answer = msgspec.json.decode(payload, type=dict[str, Any])
        found = {one["taskId"]: one for one in answer.get("results") or ()}
        said = found.get(event["tasks"][0]["taskId"], {})
        code = said.get("resultCode") or answer.get("treatMissingKeysAs") or "PermanentFailure"
        text = str(said.get("resultString") or "")
    except (msgspec.MsgspecError, TypeError, KeyError, AttributeError):
        return Result(task, "InvalidResponse", 200, "Lambda returned an invalid response")
    return Result(task, "" if code == "Succeeded" else str(code), 200, text)


# ----------------------------------------------------------------------------------------------------------- calls


def call(operation: Mapping[str, Any], task: Task) -> tuple[str, dict[str, Any]]:
    """(operation of S3, its request) of a task."""
    ((name, members),) = operation.items()
    at: dict[str, Any] = {"Bucket": task.bucket, "Key": task.key}
    if task.version_id:
        at["VersionId"] = task.version_id
    called, more = _CALLS[name](members or {}, task)
    if called == "CopyObject":
        return called, more
    return called, {**at, **more}


def _put_tagging(members: Mapping[str, Any], task: Task) -> tuple[str, dict[str, Any]]:
    return "PutObjectTagging", {"Tagging": {"TagSet": members.get("TagSet") or []}}


def _delete_tagging(members: Mapping[str, Any], task: Task) -> tuple[str, dict[str, Any]]:
    return "DeleteObjectTagging", {}


def _put_acl(members: Mapping[str, Any], task: Task) -> tuple[str, dict[str, Any]]:
    policy = members.get("AccessControlPolicy") or {}
    if (canned := policy.get("CannedAccessControlList")) is not None:
        return "PutObjectAcl", {"ACL": canned}
    given = policy.get("AccessControlList") or {}
    types = {
        "id": ("CanonicalUser", "ID"),
        "uri": ("Group", "URI"),
        "emailAddress": ("AmazonCustomerByEmail", "EmailAddress"),
    }
    grants = []
    for grant in given.get("Grants") or ():
        grantee = grant.get("Grantee") or {}
        type_, member = types.get(grantee.get("TypeIdentifier", ""), ("CanonicalUser", "ID"))
        shown = {"Type": type_, member: grantee.get("Identifier", "")}
        grants.append({"Grantee": shown, "Permission": grant.get("Permission", "")})
    return "PutObjectAcl", {"AccessControlPolicy": {"Owner": given.get("Owner") or {}, "Grants": grants}}


def _put_legal_hold(members: Mapping[str, Any], task: Task) -> tuple[str, dict[str, Any]]:
    return "PutObjectLegalHold", {"LegalHold": members["LegalHold"]}


def _put_retention(members: Mapping[str, Any], task: Task) -> tuple[str, dict[str, Any]]:
    bypass = {"BypassGovernanceRetention": True} if members.get("BypassGovernanceRetention") else {}
    return "PutObjectRetention", {"Retention": members["Retention"], **bypass}


def _restore(members: Mapping[str, Any], task: Task) -> tuple[str, dict[str, Any]]:
    tier = str(members.get("GlacierJobTier") or "BULK").capitalize()
    asked: dict[str, Any] = {"GlacierJobParameters": {"Tier": tier}}
    if members.get("ExpirationInDays") is not None:
        asked["Days"] = members["ExpirationInDays"]
    return "RestoreObject", {"RestoreRequest": asked}


def _copy(members: Mapping[str, Any], task: Task) -> tuple[str, dict[str, Any]]:
    prefix = members.get("TargetKeyPrefix")
    version = f"?versionId={task.version_id}" if task.version_id else ""
    request: dict[str, Any] = {
        "Bucket": members["TargetResource"].rpartition(":")[2],
        "Key": f"{prefix}/{task.key}" if prefix else task.key,
        "CopySource": f"{task.bucket}/{quote(task.key)}{version}",
    }
    request |= {theirs: members[ours] for ours, theirs in _COPY.items() if members.get(ours) is not None}
    new = members.get("NewObjectMetadata")
    if new is not None:
        request["MetadataDirective"] = "REPLACE"
        request |= {theirs: new[ours] for ours, theirs in _METADATA.items() if new.get(ours) is not None}
    tags = members.get("NewObjectTagging")
    if tags:
        request["TaggingDirective"] = "REPLACE"
        request["Tagging"] = "&".join(f"{url_encoded(tag['Key'])}={url_encoded(tag['Value'])}" for tag in tags)
    return "CopyObject", request


_CALLS = {
    "S3PutObjectTagging": _put_tagging,
    "S3DeleteObjectTagging": _delete_tagging,
    "S3PutObjectAcl": _put_acl,
    "S3PutObjectLegalHold": _put_legal_hold,
    "S3PutObjectRetention": _put_retention,
    "S3InitiateRestoreObject": _restore,
    "S3PutObjectCopy": _copy,
}
