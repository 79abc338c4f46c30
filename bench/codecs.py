"""What the codecs cost: microseconds of one core per request or answer, the least of several rounds.

python -m bench.codecs
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import orjson

from pileus.model import load
from pileus.wire import constraints
from pileus.wire.message import HttpRequest
from pileus.wire.protocols import codec
from pileus.wire.protocols.rest_router import RestRouter

ITEM = {
    "pk": {"S": "user#4711"},
    "sk": {"S": "order#2026-03-01T10:00:00Z"},
    "amount": {"N": "129.95"},
    "paid": {"BOOL": True},
    "tags": {"SS": ["a", "b", "c"]},
    "address": {"M": {"street": {"S": "1 Main St"}, "zip": {"S": "12345"}, "geo": {"L": [{"N": "1.5"}, {"N": "2.5"}]}}},
    "note": {"S": "x" * 100},
}
MESSAGE = {
    "MessageId": "5d5f4bb7-52cb-4b9b-a3a8-f2a2d9a0c3f1",
    "ReceiptHandle": "A" * 180,
    "MD5OfBody": "d41d8cd98f00b204e9800998ecf8427e",
    "Body": '{"order": 4711, "text": "a < b"}',
    "Attributes": {"SenderId": "AIDA", "SentTimestamp": "1700000000000", "ApproximateReceiveCount": "1"},
    "MessageAttributes": {"kind": {"DataType": "String", "StringValue": "order"}},
}
OBJECT = {
    "Key": "photos/2026/03/image-0001.jpg",
    "LastModified": 1_700_000_000.0,
    "ETag": '"d41d8cd98f00b204e9800998ecf8427e"',
    "Size": 123456,
    "StorageClass": "STANDARD",
}


def microseconds(call: Callable[[], Any], rounds: int = 9) -> float:
    """The least time of one call."""
    call()
    count, spent = 1, 0.0
    while spent < 0.02:
        count *= 2
        start = time.perf_counter()
        for _ in range(count):
            call()
        spent = time.perf_counter() - start
    least = spent
    for _ in range(rounds):
        start = time.perf_counter()
        for _ in range(count):
            call()
        least = min(least, time.perf_counter() - start)
    return least / count * 1e6


def cases() -> list[tuple[str, Callable[[], Any]]]:
    dynamodb, sqs, s3 = load("dynamodb"), load("sqs"), load("s3")
    json_dynamodb, json_sqs, form_sqs = codec(dynamodb, "json"), codec(sqs, "json"), codec(sqs, "query")
    xml_s3, router = codec(s3, "rest-xml"), RestRouter(s3)
    put, get = dynamodb.operations["PutItem"], dynamodb.operations["GetItem"]
    send, receive = sqs.operations["SendMessage"], sqs.operations["ReceiveMessage"]
    listing = s3.operations["ListObjectsV2"]
    put_request = HttpRequest("POST", "/", "", {}, orjson.dumps({"TableName": "orders", "Item": ITEM}))
    put_members = json_dynamodb.decode(put, put_request, {})
    send_members = {"QueueUrl": "http://localhost:4566/000000000000/q", "MessageBody": "x" * 100}
    send_request = HttpRequest("POST", "/", "", {}, orjson.dumps(send_members))
    form_request = HttpRequest("POST", "/", "", {}, urlencode({"Action": "SendMessage", **send_members}).encode())
    put_object = {"x-amz-meta-a": "b", "content-type": "image/jpeg", "content-length": "5", "host": "localhost:4566"}
    object_request = HttpRequest("PUT", "/photos/2026/03/a.jpg", "", put_object, b"bytes")
    return [
        ("PutItem decode", lambda: json_dynamodb.decode(put, put_request, {})),
        ("PutItem constraints", lambda: constraints.check(dynamodb, put, put_members)),
        ("GetItem encode", lambda: json_dynamodb.encode(get, {"Item": put_members["Item"]}, "id")),
        ("SendMessage decode, JSON", lambda: json_sqs.decode(send, send_request, {})),
        ("SendMessage decode, form", lambda: form_sqs.decode(send, form_request, {})),
        ("ReceiveMessage x10 encode, JSON", lambda: json_sqs.encode(receive, {"Messages": [MESSAGE] * 10}, "id")),
        ("ReceiveMessage x10 encode, XML", lambda: form_sqs.encode(receive, {"Messages": [MESSAGE] * 10}, "id")),
        ("ListObjectsV2 x100 encode", lambda: xml_s3.encode(listing, {"Contents": [OBJECT] * 100}, "id")),
        ("PutObject route", lambda: router.match("PUT", "/photos/2026/03/a.jpg", "", put_object)),
        ("UploadPart route", lambda: router.match("PUT", "/b/a/k", "partNumber=1&uploadId=u", put_object)),
        ("ListObjectsV2 route", lambda: router.match("GET", "/b", "list-type=2&prefix=a%2Fb&max-keys=100", {})),
        (
            "PutObject decode",
            lambda: xml_s3.decode(s3.operations["PutObject"], object_request, {"Bucket": "b", "Key": "k"}),
        ),
    ]


def main() -> None:
    for name, call in cases():
        print(f"{name:34} {microseconds(call):8.1f} µs")


if __name__ == "__main__":
    main()
