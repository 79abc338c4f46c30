"""Scan: everything once, in pages and in segments."""

from __future__ import annotations

from typing import Any

import pytest
from dynamodb_cases import Table, invalid, refusal

COUNT = 60


@pytest.fixture
def filled(dynamodb: Any, table: Table) -> list[str]:
    table()
    names = [f"item-{number}" for number in range(COUNT)]
    for start in range(0, COUNT, 25):
        dynamodb.batch_write_item(
            RequestItems={
                "table": [
                    {"PutRequest": {"Item": {"id": {"S": name}, "n": {"N": name[5:]}}}}
                    for name in names[start : start + 25]
                ]
            }
        )
    return names


def ids(answer: Any) -> list[str]:
    return [item["id"]["S"] for item in answer["Items"]]


def test_everything_in_no_order_that_means_anything(dynamodb: Any, filled: list[str]) -> None:
    found = ids(dynamodb.scan(TableName="table"))
    assert sorted(found) == sorted(filled)
    assert found not in (filled, sorted(filled))
    assert ids(dynamodb.scan(TableName="table")) == found


def test_pages(dynamodb: Any, filled: list[str]) -> None:
    whole = ids(dynamodb.scan(TableName="table"))
    pages = list(dynamodb.get_paginator("scan").paginate(TableName="table", Limit=7))
    assert [name for page in pages for name in ids(page)] == whole
    assert all(page["ScannedCount"] == 7 for page in pages[:-1])
    assert "LastEvaluatedKey" not in pages[-1]


@pytest.mark.parametrize("total", [1, 2, 7, 1000])
def test_segments_divide_the_table(dynamodb: Any, filled: list[str], total: int) -> None:
    found: list[str] = []
    # Of a thousand segments, only as many as there is time for.
    for segment in range(total) if total < 100 else ():
        pages = dynamodb.get_paginator("scan").paginate(
            TableName="table", Segment=segment, TotalSegments=total, Limit=4
        )
        part = [name for page in pages for name in ids(page)]
        if total == 2:
            assert 0 < len(part) < COUNT
        found += part
    if total < 100:
        assert sorted(found) == sorted(filled)
    else:
        assert dynamodb.scan(TableName="table", Segment=total - 1, TotalSegments=total)["Count"] < 5


def test_a_start_key_of_another_segment(dynamodb: Any, filled: list[str]) -> None:
    last = dynamodb.scan(TableName="table", Segment=0, TotalSegments=2, Limit=1)["LastEvaluatedKey"]
    assert refusal(dynamodb.scan, TableName="table", Segment=1, TotalSegments=2, ExclusiveStartKey=last) == invalid(
        "The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey "
        "with correct Segment. TotalSegments: 2 Segment: 1"
    )


def test_filter_and_projection(dynamodb: Any, filled: list[str]) -> None:
    answer = dynamodb.scan(
        TableName="table",
        FilterExpression="n < :max AND begins_with(id, :start)",
        ExpressionAttributeValues={":max": {"N": "20"}, ":start": {"S": "item-1"}},
        ProjectionExpression="n",
    )
    assert sorted(int(item["n"]["N"]) for item in answer["Items"]) == [1, *range(10, 20)]
    assert all(item.keys() == {"n"} for item in answer["Items"])
    assert (answer["Count"], answer["ScannedCount"]) == (11, COUNT)
    assert dynamodb.scan(TableName="table", Select="COUNT").keys() == {"Count", "ScannedCount", "ResponseMetadata"}


def test_consumed_capacity(dynamodb: Any, filled: list[str]) -> None:
    answer = dynamodb.scan(TableName="table", ReturnConsumedCapacity="TOTAL")
    assert answer["ConsumedCapacity"] == {"TableName": "table", "CapacityUnits": 0.5}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        (
            {"Segment": 0},
            "The TotalSegments parameter is required but was not present in the request "
            "when Segment parameter is present",
        ),
        (
            {"TotalSegments": 2},
            "The Segment parameter is required but was not present in the request "
            "when parameter TotalSegments is present",
        ),
        (
            {"Segment": 2, "TotalSegments": 2},
            "The Segment parameter is zero-based and must be less than parameter TotalSegments: "
            "Segment: 2 is not less than TotalSegments: 2",
        ),
        (
            {"FilterExpression": "id = :v"},
            "Invalid FilterExpression: An expression attribute value used in expression is not defined; "
            "attribute value: :v",
        ),
        ({"FilterExpression": "id =", }, 'Invalid FilterExpression: Syntax error; token: "<EOF>", near: "="'),
        ({"IndexName": "nope"}, "The table does not have the specified index: nope"),
    ],
)  # fmt: skip
def test_wrong_scans(dynamodb: Any, table: Table, members: dict[str, Any], message: str) -> None:
    table()
    assert refusal(dynamodb.scan, TableName="table", **members) == invalid(message)
