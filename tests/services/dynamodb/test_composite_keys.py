"""Global indexes with several attributes in their partition key and sort key."""

from __future__ import annotations

from typing import Any

import pytest
from dynamodb_cases import Table, definition, invalid, refusal

NAMES = "region:S round:N player:S level:N score:N tag:B"


def elements(hashes: str, ranges: str = "") -> list[dict[str, str]]:
    return [
        *({"AttributeName": name, "KeyType": "HASH"} for name in hashes.split()),
        *({"AttributeName": name, "KeyType": "RANGE"} for name in ranges.split()),
    ]


def index(key: list[dict[str, str]], kind: str = "ALL") -> dict[str, Any]:
    return {"IndexName": "games", "KeySchema": key, "Projection": {"ProjectionType": kind}}


@pytest.fixture
def games(dynamodb: Any, table: Table) -> str:
    """A table of games with the index "games" of (region, round) by (player, level, score)."""
    key = elements("region round", "player level score")
    table("id:S|region:S round:N player:S level:N score:N", GlobalSecondaryIndexes=[index(key)])
    for region in ("EU", "E"):
        for player in ("ann", "anna", "bob"):
            for level in (2, 10):
                for score in (-1, 5):
                    put(dynamodb, region=region, round=1, player=player, level=level, score=score)
    put(dynamodb, region="EU", round=2, player="ann", level=2, score=5)
    # Not all attributes of the key.
    put(dynamodb, region="EU", round=1, player="ann", level=2)
    return "table"


def put(dynamodb: Any, **attributes: Any) -> None:
    item = {name: {"S": value} if isinstance(value, str) else {"N": str(value)} for name, value in attributes.items()}
    dynamodb.put_item(TableName="table", Item={"id": {"S": repr(attributes)}, **item})


def asked(condition: str, **values: Any) -> dict[str, Any]:
    return {
        "TableName": "table",
        "IndexName": "games",
        "KeyConditionExpression": condition,
        "ExpressionAttributeNames": {f"#{name}": name for name in ("region", "level") if f"#{name}" in condition},
        "ExpressionAttributeValues": {
            f":{name}": {"S": value} if isinstance(value, str) else {"N": str(value)} for name, value in values.items()
        },
    }


def found(dynamodb: Any, condition: str, **values: Any) -> list[tuple[str, int, int]]:
    """(player, level, score) of what is answered."""
    answer = dynamodb.query(**asked(condition, **values))
    return [(each["player"]["S"], int(each["level"]["N"]), int(each["score"]["N"])) for each in answer["Items"]]


PARTITION = "#region = :r AND round = :n"
ALL = [(player, level, score) for player in ("ann", "anna", "bob") for level in (2, 10) for score in (-1, 5)]


def test_a_partition_comes_in_the_order_of_all_sort_attributes(dynamodb: Any, games: str) -> None:
    assert found(dynamodb, PARTITION, r="EU", n=1) == ALL
    assert found(dynamodb, "round = :n AND #region = :r", r="EU", n=2) == [("ann", 2, 5)]
    described = dynamodb.describe_table(TableName=games)["Table"]["GlobalSecondaryIndexes"][0]
    assert described["KeySchema"] == elements("region round", "player level score")


@pytest.mark.parametrize(
    ("condition", "values", "expected"),
    [
        ("player = :p", {"p": "ann"}, ALL[:4]),
        ("player = :p AND #level = :l", {"p": "ann", "l": 10}, ALL[2:4]),
        ("player = :p AND #level = :l AND score = :s", {"p": "ann", "l": 10, "s": 5}, ALL[3:4]),
        ("player = :p AND #level = :l AND score < :s", {"p": "ann", "l": 10, "s": 5}, ALL[2:3]),
        ("player = :p AND #level > :l", {"p": "ann", "l": 2}, ALL[2:4]),
        ("player = :p AND #level BETWEEN :l AND :s", {"p": "ann", "l": 3, "s": 11}, ALL[2:4]),
        ("player > :p", {"p": "ann"}, ALL[4:]),
        ("player <= :p", {"p": "ann"}, ALL[:4]),
        ("begins_with(player, :p)", {"p": "ann"}, ALL[:8]),
    ],
)
def test_sort_attributes_from_the_first_on(
    dynamodb: Any, games: str, condition: str, values: dict[str, Any], expected: list[Any]
) -> None:
    assert found(dynamodb, f"{PARTITION} AND {condition}", r="EU", n=1, **values) == expected


def test_conditions_that_are_refused(dynamodb: Any, games: str) -> None:
    for condition, values, message in (
        ("#region = :r", {"r": "EU"}, "Query condition missed key schema element: round"),
        ("round = :n AND #region > :r", {"r": "EU", "n": 1}, "Query key condition not supported"),
        (
            f"{PARTITION} AND #level = :l",
            {"r": "EU", "n": 1, "l": 1},
            "Query condition missed key schema element: player",
        ),
        (
            f"{PARTITION} AND player > :p AND #level = :l",
            {"r": "EU", "n": 1, "l": 1, "p": "a"},
            "Query key condition not supported",
        ),
    ):
        assert refusal(dynamodb.query, **asked(condition, **values)) == invalid(message)


def test_pages_go_on_where_they_ended(dynamodb: Any, games: str) -> None:
    request = {**asked(PARTITION, r="EU", n=1), "Limit": 5}
    page = dynamodb.query(**request)
    assert page["LastEvaluatedKey"].keys() == {"id", "region", "round", "player", "level", "score"}
    rest = dynamodb.query(**{**request, "Limit": 50}, ExclusiveStartKey=page["LastEvaluatedKey"])
    assert (page["Count"], rest["Count"], "LastEvaluatedKey" in rest) == (5, 7, False)
    assert not {each["id"]["S"] for each in page["Items"]} & {each["id"]["S"] for each in rest["Items"]}
    backwards = dynamodb.query(**{**request, "Limit": 50}, ScanIndexForward=False)
    assert [each["id"]["S"] for each in backwards["Items"]][:7] == [each["id"]["S"] for each in rest["Items"]][::-1]
    assert dynamodb.scan(TableName="table", IndexName="games")["Count"] == 25


def test_a_change_moves_the_entry(dynamodb: Any, games: str) -> None:
    key = {"id": {"S": repr({"region": "EU", "round": 2, "player": "ann", "level": 2, "score": 5})}}
    dynamodb.update_item(
        TableName=games,
        Key=key,
        UpdateExpression="SET score = :s, round = :n",
        ExpressionAttributeValues={":s": {"N": "7"}, ":n": {"N": "3"}},
    )
    assert found(dynamodb, PARTITION, r="EU", n=2) == []
    assert found(dynamodb, PARTITION, r="EU", n=3) == [("ann", 2, 7)]
    dynamodb.update_item(TableName=games, Key=key, UpdateExpression="REMOVE score")
    assert found(dynamodb, PARTITION, r="EU", n=3) == []
    code, message = refusal(
        dynamodb.update_item,
        TableName=games,
        Key=key,
        UpdateExpression="SET score = :s",
        ExpressionAttributeValues={":s": {"S": "much"}},
    )
    assert (code, "Type mismatch for Index Key score" in message) == ("ValidationException", True)


def test_statements_read_it(dynamodb: Any, games: str) -> None:
    text = 'SELECT player FROM "table"."games" WHERE region = ? AND round = 1'
    for further, count in (
        ("", 12),
        (" AND player = 'ann' AND score = 5", 2),
        (" AND player = 'ann' AND level > 2", 2),
    ):
        answer = dynamodb.execute_statement(Statement=text + further, Parameters=[{"S": "EU"}])
        assert len(answer["Items"]) == count
    assert len(dynamodb.execute_statement(Statement='SELECT id FROM "table"."games" WHERE round = 2')["Items"]) == 1


def test_it_can_be_made_later_and_be_as_long_as_four_and_four(dynamodb: Any, table: Table) -> None:
    table()
    item = {name: {"S": name} for name in ("id", *"abcdefgh")}
    dynamodb.put_item(TableName="table", Item=item)
    dynamodb.update_table(
        TableName="table",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("id", *"abcdefgh")],
        GlobalSecondaryIndexUpdates=[{"Create": index(elements("a b c d", "e f g h"), "KEYS_ONLY")}],
    )
    values = {f":{name}": {"S": name} for name in "abcdefgh"}
    condition = " AND ".join(f"{name} = :{name}" for name in "abcdefgh")
    answer = dynamodb.query(
        TableName="table",
        IndexName="games",
        KeyConditionExpression=condition,
        ExpressionAttributeValues=values,
    )
    assert answer["Items"] == [item]


@pytest.mark.parametrize(
    "key",
    [
        elements("region round player level score"),
        elements("region", "round player level score tag"),
        [*elements("region", "round"), *elements("player")],
        [*elements("", "region"), *elements("round player")],
        elements("region round", "region"),
    ],
)
def test_keys_that_are_refused(dynamodb: Any, key: list[dict[str, str]]) -> None:
    names = {element["AttributeName"] for element in key}
    defined = " ".join(each for each in NAMES.split() if each.split(":")[0] in names)
    members = definition(f"id:S|{defined}", GlobalSecondaryIndexes=[index(key)])
    code, message = refusal(dynamodb.create_table, TableName="table", **members)
    assert (code, message.startswith("Invalid KeySchema: ")) == ("ValidationException", True)
