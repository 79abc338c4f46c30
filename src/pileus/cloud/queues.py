"""Messages of SQS in the form in which they reach functions and pipes: "Using Lambda with Amazon SQS", "Amazon SQS as a
source" of the EventBridge user guide.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any


def record_of(message: dict[str, Any], *, queue_arn: str, region: str) -> dict[str, Any]:
    """The record of a message as ReceiveMessage answers it, asked for with all of its attributes."""
    attributes = message.get("MessageAttributes") or {}
    return {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": message.get("Attributes") or {},
        "messageAttributes": {name: _attribute(value) for name, value in attributes.items()},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": queue_arn,
        "awsRegion": region,
    }


def _attribute(value: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if value.get("StringValue") is not None:
        shown["stringValue"] = value["StringValue"]
    if value.get("BinaryValue") is not None:
        shown["binaryValue"] = b64encode(value["BinaryValue"]).decode()
    return shown | {"stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}
