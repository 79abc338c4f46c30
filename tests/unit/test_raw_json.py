"""Answers that hold JSON which is kept as it is."""

from __future__ import annotations

import orjson

from pileus.kernel.raw import RawJson, RawList
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


def test_the_encoder_splices_a_list_of_them_in_as_one_piece() -> None:
    parts = [b'{"id":{"S":"a"}}', b'{"id": {"B":"aGk="}}']
    output = load("dynamodb").operations["Query"].output
    assert output is not None
    encode = DynamoShapes("dynamodb").encoder(output)
    assert orjson.dumps(encode({"Items": RawList(parts, orjson.loads)})) == b'{"Items":[' + b",".join(parts) + b"]}"
    assert orjson.dumps(encode({"Items": RawList([], orjson.loads)})) == b'{"Items":[]}'


def test_a_call_from_inside_reads_a_list_of_mappings() -> None:
    found = RawList([b'{"id":{"S":"a"}}', b'{"id":{"S":"b"}}'], orjson.loads)
    assert [dict(item) for item in found] == [{"id": {"S": "a"}}, {"id": {"S": "b"}}]
    assert len(found) == 2
    assert [item["id"] for item in found[1:]] == [{"S": "b"}]
    assert [*[], *found][0].json == b'{"id":{"S":"a"}}'


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
