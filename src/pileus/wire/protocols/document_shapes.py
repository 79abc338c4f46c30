"""The shapes of JSON documents that stand for calls of any service: see `pileus.wire.documents`."""

from __future__ import annotations

from typing import Any

import orjson

from pileus.model import Shape
from pileus.wire.protocols.json_shapes import Convert, JsonShapes


class DocumentShapes(JsonShapes):
    """Members by the model's names, their first letter in either case; blobs as base64 or as plain text."""

    def __init__(self, service: str, *, text_blobs: bool) -> None:
        super().__init__(service, named=False)
        self._text_blobs = text_blobs

    def _make_structure_decoder(self, shape: Shape, names: list[str]) -> Convert:
        decode = super()._make_structure_decoder(shape, names)
        spelled = {name[:1].swapcase() + name[1:]: name for name in names}

        def decode_spelled(value: Any) -> Any:
            if type(value) is dict and not spelled.keys().isdisjoint(value):
                value = {spelled.get(key, key): item for key, item in value.items()}
            return decode(value)

        return decode_spelled

    def _blob_decoder(self) -> Convert:
        if not self._text_blobs:
            return super()._blob_decoder()

        def decode(value: Any) -> bytes:
            # What is JSON itself is taken as its text.
            return value.encode() if type(value) is str else orjson.dumps(value)

        return decode

    def encoder(self, shape: Shape) -> Convert:
        if shape.type == "blob" and self._text_blobs:
            return lambda value: bytes(value).decode(errors="replace")
        return super().encoder(shape)
