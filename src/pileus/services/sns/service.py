"""Amazon SNS's manifest."""

from __future__ import annotations

from pileus.cloud.context import Cloud
from pileus.cloud.manifest import Loop, Service, reading, writing
from pileus.services.sns import calling, confirming, delivering, inspect, loops, payloads
from pileus.services.sns.operations import messages, subscriptions, tags, topics
from pileus.services.sns.permissions import (
    by_token,
    create_topic,
    on_all,
    on_topic,
    publish,
    subscribe,
    topic_policy,
)
from pileus.services.sns.signing import Signers
from pileus.services.sns.topics import Known


async def start(cloud: Cloud) -> None:
    cloud.parts[Known] = Known()
    cloud.parts[Signers] = Signers()
    cloud.parts[calling.Rates] = calling.Rates()


SERVICE = Service(
    name="sns",
    operations={
        "CreateTopic": writing(topics.create_topic, create_topic),
        "DeleteTopic": writing(topics.delete_topic, on_topic("DeleteTopic"), topic_policy),
        "ListTopics": reading(topics.list_topics, on_all("ListTopics")),
        "GetTopicAttributes": reading(topics.get_topic_attributes, on_topic("GetTopicAttributes"), topic_policy),
        "SetTopicAttributes": writing(topics.set_topic_attributes, on_topic("SetTopicAttributes"), topic_policy),
        "AddPermission": writing(topics.add_permission, on_topic("AddPermission"), topic_policy),
        "RemovePermission": writing(topics.remove_permission, on_topic("RemovePermission"), topic_policy),
        "TagResource": writing(tags.tag_resource, on_topic("TagResource", "ResourceArn"), topic_policy),
        "UntagResource": writing(tags.untag_resource, on_topic("UntagResource", "ResourceArn"), topic_policy),
        "ListTagsForResource": reading(
            tags.list_tags_for_resource, on_topic("ListTagsForResource", "ResourceArn"), topic_policy
        ),
        "Subscribe": writing(subscriptions.subscribe, subscribe, topic_policy),
        "ConfirmSubscription": writing(subscriptions.confirm_subscription, by_token("ConfirmSubscription")),
        "Unsubscribe": writing(subscriptions.unsubscribe, by_token("Unsubscribe")),
        "GetSubscriptionAttributes": reading(
            subscriptions.get_subscription_attributes, on_all("GetSubscriptionAttributes")
        ),
        "SetSubscriptionAttributes": writing(
            subscriptions.set_subscription_attributes, on_all("SetSubscriptionAttributes")
        ),
        "ListSubscriptions": reading(subscriptions.list_subscriptions, on_all("ListSubscriptions")),
        "ListSubscriptionsByTopic": reading(
            subscriptions.list_subscriptions_by_topic, on_topic("ListSubscriptionsByTopic"), topic_policy
        ),
        "Publish": writing(messages.publish, publish, topic_policy),
        "PublishBatch": writing(messages.publish_batch, publish, topic_policy),
    },
    loops=(Loop("sns.sweep", loops.sweep, period_s=60.0),),
    targets={
        payloads.FAN_OUT: delivering.fan_out,
        payloads.RETRY: delivering.deliver_one,
        payloads.IN_ORDER: delivering.deliver_one,
        payloads.HTTP: calling.deliver,
        payloads.CONFIRM: confirming.send,
        payloads.DEAD: delivering.bury,
    },
    target_limits={payloads.HTTP: calling.LIMIT},
    hosts={"sns": inspect.serve},
    start=start,
)
