"""Buckets and their settings, through the wire."""

from __future__ import annotations

import json
import uuid

import pytest
from botocore.handlers import validate_bucket_name

from pileus.kernel.errors import AWSError
from pileus.services.s3 import buckets


def new_name() -> str:
    return f"test-{uuid.uuid4().hex}"


def test_create_head_list_delete(s3, aws):
    name = new_name()
    made = s3.create_bucket(Bucket=name)
    assert made["Location"] == f"/{name}"
    assert made["BucketArn"] == f"arn:aws:s3:::{name}"
    head = s3.head_bucket(Bucket=name)
    assert head["BucketRegion"] == "us-east-1"
    assert head["BucketArn"] == f"arn:aws:s3:::{name}"
    assert head["ResponseMetadata"]["HTTPHeaders"]["content-type"] == "application/xml"
    assert head["AccessPointAlias"] is False
    assert head["ResponseMetadata"]["HTTPHeaders"]["x-amz-bucket-region"] == "us-east-1"

    listed = s3.list_buckets()
    (entry,) = listed["Buckets"]
    assert entry["Name"] == name
    assert entry["BucketArn"] == f"arn:aws:s3:::{name}"
    assert set(listed["Owner"]) == {"ID"}
    assert "Prefix" not in listed
    assert "BucketRegion" in entry

    assert s3.delete_bucket(Bucket=name)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert s3.list_buckets()["Buckets"] == []


def test_names_are_checked(s3, fails):
    # Let boto3 send what it would refuse itself.
    s3.meta.events.unregister("before-parameter-build.s3", validate_bucket_name)
    for name in (
        "Upper-Case",
        "ab",
        "a" * 64,
        "a..b",
        "192.168.0.1",
        "-abc",
        "abc-",
        "under_score",
        "xn--abc",
        "amzn-s3-demo-abc",
        "abc.-def",
        "abc-.def",
        "a-s3alias",
    ):
        error = fails(s3.create_bucket, Bucket=name)
        assert error == {
            "status": 400,
            "Code": "InvalidBucketName",
            "Message": "The specified bucket is not valid.",
            "BucketName": name,
        }, name


def test_bucket_that_is_not_there(s3, fails):
    name = new_name()
    missing = {
        "status": 404,
        "Code": "NoSuchBucket",
        "Message": "The specified bucket does not exist",
        "BucketName": name,
    }
    assert fails(s3.list_objects_v2, Bucket=name) == missing
    assert fails(s3.get_bucket_location, Bucket=name) == missing
    assert fails(s3.get_bucket_versioning, Bucket=name) == missing
    assert fails(s3.get_bucket_encryption, Bucket=name) == missing
    assert fails(s3.put_object, Bucket=name, Key="a", Body=b"x") == missing
    assert fails(s3.delete_objects, Bucket=name, Delete={"Objects": [{"Key": "a"}]}) == missing
    assert fails(s3.head_bucket, Bucket=name) == {"status": 404, "Code": "404", "Message": "Not Found"}


def test_an_accounts_own_namespace_is_refused_by_name(s3, fails):
    assert "namespace" in fails(s3.create_bucket, Bucket=new_name(), BucketNamespace="account-regional")["Message"]


def test_making_a_bucket_again(s3, aws, fails):
    name = new_name()
    s3.create_bucket(Bucket=name)
    assert s3.create_bucket(Bucket=name)["Location"] == f"/{name}"  # us-east-1 alone lets it pass
    other = type(aws)(aws.endpoint).client("s3")
    error = fails(other.create_bucket, Bucket=name)
    assert (error["Code"], error["status"], error["BucketName"]) == ("BucketAlreadyExists", 409, name)

    west = aws.client("s3", region="us-west-2")
    name = new_name()
    west.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    error = fails(west.create_bucket, Bucket=name, CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    assert error == {
        "status": 409,
        "Code": "BucketAlreadyOwnedByYou",
        "Message": "Your previous request to create the named bucket succeeded and you already own it.",
        "BucketName": name,
    }


def test_locations(s3, aws, fails):
    def create(client, location=None):
        name = new_name()
        configuration = {"CreateBucketConfiguration": {"LocationConstraint": location}} if location else {}
        return name, lambda: client.create_bucket(Bucket=name, **configuration)

    name, make = create(s3, "eu-central-1")
    assert make()["Location"] == f"http://{name}.s3.amazonaws.com/"
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] == "eu-central-1"
    name, make = create(s3)
    make()
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] is None
    name, make = create(s3, "EU")
    make()
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] == "EU"

    error = fails(create(s3, "us-east-1")[1])
    assert error == {
        "status": 400,
        "Code": "InvalidLocationConstraint",
        "Message": "The specified location-constraint is not valid",
        "LocationConstraint": "us-east-1",
    }
    west = aws.client("s3", region="us-west-1")
    for location, shown in ((None, "unspecified"), ("us-east-2", "us-east-2"), ("us-east-1", "us-east-1")):
        error = fails(create(west, location)[1])
        assert error["Code"] == "IllegalLocationConstraintException"
        assert error["Message"] == (
            f"The {shown} location constraint is incompatible for the region specific endpoint this request was "
            "sent to."
        )


def test_a_bucket_answers_in_its_own_region_only(s3, aws, raw):
    name = new_name()
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    status, headers, body = raw("GET", f"/{name}?list-type=2")
    assert status == 301
    assert headers["x-amz-bucket-region"] == "eu-west-1"
    assert b"<Code>PermanentRedirect</Code>" in body
    assert f"<Bucket>{name}</Bucket>".encode() in body
    assert raw("HEAD", f"/{name}")[0] == 301
    # boto3 follows.
    s3.put_object(Bucket=name, Key="a", Body=b"x")
    assert aws.client("s3", region="eu-west-1").get_object(Bucket=name, Key="a")["Body"].read() == b"x"


def test_list_buckets_by_pages(s3, aws, fails):
    prefix = new_name()[:30]
    names = [f"{prefix}-{number}" for number in range(5)]
    for name in names:
        s3.create_bucket(Bucket=name)
    west = aws.client("s3", region="us-west-2")
    west.create_bucket(Bucket=f"{prefix}-w", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    s3.create_bucket(Bucket=new_name())

    first = s3.list_buckets(Prefix=prefix, MaxBuckets=2, BucketRegion="us-east-1")
    assert [one["Name"] for one in first["Buckets"]] == names[:2]
    assert first["Prefix"] == prefix
    second = s3.list_buckets(
        Prefix=prefix, MaxBuckets=3, BucketRegion="us-east-1", ContinuationToken=first["ContinuationToken"]
    )
    assert [one["Name"] for one in second["Buckets"]] == names[2:]
    assert "ContinuationToken" not in second
    assert [one["Name"] for one in s3.list_buckets(BucketRegion="us-west-2")["Buckets"]] == [f"{prefix}-w"]
    error = fails(s3.list_buckets, BucketRegion="eu-east-1")
    assert error["Message"] == "Argument value eu-east-1 is not a valid AWS Region"
    assert error["ArgumentName"] == "bucket-region"


def test_only_empty_buckets_are_deleted(s3, bucket, fails):
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="b")
    s3.upload_part(Bucket=bucket, Key="b", UploadId=upload["UploadId"], PartNumber=1, Body=b"x" * 100_000)
    error = fails(s3.delete_bucket, Bucket=bucket)
    assert error == {
        "status": 409,
        "Code": "BucketNotEmpty",
        "Message": "The bucket you tried to delete is not empty",
        "BucketName": bucket,
    }
    s3.delete_object(Bucket=bucket, Key="a")
    s3.delete_bucket(Bucket=bucket)
    s3.create_bucket(Bucket=bucket)
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_expected_owner(s3, bucket, aws, fails):
    s3.list_objects_v2(Bucket=bucket, ExpectedBucketOwner=aws.account)
    error = fails(s3.list_objects_v2, Bucket=bucket, ExpectedBucketOwner="000000000002")
    assert (error["Code"], error["Message"], error["status"]) == ("AccessDenied", "Access Denied", 403)
    for wrong in ("0000", "0000000000020", "abcd", "aa000000000$"):
        error = fails(s3.get_bucket_policy, Bucket=bucket, ExpectedBucketOwner=wrong)
        assert error["Code"] == "InvalidBucketOwnerAWSAccountID"
        assert error["Message"] == (
            f"The value of the expected bucket owner parameter must be an AWS Account ID... [{wrong}]"
        )


def test_tags(s3, bucket, fails):
    missing = {
        "status": 404,
        "Code": "NoSuchTagSet",
        "Message": "The TagSet does not exist",
        "BucketName": bucket,
    }
    assert fails(s3.get_bucket_tagging, Bucket=bucket) == missing
    tags = [{"Key": "one", "Value": "1"}, {"Key": "two", "Value": ""}]
    put = s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tags})
    assert put["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert s3.get_bucket_tagging(Bucket=bucket)["TagSet"] == tags
    s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": []})
    assert fails(s3.get_bucket_tagging, Bucket=bucket) == missing
    s3.delete_bucket_tagging(Bucket=bucket)

    twice = [{"Key": "a", "Value": "1"}, {"Key": "a", "Value": "2"}]
    error = fails(s3.put_bucket_tagging, Bucket=bucket, Tagging={"TagSet": twice})
    assert (error["Code"], error["Message"]) == ("InvalidTag", "Cannot provide multiple Tags with the same key")
    name = new_name()
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"Tags": tags})
    assert s3.get_bucket_tagging(Bucket=name)["TagSet"] == tags


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("", "Policies must be valid JSON and the first byte must be '{'"),
        ("random", "Policies must be valid JSON and the first byte must be '{'"),
        ("{}", "Missing required field Statement"),
        ({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "BUCKET/*"}, "Missing required field Principal"),
        ({"Effect": "Allow", "Principal": "*", "Resource": "BUCKET/*"}, "Missing required field Action"),
        ({"Effect": "Allow", "Principal": "*", "Action": "sqs:X", "Resource": "BUCKET/*"}, "Policy has invalid action"),
        (
            {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::other/*"},
            "Policy has invalid resource",
        ),
        (
            {"Effect": "Allow", "Principal": {"AWS": "x"}, "Action": "s3:GetObject", "Resource": "BUCKET/*"},
            "Invalid principal in policy",
        ),
    ],
)
def test_malformed_policies(s3, bucket, fails, policy, message):
    if isinstance(policy, dict):
        policy = json.dumps({"Version": "2012-10-17", "Statement": [policy]}).replace(
            "BUCKET", f"arn:aws:s3:::{bucket}"
        )
    error = fails(s3.put_bucket_policy, Bucket=bucket, Policy=policy)
    assert (error["Code"], error["Message"], error["status"]) == ("MalformedPolicy", message, 400)


def _policy(bucket, principal, action="s3:GetObject", effect="Allow"):
    return json.dumps(
        {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": effect,
                    "Principal": principal,
                    "Action": action,
                    "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
                }
            ],
        }
    )


def test_policy_is_kept_as_it_was_put(s3, bucket, fails):
    missing = {
        "status": 404,
        "Code": "NoSuchBucketPolicy",
        "Message": "The bucket policy does not exist",
        "BucketName": bucket,
    }
    assert fails(s3.get_bucket_policy, Bucket=bucket) == missing
    text = _policy(bucket, {"AWS": "111111111111"})
    assert s3.put_bucket_policy(Bucket=bucket, Policy=text)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert s3.get_bucket_policy(Bucket=bucket)["Policy"] == text
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"] == {"IsPublic": False}
    assert s3.delete_bucket_policy(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert fails(s3.get_bucket_policy, Bucket=bucket) == missing


def test_another_account_needs_the_policy(s3, bucket, aws, fails):
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    stranger = type(aws)(aws.endpoint)
    theirs = stranger.client("s3")
    for call in (theirs.get_object, theirs.delete_object, theirs.put_object):
        error = fails(call, Bucket=bucket, Key="a")
        assert (error["status"], error["Code"]) == (403, "AccessDenied")
    assert fails(theirs.list_objects_v2, Bucket=bucket)["status"] == 403
    assert fails(theirs.delete_bucket, Bucket=bucket)["status"] == 403
    s3.put_bucket_policy(Bucket=bucket, Policy=_policy(bucket, {"AWS": stranger.account}))
    assert theirs.get_object(Bucket=bucket, Key="a")["Body"].read() == b"x"
    assert fails(theirs.put_object, Bucket=bucket, Key="a")["status"] == 403
    # Whether a key is there is told to those only who may list.
    assert fails(theirs.get_object, Bucket=bucket, Key="missing")["Code"] == "AccessDenied"
    s3.put_bucket_policy(
        Bucket=bucket, Policy=_policy(bucket, {"AWS": stranger.account}, ["s3:GetObject", "s3:ListBucket"])
    )
    assert fails(theirs.get_object, Bucket=bucket, Key="missing")["Code"] == "NoSuchKey"


def test_anyone_is_let_in_by_a_public_policy_only(s3, bucket, raw, fails):
    s3.put_object(Bucket=bucket, Key="a", Body=b"public")
    assert raw("GET", f"/{bucket}/a", signed=False)[0] == 403
    text = _policy(bucket, "*")
    error = fails(s3.put_bucket_policy, Bucket=bucket, Policy=text)
    assert error["Code"] == "AccessDenied"
    assert "because public policies are prevented by the BlockPublicPolicy setting" in error["Message"]
    s3.delete_public_access_block(Bucket=bucket)
    s3.put_bucket_policy(Bucket=bucket, Policy=text)
    assert s3.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"] == {"IsPublic": True}
    status, _, body = raw("GET", f"/{bucket}/a", signed=False)
    assert (status, body) == (200, b"public")
    assert raw("PUT", f"/{bucket}/b", signed=False, body=b"x")[0] == 403
    assert raw("GET", f"/{bucket}/missing", signed=False)[0] == 403
    # Shut again by the bucket's settings, the policy staying as it is.
    s3.put_public_access_block(
        Bucket=bucket, PublicAccessBlockConfiguration={"RestrictPublicBuckets": True, "BlockPublicPolicy": False}
    )
    assert raw("GET", f"/{bucket}/a", signed=False)[0] == 403
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"public"


def test_the_policy_may_deny_the_owner(s3, bucket, fails):
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    s3.put_bucket_policy(Bucket=bucket, Policy=_policy(bucket, "*", "s3:GetObject", "Deny"))
    assert fails(s3.get_object, Bucket=bucket, Key="a")["status"] == 403
    s3.put_object(Bucket=bucket, Key="a", Body=b"y")


def test_public_access_block(s3, bucket, fails):
    everything = {
        "BlockPublicAcls": True,
        "IgnorePublicAcls": True,
        "BlockPublicPolicy": True,
        "RestrictPublicBuckets": True,
    }
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == everything
    s3.put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration={"BlockPublicAcls": False})
    assert s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"] == dict.fromkeys(
        everything, False
    )
    s3.delete_public_access_block(Bucket=bucket)
    s3.delete_public_access_block(Bucket=bucket)
    assert fails(s3.get_public_access_block, Bucket=bucket) == {
        "status": 404,
        "Code": "NoSuchPublicAccessBlockConfiguration",
        "Message": "The public access block configuration was not found",
        "BucketName": bucket,
    }


def test_ownership(s3, bucket, fails):
    def rules(*values):
        return {"Rules": [{"ObjectOwnership": value} for value in values]}

    assert s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"] == rules("BucketOwnerEnforced")
    s3.put_bucket_ownership_controls(Bucket=bucket, OwnershipControls=rules("ObjectWriter"))
    assert s3.get_bucket_ownership_controls(Bucket=bucket)["OwnershipControls"] == rules("ObjectWriter")
    for wrong in (rules("Wrong"), rules("ObjectWriter", "ObjectWriter")):
        assert fails(s3.put_bucket_ownership_controls, Bucket=bucket, OwnershipControls=wrong)["Code"] == "MalformedXML"
    s3.delete_bucket_ownership_controls(Bucket=bucket)
    assert fails(s3.get_bucket_ownership_controls, Bucket=bucket)["Code"] == "OwnershipControlsNotFoundError"
    error = fails(s3.create_bucket, Bucket=new_name(), ObjectOwnership="RandomValue")
    assert error == {
        "status": 400,
        "Code": "InvalidArgument",
        "Message": "Invalid x-amz-object-ownership header: RandomValue",
        "ArgumentName": "x-amz-object-ownership",
    }


def test_encryption(s3, bucket, fails):
    def rule(**default):
        return {"Rules": [{"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": False}]}

    assert s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"] == rule(SSEAlgorithm="AES256")
    s3.put_bucket_encryption(Bucket=bucket, ServerSideEncryptionConfiguration=rule(SSEAlgorithm="aws:kms"))
    assert s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"] == rule(SSEAlgorithm="aws:kms")
    # Never AES256 where KMS was asked for.
    error = fails(s3.put_object, Bucket=bucket, Key="a", Body=b"x")
    assert (error["status"], error["Code"]) == (501, "NotImplemented")
    s3.delete_bucket_encryption(Bucket=bucket)
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    error = fails(
        s3.put_bucket_encryption,
        Bucket=bucket,
        ServerSideEncryptionConfiguration=rule(SSEAlgorithm="AES256", KMSMasterKeyID="key"),
    )
    assert error == {
        "status": 400,
        "Code": "InvalidArgument",
        "Message": "a KMSMasterKeyID is not applicable if the default sse algorithm is not aws:kms or aws:kms:dsse",
        "ArgumentName": "ApplyServerSideEncryptionByDefault",
    }
    for rules in ([], rule(SSEAlgorithm="AES256")["Rules"] * 2):
        error = fails(s3.put_bucket_encryption, Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})
        assert error["Code"] == "MalformedXML"


def test_versioning(s3, bucket, fails):
    assert "Status" not in s3.get_bucket_versioning(Bucket=bucket)
    for status in ("Suspended", "Enabled", "Suspended"):
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
        assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == status
    configuration = {"Status": "Enabled", "MFADelete": "Enabled"}
    error = fails(s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration=configuration)
    assert (error["status"], error["Code"]) == (501, "NotImplemented")
    assert "MFA delete" in error["Message"]
    error = fails(s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration={"Status": "enabled"})
    assert error["Code"] == "MalformedXML"
    error = fails(s3.put_bucket_versioning, Bucket=bucket, VersioningConfiguration={})
    assert error["Code"] == "IllegalVersioningConfigurationException"


def test_cors(s3, bucket, fails, raw):
    other = new_name()
    s3.create_bucket(Bucket=other)
    missing = {
        "status": 404,
        "Code": "NoSuchCORSConfiguration",
        "Message": "The CORS configuration does not exist",
        "BucketName": bucket,
    }
    assert fails(s3.get_bucket_cors, Bucket=bucket) == missing
    rules = [
        {
            "AllowedMethods": ["GET", "PUT"],
            "AllowedOrigins": ["https://*.example.com"],
            "AllowedHeaders": ["x-amz-*"],
            "ExposeHeaders": ["ETag"],
            "MaxAgeSeconds": 3000,
        }
    ]
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": rules})
    assert s3.get_bucket_cors(Bucket=bucket)["CORSRules"] == rules
    s3.put_object(Bucket=bucket, Key="a", Body=b"x")
    _, headers, _ = raw("GET", f"/{bucket}/a", headers={"Origin": "https://app.example.com"})
    assert headers["access-control-allow-origin"] == "https://app.example.com"
    assert headers["access-control-allow-methods"] == "GET, PUT"
    assert headers["access-control-expose-headers"] == "ETag"
    assert headers["access-control-allow-credentials"] == "true"
    assert headers["access-control-max-age"] == "3000"
    assert headers["vary"] == "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"
    _, headers, _ = raw("GET", f"/{bucket}/a", headers={"Origin": "https://example.org"})
    assert "access-control-allow-origin" not in headers
    asked = {
        "Origin": "https://app.example.com",
        "Access-Control-Request-Method": "PUT",
        "Access-Control-Request-Headers": "X-Amz-Date,x-amz-acl",
    }
    status, headers, body = raw("OPTIONS", f"/{bucket}/a", headers=asked, signed=False)
    assert (status, body) == (200, b"")
    assert headers["access-control-allow-origin"] == "https://app.example.com"
    assert headers["access-control-allow-headers"] == "x-amz-date, x-amz-acl"
    for wrong in (
        {"Origin": "https://example.org"},
        {"Access-Control-Request-Method": "DELETE"},
        {"Access-Control-Request-Headers": "authorization"},
    ):
        status, headers, body = raw("OPTIONS", f"/{bucket}/a", headers=asked | wrong, signed=False)
        assert status == 403
        assert b"<Code>AccessForbidden</Code>" in body
        assert b"<ResourceType>OBJECT</ResourceType>" in body
        assert "access-control-allow-origin" not in headers
    status, _, body = raw("OPTIONS", f"/{bucket}/a", signed=False)
    assert status == 400
    assert b"Insufficient information. Origin request header needed." in body
    for name, message in ((new_name(), b"Bucket not found"), (other, b"CORS is not enabled for this bucket.")):
        status, _, body = raw("OPTIONS", f"/{name}/a", headers=asked, signed=False)
        assert status == 403
        assert b"<Message>CORSResponse: " + message in body
        assert b"<ResourceType>BUCKET</ResourceType>" in body
    error = fails(
        s3.put_bucket_cors,
        Bucket=bucket,
        CORSConfiguration={"CORSRules": [{"AllowedMethods": ["MYMETHOD"], "AllowedOrigins": ["*"]}]},
    )
    assert error["Code"] == "InvalidRequest"
    assert error["Message"] == "Found unsupported HTTP method in CORS config. Unsupported method is MYMETHOD"
    s3.delete_bucket_cors(Bucket=bucket)
    assert fails(s3.get_bucket_cors, Bucket=bucket) == missing


def test_what_policies_may_speak_of(s3, bucket, fails):
    """None of it is kept that could not be evaluated: it would shut everybody out of the bucket."""

    def put(**statement):
        allow = {"Effect": "Allow", "Principal": {"AWS": "111111111111"}, "Action": "s3:GetObject", "Resource": inside}
        document = {"Version": "2012-10-17", "Statement": [{**allow, **statement}]}
        s3.put_bucket_policy(Bucket=bucket, Policy=json.dumps(document))

    whole, inside = f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"
    elsewhere = "Action does not apply to any resource(s) in statement"
    for statement, message in (
        ({"Action": "s3:ListBucket"}, elsewhere),
        ({"Action": ["s3:GetObject", "s3:ListBucket"]}, elsewhere),
        ({"Action": "s3:PutObject", "Resource": whole}, elsewhere),
        ({"Action": "s3:PutBucket*"}, elsewhere),
        ({"Action": "s3:Foo"}, "Policy has invalid action"),
        ({"Action": "ec2:*"}, "Policy has invalid action"),
        ({"Resource": "arn:aws:s3:::another/*"}, "Policy has invalid resource"),
        ({"Resource": f"{whole}x*"}, "Policy has invalid resource"),
        ({"Condition": {"StringLooksLike": {"aws:UserAgent": "a"}}}, "Invalid Condition type : StringLooksLike"),
        ({"Condition": {"StringEquals": {"UserAgent": "a"}}}, "Policy has an invalid condition key"),
        ({"Principle": "*"}, "Unknown field Principle"),
        ({"Condition": ["a"]}, "Condition must be an object"),
        ({"Sid": nested(300)}, "a policy must not be nested so deeply"),
    ):
        error = fails(put, **statement)
        assert (error["status"], error["Code"], error["Message"]) == (400, "MalformedPolicy", message), statement
    for statement in (
        {"Action": ["s3:GetObject", "s3:ListBucket"], "Resource": [whole, inside]},
        {"Action": "s3:*"},
        {"Action": "s3:List*", "Resource": whole},
        {"Action": "s3:GetObject", "Resource": "*"},
        {"Action": "s3:ListBucket", "Resource": f"{whole[:-1]}*"},
        {"Action": "s3:GetObject", "Resource": f"{whole[:-1]}?/*"},
        {"Action": "s3:GetSomethingNew"},
        {"Condition": {"StringLikeIfExists": {"s3:prefix": "a"}}},
    ):
        put(**statement)
        assert s3.head_bucket(Bucket=bucket)["BucketRegion"] == "us-east-1", statement


def nested(levels):
    return [nested(levels - 1)] if levels else "a"


def test_wildcards_of_policies_are_compared_in_bounded_time(s3, fails):
    """There are more ways to lay these stars over the name than could be tried."""
    name = f"{'a' * 40}-{uuid.uuid4().hex[:20]}"
    s3.create_bucket(Bucket=name)
    stars = f"arn:aws:s3:::{'*a' * 30}_"
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": stars}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    assert fails(s3.put_bucket_policy, Bucket=name, Policy=policy)["Message"] == "Policy has invalid resource"


def test_clients_that_sign_for_a_region_that_is_none_learn_which_it_is(s3, bucket, aws):
    """Some sign for "US" by default, and try again with what they are told."""
    s3.put_object(Bucket=bucket, Key="a")
    other = aws.client("s3", region="US")
    assert [one["Key"] for one in other.list_objects_v2(Bucket=bucket)["Contents"]] == ["a"]
    name = new_name()
    aws.client("s3", region="US").create_bucket(Bucket=name)
    assert s3.head_bucket(Bucket=name)["BucketRegion"] == "us-east-1"
    with pytest.raises(AWSError) as caught:
        buckets.choose_region("US", None)
    assert (caught.value.code, caught.value.members) == ("AuthorizationHeaderMalformed", {"Region": "us-east-1"})
    assert caught.value.message == (
        "The authorization header is malformed; the region 'US' is wrong; expecting 'us-east-1'"
    )
