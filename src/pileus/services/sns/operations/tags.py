"""Tags of topics.

Sources: TagResource, UntagResource, ListTagsForResource of the API reference; recorded answers.
"""

from __future__ import annotations

import msgspec

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.services.sns import errors, topics
from pileus.services.sns.names import topic_of
from pileus.services.sns.topics import Live
from pileus.store.contract import Reader, Transaction

TAGS_MAX = 50


def checked_tags(given: list[dict[str, str]]) -> dict[str, str]:
    tags = {tag["Key"]: tag["Value"] for tag in given}
    if len(tags) != len(given):
        raise errors.invalid("Duplicated keys are not allowed.")
    if any(key.lower().startswith("aws:") for key in tags):
        raise errors.invalid_reason("Tags", "Tag keys that start with aws: are reserved")
    if len(tags) > TAGS_MAX:
        raise errors.too_many_tags()
    return tags


async def _tagged(ctx: Context, tx: Reader, request: Request) -> Live:
    topic = await topics.find(ctx.cloud, tx, topic_of(ctx, request["ResourceArn"], "ResourceArn"))
    if topic is None:
        raise errors.no_resource()
    return topic


async def tag_resource(ctx: Context, tx: Transaction, request: Request) -> Answer:
    topic = await _tagged(ctx, tx, request)
    tags = topic.record.tags | checked_tags(request["Tags"])
    if len(tags) > TAGS_MAX:
        raise errors.too_many_tags()
    topics.put(tx, topic.at, msgspec.structs.replace(topic.record, tags=tags))
    return {}


async def untag_resource(ctx: Context, tx: Transaction, request: Request) -> Answer:
    topic = await _tagged(ctx, tx, request)
    tags = {key: value for key, value in topic.record.tags.items() if key not in request["TagKeys"]}
    topics.put(tx, topic.at, msgspec.structs.replace(topic.record, tags=tags))
    return {}


async def list_tags_for_resource(ctx: Context, tx: Reader, request: Request) -> Answer:
    topic = await _tagged(ctx, tx, request)
    return {"Tags": [{"Key": key, "Value": value} for key, value in topic.record.tags.items()]}
