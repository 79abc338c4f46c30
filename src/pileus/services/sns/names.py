"""Names and ARNs, and what is wrong with them."""

from __future__ import annotations

import re
from typing import NamedTuple

from pileus.cloud.context import Context
from pileus.kernel.arn import Arn, make_arn, parse_arn
from pileus.services.sns import errors

_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,256}", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
FIFO = ".fifo"


class TopicName(NamedTuple):
    account: str
    region: str
    name: str

    @property
    def arn(self) -> str:
        return make_arn("sns", self.region, self.account, self.name)


class SubscriptionName(NamedTuple):
    topic: TopicName
    id: str

    @property
    def arn(self) -> str:
        return f"{self.topic.arn}:{self.id}"


def is_topic_name(name: str, *, fifo: bool) -> bool:
    if fifo:
        return name.endswith(FIFO) and len(name) <= 256 and _TOPIC.fullmatch(name[: -len(FIFO)]) is not None
    return _TOPIC.fullmatch(name) is not None


def check_arn(text: str, parameter: str) -> Arn:
    """Raises InvalidParameter unless `text` has the parts of an ARN."""
    if not text:
        raise errors.no_value(parameter)
    count = len(text.split(":"))
    if count < 6:
        raise errors.invalid_reason(parameter, f"An ARN must have at least 6 elements, not {count}")
    arn = parse_arn(text)
    if arn is None:
        raise errors.invalid(parameter)
    return arn


def topic_of(ctx: Context, text: str, parameter: str = "TopicArn") -> TopicName:
    """The topic of an ARN, which must be one of this region."""
    arn = check_arn(text, parameter)
    if (
        arn.service != "sns"
        or arn.region != ctx.region
        or not arn.account
        or ":" in arn.resource
        or "/" in arn.resource
    ):
        raise errors.invalid(parameter)
    return TopicName(arn.account, arn.region, arn.resource)


def topic_of_arn(text: str) -> TopicName | None:
    arn = parse_arn(text)
    if arn is None or arn.service != "sns" or ":" in arn.resource or "/" in arn.resource:
        return None
    return TopicName(arn.account, arn.region, arn.resource)


def subscription_of(ctx: Context, text: str) -> SubscriptionName:
    """The subscription of an ARN, of this region unless a link in a message is followed, which says none."""
    arn = check_arn(text, "SubscriptionArn")
    name, _, id = arn.resource.partition(":")
    if arn.service != "sns" or not _UUID.fullmatch(id):
        raise errors.invalid("SubscriptionId")
    if arn.region != ctx.region and ctx.principal.kind != "anonymous":
        raise errors.invalid("SubscriptionArn")
    return SubscriptionName(TopicName(arn.account, arn.region, name), id)
