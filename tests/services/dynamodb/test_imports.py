"""Imports from S3."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from backports import zstd
from dynamodb_cases import definition, index, refusal


@pytest.fixture
def bucket(aws: Any) -> str:
    name = f"imports-{aws.account}"
    aws.client("s3").create_bucket(Bucket=name)
    return name


def imported(dynamodb: Any, bucket: str, **members: Any) -> Any:
    """Import into "table" and ask until it is over."""
    members.setdefault("TableCreationParameters", {"TableName": "table", **definition("id:S n:N")})
    started = dynamodb.import_table(S3BucketSource={"S3Bucket": bucket, "S3KeyPrefix": "in/"}, **members)
    arn = started["ImportTableDescription"]["ImportArn"]
    assert started["ImportTableDescription"]["ImportStatus"] == "IN_PROGRESS"
    while True:
        found = dynamodb.describe_import(ImportArn=arn)["ImportTableDescription"]
        if found["ImportStatus"] != "IN_PROGRESS":
            return found


def logged(aws: Any, job: Any) -> list[Any]:
    """What an import has told of its errors."""
    stream = f"{job['ImportArn'].rpartition('/')[2]}/error"
    found = aws.client("logs").get_log_events(
        logGroupName="/aws-dynamodb/imports", logStreamName=stream, startFromHead=True
    )
    return [json.loads(event["message"]) for event in found["events"]]


def test_lines_of_json_become_items_and_wrong_ones_are_counted(aws: Any, dynamodb: Any, bucket: str) -> None:
    s3 = aws.client("s3")
    good = [{"Item": {"id": {"S": f"i{n}"}, "n": {"N": str(n)}, "b": {"B": "AQ=="}}} for n in range(450)]
    bad = [
        "no json",
        '{"Item": {"id": {"S": "x"}}}',
        '{"Item": {"id": {"N": "1"}, "n": {"N": "1"}}}',
        '{"Item": {"id": {"S": "x"}, "n": {"N": "one"}}}',
        '{"Item": {"id": {"S": "x"}, "n": {"N": "1"}, "b": {"B": "?"}}}',
        '{"Item": 1}',
        "[]",
    ]
    lines = [*map(json.dumps, good), *bad]
    s3.put_object(Bucket=bucket, Key="in/one.json.gz", Body=gzip.compress("\n".join(lines[:300]).encode()))
    s3.put_object(Bucket=bucket, Key="in/two.json.gz", Body=gzip.compress("\n".join(lines[300:]).encode()))
    s3.put_object(Bucket=bucket, Key="in/broken.json.gz", Body=b"this is no gzip")
    s3.put_object(Bucket=bucket, Key="elsewhere", Body=b"x")
    keys = definition("id:S n:N", GlobalSecondaryIndexes=[index("by-n", "n")])
    job = imported(
        dynamodb,
        bucket,
        InputFormat="DYNAMODB_JSON",
        InputCompressionType="GZIP",
        TableCreationParameters={"TableName": "table", **keys},
    )
    # What was good stays, though the import has failed.
    assert (job["ImportStatus"], job["ImportedItemCount"], job["ErrorCount"]) == ("FAILED", 450, len(bad) + 1)
    assert (job["FailureCode"], job["FailureMessage"]) == (
        "ItemValidationError",
        "Some of the items failed validation checks and were not imported. Please check CloudWatch error logs for more "
        "details.",
    )
    assert job["CloudWatchLogGroupArn"] == (f"arn:aws:logs:us-east-1:{aws.account}:log-group:/aws-dynamodb/imports:*")
    told = logged(aws, job)
    assert [each["itemS3Pointer"] for each in told] == [
        {"bucket": bucket, "key": "in/broken.json.gz", "itemIndex": 0},
        *({"bucket": bucket, "key": "in/two.json.gz", "itemIndex": at} for at in range(150, 150 + len(bad))),
    ]
    assert {each["importArn"] for each in told} == {job["ImportArn"]}
    assert told[2]["errorMessages"] == ["One or more parameter values were invalid: Missing the key n in the item"]
    assert dynamodb.describe_table(TableName="table")["Table"]["TableStatus"] == "ACTIVE"
    assert dynamodb.scan(TableName="table", Select="COUNT")["Count"] == 450
    found = dynamodb.query(
        TableName="table",
        IndexName="by-n",
        KeyConditionExpression="n = :n",
        ExpressionAttributeValues={":n": {"N": "7"}},
    )["Items"]
    assert found == [{"id": {"S": "i7"}, "n": {"N": "7"}, "b": {"B": b"\x01"}}]
    (listed,) = dynamodb.list_imports()["ImportSummaryList"]
    assert listed["ImportArn"] == job["ImportArn"]


def test_what_was_exported_as_ion_is_imported(aws: Any, dynamodb: Any, bucket: str) -> None:
    s3 = aws.client("s3")
    lines = [
        '$ion_1_0 {Item:{id:"a",n:6d2,tags:$dynamodb_SS::["x","y"],more:{deep:[1.5,null,true,{{AQ==}}]}}}',
        '$ion_1_0 {Item:{id:"b",n:-1.}}',
        '$ion_1_0 {Item:{id:"c"}}',
        "$ion_1_0 {Item:",
    ]
    s3.put_object(Bucket=bucket, Key="in/one.ion", Body=zstd.compress("\n".join(lines).encode()))
    s3.put_object(Bucket=bucket, Key="in/two.ion", Body=b"no zstd")
    job = imported(dynamodb, bucket, InputFormat="ION", InputCompressionType="ZSTD")
    assert (job["ImportedItemCount"], job["ErrorCount"], job["ProcessedItemCount"]) == (2, 3, 5)
    assert (job["InputFormat"], job["InputCompressionType"]) == ("ION", "ZSTD")
    items = dynamodb.scan(TableName="table")["Items"]
    assert sorted(items, key=lambda item: item["id"]["S"]) == [
        {
            "id": {"S": "a"},
            "n": {"N": "600"},
            "tags": {"SS": ["x", "y"]},
            "more": {"M": {"deep": {"L": [{"N": "1.5"}, {"NULL": True}, {"BOOL": True}, {"B": b"\x01"}]}}},
        },
        {"id": {"S": "b"}, "n": {"N": "-1"}},
    ]
    messages = [each["errorMessages"][0] for each in logged(aws, job)]
    assert messages[0] == "One or more parameter values were invalid: Missing the key n in the item"
    assert messages[1].startswith("The line is not Ion")
    assert messages[2].startswith("The object is not ZSTD")


def test_an_import_whose_log_may_not_be_written_fails(aws: Any, dynamodb: Any, bucket: str) -> None:
    aws.client("s3").put_object(Bucket=bucket, Key="in/rows.csv", Body=b"id,n\na,1\n")
    iam = aws.client("iam")
    iam.create_user(UserName="u")
    allowed = [{"Effect": "Allow", "Action": ["dynamodb:*", "s3:*"], "Resource": "*"}]
    document = json.dumps({"Version": "2012-10-17", "Statement": allowed})
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=document)
    keys = iam.create_access_key(UserName="u")["AccessKey"]
    job = imported(aws.client("dynamodb", credentials=keys), bucket, InputFormat="CSV")
    assert (job["ImportStatus"], job["FailureCode"]) == ("FAILED", "AccessDeniedException")
    assert "logs:CreateLogGroup" in job["FailureMessage"]


def test_rows_of_csv_become_items(aws: Any, dynamodb: Any, bucket: str) -> None:
    text = 'id;n;note\na;1;"two\nlines; and ""quotes"""\nb;2;\nc;x;no number\nd;4;e;too many\n'
    aws.client("s3").put_object(Bucket=bucket, Key="in/rows.csv", Body=text.encode())
    job = imported(dynamodb, bucket, InputFormat="CSV", InputFormatOptions={"Csv": {"Delimiter": ";"}})
    assert (job["ImportedItemCount"], job["ErrorCount"], job["ProcessedItemCount"]) == (2, 2, 4)
    assert job["ProcessedSizeBytes"] == len(text)
    assert [each["itemS3Pointer"]["itemIndex"] for each in logged(aws, job)] == [2, 3]
    items = dynamodb.scan(TableName="table")["Items"]
    assert sorted(items, key=lambda item: item["id"]["S"]) == [
        {"id": {"S": "a"}, "n": {"N": "1"}, "note": {"S": 'two\nlines; and "quotes"'}},
        {"id": {"S": "b"}, "n": {"N": "2"}},
    ]


def test_an_import_that_cannot_be_says_why(aws: Any, dynamodb: Any) -> None:
    job = imported(dynamodb, f"nowhere-{aws.account}", InputFormat="CSV")
    assert (job["ImportStatus"], job["FailureCode"]) == ("FAILED", "S3NoSuchBucket")
    assert job["FailureMessage"].endswith("(Service: Amazon S3; Status Code: 404; Error Code: NoSuchBucket)")
    # Nothing was imported: there is no table.
    assert refusal(dynamodb.describe_table, TableName="table")[0] == "ResourceNotFoundException"
    parameters = {"TableName": "table", **definition("id:S")}
    members = {"S3BucketSource": {"S3Bucket": "bucket"}, "TableCreationParameters": parameters}
    dynamodb.create_table(**parameters)
    assert refusal(dynamodb.import_table, InputFormat="CSV", **members)[0] == "ResourceInUseException"
    assert refusal(dynamodb.describe_import, ImportArn=job["ImportArn"] + "0")[0] == "ImportNotFoundException"
