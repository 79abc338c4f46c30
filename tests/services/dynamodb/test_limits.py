"""What is just small enough, and what is one too many: "Quotas in Amazon DynamoDB", in the order of that page.

Throughput, its changes and the number of tables: `test_throughput`. Pages of streams: `test_streams`.
"""

from __future__ import annotations

from typing import Any

import pytest
from dynamodb_cases import Table, definition, index, invalid, invalid_values, refusal

KEY_LENGTHS = {
    "id": invalid_values("Size of hashkey has exceeded the maximum size limit of2048 bytes"),
    "sort": invalid_values("Aggregated size of all range keys has exceeded the size limit of 1024 bytes"),
}
ITEM_BYTES = 400 * 1024
TOO_LARGE = "Item size has exceeded the maximum allowed size"


def keys(count: int) -> list[dict[str, Any]]:
    return [{"id": {"S": f"i{number:03}"}} for number in range(count)]


def constraint(call: Any, /, **members: Any) -> str:
    """What is behind the value in the message about a modelled constraint."""
    code, message = refusal(call, **members)
    assert code == "ValidationException"
    assert message.startswith("1 validation error detected: Value '")
    return message[message.rindex("' at '") + 2 :]


def longest(most: int) -> str:
    return f"failed to satisfy constraint: Member must have length less than or equal to {most}"


def test_indexes(dynamodb: Any) -> None:
    def made_with(keys: str = "id:S", **members: Any) -> tuple[str, str]:
        return refusal(dynamodb.create_table, TableName="table", **definition(keys, **members))

    assert made_with(GlobalSecondaryIndexes=[index(f"i{number:02}", "id") for number in range(21)]) == invalid_values(
        "Number of GlobalSecondaryIndexes exceeds per-table limit of 20"
    )
    assert made_with(
        "id:S sort:S | more:S", LocalSecondaryIndexes=[index(f"i{number:02}", "id", "more") for number in range(6)]
    ) == invalid_values("Number of LocalSecondaryIndexes exceeds per-table limit of 5")
    shares = [index(f"i{number:02}", "id", "", *(f"a{each}" for each in range(17))) for number in range(6)]
    assert made_with(GlobalSecondaryIndexes=shares) == invalid_values(
        "Number of NonKeyAttributes across all indexes exceeds per-table limit of 100"
    )
    members = definition("id:S", GlobalSecondaryIndexes=[index("idx", "id", "", *(f"a{each}" for each in range(21)))])
    assert constraint(dynamodb.create_table, TableName="table", **members) == (
        f"at 'globalSecondaryIndexes.1.member.projection.nonKeyAttributes' {longest(20)}"
    )


@pytest.mark.parametrize(("member", "most"), [("id", 2048), ("sort", 1024)])
def test_key_lengths(dynamodb: Any, table: Table, member: str, most: int) -> None:
    table("id:S sort:S")
    longest, longer = (
        {"id": {"S": "a"}, "sort": {"S": "a"}, member: {"S": "é" + "x" * (size - 2)}} for size in (most, most + 1)
    )
    dynamodb.put_item(TableName="table", Item=longest)
    assert dynamodb.get_item(TableName="table", Key=longest)["Item"] == longest
    query = {"TableName": "table", "KeyConditionExpression": "id = :id AND sort = :sort"}
    found = dynamodb.query(**query, ExpressionAttributeValues={f":{name}": value for name, value in longest.items()})
    assert found["Items"] == [longest]
    for call, request in (
        (dynamodb.put_item, {"TableName": "table", "Item": longer}),
        (dynamodb.get_item, {"TableName": "table", "Key": longer}),
        (dynamodb.query, {**query, "ExpressionAttributeValues": {f":{name}": each for name, each in longer.items()}}),
    ):
        assert refusal(call, **request) == KEY_LENGTHS[member]


def test_names(dynamodb: Any, table: Table) -> None:
    wrong = invalid("TableName must be at least 3 characters long and at most 255 characters long")
    for name in ("ab", "a" * 256):
        assert refusal(dynamodb.create_table, TableName=name, **definition("id:S")) == wrong
        assert refusal(dynamodb.get_item, TableName=name, Key={"id": {"S": "a"}}) == wrong
    assert constraint(dynamodb.create_table, TableName="a b", **definition("id:S")) == (
        "at 'tableName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"
    )
    table(name="a" * 255, keys="i" * 255 + ":S", GlobalSecondaryIndexes=[index("i" * 255, "i" * 255)])
    for name, rule in (("ab", "Member must have length greater than or equal to 3"), ("a" * 256, longest(255)[33:])):
        members = definition("id:S", GlobalSecondaryIndexes=[index(name, "id")])
        assert constraint(dynamodb.create_table, TableName="table", **members).endswith(rule)
    # The same attribute is named twice: in the key and where it is defined.
    code, message = refusal(dynamodb.create_table, TableName="table", **definition("i" * 256 + ":S"))
    assert (code, message[:28]) == ("ValidationException", "2 validation errors detected")
    assert longest(255) in message


def test_attribute_names(dynamodb: Any, table: Table) -> None:
    table()
    dynamodb.put_item(TableName="table", Item={"id": {"S": "a"}, "n" * 65_535: {"S": "a"}})
    put = dynamodb.put_item
    code, message = refusal(put, TableName="table", Item={"id": {"S": "a"}, "n" * 65_536: {"S": "a"}})
    assert (code, longest(65_535)[33:] in message) == ("ValidationException", True)
    assert refusal(put, TableName="table", Item={"id": {"S": "a"}, "": {"S": "a"}})[0] == "ValidationException"


@pytest.mark.parametrize(
    ("most", "more", "message"),
    [
        (
            "9." + "9" * 37 + "E125",
            "1E126",
            "Number overflow. Attempting to store a number with magnitude larger than supported range",
        ),
        (
            "-9.99E125",
            "-1E126",
            "Number overflow. Attempting to store a number with magnitude larger than supported range",
        ),
        (
            "1E-130",
            "1E-131",
            "Number underflow. Attempting to store a number with magnitude smaller than supported range",
        ),
        ("1" * 38, "1" * 39, "Attempting to store more than 38 significant digits in a Number"),
        ("0." + "1" * 38, "0." + "1" * 39, "Attempting to store more than 38 significant digits in a Number"),
    ],
)
def test_numbers(dynamodb: Any, table: Table, most: str, more: str, message: str) -> None:
    table()
    dynamodb.put_item(TableName="table", Item={"id": {"S": "a"}, "n": {"N": most}})
    assert refusal(dynamodb.put_item, TableName="table", Item={"id": {"S": "a"}, "n": {"N": more}}) == invalid(message)


def test_items(dynamodb: Any, table: Table) -> None:
    table()
    dynamodb.put_item(TableName="table", Item={"id": {"S": "a"}, "d": {"S": "x" * (ITEM_BYTES - 4)}})
    larger = {"id": {"S": "a"}, "d": {"S": "x" * (ITEM_BYTES - 3)}}
    assert refusal(dynamodb.put_item, TableName="table", Item=larger) == invalid(TOO_LARGE)
    assert refusal(
        dynamodb.update_item,
        TableName="table",
        Key={"id": {"S": "a"}},
        UpdateExpression="SET more = :more",
        ExpressionAttributeValues={":more": {"S": "x"}},
    ) == invalid("Item size to update has exceeded the maximum allowed size")


def test_items_count_with_their_entries_in_local_indexes(dynamodb: Any, table: Table) -> None:
    table(
        "id:S sort:S | rank:S",
        LocalSecondaryIndexes=[index("all", "id", "rank"), index("keys", "id", "rank", kind="KEYS_ONLY")],
    )
    keys = {"id": {"S": "a"}, "sort": {"S": "b"}}
    table_bytes = 2 + 1 + 4 + 1
    entry_bytes = table_bytes + 4 + 1
    # Thrice what its keys take, twice what is no key.
    room = (ITEM_BYTES - 3 * entry_bytes - 2 * len("d")) // 2
    item = {**keys, "rank": {"S": "c"}, "d": {"S": "x" * room}}
    dynamodb.put_item(TableName="table", Item=item)
    assert refusal(dynamodb.put_item, TableName="table", Item={**item, "d": {"S": "x" * (room + 1)}}) == invalid(
        TOO_LARGE
    )
    # What has no place in the indexes counts once.
    dynamodb.put_item(TableName="table", Item={**keys, "d": {"S": "x" * (ITEM_BYTES - table_bytes - 1)}})
    assert refusal(
        dynamodb.update_item,
        TableName="table",
        Key=keys,
        UpdateExpression="SET #rank = :rank",
        ExpressionAttributeNames={"#rank": "rank"},
        ExpressionAttributeValues={":rank": {"S": "c"}},
    ) == invalid("Item size to update has exceeded the maximum allowed size")


def test_levels(dynamodb: Any, table: Table) -> None:
    table()
    value: dict[str, Any] = {"S": "a"}
    for _ in range(16):
        value = {"L": [{"M": {"m": value}}]}
    dynamodb.put_item(TableName="table", Item={"id": {"S": "a"}, "d": value})
    assert refusal(dynamodb.put_item, TableName="table", Item={"id": {"S": "a"}, "d": {"L": [value]}}) == invalid(
        "Nesting Levels have exceeded supported limits: "
        "Attributes in the item have nested levels beyond supported limit"
    )


def test_expressions(dynamodb: Any, table: Table) -> None:
    table()

    def scan(expression: str, names: dict[str, str] | None = None, **values: str) -> dict[str, Any]:
        given = {"ExpressionAttributeNames": names} if names else {}
        if values:
            given["ExpressionAttributeValues"] = {f":{name}": {"S": value} for name, value in values.items()}
        return {"TableName": "table", "FilterExpression": expression, **given}

    def refused(*args: Any, **values: str) -> tuple[str, str]:
        return refusal(dynamodb.scan, **scan(*args, **values))

    dynamodb.scan(**scan("a = :v".ljust(4096), v="x"))
    assert refused("a = :v".ljust(4097), v="x") == invalid(
        "Invalid FilterExpression: Expression size has exceeded the maximum allowed size; expression size: 4097"
    )
    dynamodb.scan(**scan(" OR ".join(["a=:v"] * 150), v="x"))
    assert refused(" OR ".join(["a=:v"] * 151), v="x") == invalid(
        "Invalid FilterExpression: The expression contains too many operators; operator count: 301"
    )
    hundred = {f"v{number}": "x" for number in range(100)}
    dynamodb.scan(**scan(f"a IN (:{', :'.join(hundred)})", **hundred))
    assert refused(f"a IN (:{', :'.join(hundred)}, :w)", **hundred, w="x") == invalid(
        "Invalid FilterExpression: The IN operator is provided with too many operands; number of operands: 101"
    )
    dynamodb.scan(**scan(f"#{'n' * 254} = :{'v' * 254}", {"#" + "n" * 254: "a"}, **{"v" * 254: "x"}))
    for expression, names, values in (
        (f"#{'n' * 255} = :v", {"#" + "n" * 255: "a"}, {"v": "x"}),
        (f"a = :{'v' * 255}", None, {"v" * 255: "x"}),
    ):
        code, message = refused(expression, names, **values)
        assert (code, "exceeded the maximum allowed length of 255" in message) == ("ValidationException", True)
    large = {f"v{number}": "x" * (ITEM_BYTES - 1024) for number in range(5)}
    either = " OR ".join(f"a = :{name}" for name in large)
    dynamodb.scan(**scan(either, **large))
    code, message = refused(f"{either} OR a = :w", **large, w="x" * 100_000)
    assert (code, "exceeded the maximum allowed size" in message) == ("ValidationException", True)


def test_batches(dynamodb: Any, table: Table) -> None:
    table()
    table(name="other")
    puts = [{"PutRequest": {"Item": key}} for key in keys(26)]
    assert dynamodb.batch_write_item(RequestItems={"table": puts[:25]})["UnprocessedItems"] == {}
    assert "Member must have length less than or equal to 25" in constraint(
        dynamodb.batch_write_item, RequestItems={"table": puts}
    )
    found = dynamodb.batch_get_item(RequestItems={"table": {"Keys": keys(100)}})
    assert len(found["Responses"]["table"]) == 25
    assert constraint(dynamodb.batch_get_item, RequestItems={"table": {"Keys": keys(101)}}) == (
        f"at 'requestItems.table.member.keys' {longest(100)}"
    )
    assert constraint(dynamodb.batch_get_item, RequestItems={}) == (
        "at 'requestItems' failed to satisfy constraint: Member must have length greater than or equal to 1"
    )


def test_transactions(dynamodb: Any, table: Table) -> None:
    table()

    def puts(count: int, size: int = 0) -> list[dict[str, Any]]:
        more = {"d": {"S": "x" * size}} if size else {}
        return [{"Put": {"TableName": "table", "Item": {**key, **more}}} for key in keys(count)]

    dynamodb.transact_write_items(TransactItems=puts(100))
    assert constraint(dynamodb.transact_write_items, TransactItems=puts(101)) == f"at 'transactItems' {longest(100)}"
    too_large = invalid("Transaction request size exceeds the limit of 4 MB")
    dynamodb.transact_write_items(TransactItems=puts(10, 400_000))
    assert refusal(dynamodb.transact_write_items, TransactItems=puts(11, 400_000)) == too_large
    gets = [{"Get": {"TableName": "table", "Key": key}} for key in keys(101)]
    dynamodb.put_item(TableName="table", Item={**keys(11)[-1], "d": {"S": "x" * 400_000}})
    assert len(dynamodb.transact_get_items(TransactItems=gets[:10])["Responses"]) == 10
    assert refusal(dynamodb.transact_get_items, TransactItems=gets[:11]) == too_large
    assert constraint(dynamodb.transact_get_items, TransactItems=gets) == f"at 'transactItems' {longest(100)}"
    assert (
        constraint(dynamodb.transact_write_items, TransactItems=puts(1), ClientRequestToken="t" * 37)
        == f"at 'clientRequestToken' {longest(36)}"
    )


def test_statements(dynamodb: Any, table: Table) -> None:
    table()
    statement = "SELECT * FROM \"table\" WHERE id = 'a'"
    dynamodb.execute_statement(Statement=statement.ljust(8192))
    assert constraint(dynamodb.execute_statement, Statement=statement.ljust(8193)) == f"at 'statement' {longest(8192)}"
    many = [{"Statement": statement.replace("'a'", f"'{number}'")} for number in range(101)]
    assert len(dynamodb.batch_execute_statement(Statements=many[:25])["Responses"]) == 25
    assert constraint(dynamodb.batch_execute_statement, Statements=many[:26]) == f"at 'statements' {longest(25)}"
    assert len(dynamodb.execute_transaction(TransactStatements=many[:100])["Responses"]) == 100
    assert (
        constraint(dynamodb.execute_transaction, TransactStatements=many) == f"at 'transactStatements' {longest(100)}"
    )


def test_tags(dynamodb: Any) -> None:
    def made_with(*tags: tuple[str, str]) -> dict[str, Any]:
        return {"TableName": "table", **definition("id:S", Tags=[{"Key": key, "Value": value} for key, value in tags])}

    create = dynamodb.create_table
    assert constraint(create, **made_with(("k" * 129, "v"))) == f"at 'tags.1.member.key' {longest(128)}"
    assert constraint(create, **made_with(("k", "v" * 257))) == f"at 'tags.1.member.value' {longest(256)}"
    assert refusal(create, **made_with(*((f"k{number}", "v") for number in range(51))))[0] == "LimitExceededException"
    create(**made_with(("k" * 128, "v" * 256), *((f"k{number}", "v") for number in range(49))))
