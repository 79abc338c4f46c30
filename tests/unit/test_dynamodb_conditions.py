"""Condition and filter expressions: what they say of an item, and AWS's words for wrong ones."""

from __future__ import annotations

from typing import Any

import pytest

from pileus.kernel.errors import AWSError
from pileus.services.dynamodb import values
from pileus.services.dynamodb.expressions.parameters import Expressions, Predicate

ITEM = {
    "id": {"S": "a1"},
    "n": {"N": "5"},
    "neg": {"N": "-1.5"},
    "b": {"B": b"\x01\x02\xff"},
    "yes": {"BOOL": True},
    "nil": {"NULL": True},
    "words": {"SS": ["x", "y"]},
    "nums": {"NS": ["1", "2.50"]},
    "l": {"L": [{"S": "first"}, {"M": {"k": {"N": "7"}}}, {"SS": ["q", "p"]}]},
    "m": {"M": {"k": {"S": "v"}, "deep": {"M": {"er": {"L": [{"N": "1"}]}}}}},
    "a.b": {"S": "dotted"},
    "status": {"S": "reserved"},
}
NAMES = {"#s": "status", "#dot": "a.b", "#k": "k"}
VALUES = {
    ":a1": {"S": "a1"},
    ":a": {"S": "a"},
    ":five": {"N": "5.0"},
    ":four": {"N": "4"},
    ":six": {"N": "6"},
    ":x": {"S": "x"},
    ":two": {"N": "2.5"},
    ":bytes": {"B": b"\x01\x02"},
    ":true": {"BOOL": True},
    ":nil": {"NULL": True},
    ":set": {"SS": ["y", "x"]},
    ":pq": {"SS": ["p", "q"]},
    ":first": {"S": "first"},
    ":v": {"S": "v"},
    ":S": {"S": "S"},
    ":M": {"S": "M"},
    ":res": {"S": "reserved"},
    ":map": {"M": {"k": {"N": "7.0"}}},
    ":three": {"N": "3"},
}


def parse(text: str, **members: Any) -> Predicate:
    """The text's predicate, with those names and values of the tables above that it uses."""
    tokens = set(text.replace("(", " ").replace(")", " ").replace(",", " ").split())
    request: dict[str, Any] = {"ConditionExpression": text}
    if used_names := {name: meant for name, meant in NAMES.items() if name in text}:
        request["ExpressionAttributeNames"] = used_names
    if given := {name: value for name, value in VALUES.items() if name in tokens}:
        request["ExpressionAttributeValues"] = given
    parsed = Expressions({**request, **members})
    condition = parsed.condition("ConditionExpression")
    parsed.finish()
    assert condition is not None
    return condition


def holds(text: str, item: dict[str, Any]) -> bool:
    return parse(text).test(values.check_item(item)[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("id = :a1", True),
        (":a1 = id", True),
        ("id <> :a1", False),
        ("absent = :a1", False),
        ("absent <> :a1", True),
        ("n = :five", True),
        ("n > :four AND n < :six", True),
        ("n >= :five and n <= :five", True),
        ("n < :five", False),
        ("id > :four", False),
        ("neg < :four", True),
        ("n BETWEEN :four AND :six", True),
        ("n between :six and :six", False),
        ("n IN (:four, :five, :six)", True),
        ("n IN (:four)", False),
        ("absent IN (:four)", False),
        ("NOT n = :four", True),
        ("NOT NOT n = :four", False),
        # NOT binds tighter than AND, AND than OR.
        ("NOT n = :five OR id = :a1", True),
        ("id = :a1 OR n = :four AND n = :six", True),
        ("(id = :a1 OR n = :four) AND n = :six", False),
        ("NOT (id = :a1 AND n = :four)", True),
        ("attribute_exists(id)", True),
        ("attribute_exists(absent)", False),
        ("attribute_exists(m.deep.er[0])", True),
        ("attribute_exists(m.deep.er[1])", False),
        ("attribute_exists(id.x)", False),
        ("attribute_not_exists(absent)", True),
        ("attribute_not_exists(l[3])", True),
        ("attribute_type(id, :S)", True),
        ("attribute_type(id, :M)", False),
        ("attribute_type(absent, :S)", False),
        ("begins_with(id, :a)", True),
        ("begins_with(n, :a)", False),
        ("begins_with(b, :bytes)", True),
        ("contains(id, :a)", True),
        ("contains(words, :x)", True),
        ("contains(words, :a)", False),
        ("contains(nums, :two)", True),
        ("contains(b, :bytes)", True),
        ("contains(l, :first)", True),
        ("contains(l, :map)", True),
        ("contains(l, :pq)", True),
        ("contains(absent, :x)", False),
        ("size(id) < :three", True),
        ("size(words) < :three", True),
        ("size(l) = :three", True),
        ("size(b) = :three", True),
        ("size(m) < :three", True),
        ("size(n) < :three", False),
        ("size(absent) < :three", False),
        ("words = :set", True),
        ("l[2] = :pq", True),
        ("l[1] = :map", True),
        ("l[0] = :first", True),
        ("m.k = :v", True),
        ("m.#k = :v", True),
        ("#s = :res", True),
        ("attribute_exists(#dot)", True),
        ("yes = :true", True),
        ("nil = :nil", True),
        ("m.k <> m.deep", True),
        ("(n) = (:five)", True),
        ("(n = :five)", True),
        ("(size(l)) = :three", True),
        ("size (l)=:three", True),
    ],
)
def test_conditions(text: str, expected: bool) -> None:
    assert holds(text.replace("=:", "= :"), ITEM) is expected


def test_without_an_item() -> None:
    assert holds("attribute_not_exists(id)", {})
    assert not holds("id = :a1", {})


PREFIX = "Invalid ConditionExpression: "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "The expression can not be empty;"),
        ("  ", "The expression can not be empty;"),
        ("foo", 'Syntax error; token: "<EOF>", near: "foo"'),
        ("foo =", 'Syntax error; token: "<EOF>", near: "="'),
        ("= foo", 'Syntax error; token: "=", near: "= foo"'),
        ("a = :a1 b", 'Syntax error; token: "b", near: ":a1 b"'),
        ("a = :a1 AND", 'Syntax error; token: "<EOF>", near: "AND"'),
        ("a = :a1 AND __typename = :a1", 'Syntax error; token: "_", near: "AND __"'),
        ("a == :a1", 'Syntax error; token: "=", near: "== :a1"'),
        ("a = = :a1", 'Syntax error; token: "=", near: "= = :a1"'),
        ("user-id = :a1", 'Syntax error; token: "-", near: "user-id"'),
        ("a = 5", 'Syntax error; token: "5", near: "= 5"'),
        ("a = 'x'", 'Syntax error; token: "\'", near: "= \'x"'),
        ("(a = :a1", 'Syntax error; token: "<EOF>", near: ":a1"'),
        ("a = :a1)", 'Syntax error; token: ")", near: ":a1)"'),
        ("(a)", 'Syntax error; token: "<EOF>", near: ")"'),
        ("(a AND b = :a1)", 'Syntax error; token: "AND", near: "a AND b"'),
        ("a[x] = :a1", 'Syntax error; token: "x", near: "[x]"'),
        ("a. = :a1", 'Syntax error; token: "=", near: ". = :a1"'),
        ("a BETWEEN :a1", 'Syntax error; token: "<EOF>", near: ":a1"'),
        ("a BETWEEN :a1 OR :a", 'Syntax error; token: "OR", near: ":a1 OR :a"'),
        ("a IN :a1", 'Syntax error; token: ":a1", near: "IN :a1"'),
        ("a IN ()", 'Syntax error; token: ")", near: "()"'),
        ("attribute_exists()", 'Syntax error; token: ")", near: "()"'),
        ("NOT", 'Syntax error; token: "<EOF>", near: "NOT"'),
        ("((a = :a1))", "The expression has redundant parentheses;"),
        ("a = ((:a1))", "The expression has redundant parentheses;"),
        ("status = :a1", "Attribute name is a reserved keyword; reserved keyword: status"),
        ("a.Name = :a1", "Attribute name is a reserved keyword; reserved keyword: Name"),
        # An error of syntax later on counts first.
        ("status = :a1 AND", 'Syntax error; token: "<EOF>", near: "AND"'),
        ("Attribute_exists(a)", "Invalid function name; function: Attribute_exists"),
        ("foo(a, :a1)", "Invalid function name; function: foo"),
        (
            "if_not_exists(a, :a1) = :a1",
            "The function is not allowed in a condition expression; function: if_not_exists",
        ),
        (
            "attribute_exists(a, b)",
            "Incorrect number of operands for operator or function; "
            "operator or function: attribute_exists, number of operands: 2",
        ),
        (
            "begins_with(a)",
            "Incorrect number of operands for operator or function; "
            "operator or function: begins_with, number of operands: 1",
        ),
        (
            "attribute_exists(:a1)",
            "Operator or function requires a document path; operator or function: attribute_exists",
        ),
        (
            "size(a)",
            "The function is not allowed to be used this way in an expression; function: size",
        ),
        (
            "attribute_exists(a) = :true",
            "The function is not allowed to be used this way in an expression; function: attribute_exists",
        ),
        (
            "a = attribute_exists(b)",
            "The function is not allowed to be used this way in an expression; function: attribute_exists",
        ),
        (
            "a = a",
            "The first operand must be distinct from the remaining operands for this operator or function; "
            "operator: =, first operand: [a]",
        ),
        (
            "contains(a[1], a[1])",
            "The first operand must be distinct from the remaining operands for this operator or function; "
            "operator: contains, first operand: [a, [1]]",
        ),
        (
            "#nope = :a1",
            "An expression attribute name used in the document path is not defined; attribute name: #nope",
        ),
        (
            "a = :nope",
            "An expression attribute value used in expression is not defined; attribute value: :nope",
        ),
        (
            "begins_with(a, :four)",
            "Incorrect operand type for operator or function; operator or function: begins_with, operand type: N",
        ),
        (
            "a < :true",
            "Incorrect operand type for operator or function; operator or function: <, operand type: BOOL",
        ),
        (
            "size(:four) = :four",
            "Incorrect operand type for operator or function; operator or function: size, operand type: N",
        ),
        (
            "attribute_type(a, :four)",
            "Incorrect operand type for operator or function; operator or function: attribute_type, operand type: N",
        ),
        (
            "attribute_type(a, :x)",
            "Invalid attribute type name found; type: x, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}",
        ),
        (
            "a BETWEEN :six AND :four",
            "The BETWEEN operator requires upper bound to be greater than or equal to lower bound; "
            "lower bound operand: AttributeValue: {N:6}, upper bound operand: AttributeValue: {N:4}",
        ),
        (
            "a BETWEEN :six AND :x",
            "The BETWEEN operator requires same data type for lower and upper bounds; "
            "lower bound operand: AttributeValue: {N:6}, upper bound operand: AttributeValue: {S:x}",
        ),
        (
            f"a IN ({', '.join([':a1'] * 101)})",
            "The IN operator is provided with too many operands; number of operands: 101",
        ),
        (
            "a[99999999999] = :a1",
            "List index is not within the allowable range; index: [99999999999]",
        ),
        (
            ".".join("p" * 33) + " = :a1",
            "The document path has too many nesting elements; nesting levels: 33",
        ),
        (
            "a = :a1" + " " * 4090,
            "Expression size has exceeded the maximum allowed size; expression size: 4097",
        ),
    ],
)
def test_wrong_conditions(text: str, message: str) -> None:
    with pytest.raises(AWSError) as caught:
        parse(text)
    assert (caught.value.code, caught.value.message) == ("ValidationException", PREFIX + message)


def test_deep_nesting_is_refused_and_harmless() -> None:
    for text in ("(a = :a1 AND " * 200 + "a = :a1" + ")" * 200, "f(" * 2000, "NOT " * 1000 + "a = :a1", "(" * 4000):
        with pytest.raises(AWSError):
            parse(text)


def test_as_many_operators_as_there_may_be() -> None:
    text = " OR ".join(["a = :a"] * 150)
    assert holds(text, {"a": {"S": "a"}})
    with pytest.raises(AWSError, match="too many operators; operator count: 301"):
        parse(text + " OR a = :a OR a = :a")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"ExpressionAttributeNames": {}}, "ExpressionAttributeNames must not be empty"),
        ({"ExpressionAttributeValues": {}}, "ExpressionAttributeValues must not be empty"),
        (
            {"ExpressionAttributeNames": {"a": "b"}},
            'ExpressionAttributeNames contains invalid key: Syntax error; key: "a"',
        ),
        (
            {"ExpressionAttributeNames": {"#a-b": "b"}},
            'ExpressionAttributeNames contains invalid key: Syntax error; key: "#a-b"',
        ),
        (
            {"ExpressionAttributeValues": {"v": {"S": "x"}}},
            'ExpressionAttributeValues contains invalid key: Syntax error; key: "v"',
        ),
        (
            {"ExpressionAttributeValues": {":v": {}}},
            "ExpressionAttributeValues contains invalid value: Supplied AttributeValue is empty, "
            "must contain exactly one of the supported datatypes for key :v",
        ),
        (
            {"ExpressionAttributeNames": {"#x": "b", "#s": "status", "#y": "c"}},
            "Value provided in ExpressionAttributeNames unused in expressions: keys: {#x, #y}",
        ),
        (
            {"ExpressionAttributeNames": {"#s": "a"}, "ExpressionAttributeValues": {":x": {"S": "b"}}},
            "Value provided in ExpressionAttributeValues unused in expressions: keys: {:x}",
        ),
    ],
)
def test_wrong_names_and_values(members: dict[str, Any], message: str) -> None:
    with pytest.raises(AWSError) as caught:
        parse("attribute_exists(#s)", **members)
    assert (caught.value.code, caught.value.message) == ("ValidationException", message)
