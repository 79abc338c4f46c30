"""EventBridge's pattern language: rules, pipes, event source mappings and filter policies match with it.

    pattern = compile_pattern('{"source": ["my.app"], "detail": {"n": [{"numeric": [">", 5]}]}}')
    pattern.matches(event)

An event is seen as its leaves: the path to each (names joined by dots) and its value; arrays leave no trace in paths.
Every field of a pattern must find a leaf that it takes, and two fields that lie within elements of one array must find
theirs in the same element. `RuleIndex` holds many patterns and looks only at those whose most telling exact value the
event has.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from functools import lru_cache
from hashlib import blake2b
from typing import Any, Generic, TypeVar

from pileus.delivery.event_pattern_parser import ANYTHING_BUT, Alternative, Field, Truth, parse
from pileus.delivery.event_pattern_places import KINDS, Place
from pileus.delivery.event_pattern_tokens import DEPTH_MAX, InvalidPattern

__all__ = ["InvalidPattern", "Leaves", "Pattern", "RuleIndex", "compile_pattern", "leaves_of"]

N = TypeVar("N", bound=Hashable)


class _Element:
    """An element of an array that holds more than bare values, within another one or (None) in none."""

    __slots__ = ("array", "parent")

    def __init__(self, parent: _Element | None, array: int) -> None:
        self.parent = parent
        # Which array: a number of its own, from 1.
        self.array = array


# The innermost element that a leaf lies in.
_Where = _Element | None

# No pattern goes deeper.
EVENT_DEPTH_MAX = DEPTH_MAX
# Of a pattern that is remembered: a thousand of those that filter policies may be would take hundreds of megabytes.
_CACHED_CHARS_MAX = 8192
# Longer paths are known by their hashes: a long name with thousands of others within it would stand in as many paths.
_PATH_CHARS_MAX = 512


class Leaves:
    """An event as its leaves, made once and held against any number of patterns."""

    __slots__ = ("_arrays", "in_arrays", "values", "wheres")

    def __init__(self, event: Mapping[str, Any]) -> None:
        # By path, see `_known_as`; the two lists of a path belong together.
        self.values: dict[str, list[Any]] = {}
        self.wheres: dict[str, list[_Where]] = {}
        # The paths of leaves that lie within arrays of objects.
        self.in_arrays: set[str] = set()
        self._arrays = 0
        self._add_object(event, "", None, 0)

    def _add_object(self, event: Mapping[str, Any], prefix: _Path, where: _Where, depth: int) -> None:
        if depth > EVENT_DEPTH_MAX:
            return
        if isinstance(prefix, str):
            for name, value in event.items():
                path = prefix + name
                self._add(value, path if len(path) <= _PATH_CHARS_MAX else _hashed(path), where, depth)
        else:
            for name, value in event.items():
                self._add(value, _longer(prefix, name), where, depth)

    def _add(self, value: Any, path: _Path, where: _Where, depth: int) -> None:
        if isinstance(value, dict):
            self._add_object(value, path + "." if isinstance(path, str) else _longer(path, "."), where, depth + 1)
        elif isinstance(value, list | tuple):
            self._arrays += 1
            array = self._arrays
            for one in value:
                if isinstance(one, dict | list | tuple):
                    if depth <= EVENT_DEPTH_MAX:
                        self._add(one, path, _Element(where, array), depth + 1)
                else:
                    # Two fields of a pattern never share an array of bare values.
                    self._put(one, path, where)
        else:
            self._put(value, path, where)

    def _put(self, value: Any, path: _Path, where: _Where) -> None:
        if not isinstance(path, str):
            path = _name_of(path)
        if value is True:
            value = Truth.TRUE
        elif value is False:
            value = Truth.FALSE
        if where is not None:
            self.in_arrays.add(path)
        values = self.values.get(path)
        if values is None:
            self.values[path] = [value]
            self.wheres[path] = [where]
        else:
            values.append(value)
            self.wheres[path].append(where)


# The names as far as a place in the event, joined by dots; of many characters, what hashes them.
_Path = str | blake2b


def _hashed(path: str) -> blake2b:
    return blake2b(path.encode(errors="surrogatepass"), digest_size=16)


def _longer(path: blake2b, text: str) -> blake2b:
    longer = path.copy()
    longer.update(text.encode(errors="surrogatepass"))
    return longer


def _name_of(path: blake2b) -> str:
    return "\0" + path.hexdigest()


def _known_as(path: str) -> str:
    """What a path is known as: itself, unless it is long."""
    return path if len(path) <= _PATH_CHARS_MAX else _name_of(_hashed(path))


def leaves_of(event: Mapping[str, Any]) -> Leaves:
    return Leaves(event)


class Pattern:
    """A compiled pattern; `matches` holds an event (or its leaves) against it."""

    __slots__ = ("alternatives",)

    def __init__(self, alternatives: list[Alternative]) -> None:
        # Fields within one array come one after the other when they are sorted by path.
        self.alternatives = [
            tuple((_known_as(path), field) for path, field in sorted(one.items(), key=_path_of)) for one in alternatives
        ]

    def matches(self, event: Mapping[str, Any] | Leaves) -> bool:
        leaves = event if isinstance(event, Leaves) else Leaves(event)
        return any(_matches(fields, leaves) for fields in self.alternatives)


def compile_pattern(source: str, *, show_source: bool = True, anything_but: frozenset[str] = ANYTHING_BUT) -> Pattern:
    """Raises InvalidPattern, whose text is the reason that AWS gives; without the source where a service hides it.

    `anything_but`: what a service lets that operator have within.
    """
    if len(source) > _CACHED_CHARS_MAX:
        return Pattern(parse(source, show_source=show_source, anything_but=anything_but))
    return _compiled(source, show_source, anything_but)


@lru_cache(maxsize=1024)
def _compiled(source: str, show_source: bool, anything_but: frozenset[str]) -> Pattern:
    return Pattern(parse(source, show_source=show_source, anything_but=anything_but))


_Fields = tuple[tuple[str, Field], ...]


def _path_of(item: tuple[str, Field]) -> list[str]:
    return item[0].split(".")


def _matches(fields: _Fields, leaves: Leaves) -> bool:
    by_path = leaves.values
    for path, field in fields:
        values = by_path.get(path)
        if values is None:
            if not field.absent:
                return False
        else:
            takes = field.takes
            for value in values:
                if takes(value):
                    break
            else:
                return False
    in_arrays = leaves.in_arrays
    if not in_arrays:
        return True
    concerned = tuple(one for one in fields if one[0] in in_arrays)
    return len(concerned) < 2 or _within_same_elements(concerned, leaves)


def _within_same_elements(fields: _Fields, leaves: Leaves) -> bool:
    """Whether the fields find leaves that agree about the elements of arrays that they lie in."""
    # The elements that all fields so far allow.
    choices: set[_Where] = {None}
    for path, field in fields:
        values = leaves.values[path]
        wheres = {where for value, where in zip(values, leaves.wheres[path], strict=True) if field.takes(value)}
        choices = _merged(choices, wheres)
        if not choices:
            return False
    return True


def _merged(choices: set[_Where], wheres: set[_Where]) -> set[_Where]:
    """The elements that are left when a field that allows `wheres` comes to others that allow `choices`.

    Two elements disagree where they lie in, or are, different elements of one array. Of two that agree the one within
    the other is kept, as it says more; else the field's: as paths come in order, the arrays of the others are done
    with. Events are strangers': each element is looked at with those that hold it only, never with all of the other
    side.
    """
    if choices == {None}:
        return wheres
    # By element: the choices in it, itself included; and which arrays they go on into from there (0: it is one itself).
    inside: dict[_Where, list[_Where]] = {}
    onward: dict[_Where, set[int]] = {}
    for choice in choices:
        element, array = choice, 0
        while True:
            onward.setdefault(element, set()).add(array)
            if element in wheres:
                inside.setdefault(element, []).append(choice)
            if element is None:
                break
            array, element = element.array, element.parent
    merged: set[_Where] = set()
    for where in wheres:
        merged.update(inside.get(where, ()))
        element = where
        while element is not None:
            array, element = element.array, element.parent
            # Those that go on into the same array are met further in, or disagree.
            arrays = onward.get(element, _NOWHERE)
            if len(arrays) > 1 or (arrays and array not in arrays):
                merged.add(where)
                break
    return merged


_NOWHERE: frozenset[int] = frozenset()


class RuleIndex(Generic[N]):
    """Patterns by name; `match` gives the names of those that an event matches.

    An alternative is filed under one field of it: one whose values, or whose tests' places, are known, and of these the
    one that the fewest others are filed with; else one that others have, too, to the letter. An event is held only
    against what is filed under its own values, and under fields that take them.
    """

    def __init__(self) -> None:
        self._exact: dict[str, dict[Any, dict[tuple[N, int], _Fields]]] = {}
        # By path, kind, size and key of places.
        self._placed: dict[str, dict[str, dict[int, dict[Hashable, dict[tuple[N, int], _Fields]]]]] = {}
        self._tested: dict[str, dict[str, tuple[Field, dict[tuple[N, int], _Fields]]]] = {}
        # What may match events that have none of its fields.
        self._rest: dict[tuple[N, int], _Fields] = {}
        self._patterns: dict[N, Pattern] = {}

    def __len__(self) -> int:
        return len(self._patterns)

    def __contains__(self, name: N) -> bool:
        return name in self._patterns

    def __iter__(self) -> Iterator[N]:
        return iter(self._patterns)

    def add(self, name: N, pattern: Pattern) -> None:
        """Replaces what has that name."""
        self.discard(name)
        self._patterns[name] = pattern
        for number, fields in enumerate(pattern.alternatives):
            key = (name, number)
            known = self._place_by_values(fields)
            if known is not None:
                path, field = known
                values = self._exact.setdefault(path, {})
                for value in field.exact:
                    values.setdefault(value, {})[key] = fields
                for place in field.places:
                    sizes = self._placed.setdefault(path, {}).setdefault(place.kind, {})
                    sizes.setdefault(place.size, {}).setdefault(place.key, {})[key] = fields
                continue
            tested = self._place_by_tests(fields)
            if tested is not None:
                path, field = tested
                self._tested.setdefault(path, {}).setdefault(field.text, (field, {}))[1][key] = fields
                continue
            self._rest[key] = fields

    def discard(self, name: N) -> None:
        pattern = self._patterns.pop(name, None)
        if pattern is None:
            return
        for number, fields in enumerate(pattern.alternatives):
            key = (name, number)
            self._rest.pop(key, None)
            for path, field in fields:
                values = self._exact.get(path, _NOTHING)
                for value in field.exact:
                    filed = values.get(value)
                    if filed is not None and filed.pop(key, None) is not None and not filed:
                        del values[value]
                for place in field.places:
                    self._discard_placed(path, place, key)
                tested = self._tested.get(path, _NOTHING)
                found = tested.get(field.text)
                if found is not None and found[1].pop(key, None) is not None and not found[1]:
                    del tested[field.text]

    def _discard_placed(self, path: str, place: Place, key: tuple[N, int]) -> None:
        sizes = self._placed.get(path, _NOTHING).get(place.kind, _NOTHING)
        by_key = sizes.get(place.size, _NOTHING)
        filed = by_key.get(place.key)
        if filed is not None and filed.pop(key, None) is not None and not filed:
            del by_key[place.key]
            if not by_key:
                # A look less for every value.
                del sizes[place.size]

    def match(self, event: Mapping[str, Any] | Leaves) -> list[N]:
        """Each once, in the order in which they were found."""
        leaves = event if isinstance(event, Leaves) else Leaves(event)
        found: dict[N, None] = {}
        # What has been held against the event: arrays have many values, and the same ones more than once.
        tried: set[tuple[N, int]] = set()
        for filed in self._reached(leaves):
            for key, fields in filed.items():
                if key[0] not in found and key not in tried:
                    tried.add(key)
                    if _matches(fields, leaves):
                        found[key[0]] = None
        return list(found)

    def steps(self, leaves: Leaves) -> Iterator[N | None]:
        """What `match` gives, one by one, with None where a look has found nothing.

        For large events: no look takes longer than it takes to go through all of the event's values.
        """
        found: set[N] = set()
        tried: set[tuple[N, int]] = set()
        for filed in self._reached(leaves):
            yield None
            for key, fields in filed.items():
                if key[0] in found or key in tried:
                    continue
                tried.add(key)
                if _matches(fields, leaves):
                    found.add(key[0])
                    yield key[0]
                else:
                    yield None

    def _reached(self, leaves: Leaves) -> Iterator[Mapping[tuple[N, int], _Fields]]:
        """What is filed where the event's values lead; nothing, too, where a look at all of them has led nowhere."""
        for path, values in leaves.values.items():
            by_value = self._exact.get(path)
            if by_value:
                for value in values if len(values) == 1 else dict.fromkeys(values):
                    filed = by_value.get(value)
                    if filed is not None:
                        yield filed
            by_kind = self._placed.get(path)
            if by_kind:
                for kind, sizes in by_kind.items():
                    yield from _reached_places(kind, sizes, values)
            by_test = self._tested.get(path)
            if by_test:
                for field, filed in by_test.values():
                    yield filed if any(map(field.takes, values)) else _NOTHING
        yield self._rest

    def _place_by_values(self, fields: _Fields) -> tuple[str, Field] | None:
        best: tuple[int, str, Field] | None = None
        for path, field in fields:
            if not field.is_placed:
                continue
            values, kinds = self._exact.get(path, _NOTHING), self._placed.get(path, _NOTHING)
            others = sum(len(values.get(value, _NOTHING)) for value in field.exact) + sum(
                len(kinds.get(place.kind, _NOTHING).get(place.size, _NOTHING).get(place.key, _NOTHING))
                for place in field.places
            )
            if best is None or others < best[0]:
                best = (others, path, field)
        return None if best is None else best[1:]

    def _place_by_tests(self, fields: _Fields) -> tuple[str, Field] | None:
        required = [(path, field) for path, field in fields if not field.absent]
        for path, field in required:
            if field.text in self._tested.get(path, _NOTHING):
                return path, field
        # What stands outermost tells events apart best, and is what others have, too.
        return min(required, key=lambda one: one[0].count("."), default=None)


def _reached_places(
    kind: str, sizes: Mapping[int, Mapping[Hashable, Mapping[tuple[N, int], _Fields]]], values: list[Any]
) -> Iterator[Mapping[tuple[N, int], _Fields]]:
    convert, key_of = KINDS[kind]
    # Many values may lead to one key, under which many patterns may be filed: it is looked at once.
    seen: set[tuple[int, Hashable]] = set()
    for value in values if len(values) == 1 else dict.fromkeys(values):
        converted = convert(value)
        if converted is None:
            continue
        for size, by_key in sizes.items():
            key = key_of(converted, size)
            filed = by_key.get(key)
            if filed is not None and (size, key) not in seen:
                seen.add((size, key))
                yield filed


_NOTHING: dict[Any, Any] = {}
