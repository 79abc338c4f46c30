"""Filter patterns: unstructured terms, JSON selectors, space-delimited fields, regular expressions.

Source: "Filter pattern syntax for metric filters, subscription filters, filter log events, and Live Tail" of the
CloudWatch Logs user guide.

    ERROR "exit code" -DEBUG            contains all, without that
    ?ERROR ?WARN                        contains any
    %4[0-9]{2}%                         matches the expression
    { $.status >= 400 && $.path = "/api*" }
    [ip, user, ..., status=4*, size>100]
"""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import translate
from functools import lru_cache
from typing import Any

import orjson
import regex

from pileus.services.logs import errors

Matcher = Callable[[str], bool]

# A pattern that takes longer than this on one event is refused: events and expressions are strangers' input.
REGEX_TIMEOUT_S = 0.1
DEPTH_MAX = 50


@lru_cache(maxsize=512)
def compile_pattern(pattern: str) -> Matcher:
    """What says whether a message matches; raises `InvalidParameterException` where the pattern is none."""
    text = pattern.strip()
    if not text:
        return lambda message: True
    if text.startswith("{"):
        return _json_pattern(text)
    if text.startswith("["):
        return _fields_pattern(text)
    return _terms_pattern(text)


def _bad() -> Exception:
    return errors.invalid("Invalid filter pattern")


# -- terms ------------------------------------------------------------------------------------------------------------

_TERM = regex.compile(r'\s*([?-]?)(?:"((?:[^"\\]|\\.)*)"|(%[^%]+%)|([^\s"]+))(?=\s|$)')
_BARE = regex.compile(r"[A-Za-z0-9_]+")


def _terms_pattern(text: str) -> Matcher:
    every: list[Matcher] = []
    anyone: list[Matcher] = []
    without: list[Matcher] = []
    at = 0
    while at < len(text):
        found = _TERM.match(text, at)
        if found is None:
            raise _bad()
        at = found.end()
        sign, quoted, expression, bare = found.groups()
        if expression is not None:
            test = _expression(expression[1:-1])
        elif quoted is not None:
            test = _contains(_unquote(quoted))
        elif _BARE.fullmatch(bare):
            test = _contains(bare)
        else:
            # "terms that include characters other than alphanumeric or underscore must be placed inside double quotes"
            raise _bad()
        (anyone if sign == "?" else without if sign == "-" else every).append(test)
    # "If you combine '?' with other filter patterns, such as include and exclude terms, the '?' terms are ignored."
    if anyone and not every and not without:
        return lambda message: any(test(message) for test in anyone)
    return lambda message: all(test(message) for test in every) and not any(test(message) for test in without)


def _contains(term: str) -> Matcher:
    return lambda message: term in message


def _unquote(text: str) -> str:
    return regex.sub(r"\\(.)", r"\1", text)  # type: ignore[no-any-return]


def _expression(source: str) -> Matcher:
    # AWS takes no groups, alternatives in them or references back.
    if regex.search(r"(?<!\\)[()]", source):
        raise _bad()
    try:
        compiled = regex.compile(source)
    except regex.error:
        raise _bad() from None

    return _search(compiled.search)


def _search(search: Callable[..., object]) -> Matcher:
    """Whether it finds something, in bounded time."""

    def test(message: str) -> bool:
        try:
            return search(message, timeout=REGEX_TIMEOUT_S) is not None
        except TimeoutError:
            raise errors.invalid("The filter pattern took too long to evaluate.") from None

    return test


# -- comparisons ------------------------------------------------------------------------------------------------------

_NUMBER = regex.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")


def _number(value: Any) -> float | None:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
        return float(value)
    return None


def _comparison(operator: str, wanted: str, *, quoted: bool) -> Callable[[Any], bool]:
    """The test of a value against the right side of `operator`."""
    number = None if quoted else _number(wanted)
    if operator in ("<", ">", "<=", ">="):
        if number is None:
            raise _bad()
        limit = number

        def ordered(value: Any) -> bool:
            found = _number(value)
            if found is None:
                return False
            return {"<": found < limit, ">": found > limit, "<=": found <= limit, ">=": found >= limit}[operator]

        return ordered
    if not quoted and len(wanted) > 1 and wanted.startswith("%") and wanted.endswith("%"):
        matches = _expression(wanted[1:-1])

        def equal(value: Any) -> bool:
            return isinstance(value, (str, int, float)) and matches(str(value))
    elif number is not None:

        def equal(value: Any) -> bool:
            return _number(value) == number
    elif "*" in wanted:
        # Nothing but the asterisk is special.
        escaped = wanted.replace("[", "[[]").replace("?", "[?]")
        matches = _search(regex.compile(translate(escaped)).match)

        def equal(value: Any) -> bool:
            return isinstance(value, str) and matches(value)
    else:

        def equal(value: Any) -> bool:
            return isinstance(value, str) and value == wanted

    if operator == "!=":
        return lambda value: not equal(value)
    return equal


# -- JSON -------------------------------------------------------------------------------------------------------------

_TOKEN = regex.compile(
    r"""\s*(?:(?P<selector>\$(?:\.[A-Za-z0-9_\-@]+|\[(?:\d+|\*|'[^']*'|"[^"]*")\])+)
      |(?P<operator>&&|\|\||!=|<=|>=|=|<|>|\(|\))
      |"(?P<quoted>(?:[^"\\]|\\.)*)"
      |(?P<expression>%[^%]+%)
      |(?P<word>[^\s()&|=<>!"{}]+))""",
    regex.VERBOSE,
)
_STEP = regex.compile(r"""\.([A-Za-z0-9_\-@]+)|\[(\d+)\]|\[(\*)\]|\['([^']*)'\]|\["([^"]*)"\]""")
_MISSING = object()


def _json_pattern(text: str) -> Matcher:
    if not text.endswith("}"):
        raise _bad()
    body = text[1:-1]
    tokens: list[tuple[str, str]] = []
    at = 0
    while at < len(body.rstrip()):
        found = _TOKEN.match(body, at)
        if found is None:
            raise _bad()
        at = found.end()
        kind = str(found.lastgroup)
        tokens.append((kind, found[kind]))
    test, rest = _any_of(tokens, 0)
    if rest:
        raise _bad()

    def match(message: str) -> bool:
        # A message that is no JSON object cannot match; most messages are not, so look before parsing.
        if "{" not in message:
            return False
        try:
            event = orjson.loads(message)
        except orjson.JSONDecodeError:
            return False
        return test(event)

    return match


Test = Callable[[Any], bool]
Tokens = list[tuple[str, str]]


def _any_of(tokens: Tokens, depth: int) -> tuple[Test, Tokens]:
    test, tokens = _all_of(tokens, depth)
    while tokens and tokens[0] == ("operator", "||"):
        right, tokens = _all_of(tokens[1:], depth)
        test = _either(test, right)
    return test, tokens


def _either(left: Test, right: Test) -> Test:
    return lambda event: left(event) or right(event)


def _both(left: Test, right: Test) -> Test:
    return lambda event: left(event) and right(event)


def _all_of(tokens: Tokens, depth: int) -> tuple[Test, Tokens]:
    test, tokens = _condition(tokens, depth)
    while tokens and tokens[0] == ("operator", "&&"):
        right, tokens = _condition(tokens[1:], depth)
        test = _both(test, right)
    return test, tokens


def _condition(tokens: Tokens, depth: int) -> tuple[Test, Tokens]:
    if not tokens or depth > DEPTH_MAX:
        raise _bad()
    if tokens[0] == ("operator", "("):
        test, tokens = _any_of(tokens[1:], depth + 1)
        if not tokens or tokens[0] != ("operator", ")"):
            raise _bad()
        return test, tokens[1:]
    if tokens[0][0] != "selector" or len(tokens) < 3:
        raise _bad()
    select = _selector(tokens[0][1])
    words = (tokens[1][1].upper(), tokens[2][1].upper())
    if tokens[1][0] == tokens[2][0] == "word":
        if words == ("IS", "NULL"):
            return _some(select, lambda value: value is None), tokens[3:]
        if words == ("IS", "TRUE"):
            return _some(select, lambda value: value is True), tokens[3:]
        if words == ("IS", "FALSE"):
            return _some(select, lambda value: value is False), tokens[3:]
        if words == ("NOT", "EXISTS"):
            return (lambda event: not select(event)), tokens[3:]
        raise _bad()
    (kind, operator), (right, wanted) = tokens[1], tokens[2]
    if kind != "operator" or operator in ("&&", "||", "(", ")") or right in ("operator", "selector"):
        raise _bad()
    quoted = right == "quoted"
    return _some(select, _comparison(operator, _unquote(wanted) if quoted else wanted, quoted=quoted)), tokens[3:]


def _some(select: Callable[[Any], list[Any]], test: Test) -> Test:
    return lambda event: any(test(value) for value in select(event))


def _selector(text: str) -> Callable[[Any], list[Any]]:
    """The values that `$.a.b[0]` names in an event: none, one, or several by `[*]`."""
    steps = [next(group for group in found.groups() if group is not None) for found in _STEP.finditer(text)]
    kinds = [found.lastindex for found in _STEP.finditer(text)]

    def select(event: Any) -> list[Any]:
        values = [event]
        for kind, step in zip(kinds, steps, strict=True):
            following: list[Any] = []
            for value in values:
                if kind == 3:
                    following += value if isinstance(value, list) else []
                elif kind == 2:
                    if isinstance(value, list) and int(step) < len(value):
                        following.append(value[int(step)])
                elif isinstance(value, dict) and step in value:
                    following.append(value[step])
            values = following
        return values

    return select


# -- space-delimited --------------------------------------------------------------------------------------------------

_FIELD = regex.compile(r"\[[^\]]*\]|\"(?:[^\"\\]|\\.)*\"|\S+")
_TEST = regex.compile(r'\s*([\w.\-@]+)\s*(!=|<=|>=|=|<|>)\s*(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))\s*')
_NAME = regex.compile(r"\s*([\w.\-@]*)\s*")


def _fields_pattern(text: str) -> Matcher:
    if not text.endswith("]"):
        raise _bad()
    body = text[1:-1].strip()
    if not body:
        return lambda message: True
    parts = [part.strip() for part in _split(body)]
    if parts.count("...") > 1:
        raise _bad()
    gap = parts.index("...") if "..." in parts else None
    tests = [None if part == "..." else _field_test(part) for part in parts]

    def match(message: str) -> bool:
        fields = [_field_text(field) for field in _FIELD.findall(message)]
        if gap is None:
            if len(fields) != len(tests):
                return False
            pairs = list(zip(tests, fields, strict=True))
        else:
            behind = len(tests) - gap - 1
            if len(fields) < gap + behind:
                return False
            head = zip(tests[:gap], fields[:gap], strict=True)
            tail = zip(tests[gap + 1 :], fields[len(fields) - behind :], strict=True)
            pairs = [*head, *tail]
        return all(test is None or test(field) for test, field in pairs)

    return match


def _field_text(field: str) -> str:
    return field[1:-1] if len(field) > 1 and field[0] in '["' and field[-1] in ']"' else field


def _split(body: str) -> list[str]:
    """At commas outside quotes."""
    parts, start, quoted = [], 0, False
    for at, char in enumerate(body):
        if char == '"':
            quoted = not quoted
        elif char == "," and not quoted:
            parts.append(body[start:at])
            start = at + 1
    return [*parts, body[start:]]


def _field_test(part: str) -> Test | None:
    """`name`, or conditions on one name joined by && or ||."""
    if _NAME.fullmatch(part):
        return None
    test: Test | None = None
    joins = regex.split(r"(&&|\|\|)", part)
    for at in range(0, len(joins), 2):
        found = _TEST.fullmatch(joins[at])
        if found is None:
            raise _bad()
        _, operator, quoted, bare = found.groups()
        one = _comparison(operator, _unquote(quoted) if quoted is not None else bare, quoted=quoted is not None)
        join = _both if joins[at - 1] == "&&" else _either
        test = one if test is None else join(test, one)
    return test
