"""Topics: made, listed, set, deleted.

Sources: CreateTopic, DeleteTopic, ListTopics, GetTopicAttributes, SetTopicAttributes, AddPermission, RemovePermission
of the API reference; recorded answers.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
import orjson

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.cloud.pages import page_answer, read_page
from pileus.kernel.paging import BadToken
from pileus.services.sns import (
    content,
    data_protection,
    endpoints,
    errors,
    keys,
    metrics,
    policies,
    quotas,
    topic_attributes,
    topics,
)
from pileus.services.sns.envelopes import shown_time
from pileus.services.sns.names import TopicName, is_topic_name, topic_of
from pileus.services.sns.operations.tags import checked_tags
from pileus.services.sns.records import Topic, decode
from pileus.services.sns.topics import Live
from pileus.store.contract import Reader, Transaction

PAGE = 100
_ID_CHARS = 20
_ACCOUNT = re.compile(r"\d{12}|arn:aws[a-z-]*:iam::\d{12}:.+", re.ASCII)


async def create_topic(ctx: Context, tx: Transaction, request: Request) -> Answer:
    given: dict[str, str] = request.get("Attributes") or {}
    wants_fifo = given.get("FifoTopic", "false").lower() == "true"
    name = request["Name"]
    if not is_topic_name(name, fifo=wants_fifo):
        raise errors.invalid("Topic Name")
    tags = checked_tags(request.get("Tags") or [])
    at = TopicName(ctx.account, ctx.region, name)
    existing = await topics.find(ctx.cloud, tx, at)
    if existing is not None:
        if tags and tags != existing.record.tags:
            raise errors.invalid_reason("Tags", "Topic already exists with different tags")
        if not topic_attributes.is_same(given, existing.record):
            raise errors.invalid_reason("Attributes", "Topic already exists with different attributes")
        return {"TopicArn": at.arn}
    id = ctx.cloud.ids.hex(_ID_CHARS)
    attributes = topic_attributes.check_new(given, fifo=wants_fifo)
    record = Topic(
        name=name,
        id=id,
        created=ctx.now,
        attributes=_with_archive(ctx, tx, at, id, attributes),
        data_protection=data_protection.check(request["DataProtectionPolicy"])
        if request.get("DataProtectionPolicy")
        else "",
        tags=tags,
    )
    await quotas.change(tx, at.account, at.region, quotas.NOTHING, quotas.of_topic(record))
    topics.put(tx, at, record)
    return {"TopicArn": at.arn}


async def delete_topic(ctx: Context, tx: Transaction, request: Request) -> None:
    """Subscriptions are seen a little longer than their topic, as at AWS."""
    at = topic_of(ctx, request["TopicArn"])
    topic = await topics.find(ctx.cloud, tx, at)
    if topic is not None:
        if topic.setting("ArchivePolicy"):
            raise errors.archived()
        await quotas.change(tx, at.account, at.region, quotas.of_topic(topic.record), quotas.NOTHING)
        tx.delete(keys.topic(*at))
        tx.put(keys.garbage(*at, topic.id), b"")
        tx.on_commit(lambda: metrics.forget(ctx.cloud, at))


async def list_topics(ctx: Context, tx: Reader, request: Request) -> Answer:
    def show(data: bytes) -> dict[str, str]:
        return {"TopicArn": TopicName(ctx.account, ctx.region, decode(Topic, data).name).arn}

    span = keys.topics(ctx.account, ctx.region)
    try:
        found, token = await read_page(tx, span, show, limit=PAGE, token=request.get("NextToken"))
    except BadToken:
        raise errors.bad_next_token() from None
    return page_answer("Topics", found, token)


async def get_topic_attributes(ctx: Context, tx: Reader, request: Request) -> Answer:
    topic = await topics.get(ctx.cloud, tx, topic_of(ctx, request["TopicArn"]))
    return {"Attributes": topic_attributes.show(topic, await topics.counts_of(tx, topic.id), now=ctx.now)}


async def set_topic_attributes(ctx: Context, tx: Transaction, request: Request) -> None:
    topic = await topics.get(ctx.cloud, tx, topic_of(ctx, request["TopicArn"]))
    name, value = request["AttributeName"], request.get("AttributeValue") or ""
    changed = topic_attributes.with_one(topic.record.attributes, name, value, fifo=topic.fifo)
    if name == "MaximumMessageSize" and int(changed.get(name, 0)) > content.MESSAGE_BYTES_MAX:
        await _check_for_large_messages(tx, topic)
    _put(tx, topic, _with_archive(ctx, tx, topic.at, topic.id, changed))


async def _check_for_large_messages(tx: Transaction, topic: Live) -> None:
    quotas.check_topic(await topics.counts_of(tx, topic.id), fifo=topic.fifo, large=True)
    for one in await topics.subscriptions_of(tx, topic):
        endpoints.check_for_large_messages(one.protocol)


def _with_archive(
    ctx: Context, tx: Transaction, at: TopicName, topic_id: str, attributes: dict[str, str]
) -> dict[str, str]:
    """Begin or drop the archive that the attributes ask for; they say since when it is there."""
    if "ArchivePolicy" in attributes:
        tx.put(keys.archive(*at), b"")
        return {topic_attributes.ARCHIVED_SINCE: shown_time(ctx.now), **attributes}
    if topic_attributes.ARCHIVED_SINCE in attributes:
        tx.delete(keys.archive(*at))
        tx.delete_range(*keys.all_archived(topic_id))
    return {name: value for name, value in attributes.items() if name != topic_attributes.ARCHIVED_SINCE}


def _put(tx: Transaction, topic: Live, attributes: dict[str, str]) -> None:
    topics.put(tx, topic.at, msgspec.structs.replace(topic.record, attributes=attributes))


async def get_data_protection_policy(ctx: Context, tx: Reader, request: Request) -> Answer:
    topic = await topics.get(ctx.cloud, tx, topic_of(ctx, request["ResourceArn"], "ResourceArn"))
    policy = topic.record.data_protection
    return {"DataProtectionPolicy": policy} if policy else {}


async def put_data_protection_policy(ctx: Context, tx: Transaction, request: Request) -> None:
    topic = await topics.get(ctx.cloud, tx, topic_of(ctx, request["ResourceArn"], "ResourceArn"))
    text = request["DataProtectionPolicy"]
    policy = data_protection.check(text) if text else ""
    topics.put(tx, topic.at, msgspec.structs.replace(topic.record, data_protection=policy))


def _statements(policy: dict[str, Any]) -> list[dict[str, Any]]:
    found = policy["Statement"]
    return found if isinstance(found, list) else [found]


async def add_permission(ctx: Context, tx: Transaction, request: Request) -> None:
    topic = await topics.get(ctx.cloud, tx, topic_of(ctx, request["TopicArn"]))
    label, accounts, actions = request["Label"], request["AWSAccountId"], request["ActionName"]
    if not label:
        raise errors.no_value("Label")
    if not accounts:
        raise errors.no_value("AWSAccountId")
    if not actions:
        raise errors.no_value("ActionName")
    if not all(_ACCOUNT.fullmatch(one) for one in accounts):
        raise errors.invalid("Policy Error: PrincipalNotFound")
    policy = topic.policy
    if any(one.get("Sid") == label for one in _statements(policy)):
        raise errors.invalid("Statement already exists")
    if not all(action in policies.ACTIONS or action == "*" for action in actions):
        raise errors.invalid("Policy statement action out of service scope!")
    added = policies.statement_for(label, accounts, actions, topic.at.arn)
    text = orjson.dumps({**policy, "Statement": [*_statements(policy), added]}).decode()
    policies.check(text)
    _put(tx, topic, {**topic.record.attributes, "Policy": text})


async def remove_permission(ctx: Context, tx: Transaction, request: Request) -> None:
    topic = await topics.get(ctx.cloud, tx, topic_of(ctx, request["TopicArn"]))
    policy = topic.policy
    left = [one for one in _statements(policy) if one.get("Sid") != request["Label"]]
    changed = {**policy, "Statement": left}
    _put(tx, topic, {**topic.record.attributes, "Policy": orjson.dumps(changed).decode()})
