"""Queues: made, set, listed, emptied, deleted, and by which addresses they are reached."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest
from sqs_kit import Query, bodies, caught, counts, texts

UNKNOWN = "AWS.SimpleQueueService.NonExistentQueue"


def attributes_of(sqs: Any, url: str, *names: str) -> dict[str, str]:
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=list(names or ("All",))).get("Attributes", {})


def test_the_attributes_of_a_new_queue(sqs: Any, aws: Any) -> None:
    url = sqs.create_queue(QueueName="plain")["QueueUrl"]
    assert url == f"{aws.endpoint}/{aws.account}/plain"
    shown = attributes_of(sqs, url)
    assert shown.pop("CreatedTimestamp") == shown.pop("LastModifiedTimestamp")
    assert shown == {
        "ApproximateNumberOfMessages": "0",
        "ApproximateNumberOfMessagesDelayed": "0",
        "ApproximateNumberOfMessagesNotVisible": "0",
        "DelaySeconds": "0",
        "MaximumMessageSize": "1048576",
        "MessageRetentionPeriod": "345600",
        "QueueArn": f"arn:aws:sqs:us-east-1:{aws.account}:plain",
        "ReceiveMessageWaitTimeSeconds": "0",
        "SqsManagedSseEnabled": "true",
        "VisibilityTimeout": "30",
    }
    assert attributes_of(sqs, url, "VisibilityTimeout") == {"VisibilityTimeout": "30"}
    assert "Attributes" not in sqs.get_queue_attributes(QueueUrl=url)
    assert "Attributes" not in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
    assert caught(sqs.get_queue_attributes, QueueUrl=url, AttributeNames=["Nothing"])[:2] == (
        "InvalidAttributeName",
        "Unknown Attribute Nothing.",
    )


def test_fifo_queues_have_attributes_of_their_own(sqs: Any) -> None:
    url = sqs.create_queue(QueueName="f.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    shown = attributes_of(sqs, url)
    assert {name: shown[name] for name in shown if "ifo" in name or "edup" in name} == {
        "FifoQueue": "true",
        "ContentBasedDeduplication": "false",
        "DeduplicationScope": "queue",
        "FifoThroughputLimit": "perQueue",
    }
    # It is one already.
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"FifoQueue": "true"})
    assert caught(sqs.set_queue_attributes, QueueUrl=url, Attributes={"FifoQueue": "false"})[:2] == (
        "InvalidAttributeValue",
        "Invalid value for the parameter FifoQueue. Reason: Modifying queue type is not supported.",
    )
    assert caught(
        sqs.create_queue, QueueName="f.fifo", Attributes={"FifoQueue": "true", "ContentBasedDeduplication": "true"}
    ) == (
        "QueueAlreadyExists",
        "A queue already exists with the same name and a different value for attribute ContentBasedDeduplication",
        400,
    )


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("FifoQueue", "false", "Unknown Attribute FifoQueue."),
        ("ContentBasedDeduplication", "true", "Unknown Attribute ContentBasedDeduplication."),
        ("DeduplicationScope", "queue", "You can specify the DeduplicationScope only when FifoQueue is set to true."),
        (
            "FifoThroughputLimit",
            "perQueue",
            "You can specify the FifoThroughputLimit only when FifoQueue is set to true.",
        ),
        ("Nonsense", "x", "Unknown Attribute Nonsense."),
        ("QueueArn", "x", "Unknown Attribute QueueArn."),
    ],
)
def test_attributes_that_standard_queues_do_not_have(sqs: Any, name: str, value: str, message: str) -> None:
    assert caught(sqs.create_queue, QueueName="standard", Attributes={name: value}) == (
        "InvalidAttributeName",
        message,
        400,
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VisibilityTimeout", "43201"),
        ("VisibilityTimeout", "x"),
        ("DelaySeconds", "-1"),
        ("MaximumMessageSize", "1023"),
        ("MaximumMessageSize", "1048577"),
        ("MessageRetentionPeriod", "59"),
        ("ReceiveMessageWaitTimeSeconds", "21"),
        ("Policy", "{}"),
        ("Policy", "no"),
    ],
)
def test_values_that_attributes_may_not_have(sqs: Any, name: str, value: str) -> None:
    assert caught(sqs.create_queue, QueueName="bad", Attributes={name: value}) == (
        "InvalidAttributeValue",
        f"Invalid value for the parameter {name}.",
        400,
    )


@pytest.mark.parametrize("name", ["with space", "", "x" * 81, "a.fifo", "dot.ted"])
def test_names_that_are_none(sqs: Any, name: str) -> None:
    assert caught(sqs.create_queue, QueueName=name)[:2] == (
        "InvalidParameterValue",
        "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length",
    )


def test_making_a_queue_that_is_there(sqs: Any) -> None:
    first = sqs.create_queue(QueueName="twice", Attributes={"DelaySeconds": "3"}, tags={"a": "b"})["QueueUrl"]
    assert sqs.create_queue(QueueName="twice")["QueueUrl"] == first
    assert sqs.create_queue(QueueName="twice", Attributes={"DelaySeconds": "3"})["QueueUrl"] == first
    assert caught(sqs.create_queue, QueueName="twice", Attributes={"DelaySeconds": "4"})[:2] == (
        "QueueAlreadyExists",
        "A queue already exists with the same name and a different value for attribute DelaySeconds",
    )
    assert sqs.list_queue_tags(QueueUrl=first)["Tags"] == {"a": "b"}


def test_a_queue_that_is_there_with_other_tags(sqs: Any) -> None:
    url = sqs.create_queue(QueueName="tagged-twice", tags={"a": "b"})["QueueUrl"]
    assert sqs.create_queue(QueueName="tagged-twice", tags={"a": "b"})["QueueUrl"] == url
    assert sqs.create_queue(QueueName="tagged-twice")["QueueUrl"] == url
    assert caught(sqs.create_queue, QueueName="tagged-twice", tags={"a": "c"}) == (
        "QueueAlreadyExists",
        "A queue already exists with the same name and different tags",
        400,
    )


def test_one_kind_of_encryption(sqs: Any) -> None:
    url = sqs.create_queue(QueueName="kms")["QueueUrl"]
    sqs.set_queue_attributes(
        QueueUrl=url, Attributes={"KmsMasterKeyId": "testKeyId", "KmsDataKeyReusePeriodSeconds": "6000"}
    )
    shown = attributes_of(sqs, url)
    assert (shown["KmsMasterKeyId"], shown["KmsDataKeyReusePeriodSeconds"]) == ("testKeyId", "6000")
    assert shown["SqsManagedSseEnabled"] == "false"
    both = {"KmsMasterKeyId": "testKeyId", "SqsManagedSseEnabled": "true"}
    assert caught(sqs.set_queue_attributes, QueueUrl=url, Attributes=both)[:2] == (
        "InvalidAttributeName",
        "You can use one type of server-side encryption (SSE) at one time. You can either enable KMS SSE or SQS SSE.",
    )
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"KmsMasterKeyId": "", "KmsDataKeyReusePeriodSeconds": "300"})
    shown = attributes_of(sqs, url)
    assert "KmsMasterKeyId" not in shown
    assert "KmsDataKeyReusePeriodSeconds" not in shown
    assert shown["SqsManagedSseEnabled"] == "false"


def test_what_does_not_exist(sqs: Any, query: Query, aws: Any) -> None:
    url = f"{aws.endpoint}/{aws.account}/nothing"
    assert caught(sqs.send_message, QueueUrl=url, MessageBody="m") == (
        UNKNOWN,
        "The specified queue does not exist.",
        400,
    )
    assert caught(sqs.get_queue_url, QueueName="nothing")[0] == UNKNOWN
    status, xml = query("GetQueueUrl", QueueName="nothing")
    assert (status, texts(xml, "Code"), texts(xml, "Message")) == (
        400,
        [UNKNOWN],
        ["The specified queue does not exist for this wsdl version."],
    )
    assert caught(sqs.send_message, QueueUrl="http://localhost/a/b/c", MessageBody="m")[0] == "InvalidAddress"


def test_listing_by_pages(sqs: Any) -> None:
    assert "QueueUrls" not in sqs.list_queues()
    for name in ("a1", "a2", "a3", "b1"):
        sqs.create_queue(QueueName=name)
    assert len(sqs.list_queues()["QueueUrls"]) == 4
    found, token = [], {}
    while True:
        page = sqs.list_queues(QueueNamePrefix="a", MaxResults=2, **token)
        found += [url.rpartition("/")[2] for url in page["QueueUrls"]]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert found == ["a1", "a2", "a3"]
    assert caught(sqs.list_queues, MaxResults=2, NextToken="x")[0] == "InvalidParameterValue"


def test_deleting_and_making_anew(sqs: Any) -> None:
    url = sqs.create_queue(QueueName="phoenix")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="old")
    sqs.delete_queue(QueueUrl=url)
    assert caught(sqs.receive_message, QueueUrl=url)[0] == UNKNOWN
    assert caught(sqs.delete_queue, QueueUrl=url)[0] == UNKNOWN
    sqs.create_queue(QueueName="phoenix")
    assert "Messages" not in sqs.receive_message(QueueUrl=url)


def test_purging(later: Any, still: Any) -> None:
    url = later.create_queue(QueueName="purged")["QueueUrl"]
    later.send_message(QueueUrl=url, MessageBody="one")
    later.send_message(QueueUrl=url, MessageBody="two", DelaySeconds=5)
    handle = later.receive_message(QueueUrl=url)["Messages"][0]["ReceiptHandle"]
    later.purge_queue(QueueUrl=url)
    assert counts(later, url) == (0, 0, 0)
    later.delete_message(QueueUrl=url, ReceiptHandle=handle)
    still.advance(40)
    assert "Messages" not in later.receive_message(QueueUrl=url)
    assert caught(later.purge_queue, QueueUrl=url) == (
        "AWS.SimpleQueueService.PurgeQueueInProgress",
        "Only one PurgeQueue operation on purged is allowed every 60 seconds.",
        403,
    )
    later.send_message(QueueUrl=url, MessageBody="three")
    still.advance(20)
    later.purge_queue(QueueUrl=url)
    assert counts(later, url) == (0, 0, 0)


def test_tags(sqs: Any) -> None:
    url = sqs.create_queue(QueueName="tagged")["QueueUrl"]
    sqs.tag_queue(QueueUrl=url, Tags={"tag1": "value1", "tag2": "value2", "tag3": ""})
    sqs.untag_queue(QueueUrl=url, TagKeys=["tag1", "tag3", "none"])
    assert sqs.list_queue_tags(QueueUrl=url)["Tags"] == {"tag2": "value2"}
    sqs.untag_queue(QueueUrl=url, TagKeys=["tag2"])
    assert "Tags" not in sqs.list_queue_tags(QueueUrl=url)


def test_every_form_of_address(aws: Any, sqs: Any, query: Query) -> None:
    sqs.create_queue(QueueName="address")
    port = aws.endpoint.rpartition(":")[2]
    forms = [
        f"http://sqs.us-east-1.localhost:{port}/{aws.account}/address",
        f"http://sqs.us-east-1.localhost.localstack.cloud:{port}/{aws.account}/address",
        f"http://us-east-1.queue.localhost.localstack.cloud:{port}/{aws.account}/address",
        f"https://sqs.us-east-1.amazonaws.com/{aws.account}/address",
        f"http://localhost:{port}/queue/us-east-1/{aws.account}/address",
        "address",
    ]
    for form in forms:
        sqs.send_message(QueueUrl=form, MessageBody=form)
    own = f"{aws.endpoint}/{aws.account}/address"
    for url in (own, f"{aws.endpoint}/queue/us-east-1/{aws.account}/address"):
        status, xml = query("SendMessage", url, MessageBody="to the address")
        assert (status, len(texts(xml, "MessageId"))) == (200, 1)
    status, xml = query("ReceiveMessage", own, method="GET", MaxNumberOfMessages=10)
    assert status == 200
    assert texts(xml, "Body") == [*forms, "to the address", "to the address"]
    elsewhere = aws.client("sqs", region="eu-west-1")
    assert caught(elsewhere.send_message, QueueUrl=own, MessageBody="m")[0] == UNKNOWN
    # Another region's queue, by an address that says so.
    sqs_eu = f"http://sqs.eu-west-1.localhost:{port}/{aws.account}/address"
    elsewhere.create_queue(QueueName="address")
    sqs.send_message(QueueUrl=sqs_eu, MessageBody="to Ireland")
    assert bodies(elsewhere.receive_message(QueueUrl=own)) == ["to Ireland"]


def test_the_address_is_on_the_host_that_was_used(aws: Any) -> None:
    port = aws.endpoint.rpartition(":")[2]
    import boto3

    client = boto3.client(
        "sqs",
        endpoint_url=f"http://localhost:{port}",
        region_name="us-east-1",
        aws_access_key_id=aws.account,
        aws_secret_access_key="test",
    )
    assert client.create_queue(QueueName="host")["QueueUrl"] == f"http://localhost:{port}/{aws.account}/host"


def test_looking_without_receiving(aws: Any, sqs: Any) -> None:
    url = sqs.create_queue(QueueName="looked-at")["QueueUrl"]
    for body in ("first", "second"):
        sqs.send_message(
            QueueUrl=url, MessageBody=body, MessageAttributes={"a": {"DataType": "String", "StringValue": "<&>"}}
        )
    sqs.send_message(QueueUrl=url, MessageBody="third", DelaySeconds=900)
    sqs.receive_message(QueueUrl=url)
    look = f"{aws.endpoint}/_aws/sqs/messages?QueueUrl={url}"

    def got(address: str) -> list[str]:
        request = urllib.request.Request(address, headers={"Accept": "application/json"})
        content = json.loads(urllib.request.urlopen(request).read())
        result = content["ReceiveMessageResponse"]["ReceiveMessageResult"]
        return [one["Body"] for one in result["Message"]] if result else []

    assert got(look) == ["second"]
    assert got(look + "&ShowInvisible=true") == ["first", "second"]
    assert got(look + "&ShowInvisible=true&ShowDelayed=true") == ["first", "second", "third"]
    assert got(f"{aws.endpoint}/_aws/sqs/messages/us-east-1/{aws.account}/looked-at") == ["second"]
    xml = urllib.request.urlopen(look).read().decode()
    assert texts(xml, "Body") == ["second"]
    assert "<&>" in texts(xml, "StringValue")
    assert counts(sqs, url) == (1, 1, 1)
    web_page = urllib.request.Request(look, headers={"Origin": "http://evil.example"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(web_page)
    assert refused.value.code == 403
