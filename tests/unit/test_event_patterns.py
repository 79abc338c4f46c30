"""EventBridge's pattern language: what matches, what is refused in which words, and that an index finds the same."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from itertools import combinations, count, product
from typing import Any

import pytest
from steps_kit import within_steps

from pileus.delivery.event_patterns import InvalidPattern, Leaves, RuleIndex, compile_pattern, leaves_of

EVENT: dict[str, Any] = {
    "version": "0",
    "id": "1",
    "source": "my.app",
    "detail-type": "Order Placed",
    "account": "000000000000",
    "resources": ["arn:one", "arn:two"],
    "detail": {
        "text": "Hello.World.png",
        "empty": "",
        "nothing": None,
        "yes": True,
        "no": False,
        "n": 300,
        "float": 1.5,
        "big": 1700000000000,
        "zero": 0,
        "ip": "10.0.0.17",
        "ip6": "2001:db8::5",
        "none": [],
        "tags": ["a", "b"],
        "nested": {"deep": {"er": "x"}},
        "people": [{"first": "Anna", "last": "Smith", "pets": [{"k": 1, "v": 2}]}, {"first": "Peter", "last": "Jones"}],
        "grid": [[{"a": 1, "b": 1}, {"a": 2, "b": 2}], [{"a": 3, "b": 3}]],
        "dotted.name": "d",
    },
}


def detail(**fields: Any) -> dict[str, Any]:
    return {"detail": fields}


MATCHING: list[tuple[dict[str, Any], bool]] = [
    ({"source": ["my.app"]}, True),
    ({"source": ["other", "my.app"]}, True),
    ({"source": ["My.app"]}, False),
    ({"source": ["my.app"], "detail-type": ["other"]}, False),
    ({"resources": ["arn:two"]}, True),
    ({"resources": ["arn:three"]}, False),
    (detail(yes=[True]), True),
    (detail(yes=[1]), False),
    (detail(yes=["true"]), False),
    (detail(no=[False]), True),
    (detail(zero=[False]), False),
    (detail(nothing=[None]), True),
    (detail(empty=[""]), True),
    (detail(empty=[None]), False),
    (detail(n=[300]), True),
    (detail(n=[3.0e2]), True),
    (detail(n=["300"]), False),
    (detail(big=[1700000000000]), True),
    (detail(nested={"deep": {"er": ["x"]}}), True),
    ({"detail": {"nested.deep": {"er": ["x"]}}}, True),
    ({"detail": {"dotted": {"name": ["d"]}}}, True),
    (detail(nested=["x"]), False),
    (detail(text=[{"prefix": "Hello"}]), True),
    (detail(text=[{"prefix": "hello"}]), False),
    (detail(text=[{"prefix": {"equals-ignore-case": "hELLO"}}]), True),
    (detail(text=[{"suffix": ".png"}]), True),
    (detail(text=[{"suffix": ".jpg"}]), False),
    (detail(text=[{"suffix": {"equals-ignore-case": ".PNG"}}]), True),
    (detail(text=[{"equals-ignore-case": "hello.world.PNG"}]), True),
    (detail(text=[{"equals-ignore-case": "hello"}]), False),
    (detail(n=[{"prefix": "3"}]), False),
    (detail(text=[{"wildcard": "Hello.*.png"}]), True),
    (detail(text=[{"wildcard": "*World*"}]), True),
    (detail(text=[{"wildcard": "*"}]), True),
    (detail(text=[{"wildcard": "*.png*.png"}]), False),
    (detail(text=[{"wildcard": "Hello\\*"}]), False),
    (detail(text=[{"wildcard": "Hello.World.png"}]), True),
    (detail(text=[{"anything-but": "x"}]), True),
    (detail(text=[{"anything-but": "Hello.World.png"}]), False),
    (detail(text=[{"anything-but": ["x", "Hello.World.png"]}]), False),
    (detail(missing=[{"anything-but": "x"}]), False),
    (detail(n=[{"anything-but": 300}]), False),
    (detail(n=[{"anything-but": 3e2}]), False),
    (detail(n=[{"anything-but": "300"}]), True),
    (detail(text=[{"anything-but": [1, 2]}]), True),
    (detail(tags=[{"anything-but": "a"}]), True),
    (detail(tags=[{"anything-but": ["a", "b"]}]), False),
    (detail(text=[{"anything-but": {"prefix": "Hello"}}]), False),
    (detail(text=[{"anything-but": {"prefix": ["x", "Hell"]}}]), False),
    (detail(text=[{"anything-but": {"prefix": "World"}}]), True),
    (detail(text=[{"anything-but": {"suffix": "png"}}]), False),
    (detail(text=[{"anything-but": {"suffix": ["jpg"]}}]), True),
    (detail(text=[{"anything-but": {"equals-ignore-case": "HELLO.world.PNG"}}]), False),
    (detail(text=[{"anything-but": {"equals-ignore-case": ["x", "y"]}}]), True),
    (detail(text=[{"anything-but": {"wildcard": "*.png"}}]), False),
    (detail(text=[{"anything-but": {"wildcard": ["*.jpg", "x*"]}}]), True),
    (detail(n=[{"numeric": ["=", 300.0]}]), True),
    (detail(n=[{"numeric": [">", 299.5, "<=", 300]}]), True),
    (detail(n=[{"numeric": [">", 300]}]), False),
    (detail(n=[{"numeric": [">=", 300]}]), True),
    (detail(n=[{"numeric": ["<", 300]}]), False),
    (detail(n=[{"numeric": ["<=", 300]}]), True),
    (detail(float=[{"numeric": [">", 1, "<", 2]}]), True),
    (detail(text=[{"numeric": [">", 1]}]), False),
    (detail(yes=[{"numeric": [">=", 0]}]), False),
    (detail(big=[{"numeric": [">", 0]}]), False),
    (detail(ip=[{"cidr": "10.0.0.0/24"}]), True),
    (detail(ip=[{"cidr": "10.0.1.0/24"}]), False),
    (detail(ip=[{"cidr": "0.0.0.0/0"}]), True),
    (detail(ip6=[{"cidr": "2001:db8::/32"}]), True),
    (detail(text=[{"cidr": "0.0.0.0/0"}]), False),
    (detail(text=[{"exists": True}]), True),
    (detail(nothing=[{"exists": True}]), True),
    (detail(text=[{"exists": False}]), False),
    (detail(missing=[{"exists": False}]), True),
    (detail(missing=[{"exists": True}]), False),
    (detail(none=[{"exists": False}]), True),
    (detail(nested=[{"exists": False}]), True),
    (detail(missing=["x", {"exists": False}]), True),
    (detail(text=["x", {"exists": False}]), False),
    (detail(n=["x", {"prefix": "y"}, {"numeric": ["<", 1000]}]), True),
    # Two fields find theirs in one element of an array.
    (detail(people={"first": ["Anna"], "last": ["Smith"]}), True),
    (detail(people={"first": ["Anna"], "last": ["Jones"]}), False),
    (detail(people={"first": ["Peter"], "pets": {"k": [1]}}), False),
    (detail(people={"first": ["Anna"], "pets": {"k": [1], "v": [2]}}), True),
    (detail(people={"first": ["Anna"]}, grid={"a": [3], "b": [3]}), True),
    (detail(grid={"a": [1], "b": [2]}), False),
    ({"$or": [{"source": ["x"]}, {"detail-type": ["Order Placed"]}]}, True),
    ({"$or": [{"source": ["x"]}, {"detail-type": ["x"]}]}, False),
    ({"source": ["my.app"], "$or": [{"id": ["2"]}, {"id": ["1"], "version": ["0"]}]}, True),
    ({"detail": {"$or": [{"n": [1]}, {"$or": [{"n": [2]}, {"text": [{"suffix": "png"}]}]}]}}, True),
    (
        {
            "$or": [{"source": ["x"]}, {"source": ["my.app"]}],
            "detail": {"$or": [{"n": [{"numeric": ["<", 5]}]}, {"yes": [True]}]},
        },
        True,
    ),
]


@pytest.mark.parametrize(("pattern", "matches"), MATCHING, ids=json.dumps)
def test_what_matches(pattern: dict[str, Any], matches: bool) -> None:
    compiled = compile_pattern(json.dumps(pattern))
    assert compiled.matches(EVENT) is matches
    index: RuleIndex[str] = RuleIndex()
    index.add("it", compiled)
    assert index.match(EVENT) == (["it"] if matches else [])


_WANTED = "(JSON String, Number, Array, Object or token 'null', 'true' or 'false')"


@pytest.mark.parametrize(
    ("pattern", "reason", "column"),
    [
        ('["not", "a", "dict", "but valid json"]', "Filter is not an object", 2),
        ("this is valid json but not a dict", f"Unrecognized token 'this': was expecting {_WANTED}", 5),
        ('{"not": closed mark"', f"Unrecognized token 'closed': was expecting {_WANTED}", 15),
        (
            "{'bad': 'quotation'}",
            "Unexpected character (''' (code 39)): was expecting double-quote to start field name",
            2,
        ),
        ('{"key_a":"value_one"}', '"key_a" must be an object or an array', 11),
        ('{"key_a":5}', '"key_a" must be an object or an array', 11),
        ("{}", "Empty objects are not allowed", 3),
        ('{"a":[]}', "Empty arrays are not allowed", 8),
        ('{"a":[["b"]]}', "Match value must be String, number, true, false, or null", 8),
        ('{"a":[{}]}', "Match expression name not found", 9),
        ('{"a":[{"like":"b"}]}', "Unrecognized match type like", 16),
        ('{"a":[{"prefix":1}]}', "prefix match pattern must be a string", 18),
        ('{"a":[{"prefix":"a","suffix":"b"}]}', "Only one key allowed in match expression", 31),
        ('{"a":[{"prefix":{"suffix":"b"}}]}', "Unsupported prefix pattern: suffix", 28),
        ('{"a":[{"exists":"b"}]}', "exists match pattern must be either true or false.", 18),
        ('{"a":[{"numeric":5}]}', "Value of numeric must be an array.", 19),
        ('{"a":[{"numeric":[">","5"]}]}', "Value of > must be numeric", 24),
        ('{"a":[{"numeric":["!",5]}]}', "Unrecognized numeric range operator: !", 24),
        ('{"a":[{"numeric":[">",5,"<",3]}]}', "Bottom must be less than top", 31),
        ('{"a":[{"numeric":[">",5000000001]}]}', "Value must be between -5.0E9 and 5.0E9, inclusive", 33),
        ('{"a":[{"numeric":["=",1e1000000]}]}', "Value must be between -5.0E9 and 5.0E9, inclusive", 32),
        ('{"a":[{"anything-but":[1e1000000]}]}', "Value must be between -5.0E9 and 5.0E9, inclusive", 33),
        ('{"a":[{"anything-but":[]}]}', None, 25),
        ('{"a":[{"anything-but":["a",1]}]}', None, 30),
        ('{"key":[{"anything-but":{"wrong-operator":null}}]}', "Unsupported anything-but pattern: wrong-operator", 47),
        ('{"key":[{"anything-but":{"prefix":false}}]}', "Value of anything-but must be an array or", 40),
        ('{"a":[{"anything-but":{"prefix":""}}]}', "Null prefix/suffix not allowed", 35),
        ('{"a":[{"wildcard":"a**b"}]}', "Consecutive wildcard characters at pos 2", 25),
        ('{"a":[{"wildcard":"a\\\\b"}]}', "Invalid escape character at pos 2", 25),
        ('{"$or":[{"a":["b"]}]}', "There must have at least 2 Objects in $or relationship.", 21),
        ('{"$or":{"a":["b"]}}', "It must be an Array followed with $or.", 9),
        ('{"$or":[{"prefix":["a"]},{"b":["c"]}]}', None, 20),
        ('{"a":["b"', "Unexpected end-of-input: expected close marker for Array", 10),
        ('{"a":["b",]}', f"Unexpected character (']' (code 93)): expected a valid value {_WANTED}", 11),
        (
            '{"a":["b"] "c":["d"]}',
            "Unexpected character ('\"' (code 34)): was expecting comma to separate Object entries",
            12,
        ),
        ('{"a":["b', "Unexpected end-of-input: was expecting closing quote for a string value", 9),
    ],
)
def test_what_is_refused(pattern: str, reason: str | None, column: int) -> None:
    with pytest.raises(InvalidPattern) as caught:
        compile_pattern(pattern)
    message = str(caught.value)
    if reason is not None:
        assert message.startswith(reason)
    assert message.endswith(f'\n at [Source: (String)"{pattern}"; line: 1, column: {column}]')


def test_places_count_lines() -> None:
    with pytest.raises(InvalidPattern, match=r"line: 3, column: 8]$"):
        compile_pattern('{\n "source": ["x"],\n "b": "c"\n}')


def test_the_source_may_be_hidden_and_is_cut() -> None:
    with pytest.raises(InvalidPattern) as hidden:
        compile_pattern("[]", show_source=False)
    assert str(hidden.value) == (
        "Filter is not an object\n at [Source: REDACTED (`StreamReadFeature.INCLUDE_SOURCE_IN_LOCATION` disabled); "
        "line: 1, column: 2]"
    )
    with pytest.raises(InvalidPattern) as cut:
        compile_pattern('["' + "x" * 600 + '"]')
    assert '"[truncated 104 chars]; line: 1' in str(cut.value)


@pytest.mark.parametrize(
    ("cidr", "reason"),
    [
        ("10.0.0.0", "Malformed CIDR, one '/' required"),
        ("10.0.0.0/x", "Malformed CIDR, mask bits must be an integer"),
        ("10.0.0.0/32", "IPv4 mask bits must be < 32"),
        ("host/8", "Nonstandard IP address: host"),
    ],
)
def test_bad_addresses(cidr: str, reason: str) -> None:
    with pytest.raises(InvalidPattern) as caught:
        compile_pattern(json.dumps({"a": [{"cidr": cidr}]}))
    assert str(caught.value) == reason


def test_alternatives_are_limited() -> None:
    pattern = {f"f{n}": {"$or": [{"a": [1]}, {"b": [2]}]} for n in range(11)}
    with pytest.raises(InvalidPattern, match="Rule is too complex"):
        compile_pattern(json.dumps(pattern))


def test_nesting_is_limited() -> None:
    with pytest.raises(InvalidPattern, match="nesting depth"):
        compile_pattern('{"a":' * 5000)
    event: dict[str, Any] = {}
    inner = event
    for _ in range(900):
        inner["a"] = inner = {}
    inner["a"] = "x"
    assert Leaves(event).values == {}


def test_wildcards_take_no_more_than_linear_time() -> None:
    pattern = compile_pattern(json.dumps({"a": [{"wildcard": "*a" * 60 + "*b"}]}))
    # A backtracking matcher would not come back at all.
    assert not within_steps(10_000, lambda: pattern.matches({"a": "a" * 200_000}))


def test_an_index_finds_what_every_pattern_alone_finds() -> None:
    chance = random.Random(7)
    tests: list[dict[str, Any]] = [
        *({"exists": False}, {"exists": True}, {"anything-but": ["1"]}, {"anything-but": {"prefix": "A"}}),
        *({"prefix": "1"}, {"prefix": ""}, {"prefix": "Ab"}, {"prefix": {"equals-ignore-case": "aB"}}),
        *({"suffix": "2"}, {"suffix": ""}, {"suffix": "bC"}, {"suffix": {"equals-ignore-case": "Bc"}}),
        *({"equals-ignore-case": "aBc"}, {"equals-ignore-case": "STRASSE"}, {"equals-ignore-case": "İ"}),
        *({"wildcard": text} for text in ("1*", "*2", "*", "A*c", "a*longend", "abc", "*b*", "\\**")),
        *({"numeric": each} for each in (["<", 2], [">=", -1.5], [">", 0, "<=", 1], [">", 0.4, "<", 0.6], ["=", 12])),
        *({"numeric": [">=", 4e9]}, {"numeric": ["<", -4e9]}, {"numeric": [">", -1, "<", 1]}),
        *({"cidr": each} for each in ("10.0.0.0/8", "10.0.0.200/25", "0.0.0.0/0", "2001:db8::/32", "::/0")),
    ]
    values: list[Any] = [
        *(0, 1, 2, -1, -2, 0.5, 12, 5e9, -5e9, 6e9, 1e300, True, None, "", "0", "1", "12", "*x", ["1", 2]),
        *(
            "abc",
            "ABC",
            "Abc",
            "a longend",
            "straße",
            "İ",
            "i̇",
            "10.0.0.1",
            "10.0.0.255",
            "11.1.1.1",
            "2001:db8::7",
            "::1",
        ),
    ]

    def pattern() -> str:
        fields: dict[str, Any] = {}
        for name in chance.sample(["source", "kind", "n", "s"], chance.randint(1, 3)):
            fields[name] = chance.sample(
                [chance.randint(0, 3), str(chance.randint(0, 3)), chance.choice(tests), chance.choice(tests)],
                chance.randint(1, 2),
            )
        if chance.random() < 0.3:
            fields["$or"] = [{"x": [chance.randint(0, 2)]}, {"y": [{"numeric": ["<", 2]}]}]
        return json.dumps(fields)

    index: RuleIndex[int] = RuleIndex()
    patterns = {}
    for name in range(1200):
        patterns[name] = compile_pattern(pattern())
        index.add(name, patterns[name])
    for name in chance.sample(range(1200), 400):
        if chance.random() < 0.5:
            del patterns[name]
            index.discard(name)
        else:
            patterns[name] = compile_pattern(pattern())
            index.add(name, patterns[name])
    assert set(index) == set(patterns)
    for _ in range(200):
        event = {
            name: chance.choice(values)
            for name in chance.sample(["source", "kind", "n", "s", "x", "y"], chance.randint(0, 6))
        }
        assert set(index.match(event)) == {name for name, one in patterns.items() if one.matches(event)}
    for name in list(patterns):
        index.discard(name)
    assert not index.match({"source": "1"})
    assert len(index) == 0


@pytest.mark.parametrize(
    ("detail", "matched"),
    [
        (lambda n: {"k": [f"k{n}"]}, 1),
        (lambda n: {"k": [{"prefix": f"k{n}"}]}, 4),
        (lambda n: {"k": [{"suffix": f"k{n}"}]}, 1),
        (lambda n: {"k": [{"equals-ignore-case": f"K{n}"}]}, 1),
        (lambda n: {"k": [{"wildcard": f"k{n}*"}]}, 4),
        (lambda n: {"n": [{"numeric": [">=", n, "<=", n + 10]}]}, 11),
        (lambda n: {"a": [{"cidr": f"10.{n // 256}.{n % 256}.0/24"}]}, 1),
    ],
    ids=["value", "prefix", "suffix", "case", "wildcard", "numeric", "cidr"],
)
def test_an_index_looks_at_few_of_ten_thousand_rules(detail: Callable[[int], Any], matched: int) -> None:
    index: RuleIndex[int] = RuleIndex()
    for name in range(10_000):
        index.add(name, compile_pattern(json.dumps({"source": ["app"], "detail": detail(name)})))
    event = {"source": "app", "detail": {"k": "k5000", "n": 5000, "a": "10.19.136.7"}}
    assert len(within_steps(20_000, lambda: index.match(event))) == matched


def test_many_elements_are_each_looked_at_once() -> None:
    """Every element has two of three fields right: held against each other they would be hundreds of millions."""
    pattern = {"a": {"b": ["x"], "c": ["y"], "d": [{"exists": True}], "e": ["here"]}}
    index: RuleIndex[int] = RuleIndex()
    for n in range(3):
        index.add(n, compile_pattern(json.dumps(pattern | {"n": [n, 7]})))
    elements = [{"b": "x", "c": "y", "d": n} for n in range(10_000)]
    assert index.match({"n": 7, "a": [*elements, {"e": "here"}]}) == []
    assert sorted(index.match({"n": 7, "a": [*elements, {"b": "x", "c": "y", "d": 1, "e": "here"}]})) == [0, 1, 2]
    # In arrays within one element fields are free to choose, and so they are in arrays beside it.
    beside = {"r": {"a": {"v": [{"exists": True}]}, "b": {"v": ["here"]}, "k": ["x"]}, "s": {"v": ["there"]}}
    values = [{"v": n} for n in range(10_000)]
    event: dict[str, Any] = {
        "r": [{"a": values, "b": values, "k": "x"}, {"a": values, "b": [{"v": "here"}]}],
        "s": [{"v": "there"}],
    }
    assert not compile_pattern(json.dumps(beside)).matches(event)
    event["r"][1]["k"] = "x"
    assert compile_pattern(json.dumps(beside)).matches(event)


def test_arrays_of_one_path_are_not_held_against_each_other() -> None:
    """Dots in names let one element have a thousand arrays under one path: each pair of them would be a million."""
    names = "bcdefghijkl"
    inner: dict[str, Any] = {}
    for number in range(2 ** (len(names) - 1)):
        path = names[0]
        for at, name in enumerate(names[1:]):
            path += (" " if number >> at & 1 else ".") + name
        *outer, last = path.split()
        within = inner
        for name in outer:
            within = within.setdefault(name, {})
        within[last] = [{"x": 1, "y": 2}, {"x": 1, "y": 2}]
    fields: dict[str, Any] = {"x": [1], "y": [2]}
    for name in reversed(names):
        fields = {name: fields}
    pattern = compile_pattern(json.dumps({"a": fields}))
    leaves = leaves_of({"a": [inner, {}]})
    assert within_steps(200_000, lambda: pattern.matches(leaves))


def test_fields_within_arrays_find_their_leaves_together() -> None:
    """Held against a search through all choices of a leaf for each field."""
    dice = random.Random(5)

    def value(depth: int) -> Any:
        kind = dice.random()
        if depth > 3 or kind < 0.3:
            return dice.randint(1, 2)
        if kind < 0.65:
            return [value(depth + 1) for _ in range(dice.randint(0, 3))]
        return {name: value(depth + 1) for name in dice.sample("ab", dice.randint(1, 2))}

    def agree(one: Any, other: Any) -> bool:
        """`one`, `other`: (array, element) of each array that a leaf lies in, from outside."""
        mine, theirs = dict(one), dict(other)
        return all(mine[array] == theirs[array] for array in mine.keys() & theirs.keys())

    def leaves(within: Any, path: str, where: tuple[Any, ...], found: dict[str, list[Any]], ids: Iterator[int]) -> None:
        if isinstance(within, dict):
            for name, one in within.items():
                leaves(one, f"{path}.{name}" if path else name, where, found, ids)
        elif isinstance(within, list):
            array = next(ids)
            for number, one in enumerate(within):
                deeper = (*where, (array, number)) if isinstance(one, dict | list) else where
                leaves(one, path, deeper, found, ids)
        else:
            found.setdefault(path, []).append((within, where))

    matched = 0
    for _ in range(4000):
        event = {"a": value(0), "b": value(0)}
        found: dict[str, list[Any]] = {}
        leaves(event, "", (), found, count())
        wanted = {path: dice.randint(1, 2) for path in dice.sample(sorted(found), min(len(found), 3))}
        choices = [[where for one, where in found[path] if one == number] for path, number in wanted.items()]
        expected = any(all(agree(*pair) for pair in combinations(each, 2)) for each in product(*choices))
        if wanted:
            # Names with dots in them are as good as names within names.
            pattern = {path: [number] for path, number in wanted.items()}
            assert compile_pattern(json.dumps(pattern)).matches(event) is expected, (event, pattern)
            matched += expected
    assert matched > 100


@pytest.mark.parametrize("length", [505, 511, 512, 513, 2000])
def test_long_names_match_as_short_ones_do(length: int) -> None:
    name = "é" * length
    for event, taken in (
        ({name: {"a": 1, "b": [{"c": 2}]}}, True),
        ({f"{name}.a": 1, name: {"b": {"c": 2}}}, True),
        ({f"{name}.a": 1, f"{name}.b.c": [3, 2]}, True),
        ({name[1:]: {"a": 1, "b": {"c": 2}}}, False),
        ({name: {"a": 1, "b.c": 3}}, False),
    ):
        pattern = compile_pattern(json.dumps({name: {"a": [1], "b": {"c": [2]}}}))
        assert pattern.matches(event) is taken
        index: RuleIndex[int] = RuleIndex()
        index.add(1, pattern)
        assert index.match(event) == [1] * taken


def test_a_long_name_stands_in_one_path_only() -> None:
    """An event of a quarter of a megabyte took gigabytes."""
    event = {"k" * 120_000: {str(number): number for number in range(10_000)}, "l" * 120_000: [1] * 10_000}
    leaves = within_steps(1_000_000, lambda: leaves_of(event))
    assert sum(map(len, leaves.values)) < 2_000_000
