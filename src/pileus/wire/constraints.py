"""The modelled constraints, checked as AWS's frame checks them, in its words.

    N validation error(s) detected: Value '...' at 'path' failed to satisfy constraint: Member must ...; Value ...

Source: AWS's recorded answers ("validation error" of lambda, events, stepfunctions, apigateway, kms, sns, logs,
cloudwatch, cloudformation): wording, paths, the order of several failures, the order of enum sets. What differs between
services stands in `constraint_styles`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from pileus.kernel.errors import AWSError
from pileus.model import Operation, ServiceModel, Shape
from pileus.wire.constraint_styles import DEFAULT_STYLE, SHAPES, SHOWN, STYLES, Style
from pileus.wire.patterns import matcher
from pileus.wire.protocols.values import float_text


class Problem(NamedTuple):
    """One violation: where (below the value that was checked), of what value, and what it violates."""

    path: str
    # None: the value is missing.
    value: str | None
    constraint: str
    # Set where it is told in other words than the frame's.
    message: str = ""


# From a value to what is wrong with it; None where nothing is.
Check = Callable[[Any], "list[Problem] | None"]

_NOT_NULL = "Member must not be null"


def check(model: ServiceModel, operation: Operation, members: Mapping[str, Any]) -> None:
    """Raise the service's own validation error (`AWSError`) where members violate the modelled constraints."""
    try:
        compiled = operation.codecs["constraints"]
    except KeyError:
        compiled = operation.codecs["constraints"] = _compile(model, operation)
    if compiled is not None:
        try:
            problems = compiled(members)
        except RecursionError:
            raise AWSError("SerializationException", status=400) from None
        if problems:
            raise _error(model, operation, problems)


def check_named(model: ServiceModel, operation: Operation, members: Mapping[str, Any]) -> None:
    """`check`, of members that come by their names alone, as in a document.

    There is no path, query or header then that S3's requests are not found without. Raises AWSError.
    """
    if style_of(model).schema and operation.input is not None:
        missing = [name for name in operation.input.required if members.get(name) is None]
        if missing:
            problems = [Problem(name[:1].lower() + name[1:], None, _NOT_NULL) for name in missing]
            raise AWSError("ValidationException", _framed(problems), status=400)
    check(model, operation, members)


def style_of(model: ServiceModel) -> Style:
    """How the service words what is wrong, and what it looks at."""
    return STYLES.get(model.name, DEFAULT_STYLE)


def traits_of(model: ServiceModel, operation: Operation, shape: Shape) -> Mapping[str, Any]:
    """A shape's traits as AWS goes by them in that operation."""
    changed = SHAPES.get((model.name, shape.name)) or SHAPES.get((model.name, f"{operation.name}.{shape.name}"))
    return shape.traits if changed is None else {**shape.traits, **changed}


def _compile(model: ServiceModel, operation: Operation) -> Check | None:
    if operation.input is None:
        return None
    return _Compiler(model, operation).structure(operation.input, top=True)


def _error(model: ServiceModel, operation: Operation, problems: list[Problem]) -> AWSError:
    style = style_of(model)
    if style.schema:
        payload = operation.input.payload if operation.input is not None else None
        return _schema_error(problems[0], payload or "")
    if style.missing is not None:
        for problem in problems:
            if problem.value is None and (problem.message or style.missing_nested):
                message = problem.message or style.missing[1].format(path=problem.path)
                return AWSError(style.missing[0], message, status=400)
    code = style.preferred if style.preferred in operation.error_names else style.code
    if problems[0].message:
        return AWSError(code, problems[0].message, status=400)
    if style.terse:
        return AWSError(code, _terse(problems[0]), status=400)
    return AWSError(code, _framed(problems), status=400)


def _framed(problems: list[Problem]) -> str:
    plural = "error" if len(problems) == 1 else "errors"
    shown = "; ".join(
        f"Value {'null ' if p.value is None else p.value}at '{p.path}' failed to satisfy constraint: {p.constraint}"
        for p in problems
    )
    return f"{len(problems)} validation {plural} detected: {shown}"


def _terse(problem: Problem) -> str:
    constraint = problem.constraint.removeprefix("Member ")
    words, pattern, text = constraint.partition(" pattern: ")
    return f"Invalid parameter at '{problem.path}' failed to satisfy constraint: '" + (
        f"{words} '{text}''" if pattern else f"{constraint}'"
    )


def _schema_error(problem: Problem, payload: str) -> AWSError:
    if problem.constraint == _NOT_NULL and payload and problem.path == payload[:1].lower() + payload[1:]:
        return AWSError("MissingRequestBodyError", "Request Body is empty", status=400)
    return AWSError(
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema",
        status=400,
    )


class _Compiler:
    """Makes the checks of one operation; a shape that nothing is demanded of has none."""

    def __init__(self, model: ServiceModel, operation: Operation) -> None:
        self._model = model
        self._operation = operation
        self._style = style_of(model)
        self._payload = operation.input.payload if operation.input is not None else None
        self._made: dict[str, Check | None] = {}
        self._open: set[str] = set()

    def _traits(self, shape: Shape) -> Mapping[str, Any]:
        return traits_of(self._model, self._operation, shape)

    def value(self, shape: Shape) -> Check | None:
        match shape.type:
            case "structure":
                return self.structure(shape)
            case "list":
                return self._list(shape)
            case "map":
                return self._map(shape)
            case _:
                return self._scalar(shape)

    # -- structures

    def structure(self, shape: Shape, *, top: bool = False) -> Check | None:
        if shape.is_document or shape.is_eventstream or self._traits(shape).get("opaque"):
            return None
        if shape.name in self._open:
            # It holds itself: what it demands is known once it is made.
            return lambda value: made(value) if (made := self._made.get(shape.name)) else None
        if shape.name in self._made and not top:
            return self._made[shape.name]
        self._open.add(shape.name)
        made = self._made[shape.name] = self._make_structure(shape, top=top)
        self._open.discard(shape.name)
        return made

    def _make_structure(self, shape: Shape, *, top: bool) -> Check | None:
        required = set(shape.required)
        checks: list[tuple[str, str, Problem | None, Check | None]] = []
        for name, member in shape.members.items():
            # S3's schema is about bodies; what stands in headers and queries has errors of its own.
            inner = None if self._style.schema and member.location is not None else self.value(member)
            missing = self._missing(name, member, top=top) if name in required else None
            if missing is not None or inner is not None:
                checks.append((name, self._step(name, member, top=top), missing, inner))
        union = shape.is_union and not self._style.schema
        if not checks and not union:
            return None
        demanded = [name for name, _, missing, _ in checks if missing is not None]
        checked = {name: inner for name, _, _, inner in checks if inner is not None}

        def check_structure(value: Any) -> list[Problem] | None:
            # Nearly always all is well: seen by what is there, which is less than what might be.
            for name in demanded:
                if value.get(name) is None:
                    return in_order(value)
            for name, item in value.items():
                inner = checked.get(name)
                if inner is not None and item is not None and inner(item) is not None:
                    return in_order(value)
            if union and len(value) != 1:
                return in_order(value)
            return None

        def in_order(value: Any) -> list[Problem] | None:
            problems: list[Problem] | None = None
            for name, step, missing, inner in checks:
                item = value.get(name)
                if item is None:
                    if missing is not None:
                        problems = [*(problems or ()), missing]
                elif inner is not None:
                    found = inner(item)
                    if found is not None:
                        problems = [*(problems or ()), *_below(step, found)]
            if union and len(value) != 1:
                raise AWSError("SerializationException", "Unions must have exactly one member set", status=400)
            return problems

        return check_structure

    def _missing(self, name: str, member: Shape, *, top: bool) -> Problem | None:
        step = self._step(name, member, top=top)
        style = self._style
        is_text = name == self._payload and member.type != "structure"
        if style.schema and top and (member.location is not None or is_text):
            # An empty bucket policy is the service's own matter.
            return None
        if style.missing is None or not (style.missing_nested or (top and member.type == "string")):
            return Problem(step, None, _NOT_NULL)
        if style.only_missing and member.type == "map" and member.key.location_name:
            # SQS names what the query protocol would send first: Attribute.Name.
            name = f"{member.traits.get('queryLocationName', name)}.{member.key.location_name}"
        return Problem(step, None, _NOT_NULL, message=style.missing[1].format(path=name) if top else "")

    def _step(self, name: str, member: Shape, *, top: bool) -> str:
        if self._style.only_missing:
            if member.type == "list" and member.flattened and member.element.location_name:
                return member.element.location_name
            return name
        step = name[:1].lower() + name[1:]
        if top and self._style.body_prefix and member.location is None:
            operation = self._operation.name
            return f"{operation[:1].lower()}{operation[1:]}{self._style.body_prefix}.{step}"
        return step

    # -- lists and maps

    def _list(self, shape: Shape) -> Check | None:
        traits, element = self._traits(shape), shape.element
        size = self._size(shape, traits)
        sparse = bool(shape.traits.get("sparse"))
        nested = element.type in ("structure", "list", "map")
        inner = self.value(element)
        described = "" if nested else self._described(element, sparse=bool(traits.get("sparse")))
        if self._style.only_missing:
            size = None
        # SQS counts its entries without saying "member".
        suffix = "" if self._style.only_missing else ".member"

        def check_list(value: Any) -> list[Problem] | None:
            problems = size(value) if size is not None else None
            if not sparse and None in value:
                index = value.index(None) + 1
                return [*(problems or ()), Problem(f"{index}{suffix}", None, _NOT_NULL)]
            if inner is None:
                return problems
            for index, item in enumerate(value, 1):
                if item is None:
                    continue
                found = inner(item)
                if found is None:
                    continue
                if not nested:
                    failed = Problem("", _show(value, shape), f"Member must satisfy constraint: [{described}]")
                    return [*(problems or ()), failed]
                problems = [*(problems or ()), *_below(f"{index}{suffix}", found)]
            return problems

        return check_list

    def _map(self, shape: Shape) -> Check | None:
        traits = self._traits(shape)
        size = None if self._style.only_missing else self._size(shape, traits)
        sparse = bool(shape.traits.get("sparse"))
        nested = shape.value.type == "structure"
        suffix = "" if self._style.only_missing else ".member"
        key_check, value_check = self._scalar(shape.key), self.value(shape.value)
        keys = self._described(shape.key, sparse=True)
        short = self._short(shape.key)
        described = "" if nested else self._described(shape.value, sparse=bool(traits.get("sparse")))

        def check_map(value: Any) -> list[Problem] | None:
            problems = size(value) if size is not None else None
            if (
                value_check is None
                and problems is None
                and max(map(len, value), default=0) <= short
                and None not in value.values()
            ):
                # Nearly always, seen at one look.
                return None
            if key_check is not None:
                for key in value:
                    if key_check(key) is not None:
                        failed = Problem("", _show(value, shape), f"Map keys must satisfy constraint: [{keys}]")
                        problems = [*(problems or ()), failed]
                        break
            for key, item in value.items():
                if item is None:
                    if not sparse:
                        problems = [*(problems or ()), Problem(f"{key}{suffix}", None, _NOT_NULL)]
                    continue
                found = value_check(item) if value_check is not None else None
                if found is None:
                    continue
                if not nested:
                    failed = Problem("", _show(value, shape), f"Map value must satisfy constraint: [{described}]")
                    return [*(problems or ()), failed]
                problems = [*(problems or ()), *_below(f"{key}{suffix}", found)]
            return problems

        return check_map

    def _described(self, shape: Shape, *, sparse: bool) -> str:
        """All constraints of what a list or map holds, in the order in which the frame names them."""
        traits = self._traits(shape)
        enum, low, high = traits.get("enum"), traits.get("min"), traits.get("max")
        parts = [f"Member must satisfy enum value set: [{enum_set(enum)}]"] if enum else []
        what = _measure(shape)
        if what and not enum:
            if high is not None:
                parts.append(f"Member must have {what} less than or equal to {_number(high, shape)}")
            if low is not None:
                parts.append(f"Member must have {what} greater than or equal to {_number(low, shape)}")
        if traits.get("pattern"):
            parts.append(f"Member must satisfy regular expression pattern: {traits['pattern']}")
        if self._style.not_null and not sparse:
            parts.append(_NOT_NULL)
        return ", ".join(parts)

    # -- scalars

    def _scalar(self, shape: Shape) -> Check | None:
        if self._style.only_missing:
            return None
        traits = self._traits(shape)
        checks = [
            made
            for made in (self._pattern(shape, traits), self._size(shape, traits), self._enum(shape, traits))
            if made is not None
        ]
        if len(checks) <= 1:
            return checks[0] if checks else None

        def check_scalar(value: Any) -> list[Problem] | None:
            problems: list[Problem] | None = None
            for one in checks:
                found = one(value)
                if found is not None:
                    problems = [*(problems or ()), *found]
            return problems

        return check_scalar

    def _short(self, shape: Shape) -> float:
        """The length up to which all is well with texts of that shape; below 0 where they are to be looked at."""
        traits = self._traits(shape)
        if self._scalar(shape) is None:
            return math.inf
        if traits.get("pattern") or traits.get("enum") or traits.get("min") or traits.get("max") is None:
            return -1
        return int(traits["max"]) // 2

    def _pattern(self, shape: Shape, traits: Mapping[str, Any]) -> Check | None:
        pattern = traits.get("pattern")
        if not pattern or shape.type != "string" or self._style.schema:
            return None
        # Compiled when there is something to match.
        constraint = f"Member must satisfy regular expression pattern: {pattern}"
        words = self._style.patterns.get(pattern, "")

        def check_pattern(value: Any) -> list[Problem] | None:
            matches = matcher(pattern)
            if matches is None or matches(value):
                return None
            return [Problem("", _show(value, shape), constraint, message=words)]

        return check_pattern

    def _size(self, shape: Shape, traits: Mapping[str, Any]) -> Check | None:
        low, high, what = traits.get("min"), traits.get("max"), _measure(shape)
        if what == "" or (low is None and high is None) or shape.is_streaming or self._style.schema:
            return None
        if shape.type == "string" and traits.get("enum"):
            return None
        least = f"Member must have {what} greater than or equal to {_number(low, shape)}"
        most = f"Member must have {what} less than or equal to {_number(high, shape)}"
        measure: Callable[[Any], Any] = {"value": _itself, "length": _length}[what]
        fewest, half = low or 0, math.inf if high is None else high // 2

        def check_size(value: Any) -> list[Problem] | None:
            # However its characters are counted, what is only half as long as may be is short enough.
            if what == "length" and fewest <= len(value) <= half:
                return None
            size = measure(value)
            if low is not None and size < low:
                return [Problem("", _show(value, shape), least)]
            if high is not None and size > high:
                return [Problem("", _show(value, shape), most)]
            return None

        return check_size

    def _enum(self, shape: Shape, traits: Mapping[str, Any]) -> Check | None:
        values = traits.get("enum")
        if not values or shape.type != "string":
            return None
        allowed = frozenset(values)
        bare = self._style.bare_enums

        def check_enum(value: Any) -> list[Problem] | None:
            if value in allowed:
                return None
            if bare:
                return [Problem("", "", "Member must satisfy enum value set")]
            shown = f"Member must satisfy enum value set: [{enum_set(values)}]"
            return [Problem("", _show(value, shape), shown)]

        return check_enum


def _below(step: str, problems: list[Problem]) -> list[Problem]:
    return [p._replace(path=f"{step}.{p.path}" if p.path else step, message=_reworded(step, p)) for p in problems]


def _reworded(step: str, problem: Problem) -> str:
    return problem.message.replace("{member}", step) if problem.message else ""


def _measure(shape: Shape) -> str:
    match shape.type:
        case "string" | "blob" | "list" | "map":
            return "length"
        case "integer" | "long" | "float" | "double":
            return "value"
        case _:
            return ""


def _itself(value: Any) -> Any:
    return value


def _length(value: Any) -> int:
    if isinstance(value, str) and not value.isascii():
        # Java counts UTF-16 units.
        return len(value) + sum(character > "\uffff" for character in value)
    return len(value)


def _number(value: Any, shape: Shape) -> str:
    return float_text(float(value)) if shape.type in ("float", "double") and value is not None else str(value)


def enum_set(values: list[str]) -> str:
    """An enum's values in the order in which AWS shows them.

    It is that of a hash table of 32 rows, each with what was put in last at its front: every recorded set has it.
    """
    last_first = values[::-1]
    return ", ".join(sorted(last_first, key=lambda value: _java_hash(value) & 31))


def _java_hash(text: str) -> int:
    result = 0
    for unit in text.encode("utf-16-be")[1::2] if text.isascii() else _units(text):
        result = (31 * result + unit) & 0xFFFFFFFF
    return result


def _units(text: str) -> list[int]:
    data = text.encode("utf-16-be")
    return [data[i] << 8 | data[i + 1] for i in range(0, len(data), 2)]


def _show(value: Any, shape: Shape) -> str:
    """`'value' ` as the frame shows it, a space behind it; nothing where the model calls it sensitive."""
    return "" if shape.traits.get("sensitive") else f"'{_java(value, shape)}' "


def _java(value: Any, shape: Shape) -> str:
    """A value as Java's `toString` shows it."""
    if value is None:
        return "null"
    if shape.traits.get("sensitive"):
        return "***Sensitive Data Redacted***"
    match shape.type:
        case "boolean":
            return "true" if value else "false"
        case "float" | "double":
            return float_text(float(value))
        case "blob":
            size = len(value)
            return f"java.nio.HeapByteBuffer[pos=0 lim={size} cap={size}]"
        case "list":
            return f"[{', '.join(_java(item, shape.element) for item in value)}]"
        case "map":
            return "{" + ", ".join(f"{key}={_java(item, shape.value)}" for key, item in value.items()) + "}"
        case "structure":
            members, order = shape.members, SHOWN.get(shape.name)
            shown = [
                f"{name[:1].lower()}{name[1:]}={_java(value.get(name), members[name]) if name in members else 'null'}"
                for name in (order.split() if order else members)
            ]
            return f"{shape.name}({', '.join(shown)})"
    return str(value)
