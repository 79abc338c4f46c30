"""A whole node is killed while clients write: what it acknowledged is there, whole, at the next start.

Each round starts a node on the same data folder, checks what the round before had acknowledged, writes from several
threads at once (objects in one part and in several, items, asynchronous invocations) and kills the node in the middle
of it. A function leaves a mark in a table for every event that reaches it: each acknowledged invocation, and each
acknowledged object through its bucket's notification, has to leave one.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

ROUNDS = int(os.environ.get("PILEUS_KILL_ROUNDS", "5"))
PART_BYTES = 5 << 20
# Of each kind in a round. Every object and invocation wants a run of the function after the last start; a machine that
# is flooded with them lets some run into their timeout, and those are tried again after a minute only, as on AWS.
WRITES_MAX = 12
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
ALLOWED = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "dynamodb:PutItem", "Resource": "*"}],
}
CODE = """
import boto3
marks = boto3.resource("dynamodb").Table("marks")

def handle(event, context):
    for mark in [record["s3"]["object"]["key"] for record in event.get("Records", [])] or [event["mark"]]:
        marks.put_item(Item={"id": mark})
"""


def client(endpoint: str, service: str) -> Any:
    return boto3.session.Session().client(
        service,
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"max_attempts": 0}, connect_timeout=5, read_timeout=20),
    )


def build(endpoint: str) -> None:
    dynamodb, iam, lambda_, s3 = (client(endpoint, name) for name in ("dynamodb", "iam", "lambda", "s3"))
    for table in ("items", "marks"):
        dynamodb.create_table(
            TableName=table,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        )
    iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=json.dumps(ALLOWED))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as code:
        code.writestr("index.py", CODE)
    arn = lambda_.create_function(
        FunctionName="f",
        Runtime="python3.11",
        Handler="index.handle",
        Role="arn:aws:iam::000000000000:role/r",
        Code={"ZipFile": archive.getvalue()},
        Timeout=60,
        MemorySize=1769,
    )["FunctionArn"]
    lambda_.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"Delay": 0.05, "MaxAttempts": 200})
    lambda_.add_permission(
        FunctionName="f", StatementId="s3", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com"
    )
    s3.create_bucket(Bucket="bucket")
    s3.put_bucket_notification_configuration(
        Bucket="bucket",
        NotificationConfiguration={
            "LambdaFunctionConfigurations": [{"Events": ["s3:ObjectCreated:*"], "LambdaFunctionArn": arn}]
        },
    )


class Writers:
    """Threads that write until the node is gone, and what it acknowledged to them."""

    def __init__(self, endpoint: str, number: int) -> None:
        self.objects: dict[str, str] = {}
        self.items: dict[str, int] = {}
        self.marks: set[str] = set()
        self.faults: list[BaseException] = []
        self.killed = threading.Event()
        self._number = number
        self._heard = {write: threading.Event() for write in ("object", "parts", "item", "invoke")}
        s3, dynamodb, lambda_ = (client(endpoint, service) for service in ("s3", "dynamodb", "lambda"))
        self._threads = [
            threading.Thread(target=self._run, args=(write, self._heard[name], using))
            for name, write, using in (
                ("object", self._put_object, s3),
                ("parts", self._put_parts, s3),
                ("item", self._put_item, dynamodb),
                ("invoke", self._invoke, lambda_),
            )
        ]
        for thread in self._threads:
            thread.start()

    def wait_until_each_was_heard(self) -> None:
        for name, heard in self._heard.items():
            assert heard.wait(timeout=30), (name, self.faults)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(timeout=30)
            assert not thread.is_alive()
        assert not self.faults, self.faults

    def _run(self, write: Callable[[Any, str], None], heard: threading.Event, using: Any) -> None:
        turn = 0
        try:
            while turn < WRITES_MAX and not self.killed.is_set():
                turn += 1
                write(using, f"{write.__name__[1:]}-{self._number}-{turn}")
                heard.set()
        except (BotoCoreError, ClientError) as error:
            # A refusal is a fault at any time; a lost connection only while the node still runs.
            if isinstance(error, ClientError) or not self.killed.wait(timeout=5):
                self.faults.append(error)

    def _put_object(self, s3: Any, name: str) -> None:
        body = random.randbytes(random.randrange(1, 300_000))
        s3.put_object(Bucket="bucket", Key=name, Body=body)
        self._is_object(name, body)

    def _put_parts(self, s3: Any, name: str) -> None:
        bodies = [random.randbytes(PART_BYTES), random.randbytes(1000)]
        at = {"Bucket": "bucket", "Key": name}
        upload = s3.create_multipart_upload(**at)["UploadId"]
        parts = [
            {"PartNumber": n, "ETag": s3.upload_part(**at, UploadId=upload, PartNumber=n, Body=body)["ETag"]}
            for n, body in enumerate(bodies, 1)
        ]
        s3.complete_multipart_upload(**at, UploadId=upload, MultipartUpload={"Parts": parts})
        self._is_object(name, b"".join(bodies))

    def _is_object(self, name: str, body: bytes) -> None:
        self.objects[name] = hashlib.sha256(body).hexdigest()
        self.marks.add(name)

    def _put_item(self, dynamodb: Any, name: str) -> None:
        value = random.randrange(10**9)
        dynamodb.put_item(TableName="items", Item={"id": {"S": name}, "value": {"N": str(value)}})
        self.items[name] = value

    def _invoke(self, lambda_: Any, name: str) -> None:
        answer = lambda_.invoke(FunctionName="f", InvocationType="Event", Payload=json.dumps({"mark": name}))
        assert answer["StatusCode"] == 202
        self.marks.add(name)


def check(endpoint: str, objects: dict[str, str], items: dict[str, int]) -> None:
    s3, dynamodb = client(endpoint, "s3"), client(endpoint, "dynamodb")
    found = {
        item["id"]["S"]: int(item["value"]["N"])
        for page in dynamodb.get_paginator("scan").paginate(TableName="items")
        for item in page["Items"]
    }
    assert items.items() <= found.items()
    listed = {
        entry["Key"]
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket="bucket")
        for entry in page.get("Contents", [])
    }
    assert objects.keys() <= listed
    for name, digest in objects.items():
        body = s3.get_object(Bucket="bucket", Key=name)["Body"].read()
        assert hashlib.sha256(body).hexdigest() == digest, name
    # What nobody was told of may be there; then it is whole, too.
    for name in listed - objects.keys():
        answer = s3.get_object(Bucket="bucket", Key=name)
        assert len(answer["Body"].read()) == answer["ContentLength"]


def wait_for_marks(endpoint: str, marks: set[str]) -> None:
    """Raises AssertionError when one is still missing after a time in which a failed run was tried again."""
    dynamodb = client(endpoint, "dynamodb")
    deadline = time.monotonic() + 100
    while True:
        pages = dynamodb.get_paginator("scan").paginate(TableName="marks", ConsistentRead=True)
        missing = marks - {item["id"]["S"] for page in pages for item in page["Items"]}
        if not missing:
            return
        assert time.monotonic() < deadline, f"{len(missing)} of {len(marks)} never arrived: {sorted(missing)[:10]}"
        time.sleep(0.1)


@pytest.mark.parametrize("durability", ["full", "relaxed"])
def test_nothing_acknowledged_is_lost_when_a_node_is_killed(
    start_pileus: Callable[..., Any], tmp_path: Path, durability: str
) -> None:
    marks: set[str] = set()
    objects: dict[str, str] = {}
    items: dict[str, int] = {}
    for number in range(ROUNDS):
        server = start_pileus(data_dir=tmp_path / "data", durability=durability)
        if number == 0:
            build(server.endpoint)
        check(server.endpoint, objects, items)
        writers = Writers(server.endpoint, number)
        writers.wait_until_each_was_heard()
        time.sleep(random.uniform(0.0, 0.2))  # the moment of the kill is what varies here
        server.kill()
        writers.killed.set()
        writers.join()
        # Earlier rounds' objects have been read; what the last one acknowledged is read at the next start.
        objects, items = writers.objects, items | writers.items
        marks |= writers.marks
    server = start_pileus(data_dir=tmp_path / "data", durability=durability)
    check(server.endpoint, objects, items)
    wait_for_marks(server.endpoint, marks)
    assert len(marks) >= 3 * ROUNDS
    assert server.stop() == 0, server.log.read_text()
