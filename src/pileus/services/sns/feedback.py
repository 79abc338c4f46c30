"""Delivery status: what became of deliveries, in CloudWatch Logs, written as the topic's feedback roles.

Source: "Amazon SNS message delivery status" of the developer guide; recorded answers.
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
from pileus.services.sns.payloads import FEEDBACK
from pileus.services.sns.records import Message, Recipient
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
    rate = int(message.feedback.get(f"{kind}SuccessFeedbackSampleRate") or 0)
    if cloud.ids.uniform(0.0, 100.0) >= rate:
        return
    member = _REQUEST_IDS.get(to.protocol)
    answered = orjson.dumps({member: cloud.ids.uuid()}).decode() if member else "OK"
    report = _report(cloud, message, to, status=_STATUS.get(to.protocol, 200), answered=answered, attempts=0)
    await cloud.store.write(lambda tx: _put(cloud, tx, message, role, {**report, "status": "SUCCESS"}))


async def failed(cloud: Cloud, tx: Transaction, message: Message, to: Recipient, error: str, attempts: int) -> None:
    role = message.feedback.get(f"{_KINDS.get(to.protocol)}FailureFeedbackRoleArn")
    if role:
        report = _report(cloud, message, to, status=400, answered=error, attempts=attempts)
        await _put(cloud, tx, message, role, {**report, "status": "FAILURE"})


def _report(
    cloud: Cloud, message: Message, to: Recipient, *, status: int, answered: str, attempts: int
) -> dict[str, Any]:
    body = message.body_for(to.protocol)
    delivery: dict[str, Any] = {
        "deliveryId": cloud.ids.uuid(),
        "destination": to.endpoint,
        "providerResponse": answered,
        "dwellTimeMs": max(0, int((cloud.clock.time() - message.time) * 1000)),
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


async def _put(cloud: Cloud, tx: Transaction, message: Message, role: str, report: dict[str, Any]) -> None:
    payload = {"topic": message.topic_arn, "role": role, "report": orjson.dumps(report).decode()}
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
    """The outbox's handler: a log event in the topic's group."""
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
