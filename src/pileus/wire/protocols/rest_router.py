"""Which operation of a rest service a method, path and query mean.

Literal segments win over labels, labels over greedy labels; among the operations of one path those win that ask for
more: query literals (`?uploads`), then required query parameters and headers (S3's `PUT /bucket/key` is UploadPart
where `partNumber` and `uploadId` are given, CopyObject where `x-amz-copy-source` is).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import unquote, unquote_plus

from pileus.kernel.errors import AWSError
from pileus.model import Operation, ServiceModel

_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_LABEL = re.compile(r"\{([^}+]+)(\+?)\}")

Labels = dict[str, str]
Match = tuple[Operation, Labels]


class _Candidate(NamedTuple):
    name: str
    # The label's names, from left to right.
    labels: tuple[str, ...]
    # Query parameters that must be there, with their value where one is said.
    literals: tuple[tuple[str, str | None], ...]
    # Required members that travel in the query, and in headers (lower case).
    query: tuple[str, ...]
    headers: tuple[str, ...]


class _Node:
    """What may follow a prefix of path segments."""

    __slots__ = ("candidates", "greedy", "label", "literals", "plain")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.label: _Node | None = None
        # What may follow a label that takes several segments.
        self.greedy: _Node | None = None
        self.candidates: list[_Candidate] = []
        # Those of them that demand no query literals.
        self.plain: list[_Candidate] = []


class RestRouter:
    """The routes of one service, compiled once."""

    def __init__(self, model: ServiceModel) -> None:
        self._operations = model.operations
        self._roots: dict[str, _Node] = {}
        for name, operation in model.operations.items():
            self._add(name, operation)
        for root in self._roots.values():
            _sort(root, model)

    def _add(self, name: str, operation: Operation) -> None:
        path, _, query = operation.uri.partition("?")
        node = self._roots.setdefault(operation.method, _Node())
        labels = []
        for segment in _segments(path):
            match = _LABEL.fullmatch(segment)
            if match is None:
                node = node.literals.setdefault(segment, _Node())
                continue
            labels.append(match[1])
            if match[2]:
                node.greedy = node = node.greedy or _Node()
            else:
                node.label = node = node.label or _Node()
        literals = []
        for literal in filter(None, query.split("&")):
            key, equals, value = literal.partition("=")
            if key != "x-id":
                literals.append((key, value if equals else None))
        found: dict[str, list[str]] = {"querystring": [], "header": []}
        if operation.input is not None:
            # The references say it: the shapes behind them need not be made for every operation there is.
            references = operation.input.traits.get("members", {})
            for member in operation.input.required:
                location = references[member].get("location")
                if location in found:
                    found[location].append(references[member].get("locationName", member))
        node.candidates.append(
            _Candidate(
                name,
                tuple(labels),
                tuple(literals),
                tuple(found["querystring"]),
                tuple(header.lower() for header in found["header"]),
            )
        )

    def match(self, method: str, path: str, query: str, headers: Mapping[str, str]) -> Match | None:
        """The operation and its labels, percent-decoded; `path` and `query` as they came (percent-encoded).

        Raises `AWSError` (InvalidURI) where an escape is no UTF-8.
        """
        root = self._roots.get(method)
        if root is None:
            return None
        segments = path.split("/")
        del segments[0]
        taken: list[str] = []
        given = parameters(query) if query else {}
        found = _walk(root, segments, 0, taken, given)
        if found is None:
            return None
        candidate = _choose(found.candidates if query else found.plain, given, headers)
        if candidate is None:
            return None
        return self._operations[candidate.name], dict(zip(candidate.labels, map(decode_path, taken), strict=True))


def _segments(path: str) -> list[str]:
    # AWS's templates are inconsistent about a last slash ("/2015-03-31/functions/"), and so are clients.
    return path.strip("/").split("/") if path.strip("/") else []


def _walk(node: _Node, segments: list[str], at: int, taken: list[str], parameters: Mapping[str, str]) -> _Node | None:
    left = len(segments) - at
    if (left == 0 or (left == 1 and not segments[at])) and _ends(node, parameters):
        return node
    if left == 0:
        return None
    segment = segments[at]
    literal = node.literals.get(segment)
    if literal is None and "%" in segment and node.literals:
        literal = node.literals.get(decode_path(segment))
    if literal is not None:
        found = _walk(literal, segments, at + 1, taken, parameters)
        if found is not None:
            return found
    if node.label is not None and segment:
        taken.append(segment)
        found = _walk(node.label, segments, at + 1, taken, parameters)
        if found is not None:
            return found
        taken.pop()
    if node.greedy is not None and (segment or left > 1):
        if not node.greedy.literals:
            # Nothing may follow: it takes all there is.
            if not _ends(node.greedy, parameters):
                return None
            taken.append("/".join(segments[at:]))
            return node.greedy
        # What follows it wins over its taking all, as literals do over labels.
        ends = range(len(segments), at, -1)
        for end in (*(end for end in ends[1:] if segments[end] in node.greedy.literals), *ends):
            taken.append("/".join(segments[at:end]))
            found = _walk(node.greedy, segments, end, taken, parameters)
            if found is not None:
                return found
            taken.pop()
    return None


def _ends(node: _Node, parameters: Mapping[str, str]) -> bool:
    """Whether a request may end here."""
    return bool(node.plain) or any(_has_literals(candidate, parameters) for candidate in node.candidates)


def _has_literals(candidate: _Candidate, parameters: Mapping[str, str]) -> bool:
    for key, value in candidate.literals:
        if key not in parameters or (value is not None and parameters[key] != value):
            return False
    return True


def _choose(
    candidates: list[_Candidate], parameters: Mapping[str, str], headers: Mapping[str, str]
) -> _Candidate | None:
    fallback = None
    for candidate in candidates:
        if candidate.literals and not _has_literals(candidate, parameters):
            continue
        if fallback is not None and len(candidate.literals) < len(fallback.literals):
            break
        for name in candidate.query:
            if name not in parameters:
                break
        else:
            for name in candidate.headers:
                if name not in headers:
                    break
            else:
                return candidate
        # Where required parameters are missing it is the one that misses least: it will say what is missing.
        fallback = candidate
    return fallback


def _sort(node: _Node, model: ServiceModel) -> None:
    node.candidates.sort(
        key=lambda candidate: (
            -len(candidate.literals),
            -sum(value is not None for _, value in candidate.literals),
            -len(candidate.query) - len(candidate.headers),
            bool(model.operations[candidate.name].traits.get("deprecated")),
        )
    )
    node.plain = [candidate for candidate in node.candidates if not candidate.literals]
    for child in (*node.literals.values(), node.label, node.greedy):
        if child is not None:
            _sort(child, model)


def parameters(query: str) -> dict[str, str]:
    """The query's parameters; of several of one name the first."""
    found: dict[str, str] = {}
    for part in query.split("&"):
        if part:
            key, _, value = part.partition("=")
            found.setdefault(decode_query(key), value)
    return found


def decode_path(text: str) -> str:
    """A path segment without its escapes. Raises `AWSError` where they are no UTF-8."""
    if "%" not in text:
        return text
    if _BROKEN_ESCAPE.search(text):
        raise invalid_uri()
    try:
        return unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise invalid_uri() from None


def decode_query(text: str) -> str:
    """A query parameter's name or value without its escapes. Raises `AWSError` where they are no UTF-8."""
    if "%" not in text and "+" not in text:
        return text
    try:
        return unquote_plus(text, errors="strict")
    except UnicodeDecodeError:
        raise invalid_uri() from None


def invalid_uri() -> AWSError:
    return AWSError("InvalidURI", "Couldn't parse the specified URI.", status=400)
