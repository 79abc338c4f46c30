"""Subscriptions: made, confirmed, listed, set, ended.

Sources: Subscribe, ConfirmSubscription, Unsubscribe, ListSubscriptions, ListSubscriptionsByTopic,
GetSubscriptionAttributes, SetSubscriptionAttributes of the API reference; recorded answers.
"""

from __future__ import annotations

import msgspec

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.cloud.pages import page_answer, read_page
from pileus.kernel.paging import BadToken
from pileus.services.sns import archiving, confirming, endpoints, errors, keys, quotas, subscription_attributes, topics
from pileus.services.sns.names import SubscriptionName, TopicName, subscription_of, topic_of, topic_of_arn
from pileus.services.sns.records import Subscription, decode
from pileus.services.sns.subscription_attributes import InvalidAttribute, UnknownAttribute
from pileus.services.sns.topics import Live
from pileus.store.contract import Reader, Transaction

PAGE = 100
PENDING = "pending confirmation"
# Of delivery streams that are subscribed to a topic, by whomever.
_STREAMS_READ = 1000


async def subscribe(ctx: Context, tx: Transaction, request: Request) -> Answer:
    at = topic_of(ctx, request["TopicArn"])
    protocol, endpoint = request["Protocol"], request.get("Endpoint") or ""
    endpoint = endpoints.check(protocol, endpoint, fifo=at.name.endswith(".fifo"))
    topic = await topics.get(ctx.cloud, tx, at)
    try:
        values = subscription_attributes.check(
            request.get("Attributes") or {}, {}, protocol=protocol, endpoint=endpoint, fifo=topic.fifo
        )
    except InvalidAttribute as error:
        raise errors.invalid_reason("Attributes", str(error)) from None
    except UnknownAttribute as error:
        raise errors.invalid_reason("Attributes", f"Unknown attribute {error}") from None
    subscription_attributes.needed_role(protocol, values)
    existing = await _existing(tx, topic, protocol, endpoint)
    if existing is not None:
        if subscription_attributes.differs(existing, values):
            raise errors.invalid_reason("Attributes", "Subscription already exists with different attributes")
        subscription = existing
    else:
        if topic.is_large:
            endpoints.check_for_large_messages(protocol)
        if protocol == "firehose":
            await _check_streams(ctx, tx, topic)
        subscription = Subscription(
            id=ctx.cloud.ids.uuid(),
            topic_arn=at.arn,
            topic_id=topic.id,
            owner=ctx.account,
            principal=ctx.principal.role_arn or ctx.principal.arn,
            protocol=protocol,
            endpoint=endpoint,
            created=ctx.now,
            attributes=values,
        )
        if endpoints.needs_confirmation(ctx, protocol, endpoint):
            subscription.pending = True
            subscription.token = confirming.new_token(ctx.cloud)
        else:
            subscription.authenticated = True
        subscription = _with_replay(ctx, tx, topic, subscription, "Attributes Reason: ")
        await topics.keep_subscription(ctx.cloud, tx, at, subscription, former=None)
    if subscription.pending:
        confirming.ask(ctx, tx, topic, subscription, subscription.token, again=False)
    if subscription.pending and not request.get("ReturnSubscriptionArn"):
        return {"SubscriptionArn": PENDING}
    return {"SubscriptionArn": subscription.arn}


def _with_replay(ctx: Context, tx: Transaction, topic: Live, subscription: Subscription, where: str) -> Subscription:
    try:
        return archiving.begin(ctx, tx, topic, subscription)
    except archiving.InvalidReplay as error:
        raise errors.invalid(f"{where}ReplayPolicy: {error}") from None


async def _existing(tx: Reader, topic: Live, protocol: str, endpoint: str) -> Subscription | None:
    """The subscription of that endpoint that is there."""
    id = await tx.get(keys.same(topic.id, protocol, endpoint))
    return None if id is None else await topics.find_subscription(tx, SubscriptionName(topic.at, id.decode()))


async def _check_streams(ctx: Context, tx: Reader, topic: Live) -> None:
    """Raises where the caller has subscribed as many delivery streams to the topic as he may."""
    known = await tx.scan(*keys.all_same_by(topic.id, "firehose"), limit=_STREAMS_READ)
    places = [keys.subscription(*topic.at, id.decode()) for _, id in known]
    own = [data for data in await tx.get_many(places) if data and decode(Subscription, data).owner == ctx.account]
    if len(own) >= quotas.STREAMS_MAX:
        raise errors.too_many_subscriptions()


async def unsubscribe(ctx: Context, tx: Transaction, request: Request) -> None:
    at = subscription_of(ctx, request["SubscriptionArn"])
    subscription = await topics.find_subscription(tx, at)
    if subscription is None:
        return
    if ctx.principal.kind != "anonymous":
        _check_access(ctx, at, subscription)
    elif subscription.sealed:
        raise errors.not_authorized("Not authorized")
    await topics.drop_subscription(ctx.cloud, tx, at.topic, subscription)
    topic = await topics.find(ctx.cloud, tx, at.topic)
    if topic is not None and not subscription.pending and subscription.protocol in confirming.TOLD_OF_THE_END:
        confirming.ask(ctx, tx, topic, subscription, confirming.new_token(ctx.cloud), again=True)


async def confirm_subscription(ctx: Context, tx: Transaction, request: Request) -> Answer:
    kept = await confirming.find(tx, request["Token"])
    if request["TopicArn"] != kept.subscription.topic_arn:
        raise errors.invalid("Topic")
    at = topic_of_arn(kept.subscription.topic_arn)
    topic = None if at is None else await topics.find(ctx.cloud, tx, at)
    if at is None or topic is None or topic.id != kept.subscription.topic_id:
        raise errors.no_topic()
    signed = ctx.principal.kind != "anonymous"
    sealed = (request.get("AuthenticateOnUnsubscribe") or "").lower() == "true"
    if sealed and not signed:
        raise errors.not_authorized("AuthenticateOnUnsubscribe needs a signed request")
    current = await topics.find_subscription(tx, SubscriptionName(at, kept.subscription.id))
    if current is None and kept.subscription.pending:
        # What once confirmed it does not bring it back: only what told of its end does.
        raise errors.invalid("Token")
    if current is None or current.pending:
        # Ended ones are restored as they were.
        former = current or kept.subscription
        confirmed = msgspec.structs.replace(
            former, pending=False, token="", authenticated=signed, sealed=sealed or former.sealed
        )
        await topics.keep_subscription(ctx.cloud, tx, at, confirmed, former=current)
    return {"SubscriptionArn": kept.subscription.arn}


def _check_access(ctx: Context, at: SubscriptionName, subscription: Subscription) -> None:
    """A subscription is its owner's and the topic owner's."""
    if ctx.account not in (subscription.owner, at.topic.account):
        raise errors.not_authorized("Not authorized")


async def get_subscription_attributes(ctx: Context, tx: Reader, request: Request) -> Answer:
    at = subscription_of(ctx, request["SubscriptionArn"])
    subscription = await topics.find_subscription(tx, at)
    if subscription is None:
        raise errors.no_subscription()
    _check_access(ctx, at, subscription)
    topic = await topics.find(ctx.cloud, tx, at.topic)
    policy = None if topic is None else topic.delivery_policy
    return {"Attributes": subscription_attributes.show(subscription, policy)}


async def set_subscription_attributes(ctx: Context, tx: Transaction, request: Request) -> None:
    at = subscription_of(ctx, request["SubscriptionArn"])
    subscription = await topics.find_subscription(tx, at)
    if subscription is None:
        raise errors.no_subscription()
    _check_access(ctx, at, subscription)
    try:
        values = subscription_attributes.check(
            {request["AttributeName"]: request.get("AttributeValue") or ""},
            subscription.attributes,
            protocol=subscription.protocol,
            endpoint=subscription.endpoint,
            fifo=at.topic.name.endswith(".fifo"),
        )
    except InvalidAttribute as error:
        raise errors.invalid(str(error)) from None
    except UnknownAttribute:
        raise errors.invalid("AttributeName") from None
    changed = msgspec.structs.replace(subscription, attributes=values)
    topic = await topics.find(ctx.cloud, tx, at.topic)
    if request["AttributeName"] == "ReplayPolicy" and topic is not None:
        changed = _with_replay(ctx, tx, topic, changed, "")
    await topics.keep_subscription(ctx.cloud, tx, at.topic, changed, former=subscription)


def _shown(subscription: Subscription) -> dict[str, str]:
    return {
        "SubscriptionArn": "PendingConfirmation" if subscription.pending else subscription.arn,
        "Owner": subscription.owner,
        "Protocol": subscription.protocol,
        "Endpoint": subscription.endpoint,
        "TopicArn": subscription.topic_arn,
    }


async def list_subscriptions(ctx: Context, tx: Reader, request: Request) -> Answer:
    span = keys.all_owned(ctx.account, ctx.region)
    try:
        places, token = await read_page(tx, span, bytes, limit=PAGE, token=request.get("NextToken"))
    except BadToken:
        raise errors.bad_next_token() from None
    found = [_shown(decode(Subscription, data)) for data in await tx.get_many(places) if data is not None]
    return page_answer("Subscriptions", found, token)


async def list_subscriptions_by_topic(ctx: Context, tx: Reader, request: Request) -> Answer:
    at: TopicName = topic_of(ctx, request["TopicArn"])
    topic = await topics.get(ctx.cloud, tx, at)

    def show(data: bytes) -> dict[str, str] | None:
        one = decode(Subscription, data)
        return _shown(one) if one.topic_id == topic.id else None

    try:
        found, token = await read_page(tx, keys.subscriptions(*at), show, limit=PAGE, token=request.get("NextToken"))
    except BadToken:
        raise errors.bad_next_token() from None
    return page_answer("Subscriptions", found, token)
