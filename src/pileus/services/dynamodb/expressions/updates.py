"""Trees to changes of an item.

All values are computed from the item as it was; then SET, ADD and DELETE take effect, and REMOVE last, so that every
list index means the list as it was.

Source: "Using update expressions in DynamoDB".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from pileus.kernel.errors import AWSError
from pileus.services.dynamodb import errors, numbers, values
from pileus.services.dynamodb.expressions.cache import remembered
from pileus.services.dynamodb.expressions.parser import parse_update
from pileus.services.dynamodb.expressions.paths import Parts, check_overlaps, reader, resolve
from pileus.services.dynamodb.expressions.projections import Projection, picker
from pileus.services.dynamodb.expressions.tree import Action, Arithmetic, Call, Operand, Path, ValueRef
from pileus.services.dynamodb.values import Item, Value

KIND = "UpdateExpression"

Values = Mapping[str, Value]
# Computes a value from the item as it was; raises where it needs what is not there.
Source = Callable[[Item, Values], Value]
Check = Callable[[Values], None]

_ADDABLE = frozenset(("N", "SS", "NS", "BS"))


class Compiled(msgspec.Struct, frozen=True, eq=False):
    """An update ready to run."""

    # (item as it was, item to begin with, values) to the item as it becomes; neither is changed.
    apply: Callable[[Item, Item, Values], Item]
    # Errors that lie in the values; to be called before `apply` is.
    check: Check
    # The paths that it changes, for answering UPDATED_OLD and UPDATED_NEW.
    touched: Projection


@remembered
def compile_update(text: str, names: tuple[tuple[str, str], ...]) -> Compiled:
    """The text's change, where `names` are those ExpressionAttributeNames that it uses."""
    return compile_actions(parse_update(text).tree, dict(names))


def compile_actions(actions: tuple[Action, ...], named: Mapping[str, str] | None = None) -> Compiled:
    """The change that actions make; without names all that stands in their paths are attributes' own names."""
    paths = [resolve(KIND, action.path, named) for action in actions]
    check_overlaps(KIND, paths)
    compiler = _Compiler(named)
    puts: list[tuple[Parts, Source]] = []
    deletes: list[tuple[Parts, Callable[[Item, Values], Value | None]]] = []
    removes: list[Parts] = []
    for action, parts in zip(actions, paths, strict=True):
        match action.section:
            case "SET":
                assert action.value is not None
                puts.append((parts, compiler.source(action.value)))
            case "ADD":
                puts.append((parts, compiler.addition(action, parts)))
            case "DELETE":
                deletes.append((parts, compiler.deletion(action, parts)))
            case "REMOVE":
                removes.append(parts)
    # Elements beyond a list's end are appended in the order of their indexes.
    puts.sort(key=lambda put: put[0][-1] if isinstance(put[0][-1], int) else -1)

    def apply(old: Item, base: Item, given: Values) -> Item:
        changes = [(parts, source(old, given)) for parts, source in puts]
        gone = list(removes)
        for parts, rest in deletes:
            if reader(parts)(old) is not None:
                left = rest(old, given)
                if left is None:
                    gone.append(parts)
                else:
                    changes.append((parts, left))
        new = dict(base)
        for parts, value in changes:
            put(new, parts, value)
        # Deep paths first, then from a list's end: so no removal moves what another one means.
        for parts in sorted(gone, key=lambda path: (-len(path), -path[-1] if isinstance(path[-1], int) else 0)):
            remove(new, parts)
        return new

    checks = compiler.checks

    def check(given: Values) -> None:
        for each in checks:
            each(given)

    return Compiled(apply, check, picker(paths))


class _Compiler:
    def __init__(self, names: Mapping[str, str] | None) -> None:
        self.names = names
        self.checks: list[Check] = []

    def check_type(self, operator: str, node: Operand, allowed: frozenset[str]) -> None:
        if isinstance(node, ValueRef):
            name = node.name

            def check(given: Values) -> None:
                if (kind := values.kind(given[name])) not in allowed:
                    raise errors.expression(
                        KIND,
                        "Incorrect operand type for operator or function; "
                        f"operator or function: {operator}, operand type: {kind}",
                    )

            self.checks.append(check)

    def check_section(self, action: Action, allowed: frozenset[str]) -> str:
        """Have ADD's or DELETE's value checked; gives its name."""
        assert isinstance(action.value, ValueRef)
        name, section = action.value.name, action.section

        def check(given: Values) -> None:
            if (kind := values.kind(given[name])) not in allowed:
                raise errors.expression(
                    KIND,
                    f"Incorrect operand type for operator or function; operator: {section}, "
                    f"operand type: {values.LONG_NAMES[kind]}, typeSet: ALLOWED_FOR_{section}_OPERAND",
                )

        self.checks.append(check)
        return name

    def source(self, node: Operand) -> Source:
        match node:
            case ValueRef(name):
                return lambda item, given: given[name]
            case Path():
                read = reader(resolve(KIND, node, self.names))

                def attribute(item: Item, given: Values) -> Value:
                    value = read(item)
                    if value is None:
                        raise _missing()
                    return value

                return attribute
            case Arithmetic(operator, left, right):
                for operand in (left, right):
                    self.check_type(operator, operand, frozenset("N"))
                return _arithmetic(operator, self.source(left), self.source(right))
            case Call("if_not_exists", (Path() as path, other)):
                read = reader(resolve(KIND, path, self.names))
                default = self.source(other)

                def either(item: Item, given: Values) -> Value:
                    value = read(item)
                    return default(item, given) if value is None else value

                return either
            case Call("list_append", (left, right)):
                for operand in (left, right):
                    self.check_type("list_append", operand, frozenset("L"))
                first, second = self.source(left), self.source(right)

                def append(item: Item, given: Values) -> Value:
                    one, other = first(item, given), second(item, given)
                    if "L" not in one or "L" not in other:
                        raise _wrong_type()
                    return {"L": one["L"] + other["L"]}

                return append
        raise AssertionError(node)

    def addition(self, action: Action, parts: Parts) -> Source:
        name = self.check_section(action, _ADDABLE)
        read = reader(parts)

        def add(item: Item, given: Values) -> Value:
            return added(read(item), given[name])

        return add

    def deletion(self, action: Action, parts: Parts) -> Callable[[Item, Values], Value | None]:
        name = self.check_section(action, values.SET_TYPES)
        read = reader(parts)

        def delete(item: Item, given: Values) -> Value | None:
            value = read(item)
            return None if value is None else deleted(value, given[name])

        return delete


def _arithmetic(operator: str, first: Source, second: Source) -> Source:
    combine = numbers.add if operator == "+" else numbers.subtract

    def run(item: Item, given: Values) -> Value:
        left, right = first(item, given), second(item, given)
        if "N" not in left or "N" not in right:
            raise _wrong_type()
        return {"N": combine(left["N"], right["N"])}

    return run


def added(old: Value | None, value: Value) -> Value:
    """What ADD makes of an attribute: a sum, or a set with further members."""
    if old is None:
        return value
    ((kind, content),) = value.items()
    if kind not in old:
        raise _wrong_type()
    if kind == "N":
        return {"N": numbers.add(old["N"], content)}
    return {kind: list(dict.fromkeys((*old[kind], *content)))}


def deleted(old: Value, value: Value) -> Value | None:
    """What DELETE leaves of a set; None where nothing is left."""
    ((kind, content),) = value.items()
    if kind not in old:
        raise _wrong_type()
    dropped = set(content)
    left = [member for member in old[kind] if member not in dropped]
    return {kind: left} if left else None


def put(item: Item, parts: Parts, value: Value) -> None:
    """Set what stands at a path of `item`; the lists and maps on the way are copied, not changed."""
    if len(parts) == 1:
        item[str(parts[0])] = value
        return

    def leaf(container: Any, part: Any) -> None:
        if isinstance(part, int) and part >= len(container):
            container.append(value)
        else:
            container[part] = value

    _edit_item(item, parts, leaf)


def remove(item: Item, parts: Parts) -> None:
    """Take away what stands at a path of `item`, if anything does."""
    if len(parts) == 1:
        item.pop(str(parts[0]), None)
        return

    def leaf(container: Any, part: Any) -> None:
        if isinstance(part, str) or part < len(container):
            container.pop(part, *(() if isinstance(part, int) else (None,)))

    _edit_item(item, parts, leaf)


def _edit_item(item: Item, parts: Parts, leaf: Callable[[Any, Any], None]) -> None:
    name = str(parts[0])
    if name not in item:
        raise _invalid_path()
    item[name] = _edit(item[name], parts[1:], leaf)


def _edit(value: Value, parts: Parts, leaf: Callable[[Any, Any], None]) -> Value:
    part, rest = parts[0], parts[1:]
    kind = "M" if isinstance(part, str) else "L"
    if kind not in value:
        raise _invalid_path()
    container = value[kind].copy()
    if not rest:
        leaf(container, part)
    elif part in container if isinstance(part, str) else part < len(container):
        container[part] = _edit(container[part], rest, leaf)
    else:
        raise _invalid_path()
    return {kind: container}


def _missing() -> AWSError:
    return errors.validation("The provided expression refers to an attribute that does not exist in the item")


def _wrong_type() -> AWSError:
    return errors.validation("An operand in the update expression has an incorrect data type")


def _invalid_path() -> AWSError:
    return errors.validation("The document path provided in the update expression is invalid for update")
