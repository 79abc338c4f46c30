"""Answers that hold JSON which is kept as it is."""

from __future__ import annotations

import orjson

from pileus.kernel.raw import RawJson
from pileus.model import load
from pileus.wire.protocols.attribute_value import DynamoShapes


def test_the_encoder_splices_stored_items_in() -> None:
    stored = b'{"id":{"S":"a"}, "data":{"B":"aGk="}}'
    model = load("dynamodb")
    shapes = DynamoShapes("dynamodb")
    output = model.operations["Query"].output
    assert output is not None
    encode = shapes.encoder(output)
    items = [RawJson(stored, orjson.loads), {"id": {"B": b"hi"}}]
    assert orjson.dumps(encode({"Items": items, "Count": 2})) == (
        b'{"Items":[' + stored + b',{"id":{"B":"aGk="}}],"Count":2}'
    )


def test_a_call_from_inside_reads_it_as_a_mapping() -> None:
    decoded: list[bytes] = []

    def decode(data: bytes) -> dict[str, object]:
        decoded.append(data)
        members: dict[str, object] = orjson.loads(data)
        return members

    item = RawJson(b'{"id":{"S":"a"}}', decode)
    assert decoded == []
    assert item["id"] == {"S": "a"}
    assert dict(item) == {"id": {"S": "a"}}
    assert len(item) == 1
    assert decoded == [b'{"id":{"S":"a"}}']
