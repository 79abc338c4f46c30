"""Replication between buckets, regions and accounts, as the role that a configuration names."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.conftest import Account
from tests.services.s3.conftest import new_name
from tests.services.s3.replication_kit import TRUST, allow_all, new_role, put_rules, rule, versioned

from waiting import until


def status(s3: Any, bucket: str, key: str, **at: str) -> str | None:
    found: str | None = s3.head_object(Bucket=bucket, Key=key, **at).get("ReplicationStatus")
    return found


@pytest.fixture
def source(s3: Any) -> str:
    return versioned(s3)


@pytest.fixture
def far(aws: Any) -> Any:
    return aws.client("s3", region="eu-west-1")


@pytest.fixture
def target(far: Any) -> str:
    return versioned(far, "eu-west-1")


def test_a_version_is_the_same_elsewhere(aws, s3, far, source, target):
    put_rules(s3, source, new_role(aws), rule(target, DeleteMarkerReplication={"Status": "Enabled"}))
    put = s3.put_object(
        Bucket=source, Key="key", Body=b"x" * 100_000, Metadata={"a": "b"}, ContentType="text/plain", Tagging="t=1"
    )
    until(lambda: status(s3, source, "key") == "COMPLETED")
    there = far.get_object(Bucket=target, Key="key", ChecksumMode="ENABLED")
    assert there["Body"].read() == b"x" * 100_000
    assert there["ReplicationStatus"] == "REPLICA"
    for member in ("ETag", "VersionId", "ChecksumCRC32"):
        assert there[member] == put[member]
    assert (there["Metadata"], there["ContentType"], there["TagCount"]) == ({"a": "b"}, "text/plain", 1)
    assert there["LastModified"] == s3.head_object(Bucket=source, Key="key")["LastModified"]

    # Changes beside the bytes follow.
    s3.put_object_tagging(Bucket=source, Key="key", Tagging={"TagSet": [{"Key": "t", "Value": "2"}]})
    until(
        lambda: far.get_object_tagging(Bucket=target, Key="key")["TagSet"] == [{"Key": "t", "Value": "2"}],
    )
    # Delete markers do where a rule says so; the removal of a version never does.
    marker = s3.delete_object(Bucket=source, Key="key")["VersionId"]
    until(lambda: "DeleteMarkers" in far.list_object_versions(Bucket=target))
    assert far.list_object_versions(Bucket=target)["DeleteMarkers"][0]["VersionId"] == marker
    s3.delete_object(Bucket=source, Key="key", VersionId=put["VersionId"])
    s3.put_object(Bucket=source, Key="key")
    until(lambda: status(s3, source, "key") == "COMPLETED")
    assert len(far.list_object_versions(Bucket=target)["Versions"]) == 2
    error = _refused(lambda: s3.put_bucket_versioning(Bucket=source, VersioningConfiguration={"Status": "Suspended"}))
    assert error == "InvalidBucketState"


def test_parts_stay_parts(aws, s3, far, source, target):
    put_rules(s3, source, new_role(aws), rule(target, StorageClass="STANDARD_IA"))
    upload = s3.create_multipart_upload(Bucket=source, Key="key")["UploadId"]
    parts = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(Bucket=source, Key="key", UploadId=upload, PartNumber=number, Body=body)["ETag"],
        }
        for number, body in ((1, b"a" * 5 * 1024**2), (2, b"end"))
    ]
    done = s3.complete_multipart_upload(Bucket=source, Key="key", UploadId=upload, MultipartUpload={"Parts": parts})
    until(lambda: status(s3, source, "key") == "COMPLETED")
    second = far.get_object(Bucket=target, Key="key", PartNumber=2)
    assert (second["Body"].read(), second["PartsCount"], second["ETag"]) == (b"end", 2, done["ETag"])
    assert second["StorageClass"] == "STANDARD_IA"
    assert "StorageClass" not in s3.head_object(Bucket=source, Key="key")


def test_which_rule_counts(aws, s3, far, source, target):
    other = versioned(s3)
    tagged = {"And": {"Prefix": "logs/", "Tags": [{"Key": "copy", "Value": "yes"}]}}
    put_rules(
        s3,
        source,
        new_role(aws),
        rule(target, ID="a", Priority=1, Filter={"Prefix": "logs/"}),
        rule(target, ID="b", Priority=2, Filter=tagged, StorageClass="ONEZONE_IA"),
        rule(other, ID="c", Priority=3, Filter={"Prefix": "logs/"}),
        rule(other, ID="d", Priority=4, Filter={"Prefix": "never/"}, Status="Disabled"),
    )
    s3.put_object(Bucket=source, Key="logs/1")
    s3.put_object(Bucket=source, Key="logs/2", Tagging="copy=yes&more=1")
    for key in ("never/1", "elsewhere"):
        s3.put_object(Bucket=source, Key=key)
        assert status(s3, source, key) is None
    for key in ("logs/1", "logs/2"):
        until(lambda key=key: status(s3, source, key) == "COMPLETED")
        assert s3.head_object(Bucket=other, Key=key)["ReplicationStatus"] == "REPLICA"
    assert "StorageClass" not in far.head_object(Bucket=target, Key="logs/1")
    assert far.head_object(Bucket=target, Key="logs/2")["StorageClass"] == "ONEZONE_IA"
    # No rule replicates delete markers.
    s3.delete_object(Bucket=source, Key="logs/1")
    s3.put_object(Bucket=source, Key="logs/1", Body=b"again")
    until(lambda: status(s3, source, "logs/1") == "COMPLETED")
    assert "DeleteMarkers" not in far.list_object_versions(Bucket=target)


def test_the_first_schema_replicates_delete_markers(aws, s3, far, source, target):
    old = {"Status": "Enabled", "Prefix": "", "Destination": {"Bucket": f"arn:aws:s3:::{target}"}}
    put_rules(s3, source, new_role(aws), old)
    s3.put_object(Bucket=source, Key="key")
    s3.delete_object(Bucket=source, Key="key")
    until(lambda: "DeleteMarkers" in far.list_object_versions(Bucket=target))


def test_both_ways(aws, s3, far, source, target):
    """Replicas go no further; what is changed of them does where the rules sync that."""
    role = new_role(aws)
    sync = {"SourceSelectionCriteria": {"ReplicaModifications": {"Status": "Enabled"}}}
    put_rules(s3, source, role, rule(target, **sync))
    put_rules(far, target, role, rule(source, **sync))
    s3.put_object(Bucket=source, Key="key", Body=b"one")
    until(lambda: status(s3, source, "key") == "COMPLETED")
    tags = [{"Key": "from", "Value": "there"}]
    far.put_object_tagging(Bucket=target, Key="key", Tagging={"TagSet": tags})
    until(lambda: s3.get_object_tagging(Bucket=source, Key="key")["TagSet"] == tags)
    far.put_object(Bucket=target, Key="back", Body=b"two")
    until(lambda: status(far, target, "back") == "COMPLETED")
    assert s3.head_object(Bucket=source, Key="back")["ReplicationStatus"] == "REPLICA"
    assert len(s3.list_object_versions(Bucket=source)["Versions"]) == 2
    assert len(far.list_object_versions(Bucket=target)["Versions"]) == 2


def test_into_another_account(aws, pileus, s3, source):
    theirs = Account(pileus.endpoint)
    client = theirs.client("s3")
    target = versioned(client)
    client.put_bucket_ownership_controls(
        Bucket=target, OwnershipControls={"Rules": [{"ObjectOwnership": "ObjectWriter"}]}
    )
    role = new_role(aws)
    put_rules(s3, source, role, rule(target, ID="a", Account=theirs.account))
    s3.put_object(Bucket=source, Key="denied")
    until(lambda: status(s3, source, "denied") == "FAILED")

    def let_in(*actions: str) -> None:
        statement = {
            "Effect": "Allow",
            "Principal": {"AWS": role},
            "Action": [f"s3:{action}" for action in actions],
            "Resource": f"arn:aws:s3:::{target}/*",
        }
        client.put_bucket_policy(Bucket=target, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))

    let_in("ReplicateObject")
    s3.put_object(Bucket=source, Key="ours", Body=b"x")
    until(lambda: status(s3, source, "ours") == "COMPLETED")
    # Whoever wrote the source owns the replica, unless the rule gives it away.
    assert _refused(lambda: client.get_object(Bucket=target, Key="ours")) == "AccessDenied"
    given = rule(target, ID="a", Account=theirs.account, AccessControlTranslation={"Owner": "Destination"})
    put_rules(s3, source, role, given)
    s3.put_object(Bucket=source, Key="refused")
    until(lambda: status(s3, source, "refused") == "FAILED")
    let_in("ReplicateObject", "ObjectOwnerOverrideToBucketOwner")
    s3.put_object(Bucket=source, Key="theirs", Body=b"x")
    until(lambda: status(s3, source, "theirs") == "COMPLETED")
    assert client.get_object(Bucket=target, Key="theirs")["Body"].read() == b"x"


@pytest.mark.parametrize(
    ("missing", "reason"),
    [
        ("GetReplicationConfiguration", "InitiateReplicationNotPermitted"),
        ("GetObjectVersionForReplication", "SrcGetObjectNotPermitted"),
        ("GetObjectVersionTagging", "SrcGetTagsNotPermitted"),
        ("ReplicateObject", "DstPutObjectNotPermitted"),
        ("ReplicateTags", "DstPutTagsNotPermitted"),
    ],
)
def test_what_the_role_may_not_is_not_done(aws, s3, source, missing, reason):
    target = versioned(s3)
    metrics = {"Metrics": {"Status": "Enabled", "EventThreshold": {"Minutes": 15}}}
    role = new_role(aws, {"Effect": "Deny", "Action": f"s3:{missing}", "Resource": "*"}, allow_all())
    put_rules(s3, source, role, rule(target, **metrics))
    sqs = aws.client("sqs")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:{aws.account}:q"
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "s3.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    sqs.set_queue_attributes(
        QueueUrl=url, Attributes={"Policy": json.dumps({"Version": "2012-10-17", "Statement": [statement]})}
    )
    s3.put_bucket_notification_configuration(
        Bucket=source,
        NotificationConfiguration={"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:Replication:*"]}]},
    )
    assert b"s3:TestEvent" in sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"][0]["Body"].encode()
    put = s3.put_object(Bucket=source, Key="key", Tagging="a=b")
    message = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20)["Messages"][0]
    record = json.loads(message["Body"])["Records"][0]
    assert (record["eventName"], record["eventVersion"]) == ("Replication:OperationFailedReplication", "2.2")
    assert record["s3"]["object"]["versionId"] == put["VersionId"]
    data = record["replicationEventData"]
    assert (data["failureReason"], data["destinationBucket"]) == (reason, f"arn:aws:s3:::{target}")
    assert (data["replicationRuleId"], data["s3Operation"]) == ("rule", "OBJECT_PUT")
    assert status(s3, source, "key") == "FAILED"
    assert "Versions" not in s3.list_object_versions(Bucket=target)


def test_a_role_that_does_not_trust_s3(aws, s3, source):
    target = versioned(s3)
    role = new_role(aws, trust={**TRUST, "Principal": {"Service": "ec2.amazonaws.com"}})
    put_rules(s3, source, role, rule(target))
    s3.put_object(Bucket=source, Key="key")
    until(lambda: status(s3, source, "key") == "FAILED")


def test_what_a_customers_key_encrypts_stays(aws, s3, source):
    target = versioned(s3)
    put_rules(s3, source, new_role(aws), rule(target))
    key = {"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    s3.put_object(Bucket=source, Key="key", Body=b"x", **key)
    until(lambda: status(s3, source, "key", **key) == "FAILED")
    assert "Versions" not in s3.list_object_versions(Bucket=target)


def test_locks_follow(aws, s3):
    source, target = new_name(), new_name()
    for name in (source, target):
        s3.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    put_rules(s3, source, new_role(aws), rule(target))
    s3.put_object(Bucket=source, Key="key", ObjectLockLegalHoldStatus="ON")
    until(lambda: status(s3, source, "key") == "COMPLETED")
    assert s3.head_object(Bucket=target, Key="key")["ObjectLockLegalHoldStatus"] == "ON"
    s3.put_object_legal_hold(Bucket=source, Key="key", LegalHold={"Status": "OFF"})
    until(lambda: s3.get_object_legal_hold(Bucket=target, Key="key")["LegalHold"]["Status"] == "OFF")


def test_what_is_refused(aws, s3, source):
    target = versioned(s3)
    role = new_role(aws)

    def code(**changed: Any) -> str:
        return _refused(lambda: put_rules(s3, source, role, rule(target, **changed)))

    assert code(EncryptionConfiguration={"ReplicaKmsKeyID": "k"}) == "NotImplemented"
    assert code(ExistingObjectReplication={"Status": "Enabled"}) == "NotImplemented"
    assert code(AccessControlTranslation={"Owner": "Destination"}) == "InvalidRequest"
    timed = {"ReplicationTime": {"Status": "Enabled", "Time": {"Minutes": 15}}}
    assert code(**timed) == "InvalidRequest"
    assert _refused(lambda: s3.get_bucket_replication(Bucket=source)) == "ReplicationConfigurationNotFoundError"
    # Who hands a role over needs leave to do so.
    iam = aws.client("iam")
    iam.create_user(UserName="u")
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=json.dumps(document))
    user = aws.client("s3", credentials=iam.create_access_key(UserName="u")["AccessKey"])
    assert _refused(lambda: put_rules(user, source, role, rule(target))) == "AccessDenied"


def _refused(call: Any) -> str:
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError) as caught:
        call()
    code: str = caught.value.response["Error"]["Code"]
    return code
