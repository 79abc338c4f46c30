"""What the query and the JSON protocol say each in its own way."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from sqs_kit import Query, caught, texts


def test_errors_of_the_query_protocol(sqs: Any, query: Query) -> None:
    url = sqs.create_queue(QueueName="asked")["QueueUrl"]

    def error(action: str, *at: str, **fields: str) -> tuple[int, str, str, bool]:
        status, xml = query(action, *at, **fields)
        (code,), (message,) = texts(xml, "Code"), texts(xml, "Message")
        return status, code, message, "<Detail/>" in xml

    def elsewhere(action: str) -> tuple[int, str, str, bool]:
        return 400, "InvalidAction", f"The action {action} is not valid for this endpoint.", True

    assert error("Nonsense") == elsewhere("Nonsense")
    assert error("Nonsense", url) == elsewhere("Nonsense")
    for action in ("CreateQueue", "GetQueueUrl", "ListQueues"):
        assert error(action, url, QueueName="other") == elsewhere(action)
    bad = "AWS.SimpleQueueService.InvalidBatchEntryId"
    for operation, detail in (
        ("SendMessageBatch", True),
        ("DeleteMessageBatch", False),
        ("ChangeMessageVisibilityBatch", False),
    ):
        entry = f"{operation}RequestEntry.1"
        members = {"Id": "a:b", "MessageBody": "m", "ReceiptHandle": "r", "VisibilityTimeout": "0"}
        status, code, _, has_detail = error(operation, url, **{f"{entry}.{name}": members[name] for name in members})
        assert (status, code, has_detail) == (400, bad, detail)
    # What would have stood first in the form.
    nothing = (400, "MissingParameter", "The request must contain the parameter Attribute.Name.", True)
    assert error("SetQueueAttributes", url) == nothing
    assert caught(sqs.set_queue_attributes, QueueUrl=url, Attributes={}) == (nothing[1], nothing[2], nothing[0])
    fields = {"MessageAttribute.1.Name": "a", "MessageAttribute.1.Value.StringValue": "b"}
    assert error("SendMessage", url, MessageBody="m", **fields)[1:3] == (
        "MissingParameter",
        "The request must contain the parameter MessageAttributes.a.DataType.",
    )
    assert error("DeleteQueue", QueueUrl="http://localhost/nobody")[:2] == (404, "InvalidAddress")


def test_the_json_protocol_at_a_queues_own_address(sqs: Any, aws: Any) -> None:
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    url = sqs.create_queue(QueueName="addressed")["QueueUrl"]

    def call(action: str, **members: Any) -> tuple[int, str | None, dict[str, Any]]:
        """(status, what is said of the error for clients of the query protocol, the answer)"""
        headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AmazonSQS.{action}"}
        request = AWSRequest("POST", url, data=json.dumps(members).encode(), headers=headers)
        SigV4Auth(Credentials(aws.account, "test"), "sqs", aws.region).add_auth(request)
        sent = request.prepare()
        try:
            answer = urllib.request.urlopen(urllib.request.Request(sent.url, sent.body, dict(sent.headers)))
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            return answer.status, answer.headers["x-amzn-query-error"], json.loads(answer.read())

    assert call("ReceiveMessage", QueueUrl=url) == (200, None, {})
    assert call("SendMessage", QueueUrl=url + "-not", MessageBody="m") == (
        400,
        "AWS.SimpleQueueService.NonExistentQueue;Sender",
        {"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "The specified queue does not exist."},
    )
    assert call("SendMessage", QueueUrl=url) == (
        400,
        "MissingParameter;Sender",
        {
            "__type": "com.amazon.coral.service#MissingRequiredParameterException",
            "message": "The request must contain the parameter MessageBody.",
        },
    )
