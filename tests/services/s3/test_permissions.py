"""Who may do what: each operation asks for its permission, on its resource."""

from __future__ import annotations

import json

import pytest

UPLOAD = {"UploadId": "x"}
TAGGING = {"Tagging": {"TagSet": [{"Key": "a", "Value": "b"}]}}

# (method, further arguments, the action that is asked for, whether the resource is the object)
OPERATIONS = [
    ("head_bucket", {}, "ListBucket", False),
    ("list_objects", {}, "ListBucket", False),
    ("list_objects_v2", {}, "ListBucket", False),
    ("list_object_versions", {}, "ListBucketVersions", False),
    ("list_multipart_uploads", {}, "ListBucketMultipartUploads", False),
    ("get_bucket_location", {}, "GetBucketLocation", False),
    ("delete_bucket", {}, "DeleteBucket", False),
    ("get_bucket_versioning", {}, "GetBucketVersioning", False),
    ("put_bucket_versioning", {"VersioningConfiguration": {"Status": "Enabled"}}, "PutBucketVersioning", False),
    ("get_bucket_abac", {}, "GetBucketABAC", False),
    ("put_bucket_abac", {"AbacStatus": {"Status": "Enabled"}}, "PutBucketABAC", False),
    ("get_bucket_tagging", {}, "GetBucketTagging", False),
    ("put_bucket_tagging", TAGGING, "PutBucketTagging", False),
    ("delete_bucket_tagging", {}, "PutBucketTagging", False),
    ("get_bucket_policy", {}, "GetBucketPolicy", False),
    ("get_bucket_policy_status", {}, "GetBucketPolicyStatus", False),
    ("put_bucket_policy", {"Policy": "{}"}, "PutBucketPolicy", False),
    ("delete_bucket_policy", {}, "DeleteBucketPolicy", False),
    ("get_bucket_cors", {}, "GetBucketCORS", False),
    (
        "put_bucket_cors",
        {"CORSConfiguration": {"CORSRules": [{"AllowedMethods": ["GET"], "AllowedOrigins": ["*"]}]}},
        "PutBucketCORS",
        False,
    ),
    ("delete_bucket_cors", {}, "PutBucketCORS", False),
    ("get_public_access_block", {}, "GetBucketPublicAccessBlock", False),
    (
        "put_public_access_block",
        {"PublicAccessBlockConfiguration": {"BlockPublicAcls": True}},
        "PutBucketPublicAccessBlock",
        False,
    ),
    ("delete_public_access_block", {}, "PutBucketPublicAccessBlock", False),
    ("get_bucket_ownership_controls", {}, "GetBucketOwnershipControls", False),
    (
        "put_bucket_ownership_controls",
        {"OwnershipControls": {"Rules": [{"ObjectOwnership": "ObjectWriter"}]}},
        "PutBucketOwnershipControls",
        False,
    ),
    ("delete_bucket_ownership_controls", {}, "PutBucketOwnershipControls", False),
    ("get_bucket_encryption", {}, "GetEncryptionConfiguration", False),
    (
        "put_bucket_encryption",
        {
            "ServerSideEncryptionConfiguration": {
                "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}}]
            }
        },
        "PutEncryptionConfiguration",
        False,
    ),
    ("delete_bucket_encryption", {}, "PutEncryptionConfiguration", False),
    ("get_bucket_notification_configuration", {}, "GetBucketNotification", False),
    ("put_bucket_notification_configuration", {"NotificationConfiguration": {}}, "PutBucketNotification", False),
    ("get_object_lock_configuration", {}, "GetBucketObjectLockConfiguration", False),
    (
        "put_object_lock_configuration",
        {"ObjectLockConfiguration": {"ObjectLockEnabled": "Enabled"}},
        "PutBucketObjectLockConfiguration",
        False,
    ),
    ("get_object_retention", {}, "GetObjectRetention", True),
    ("put_object_retention", {"Retention": {"Mode": "GOVERNANCE"}}, "PutObjectRetention", True),
    ("get_object_legal_hold", {}, "GetObjectLegalHold", True),
    ("put_object_legal_hold", {"LegalHold": {"Status": "ON"}}, "PutObjectLegalHold", True),
    ("get_bucket_acl", {}, "GetBucketAcl", False),
    ("put_bucket_acl", {"ACL": "private"}, "PutBucketAcl", False),
    ("get_object_acl", {}, "GetObjectAcl", True),
    ("get_object_acl", {"VersionId": "null"}, "GetObjectVersionAcl", True),
    ("put_object_acl", {"ACL": "private"}, "PutObjectAcl", True),
    ("put_object_acl", {"ACL": "private", "VersionId": "null"}, "PutObjectVersionAcl", True),
    ("get_bucket_request_payment", {}, "GetBucketRequestPayment", False),
    (
        "put_bucket_request_payment",
        {"RequestPaymentConfiguration": {"Payer": "BucketOwner"}},
        "PutBucketRequestPayment",
        False,
    ),
    ("get_bucket_accelerate_configuration", {}, "GetAccelerateConfiguration", False),
    (
        "put_bucket_accelerate_configuration",
        {"AccelerateConfiguration": {"Status": "Enabled"}},
        "PutAccelerateConfiguration",
        False,
    ),
    ("get_bucket_logging", {}, "GetBucketLogging", False),
    ("put_bucket_logging", {"BucketLoggingStatus": {}}, "PutBucketLogging", False),
    ("get_bucket_website", {}, "GetBucketWebsite", False),
    ("delete_bucket_website", {}, "DeleteBucketWebsite", False),
    ("get_bucket_replication", {}, "GetReplicationConfiguration", False),
    ("delete_bucket_replication", {}, "PutReplicationConfiguration", False),
    ("get_bucket_lifecycle_configuration", {}, "GetLifecycleConfiguration", False),
    (
        "put_bucket_lifecycle_configuration",
        {"LifecycleConfiguration": {"Rules": [{"Status": "Enabled", "Prefix": "", "Expiration": {"Days": 1}}]}},
        "PutLifecycleConfiguration",
        False,
    ),
    ("delete_bucket_lifecycle", {}, "PutLifecycleConfiguration", False),
    ("put_object", {"Body": b"x"}, "PutObject", True),
    ("put_object", {"Body": b"x" * 200_000}, "PutObject", True),
    ("get_object", {}, "GetObject", True),
    ("get_object", {"VersionId": "null"}, "GetObjectVersion", True),
    ("get_object_attributes", {"ObjectAttributes": ["ETag"]}, "GetObject", True),
    ("delete_object", {}, "DeleteObject", True),
    ("delete_object", {"VersionId": "null"}, "DeleteObjectVersion", True),
    ("get_object_tagging", {"VersionId": "null"}, "GetObjectVersionTagging", True),
    ("put_object_tagging", {"VersionId": "null", **TAGGING}, "PutObjectVersionTagging", True),
    ("delete_object_tagging", {"VersionId": "null"}, "DeleteObjectVersionTagging", True),
    ("get_object_tagging", {}, "GetObjectTagging", True),
    ("put_object_tagging", TAGGING, "PutObjectTagging", True),
    ("delete_object_tagging", {}, "DeleteObjectTagging", True),
    ("create_multipart_upload", {}, "PutObject", True),
    ("upload_part", {**UPLOAD, "PartNumber": 1, "Body": b"x"}, "PutObject", True),
    ("complete_multipart_upload", {**UPLOAD, "MultipartUpload": {"Parts": []}}, "PutObject", True),
    ("abort_multipart_upload", UPLOAD, "AbortMultipartUpload", True),
    ("list_parts", UPLOAD, "ListMultipartUploadParts", True),
]


@pytest.fixture
def user(aws):
    """`user(statement, ...)`: an S3 client of a user who is allowed these."""

    def make(*statements):
        iam = aws.client("iam")
        iam.create_user(UserName="ann")
        if statements:
            document = {"Version": "2012-10-17", "Statement": list(statements)}
            iam.put_user_policy(UserName="ann", PolicyName="p", PolicyDocument=json.dumps(document))
        return aws.client("s3", credentials=iam.create_access_key(UserName="ann")["AccessKey"])

    return make


def allow(actions, *resources, **more):
    return {"Effect": "Allow", "Action": actions, "Resource": list(resources), **more}


def test_every_operation_asks_for_its_permission(s3, bucket, user, aws, fails):
    s3.put_object(Bucket=bucket, Key="key", Body=b"x")
    theirs = user()
    for method, arguments, action, on_object in OPERATIONS:
        at = {"Bucket": bucket, **({"Key": "key"} if on_object else {}), **arguments}
        error = fails(getattr(theirs, method), **at)
        assert error["status"] == 403, method
        if method == "head_bucket":
            continue
        resource = f"arn:aws:s3:::{bucket}" + ("/key" if on_object else "")
        assert error == {
            "status": 403,
            "Code": "AccessDenied",
            "Message": f"User: arn:aws:iam::{aws.account}:user/ann is not authorized to perform: s3:{action} on "
            f'resource: "{resource}" because no identity-based policy allows the s3:{action} action',
        }, method
    assert fails(theirs.list_buckets)["Code"] == "AccessDenied"
    assert fails(theirs.create_bucket, Bucket="new-" + bucket)["Code"] == "AccessDenied"
    assert s3.get_object(Bucket=bucket, Key="key")["Body"].read() == b"x"


def test_allowed_by_prefix(s3, bucket, user, fails):
    theirs = user(allow(["s3:PutObject", "s3:GetObject"], f"arn:aws:s3:::{bucket}/mine/*"))
    theirs.put_object(Bucket=bucket, Key="mine/a", Body=b"x")
    assert theirs.get_object(Bucket=bucket, Key="mine/a")["Body"].read() == b"x"
    assert theirs.head_object(Bucket=bucket, Key="mine/a")["ContentLength"] == 1
    for key in ("other/a", "mine", "mine2/a"):
        assert fails(theirs.put_object, Bucket=bucket, Key=key, Body=b"x")["status"] == 403
        assert fails(theirs.get_object, Bucket=bucket, Key=key)["status"] == 403
    assert fails(theirs.delete_object, Bucket=bucket, Key="mine/a")["status"] == 403


def test_who_may_not_list_is_not_told_what_is_missing(s3, bucket, user, fails):
    theirs = user(allow("s3:GetObject", f"arn:aws:s3:::{bucket}/*"))
    error = fails(theirs.get_object, Bucket=bucket, Key="missing")
    assert (error["status"], error["Code"]) == (403, "AccessDenied")
    assert "s3:ListBucket" in error["Message"]
    assert fails(theirs.head_object, Bucket=bucket, Key="missing")["status"] == 403


def test_who_may_list_is_told(s3, bucket, user, fails):
    theirs = user(allow(["s3:GetObject", "s3:ListBucket"], f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"))
    assert fails(theirs.get_object, Bucket=bucket, Key="missing")["Code"] == "NoSuchKey"
    assert fails(theirs.head_object, Bucket=bucket, Key="missing")["status"] == 404


def test_listing_by_prefix_condition(s3, bucket, user, fails):
    condition = {"StringLike": {"s3:prefix": ["mine/*"]}}
    theirs = user(allow("s3:ListBucket", f"arn:aws:s3:::{bucket}", Condition=condition))
    theirs.list_objects_v2(Bucket=bucket, Prefix="mine/a")
    assert fails(theirs.list_objects_v2, Bucket=bucket, Prefix="other/")["status"] == 403
    assert fails(theirs.list_objects_v2, Bucket=bucket)["status"] == 403


def test_copying_needs_both(s3, bucket, user, fails):
    s3.put_object(Bucket=bucket, Key="secret/a", Body=b"x")
    s3.put_object(Bucket=bucket, Key="open/a", Body=b"x")
    theirs = user(
        allow("s3:GetObject", f"arn:aws:s3:::{bucket}/open/*"), allow("s3:PutObject", f"arn:aws:s3:::{bucket}/mine/*")
    )

    def copy(source, target):
        return theirs.copy_object(Bucket=bucket, Key=target, CopySource={"Bucket": bucket, "Key": source})

    copy("open/a", "mine/a")
    error = fails(copy, source="secret/a", target="mine/b")
    assert f'perform: s3:GetObject on resource: "arn:aws:s3:::{bucket}/secret/a"' in error["Message"]
    error = fails(copy, source="open/a", target="open/b")
    assert f'perform: s3:PutObject on resource: "arn:aws:s3:::{bucket}/open/b"' in error["Message"]


def test_what_headers_ask_for_needs_leave_as_well(s3, bucket, user, fails):
    theirs = user(allow("s3:PutObject", f"arn:aws:s3:::{bucket}/*"))
    theirs.put_object(Bucket=bucket, Key="a", Body=b"x")
    error = fails(theirs.put_object, Bucket=bucket, Key="a", Body=b"x", Tagging="a=b")
    assert "s3:PutObjectTagging" in error["Message"]
    error = fails(theirs.put_object, Bucket=bucket, Key="a", Body=b"x", ACL="private")
    assert "s3:PutObjectAcl" in error["Message"]
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"x"


def test_deleting_many_tells_of_each(s3, bucket, user, aws):
    for key in ("mine/a", "mine/b", "other"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    theirs = user(allow("s3:DeleteObject", f"arn:aws:s3:::{bucket}/mine/*"))
    wanted = [{"Key": "mine/a"}, {"Key": "other"}, {"Key": "mine/b", "VersionId": "null"}, {"Key": "mine/b"}]
    answer = theirs.delete_objects(Bucket=bucket, Delete={"Objects": wanted})
    assert answer["Deleted"] == [{"Key": "mine/a"}, {"Key": "mine/b"}]
    resource = f"arn:aws:s3:::{bucket}"
    denied = f"User: arn:aws:iam::{aws.account}:user/ann is not authorized to perform:"
    assert answer["Errors"] == [
        {
            "Key": "other",
            "Code": "AccessDenied",
            "Message": f'{denied} s3:DeleteObject on resource: "{resource}/other" because no identity-based policy '
            "allows the s3:DeleteObject action",
        },
        {
            "Key": "mine/b",
            "VersionId": "null",
            "Code": "AccessDenied",
            "Message": f'{denied} s3:DeleteObjectVersion on resource: "{resource}/mine/b" because no identity-based '
            "policy allows the s3:DeleteObjectVersion action",
        },
    ]
    assert [one["Key"] for one in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["other"]


def test_the_buckets_policy_counts_for_each_deletion(s3, bucket, fails):
    for key in ("kept", "gone"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:DeleteObject",
        "Resource": f"arn:aws:s3:::{bucket}/kept",
    }
    document = {"Version": "2012-10-17", "Statement": [statement]}
    s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "kept"}, {"Key": "gone"}]})
    assert answer["Deleted"] == [{"Key": "gone"}]
    (error,) = answer["Errors"]
    assert (error["Key"], error["Code"]) == ("kept", "AccessDenied")
    assert "with an explicit deny in a resource-based policy" in error["Message"]
