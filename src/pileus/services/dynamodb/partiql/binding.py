"""A statement with its parameters: its values, predicates, keys and writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from pileus.services.dynamodb import errors, items, values
from pileus.services.dynamodb.expressions import conditions, parameters, updates
from pileus.services.dynamodb.expressions.keyconditions import KeyTerm
from pileus.services.dynamodb.expressions.parameters import Predicate
from pileus.services.dynamodb.expressions.paths import Parts, reader
from pileus.services.dynamodb.expressions.projections import Projection
from pileus.services.dynamodb.expressions.tree import Call, Comparison, Condition, Junction, Path, ValueRef
from pileus.services.dynamodb.partiql.parser import (
    Bag,
    Delete,
    Exists,
    Insert,
    Literal,
    Number,
    Parameter,
    Select,
    Statement,
    Text,
    Update,
    parse,
)
from pileus.services.dynamodb.schema import Schema
from pileus.services.dynamodb.tables import Table
from pileus.services.dynamodb.values import Item, Value, check_value
from pileus.services.dynamodb.writes import Write

Request = Mapping[str, Any]

_KIND = "ConditionExpression"
_MIRRORED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}


class Bound(msgspec.Struct, frozen=True, eq=False):
    """A statement with its values."""

    statement: Statement
    given: dict[str, Value]
    request: Request

    @property
    def table(self) -> str:
        return self.statement.body.table


def bind(request: Request) -> Bound:
    """The statement of a request or of a part of one, with its parameters put in; raises `ValidationException`."""
    statement = parse(request["Statement"])
    given = request.get("Parameters") or []
    if len(given) != statement.parameters:
        raise errors.validation("Number of parameters in request and statement don't match.")
    named = {f":{at}": check_value(_value(each, given))[0] for at, each in enumerate(statement.literals)}
    return Bound(statement, named, request)


def _value(literal: Literal, given: Sequence[Any]) -> Any:
    """A literal as a request's AttributeValue."""
    match literal:
        case Parameter(number):
            return given[number]
        case Text(text):
            return {"S": text}
        case Number(text):
            return {"N": text}
        case bool():
            return {"BOOL": literal}
        case None:
            return {"NULL": True}
        case list():
            return {"L": [_value(each, given) for each in literal]}
        case Bag(members):
            return _set([_value(each, given) for each in members])
        case dict():
            return {"M": {name: _value(each, given) for name, each in literal.items()}}
    raise AssertionError(literal)


def _set(members: list[Any]) -> Any:
    kinds = {kind for member in members for kind in member}
    if len(kinds) != 1 or not kinds <= {"S", "N", "B"}:
        raise errors.validation("A set must have members, all of them strings, numbers or binaries")
    (kind,) = kinds
    return {f"{kind}S": [member[kind] for member in members]}


def predicate(where: Condition | None, given: Mapping[str, Value]) -> Predicate | None:
    if where is None:
        return None
    compiled = conditions.compile_tree(_KIND, where)
    compiled.check(given)
    test = compiled.test
    return Predicate(lambda item: test(item, given), compiled.attributes)


# ------------------------------------------------------------------------------------------------------------ keys


def conjuncts(where: Condition | None) -> Iterator[Condition]:
    """The conditions that all have to hold."""
    if isinstance(where, Junction) and where.operator == "AND":
        for each in where.conditions:
            yield from conjuncts(each)
    elif where is not None:
        yield where


def key_terms(where: Condition | None, given: Mapping[str, Value], name: str) -> Iterator[KeyTerm]:
    """What the conditions say of one top-level attribute, with values; IN as a term of its own."""
    for each in conjuncts(where):
        if isinstance(each, Call) and each.function == "begins_with":
            operator, operands = "begins_with", each.operands
        elif isinstance(each, Comparison):
            operator, operands = each.operator, each.operands
            if isinstance(operands[0], ValueRef) and operator in _MIRRORED:
                operator, operands = _MIRRORED[operator], operands[::-1]
        else:
            continue
        path, *others = operands
        if isinstance(path, Path) and path.parts == (name,) and all(isinstance(other, ValueRef) for other in others):
            yield KeyTerm(name, operator, tuple(given[other.name] for other in others if isinstance(other, ValueRef)))


def key_of(schema: Schema, where: Condition | None, given: Mapping[str, Value]) -> Item | None:
    """The one key that the conditions allow; None where they do not name it whole."""
    key: Item = {}
    for name in schema.names:
        found = next((term for term in key_terms(where, given, name) if term.operator == "="), None)
        if found is None:
            return None
        key[name] = found.values[0]
    return key


def _mandatory_key(table: Table, where: Condition | None, given: Mapping[str, Value]) -> Item:
    key = key_of(table.schema, where, given)
    if key is None:
        raise errors.validation("Where clause does not contain a mandatory equality on all key attributes")
    return key


# ------------------------------------------------------------------------------------------------------- statements


def projection(select: Select) -> Projection | None:
    """What is picked of an item: each path under the name of its end, as `DateWatched[0]`."""
    if select.paths is None:
        return None
    named = [(_end(path.parts), reader(path.parts)) for path in select.paths]
    attributes = tuple(dict.fromkeys(str(path.parts[0]) for path in select.paths))

    def pick(item: Item) -> Item:
        return {name: value for name, read in named if (value := read(item)) is not None}

    return Projection(pick, attributes)


def _end(parts: Parts) -> str:
    at = max(place for place, part in enumerate(parts) if isinstance(part, str))
    return str(parts[at]) + "".join(f"[{part}]" for part in parts[at + 1 :])


def write(table: Table, bound: Bound) -> Write:
    """The write that an INSERT, UPDATE, DELETE or EXISTS comes to."""
    body, given = bound.statement.body, bound.given
    request = {**bound.request, "TableName": body.table}
    match body:
        case Insert(item=ref):
            item = given[ref.name].get("M")
            if item is None:
                raise errors.validation("The value of an INSERT must be an item")
            size = values.item_size(item)
            items.check_size(size)
            return Write(request, item, None, size, puts=True, inserts=True)
        case Update(where=where):
            request["ReturnValues"] = body.returning
            compiled = updates.compile_actions(body.actions)
            compiled.check(given)
            apply = compiled.apply
            update = parameters.Update(lambda old, base: apply(old, base, given), compiled.touched)
            return Write(request, _mandatory_key(table, where, given), predicate(where, given), update=update)
        case Delete(where=where):
            if body.returning not in ("NONE", "ALL_OLD"):
                raise errors.validation("DELETE can only return ALL OLD *")
            request["ReturnValues"] = body.returning
            return Write(
                request, _mandatory_key(table, where, given), _or_missing(predicate(where, given)), deletes=True
            )
        case Exists(select=select):
            return Write(request, _mandatory_key(table, select.where, given), predicate(select.where, given))
    raise AssertionError(body)


def _or_missing(condition: Predicate | None) -> Predicate | None:
    """A DELETE that finds nothing is done."""
    if condition is None:
        return None
    test = condition.test
    return Predicate(lambda item: not item or test(item), condition.attributes)


def action(body: Select | Insert | Update | Delete | Exists) -> str:
    """What IAM calls it."""
    match body:
        case Insert():
            return "dynamodb:PartiQLInsert"
        case Update():
            return "dynamodb:PartiQLUpdate"
        case Delete():
            return "dynamodb:PartiQLDelete"
    return "dynamodb:PartiQLSelect"
