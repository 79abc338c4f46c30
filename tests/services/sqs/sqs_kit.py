"""What the tests of SQS share."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest


def caught(call: Any, **request: Any) -> tuple[str, str, int]:
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError) as failure:
        call(**request)
    response = failure.value.response
    return response["Error"]["Code"], response["Error"]["Message"], response["ResponseMetadata"]["HTTPStatusCode"]


class Query:
    """A client of the query protocol, which boto3 speaks no more."""

    def __init__(self, account: Any) -> None:
        self.account = account

    def __call__(
        self, action: str, url: str | None = None, *, method: str = "POST", sign: bool = True, **fields: Any
    ) -> tuple[int, str]:
        """(status, body)"""
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        form = urlencode({"Action": action, "Version": "2012-11-05", **fields})
        address = url or self.account.endpoint + "/"
        if method == "GET":
            request = AWSRequest("GET", f"{address}?{form}")
        else:
            headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
            request = AWSRequest("POST", address, data=form.encode(), headers=headers)
        if sign:
            SigV4Auth(Credentials(self.account.account, "test"), "sqs", self.account.region).add_auth(request)
        sent = request.prepare()
        try:
            with urllib.request.urlopen(
                urllib.request.Request(sent.url, sent.body or None, dict(sent.headers), method=method)
            ) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


def texts(xml: str, tag: str) -> list[str]:
    root = ElementTree.fromstring(xml)
    return [one.text or "" for one in root.iter() if re.sub(r"\{.*\}", "", one.tag) == tag]


def bodies(answer: dict[str, Any]) -> list[str]:
    return [message["Body"] for message in answer.get("Messages", [])]


def counts(sqs: Any, url: str) -> tuple[int, int, int]:
    """(visible, in flight, delayed)"""
    shown = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    return (
        int(shown["ApproximateNumberOfMessages"]),
        int(shown["ApproximateNumberOfMessagesNotVisible"]),
        int(shown["ApproximateNumberOfMessagesDelayed"]),
    )
