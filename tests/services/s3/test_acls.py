"""Access control lists: whom they let in, and what stands in their way."""

from __future__ import annotations

import json

import pytest
from tests.services.s3.conftest import new_name

ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
AUTHENTICATED = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
LOG_DELIVERY = "http://acs.amazonaws.com/groups/s3/LogDelivery"


@pytest.fixture
def other(pileus):
    """An account of its own, its S3 client and canonical user id."""
    from tests.conftest import Account

    account = Account(pileus.endpoint)
    client = account.client("s3")
    return account, client, client.list_buckets()["Owner"]["ID"]


@pytest.fixture
def me(s3):
    return s3.list_buckets()["Owner"]["ID"]


@pytest.fixture
def open_bucket(s3):
    """A bucket with lists, of which the public ones count."""
    name = new_name()
    s3.create_bucket(Bucket=name, ObjectOwnership="ObjectWriter")
    s3.delete_public_access_block(Bucket=name)
    return name


def grants_of(answer):
    return [(grant["Grantee"].get("ID") or grant["Grantee"]["URI"], grant["Permission"]) for grant in answer["Grants"]]


def test_canned_lists_of_buckets(s3, open_bucket, me):
    for acl, expected in (
        ("private", []),
        ("public-read", [(ALL_USERS, "READ")]),
        ("public-read-write", [(ALL_USERS, "READ"), (ALL_USERS, "WRITE")]),
        ("authenticated-read", [(AUTHENTICATED, "READ")]),
        ("log-delivery-write", [(LOG_DELIVERY, "WRITE"), (LOG_DELIVERY, "READ_ACP")]),
    ):
        s3.put_bucket_acl(Bucket=open_bucket, ACL=acl)
        answer = s3.get_bucket_acl(Bucket=open_bucket)
        assert grants_of(answer) == [(me, "FULL_CONTROL"), *expected]
        assert answer["Owner"] == {"ID": me}


def test_granted_by_headers_and_in_the_body(s3, open_bucket, me):
    s3.put_bucket_acl(Bucket=open_bucket, GrantRead=f'uri="{LOG_DELIVERY}"')
    # What headers grant is the whole of it.
    assert grants_of(s3.get_bucket_acl(Bucket=open_bucket)) == [(LOG_DELIVERY, "READ")]
    policy = {
        "Owner": {"ID": me},
        "Grants": [
            {"Grantee": {"ID": me, "Type": "CanonicalUser"}, "Permission": "FULL_CONTROL"},
            {"Grantee": {"URI": LOG_DELIVERY, "Type": "Group"}, "Permission": "WRITE"},
        ],
    }
    s3.put_bucket_acl(Bucket=open_bucket, AccessControlPolicy=policy)
    answer = s3.get_bucket_acl(Bucket=open_bucket)
    assert {"Owner": answer["Owner"], "Grants": answer["Grants"]} == policy


def test_an_object_that_all_may_read(s3, open_bucket, raw, other):
    s3.put_object(Bucket=open_bucket, Key="a", Body=b"x", ACL="public-read")
    s3.put_object(Bucket=open_bucket, Key="b", Body=b"x")
    assert raw("GET", f"/{open_bucket}/a", signed=False)[2] == b"x"
    assert raw("GET", f"/{open_bucket}/b", signed=False)[0] == 403
    assert raw("GET", f"/{open_bucket}/a?acl", signed=False)[0] == 403
    assert raw("GET", f"/{open_bucket}", signed=False)[0] == 403
    assert other[1].get_object(Bucket=open_bucket, Key="a")["Body"].read() == b"x"
    s3.put_object_acl(Bucket=open_bucket, Key="b", ACL="authenticated-read")
    assert raw("GET", f"/{open_bucket}/b", signed=False)[0] == 403
    assert other[1].get_object(Bucket=open_bucket, Key="b")["Body"].read() == b"x"
    # Copies do not take a list with them.
    s3.copy_object(Bucket=open_bucket, Key="c", CopySource=f"{open_bucket}/a")
    assert raw("GET", f"/{open_bucket}/c", signed=False)[0] == 403


def test_a_bucket_that_all_may_list_and_write(s3, open_bucket, raw, me, fails):
    s3.put_bucket_acl(Bucket=open_bucket, ACL="public-read-write")
    assert raw("GET", f"/{open_bucket}?list-type=2", signed=False)[0] == 200
    assert raw("PUT", f"/{open_bucket}/a", body=b"x", signed=False)[0] == 200
    # It belongs to nobody that is known: not to the bucket's owner.
    assert s3.list_objects_v2(Bucket=open_bucket, FetchOwner=True)["Contents"][0]["Owner"]["ID"] != me
    assert fails(s3.get_object, Bucket=open_bucket, Key="a")["Code"] == "AccessDenied"
    assert raw("GET", f"/{open_bucket}/a", signed=False)[2] == b"x"
    s3.delete_object(Bucket=open_bucket, Key="a")


def test_objects_of_another_account(s3, open_bucket, other, me, fails):
    _, theirs, their_id = other
    s3.put_bucket_acl(Bucket=open_bucket, GrantWrite=f"id={their_id}", GrantFullControl=f"id={me}")
    theirs.put_object(Bucket=open_bucket, Key="a", Body=b"x")
    assert theirs.get_object_acl(Bucket=open_bucket, Key="a")["Owner"]["ID"] == their_id
    assert fails(s3.get_object, Bucket=open_bucket, Key="a")["Code"] == "AccessDenied"
    theirs.put_object_acl(Bucket=open_bucket, Key="a", ACL="bucket-owner-full-control")
    assert s3.get_object(Bucket=open_bucket, Key="a")["Body"].read() == b"x"
    assert grants_of(s3.get_object_acl(Bucket=open_bucket, Key="a")) == [
        (their_id, "FULL_CONTROL"),
        (me, "FULL_CONTROL"),
    ]
    assert fails(theirs.list_objects_v2, Bucket=open_bucket)["Code"] == "AccessDenied"

    rules = {"Rules": [{"ObjectOwnership": "BucketOwnerPreferred"}]}
    s3.put_bucket_ownership_controls(Bucket=open_bucket, OwnershipControls=rules)
    theirs.put_object(Bucket=open_bucket, Key="b", Body=b"x", ACL="bucket-owner-full-control")
    assert s3.get_object_acl(Bucket=open_bucket, Key="b")["Owner"]["ID"] == me
    assert fails(theirs.get_object, Bucket=open_bucket, Key="b")["Code"] == "AccessDenied"


def test_a_policy_gives_nothing_away_of_what_others_own(s3, open_bucket, other, fails, raw):
    _, theirs, their_id = other
    s3.put_bucket_acl(Bucket=open_bucket, GrantWrite=f"id={their_id}")
    theirs.put_object(Bucket=open_bucket, Key="theirs", Body=b"x")
    s3.put_object(Bucket=open_bucket, Key="mine", Body=b"x")
    statement = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{open_bucket}/*",
    }
    s3.put_bucket_policy(Bucket=open_bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    assert raw("GET", f"/{open_bucket}/mine", signed=False)[0] == 200
    assert raw("GET", f"/{open_bucket}/theirs", signed=False)[0] == 403


def test_blocking_public_access(s3, open_bucket, raw, fails):
    s3.put_object(Bucket=open_bucket, Key="a", Body=b"x", ACL="public-read")
    assert raw("GET", f"/{open_bucket}/a", signed=False)[0] == 200
    s3.put_public_access_block(Bucket=open_bucket, PublicAccessBlockConfiguration={"IgnorePublicAcls": True})
    assert raw("GET", f"/{open_bucket}/a", signed=False)[0] == 403
    s3.put_public_access_block(Bucket=open_bucket, PublicAccessBlockConfiguration={"BlockPublicAcls": True})
    assert raw("GET", f"/{open_bucket}/a", signed=False)[0] == 200
    for call, more in ((s3.put_object, {"Body": b"x"}), (s3.put_object_acl, {}), (s3.create_multipart_upload, {})):
        error = fails(call, Bucket=open_bucket, Key="a", ACL="public-read", **more)
        assert (error["status"], error["Code"]) == (403, "AccessDenied")
    s3.put_object(Bucket=open_bucket, Key="a", Body=b"x", ACL="private")


def test_lists_and_an_enforced_owner_do_not_go_together(s3, open_bucket, fails):
    s3.put_bucket_acl(Bucket=open_bucket, ACL="public-read")
    rules = {"Rules": [{"ObjectOwnership": "BucketOwnerEnforced"}]}
    expected = {
        "status": 400,
        "Code": "InvalidBucketAclWithObjectOwnership",
        "Message": "Bucket cannot have ACLs set with ObjectOwnership's BucketOwnerEnforced setting",
    }
    assert fails(s3.put_bucket_ownership_controls, Bucket=open_bucket, OwnershipControls=rules) == expected
    s3.put_bucket_acl(Bucket=open_bucket, ACL="private")
    s3.put_bucket_ownership_controls(Bucket=open_bucket, OwnershipControls=rules)
    assert fails(s3.create_bucket, Bucket=new_name(), ACL="public-read") == expected
    assert fails(s3.create_bucket, Bucket=new_name(), ACL="public-read", ObjectOwnership="ObjectWriter") == {
        "status": 400,
        "Code": "InvalidBucketAclWithBlockPublicAccessError",
        "Message": "Bucket cannot have public ACLs set with BlockPublicAccess enabled",
    }


def test_a_list_of_an_upload_in_parts(s3, open_bucket, raw):
    upload = s3.create_multipart_upload(Bucket=open_bucket, Key="a", ACL="public-read")["UploadId"]
    part = s3.upload_part(Bucket=open_bucket, Key="a", UploadId=upload, PartNumber=1, Body=b"x")
    s3.complete_multipart_upload(
        Bucket=open_bucket,
        Key="a",
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    assert raw("GET", f"/{open_bucket}/a", signed=False)[2] == b"x"


def test_a_list_may_not_change_hands(s3, open_bucket, other, fails):
    policy = {"Owner": {"ID": other[2]}, "Grants": []}
    assert fails(s3.put_bucket_acl, Bucket=open_bucket, AccessControlPolicy=policy)["Code"] == "AccessDenied"
    error = fails(s3.put_bucket_acl, Bucket=open_bucket, GrantRead='emailAddress="somebody@example.com"')
    assert (error["status"], error["Code"]) == (405, "MethodNotAllowed")


def test_requesters_who_pay(s3, open_bucket, other, fails, raw):
    s3.put_object(Bucket=open_bucket, Key="a", Body=b"x", ACL="public-read")
    s3.put_bucket_request_payment(Bucket=open_bucket, RequestPaymentConfiguration={"Payer": "Requester"})
    assert s3.get_bucket_request_payment(Bucket=open_bucket)["Payer"] == "Requester"
    assert s3.get_object(Bucket=open_bucket, Key="a")["Body"].read() == b"x"
    assert raw("GET", f"/{open_bucket}/a", signed=False)[0] == 403
    assert fails(other[1].get_object, Bucket=open_bucket, Key="a")["Code"] == "AccessDenied"
    answer = other[1].get_object(Bucket=open_bucket, Key="a", RequestPayer="requester")
    assert answer["RequestCharged"] == "requester"
    # Who copies reads, too.
    theirs = new_name()
    other[1].create_bucket(Bucket=theirs)
    copy = {"Bucket": theirs, "Key": "b", "CopySource": f"{open_bucket}/a"}
    assert fails(other[1].copy_object, **copy)["Code"] == "AccessDenied"
    assert other[1].copy_object(**copy, RequestPayer="requester")["RequestCharged"] == "requester"
