"""What tests of S3's control plane share."""

from __future__ import annotations

import json
import uuid
from typing import Any
from urllib.parse import urlsplit


def sent_here(aws: Any, client: Any) -> Any:
    """The client, whose requests go to the server whatever host it makes of the endpoint: no machine knows all names,
    and some are AWS's own."""
    address = urlsplit(aws.endpoint).netloc

    def send_here(request: Any, **_: Any) -> None:
        meant = urlsplit(request.url)
        request.headers["Host"] = meant.netloc
        request.url = meant._replace(scheme="http", netloc=address).geturl()

    client.meta.events.register("before-send", send_here)
    return client


def control_of(aws: Any, **options: Any) -> Any:
    return sent_here(aws, aws.client("s3control", **options))


def user_keys(aws: Any, *statements: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """A user's ARN and keys; without statements it may do nothing."""
    iam, name = aws.client("iam"), f"user-{uuid.uuid4().hex}"
    arn: str = iam.create_user(UserName=name)["User"]["Arn"]
    if statements:
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document(*statements))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return arn, {"AccessKeyId": key["AccessKeyId"], "SecretAccessKey": key["SecretAccessKey"]}


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
