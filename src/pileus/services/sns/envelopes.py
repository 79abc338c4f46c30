"""Messages as subscribers get them: the JSON around them, and Lambda's event.

Sources: "Parsing Amazon SNS message formats", "Fanout to Lambda functions" of the developer guide; recorded answers.
"""

from __future__ import annotations

import asyncio
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any

import orjson

from pileus.cloud.context import Cloud
from pileus.services.sns.records import Message
from pileus.services.sns.signing import Signers

# Given with --domain, clients reach this node under it: what checks signatures trusts certificates from there only.
_AWS = "amazonaws.com"


def shown_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def origin(cloud: Cloud, region: str) -> str:
    """Where the links in messages lead: to this node; under AWS's own names where these are its names, too."""
    if _AWS in cloud.settings.domains:
        return f"https://sns.{region}.{_AWS}"
    return cloud.endpoint


def unsubscribe_url(cloud: Cloud, subscription_arn: str) -> str:
    return f"{origin(cloud, subscription_arn.split(':')[3])}/?Action=Unsubscribe&SubscriptionArn={subscription_arn}"


def subscribe_url(cloud: Cloud, topic_arn: str, token: str) -> str:
    query = f"Action=ConfirmSubscription&TopicArn={topic_arn}&Token={token}"
    return f"{origin(cloud, topic_arn.split(':')[3])}/?{query}"


def shown_attributes(message: Message) -> dict[str, dict[str, str]]:
    return {
        name: {
            "Type": value["DataType"],
            "Value": value["StringValue"] if "StringValue" in value else b64encode(value["BinaryValue"]).decode(),
        }
        for name, value in message.attributes.items()
    }


class Envelopes:
    """The envelopes of one message: what its subscribers have in common is made once."""

    def __init__(self, cloud: Cloud, message: Message) -> None:
        self._cloud = cloud
        self._message = message
        self._signatures: dict[tuple[str, str], asyncio.Task[dict[str, str]]] = {}

    async def notification(self, protocol: str, subscription_id: str) -> str:
        """For queues, HTTP and mail."""
        message = self._message
        body = message.body_for(protocol)
        members: dict[str, Any] = {"Type": "Notification", "MessageId": message.id}
        if message.sequence:
            members["SequenceNumber"] = message.sequence
        members["TopicArn"] = message.topic_arn
        if message.subject:
            members["Subject"] = message.subject
        members["Message"] = body
        members["Timestamp"] = shown_time(message.time)
        if message.replayed:
            members["Replayed"] = "true"
        members |= await self._signed(body, message.signature_version)
        members["UnsubscribeURL"] = unsubscribe_url(self._cloud, f"{message.topic_arn}:{subscription_id}")
        if message.attributes:
            members["MessageAttributes"] = shown_attributes(message)
        return as_text(members)

    async def lambda_event(self, subscription_id: str) -> bytes:
        message = self._message
        body = message.body_for("lambda")
        arn = f"{message.topic_arn}:{subscription_id}"
        # Functions have always been sent version 1.
        signed = await self._signed(body, "1")
        notification = {
            "Type": "Notification",
            "MessageId": message.id,
            "TopicArn": message.topic_arn,
            "Subject": message.subject or None,
            "Message": body,
            "Timestamp": shown_time(message.time),
            "SignatureVersion": signed.get("SignatureVersion"),
            "Signature": signed.get("Signature"),
            "SigningCertUrl": signed.get("SigningCertURL"),
            "UnsubscribeUrl": unsubscribe_url(self._cloud, arn),
            "MessageAttributes": shown_attributes(message),
        }
        record = {"EventSource": "aws:sns", "EventVersion": "1.0", "EventSubscriptionArn": arn, "Sns": notification}
        return orjson.dumps({"Records": [record]})

    async def _signed(self, body: str, version: str) -> dict[str, str]:
        """What of an envelope is the signature. Messages of FIFO topics are not signed."""
        message = self._message
        if message.sequence:
            return {}
        found = self._signatures.get((body, version))
        if found is None:
            members = {
                "Type": "Notification",
                "MessageId": message.id,
                "TopicArn": message.topic_arn,
                "Message": body,
                "Timestamp": shown_time(message.time),
            }
            if message.subject:
                members["Subject"] = message.subject
            found = asyncio.create_task(signature(self._cloud, members, version))
            self._signatures[body, version] = found
        # Whoever is cancelled meanwhile takes it from nobody.
        return await asyncio.shield(found)


async def signature(cloud: Cloud, members: dict[str, str], version: str) -> dict[str, str]:
    signer = await cloud.part(Signers).get(cloud)
    return {
        "SignatureVersion": version,
        "Signature": await signer.sign(members, version),
        "SigningCertURL": f"{origin(cloud, members['TopicArn'].split(':')[3])}/{signer.name}",
    }


async def confirmation(
    cloud: Cloud, topic_arn: str, token: str, *, kind: str, message: str, version: str, message_id: str, time: float
) -> str:
    """SubscriptionConfirmation and UnsubscribeConfirmation."""
    members = {
        "Type": kind,
        "MessageId": message_id,
        "Token": token,
        "TopicArn": topic_arn,
        "Message": message,
        "SubscribeURL": subscribe_url(cloud, topic_arn, token),
        "Timestamp": shown_time(time),
    }
    return as_text(members | await signature(cloud, members, version))


def as_text(members: dict[str, Any]) -> str:
    """JSON spaced as SNS spaces it."""
    lines = []
    for name, value in members.items():
        if isinstance(value, dict):
            inner = ",\n".join(f"    {_json(key)} : {_json(one)}" for key, one in value.items())
            lines.append(f"  {_json(name)} : {{\n{inner}\n  }}")
        else:
            lines.append(f"  {_json(name)} : {_json(value)}")
    return "{\n" + ",\n".join(lines) + "\n}"


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
