"""Update and projection expressions: what they make of an item, and AWS's words for wrong ones."""

from __future__ import annotations

from typing import Any

import pytest

from pileus.kernel.errors import AWSError
from pileus.services.dynamodb import values
from pileus.services.dynamodb.expressions.parameters import Expressions

ITEM: dict[str, Any] = {
    "id": {"S": "a"},
    "n": {"N": "5"},
    "s": {"S": "text"},
    "l": {"L": [{"N": "0"}, {"N": "1"}, {"N": "2"}, {"N": "3"}]},
    "m": {"M": {"k": {"S": "v"}, "l": {"L": [{"S": "x"}]}}},
    "words": {"SS": ["x", "y"]},
    "nums": {"NS": ["1"]},
}
VALUES: dict[str, Any] = {
    ":one": {"N": "1"},
    ":new": {"S": "new"},
    ":other": {"S": "other"},
    ":list": {"L": [{"S": "e"}]},
    ":words": {"SS": ["y", "z"]},
    ":all": {"SS": ["x", "y"]},
    ":nums": {"NS": ["1", "2"]},
    ":true": {"BOOL": True},
    ":huge": {"N": "9" * 38},
    ":map": {"M": {}},
}


def parse(member: str, text: str, names: dict[str, str] | None = None) -> Expressions:
    tokens = set(text.replace("(", " ").replace(")", " ").replace(",", " ").split())
    request: dict[str, Any] = {member: text}
    if names:
        request["ExpressionAttributeNames"] = names
    if given := {name: value for name, value in VALUES.items() if name in tokens}:
        request["ExpressionAttributeValues"] = given
    return Expressions(request)


def updated(text: str, item: dict[str, Any], names: dict[str, str] | None = None) -> dict[str, Any]:
    parsed = parse("UpdateExpression", text, names)
    update = parsed.update()
    parsed.finish()
    assert update is not None
    before = values.check_item(item)[0]
    kept = values.dump(before)
    after = update.apply(before, before)
    assert values.dump(before) == kept, "the item itself is not changed"
    return after


def numbers(*found: int) -> dict[str, Any]:
    return {"L": [{"N": str(each)} for each in found]}


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("SET a = :new", {"a": {"S": "new"}}),
        ("set a = :new, n = :one", {"a": {"S": "new"}, "n": {"N": "1"}}),
        ("SET n = n + :one", {"n": {"N": "6"}}),
        ("SET n = n - :one", {"n": {"N": "4"}}),
        ("SET n = :one + :one + :one", {"n": {"N": "3"}}),
        ("SET n = n - (n - :one)", {"n": {"N": "1"}}),
        ("SET a = s", {"a": {"S": "text"}}),
        # Everything is read before anything is written.
        ("SET s = id, id2 = s", {"s": {"S": "a"}, "id2": {"S": "text"}}),
        ("SET a = if_not_exists(s, :new)", {"a": {"S": "text"}}),
        ("SET a = if_not_exists(x, :new)", {"a": {"S": "new"}}),
        ("SET a = if_not_exists(x, :one) + :one", {"a": {"N": "2"}}),
        ("SET l = list_append(l, :list)", {"l": {"L": [*numbers(0, 1, 2, 3)["L"], {"S": "e"}]}}),
        ("SET x = list_append(if_not_exists(x, :list), :list)", {"x": {"L": [{"S": "e"}, {"S": "e"}]}}),
        ("SET l[1] = :one", {"l": numbers(0, 1, 2, 3)}),
        ("SET l[9] = :one, l[7] = :new", {"l": {"L": [*numbers(0, 1, 2, 3)["L"], {"S": "new"}, {"N": "1"}]}}),
        ("SET m.k = :new", {"m": {"M": {"k": {"S": "new"}, "l": {"L": [{"S": "x"}]}}}}),
        ("SET m.x = :new, m.l[0] = :one", {"m": {"M": {"k": {"S": "v"}, "l": numbers(1), "x": {"S": "new"}}}}),
        ("REMOVE s", {"s": None}),
        ("REMOVE s, absent", {"s": None}),
        ("REMOVE l[0], l[2]", {"l": numbers(1, 3)}),
        ("REMOVE l[2], l[0]", {"l": numbers(1, 3)}),
        ("REMOVE l[9]", {}),
        ("REMOVE m.k, m.absent", {"m": {"M": {"l": {"L": [{"S": "x"}]}}}}),
        ("SET l[3] = :new REMOVE l[0]", {"l": {"L": [*numbers(1, 2)["L"], {"S": "new"}]}}),
        ("ADD n :one", {"n": {"N": "6"}}),
        ("ADD a :one", {"a": {"N": "1"}}),
        ("ADD words :words", {"words": {"SS": ["x", "y", "z"]}}),
        ("ADD nums :nums", {"nums": {"NS": ["1", "2"]}}),
        ("ADD fresh :words", {"fresh": {"SS": ["y", "z"]}}),
        ("ADD m.cnt :one", {"m": {"M": {**ITEM["m"]["M"], "cnt": {"N": "1"}}}}),
        ("DELETE words :words", {"words": {"SS": ["x"]}}),
        ("DELETE words :all", {"words": None}),
        ("DELETE absent :all", {}),
        ("SET a = :new REMOVE s ADD n :one DELETE words :words", {
            "a": {"S": "new"}, "s": None, "n": {"N": "6"}, "words": {"SS": ["x"]},
        }),
    ],
)  # fmt: skip
def test_updates(text: str, changes: dict[str, Any]) -> None:
    expected = {name: value for name, value in {**ITEM, **changes}.items() if value is not None}
    assert updated(text, ITEM) == expected


def test_names() -> None:
    assert updated("SET #a.#b = :new", {"a.b": {"M": {}}}, {"#a": "a.b", "#b": "c d"}) == {
        "a.b": {"M": {"c d": {"S": "new"}}}
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("SET a = absent", "The provided expression refers to an attribute that does not exist in the item"),
        ("SET a = absent + :one", "The provided expression refers to an attribute that does not exist in the item"),
        ("SET a = s + :one", "An operand in the update expression has an incorrect data type"),
        ("SET a = list_append(s, :list)", "An operand in the update expression has an incorrect data type"),
        ("ADD s :one", "An operand in the update expression has an incorrect data type"),
        ("ADD words :one", "An operand in the update expression has an incorrect data type"),
        ("DELETE nums :words", "An operand in the update expression has an incorrect data type"),
        ("SET x.y = :new", "The document path provided in the update expression is invalid for update"),
        ("SET s.y = :new", "The document path provided in the update expression is invalid for update"),
        ("SET m[0] = :new", "The document path provided in the update expression is invalid for update"),
        ("SET l.k = :new", "The document path provided in the update expression is invalid for update"),
        ("SET l[9].k = :new", "The document path provided in the update expression is invalid for update"),
        ("REMOVE x.y", "The document path provided in the update expression is invalid for update"),
        ("SET n = :huge + :one", None),
    ],
)
def test_updates_that_do_not_fit_the_item(text: str, message: str | None) -> None:
    if message is None:
        # 10**38 has one significant digit.
        assert updated(text, ITEM)["n"] == {"N": "1" + "0" * 38}
        return
    with pytest.raises(AWSError) as caught:
        updated(text, ITEM)
    assert (caught.value.code, caught.value.message) == ("ValidationException", message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The expression can not be empty;"),
        ("INVALID SYNTAX HERE", 'Syntax error; token: "INVALID", near: "INVALID SYNTAX"'),
        ("ADD hits : incr", 'Syntax error; token: ":", near: "hits : incr"'),
        ("SET a", 'Syntax error; token: "<EOF>", near: "a"'),
        ("SET", 'Syntax error; token: "<EOF>", near: "SET"'),
        ("SET a = :new,", 'Syntax error; token: "<EOF>", near: ","'),
        ("SET a = :new, SET s = :new", 'Syntax error; token: "SET", near: ", SET s"'),
        ("SET a = :new s = :new", 'Syntax error; token: "s", near: ":new s ="'),
        ("ADD a s", 'Syntax error; token: "s", near: "a s"'),
        ("SET a = 1", 'Syntax error; token: "1", near: "= 1"'),
        ("SET a = :new * :one", 'Syntax error; token: "*", near: ":new * :one"'),
        ("SET a = :new SET s = :new", 'The "SET" section can only be used once in an update expression;'),
        ("SET name = :new", "Attribute name is a reserved keyword; reserved keyword: name"),
        ("SET a = foo(s)", "Invalid function name; function: foo"),
        (
            "SET a = attribute_exists(s)",
            "The function is not allowed in an update expression; function: attribute_exists",
        ),
        (
            "SET a = if_not_exists(s)",
            "Incorrect number of operands for operator or function; "
            "operator or function: if_not_exists, number of operands: 1",
        ),
        (
            "SET a = if_not_exists(:one, :new)",
            "Operator or function requires a document path; operator or function: if_not_exists",
        ),
        (
            "SET a = :new, a = :other",
            "Two document paths overlap with each other; must remove or rewrite one of these paths; "
            "path one: [a], path two: [a]",
        ),
        (
            "SET a.b[1] = :new REMOVE a",
            "Two document paths overlap with each other; must remove or rewrite one of these paths; "
            "path one: [a, b, [1]], path two: [a]",
        ),
        (
            "SET a.b = :new, a[1] = :new",
            "Two document paths conflict with each other; must remove or rewrite one of these paths; "
            "path one: [a, b], path two: [a, [1]]",
        ),
        (
            "SET #x = :new",
            "An expression attribute name used in the document path is not defined; attribute name: #x",
        ),
        ("SET a = :x", "An expression attribute value used in expression is not defined; attribute value: :x"),
        (
            "SET a = :one + :new",
            "Incorrect operand type for operator or function; operator or function: +, operand type: S",
        ),
        (
            "SET a = list_append(:one, :list)",
            "Incorrect operand type for operator or function; operator or function: list_append, operand type: N",
        ),
        (
            "ADD a :new",
            "Incorrect operand type for operator or function; operator: ADD, operand type: STRING, "
            "typeSet: ALLOWED_FOR_ADD_OPERAND",
        ),
        (
            "ADD a :list",
            "Incorrect operand type for operator or function; operator: ADD, operand type: LIST, "
            "typeSet: ALLOWED_FOR_ADD_OPERAND",
        ),
        (
            "DELETE a :one",
            "Incorrect operand type for operator or function; operator: DELETE, operand type: NUMBER, "
            "typeSet: ALLOWED_FOR_DELETE_OPERAND",
        ),
    ],
)  # fmt: skip
def test_wrong_updates(text: str, message: str) -> None:
    with pytest.raises(AWSError) as caught:
        parse("UpdateExpression", text).update()
    assert (caught.value.code, caught.value.message) == ("ValidationException", f"Invalid UpdateExpression: {message}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id", {"id": {"S": "a"}}),
        ("id, n,absent", {"id": {"S": "a"}, "n": {"N": "5"}}),
        ("m.k", {"m": {"M": {"k": {"S": "v"}}}}),
        ("m.k, m.l[0]", {"m": {"M": {"k": {"S": "v"}, "l": {"L": [{"S": "x"}]}}}}),
        ("l[3], l[1]", {"l": numbers(1, 3)}),
        ("l[9]", {}),
        ("m.absent", {}),
        ("s.k", {}),
        ("l[0].k, id", {"id": {"S": "a"}}),
    ],
)
def test_projections(text: str, expected: dict[str, Any]) -> None:
    projection = parse("ProjectionExpression", text).projection()
    assert projection is not None
    assert projection.pick(ITEM) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The expression can not be empty;"),
        ("a,", 'Syntax error; token: "<EOF>", near: ","'),
        ("a b", 'Syntax error; token: "b", near: "a b"'),
        (":a", 'Syntax error; token: ":a", near: ":a"'),
        ("size(a)", 'Syntax error; token: "(", near: "size(a"'),
        ("name", "Attribute name is a reserved keyword; reserved keyword: name"),
        (
            "a, a.b",
            "Two document paths overlap with each other; must remove or rewrite one of these paths; "
            "path one: [a], path two: [a, b]",
        ),
        ("#a", "An expression attribute name used in the document path is not defined; attribute name: #a"),
    ],
)
def test_wrong_projections(text: str, message: str) -> None:
    with pytest.raises(AWSError) as caught:
        parse("ProjectionExpression", text).projection()
    assert caught.value.message == f"Invalid ProjectionExpression: {message}"
