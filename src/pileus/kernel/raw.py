"""Parts of an answer that are JSON already."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any


class RawJson(Mapping[str, Any]):
    """A map member of an answer that is kept in its wire form: the JSON encoder splices the bytes in as they are.

    To whoever else reads the answer (a call from inside) it is a mapping, decoded by `decode` when first looked into.
    """

    __slots__ = ("_decode", "_members", "json")

    def __init__(self, json: bytes, decode: Callable[[bytes], Mapping[str, Any]]) -> None:
        self.json = json
        self._decode = decode
        self._members: Mapping[str, Any] | None = None

    def _decoded(self) -> Mapping[str, Any]:
        if self._members is None:
            self._members = self._decode(self.json)
        return self._members

    def __getitem__(self, name: str) -> Any:
        return self._decoded()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._decoded())

    def __len__(self) -> int:
        return len(self._decoded())

    def __repr__(self) -> str:
        return f"RawJson({self.json!r})"
