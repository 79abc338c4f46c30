"""Events of platform applications, published to the topics that their attributes name.

Source: "Amazon SNS application event notifications for mobile applications" of the developer guide; the messages' form
and subject from memory.
"""

from __future__ import annotations

from typing import Any

import orjson

from pileus.cloud.context import Cloud
from pileus.services.sns import errors, feedback, publishing, topics
from pileus.services.sns.envelopes import shown_time
from pileus.services.sns.names import topic_of_arn
from pileus.services.sns.platforms import EndpointName
from pileus.services.sns.records import Application, Message
from pileus.store.contract import Transaction

CREATED, DELETED, UPDATED, FAILED = "EndpointCreated", "EndpointDeleted", "EndpointUpdated", "DeliveryFailure"

# What may be wrong with an endpoint, by what is said of it.
_FAILURES = {
    error.message: error.code.removesuffix("Exception")
    for error in (errors.endpoint_disabled(), errors.application_disabled(), errors.no_endpoint())
}


async def failed(
    cloud: Cloud, tx: Transaction, application: Application, at: EndpointName, message_id: str, error: str
) -> None:
    """Tell of a message that the endpoint will never get."""
    members = {
        "DeliveryAttempts": 1,
        "FailureMessage": error,
        "FailureType": _FAILURES.get(error, "Other"),
        "MessageId": message_id,
    }
    await tell(cloud, tx, application, at, FAILED, **members)


async def tell(
    cloud: Cloud, tx: Transaction, application: Application, at: EndpointName, event: str, **members: Any
) -> None:
    """Publish what has become of an endpoint, where the application has a topic of its own account for it."""
    arn = application.attributes.get(f"Event{event}", "")
    name = topic_of_arn(arn) if arn else None
    if name is None or (name.account, name.region) != (at.account, at.region):
        return
    topic = await topics.find(cloud, tx, name)
    if topic is None or topic.fifo:
        return
    now = cloud.clock.time()
    body = {
        **members,
        "EndpointArn": at.arn,
        "EventType": event,
        "Resource": at.of_application.arn,
        "Service": "SNS",
        "Time": shown_time(now),
    }
    message = Message(
        id=cloud.ids.uuid(),
        topic_arn=topic.at.arn,
        time=now,
        body=orjson.dumps(body, option=orjson.OPT_SORT_KEYS).decode(),
        subject=f"{event} event for app {at.application} ({at.platform})"[:100],
        signature_version=topic.setting("SignatureVersion", "1"),
        feedback=feedback.settings_of(topic),
        event=True,
    )
    await publishing.publish(cloud, tx, topic, message, now=now)
