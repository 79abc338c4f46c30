"""A request leaves nothing behind that only the garbage collector finds: it would stay for thousands of others, body
and all."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from pileus import app
from pileus.kernel.settings import Settings


def ask(endpoint: str) -> None:
    """Operations that read, that write, and that open their own transactions; bodies that stream; a refusal."""

    def client(service: str) -> Any:
        config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"}, proxies={})
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client(service, endpoint_url=endpoint, region_name="us-east-1", config=config, **keys)

    sqs, s3 = client("sqs"), client("s3")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="x")
    sqs.receive_message(QueueUrl=url)
    sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    with contextlib.suppress(sqs.exceptions.QueueDoesNotExist):
        sqs.get_queue_url(QueueName="none")
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="k", Body=bytes(100_000))
    s3.get_object(Bucket="bucket", Key="k")["Body"].read()
    s3.delete_objects(Bucket="bucket", Delete={"Objects": [{"Key": "k"}]})


async def test_requests_leave_no_cycles(tmp_path: Path) -> None:
    async with contextlib.AsyncExitStack() as stack:
        endpoint = await app.start(Settings(data_dir=tmp_path, port=0, durability="memory"), stack)
        # What services make at their first use is not a request's.
        await asyncio.to_thread(ask, endpoint)
        gc.collect()
        gc.set_debug(gc.DEBUG_SAVEALL)
        try:
            await asyncio.to_thread(ask, endpoint)
            gc.collect()
        finally:
            gc.set_debug(0)
            found = {type(each).__qualname__ for each in gc.garbage if type(each).__module__.startswith("pileus.")}
            gc.garbage.clear()
        assert not found
