"""What Amazon EventBridge is told of a bucket."""

from __future__ import annotations

import json

import pytest
from tests.services.events.events_kit import Group


@pytest.fixture
def told(aws, s3, bucket):
    """`told(n)`: n events of the bucket, as a rule of the default bus hears them."""
    group = Group(aws, "/aws/events/s3")
    events = aws.client("events")
    pattern = {"source": ["aws.s3"], "detail": {"bucket": {"name": [bucket]}}}
    events.put_rule(Name="all", EventPattern=json.dumps(pattern))
    events.put_targets(Rule="all", Targets=[{"Id": "1", "Arn": group.arn}])
    s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}})

    def hear(count):
        found = [json.loads(message) for message in group.wait(count)]
        return sorted(found, key=lambda event: (event["time"], event["detail-type"]))

    return hear


def test_an_object_put_and_deleted(aws, s3, bucket, told):
    assert s3.get_bucket_notification_configuration(Bucket=bucket)["EventBridgeConfiguration"] == {}
    etag = s3.put_object(Bucket=bucket, Key="a b", Body=b"test")["ETag"].strip('"')
    s3.delete_object(Bucket=bucket, Key="a b")
    made, gone = told(2)
    assert made["detail-type"] == "Object Created"
    assert (made["account"], made["region"], made["resources"]) == (
        aws.account,
        "us-east-1",
        [f"arn:aws:s3:::{bucket}"],
    )
    detail = made["detail"]
    assert detail.pop("request-id")
    assert detail.pop("source-ip-address")
    assert detail["object"].pop("sequencer")
    assert detail == {
        "version": "0",
        "bucket": {"name": bucket},
        "object": {"key": "a b", "size": 4, "etag": etag},
        "requester": aws.account,
        "reason": "PutObject",
    }
    assert gone["detail-type"] == "Object Deleted"
    assert (gone["detail"]["reason"], gone["detail"]["deletion-type"]) == ("DeleteObject", "Permanently Deleted")
    assert sorted(gone["detail"]["object"]) == ["key", "sequencer"]


def test_a_restored_object_and_its_list(s3, bucket, told):
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]})
    s3.put_object(Bucket=bucket, Key="a", Body=b"test-body", StorageClass="GLACIER")
    s3.put_object_acl(Bucket=bucket, Key="a", ACL="private")
    s3.restore_object(Bucket=bucket, Key="a", RestoreRequest={"Days": 1})
    found = {event["detail-type"]: event["detail"] for event in told(4)}
    assert sorted(found) == [
        "Object ACL Updated",
        "Object Created",
        "Object Restore Completed",
        "Object Restore Initiated",
    ]
    assert sorted(found["Object ACL Updated"]["object"]) == ["etag", "key"]
    begun, done = found["Object Restore Initiated"], found["Object Restore Completed"]
    assert sorted(begun["object"]) == sorted(done["object"]) == ["etag", "key", "size"]
    assert begun["source-storage-class"] == done["source-storage-class"] == "GLACIER"
    assert done["restore-expiry-time"]
    assert "source-ip-address" not in done
