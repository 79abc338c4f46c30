"""Trees to predicates: condition, filter and (old-style) expectations.

A predicate is called with an item (empty where there is none) and the request's values. What can be said of the values
without an item is said by the `checks`, which run before any item is read.

Source: "Condition and filter expressions, operators, and functions in DynamoDB".
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Mapping

import msgspec

from pileus.services.dynamodb import errors, values
from pileus.services.dynamodb.expressions.cache import remembered
from pileus.services.dynamodb.expressions.parser import parse_condition
from pileus.services.dynamodb.expressions.paths import Parts, reader, resolve, shown
from pileus.services.dynamodb.expressions.tree import (
    Call,
    Comparison,
    Condition,
    Junction,
    Not,
    Operand,
    Path,
    ValueRef,
)
from pileus.services.dynamodb.values import Item, Value

Values = Mapping[str, Value]
Predicate = Callable[[Item, Values], bool]
Getter = Callable[[Item, Values], Value | None]
Check = Callable[[Values], None]

_ORDERED = frozenset("SNB")
_TYPES = "B,NULL,SS,BOOL,L,BS,N,NS,S,M"
_TYPE_NAMES = frozenset(_TYPES.split(","))
# Types that `size` has no answer for.
_SIZELESS = frozenset(("N", "BOOL", "NULL"))


class Compiled(msgspec.Struct, frozen=True, eq=False):
    """A condition ready to run."""

    test: Predicate
    # Errors that lie in the values; to be called before `test` is.
    check: Check
    # The first parts of all paths: the top-level attributes that it looks at.
    attributes: tuple[str, ...]


def true(item: Item, given: Values) -> bool:
    return True


@remembered
def compile_condition(kind: str, text: str, names: tuple[tuple[str, str], ...]) -> Compiled:
    """The text's predicate, where `names` are those ExpressionAttributeNames that it uses."""
    return compile_tree(kind, parse_condition(kind, text).tree, dict(names))


def compile_tree(kind: str, tree: Condition, names: Mapping[str, str] | None = None) -> Compiled:
    """A tree's predicate; without `names` all that stands in its paths are attributes' own names."""
    compiler = _Compiler(kind, names)
    test = compiler.condition(tree)
    checks = compiler.checks

    def check(given: Values) -> None:
        for each in checks:
            each(given)

    return Compiled(test, check, tuple(compiler.attributes))


class _Compiler:
    def __init__(self, kind: str, names: Mapping[str, str] | None) -> None:
        self.kind = kind
        self.names = names
        self.checks: list[Check] = []
        self.attributes: dict[str, None] = {}

    def condition(self, node: Condition) -> Predicate:
        match node:
            case Junction("AND", conditions):
                return _all(tuple(map(self.condition, conditions)))
            case Junction("OR", conditions):
                return _any(tuple(map(self.condition, conditions)))
            case Not(inner):
                test = self.condition(inner)
                return lambda item, given: not test(item, given)
            case Comparison():
                return self.comparison(node)
            case Call():
                return self.predicate(node)
        raise AssertionError(node)

    # -- operands

    def parts(self, path: Path) -> Parts:
        parts = resolve(self.kind, path, self.names)
        self.attributes[str(parts[0])] = None
        return parts

    def getter(self, node: Operand) -> Getter:
        match node:
            case ValueRef(name):
                return lambda item, given: given[name]
            case Path():
                read = reader(self.parts(node))
                return lambda item, given: read(item)
            case Call("size", (operand,)):
                get = self.getter(operand)
                self.check_type("size", operand, values.LONG_NAMES.keys() - _SIZELESS)
                return lambda item, given: _size(get(item, given))
        raise AssertionError(node)

    def check_type(self, operator: str, node: Operand, allowed: frozenset[str] | set[str]) -> None:
        """Have `checks` refuse a value of another type than the allowed ones as an operand."""

        def refuse(kind: str) -> None:
            raise errors.expression(
                self.kind,
                "Incorrect operand type for operator or function; "
                f"operator or function: {operator}, operand type: {kind}",
            )

        match node:
            case ValueRef(name):

                def check(given: Values) -> None:
                    if (kind := values.kind(given[name])) not in allowed:
                        refuse(kind)

                self.checks.append(check)
            case Call("size") if "N" not in allowed:
                self.checks.append(lambda given: refuse("N"))

    def check_distinct(self, operator: str, first: Operand, others: tuple[Operand, ...]) -> None:
        for other in others:
            if isinstance(first, Path) and isinstance(other, Path):
                parts = resolve(self.kind, first, self.names)
                if parts == resolve(self.kind, other, self.names):
                    raise errors.expression(
                        self.kind,
                        "The first operand must be distinct from the remaining operands for this operator or function; "
                        f"operator: {operator}, first operand: {shown(parts)}",
                    )

    # -- functions

    def predicate(self, node: Call) -> Predicate:
        getters = tuple(map(self.getter, node.operands))
        first = getters[0]
        match node.function:
            case "attribute_exists":
                return lambda item, given: first(item, given) is not None
            case "attribute_not_exists":
                return lambda item, given: first(item, given) is None
        second = getters[1]
        self.check_distinct(node.function, node.operands[0], node.operands[1:])
        match node.function:
            case "attribute_type":
                self.check_type("attribute_type", node.operands[1], {"S"})
                self.check_type_name(node.operands[1])
                return lambda item, given: _has_type(first(item, given), second(item, given))
            case "begins_with":
                for operand in node.operands:
                    self.check_type("begins_with", operand, {"S", "B"})
                return lambda item, given: begins_with(first(item, given), second(item, given))
            case "contains":
                self.check_type("contains", node.operands[0], {"S", "B", "SS", "NS", "BS", "L"})
                return lambda item, given: contains(first(item, given), second(item, given))
        raise AssertionError(node)

    def check_type_name(self, node: Operand) -> None:
        if isinstance(node, ValueRef):
            name = node.name

            def check(given: Values) -> None:
                if (wanted := given[name].get("S")) not in _TYPE_NAMES:
                    raise errors.expression(
                        self.kind, f"Invalid attribute type name found; type: {wanted}, valid types: {{{_TYPES}}}"
                    )

            self.checks.append(check)

    # -- comparisons

    def comparison(self, node: Comparison) -> Predicate:
        operator = node.operator
        first, *others = map(self.getter, node.operands)
        self.check_distinct(operator, node.operands[0], node.operands[1:])
        if operator in _TESTS:
            for operand in node.operands:
                self.check_type(operator, operand, _ORDERED)
            return _ordered(first, _TESTS[operator], others[0])
        match operator:
            case "=":
                second = others[0]

                def equal(item: Item, given: Values) -> bool:
                    left, right = first(item, given), second(item, given)
                    return left is not None and right is not None and values.equal(left, right)

                return equal
            case "<>":
                second = others[0]

                def differ(item: Item, given: Values) -> bool:
                    left, right = first(item, given), second(item, given)
                    return left is None or right is None or not values.equal(left, right)

                return differ
            case "BETWEEN":
                for operand in node.operands:
                    self.check_type("BETWEEN", operand, _ORDERED)
                self.check_bounds(node.operands[1], node.operands[2])
                return _all(
                    (_ordered(first, _TESTS[">="], others[0]), _ordered(first, _TESTS["<="], others[1])),
                )
            case "IN":
                options = tuple(others)

                def among(item: Item, given: Values) -> bool:
                    left = first(item, given)
                    if left is None:
                        return False
                    for option in options:
                        right = option(item, given)
                        if right is not None and values.equal(left, right):
                            return True
                    return False

                return among
        raise AssertionError(operator)

    def check_bounds(self, lower: Operand, upper: Operand) -> None:
        if not (isinstance(lower, ValueRef) and isinstance(upper, ValueRef)):
            return
        low, high = lower.name, upper.name

        def check(given: Values) -> None:
            order = values.compare(given[low], given[high])
            if order is not None and order <= 0:
                return
            rule = (
                "same data type for lower and upper bounds"
                if order is None
                else "upper bound to be greater than or equal to lower bound"
            )
            raise errors.expression(
                self.kind,
                f"The BETWEEN operator requires {rule}; "
                f"lower bound operand: AttributeValue: {values.shown(given[low])}, "
                f"upper bound operand: AttributeValue: {values.shown(given[high])}",
            )

        self.checks.append(check)


_TESTS: dict[str, Callable[[int], bool]] = {
    "<": lambda order: order < 0,
    "<=": lambda order: order <= 0,
    ">": lambda order: order > 0,
    ">=": lambda order: order >= 0,
}


def _ordered(first: Getter, test: Callable[[int], bool], second: Getter) -> Predicate:
    def run(item: Item, given: Values) -> bool:
        left = first(item, given)
        right = second(item, given)
        if left is None or right is None:
            return False
        order = values.compare(left, right)
        return order is not None and test(order)

    return run


def _all(tests: tuple[Predicate, ...]) -> Predicate:
    def run(item: Item, given: Values) -> bool:
        for test in tests:  # noqa: SIM110 -- half the time of all()
            if not test(item, given):
                return False
        return True

    return run


def _any(tests: tuple[Predicate, ...]) -> Predicate:
    def run(item: Item, given: Values) -> bool:
        for test in tests:  # noqa: SIM110 -- half the time of any()
            if test(item, given):
                return True
        return False

    return run


def _size(value: Value | None) -> Value | None:
    """What `size` gives: characters of a string, bytes of a binary, members of anything else that has some."""
    if value is None:
        return None
    ((name, content),) = value.items()
    if name in _SIZELESS:
        return None
    if name == "B":
        return {"N": str(values.blob_size(content))}
    return {"N": str(len(content))}


def _has_type(value: Value | None, wanted: Value | None) -> bool:
    return value is not None and wanted is not None and wanted.get("S") in value


def begins_with(value: Value | None, start: Value | None) -> bool:
    if value is None or start is None:
        return False
    if "S" in value and "S" in start:
        text: str = value["S"]
        return text.startswith(start["S"])
    return "B" in value and "B" in start and b64decode(value["B"]).startswith(b64decode(start["B"]))


def contains(value: Value | None, part: Value | None) -> bool:
    """Whether a string or binary holds a piece, a set a member, a list an equal element."""
    if value is None or part is None:
        return False
    ((kind, content),) = value.items()
    if kind == "L":
        return any(values.equal(element, part) for element in content)
    if kind == "B":
        return "B" in part and b64decode(part["B"]) in b64decode(content)
    # A piece of a string, or a member of a set of its type.
    wanted = part.get("S" if kind == "S" else kind[0])
    return wanted is not None and kind in _HOLDERS and wanted in content


_HOLDERS = frozenset(("S", "SS", "NS", "BS"))
