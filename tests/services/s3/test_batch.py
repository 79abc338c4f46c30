"""Batch jobs: what they do to the objects of a manifest, as whom, and what they report."""

from __future__ import annotations

import csv
import datetime
import gzip
import hashlib
import io
import json
import zipfile
from typing import Any
from urllib.parse import quote

import pytest
from tests.services.s3.replication_kit import allow_all, new_role, put_rules, rule, versioned
from tests.services.s3.test_accesspoints import client

from waiting import until

TRUST = {"Effect": "Allow", "Principal": {"Service": "batchoperations.s3.amazonaws.com"}, "Action": "sts:AssumeRole"}
KEYS = ("a b", "é/1", "c")


@pytest.fixture
def control(aws):
    return client(aws)


@pytest.fixture
def make(aws, control, s3, bucket):
    """Makes a job over the bucket's objects (and one that is not there); returns its id."""

    def run(operation: dict[str, Any], *, token: str = "t", role: str = "", **options: Any) -> str:
        for key in KEYS:
            s3.put_object(Bucket=bucket, Key=key, Body=b"x", Tagging="old=1")
        rows = [f"{bucket},a+b", f'"{bucket}",%C3%A9%2F1', f"{bucket},c", f"{bucket},gone"]
        etag = s3.put_object(Bucket=bucket, Key="manifest.csv", Body="\n".join(rows).encode())["ETag"]
        request = {
            "AccountId": aws.account,
            "ConfirmationRequired": False,
            "Operation": operation,
            "Report": {
                "Enabled": True,
                "Bucket": f"arn:aws:s3:::{bucket}",
                "Prefix": "reports",
                "Format": "Report_CSV_20180820",
                "ReportScope": "AllTasks",
            },
            "Priority": 10,
            "RoleArn": role or new_role(aws, trust=TRUST),
            "ClientRequestToken": token,
            **options,
        }
        if "ManifestGenerator" not in options and "Manifest" not in options:
            request["Manifest"] = {
                "Spec": {"Format": "S3BatchOperations_CSV_20180820", "Fields": ["Bucket", "Key"]},
                "Location": {"ObjectArn": f"arn:aws:s3:::{bucket}/manifest.csv", "ETag": etag},
            }
        job_id: str = control.create_job(**request)["JobId"]
        return job_id

    return run


@pytest.fixture
def ended(aws, control):
    def wait(job_id: str) -> dict[str, Any]:
        def job() -> dict[str, Any]:
            found: dict[str, Any] = control.describe_job(AccountId=aws.account, JobId=job_id)["Job"]
            return found

        until(lambda: job()["Status"] in ("Complete", "Failed", "Cancelled"))
        return job()

    return wait


def test_tags_are_put_and_reported(aws, control, s3, bucket, make, ended):
    tags = [{"Key": "new", "Value": "2"}]
    job_id = make({"S3PutObjectTagging": {"TagSet": tags}}, Description="tagging")
    job = ended(job_id)
    assert (job["Status"], job["Description"], job["Priority"]) == ("Complete", "tagging", 10)
    summary = job["ProgressSummary"]
    assert (summary["TotalNumberOfTasks"], summary["NumberOfTasksSucceeded"], summary["NumberOfTasksFailed"]) == (
        4,
        3,
        1,
    )
    for key in KEYS:
        assert s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"] == tags
    at = f"reports/job-{job_id}"
    manifest = json.loads(s3.get_object(Bucket=bucket, Key=f"{at}/manifest.json")["Body"].read())
    assert manifest["ReportSchema"] == "Bucket, Key, VersionId, TaskStatus, ErrorCode, HTTPStatusCode, ResultMessage"
    rows = {}
    for part in manifest["Results"]:
        text = s3.get_object(Bucket=bucket, Key=part["Key"])["Body"].read().decode()
        rows[part["TaskExecutionStatus"]] = list(csv.reader(io.StringIO(text)))
    assert [row[1] for row in rows["succeeded"]] == ["a+b", "%C3%A9/1", "c"]
    assert rows["failed"] == [[bucket, "gone", "", "failed", "NoSuchKey", "404", "The specified key does not exist."]]
    (listed,) = control.list_jobs(AccountId=aws.account)["Jobs"]
    assert (listed["JobId"], listed["Operation"], listed["Status"]) == (job_id, "S3PutObjectTagging", "Complete")


def test_copies(aws, s3, bucket, make, ended):
    operation = {
        "TargetResource": f"arn:aws:s3:::{bucket}",
        "TargetKeyPrefix": "copies",
        "StorageClass": "STANDARD_IA",
        "NewObjectMetadata": {"ContentType": "text/plain", "UserMetadata": {"m": "1"}},
        "NewObjectTagging": [{"Key": "t", "Value": "v w"}],
    }
    assert ended(make({"S3PutObjectCopy": operation}))["ProgressSummary"]["NumberOfTasksSucceeded"] == 3
    found = s3.head_object(Bucket=bucket, Key="copies/é/1")
    assert (found["StorageClass"], found["ContentType"], found["Metadata"]) == ("STANDARD_IA", "text/plain", {"m": "1"})
    assert s3.get_object_tagging(Bucket=bucket, Key="copies/c")["TagSet"] == [{"Key": "t", "Value": "v w"}]


def report_of(s3, bucket, job_id):
    """(key, code) of every task that was reported."""
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=f"reports/job-{job_id}/results/").get("Contents", [])
    texts = [s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read().decode() for one in listed]
    return sorted((row[1], row[4]) for text in texts for row in csv.reader(io.StringIO(text)))


DONE = [("%C3%A9/1", ""), ("a+b", ""), ("c", ""), ("gone", "NoSuchKey")]


def test_access_control_lists(aws, s3, bucket, make, ended):
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]})
    everyone = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
    owner = s3.get_bucket_acl(Bucket=bucket)["Owner"]["ID"]
    list_ = {
        "Owner": {"ID": owner},
        "Grants": [
            {"Grantee": {"TypeIdentifier": "id", "Identifier": owner}, "Permission": "FULL_CONTROL"},
            {"Grantee": {"TypeIdentifier": "uri", "Identifier": everyone}, "Permission": "READ"},
        ],
    }
    s3.delete_public_access_block(Bucket=bucket)
    job_id = make({"S3PutObjectAcl": {"AccessControlPolicy": {"AccessControlList": list_}}})
    assert ended(job_id)["Status"] == "Complete"
    assert report_of(s3, bucket, job_id) == DONE
    grants = s3.get_object_acl(Bucket=bucket, Key="a b")["Grants"]
    assert [(grant["Grantee"].get("URI"), grant["Permission"]) for grant in grants] == [
        (None, "FULL_CONTROL"),
        (everyone, "READ"),
    ]
    canned = {"AccessControlPolicy": {"CannedAccessControlList": "private"}}
    assert ended(make({"S3PutObjectAcl": canned}, token="u"))["Status"] == "Complete"
    assert len(s3.get_object_acl(Bucket=bucket, Key="a b")["Grants"]) == 1


def test_holds_and_retentions(aws, s3, bucket, make, ended):
    job_id = make({"S3PutObjectLegalHold": {"LegalHold": {"Status": "ON"}}})
    assert ended(job_id)["ProgressSummary"]["NumberOfTasksFailed"] == 4
    assert {code for _, code in report_of(s3, bucket, job_id)} == {"InvalidRequest"}
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration={"ObjectLockEnabled": "Enabled"})
    job_id = make({"S3PutObjectLegalHold": {"LegalHold": {"Status": "ON"}}}, token="u")
    assert ended(job_id)["Status"] == "Complete"
    assert report_of(s3, bucket, job_id) == DONE
    assert s3.get_object_legal_hold(Bucket=bucket, Key="é/1")["LegalHold"]["Status"] == "ON"
    until_ = datetime.datetime.now(datetime.UTC).replace(microsecond=0) + datetime.timedelta(days=2)
    retention = {"Mode": "GOVERNANCE", "RetainUntilDate": until_}
    ended(make({"S3PutObjectRetention": {"Retention": retention}}, token="v"))
    assert s3.get_object_retention(Bucket=bucket, Key="c")["Retention"] == retention
    # Shortened only where the job may bypass what governs.
    sooner = {"Retention": {**retention, "RetainUntilDate": until_ - datetime.timedelta(days=1)}}
    versions = {key: s3.head_object(Bucket=bucket, Key=key)["VersionId"] for key in KEYS}
    rows = "\n".join(f"{bucket},{quote(key)},{version}" for key, version in versions.items())
    etag = s3.put_object(Bucket=bucket, Key="versions.csv", Body=rows.encode())["ETag"]
    manifest = {
        "Spec": {"Format": "S3BatchOperations_CSV_20180820", "Fields": ["Bucket", "Key", "VersionId"]},
        "Location": {"ObjectArn": f"arn:aws:s3:::{bucket}/versions.csv", "ETag": etag},
    }
    job_id = make({"S3PutObjectRetention": sooner}, token="w", Manifest=manifest)
    assert ended(job_id)["ProgressSummary"]["NumberOfTasksFailed"] == 3
    assert {code for _, code in report_of(s3, bucket, job_id)} == {"AccessDenied"}
    bypassing = {"S3PutObjectRetention": {**sooner, "BypassGovernanceRetention": True}}
    ended(make(bypassing, token="x", Manifest=manifest))
    found = s3.get_object_retention(Bucket=bucket, Key="c", VersionId=versions["c"])["Retention"]
    assert found == sooner["Retention"]


def test_restores(aws, s3, bucket, make, ended):
    job_id = make({"S3InitiateRestoreObject": {"ExpirationInDays": 3, "GlacierJobTier": "BULK"}})
    ended(job_id)
    assert report_of(s3, bucket, job_id)[0] == ("%C3%A9/1", "InvalidObjectState")
    s3.put_object(Bucket=bucket, Key="cold", Body=b"x", StorageClass="GLACIER")
    etag = s3.put_object(Bucket=bucket, Key="one.csv", Body=f"{bucket},cold".encode())["ETag"]
    manifest = {
        "Spec": {"Format": "S3BatchOperations_CSV_20180820", "Fields": ["Bucket", "Key"]},
        "Location": {"ObjectArn": f"arn:aws:s3:::{bucket}/one.csv", "ETag": etag},
    }
    restore = {"S3InitiateRestoreObject": {"ExpirationInDays": 3, "GlacierJobTier": "STANDARD"}}
    assert ended(make(restore, token="u", Manifest=manifest))["ProgressSummary"]["NumberOfTasksSucceeded"] == 1
    assert "ongoing-request" in s3.head_object(Bucket=bucket, Key="cold")["Restore"]


def inventory_of(s3, bucket, rows, **changed):
    """A report of the bucket, put where S3 Inventory would put it; a manifest that names it."""
    packed = gzip.compress("\n".join(rows).encode())
    s3.put_object(Bucket=bucket, Key="inventory/data/1.csv.gz", Body=packed)
    report = {
        "sourceBucket": bucket,
        "destinationBucket": f"arn:aws:s3:::{bucket}",
        "version": "2016-11-30",
        "creationTimestamp": "1514944800000",
        "fileFormat": "CSV",
        "fileSchema": "Bucket, Key, Size",
        "files": [
            {"key": "inventory/data/1.csv.gz", "size": len(packed), "MD5checksum": hashlib.md5(packed).hexdigest()}
        ],
        **changed,
    }
    etag = s3.put_object(Bucket=bucket, Key="inventory/manifest.json", Body=json.dumps(report).encode())["ETag"]
    return {
        "Spec": {"Format": "S3InventoryReport_CSV_20161130"},
        "Location": {"ObjectArn": f"arn:aws:s3:::{bucket}/inventory/manifest.json", "ETag": etag},
    }


def test_an_inventory_for_a_manifest(aws, s3, bucket, make, ended):
    rows = [f'"{bucket}","{key}","1"' for key in ("a+b", "%C3%A9%2F1", "c", "gone")]
    job_id = make({"S3DeleteObjectTagging": {}}, Manifest=inventory_of(s3, bucket, rows))
    assert ended(job_id)["Status"] == "Complete"
    assert report_of(s3, bucket, job_id) == DONE
    assert s3.get_object_tagging(Bucket=bucket, Key="é/1")["TagSet"] == []
    wrong = [{"key": "inventory/data/1.csv.gz", "size": 1, "MD5checksum": "0" * 32}]
    for token, changed in (("u", {"files": wrong}), ("v", {"fileFormat": "ORC"}), ("w", {"fileSchema": "Bucket"})):
        manifest = inventory_of(s3, bucket, rows, **changed)
        job = ended(make({"S3DeleteObjectTagging": {}}, token=token, Manifest=manifest))
        assert (job["Status"], job["FailureReasons"][0]["FailureCode"]) == ("Failed", "InvalidManifest")


def test_existing_objects_are_replicated(aws, s3, bucket, make, ended):
    s3.put_object(Bucket=bucket, Key="from before", Body=b"null version")
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    old = s3.put_object(Bucket=bucket, Key="kept/k", Body=b"old", Tagging="a=b")["VersionId"]
    new = s3.put_object(Bucket=bucket, Key="kept/k", Body=b"new")["VersionId"]
    other = s3.put_object(Bucket=bucket, Key="left", Body=b"left")["VersionId"]
    target = versioned(s3)
    replicator = new_role(aws)
    filters = [rule(target, Filter={"Prefix": "kept/"}), rule(target, ID="2", Priority=1, Filter={"Prefix": "from"})]
    put_rules(s3, bucket, replicator, *filters)
    generator = {
        "SourceBucket": f"arn:aws:s3:::{bucket}",
        "EnableManifestOutput": False,
        "Filter": {"EligibleForReplication": True, "ObjectReplicationStatuses": ["NONE", "FAILED"]},
    }
    options = {"ManifestGenerator": {"S3JobManifestGenerator": generator}}
    job_id = make({"S3ReplicateObject": {}}, **options)
    job = ended(job_id)
    assert (job["Status"], job["ProgressSummary"]["NumberOfTasksSucceeded"]) == ("Complete", 3)
    assert job["ManifestGenerator"]["S3JobManifestGenerator"]["SourceBucket"] == f"arn:aws:s3:::{bucket}"
    listed = s3.list_object_versions(Bucket=target)["Versions"]
    assert [(one["Key"], one["VersionId"]) for one in listed] == [
        ("from before", "null"),
        ("kept/k", new),
        ("kept/k", old),
    ]
    found = s3.get_object(Bucket=target, Key="kept/k", VersionId=old)
    assert (found["Body"].read(), found["ReplicationStatus"], found["TagCount"]) == (b"old", "REPLICA", 1)
    assert s3.get_object(Bucket=target, Key="from before")["Body"].read() == b"null version"
    states = [s3.head_object(Bucket=bucket, Key="kept/k", VersionId=one)["ReplicationStatus"] for one in (old, new)]
    assert states == ["COMPLETED", "COMPLETED"]
    assert "ReplicationStatus" not in s3.head_object(Bucket=bucket, Key="left", VersionId=other)
    # Now there is none left.
    job = ended(make({"S3ReplicateObject": {}}, token="u", **options))
    assert job["FailureReasons"][0]["FailureReason"].endswith("found no keys matching the filter criteria.")


def test_what_failed_is_replicated_by_a_job(aws, s3, make, ended, bucket):
    source, target = versioned(s3), versioned(s3)
    denied = new_role(aws, {"Effect": "Deny", "Action": "s3:ReplicateObject", "Resource": "*"}, allow_all())
    put_rules(s3, source, denied, rule(target))
    s3.put_object(Bucket=source, Key="k", Body=b"late")

    def status():
        return s3.head_object(Bucket=source, Key="k")["ReplicationStatus"]

    until(lambda: status() == "FAILED")
    etag = s3.put_object(Bucket=bucket, Key="one.csv", Body=f"{source},k".encode())["ETag"]
    manifest = {
        "Spec": {"Format": "S3BatchOperations_CSV_20180820", "Fields": ["Bucket", "Key"]},
        "Location": {"ObjectArn": f"arn:aws:s3:::{bucket}/one.csv", "ETag": etag},
    }
    job_id = make({"S3ReplicateObject": {}}, Manifest=manifest)
    ended(job_id)
    assert report_of(s3, bucket, job_id) == [("k", "DstPutObjectNotPermitted")]
    put_rules(s3, source, new_role(aws), rule(target))
    may_not = new_role(
        aws, {"Effect": "Deny", "Action": "s3:InitiateReplication", "Resource": "*"}, allow_all(), trust=TRUST
    )
    job_id = make({"S3ReplicateObject": {}}, token="u", Manifest=manifest, role=may_not)
    ended(job_id)
    assert report_of(s3, bucket, job_id) == [("k", "InitiateReplicationNotPermitted")]
    assert status() == "FAILED"
    ended(make({"S3ReplicateObject": {}}, token="v", Manifest=manifest))
    assert status() == "COMPLETED"
    assert s3.get_object(Bucket=target, Key="k")["Body"].read() == b"late"
    # What no rule wants is not replicated either.
    put_rules(s3, source, new_role(aws), rule(target, Filter={"Prefix": "else"}))
    job_id = make({"S3ReplicateObject": {}}, token="w", Manifest=manifest)
    ended(job_id)
    assert report_of(s3, bucket, job_id) == [("k", "SrcObjectNotEligible")]


FUNCTION = """
def handler(event, context):
    task = event["tasks"][0]
    outcome = "Succeeded" if task["s3Key"] != "gone" else "PermanentFailure"
    said = f"{task['s3BucketArn']} {task['s3Key']}"
    return {
        "invocationSchemaVersion": "1.0",
        "treatMissingKeysAs": "PermanentFailure",
        "invocationId": event["invocationId"],
        "results": [{"taskId": task["taskId"], "resultCode": outcome, "resultString": said}],
    }
"""


def test_a_function_is_invoked(aws, s3, bucket, make, ended):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("index.py", FUNCTION)
    functions = aws.client("lambda")
    arn = functions.create_function(
        FunctionName="tasks",
        Runtime="python3.11",
        Handler="index.handler",
        Role=new_role(aws, trust={**TRUST, "Principal": {"Service": "lambda.amazonaws.com"}}),
        Code={"ZipFile": archive.getvalue()},
    )["FunctionArn"]
    waiter = functions.get_waiter("function_active_v2")
    waiter.wait(FunctionName="tasks", WaiterConfig={"Delay": 0.1, "MaxAttempts": 300})
    invoke = {"Effect": "Allow", "Action": "lambda:InvokeFunction", "Resource": arn}
    job_id = make({"LambdaInvoke": {"FunctionArn": arn}}, role=new_role(aws, allow_all(), invoke, trust=TRUST))
    summary = ended(job_id)["ProgressSummary"]
    assert (summary["NumberOfTasksSucceeded"], summary["NumberOfTasksFailed"]) == (3, 1)
    listed = s3.list_objects_v2(Bucket=bucket, Prefix=f"reports/job-{job_id}/results/")["Contents"]
    text = "".join(s3.get_object(Bucket=bucket, Key=one["Key"])["Body"].read().decode() for one in listed)
    assert f"{bucket},a+b,,succeeded,,200,arn:aws:s3:::{bucket} a+b" in text
    assert f"{bucket},gone,,failed,PermanentFailure,200,arn:aws:s3:::{bucket} gone" in text
    functions.delete_function(FunctionName="tasks")


def test_what_the_role_may_not_is_not_done(aws, s3, bucket, make, ended):
    role = new_role(
        aws, allow_all(), {"Effect": "Deny", "Action": "s3:DeleteObjectTagging", "Resource": "*"}, trust=TRUST
    )
    job = ended(make({"S3DeleteObjectTagging": {}}, role=role))
    assert (job["Status"], job["ProgressSummary"]["NumberOfTasksFailed"]) == ("Complete", 4)
    assert s3.get_object_tagging(Bucket=bucket, Key="c")["TagSet"] == [{"Key": "old", "Value": "1"}]
    # A role that S3 Batch Operations may not assume does nothing at all.
    job = ended(make({"S3DeleteObjectTagging": {}}, role=new_role(aws), token="u"))
    assert (job["Status"], job["FailureReasons"][0]["FailureCode"]) == ("Failed", "AccessDenied")


def test_a_job_waits_for_its_confirmation(aws, control, s3, bucket, make, ended, fails):
    def status(job_id: str) -> str:
        found: str = control.describe_job(AccountId=aws.account, JobId=job_id)["Job"]["Status"]
        return found

    mine = {"AccountId": aws.account}
    job_id = make({"S3DeleteObjectTagging": {}}, ConfirmationRequired=True)
    until(lambda: status(job_id) == "Suspended")
    assert control.update_job_priority(**mine, JobId=job_id, Priority=42)["Priority"] == 42
    assert control.update_job_status(**mine, JobId=job_id, RequestedJobStatus="Ready")["Status"] == "Ready"
    job = ended(job_id)
    assert (job["Status"], job["Priority"]) == ("Complete", 42)
    assert s3.get_object_tagging(Bucket=bucket, Key="c")["TagSet"] == []
    cancelled = make({"S3DeleteObjectTagging": {}}, ConfirmationRequired=True, token="u")
    until(lambda: status(cancelled) == "Suspended")
    control.update_job_status(**mine, JobId=cancelled, RequestedJobStatus="Cancelled", StatusUpdateReason="no")
    assert ended(cancelled)["StatusUpdateReason"] == "no"
    again = fails(control.update_job_status, **mine, JobId=cancelled, RequestedJobStatus="Ready")
    assert (again["status"], again["Code"]) == (400, "JobStatusException")
    assert s3.get_object_tagging(Bucket=bucket, Key="c")["TagSet"] == [{"Key": "old", "Value": "1"}]
    jobs = control.list_jobs(**mine, JobStatuses=["Cancelled"])["Jobs"]
    assert [one["JobId"] for one in jobs] == [cancelled]


def test_tags_of_a_job(aws, control, make, fails):
    at = {"AccountId": aws.account, "JobId": make({"S3DeleteObjectTagging": {}}, ConfirmationRequired=True)}
    tags = [{"Key": "a", "Value": "b"}, {"Key": "c", "Value": "d"}]
    control.put_job_tagging(**at, Tags=tags)
    assert control.get_job_tagging(**at)["Tags"] == tags
    control.put_job_tagging(**at, Tags=tags[:1])
    assert control.get_job_tagging(**at)["Tags"] == tags[:1]
    assert fails(control.put_job_tagging, **at, Tags=tags[:1] * 2)["Code"] == "InvalidTag"
    control.delete_job_tagging(**at)
    assert control.get_job_tagging(**at).get("Tags", []) == []
    assert fails(control.get_job_tagging, **{**at, "JobId": "none-such"})["Code"] == "NoSuchJob"


def test_tokens_manifests_and_what_is_refused(aws, control, s3, bucket, make, ended, fails):
    role, tagging = new_role(aws, trust=TRUST), {"S3DeleteObjectTagging": {}}
    first = make(tagging, role=role)
    assert make(tagging, role=role) == first
    assert fails(lambda: make(tagging, role=role, Priority=1))["Code"] == "IdempotencyException"
    ended(first)
    missing = {
        "Spec": {"Format": "S3BatchOperations_CSV_20180820", "Fields": ["Bucket", "Key"]},
        "Location": {"ObjectArn": f"arn:aws:s3:::{bucket}/none", "ETag": "x"},
    }
    job = ended(make(tagging, role=role, token="u", Manifest=missing))
    assert (job["Status"], job["FailureReasons"][0]["FailureCode"]) == ("Failed", "NoSuchKey")
    assert fails(lambda: make({"S3ComputeObjectChecksum": {}}, role=role, token="v"))["Code"] == "NotImplemented"
    assert fails(control.describe_job, AccountId=aws.account, JobId="no-such-job")["status"] == 404
