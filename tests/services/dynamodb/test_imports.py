"""Imports from S3."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
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
    assert (job["ImportStatus"], job["ImportedItemCount"], job["ErrorCount"]) == ("COMPLETED", 450, len(bad) + 1)
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


def test_rows_of_csv_become_items(aws: Any, dynamodb: Any, bucket: str) -> None:
    text = 'id;n;note\na;1;"two\nlines; and ""quotes"""\nb;2;\nc;x;no number\nd;4;e;too many\n'
    aws.client("s3").put_object(Bucket=bucket, Key="in/rows.csv", Body=text.encode())
    job = imported(dynamodb, bucket, InputFormat="CSV", InputFormatOptions={"Csv": {"Delimiter": ";"}})
    assert (job["ImportedItemCount"], job["ErrorCount"], job["ProcessedItemCount"]) == (2, 2, 4)
    items = dynamodb.scan(TableName="table")["Items"]
    assert sorted(items, key=lambda item: item["id"]["S"]) == [
        {"id": {"S": "a"}, "n": {"N": "1"}, "note": {"S": 'two\nlines; and "quotes"'}},
        {"id": {"S": "b"}, "n": {"N": "2"}},
    ]


def test_an_import_that_cannot_be_says_why(aws: Any, dynamodb: Any) -> None:
    job = imported(dynamodb, f"nowhere-{aws.account}", InputFormat="CSV")
    assert (job["ImportStatus"], job["FailureCode"]) == ("FAILED", "S3NoSuchBucket")
    parameters = {"TableName": "table", **definition("id:S")}
    members = {"S3BucketSource": {"S3Bucket": "bucket"}, "TableCreationParameters": parameters}
    assert refusal(dynamodb.import_table, InputFormat="CSV", **members)[0] == "ResourceInUseException"
    assert refusal(dynamodb.describe_import, ImportArn=job["ImportArn"] + "0")[0] == "ImportNotFoundException"
