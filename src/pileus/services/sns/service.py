"""Amazon SNS's manifest."""

from __future__ import annotations

from pileus.cloud.context import Cloud
from pileus.cloud.manifest import Loop, Service, free, reading, writing
from pileus.services.sns import archiving, calling, confirming, delivering, feedback, inspect, loops, payloads
from pileus.services.sns.operations import devices, messages, sms, subscriptions, tags, topics
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
        "GetDataProtectionPolicy": reading(
            topics.get_data_protection_policy, on_topic("GetDataProtectionPolicy", "ResourceArn"), topic_policy
        ),
        "PutDataProtectionPolicy": writing(
            topics.put_data_protection_policy, on_topic("PutDataProtectionPolicy", "ResourceArn"), topic_policy
        ),
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
        "CreatePlatformApplication": writing(devices.create_platform_application, on_all("CreatePlatformApplication")),
        "DeletePlatformApplication": writing(
            devices.delete_platform_application, on_topic("DeletePlatformApplication", "PlatformApplicationArn")
        ),
        "GetPlatformApplicationAttributes": reading(
            devices.get_platform_application_attributes,
            on_topic("GetPlatformApplicationAttributes", "PlatformApplicationArn"),
        ),
        "SetPlatformApplicationAttributes": writing(
            devices.set_platform_application_attributes,
            on_topic("SetPlatformApplicationAttributes", "PlatformApplicationArn"),
        ),
        "ListPlatformApplications": reading(devices.list_platform_applications, on_all("ListPlatformApplications")),
        "CreatePlatformEndpoint": writing(
            devices.create_platform_endpoint, on_topic("CreatePlatformEndpoint", "PlatformApplicationArn")
        ),
        "DeleteEndpoint": writing(devices.delete_endpoint, on_topic("DeleteEndpoint", "EndpointArn")),
        "GetEndpointAttributes": reading(
            devices.get_endpoint_attributes, on_topic("GetEndpointAttributes", "EndpointArn")
        ),
        "SetEndpointAttributes": writing(
            devices.set_endpoint_attributes, on_topic("SetEndpointAttributes", "EndpointArn")
        ),
        "ListEndpointsByPlatformApplication": reading(
            devices.list_endpoints_by_platform_application,
            on_topic("ListEndpointsByPlatformApplication", "PlatformApplicationArn"),
        ),
        "SetSMSAttributes": writing(sms.set_sms_attributes, on_all("SetSMSAttributes")),
        "GetSMSAttributes": reading(sms.get_sms_attributes, on_all("GetSMSAttributes")),
        "CheckIfPhoneNumberIsOptedOut": reading(
            sms.check_if_phone_number_is_opted_out, on_all("CheckIfPhoneNumberIsOptedOut")
        ),
        "ListPhoneNumbersOptedOut": reading(sms.list_phone_numbers_opted_out, on_all("ListPhoneNumbersOptedOut")),
        "OptInPhoneNumber": writing(sms.opt_in_phone_number, on_all("OptInPhoneNumber")),
        "GetSMSSandboxAccountStatus": reading(sms.get_sms_sandbox_account_status, on_all("GetSMSSandboxAccountStatus")),
        "CreateSMSSandboxPhoneNumber": writing(
            sms.create_sms_sandbox_phone_number, on_all("CreateSMSSandboxPhoneNumber")
        ),
        "DeleteSMSSandboxPhoneNumber": writing(
            sms.delete_sms_sandbox_phone_number, on_all("DeleteSMSSandboxPhoneNumber")
        ),
        "VerifySMSSandboxPhoneNumber": writing(
            sms.verify_sms_sandbox_phone_number, on_all("VerifySMSSandboxPhoneNumber")
        ),
        "ListSMSSandboxPhoneNumbers": reading(sms.list_sms_sandbox_phone_numbers, on_all("ListSMSSandboxPhoneNumbers")),
        "ListOriginationNumbers": reading(sms.list_origination_numbers, on_all("ListOriginationNumbers")),
        "Publish": free(messages.publish, publish, topic_policy),
        "PublishBatch": free(messages.publish_batch, publish, topic_policy),
    },
    loops=(
        Loop("sns.sweep", loops.sweep, period_s=300.0),
        Loop("sns.retention", archiving.retain, period_s=3600.0),
    ),
    targets={
        payloads.FAN_OUT: delivering.fan_out,
        payloads.RETRY: delivering.deliver_one,
        payloads.IN_ORDER: delivering.deliver_one,
        payloads.HTTP: calling.deliver,
        payloads.CONFIRM: confirming.send,
        payloads.DEAD: delivering.bury,
        payloads.FEEDBACK: feedback.write,
        payloads.REPLAY: archiving.step,
        payloads.AUDIT: feedback.write_audit,
    },
    target_limits={payloads.HTTP: calling.LIMIT},
    hosts={"sns": inspect.serve},
    start=start,
)
