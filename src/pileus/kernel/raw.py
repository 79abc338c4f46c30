"""Parts of an answer that are JSON already."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, overload

Decode = Callable[[bytes], Mapping[str, Any]]


class RawJson(Mapping[str, Any]):
    """A map member of an answer that is kept in its wire form: the JSON encoder splices the bytes in as they are.

    To whoever else reads the answer (a call from inside) it is a mapping, decoded by `decode` when first looked into.
    """

    __slots__ = ("_decode", "_members", "json")

    def __init__(self, json: bytes, decode: Decode) -> None:
        self.json = json
        self._decode = decode
        self._members: Mapping[str, Any] | None = None

    def _decoded(self) -> Mapping[str, Any]:
        if self._members is None:
            self._members = self._decode(self.json)
        return self._members

    def members(self) -> Mapping[str, Any]:
        """What it is decoded, for one who looks at all of it once: it is not kept here for the next."""
        return self._decode(self.json) if self._members is None else self._members

    def __getitem__(self, name: str) -> Any:
        return self._decoded()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._decoded())

    def __len__(self) -> int:
        return len(self._decoded())

    def __repr__(self) -> str:
        return f"RawJson({self.json!r})"


class RawList(Sequence[RawJson]):
    """A list of such maps, spliced in as one piece. `parts`: each one's JSON."""

    __slots__ = ("_decode", "parts")

    def __init__(self, parts: Sequence[bytes], decode: Decode) -> None:
        self.parts = parts
        self._decode = decode

    @property
    def json(self) -> bytes:
        return b"[%b]" % b",".join(self.parts)

    @overload
    def __getitem__(self, at: int) -> RawJson: ...
    @overload
    def __getitem__(self, at: slice) -> RawList: ...

    def __getitem__(self, at: int | slice) -> RawJson | RawList:
        if isinstance(at, slice):
            return RawList(self.parts[at], self._decode)
        return RawJson(self.parts[at], self._decode)

    def __len__(self) -> int:
        return len(self.parts)

    def __repr__(self) -> str:
        return f"RawList({self.json!r})"
