"""What may be subscribed, by protocol."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from pileus.cloud.context import Context
from pileus.kernel.arn import Arn, parse_arn
from pileus.services.sns import errors

PROTOCOLS = ("http", "https", "email", "email-json", "sms", "sqs", "application", "lambda", "firehose")
# Who is asked first, whoever subscribes him.
_ASKED = ("http", "https", "email", "email-json")
# Who takes messages of more than 256 KiB.
_LARGE = ("sqs", "lambda", "firehose")
# Where messages are published to: E.164, however it is punctuated where somebody subscribes it.
_NUMBER = re.compile(r"\+?[1-9][0-9]{1,14}", re.ASCII)
_PHONE = re.compile(r"\+?[0-9]([-./ ()]?[0-9()]){4,18}", re.ASCII)
_MAIL = re.compile(r"[^@\s<>,;]{1,64}@[^@\s<>,;]{1,255}")


def check(protocol: str, endpoint: str, *, fifo: bool) -> str:
    """The endpoint as it is kept. Raises InvalidParameter."""
    if protocol not in PROTOCOLS:
        raise errors.invalid(f"Amazon SNS does not support this protocol string: {protocol}")
    if not endpoint:
        raise errors.no_value("Endpoint")
    arn = parse_arn(endpoint)
    match protocol:
        case "sqs":
            if not _is(arn, "sqs"):
                raise errors.invalid("SQS endpoint ARN")
            if endpoint.endswith(".fifo") and not fifo:
                raise errors.invalid(
                    "Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics"
                )
        case "lambda":
            if arn is None or not _is(arn, "lambda") or not arn.resource.startswith("function:"):
                raise errors.invalid("Lambda endpoint ARN")
        case "firehose":
            if arn is None or not _is(arn, "firehose") or not arn.resource.startswith("deliverystream/"):
                raise errors.invalid("Firehose endpoint ARN")
        case "application":
            if arn is None or not _is(arn, "sns") or not arn.resource.startswith("endpoint/"):
                raise errors.invalid(f"Application endpoint arn invalid:{endpoint}")
        case "http" | "https":
            if urlsplit(endpoint).scheme != protocol or not urlsplit(endpoint).hostname:
                raise errors.invalid("Endpoint must match the specified protocol")
        case "sms":
            return phone_number(endpoint)
        case _:
            if not _MAIL.fullmatch(endpoint):
                raise errors.invalid("Email address")
    if fifo and protocol != "sqs":
        raise errors.invalid("Invalid parameter: Endpoint Reason: Please use FIFO SQS queue")
    return endpoint


def check_for_large_messages(protocol: str) -> None:
    """Raises unless such endpoints take messages of more than 256 KiB."""
    if protocol not in _LARGE:
        raise errors.endpoint_for_small_messages()


def needs_confirmation(ctx: Context, protocol: str, endpoint: str) -> bool:
    """Whether the endpoint's owner is asked: not where it is his own account that subscribes it."""
    if protocol in _ASKED:
        return True
    arn = parse_arn(endpoint)
    return arn is not None and arn.account != ctx.account


def _is(arn: Arn | None, service: str) -> bool:
    return arn is not None and arn.service == service and bool(arn.account) and bool(arn.resource)


def check_number(text: str) -> str:
    """A phone number to publish to."""
    if not _NUMBER.fullmatch(text):
        raise errors.invalid_reason("PhoneNumber", f"{text} is not valid to publish to")
    return text


def check_known_number(text: str) -> str:
    """A phone number that is asked about."""
    if not _NUMBER.fullmatch(text):
        raise errors.invalid_reason("PhoneNumber", "input incorrectly formatted")
    return text


def phone_number(text: str) -> str:
    if not _PHONE.fullmatch(text):
        raise errors.bad(f"Invalid SMS endpoint: {text}")
    return text
