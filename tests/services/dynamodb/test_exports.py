"""Exports to S3."""

from __future__ import annotations

import gzip
import hashlib
import json
from base64 import b64encode
from datetime import datetime, timedelta
from typing import Any

import pytest
from dynamodb_cases import Table, invalid, refusal


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
    again = {"TableArn": recoverable, "S3Bucket": bucket, "ClientToken": "token"}
    call = dynamodb.export_table_to_point_in_time
    assert call(**again, S3Prefix="some/where")["ExportDescription"]["ExportArn"] == started["ExportArn"]
    assert refusal(call, **again)[0] == "ExportConflictException"
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
    call = dynamodb.export_table_to_point_in_time
    assert "KMS" in refusal(call, TableArn=recoverable, S3Bucket="bucket", S3SseAlgorithm="KMS")[1]


def read_export(s3: Any, export: Any) -> tuple[dict[str, Any], list[bytes]]:
    """An export's summary, and the lines of its data files."""

    def read(key: str) -> bytes:
        body: bytes = s3.get_object(Bucket=export["S3Bucket"], Key=key)["Body"].read()
        return body

    summary = json.loads(read(export["ExportManifest"]))
    files = [json.loads(line)["dataFileS3Key"] for line in read(summary["manifestFilesS3Key"]).splitlines()]
    assert all(name.endswith(".ion.gz" if export["ExportFormat"] == "ION" else ".json.gz") for name in files)
    return summary, [line for name in files for line in gzip.decompress(read(name)).splitlines()]


def test_a_table_is_exported_as_ion(aws: Any, dynamodb: Any, recoverable: str) -> None:
    s3, bucket = aws.client("s3"), f"exports-{aws.account}"
    s3.create_bucket(Bucket=bucket)
    item = {"id": {"S": 'a"\n'}, "n": {"NS": ["1", "250"]}, "a b": {"M": {"null": {"NULL": True}}}, "d": {"B": b"\x01"}}
    dynamodb.put_item(TableName="table", Item=item)
    arn = dynamodb.export_table_to_point_in_time(TableArn=recoverable, S3Bucket=bucket, ExportFormat="ION")[
        "ExportDescription"
    ]["ExportArn"]
    export = done(dynamodb, arn)
    assert (export["ExportStatus"], export["ExportFormat"]) == ("COMPLETED", "ION")
    summary, lines = read_export(s3, export)
    assert (summary["outputFormat"], summary["exportType"]) == ("ION", "FULL_EXPORT")
    (line,) = lines
    assert line.decode() == (
        """$ion_1_0 {Item:{id:"a\\"\\n",n:$dynamodb_NS::[1.,2.5d2],'a b':{'null':null},d:{{AQ==}}}}"""
    ).replace("2.5d2", "25d1")


def test_an_export_may_be_limited(aws: Any, dynamodb: Any, table: Table) -> None:
    table("p:S s:N")
    dynamodb.update_continuous_backups(
        TableName="table", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    arn = dynamodb.describe_table(TableName="table")["Table"]["TableArn"]
    s3, bucket = aws.client("s3"), f"exports-{aws.account}"
    s3.create_bucket(Bucket=bucket)
    for p in "ab":
        for s in range(6):
            item = {"p": {"S": p}, "s": {"N": str(s)}, "v": {"B": bytes([s % 2])}, "more": {"S": "x"}}
            dynamodb.put_item(TableName="table", Item=item)

    def exported(kind: str, **limits: Any) -> tuple[Any, list[bytes]]:
        started = dynamodb.export_table_to_point_in_time(
            TableArn=arn, S3Bucket=bucket, ExportFormat=kind, FilterSpecification=limits
        )["ExportDescription"]
        assert started["FilterSpecification"] == limits
        export = done(dynamodb, started["ExportArn"])
        assert (export["ExportStatus"], export["FilterSpecification"]) == ("COMPLETED", limits)
        summary, lines = read_export(s3, export)
        assert export["ItemCount"] == summary["itemCount"] == len(lines)
        return export, lines

    odd = {":odd": {"B": b"\x01"}}
    one_partition, lines = exported(
        "DYNAMODB_JSON",
        KeyConditionExpression="p = :p AND s BETWEEN :low AND :high",
        FilterExpression="v = :odd",
        ProjectionExpression="s, #more",
        ExpressionAttributeNames={"#more": "more"},
        ExpressionAttributeValues={**odd, ":p": {"S": "a"}, ":low": {"N": "1"}, ":high": {"N": "4"}},
    )
    items = [json.loads(line)["Item"] for line in lines]
    assert sorted(item["s"]["N"] for item in items) == ["1", "3"]
    assert {tuple(item) for item in items} == {("s", "more")}
    # A filter may name keys where no condition does; what it leaves out was read all the same.
    whole, lines = exported(
        "ION", FilterExpression="s > :s AND v = :odd", ExpressionAttributeValues={**odd, ":s": {"N": "2"}}
    )
    assert len(lines) == 4
    assert whole["BilledSizeBytes"] > 2 * one_partition["BilledSizeBytes"] > 0

    def refused(**limits: Any) -> tuple[str, str]:
        call = dynamodb.export_table_to_point_in_time
        return refusal(call, TableArn=arn, S3Bucket=bucket, FilterSpecification=limits)

    values = {":p": {"S": "a"}}
    assert refused(KeyConditionExpression="s = :p", ExpressionAttributeValues=values) == invalid(
        "Query condition missed key schema element: p"
    )
    assert refused(
        KeyConditionExpression="p = :p", FilterExpression="s = :p", ExpressionAttributeValues=values
    ) == invalid("Filter Expression can only contain non-primary key attributes: Primary key attribute: s")
    assert refused(FilterExpression="p = ", ExpressionAttributeValues=values)[0] == "ValidationException"
    assert refused()[0] == "ValidationException"


@pytest.fixture
def later(start_pileus: Any, aws: Any) -> tuple[Any, Any]:
    """A server on the virtual clock, and an account there."""
    server = start_pileus("--clock", "virtual")
    return server, type(aws)(server.endpoint)


@pytest.mark.parametrize("view", ["NEW_AND_OLD_IMAGES", "NEW_IMAGE"])
def test_what_changed_is_exported(later: tuple[Any, Any], view: str) -> None:
    server, account = later
    dynamodb, s3, bucket = account.client("dynamodb"), account.client("s3"), f"exports-{account.account}"
    s3.create_bucket(Bucket=bucket)
    dynamodb.create_table(
        TableName="table",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    dynamodb.update_continuous_backups(
        TableName="table", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    table = dynamodb.describe_table(TableName="table")["Table"]
    arn = table["TableArn"]

    def put(key: str, value: str) -> None:
        dynamodb.put_item(TableName="table", Item={"id": {"S": key}, "v": {"S": value}})

    def delete(key: str) -> None:
        dynamodb.delete_item(TableName="table", Key={"id": {"S": key}})

    for key in ("same", "changed", "deleted", "replaced"):
        put(key, "1")
    server.advance(100)
    # Clients send milliseconds, rounded.
    since = table["CreationDateTime"] + timedelta(seconds=99)
    put("changed", "2")
    put("changed", "3")
    put("new", "1")
    put("came and went", "1")
    delete("came and went")
    delete("deleted")
    delete("replaced")
    put("replaced", "2")
    for n in range(1100):
        if n % 25 == 0:
            puts = [{"PutRequest": {"Item": {"id": {"S": f"many-{n + m}"}, "v": {"S": "1"}}}} for m in range(25)]
            dynamodb.batch_write_item(RequestItems={"table": puts})
    server.advance(1800)
    until = since + timedelta(seconds=1800)
    put("changed", "4")
    put("later", "1")
    delete("new")
    put("deleted", "again")
    server.advance(10)
    call = dynamodb.export_table_to_point_in_time
    window = {"ExportFromTime": since, "ExportToTime": until, "ExportViewType": view}
    members = {"TableArn": arn, "S3Bucket": bucket, "S3Prefix": "p", "ExportType": "INCREMENTAL_EXPORT"}
    started = call(**members, IncrementalExportSpecification=window)["ExportDescription"]
    server.advance(1)
    export = done(dynamodb, started["ExportArn"])
    assert export["ExportStatus"] == "COMPLETED", export
    assert export["IncrementalExportSpecification"]["ExportViewType"] == view
    summary, lines = read_export(s3, export)
    assert summary["version"] == "2023-08-01"
    assert (summary["exportType"], summary["outputView"]) == ("INCREMENTAL_EXPORT", view)
    moments = [datetime.fromisoformat(summary[name]) for name in ("exportFromTime", "exportToTime")]
    assert abs(moments[0] - since) < timedelta(seconds=1)
    assert abs(moments[1] - until) < timedelta(seconds=1)
    changes = {}
    for line in lines:
        change = json.loads(line)
        key = change["Keys"]["id"]["S"]
        assert int(change["Metadata"]["WriteTimestampMicros"]["N"]) >= since.timestamp() * 1e6 - 1e6
        changes[key] = [change.get(image, {}).get("v", {}).get("S") for image in ("OldImage", "NewImage")]
    many = [key for key in changes if key.startswith("many-")]
    assert len(many) == 1100
    for key in many:
        del changes[key]
    old = (lambda value: value) if view == "NEW_AND_OLD_IMAGES" else (lambda value: None)
    assert changes == {
        "changed": [old("1"), "3"],
        "new": [None, "1"],
        "deleted": [old("1"), None],
        "replaced": [old("1"), "2"],
    }
    assert export["ItemCount"] == len(lines) == 1104
    limits = {
        "FilterExpression": "v = :one",
        "ExpressionAttributeValues": {":one": {"S": "1"}},
        "ProjectionExpression": "v",
    }
    started = call(**members, IncrementalExportSpecification=window, FilterSpecification=limits)["ExportDescription"]
    server.advance(1)
    _, lines = read_export(s3, done(dynamodb, started["ExportArn"]))
    found = [json.loads(line) for line in lines]
    # What items are now counts, and of those that are gone what they were.
    assert {change["Keys"]["id"]["S"] for change in found} == {"new", "deleted", *many}
    assert all(
        image == {"v": {"S": "1"}}
        for change in found
        for image in (change.get("NewImage"), change.get("OldImage"))
        if image
    )
    listed, _ = dynamodb.list_exports(TableArn=arn)["ExportSummaries"]
    assert listed["ExportType"] == "INCREMENTAL_EXPORT"
    # The history is let go of: the table may be deleted.
    short = {"ExportFromTime": until - timedelta(seconds=60), "ExportToTime": until}
    assert refusal(call, **members, IncrementalExportSpecification=short)[0] == "InvalidExportTimeException"
    early = {"ExportFromTime": since - timedelta(days=2), "ExportToTime": until}
    assert refusal(call, **members, IncrementalExportSpecification=early)[0] == "InvalidExportTimeException"
    assert refusal(call, **members)[0] == "ValidationException"
    dynamodb.delete_table(TableName="table")
