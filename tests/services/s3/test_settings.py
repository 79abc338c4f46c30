"""Access control lists and settings: what is always there can be read and put back, the rest is refused by name."""

from __future__ import annotations

import pytest
from tests.services.s3.conftest import new_name

MALFORMED = {
    "status": 400,
    "Code": "MalformedXML",
    "Message": "The XML you provided was not well-formed or did not validate against our published schema",
}


@pytest.fixture
def open_bucket(s3):
    name = new_name()
    s3.create_bucket(Bucket=name, ObjectOwnership="ObjectWriter")
    return name


def acl_of(answer):
    return {"Owner": answer["Owner"], "Grants": answer["Grants"]}


def test_the_owner_has_full_control(s3, bucket, fails):
    s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    acl = acl_of(s3.get_bucket_acl(Bucket=bucket))
    (grant,) = acl["Grants"]
    assert grant == {"Grantee": {"Type": "CanonicalUser", "ID": acl["Owner"]["ID"]}, "Permission": "FULL_CONTROL"}
    assert acl_of(s3.get_object_acl(Bucket=bucket, Key="key")) == acl
    assert fails(s3.get_object_acl, Bucket=bucket, Key="missing")["Code"] == "NoSuchKey"
    assert fails(s3.put_object_acl, Bucket=bucket, Key="missing", ACL="private")["Code"] == "NoSuchKey"
    assert fails(s3.get_bucket_acl, Bucket=bucket + "-not")["Code"] == "NoSuchBucket"


def test_a_bucket_whose_owner_is_enforced_takes_no_lists(s3, bucket, fails):
    s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    expected = {
        "status": 400,
        "Code": "AccessControlListNotSupported",
        "Message": "The bucket does not allow ACLs",
    }
    for acl in ("private", "public-read"):
        assert fails(s3.put_bucket_acl, Bucket=bucket, ACL=acl) == expected
        assert fails(s3.put_object_acl, Bucket=bucket, Key="key", ACL=acl) == expected


def test_lists_elsewhere(s3, open_bucket, fails):
    s3.put_object(Bucket=open_bucket, Key="key", Body=b"x")
    acl = acl_of(s3.get_bucket_acl(Bucket=open_bucket))
    for call, at in ((s3.put_bucket_acl, {}), (s3.put_object_acl, {"Key": "key"})):
        at["Bucket"] = open_bucket
        call(**at, ACL="private")
        call(**at, AccessControlPolicy=acl)
        for more in ({"ACL": "public-read"}, {"GrantRead": 'uri="http://acs.amazonaws.com/groups/global/AllUsers"'}):
            # New buckets block public lists.
            error = fails(call, **at, **more)
            assert (error["status"], error["Code"]) == (403, "AccessDenied")
        assert fails(call, **at) == {
            "status": 400,
            "Code": "MissingSecurityHeader",
            "Message": "Your request was missing a required header",
            "MissingHeaderName": "x-amz-acl",
        }
        error = fails(call, **at, ACL="fake-acl")
        assert (error["Code"], error["ArgumentName"], error["ArgumentValue"]) == (
            "InvalidArgument",
            "x-amz-acl",
            "fake-acl",
        )
        error = fails(call, **at, ACL="private", GrantRead="id=1")
        assert error["Message"] == "Specifying both Canned ACLs and Header Grants is not allowed"
        assert fails(call, **at, ACL="private", AccessControlPolicy=acl)["Code"] == "UnexpectedContent"
        for value, message, name, shown in (
            ('fakekey="1234"', "Argument format not recognized", "x-amz-grant-write-acp", 'fakekey="1234"'),
            ("id=wrong-id", "Invalid id", "id", "wrong-id"),
            ("uri=http://fake", "Invalid group uri", "uri", "http://fake"),
        ):
            error = fails(call, **at, GrantWriteACP=value)
            assert (error["Message"], error["ArgumentName"], error["ArgumentValue"]) == (message, name, shown)
        for policy, code in (
            ({"Grants": acl["Grants"]}, "MalformedACLError"),
            ({"Owner": acl["Owner"], "Grants": [{"Permission": "READ"}]}, "MalformedACLError"),
            ({"Owner": {"ID": "wrong-id"}, "Grants": acl["Grants"]}, "InvalidArgument"),
        ):
            assert fails(call, **at, AccessControlPolicy=policy)["Code"] == code


def test_lists_of_delete_markers(s3, bucket, fails):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    first = s3.put_object(Bucket=bucket, Key="key", Body=b"x")["VersionId"]
    marker = s3.delete_object(Bucket=bucket, Key="key")["VersionId"]
    assert s3.get_object_acl(Bucket=bucket, Key="key", VersionId=first)["Grants"]
    assert fails(s3.get_object_acl, Bucket=bucket, Key="key")["Code"] == "NoSuchKey"
    assert fails(s3.get_object_acl, Bucket=bucket, Key="key", VersionId=marker)["Method"] == "GET"
    for more in ({}, {"VersionId": marker}):
        error = fails(s3.put_object_acl, Bucket=bucket, Key="key", ACL="private", **more)
        assert (error["status"], error["Code"], error["Method"]) == (405, "MethodNotAllowed", "PUT")


def test_what_a_bucket_does_not_have(s3, bucket, fails):
    assert s3.get_bucket_request_payment(Bucket=bucket)["Payer"] == "BucketOwner"
    s3.put_bucket_request_payment(Bucket=bucket, RequestPaymentConfiguration={"Payer": "BucketOwner"})
    wrong = {"RequestPaymentConfiguration": {"Payer": "Random"}}
    assert fails(s3.put_bucket_request_payment, Bucket=bucket, **wrong) == MALFORMED
    assert "Status" not in s3.get_bucket_accelerate_configuration(Bucket=bucket)
    wrong = {"AccelerateConfiguration": {"Status": "enabled"}}
    assert fails(s3.put_bucket_accelerate_configuration, Bucket=bucket, **wrong) == MALFORMED
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={})
    s3.delete_bucket_website(Bucket=bucket)
    assert fails(s3.get_bucket_website, Bucket=bucket) == {
        "status": 404,
        "Code": "NoSuchWebsiteConfiguration",
        "Message": "The specified bucket does not have a website configuration",
        "BucketName": bucket,
    }
    s3.delete_bucket_replication(Bucket=bucket)
    error = fails(s3.get_bucket_replication, Bucket=bucket)
    assert (error["status"], error["Code"]) == (404, "ReplicationConfigurationNotFoundError")
    for call in (s3.get_bucket_logging, s3.get_bucket_website, s3.get_bucket_replication, s3.delete_bucket_website):
        assert fails(call, Bucket=bucket + "-not")["Code"] == "NoSuchBucket"


def test_acceleration(s3, bucket, fails):
    for status in ("Enabled", "Suspended"):
        s3.put_bucket_accelerate_configuration(Bucket=bucket, AccelerateConfiguration={"Status": status})
        assert s3.get_bucket_accelerate_configuration(Bucket=bucket)["Status"] == status
    name = new_name() + ".dot"
    s3.create_bucket(Bucket=name)
    error = fails(s3.put_bucket_accelerate_configuration, Bucket=name, AccelerateConfiguration={"Status": "Enabled"})
    assert error["Message"] == "S3 Transfer Acceleration is not supported for buckets with periods (.) in their names"


def test_where_logs_may_go(s3, bucket, aws, pileus, fails):
    from tests.conftest import Account

    logging = {"TargetBucket": bucket, "TargetPrefix": "log/"}
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={"LoggingEnabled": logging})
    assert s3.get_bucket_logging(Bucket=bucket)["LoggingEnabled"] == logging
    s3.put_bucket_logging(Bucket=bucket, BucketLoggingStatus={})
    assert "LoggingEnabled" not in s3.get_bucket_logging(Bucket=bucket)

    missing, far, others = new_name(), new_name(), new_name()
    west = aws.client("s3", region="eu-west-1")
    west.create_bucket(Bucket=far, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    Account(pileus.endpoint).client("s3").create_bucket(Bucket=others)
    for name, status, code, message in (
        (missing, 400, "InvalidTargetBucketForLogging", "The target bucket for logging does not exist"),
        (
            others,
            400,
            "InvalidTargetBucketForLogging",
            "The owner for the bucket to be logged and the target bucket must be the same.",
        ),
        (far, 403, "CrossLocationLoggingProhibitted", "Cross S3 location logging not allowed. "),
    ):
        logging = {"TargetBucket": name, "TargetPrefix": ""}
        error = fails(s3.put_bucket_logging, Bucket=bucket, BucketLoggingStatus={"LoggingEnabled": logging})
        assert (error["status"], error["Code"], error["Message"]) == (status, code, message)


def test_replication_rules(aws, s3, bucket, fails):
    target = new_name()
    s3.create_bucket(Bucket=target)

    def rules(**changed):
        rule = {
            "Status": "Disabled",
            "Priority": 0,
            "Filter": {},
            "DeleteMarkerReplication": {"Status": "Disabled"},
            "Destination": {"Bucket": f"arn:aws:s3:::{target}"},
        }
        return {"Role": f"arn:aws:iam::{aws.account}:role/r", "Rules": [{"ID": "a", **rule, **changed}]}

    def refused(**changed):
        error = fails(s3.put_bucket_replication, Bucket=bucket, ReplicationConfiguration=rules(**changed))
        return error["Code"], error["Message"]

    assert refused()[1] == "Versioning must be 'Enabled' on the bucket to apply a replication configuration"
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    missing = ("InvalidRequest", "Destination bucket must have versioning enabled.")
    assert refused() == missing
    assert refused(Destination={"Bucket": "arn:aws:s3:::not-" + target[:40]}) == missing
    s3.put_bucket_versioning(Bucket=target, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_replication(Bucket=bucket, ReplicationConfiguration=rules())
    assert s3.get_bucket_replication(Bucket=bucket)["ReplicationConfiguration"] == rules()
    s3.delete_bucket_replication(Bucket=bucket)
    assert fails(s3.get_bucket_replication, Bucket=bucket)["Code"] == "ReplicationConfigurationNotFoundError"
