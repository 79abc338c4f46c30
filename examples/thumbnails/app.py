"""The thumbnail application, deployed and used with plain boto3.

Nothing here knows Pileus: with AWS_ENDPOINT_URL unset and an account's credentials it does the same on AWS.
"""

from __future__ import annotations

import importlib.metadata
import io
import json
import sys
import time
import uuid
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

HERE = Path(__file__).parent
RUNTIME = f"python{sys.version_info.major}.{sys.version_info.minor}"
# How long an upload may take to become a thumbnail before the demo says that something is wrong.
PATIENCE_S = 60.0


def pillow_layer() -> bytes:
    """A layer's zip archive with Pillow as it is installed here, under python/ as Lambda wants it."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as layer:
        for file in importlib.metadata.files("pillow") or []:
            path = Path(str(file.locate()))
            if file.parts[0] != ".." and "__pycache__" not in file.parts and path.is_file():
                layer.write(path, f"python/{file}")
    return archive.getvalue()


def function_code() -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as code:
        code.write(HERE / "function" / "handler.py", "handler.py")
    return archive.getvalue()


class Thumbnails:
    """One deployment of the application; `say` hears of every step."""

    def __init__(self, say: Callable[[str, str], None]) -> None:
        session = boto3.session.Session()
        config = Config(retries={"max_attempts": 2})
        self.say = say
        self.region = session.region_name or "us-east-1"
        self.sts = session.client("sts", region_name=self.region, config=config)
        self.iam = session.client("iam", region_name=self.region, config=config)
        self.s3 = session.client("s3", region_name=self.region, config=config)
        self.dynamodb = session.client("dynamodb", region_name=self.region, config=config)
        self.lambda_ = session.client("lambda", region_name=self.region, config=config)
        self.logs = session.client("logs", region_name=self.region, config=config)
        self.account = self.sts.get_caller_identity()["Account"]
        suffix = uuid.uuid4().hex[:8]
        self.bucket = f"photos-{suffix}"
        self.table = f"photos-{suffix}"
        self.function = f"thumbnails-{suffix}"
        self.role = f"thumbnails-{suffix}"

    def deploy(self) -> None:
        role_arn = self._role()
        self.s3.create_bucket(Bucket=self.bucket)
        self.say("bucket", self.bucket)

        self.dynamodb.create_table(
            TableName=self.table,
            KeySchema=[{"AttributeName": "photo", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "photo", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        self.dynamodb.get_waiter("table_exists").wait(TableName=self.table, WaiterConfig={"Delay": 1})
        self.say("table", self.table)

        layer = self.lambda_.publish_layer_version(
            LayerName="pillow", Content={"ZipFile": pillow_layer()}, CompatibleRuntimes=[RUNTIME]
        )
        self.say("layer", f"{layer['LayerVersionArn']}, {layer['Content']['CodeSize'] / 1e6:.1f} MB")

        function = self.lambda_.create_function(
            FunctionName=self.function,
            Runtime=RUNTIME,
            Handler="handler.handle",
            Role=role_arn,
            Code={"ZipFile": function_code()},
            Layers=[layer["LayerVersionArn"]],
            Environment={"Variables": {"TABLE": self.table}},
            MemorySize=512,
            Timeout=30,
        )
        self.lambda_.get_waiter("function_active_v2").wait(FunctionName=self.function, WaiterConfig={"Delay": 1})
        self.say("function", f"{function['FunctionArn']} ({RUNTIME})")

        self.lambda_.add_permission(
            FunctionName=self.function,
            StatementId="photos",
            Action="lambda:InvokeFunction",
            Principal="s3.amazonaws.com",
            SourceArn=f"arn:aws:s3:::{self.bucket}",
            SourceAccount=self.account,
        )
        self.say("permission", f"s3.amazonaws.com may invoke it for {self.bucket}")
        self.s3.put_bucket_notification_configuration(
            Bucket=self.bucket,
            NotificationConfiguration={
                "LambdaFunctionConfigurations": [
                    {
                        "LambdaFunctionArn": function["FunctionArn"],
                        "Events": ["s3:ObjectCreated:*"],
                        "Filter": {"Key": {"FilterRules": [{"Name": "prefix", "Value": "photos/"}]}},
                    }
                ]
            },
        )
        self.say("notification", "s3:ObjectCreated:* under photos/ invokes the function")

    def _role(self) -> str:
        role = self.iam.create_role(
            RoleName=self.role,
            AssumeRolePolicyDocument=json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {
                            "Effect": "Allow",
                            "Principal": {"Service": "lambda.amazonaws.com"},
                            "Action": "sts:AssumeRole",
                        }
                    ],
                }
            ),
        )
        objects = f"arn:aws:s3:::{self.bucket}"
        self.iam.put_role_policy(
            RoleName=self.role,
            PolicyName="thumbnails",
            PolicyDocument=json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": [
                        {"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"{objects}/photos/*"},
                        {"Effect": "Allow", "Action": "s3:PutObject", "Resource": f"{objects}/thumbnails/*"},
                        {
                            "Effect": "Allow",
                            "Action": "dynamodb:PutItem",
                            "Resource": f"arn:aws:dynamodb:{self.region}:{self.account}:table/{self.table}",
                        },
                        {
                            "Effect": "Allow",
                            "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
                            "Resource": "*",
                        },
                    ],
                }
            ),
        )
        self.say("role", role["Role"]["Arn"])
        return str(role["Role"]["Arn"])

    def upload(self, photo: bytes, name: str) -> dict[str, Any]:
        """Put a photo, wait for the function's row in the table; the row, and `seconds` from put to row."""
        key = f"photos/{name}"
        started = time.perf_counter()
        self.s3.put_object(Bucket=self.bucket, Key=key, Body=photo)
        uploaded = time.perf_counter()
        while True:
            found = self.dynamodb.get_item(TableName=self.table, Key={"photo": {"S": key}}, ConsistentRead=True).get(
                "Item"
            )
            if found:
                break
            if time.perf_counter() - started > PATIENCE_S:
                raise RuntimeError(f"No thumbnail of {key} after {PATIENCE_S:.0f} s:\n" + "\n".join(self.log_lines()))
            time.sleep(0.002)
        row = {name: next(iter(value.values())) for name, value in found.items()}
        return {**row, "upload_s": uploaded - started, "seconds": time.perf_counter() - started}

    def thumbnail(self, row: dict[str, Any]) -> bytes:
        body: bytes = self.s3.get_object(Bucket=self.bucket, Key=row["thumbnail"])["Body"].read()
        return body

    def log_lines(self) -> list[str]:
        """What the function has logged so far."""
        try:
            pages = self.logs.get_paginator("filter_log_events").paginate(logGroupName=f"/aws/lambda/{self.function}")
            return [event["message"].rstrip() for page in pages for event in page["events"]]
        except self.logs.exceptions.ResourceNotFoundException:
            return []

    def reports(self, count: int) -> list[str]:
        """The first `count` REPORT lines, once the logs have them."""
        deadline = time.perf_counter() + PATIENCE_S
        while True:
            found = [line for line in self.log_lines() if line.startswith("REPORT")]
            if len(found) >= count:
                return found[:count]
            if time.perf_counter() > deadline:
                raise RuntimeError(f"{len(found)} of {count} REPORT lines after {PATIENCE_S:.0f} s")
            time.sleep(0.02)

    def remove(self) -> None:
        """Take everything down again."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        for page in pages:
            keys = [{"Key": one["Key"]} for one in page.get("Contents", [])]
            if keys:
                self.s3.delete_objects(Bucket=self.bucket, Delete={"Objects": keys})
        self.s3.delete_bucket(Bucket=self.bucket)
        self.lambda_.delete_function(FunctionName=self.function)
        self.dynamodb.delete_table(TableName=self.table)
        self.iam.delete_role_policy(RoleName=self.role, PolicyName="thumbnails")
        self.iam.delete_role(RoleName=self.role)
