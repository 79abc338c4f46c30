"""PartiQL: statements, batches, transactions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from dynamodb_cases import Table, index, invalid, refusal


@pytest.fixture
def run(dynamodb: Any) -> Any:
    """Runs a statement; gives its items."""

    def execute(statement: str, *parameters: Any, **members: Any) -> Any:
        if parameters:
            members["Parameters"] = list(parameters)
        return dynamodb.execute_statement(Statement=statement, **members)["Items"]

    return execute


@pytest.fixture
def music(table: Table, run: Any) -> str:
    table(
        "artist:S song:S|year:N",
        name="Music",
        GlobalSecondaryIndexes=[index("by-year", "year", "artist")],
    )
    for artist, song, year in (("A", "one", 1990), ("A", "two", 1991), ("B", "one", 1990), ("C", "three", 1999)):
        assert run(f"INSERT INTO Music VALUE {{'artist':'{artist}','song':'{song}','year':{year}}}") == []
    return "Music"


def songs(items: list[Any]) -> list[tuple[str, str]]:
    return [(item["artist"]["S"], item["song"]["S"]) for item in items]


def malformed(why: str) -> tuple[str, str]:
    return invalid(f"Statement wasn't well formed, can't be processed: {why}")


def test_an_item_goes_in_with_all_types_and_comes_out_the_same(table: Table, run: Any) -> None:
    table("id:S")
    statement = (
        "INSERT INTO \"table\" VALUE {'id': 'it''s', 'n': -1.50, 'b': ?, 't': true, 'f': FALSE, 'nil': null, "
        "'l': [1, 'x', []], 'm': {'a': {'b': 2}}, 'ss': <<'x','y'>>, 'ns': <<1, 2>>}"
    )
    run(statement, {"B": b"\x00\x01"})
    (item,) = run("SELECT * FROM \"table\" WHERE id = 'it''s'")
    assert item == {
        "id": {"S": "it's"},
        "n": {"N": "-1.5"},
        "b": {"B": b"\x00\x01"},
        "t": {"BOOL": True},
        "f": {"BOOL": False},
        "nil": {"NULL": True},
        "l": {"L": [{"N": "1"}, {"S": "x"}, {"L": []}]},
        "m": {"M": {"a": {"M": {"b": {"N": "2"}}}}},
        "ss": {"SS": ["x", "y"]},
        "ns": {"NS": ["1", "2"]},
    }
    assert run('SELECT m.a.b, l[1], t FROM "table"') == [
        {"b": {"N": "2"}, "l[1]": {"S": "x"}, "t": {"BOOL": True}},
    ]


def test_inserting_over_an_item_is_refused(dynamodb: Any, music: str) -> None:
    statement = "INSERT INTO Music VALUE {'artist':'A','song':'one'}"
    assert refusal(dynamodb.execute_statement, Statement=statement) == (
        "DuplicateItemException",
        "Duplicate primary key exists in table",
    )


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("artist = 'A'", [("A", "one"), ("A", "two")]),
        ("'A' = artist AND song > 'one'", [("A", "two")]),
        ("artist = 'A' AND begins_with(song, 'o')", [("A", "one")]),
        ("artist = 'A' AND song BETWEEN 'p' AND 'z'", [("A", "two")]),
        ("artist IN ['A', 'C'] AND \"year\" <> 1990", [("A", "two"), ("C", "three")]),
        ("artist IN ('B', 'B')", [("B", "one")]),
        ("\"year\" = 1990 AND NOT artist = 'A'", [("B", "one")]),
        ("(song = 'two' OR song = 'three') AND \"year\" >= 1999", [("C", "three")]),
        ("artist IS MISSING", []),
        ("artist = 'A' AND nothing IS NOT MISSING", []),
        ("artist = 'A' AND \"year\" IS NULL", []),
        ("artist = 'B' AND attribute_type(\"year\", 'N')", [("B", "one")]),
        ("contains(song, 'hre')", [("C", "three")]),
        ("size(song) = 5", [("C", "three")]),
        ("song IN ['two', 'nothing'] AND artist != 'Z'", [("A", "two")]),
    ],
)
def test_conditions_choose(music: str, run: Any, where: str, found: list[Any]) -> None:
    assert sorted(songs(run(f"SELECT * FROM Music WHERE {where}"))) == found


def test_an_index_is_read_by_its_name_and_order_by_orders(music: str, run: Any, dynamodb: Any) -> None:
    assert songs(run('SELECT * FROM "Music"."by-year" WHERE "year" = 1990 ORDER BY artist DESC')) == [
        ("B", "one"),
        ("A", "one"),
    ]
    assert songs(run("SELECT * FROM Music WHERE artist='A' ORDER BY song DESC")) == [("A", "two"), ("A", "one")]
    descending = run("SELECT * FROM Music WHERE artist IN ['C','A','B'] ORDER BY artist DESC, song ASC")
    assert [artist for artist, _ in songs(descending)] == ["C", "B", "A", "A"]
    statement = "SELECT * FROM Music WHERE artist='A' ORDER BY \"year\""
    assert refusal(dynamodb.execute_statement, Statement=statement) == invalid(
        "Variable reference year in ORDER BY clause must be part of the primary key"
    )
    assert refusal(dynamodb.execute_statement, Statement='SELECT * FROM "Music"."no" WHERE a=1') == invalid(
        "The table does not have the specified index: no"
    )


def test_pages_follow_one_another(music: str, dynamodb: Any) -> None:
    for statement in ("SELECT * FROM Music", "SELECT song, artist FROM Music WHERE artist IN ['A','B','C']"):
        found, members = [], {"Statement": statement, "Limit": 1}
        while True:
            page = dynamodb.execute_statement(**members)
            assert len(page["Items"]) <= 1
            found += songs(page["Items"])
            if "NextToken" not in page:
                break
            members["NextToken"] = page["NextToken"]
        assert sorted(found) == [("A", "one"), ("A", "two"), ("B", "one"), ("C", "three")]
    token = dynamodb.execute_statement(Statement="SELECT * FROM Music", Limit=1)["NextToken"]
    other = {"Statement": "SELECT song FROM Music", "NextToken": token}
    assert refusal(dynamodb.execute_statement, **other) == invalid("NextToken does not match request")
    other["NextToken"] = "x"
    assert refusal(dynamodb.execute_statement, **other) == invalid("Given NextToken is invalid")


def test_in_takes_100_values(music: str, run: Any, dynamodb: Any) -> None:
    where = 'SELECT * FROM Music WHERE "year" IN [{}]'
    years = ["1990", *map(str, range(3000, 3100))]
    assert ("A", "one") in songs(run(where.format(",".join(years[:100]))))
    assert refusal(dynamodb.execute_statement, Statement=where.format(",".join(years))) == invalid(
        "The IN operator is provided with too many operands; number of operands: 101"
    )


def test_updates_set_remove_add_and_return_what_is_asked(music: str, run: Any, dynamodb: Any) -> None:
    where = "WHERE artist='A' AND song='one'"
    assert run(f"UPDATE Music SET n = 1 SET tags = <<'x','y'>> SET l = [1] SET m = {{'a': 1}} {where}") == []
    assert run(f"UPDATE Music SET n = n + ? SET m.b = 'c' {where} RETURNING MODIFIED NEW *", {"N": "4"}) == [
        {"n": {"N": "5"}, "m": {"M": {"b": {"S": "c"}}}}
    ]
    (item,) = run(
        f"UPDATE Music SET l = list_append(l, [2]) SET tags = set_add(tags, <<'z'>>) REMOVE m.a {where} "
        "RETURNING ALL NEW *"
    )
    assert item["l"] == {"L": [{"N": "1"}, {"N": "2"}]}
    assert sorted(item["tags"]["SS"]) == ["x", "y", "z"]
    assert item["m"] == {"M": {"b": {"S": "c"}}}
    (old,) = run(f"UPDATE Music SET tags = set_delete(tags, <<'x'>>), n = n - 1 {where} RETURNING MODIFIED OLD *")
    assert old["n"] == {"N": "5"}
    failed = ("ConditionalCheckFailedException", "The conditional request failed")
    for wrong in ("artist='A' AND song='no'", "artist='A' AND song='one' AND n = 99"):
        assert refusal(dynamodb.execute_statement, Statement=f"UPDATE Music SET n = 1 WHERE {wrong}") == failed
    with pytest.raises(ClientError) as caught:
        dynamodb.execute_statement(
            Statement=f"UPDATE Music SET n = 1 {where} AND n = 99", ReturnValuesOnConditionCheckFailure="ALL_OLD"
        )
    assert caught.value.response["Item"]["n"] == {"N": "4"}
    assert refusal(dynamodb.execute_statement, Statement="UPDATE Music SET n = 1 WHERE artist='A'") == invalid(
        "Where clause does not contain a mandatory equality on all key attributes"
    )


def test_deletes_return_what_was_there_and_find_nothing_without_fault(music: str, run: Any, dynamodb: Any) -> None:
    where = "WHERE artist='A' AND song='one'"
    assert refusal(dynamodb.execute_statement, Statement=f'DELETE FROM Music {where} AND "year" = 1') == (
        "ConditionalCheckFailedException",
        "The conditional request failed",
    )
    (old,) = run(f"DELETE FROM Music {where} RETURNING ALL OLD *")
    assert old["year"] == {"N": "1990"}
    assert run(f"DELETE FROM Music {where}") == []


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        ("", None),
        ("FETCH everything", "Expected data manipulation"),
        ("SELECT * FROM Music LIMIT 1", "Unsupported clause: LIMIT"),
        ("INSERT INTO Music VALUES {'a':1}", "Unexpected keyword"),
        ("SELECT * FROM Music WHERE", "Unexpected end of statement"),
        ("SELECT * FROM Music WHERE a = 'x", "Unexpected end of string"),
        ("SELECT * FROM 'Music'", "Expected identifier"),
        ("SELECT * FROM Music WHERE upper(a) = 1", "Unsupported function: upper"),
        ("SELECT * FROM Music WHERE " + "(" * 300, "More than 100 levels of nesting"),
        ("INSERT INTO Music VALUE " + "[" * 3000, "More than 100 levels of nesting"),
        ("SELECT * FROM Music WHERE NOT " + "NOT " * 300 + "a=1", "More than 100 levels of nesting"),
    ],
)
def test_what_is_no_statement_is_told_so(dynamodb: Any, statement: str, why: str | None) -> None:
    code, message = refusal(dynamodb.execute_statement, Statement=statement)
    assert code == "ValidationException"
    if why is not None:
        assert message == malformed(why)[1]


def test_parameters_must_be_as_many_as_question_marks(music: str, dynamodb: Any) -> None:
    for parameters in ([], [{"S": "A"}, {"S": "B"}]):
        members = {"Statement": "SELECT * FROM Music WHERE artist = ?"} | (
            {"Parameters": parameters} if parameters else {}
        )
        assert refusal(dynamodb.execute_statement, **members) == invalid(
            "Number of parameters in request and statement don't match."
        )
    assert refusal(dynamodb.execute_statement, Statement="SELECT * FROM nothing") == (
        "ResourceNotFoundException",
        "Requested resource not found",
    )


def test_consumed_capacity_is_told(music: str, dynamodb: Any) -> None:
    members = {"ReturnConsumedCapacity": "TOTAL"}
    read = dynamodb.execute_statement(Statement="SELECT * FROM Music WHERE artist IN ['A','B']", **members)
    assert read["ConsumedCapacity"] == {"TableName": "Music", "CapacityUnits": 1.0}
    written = dynamodb.execute_statement(Statement="INSERT INTO Music VALUE {'artist':'Z','song':'z'}", **members)
    assert written["ConsumedCapacity"] == {"TableName": "Music", "CapacityUnits": 1.0}


def test_a_batch_answers_each_statement_by_itself(music: str, dynamodb: Any) -> None:
    def batch(*statements: str) -> Any:
        return dynamodb.batch_execute_statement(Statements=[{"Statement": each} for each in statements])["Responses"]

    assert batch(
        "INSERT INTO Music VALUE {'artist':'D','song':'one'}",
        "INSERT INTO Music VALUE {'artist':'A','song':'one'}",
        "UPDATE Music SET n=1 WHERE artist='nobody' AND song='x'",
        "UPDATE Music SET n=1 WHERE artist='A' AND song='one' RETURNING ALL NEW *",
        "INSERT INTO nothing VALUE {'a':1}",
        "INSERT Music",
    ) == [
        {"TableName": "Music"},
        {"Error": {"Code": "DuplicateItem", "Message": "Duplicate primary key exists in table"}},
        {"Error": {"Code": "ConditionalCheckFailed", "Message": "The conditional request failed"}},
        {
            "TableName": "Music",
            "Item": {"artist": {"S": "A"}, "song": {"S": "one"}, "year": {"N": "1990"}, "n": {"N": "1"}},
        },
        {"Error": {"Code": "ResourceNotFound", "Message": "Requested resource not found"}},
        {"Error": {"Code": "ValidationError", "Message": malformed("Unexpected token: Music")[1]}},
    ]
    assert batch(
        "SELECT song FROM Music WHERE artist='D' AND song='one'",
        "SELECT * FROM Music WHERE artist='D' AND song='two'",
        "SELECT * FROM Music WHERE artist='D'",
    ) == [
        {"TableName": "Music", "Item": {"song": {"S": "one"}}},
        {"TableName": "Music"},
        {
            "Error": {
                "Code": "ValidationError",
                "Message": "Select statements within BatchExecuteStatement must specify the primary key in the where "
                "clause.",
            }
        },
    ]
    mixed = [{"Statement": "SELECT * FROM Music"}, {"Statement": "DELETE FROM Music WHERE artist='A' AND song='one'"}]
    assert refusal(dynamodb.batch_execute_statement, Statements=mixed)[0] == "ValidationException"


def test_a_transaction_is_done_whole_or_not_at_all(music: str, dynamodb: Any, run: Any) -> None:
    def transact(*statements: str, **members: Any) -> Any:
        return dynamodb.execute_transaction(TransactStatements=[{"Statement": each} for each in statements], **members)

    update = "UPDATE Music SET n=1 WHERE artist='A' AND song='two'"
    with pytest.raises(ClientError) as caught:
        transact(
            "EXISTS(SELECT * FROM Music WHERE artist='B' AND song='one' AND \"year\" = 2000)",
            update,
            "INSERT INTO Music VALUE {'artist':'A','song':'one'}",
        )
    assert caught.value.response["Error"] == {
        "Code": "TransactionCanceledException",
        "Message": "Transaction cancelled, please refer cancellation reasons for specific reasons "
        "[ConditionalCheckFailed, None, DuplicateItem]",
    }
    assert [reason["Code"] for reason in caught.value.response["CancellationReasons"]] == [
        "ConditionalCheckFailed",
        "None",
        "DuplicateItem",
    ]
    assert "n" not in run("SELECT * FROM Music WHERE artist='A' AND song='two'")[0]
    exists = "EXISTS(SELECT * FROM Music WHERE artist='B' AND song='one' AND \"year\" = 1990)"
    for _ in range(2):
        transact(
            exists, "UPDATE Music SET \"year\" = \"year\" + 1 WHERE artist='A' AND song='two'", ClientRequestToken="t"
        )
    read = transact(
        "SELECT \"year\" FROM Music WHERE artist='A' AND song='two'",
        "SELECT * FROM Music WHERE artist='no' AND song='two'",
    )
    assert read["Responses"] == [{"Item": {"year": {"N": "1992"}}}, {}]
    assert (
        refusal(
            dynamodb.execute_transaction,
            TransactStatements=[
                {"Statement": update},
                {"Statement": "SELECT * FROM Music WHERE artist='A' AND song='two'"},
            ],
        )[0]
        == "ValidationException"
    )


def test_policies_know_the_kinds_of_statement_and_full_scans(music: str, aws: Any) -> None:
    iam, sts = aws.client("iam"), aws.client("sts")
    trust = {"Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
    role = iam.create_role(RoleName="reader", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    policy = {
        "Statement": [
            {"Effect": "Allow", "Action": "dynamodb:PartiQLSelect", "Resource": "*"},
            {
                "Effect": "Deny",
                "Action": "dynamodb:PartiQLSelect",
                "Resource": "*",
                "Condition": {"Bool": {"dynamodb:FullTableScan": "true"}},
            },
        ]
    }
    iam.put_role_policy(RoleName="reader", PolicyName="p", PolicyDocument=json.dumps(policy))
    credentials = sts.assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    reader = aws.client("dynamodb", credentials=credentials)
    assert len(reader.execute_statement(Statement="SELECT * FROM Music WHERE artist='A'")["Items"]) == 2
    code, message = refusal(reader.execute_statement, Statement="SELECT * FROM Music")
    assert code == "AccessDeniedException"
    assert "dynamodb:PartiQLSelect on resource" in message
    statement = "DELETE FROM Music WHERE artist='A' AND song='one'"
    assert "dynamodb:PartiQLDelete" in refusal(reader.execute_statement, Statement=statement)[1]
    (answer,) = reader.batch_execute_statement(Statements=[{"Statement": statement}])["Responses"]
    assert answer["Error"]["Code"] == "AccessDenied"
