"""An S3 batch job on a node that is killed in the middle of it: every task is done, and reported once."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.services.s3.replication_kit import new_role, versioned
from tests.services.s3.test_accesspoints import client
from tests.services.s3.test_batch import TRUST

from waiting import until

OBJECTS = 450
KILLS = int(os.environ.get("PILEUS_KILL_ROUNDS", "3"))


def test_a_job_goes_on(aws: Any, start_pileus: Any) -> None:
    chance = random.Random(3)
    server = start_pileus()
    number = aws.account

    def account() -> Any:
        return type(aws)(server.endpoint, number)

    s3 = account().client("s3")
    bucket = versioned(s3)
    keys = [f"key-{n}" for n in range(OBJECTS)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda key: s3.put_object(Bucket=bucket, Key=key), keys))
    manifest = "\n".join(f"{bucket},{key}" for key in keys).encode()
    etag = s3.put_object(Bucket=bucket, Key="manifest", Body=manifest)["ETag"]
    mine = {"AccountId": number}
    job_id = client(account()).create_job(
        **mine,
        ConfirmationRequired=False,
        Operation={"S3PutObjectTagging": {"TagSet": [{"Key": "done", "Value": "1"}]}},
        Report={
            "Enabled": True,
            "Bucket": f"arn:aws:s3:::{bucket}",
            "Format": "Report_CSV_20180820",
            "ReportScope": "AllTasks",
        },
        Manifest={
            "Spec": {"Format": "S3BatchOperations_CSV_20180820", "Fields": ["Bucket", "Key"]},
            "Location": {"ObjectArn": f"arn:aws:s3:::{bucket}/manifest", "ETag": etag},
        },
        Priority=1,
        RoleArn=new_role(account(), trust=TRUST),
        ClientRequestToken="t",
    )["JobId"]
    for _ in range(KILLS):
        # Somewhere between its preparation and its report.
        threading.Event().wait(chance.uniform(0.0, 0.1))
        server.kill()
        server = start_pileus()
    control, s3 = client(account()), account().client("s3")

    def job() -> dict[str, Any]:
        found: dict[str, Any] = control.describe_job(**mine, JobId=job_id)["Job"]
        return found

    until(lambda: job()["Status"] in ("Complete", "Failed"), seconds=60)
    assert job()["Status"] == "Complete"
    assert job()["ProgressSummary"]["NumberOfTasksSucceeded"] == OBJECTS
    report = json.loads(s3.get_object(Bucket=bucket, Key=f"job-{job_id}/manifest.json")["Body"].read())
    (part,) = report["Results"]
    text = s3.get_object(Bucket=bucket, Key=part["Key"])["Body"].read().decode()
    assert [row[1] for row in csv.reader(io.StringIO(text))] == keys
    with ThreadPoolExecutor(4) as threads:
        tags = threads.map(lambda key: s3.get_object_tagging(Bucket=bucket, Key=key)["TagSet"], keys)
    assert all(one == [{"Key": "done", "Value": "1"}] for one in tags)
