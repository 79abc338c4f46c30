"""Exports to S3."""

from __future__ import annotations

import gzip
import hashlib
import json
from base64 import b64encode
from typing import Any

import pytest
from dynamodb_cases import Table, refusal


@pytest.fixture
def recoverable(dynamodb: Any, table: Table) -> str:
    table()
    dynamodb.update_continuous_backups(
        TableName="table", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    arn: str = dynamodb.describe_table(TableName="table")["Table"]["TableArn"]
    return arn


def done(dynamodb: Any, arn: str) -> Any:
    """Ask until an export is over."""
    while True:
        found = dynamodb.describe_export(ExportArn=arn)["ExportDescription"]
        if found["ExportStatus"] != "IN_PROGRESS":
            return found


def test_a_table_is_exported_with_its_manifests(aws: Any, dynamodb: Any, recoverable: str) -> None:
    s3, bucket = aws.client("s3"), f"exports-{aws.account}"
    s3.create_bucket(Bucket=bucket)
    for start in range(0, 600, 25):
        puts = [{"PutRequest": {"Item": {"id": {"S": f"i{n}"}, "b": {"B": b"\x01"}}}} for n in range(start, start + 25)]
        dynamodb.batch_write_item(RequestItems={"table": puts})
    started = dynamodb.export_table_to_point_in_time(
        TableArn=recoverable, S3Bucket=bucket, S3Prefix="some/where", ClientToken="token"
    )["ExportDescription"]
    assert started["ExportStatus"] == "IN_PROGRESS"
    dynamodb.delete_item(TableName="table", Key={"id": {"S": "i0"}})
    dynamodb.put_item(TableName="table", Item={"id": {"S": "later"}})
    export = done(dynamodb, started["ExportArn"])
    assert (export["ExportStatus"], export["ItemCount"]) == ("COMPLETED", 600)

    def read(key: str) -> bytes:
        body: bytes = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        return body

    folder = f"some/where/AWSDynamoDB/{started['ExportArn'].rpartition('/')[2]}"
    assert export["ExportManifest"] == f"{folder}/manifest-summary.json"
    assert read(f"{folder}/_started") == b""
    summary = json.loads(read(export["ExportManifest"]))
    assert (summary["itemCount"], summary["outputFormat"], summary["tableArn"]) == (600, "DYNAMODB_JSON", recoverable)
    listed = read(summary["manifestFilesS3Key"])
    assert read(f"{folder}/manifest-files.md5").decode() == b64encode(hashlib.md5(listed).digest()).decode()
    items = []
    for line in listed.splitlines():
        file = json.loads(line)
        data = read(file["dataFileS3Key"])
        assert file["md5Checksum"] == b64encode(hashlib.md5(data).digest()).decode()
        lines = gzip.decompress(data).splitlines()
        assert file["itemCount"] == len(lines)
        items += [json.loads(each)["Item"] for each in lines]
    assert {item["id"]["S"] for item in items} == {f"i{n}" for n in range(600)}
    assert items[0]["b"] == {"B": "AQ=="}
    again = dynamodb.export_table_to_point_in_time(TableArn=recoverable, S3Bucket=bucket, ClientToken="token")
    assert again["ExportDescription"]["ExportArn"] == started["ExportArn"]
    (listed_export,) = dynamodb.list_exports(TableArn=recoverable)["ExportSummaries"]
    assert listed_export["ExportStatus"] == "COMPLETED"


def test_an_export_that_cannot_be_says_why(aws: Any, dynamodb: Any, table: Table, recoverable: str) -> None:
    arn = dynamodb.export_table_to_point_in_time(TableArn=recoverable, S3Bucket=f"nowhere-{aws.account}")[
        "ExportDescription"
    ]["ExportArn"]
    failed = done(dynamodb, arn)
    assert (failed["ExportStatus"], failed["FailureCode"]) == ("FAILED", "S3NoSuchBucket")
    table(name="other")
    other = recoverable.replace("table/table", "table/other")
    assert refusal(dynamodb.export_table_to_point_in_time, TableArn=other, S3Bucket="bucket") == (
        "PointInTimeRecoveryUnavailableException",
        "Point in time recovery is not enabled for table 'other'",
    )
    assert refusal(dynamodb.describe_export, ExportArn=arn + "0")[0] == "ExportNotFoundException"
    for members in ({"ExportFormat": "ION"}, {"ExportType": "INCREMENTAL_EXPORT"}):
        call = dynamodb.export_table_to_point_in_time
        assert "not" in refusal(call, TableArn=recoverable, S3Bucket="bucket", **members)[1].lower()
