"""The patterns of service models, which are written for Java, as checks that no input can make run away."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from functools import cache, lru_cache

# A match that takes longer is a refusal: no sane value does, and the caller waits on everybody's time.
TIMEOUT_S = 0.05

# One character class, repeated: nothing to backtrack over, so the standard library's faster engine may do it.
_SIMPLE = re.compile(r"\^?\[(?:[^\[\]\\&]|\\[^pPQE])*\](?:[+*]|\{\d+(?:,\d*)?\})\$?")
# Every character beyond the basic plane, as a Java class must spell it.
_ASTRAL = r"\uD800\uDC00-\uDBFF\uDFFF"
_ASTRAL_RANGE = r"\U00010000-\U0010FFFF"
# In Java these mean ASCII alone.
_CLASSES = {"d": "0-9", "w": "a-zA-Z0-9_", "s": r" \t\n\x0b\f\r"}
# Properties that only Java has, and characters by number as only Java spells them.
_PROPERTY = re.compile(r"\\p\{(all|LD)\}")
_PROPERTIES = {"all": r"\s\S", "LD": r"\p{L}\p{Nd}"}
_NUMBERED = re.compile(r"\\x\{([0-9A-Fa-f]{1,8})\}")
_REMEMBERED_LENGTH_MAX = 256
_NO_LINE_END = r"[^\n\r\u0085\u2028\u2029]"


@cache
def matcher(pattern: str) -> Callable[[str], bool] | None:
    """Whether a whole text matches `pattern`; `None` where the pattern itself is broken (then nothing is checked)."""
    translated = to_python(pattern)
    if _SIMPLE.fullmatch(translated):
        try:
            simple_one = re.compile(translated)
        except re.error:
            return None
        return lambda text: simple_one.fullmatch(text) is not None
    import regex

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compiled = regex.compile(translated, regex.V0)
    except regex.error:
        return None

    def matches(text: str) -> bool:
        try:
            return compiled.fullmatch(text, timeout=TIMEOUT_S) is not None
        except TimeoutError:
            return False

    # The same names come again and again, and this engine takes ten microseconds for each.
    remembered = lru_cache(maxsize=1024)(matches)
    return lambda text: remembered(text) if len(text) <= _REMEMBERED_LENGTH_MAX else matches(text)


def simple(pattern: str) -> str | None:
    """A pattern that the standard library may search for, and that finds what `matcher` matches; None where it is more
    than one class."""
    translated = to_python(pattern)
    if not _SIMPLE.fullmatch(translated):
        return None
    whole = rf"\A(?:{translated})\Z"
    try:
        re.compile(whole)
    except re.error:
        return None
    return whole


def to_python(pattern: str) -> str:
    """A Java pattern in Python's words."""
    pattern = _NUMBERED.sub(lambda match: f"\\U{int(match[1], 16):08X}", pattern.replace(_ASTRAL, _ASTRAL_RANGE))
    parts: list[str] = []
    in_class = False
    at = 0
    while at < len(pattern):
        character = pattern[at]
        if character == "\\" and at + 1 < len(pattern):
            escaped = pattern[at + 1]
            java_only = _PROPERTY.match(pattern, at)
            at = java_only.end() if java_only else at + 2
            members = _PROPERTIES[java_only[1]] if java_only else _CLASSES.get(escaped)
            if members is None:
                parts.append("\\" + escaped)
            elif in_class:
                parts.append(members)
                if pattern[at : at + 1] == "-":
                    # "[\w-.]": after a class a hyphen is itself.
                    parts.append("\\-")
                    at += 1
            else:
                parts.append(f"[{members}]")
            continue
        if character == "[":
            # Inside a class it is itself in no pattern of AWS's; a "]" first in a class neither.
            in_class = True
        elif character == "]":
            in_class = False
        elif character == "." and not in_class:
            character = _NO_LINE_END
        parts.append(character)
        at += 1
    return "".join(parts)
