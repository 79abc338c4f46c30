"""S3: small objects on 64 connections, one large object at a time, and the memory that takes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial

from bench.cases import arrivals
from bench.client import Connection, ask_all, aws, expect, presigned, put_object, signed
from bench.gauge import Figures, Round, during, repeat, untimed
from bench.load import Requests
from bench.servers import ONE_CASE, Cannot, Peak, Server

BUCKET = "bench"
OBJECTS = 2000
SMALL = os.urandom(1024)
LARGE_MB = 64
LARGE = os.urandom(LARGE_MB * 2**20)


def run(server: Server, quick: bool) -> Figures:
    aws(server, "s3").create_bucket(Bucket=BUCKET)
    seconds = 1 if quick else 2
    puts = [put_object(server, BUCKET, f"small/{number}", SMALL) for number in range(OBJECTS)]
    # So that a get finds every object, however slowly the measured puts go.
    expect(ask_all(server, puts, 16))
    gets = [signed(server, "s3", f"GET /{BUCKET}/small/{number}") for number in range(OBJECTS)]
    for what, set_ in (("put", puts), ("get", gets)):
        requests = Requests(set_)
        requests.run(server, 64, 1)
        loads = requests.rounds(server, 64, seconds, quick)
        yield f"s3_{what}_small_per_s", [(load.per_s, speed) for load, speed in loads]
        yield f"s3_{what}_small_cpu_us", [(load.cpu_us, speed) for load, speed in loads]

    server.settle()
    before = server.pss_mb()
    into = bytearray(len(LARGE))
    with Connection(server) as connection:

        def put() -> None:
            request = presigned(server, "PUT", f"/{BUCKET}/large", len(LARGE))
            expect([connection.ask(request, LARGE)])

        def get() -> None:
            status, got = connection.download(presigned(server, "GET", f"/{BUCKET}/large"), into)
            if status != 200 or got != len(LARGE):
                raise Cannot(f"a get of {len(LARGE)} bytes answered {status} with {got} bytes")

        # Looking at the memory costs time, so it has a pass of its own; the first pass, with what it leaves behind.
        with Peak(server) as peak:
            put()
            get()
        if into != LARGE:
            raise Cannot("what was got is not what was put")
        yield "s3_large_peak_mb", untimed(peak.mb - before)
        for what, do in (("put", put), ("get", get)):
            took = repeat(partial(during, _seconds, do), quick, 7)
            yield f"s3_{what}_large_mb_per_s", [(LARGE_MB / seconds, speed) for seconds, speed in took]
    if server.name not in ONE_CASE:
        yield "s3_to_handler_ms", _to_handler_ms(server, quick)


def _to_handler_ms(server: Server, quick: bool) -> list[Round[float]]:
    name, bucket = "bucket", "watched"
    function = arrivals.function(server, name, 'event["Records"][0]["s3"]["object"]["key"]')
    aws(server, "s3").create_bucket(Bucket=bucket)
    aws(server, "lambda").add_permission(
        FunctionName=name,
        StatementId="bucket",
        Action="lambda:InvokeFunction",
        Principal="s3.amazonaws.com",
        SourceArn=f"arn:aws:s3:::{bucket}",
    )
    watch = {"LambdaFunctionArn": function, "Events": ["s3:ObjectCreated:*"]}
    aws(server, "s3").put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"LambdaFunctionConfigurations": [watch]}
    )
    with Connection(server) as connection:

        def send(now: float) -> None:
            connection.ask(put_object(server, bucket, str(now), b"x"))

        return arrivals.medians_ms(server, name, quick, send)


def _seconds(do: Callable[[], None]) -> float:
    begun = time.perf_counter()
    do()
    return time.perf_counter() - begun
