"""`/_aws/sns/...`: what went to mail addresses, phones and devices, and what confirms subscriptions; the certificate.

    GET    /_aws/sns/email-messages?address=...                      {"email_messages": {address: [...]}, "region"}
    GET    /_aws/sns/sms-messages?phoneNumber=...                    {"sms_messages": {number: [...]}, "region"}
    GET    /_aws/sns/platform-endpoint-messages?endpointArn=...      {"platform_endpoint_messages": {arn: [...]}, ...}
    GET    /_aws/sns/subscription-tokens/{subscription's ARN}        {"subscription_token", "subscription_arn"}
    POST   /_aws/sns/opted-out?phoneNumber=...                       as if the phone had answered STOP
    DELETE /_aws/sns/email-messages (sms-messages, ...)              forgets them
    GET    /SimpleNotificationService-{digest}.pem                   the certificate that signatures are verified with

All take `accountId` and `region`. Only programs of this machine are answered, but for the certificate, which everybody
may have.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any
from urllib.parse import parse_qs, unquote

import orjson

from pileus.cloud.context import Cloud
from pileus.cloud.hosted import HostedAnswer, HostedRequest
from pileus.kernel.errors import AWSError
from pileus.services.sns import endpoints, mailbox, texting, topics
from pileus.services.sns.envelopes import shown_time
from pileus.services.sns.names import SubscriptionName, TopicName
from pileus.services.sns.records import Sent
from pileus.services.sns.signing import Signers

# By the path: the kind, the name of the answer's member, and of the parameter that picks a recipient.
_MESSAGES = {
    "email-messages": ("email", "email_messages", "address"),
    "sms-messages": ("sms", "sms_messages", "phoneNumber"),
    "platform-endpoint-messages": ("application", "platform_endpoint_messages", "endpointArn"),
}


async def serve(cloud: Cloud, request: HostedRequest) -> HostedAnswer:
    method = request.http.method
    if request.name.endswith(".pem") and method in ("GET", "HEAD"):
        signer = await cloud.part(Signers).get(cloud)
        if request.name == signer.name:
            return HostedAnswer(200, [("content-type", "application/x-pem-file")], signer.certificate)
        raise AWSError("NotFound", f"There is no {request.name}.", status=404)
    if not request.trusted:
        raise AWSError("AccessDenied", "Only from the machine that Pileus runs on.", status=403)
    given = {name: values[0] for name, values in parse_qs(request.query).items()}
    account = given.get("accountId", cloud.settings.account)
    region = given.get("region", cloud.settings.region)
    if request.name in _MESSAGES and method in ("GET", "DELETE"):
        kind, member, parameter = _MESSAGES[request.name]
        if method == "DELETE":
            await cloud.store.write(lambda tx: mailbox.clear(tx, account, region, (kind,)))
            return HostedAnswer(204)
        found: dict[str, list[dict[str, Any]]] = {}
        for sent in await cloud.store.read(lambda tx: mailbox.read(tx, account, region, kind)):
            if given.get(parameter, sent.to) == sent.to:
                found.setdefault(sent.to, []).append(_shown(sent))
        return _json({member: found, "region": region})
    if request.name == "opted-out" and method == "POST":
        number = endpoints.check_number(given.get("phoneNumber", ""))
        await cloud.store.write(lambda tx: texting.opt_out(tx, account, region, number))
        return HostedAnswer(204)
    if request.name == "subscription-tokens" and method == "GET":
        return await _token(cloud, unquote(request.path[1:]))
    raise AWSError("NotFound", f"There is no {method} {request.http.path}.", status=404)


async def _token(cloud: Cloud, arn: str) -> HostedAnswer:
    parts = arn.split(":")
    if len(parts) != 7 or parts[2] != "sns":
        raise AWSError("InvalidParameter", f"{arn} is not the ARN of a subscription.", status=400)
    at = SubscriptionName(TopicName(parts[4], parts[3], parts[5]), parts[6])
    subscription = await cloud.store.read(lambda tx: topics.find_subscription(tx, at))
    if subscription is None or not subscription.token:
        raise AWSError("NotFound", "The subscription does not exist, or waits for no confirmation.", status=404)
    return _json({"subscription_token": subscription.token, "subscription_arn": arn})


def _shown(sent: Sent) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "MessageId": sent.message_id,
        "Timestamp": shown_time(sent.time),
        "Message": sent.body,
        "Subject": sent.subject or None,
        "TopicArn": sent.topic_arn or None,
        "SubscriptionArn": sent.subscription_arn or None,
        "MessageAttributes": {
            name: {member: b64encode(one).decode() if isinstance(one, bytes) else one for member, one in value.items()}
            for name, value in sent.attributes.items()
        },
        "MessageStructure": "json" if sent.structured else None,
    }
    recipient = {"email": "Address", "sms": "PhoneNumber", "application": "TargetArn"}[sent.kind]
    return {recipient: sent.to, **shown}


def _json(content: Any) -> HostedAnswer:
    return HostedAnswer(200, [("content-type", "application/json")], orjson.dumps(content))
