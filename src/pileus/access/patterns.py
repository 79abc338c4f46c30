"""Texts of the policy language: wildcards `*` and `?`, policy variables `${aws:username}`.

A pattern is compiled once; matching never goes back further than to the last `*`, so its cost is bounded by the product
of the two lengths whatever stands in it, and is a comparison where the pattern has no wildcard.

Source: "IAM JSON policy elements: Resource" and "IAM policy elements: Variables and tags" (IAM User Guide).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

# Stands for `?` inside a piece of a pattern: policy documents cannot contain it.
_ONE = "\x00"

# The value of a condition key by its lower-case name, or None where the request has no such key.
Lookup = Callable[[str], Sequence[str] | None]


class Variable:
    """`${key}`, or `${key, 'default'}`."""

    __slots__ = ("default", "name")

    def __init__(self, name: str, default: str | None) -> None:
        self.name = name
        self.default = default

    def value(self, lookup: Lookup) -> str | None:
        """The key's value; None where it has none, or several."""
        found = lookup(self.name)
        if found is not None and len(found) == 1:
            return found[0]
        return self.default


# The pieces between the stars of a pattern, each a run of literals and variables.
Piece = list["str | Variable"]


class Pattern:
    """A text with wildcards and variables."""

    __slots__ = ("_fixed", "_pieces", "is_any", "literal")

    def __init__(self, pieces: list[Piece]) -> None:
        # Without variables the pieces are known beforehand.
        fixed = all(isinstance(part, str) for piece in pieces for part in piece)
        self._pieces = pieces
        self._fixed = ["".join(piece) for piece in pieces] if fixed else None  # type: ignore[arg-type]
        self.is_any = self._fixed is not None and len(pieces) > 1 and not any(self._fixed)
        # The one text that fits, where it is a single one.
        self.literal = self._fixed[0] if self._fixed and len(pieces) == 1 and _ONE not in self._fixed[0] else None

    def matches(self, text: str, lookup: Lookup) -> bool:
        """Whether `text` fits; a variable without a value fits nothing."""
        if self.literal is not None:
            return text == self.literal
        if self.is_any:
            return True
        pieces = self._fixed
        if pieces is None:
            resolved = _resolve(self._pieces, lookup)
            if resolved is None:
                return False
            pieces = resolved
        return match_pieces(pieces, text)


def _resolve(pieces: list[Piece], lookup: Lookup) -> list[str] | None:
    resolved: list[str] = []
    for piece in pieces:
        texts: list[str] = []
        for part in piece:
            value = part if isinstance(part, str) else part.value(lookup)
            if value is None:
                return None
            texts.append(value)
        resolved.append("".join(texts))
    return resolved


def match_pieces(pieces: Sequence[str], text: str) -> bool:
    """Whether `text` is the pieces in their order, with anything between them."""
    first = pieces[0]
    if len(pieces) == 1:
        return _equal_at(first, text, 0) if len(first) == len(text) else False
    last = pieces[-1]
    at, end = len(first), len(text) - len(last)
    if at > end or not _equal_at(first, text, 0) or not _equal_at(last, text, end):
        return False
    for piece in pieces[1:-1]:
        found = _find(piece, text, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


def _equal_at(piece: str, text: str, at: int) -> bool:
    if _ONE not in piece:
        return text.startswith(piece, at)
    return all(char in (_ONE, text[at + i]) for i, char in enumerate(piece))


def _find(piece: str, text: str, start: int, end: int) -> int:
    """Where `piece` first stands in text[start:end], or -1."""
    if _ONE not in piece:
        return text.find(piece, start, end)
    for at in range(start, end - len(piece) + 1):
        if _equal_at(piece, text, at):
            return at
    return -1


def tokens(text: str, *, variables: bool, wildcards: bool = True) -> list[str | Variable | None]:
    """`text` as literals, variables, and None for each `*`; `?` stands in the literals as itself made a wildcard.

    Raises ValueError for a variable that does not end, or a character that no policy can have.
    """
    if _ONE in text:
        raise ValueError("a policy cannot contain a null character")
    found: list[str | Variable | None] = []
    literal: list[str] = []
    at = 0
    while at < len(text):
        char = text[at]
        if char == "$" and variables and text.startswith("${", at):
            end = text.find("}", at)
            if end < 0:
                raise ValueError(f"the variable in {text!r} does not end")
            name = text[at + 2 : end]
            at = end + 1
            if name in ("*", "?", "$"):
                literal.append(name)
                continue
            if literal:
                found.append("".join(literal))
                literal = []
            found.append(_variable(name))
            continue
        if char == "*" and wildcards:
            if literal:
                found.append("".join(literal))
                literal = []
            found.append(None)
        else:
            literal.append(_ONE if char == "?" and wildcards else char)
        at += 1
    if literal:
        found.append("".join(literal))
    return found


def _variable(text: str) -> Variable:
    name, comma, default = text.partition(",")
    default = default.strip()
    if comma and len(default) >= 2 and default[0] == default[-1] == "'":
        return Variable(name.strip().lower(), default[1:-1])
    return Variable(name.strip().lower(), None)


def pattern_of(parts: Sequence[str | Variable | None]) -> Pattern:
    """The pattern of a run of `tokens`."""
    pieces: list[Piece] = [[]]
    for part in parts:
        if part is None:
            pieces.append([])
        else:
            pieces[-1].append(part)
    return Pattern(pieces)


def compile_pattern(text: str, *, variables: bool = True, wildcards: bool = True) -> Pattern:
    return pattern_of(tokens(text, variables=variables, wildcards=wildcards))


class ArnPattern:
    """An ARN with wildcards: each of its six parts is compared by itself, so that `*` does not reach over a colon.

    What is not in the form of an ARN is compared as one text.
    """

    __slots__ = ("_parts", "is_any", "literal")

    def __init__(self, text: str, *, variables: bool = True, wildcards: bool = True) -> None:
        parts: list[list[str | Variable | None]] = [[]]
        for token in tokens(text, variables=variables, wildcards=wildcards):
            if not isinstance(token, str):
                parts[-1].append(token)
                continue
            *heads, tail = token.split(":", 6 - len(parts))
            for head in heads:
                parts[-1].append(head)
                parts.append([])
            parts[-1].append(tail)
        if len(parts) < 6:
            self._parts = [compile_pattern(text, variables=variables, wildcards=wildcards)]
        else:
            self._parts = [pattern_of(part) for part in parts]
        self.is_any = len(self._parts) == 1 and self._parts[0].is_any
        literals = [part.literal for part in self._parts]
        self.literal = ":".join(literals) if None not in literals else None  # type: ignore[arg-type]

    def matches(self, arn: str, lookup: Lookup) -> bool:
        if self.is_any:
            return True
        parts = self._parts
        if len(parts) == 1:
            return parts[0].matches(arn, lookup)
        texts = arn.split(":", 5)
        return len(texts) == 6 and all(part.matches(text, lookup) for part, text in zip(parts, texts, strict=True))


class Patterns:
    """Several patterns, of which one has to fit: what has no wildcard is found without trying each."""

    __slots__ = ("_any", "_literals", "_others")

    def __init__(self, patterns: Sequence[Pattern | ArnPattern]) -> None:
        self._any = any(pattern.is_any for pattern in patterns)
        self._literals = frozenset(pattern.literal for pattern in patterns)
        self._others = tuple(pattern for pattern in patterns if pattern.literal is None)

    def match(self, text: str, lookup: Lookup) -> bool:
        if self._any or text in self._literals:
            return True
        return any(pattern.matches(text, lookup) for pattern in self._others) if self._others else False
