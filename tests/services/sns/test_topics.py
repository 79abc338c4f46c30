"""Topics: made, set, listed, deleted; their tags and policies."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sns_kit import Queue, bare, refused, status_of

EFFECTIVE = {
    "http": {
        "defaultHealthyRetryPolicy": {
            "minDelayTarget": 20,
            "maxDelayTarget": 20,
            "numRetries": 3,
            "numMaxDelayRetries": 0,
            "numNoDelayRetries": 0,
            "numMinDelayRetries": 0,
            "backoffFunction": "linear",
        },
        "disableSubscriptionOverrides": False,
        "defaultRequestPolicy": {"headerContentType": "text/plain; charset=UTF-8"},
    }
}


def default_policy(arn: str) -> dict[str, Any]:
    actions = (
        *("GetTopicAttributes", "SetTopicAttributes", "AddPermission", "RemovePermission", "DeleteTopic"),
        *("Subscribe", "ListSubscriptionsByTopic", "Publish"),
    )
    return {
        "Version": "2008-10-17",
        "Id": "__default_policy_ID",
        "Statement": [
            {
                "Sid": "__default_statement_ID",
                "Effect": "Allow",
                "Principal": {"AWS": "*"},
                "Action": [f"SNS:{action}" for action in actions],
                "Resource": arn,
                "Condition": {"StringEquals": {"AWS:SourceOwner": arn.split(":")[4]}},
            }
        ],
    }


def attributes(sns: Any, arn: str) -> dict[str, Any]:
    found = sns.get_topic_attributes(TopicArn=arn)["Attributes"]
    jsons = ("Policy", "EffectiveDeliveryPolicy", "DeliveryPolicy")
    return {name: json.loads(value) if name in jsons else value for name, value in found.items()}


def test_a_topic_says_what_it_is(aws: Any, sns: Any) -> None:
    arn = sns.create_topic(Name="plain")["TopicArn"]
    assert arn == f"arn:aws:sns:us-east-1:{aws.account}:plain"
    plain = {
        "Policy": default_policy(arn),
        "Owner": aws.account,
        "SubscriptionsPending": "0",
        "SubscriptionsConfirmed": "0",
        "SubscriptionsDeleted": "0",
        "TopicArn": arn,
        "EffectiveDeliveryPolicy": EFFECTIVE,
        "DisplayName": "",
    }
    assert attributes(sns, arn) == plain
    sns.set_topic_attributes(TopicArn=arn, AttributeName="DisplayName", AttributeValue="Shown")
    sns.set_topic_attributes(TopicArn=arn, AttributeName="KmsMasterKeyId", AttributeValue="alias/aws/sns")
    assert attributes(sns, arn) == {**plain, "DisplayName": "Shown", "KmsMasterKeyId": "alias/aws/sns"}
    sns.set_topic_attributes(TopicArn=arn, AttributeName="KmsMasterKeyId", AttributeValue="")
    assert "KmsMasterKeyId" not in attributes(sns, arn)


def test_a_fifo_topic_says_so(sns: Any) -> None:
    arn = sns.create_topic(
        Name="t.fifo", Attributes={"DisplayName": "TestTopic", "SignatureVersion": "2", "FifoTopic": "true"}
    )["TopicArn"]
    shown = attributes(sns, arn)
    assert (shown["FifoTopic"], shown["ContentBasedDeduplication"]) == ("true", "false")
    assert (shown["DisplayName"], shown["SignatureVersion"]) == ("TestTopic", "2")
    wrong = ("InvalidParameter", "Invalid parameter: AttributeName")
    assert refused(sns.set_topic_attributes, TopicArn=arn, AttributeName="FifoTopic", AttributeValue="false") == wrong
    sns.set_topic_attributes(TopicArn=arn, AttributeName="FifoThroughputScope", AttributeValue="MessageGroup")
    assert attributes(sns, arn)["FifoThroughputScope"] == "MessageGroup"


@pytest.mark.parametrize("name", ["", "a" * 257, "a b", "a:b", "ä", "a.fifo", "a/b", "a#"])
def test_bad_names_are_refused(sns: Any, name: str) -> None:
    assert refused(sns.create_topic, Name=name) == ("InvalidParameter", "Invalid parameter: Topic Name")


def test_fifo_belongs_in_the_name(sns: Any) -> None:
    fifo = {"FifoTopic": "true"}
    for name in ("t", "t.fifo.fifo", "a" * 252 + ".fifo"):
        assert refused(sns.create_topic, Name=name, Attributes=fifo)[1] == "Invalid parameter: Topic Name"
    sns.create_topic(Name="a" * 251 + ".fifo", Attributes=fifo)
    sns.create_topic(Name="a" * 256)


def test_making_a_topic_again_gives_the_same_one(sns: Any) -> None:
    arn = sns.create_topic(Name="again", Tags=[{"Key": "k", "Value": "v"}])["TopicArn"]
    sns.set_topic_attributes(TopicArn=arn, AttributeName="DisplayName", AttributeValue="AlreadySet")
    assert sns.create_topic(Name="again")["TopicArn"] == arn
    assert sns.create_topic(Name="again", Attributes={"DisplayName": "AlreadySet"})["TopicArn"] == arn
    assert attributes(sns, arn)["DisplayName"] == "AlreadySet"
    assert refused(sns.create_topic, Name="again", Attributes={"DisplayName": "other"}) == (
        "InvalidParameter",
        "Invalid parameter: Attributes Reason: Topic already exists with different attributes",
    )
    assert refused(sns.create_topic, Name="again", Tags=[{"Key": "other", "Value": "v"}]) == (
        "InvalidParameter",
        "Invalid parameter: Tags Reason: Topic already exists with different tags",
    )


def test_attributes_are_checked(sns: Any) -> None:
    arn = sns.create_topic(Name="checked")["TopicArn"]

    def wrong(name: str, value: str) -> str:
        return refused(sns.set_topic_attributes, TopicArn=arn, AttributeName=name, AttributeValue=value)[1]

    assert wrong("Nonsense", "x") == "Invalid parameter: AttributeName"
    assert wrong("Policy", "{") == "Invalid parameter: Policy Error: null"
    for principal in ("me", {"Me": "x"}, {"AWS": 1}):
        statement = {"Effect": "Allow", "Principal": principal, "Action": "sns:Publish", "Resource": arn}
        assert wrong("Policy", json.dumps({"Statement": [statement]})) == "Invalid parameter: Policy Error: null"
    statement = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": arn}
    assert wrong("Policy", json.dumps({"Statement": [statement]})) == (
        "Invalid parameter: Policy statement action out of service scope!"
    )
    assert wrong("ContentBasedDeduplication", "true") == (
        "Invalid parameter: Content-based deduplication can only be set for FIFO topics"
    )
    statement = {"Effect": "Allow", "Principal": "*", "Action": "sns:Publish", "Resource": arn}
    crowd = {"AWS": [f"{n:012}" for n in range(201)]}
    for statements in ([], [statement] * 101, [{**statement, "Principal": crowd}]):
        assert wrong("Policy", json.dumps({"Statement": statements})) == "Invalid parameter: Policy Error: null"
    assert wrong("Policy", json.dumps({"Statement": [{**statement, "Resource": [arn, arn + "x"]}]})) == (
        "Invalid parameter: Policy statement must apply to a single resource."
    )
    for name in ("minDelayTarget", "maxDelayTarget", "numRetries"):
        retries = {"minDelayTarget": 1, "maxDelayTarget": 2, "numRetries": 3}
        del retries[name]
        assert wrong("DeliveryPolicy", json.dumps({"http": {"defaultHealthyRetryPolicy": retries}})) == (
            f"Invalid parameter: DeliveryPolicy: defaultHealthyRetryPolicy.{name} must be specified"
        )
    assert wrong("DisplayName", "x" * 101) == "Invalid parameter: DisplayName"
    assert refused(sns.create_topic, Name="long", Attributes={"DisplayName": "x" * 101})[1] == (
        "Invalid parameter: Attributes Reason: DisplayName"
    )
    for name, value in (
        ("SignatureVersion", "3"),
        ("TracingConfig", "Sometimes"),
        ("SQSSuccessFeedbackSampleRate", "101"),
        ("SQSSuccessFeedbackSampleRate", "1" * 5000),
        ("SQSFailureFeedbackRoleArn", "nobody"),
        ("DeliveryPolicy", "{}"),
        ("DeliveryPolicy", '{"http": {"defaultHealthyRetryPolicy": {"numRetries": 101}}}'),
        ("MaximumMessageSize", "1023"),
        ("MaximumMessageSize", "1048577"),
        ("MaximumMessageSize", "many"),
    ):
        assert wrong(name, value).startswith(f"Invalid parameter: {name}"), name
    assert refused(sns.create_topic, Name="odd", Attributes={"Nonsense": "x"})[1] == (
        "Invalid parameter: Attributes Reason: Unknown attribute Nonsense"
    )


def test_a_delivery_policy_becomes_effective(sns: Any) -> None:
    arn = sns.create_topic(Name="policy")["TopicArn"]
    policy = {"http": {"defaultRequestPolicy": {"headerContentType": "application/json"}}}
    sns.set_topic_attributes(TopicArn=arn, AttributeName="DeliveryPolicy", AttributeValue=json.dumps(policy))
    shown = attributes(sns, arn)
    assert shown["DeliveryPolicy"] == {
        "http": {
            "defaultRequestPolicy": {"headerContentType": "application/json"},
            "disableSubscriptionOverrides": False,
        }
    }
    expected = {**EFFECTIVE["http"], "defaultRequestPolicy": {"headerContentType": "application/json"}}
    assert shown["EffectiveDeliveryPolicy"] == {"http": expected}


def test_arns_are_checked(aws: Any, sns: Any) -> None:
    arn = sns.create_topic(Name="here")["TopicArn"]
    get = sns.get_topic_attributes
    assert refused(get, TopicArn="topic") == (
        "InvalidParameter",
        "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not 1",
    )
    assert refused(get, TopicArn=arn + "x") == ("NotFound", "Topic does not exist")
    assert status_of(get, TopicArn=arn + "x") == 404
    elsewhere = aws.client("sns", region="eu-west-1")
    wrong = ("InvalidParameter", "Invalid parameter: TopicArn")
    assert refused(elsewhere.get_topic_attributes, TopicArn=arn) == wrong
    assert refused(elsewhere.publish, TopicArn=arn, Message="m") == wrong
    assert refused(elsewhere.delete_topic, TopicArn=arn) == wrong
    assert refused(elsewhere.list_subscriptions_by_topic, TopicArn=arn) == wrong
    queue = f"arn:aws:sqs:eu-west-1:{aws.account}:q"
    assert refused(elsewhere.subscribe, TopicArn=arn, Protocol="sqs", Endpoint=queue) == wrong


def test_listing_goes_page_by_page(sns: Any) -> None:
    arns = {sns.create_topic(Name=f"t{n:03}")["TopicArn"] for n in range(103)}
    first = sns.list_topics()
    assert len(first["Topics"]) == 100
    second = sns.list_topics(NextToken=first["NextToken"])
    assert "NextToken" not in second
    assert {one["TopicArn"] for one in first["Topics"] + second["Topics"]} == arns
    assert refused(sns.list_topics, NextToken="nonsense")[0] == "InvalidParameter"


def test_a_deleted_topic_is_gone_and_its_subscriptions_a_little_later(later: Any, still: Any) -> None:
    sns = later.client("sns")
    arn = sns.create_topic(Name="gone")["TopicArn"]
    queue = Queue(later, "q")
    subscription = sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue.arn)["SubscriptionArn"]
    sns.delete_topic(TopicArn=arn)
    sns.delete_topic(TopicArn=arn)
    assert refused(sns.publish, TopicArn=arn, Message="m") == ("NotFound", "Topic does not exist")
    assert sns.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]["TopicArn"] == arn
    # A new topic of that name has nothing of the old one.
    sns.create_topic(Name="gone", Tags=[{"Key": "new", "Value": ""}])
    assert sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"] == []
    sns.publish(TopicArn=arn, Message="m")
    still.advance(301)
    assert refused(sns.get_subscription_attributes, SubscriptionArn=subscription)[0] == "NotFound"
    assert sns.list_subscriptions()["Subscriptions"] == []
    assert queue.held() == 0
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue.arn)
    assert attributes(sns, arn)["SubscriptionsConfirmed"] == "1"


def test_tags(sns: Any) -> None:
    arn = sns.create_topic(Name="tagged")["TopicArn"]
    sns.tag_resource(ResourceArn=arn, Tags=[{"Key": "k1", "Value": "v1"}, {"Key": "k2", "Value": "v2"}])
    assert bare(sns.list_tags_for_resource(ResourceArn=arn)) == {
        "Tags": [{"Key": "k1", "Value": "v1"}, {"Key": "k2", "Value": "v2"}]
    }
    sns.untag_resource(ResourceArn=arn, TagKeys=["k1", "none"])
    sns.tag_resource(ResourceArn=arn, Tags=[{"Key": "k2", "Value": "v2b"}])
    assert sns.list_tags_for_resource(ResourceArn=arn)["Tags"] == [{"Key": "k2", "Value": "v2b"}]
    twice = [{"Key": "k", "Value": "1"}, {"Key": "k", "Value": "2"}]
    assert refused(sns.tag_resource, ResourceArn=arn, Tags=twice) == (
        "InvalidParameter",
        "Invalid parameter: Duplicated keys are not allowed.",
    )
    many = [{"Key": f"n{n}", "Value": ""} for n in range(50)]
    assert refused(sns.tag_resource, ResourceArn=arn, Tags=many)[0] == "TagLimitExceeded"
    assert refused(sns.list_tags_for_resource, ResourceArn=arn + "x")[0] == "ResourceNotFound"


def test_permissions_are_added_and_removed(aws: Any, sns: Any) -> None:
    arn = sns.create_topic(Name="shared")["TopicArn"]
    grant = {"TopicArn": arn, "Label": "test", "AWSAccountId": [aws.account], "ActionName": ["Publish"]}
    sns.add_permission(**grant)
    added = {
        "Sid": "test",
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{aws.account}:root"},
        "Action": "SNS:Publish",
        "Resource": arn,
    }
    default = default_policy(arn)
    assert attributes(sns, arn)["Policy"] == {**default, "Statement": [*default["Statement"], added]}
    assert refused(sns.add_permission, **grant)[1] == "Invalid parameter: Statement already exists"
    odd = {**grant, "Label": "other", "ActionName": ["Invalid"]}
    assert refused(sns.add_permission, **odd)[1] == "Invalid parameter: Policy statement action out of service scope!"
    assert refused(sns.add_permission, **{**grant, "TopicArn": arn + "x"}) == ("NotFound", "Topic does not exist")
    nobody = {**grant, "Label": "other", "AWSAccountId": ["nobody"]}
    assert refused(sns.add_permission, **nobody)[1] == "Invalid parameter: Policy Error: PrincipalNotFound"
    sns.remove_permission(TopicArn=arn, Label="test")
    assert attributes(sns, arn)["Policy"] == default
    full = json.dumps({**default, "Statement": [{**added, "Sid": str(n)} for n in range(100)]})
    sns.set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=full)
    assert refused(sns.add_permission, **grant)[1] == "Invalid parameter: Policy Error: null"


def test_policies_decide_who_may_publish(aws: Any, pileus: Any, sns: Any) -> None:
    arn = sns.create_topic(Name="guarded")["TopicArn"]
    stranger = type(aws)(pileus.endpoint).client("sns")
    code, message = refused(stranger.publish, TopicArn=arn, Message="m")
    assert code == "AuthorizationError"
    assert "not authorized to perform: SNS:Publish on resource: " + arn in message
    assert status_of(stranger.publish, TopicArn=arn, Message="m") == 403
    statement = {"Effect": "Allow", "Principal": "*", "Action": "sns:Publish", "Resource": arn}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    sns.set_topic_attributes(TopicArn=arn, AttributeName="Policy", AttributeValue=json.dumps(policy))
    assert stranger.publish(TopicArn=arn, Message="m")["MessageId"]
    assert refused(stranger.get_topic_attributes, TopicArn=arn)[0] == "AuthorizationError"
    statement = {"Effect": "Deny", "Principal": "*", "Action": "sns:Publish", "Resource": arn}
    sns.set_topic_attributes(
        TopicArn=arn, AttributeName="Policy", AttributeValue=json.dumps({"Statement": [statement]})
    )
    assert refused(sns.publish, TopicArn=arn, Message="m")[0] == "AuthorizationError"


def test_a_user_needs_a_permission(aws: Any, sns: Any) -> None:
    arn = sns.create_topic(Name="users")["TopicArn"]
    iam = aws.client("iam")
    iam.create_user(UserName="u")
    key = iam.create_access_key(UserName="u")["AccessKey"]
    user = aws.client("sns", credentials=key)
    assert refused(user.publish, TopicArn=arn, Message="m")[0] == "AuthorizationError"
    assert refused(user.create_topic, Name="users2")[0] == "AuthorizationError"
    statement = {"Effect": "Allow", "Action": "sns:Publish", "Resource": arn}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=policy)
    assert user.publish(TopicArn=arn, Message="m")["MessageId"]
    assert refused(user.subscribe, TopicArn=arn, Protocol="sqs", Endpoint="x")[0] == "AuthorizationError"
