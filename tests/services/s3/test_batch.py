"""Batch jobs: what they do to the objects of a manifest, as whom, and what they report."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from typing import Any

import pytest
from tests.services.s3.replication_kit import allow_all, new_role, until
from tests.services.s3.test_accesspoints import client

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
            "Manifest": {
                "Spec": {"Format": "S3BatchOperations_CSV_20180820", "Fields": ["Bucket", "Key"]},
                "Location": {"ObjectArn": f"arn:aws:s3:::{bucket}/manifest.csv", "ETag": etag},
            },
            "Priority": 10,
            "RoleArn": role or new_role(aws, trust=TRUST),
            "ClientRequestToken": token,
            **options,
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
    assert fails(lambda: make({"S3ReplicateObject": {}}, role=role, token="v"))["Code"] == "NotImplemented"
    assert fails(control.describe_job, AccountId=aws.account, JobId="no-such-job")["status"] == 404
