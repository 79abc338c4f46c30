"""Backups, restores, exports and imports on a node that is killed meanwhile: each goes on, with no half to be seen."""

from __future__ import annotations

import gzip
import json
import os
import random
import threading
from collections.abc import Callable
from typing import Any

from botocore.exceptions import BotoCoreError

NAME = "table"
ITEMS = 1000
WRONG = 7
ROUNDS = int(os.environ.get("PILEUS_KILL_ROUNDS", "3"))
DEADLINE_S = 60.0
KEYS = {
    "AttributeDefinitions": [
        {"AttributeName": "id", "AttributeType": "S"},
        {"AttributeName": "g", "AttributeType": "N"},
    ],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by-g",
            "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
    "BillingMode": "PAY_PER_REQUEST",
}


def item(number: int) -> dict[str, Any]:
    return {"id": {"S": f"i{number}"}, "g": {"N": str(number % 7)}, "v": {"S": "as it was"}}


def contents(dynamodb: Any, **members: Any) -> dict[str, Any]:
    pages = dynamodb.get_paginator("scan").paginate(**members)
    return {found["id"]["S"]: found for page in pages for found in page["Items"]}


class Changing(threading.Thread):
    """Changes a table, until the node is gone."""

    def __init__(self, dynamodb: Any, seed: int) -> None:
        super().__init__()
        self.dynamodb = dynamodb
        self.chance = random.Random(seed)

    def run(self) -> None:
        try:
            while True:
                number = self.chance.randrange(2 * ITEMS)
                if self.chance.random() < 0.4:
                    self.dynamodb.delete_item(TableName=NAME, Key={"id": {"S": f"i{number}"}})
                else:
                    self.dynamodb.put_item(TableName=NAME, Item={**item(number), "v": {"S": "changed"}})
        except BotoCoreError:
            return


class Jobs:
    """What was begun, and how to see it."""

    def __init__(self, account: Any, bucket: str) -> None:
        self.dynamodb, self.s3, self.logs = (account.client(name) for name in ("dynamodb", "s3", "logs"))
        self.bucket = bucket
        self.whole = {f"i{number}": item(number) for number in range(ITEMS)}

    def begin(self, round_: int) -> dict[str, str]:
        """One of each, of a table of its own."""
        dynamodb = self.dynamodb
        backup = dynamodb.create_backup(TableName=NAME, BackupName="backup")["BackupDetails"]["BackupArn"]
        dynamodb.restore_table_to_point_in_time(
            SourceTableName=NAME, TargetTableName=f"recovered-{round_}", UseLatestRestorableTime=True
        )
        arn = dynamodb.describe_table(TableName=NAME)["Table"]["TableArn"]
        export = dynamodb.export_table_to_point_in_time(TableArn=arn, S3Bucket=self.bucket, S3Prefix="out")
        imported = dynamodb.import_table(
            S3BucketSource={"S3Bucket": self.bucket, "S3KeyPrefix": "in/"},
            InputFormat="DYNAMODB_JSON",
            TableCreationParameters={"TableName": f"imported-{round_}", **KEYS},
        )
        return {
            "backup": backup,
            "export": export["ExportDescription"]["ExportArn"],
            "import": imported["ImportTableDescription"]["ImportArn"],
        }

    def restored(self, name: str) -> bool:
        """Whether a table is there; while it is not, nothing of it is to be seen."""
        if self.dynamodb.describe_table(TableName=name)["Table"]["TableStatus"] == "CREATING":
            try:
                page = self.dynamodb.scan(TableName=name)
            except self.dynamodb.exceptions.ResourceNotFoundException:
                return False
            # It has become ready in between.
            assert page["Items"]
        assert contents(self.dynamodb, TableName=name) == self.whole
        assert contents(self.dynamodb, TableName=name, IndexName="by-g") == self.whole
        assert self.dynamodb.describe_table(TableName=name)["Table"]["ItemCount"] == ITEMS
        return True

    def backed_up(self, arn: str) -> bool:
        found = self.dynamodb.describe_backup(BackupArn=arn)["BackupDescription"]["BackupDetails"]
        return bool(found["BackupStatus"] == "AVAILABLE")

    def exported(self, arn: str) -> bool:
        export = self.dynamodb.describe_export(ExportArn=arn)["ExportDescription"]
        if export["ExportStatus"] == "IN_PROGRESS":
            return False
        assert (export["ExportStatus"], export["ItemCount"]) == ("COMPLETED", ITEMS)
        summary = json.loads(self.read(export["ExportManifest"]))
        files = [json.loads(line) for line in self.read(summary["manifestFilesS3Key"]).splitlines()]
        lines = [line for file in files for line in gzip.decompress(self.read(file["dataFileS3Key"])).splitlines()]
        found = [json.loads(line)["Item"] for line in lines]
        assert {each["id"]["S"]: each for each in found} == self.whole
        assert len(found) == ITEMS
        return True

    def read(self, key: str) -> bytes:
        body: bytes = self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return body

    def imported(self, name: str, arn: str) -> bool:
        job = self.dynamodb.describe_import(ImportArn=arn)["ImportTableDescription"]
        if job["ImportStatus"] == "IN_PROGRESS":
            return False
        counts = [job[name] for name in ("ImportedItemCount", "ErrorCount", "ProcessedItemCount")]
        assert counts == [ITEMS, WRONG, ITEMS + WRONG]
        assert (job["ImportStatus"], job["FailureCode"]) == ("FAILED", "ItemValidationError")
        told = self.logs.get_log_events(
            logGroupName="/aws-dynamodb/imports",
            logStreamName=f"{arn.rpartition('/')[2]}/error",
            startFromHead=True,
        )["events"]
        places = {tuple(json.loads(event["message"])["itemS3Pointer"].values()) for event in told}
        assert len(places) == WRONG
        return self.restored(name)


def test_jobs_of_a_killed_node(aws: Any, start_pileus: Any) -> None:
    chance = random.Random(3)
    server = start_pileus()
    here = type(aws)(server.endpoint)
    bucket = f"jobs-{here.account}"
    jobs = Jobs(here, bucket)
    jobs.dynamodb.create_table(TableName=NAME, **KEYS)
    jobs.dynamodb.update_continuous_backups(
        TableName=NAME, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    for start in range(0, ITEMS, 25):
        puts = [{"PutRequest": {"Item": item(number)}} for number in range(start, start + 25)]
        jobs.dynamodb.batch_write_item(RequestItems={NAME: puts})
    jobs.s3.create_bucket(Bucket=bucket)
    lines = [json.dumps({"Item": item(number)}) for number in range(ITEMS)]
    for _ in range(WRONG):
        lines.insert(chance.randrange(len(lines)), '{"Item": {}}')
    for number in range(3):
        body = "\n".join(lines[number * 500 : (number + 1) * 500])
        jobs.s3.put_object(Bucket=bucket, Key=f"in/{number}.json", Body=body.encode())
    begun = []
    for round_ in range(ROUNDS):
        begun.append(jobs.begin(round_))
        # A node that comes up goes on at once, and dies again.
        for again in range(2):
            changing = Changing(jobs.dynamodb, 10 * round_ + again)
            changing.start()
            threading.Event().wait(chance.uniform(0.0, 0.08))
            server.kill()
            changing.join()
            server = start_pileus()
        jobs = Jobs(type(aws)(server.endpoint, here.account), bucket)
        names = begun[-1]
        wait_for(jobs.backed_up, names["backup"])
        jobs.dynamodb.restore_table_from_backup(BackupArn=names["backup"], TargetTableName=f"restored-{round_}")
        changing = Changing(jobs.dynamodb, round_)
        changing.start()
        threading.Event().wait(chance.uniform(0.0, 0.05))
        server.kill()
        changing.join()
        server = start_pileus()
        jobs = Jobs(type(aws)(server.endpoint, here.account), bucket)
        # Later ones begin with the table as it was, too.
        for start in range(0, 2 * ITEMS, 25):
            kind = "PutRequest" if start < ITEMS else "DeleteRequest"
            numbers = range(start, start + 25)
            requests = [
                {kind: {"Item": item(number)} if start < ITEMS else {"Key": {"id": {"S": f"i{number}"}}}}
                for number in numbers
            ]
            jobs.dynamodb.batch_write_item(RequestItems={NAME: requests})
    for round_, names in enumerate(begun):
        wait_for(jobs.restored, f"recovered-{round_}")
        wait_for(jobs.restored, f"restored-{round_}")
        wait_for(jobs.exported, names["export"])
        wait_for(jobs.imported, f"imported-{round_}", names["import"])
        # What the jobs have needed of the tables is let go of.
        for name in ("recovered", "imported", "restored"):
            jobs.dynamodb.delete_table(TableName=f"{name}-{round_}")
        jobs.dynamodb.delete_backup(BackupArn=names["backup"])
    jobs.dynamodb.delete_table(TableName=NAME)


def wait_for(done: Callable[..., bool], *names: str) -> None:
    waited = 0.0
    while not done(*names):
        assert waited < DEADLINE_S
        threading.Event().wait(0.05)
        waited += 0.05
