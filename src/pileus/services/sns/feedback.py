"""Delivery status: what became of deliveries, in CloudWatch Logs, written as the roles that topics name, platform
applications, and the account's settings for text messages.

Sources: "Amazon SNS message delivery status", "Using Amazon SNS application attributes for message delivery status",
"Viewing Amazon CloudWatch metrics and logs for SMS deliveries" of the developer guide; recorded answers.
"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import blake2b, md5
from typing import Any

import orjson

from pileus.cloud import logs
from pileus.cloud.context import Cloud
from pileus.cloud.roles import RoleSessions
from pileus.cloud.sending import sort_error
from pileus.delivery.contract import Delivery
from pileus.kernel.errors import AWSError
from pileus.kernel.principal import service_principal
from pileus.services.sns import texting
from pileus.services.sns.payloads import FEEDBACK
from pileus.services.sns.platforms import ApplicationName
from pileus.services.sns.records import Application, Message, Recipient, Sent, SmsSettings
from pileus.services.sns.topics import Live
from pileus.store.contract import Transaction

_KINDS = {
    "application": "Application",
    "firehose": "Firehose",
    "http": "HTTP",
    "https": "HTTP",
    "lambda": "Lambda",
    "sqs": "SQS",
}
# What stands in the place of a topic's name where a text message went to a phone without one.
DIRECT = "DirectPublishToPhoneNumber"
# Nothing is sent on from here: see `mailbox.py`.
KEPT = "Message has been kept"
# Where AWS's own services answer, and with what.
_STATUS = {"lambda": 202}
_REQUEST_IDS = {"lambda": "lambdaRequestId", "sqs": "sqsRequestId", "firehose": "firehoseRequestId"}


def settings_of(topic: Live) -> dict[str, str]:
    """What a topic's messages need to carry of its delivery status attributes."""
    return {name: value for name, value in topic.record.attributes.items() if "Feedback" in name}


async def succeeded(cloud: Cloud, message: Message, to: Recipient) -> None:
    kind = _KINDS.get(to.protocol)
    role = message.feedback.get(f"{kind}SuccessFeedbackRoleArn")
    if not role:
        return
    if not _sampled(cloud, message.feedback.get(f"{kind}SuccessFeedbackSampleRate")):
        return
    member = _REQUEST_IDS.get(to.protocol)
    answered = orjson.dumps({member: cloud.ids.uuid()}).decode() if member else "OK"
    report = _report(cloud, message, to, status=_STATUS.get(to.protocol, 200), answered=answered, attempts=0)
    await cloud.store.write(lambda tx: _put(cloud, tx, message.topic_arn, role, {**report, "status": "SUCCESS"}))


async def failed(cloud: Cloud, tx: Transaction, message: Message, to: Recipient, error: str, attempts: int) -> None:
    role = message.feedback.get(f"{_KINDS.get(to.protocol)}FailureFeedbackRoleArn")
    if role:
        report = _report(cloud, message, to, status=400, answered=error, attempts=attempts)
        await _put(cloud, tx, message.topic_arn, role, {**report, "status": "FAILURE"})


async def sent_to_device(
    cloud: Cloud, tx: Transaction, application: Application, token: str, sent: Sent, *, error: str = ""
) -> None:
    """Of a message to a device, to whom its application says."""
    attributes = application.attributes
    role = attributes.get("FailureFeedbackRoleArn" if error else "SuccessFeedbackRoleArn")
    if not role or not (error or _sampled(cloud, attributes.get("SuccessFeedbackSampleRate"))):
        return
    delivery = {
        "statusCode": 400 if error else 200,
        "dwellTimeMs": _dwelt_ms(cloud, sent.time),
        "token": token,
        "attempts": 1,
        "providerResponse": error or KEPT,
        "destination": sent.to,
    }
    _, _, _, region, account, _ = sent.to.split(":", 5)
    name = ApplicationName(account, region, application.platform, application.name)
    await _put(cloud, tx, name.arn, role, _of_sent(sent, delivery, error))


async def sent_to_phone(
    cloud: Cloud, tx: Transaction, settings: SmsSettings, resource: str, sent: Sent, *, error: str = ""
) -> None:
    """Of a text message, to whom the account's settings say; `resource` is the topic, or `DIRECT` of the account."""
    role = settings.attributes.get("DeliveryStatusIAMRole")
    if not role or not (error or _sampled(cloud, settings.attributes.get("DeliveryStatusSuccessSamplingRate"))):
        return
    delivery = {
        "numberOfMessageParts": texting.parts_of(sent.body),
        "destination": sent.to,
        "priceInUSD": 0,
        "smsType": texting.type_of(settings, sent),
        "providerResponse": error or KEPT,
        "dwellTimeMs": _dwelt_ms(cloud, sent.time),
    }
    await _put(cloud, tx, resource, role, _of_sent(sent, delivery, error))


def _of_sent(sent: Sent, delivery: dict[str, Any], error: str) -> dict[str, Any]:
    return {
        "notification": {"messageId": sent.message_id, "timestamp": _time(sent.time)},
        "delivery": delivery,
        "status": "FAILURE" if error else "SUCCESS",
    }


def _sampled(cloud: Cloud, rate: str | None) -> bool:
    """Whether this one is among the percentage that is to be told of."""
    return cloud.ids.uniform(0.0, 100.0) < int(rate or 0)


def _dwelt_ms(cloud: Cloud, since: float) -> int:
    return max(0, int((cloud.clock.time() - since) * 1000))


def _report(
    cloud: Cloud, message: Message, to: Recipient, *, status: int, answered: str, attempts: int
) -> dict[str, Any]:
    body = message.body_for(to.protocol)
    delivery: dict[str, Any] = {
        "deliveryId": cloud.ids.uuid(),
        "destination": to.endpoint,
        "providerResponse": answered,
        "dwellTimeMs": _dwelt_ms(cloud, message.time),
        "statusCode": status,
    }
    if attempts:
        delivery["attempts"] = attempts
    return {
        "notification": {
            "messageMD5Sum": md5(body.encode(), usedforsecurity=False).hexdigest(),
            "messageId": message.id,
            "topicArn": message.topic_arn,
            "timestamp": _time(message.time),
        },
        "delivery": delivery,
    }


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]


async def _put(cloud: Cloud, tx: Transaction, resource: str, role: str, report: dict[str, Any]) -> None:
    """`resource` is what the report is about: an ARN of a topic, of an application, `DIRECT` of an account."""
    payload = {"topic": resource, "role": role, "report": orjson.dumps(report).decode()}
    cloud.outbox.put(tx, target=FEEDBACK, payload=payload, now=cloud.clock.time(), age_max_s=3600.0)


async def write_audit(cloud: Cloud, delivery: Delivery) -> None:
    """The outbox's handler: what a data protection policy's audit has found, as log delivery writes it."""
    topic, group, report = delivery.payload["topic"], delivery.payload["group"], delivery.payload["report"]
    _, _, _, region, account, _ = topic.split(":")
    digest = blake2b(topic.encode(), digest_size=8).hexdigest()
    principal = service_principal("delivery.logs", account=account, source_arn=topic)
    try:
        await logs.write(cloud, principal, (report,), group=group, stream=digest, region=region, account=account)
    except AWSError as error:
        raise sort_error(error) from error


async def write(cloud: Cloud, delivery: Delivery) -> None:
    """The outbox's handler: a log event in the group of what it is about."""
    topic, role, report = delivery.payload["topic"], delivery.payload["role"], delivery.payload["report"]
    _, _, _, region, account, name = topic.split(":")
    group = f"sns/{region}/{account}/{name}" + ("/Failure" if orjson.loads(report)["status"] == "FAILURE" else "")
    digest = blake2b(topic.encode(), digest_size=8).hexdigest()
    try:
        principal = await cloud.part(RoleSessions).principal(
            "sns", role, source_arn=topic, session_name=f"sns-{digest}"
        )
        await logs.write(
            cloud,
            principal,
            (report,),
            group=group,
            stream=digest,
            region=region,
            account=account,
            make_group=True,
        )
    except AWSError as error:
        raise sort_error(error) from error
