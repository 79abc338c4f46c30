"""S3 Access Grants: instances, locations, grants, and the credentials that they give."""

from __future__ import annotations

import json
import uuid

import pytest
from tests.services.s3.conftest import new_name
from tests.services.s3.control_kit import control_of, document, user_keys

SERVICE = "access-grants.s3.amazonaws.com"


@pytest.fixture
def instance(control, mine):
    arn: str = control.create_access_grants_instance(**mine)["AccessGrantsInstanceArn"]
    return arn


def new_role(aws, instance, actions=("sts:AssumeRole", "sts:SetSourceIdentity"), *statements):
    """A location's role, as the user guide writes its policies."""
    iam, name = aws.client("iam"), f"location-{uuid.uuid4().hex}"
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": SERVICE},
        "Action": list(actions),
        "Condition": {"StringEquals": {"aws:SourceAccount": aws.account, "aws:SourceArn": instance}},
    }
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust), MaxSessionDuration=7200)["Role"]
    only = {"StringEquals": {"aws:ResourceAccount": aws.account}, "ArnEquals": {"s3:AccessGrantsInstanceArn": instance}}
    default = {"Effect": "Allow", "Action": "s3:*", "Resource": "*", "Condition": only}
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document(*(statements or (default,))))
    return made["Arn"]


@pytest.fixture
def location(aws, control, mine, instance, bucket):
    made = control.create_access_grants_location(
        **mine, LocationScope=f"s3://{bucket}", IAMRoleArn=new_role(aws, instance)
    )
    return made["AccessGrantsLocationId"]


@pytest.fixture
def give(control, mine, location):
    """`give(arn, permission, subprefix)`: the grant's id."""

    def given(grantee, permission, subprefix="", **more):
        made = control.create_access_grant(
            **mine,
            AccessGrantsLocationId=location,
            Grantee={"GranteeType": "IAM", "GranteeIdentifier": grantee},
            Permission=permission,
            **({"AccessGrantsLocationConfiguration": {"S3SubPrefix": subprefix}} if subprefix else {}),
            **more,
        )
        return made["AccessGrantId"]

    return given


@pytest.fixture
def grantee(aws):
    return user_keys(aws, {"Effect": "Allow", "Action": "s3:GetDataAccess", "Resource": "*"})


def test_an_instance(aws, control, mine, fails):
    arn = f"arn:aws:s3:us-east-1:{aws.account}:access-grants/default"
    missing = {
        "status": 404,
        "Code": "AccessGrantsInstanceNotExistsError",
        "Message": "Access Grants Instance does not exist",
    }
    for call in (
        control.get_access_grants_instance,
        control.delete_access_grants_instance,
        control.list_access_grants,
        control.list_access_grants_locations,
        control.list_caller_access_grants,
        control.get_access_grants_instance_resource_policy,
    ):
        assert fails(call, **mine) == missing
    assert control.list_access_grants_instances(**mine).get("AccessGrantsInstancesList", []) == []
    made = control.create_access_grants_instance(**mine, Tags=[{"Key": "a", "Value": "b"}])
    made.pop("ResponseMetadata")
    assert made.pop("CreatedAt")
    assert made == {"AccessGrantsInstanceId": "default", "AccessGrantsInstanceArn": arn}
    assert control.get_access_grants_instance(**mine)["AccessGrantsInstanceArn"] == arn
    listed = control.list_access_grants_instances(**mine)["AccessGrantsInstancesList"]
    assert [one["AccessGrantsInstanceArn"] for one in listed] == [arn]
    assert control.list_tags_for_resource(**mine, ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]
    assert fails(control.create_access_grants_instance, **mine)["Code"] == "AccessGrantsInstanceAlreadyExists"
    # One of each region.
    there = control_of(aws, region="eu-west-1")
    assert fails(there.get_access_grants_instance, **mine) == missing
    assert control.delete_access_grants_instance(**mine)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert fails(control.get_access_grants_instance, **mine) == missing


def test_the_instances_policy(aws, control, mine, instance, fails):
    at = {**mine}
    missing = fails(control.get_access_grants_instance_resource_policy, **at)
    assert (missing["status"], missing["Code"]) == (404, "AccessGrantsInstanceResourcePolicyNotExists")
    allow = {
        "Effect": "Allow",
        "Principal": {"AWS": "000000000001"},
        "Action": "s3:GetDataAccess",
        "Resource": instance,
    }
    for wrong in ("{", "[]", document({**allow, "Resource": "*"}), document({**allow, "Principal": 1})):
        error = fails(control.put_access_grants_instance_resource_policy, **at, Policy=wrong)
        assert (error["status"], error["Code"]) == (400, "InvalidResourcePolicy")
    put = control.put_access_grants_instance_resource_policy(**at, Policy=document(allow))
    found = control.get_access_grants_instance_resource_policy(**at)
    assert found["Policy"] == put["Policy"] == document(allow)
    assert found["CreatedAt"] == put["CreatedAt"]
    control.delete_access_grants_instance_resource_policy(**at)
    assert fails(control.get_access_grants_instance_resource_policy, **at) == missing


def test_locations(aws, control, mine, instance, bucket, fails):
    role, other = new_role(aws, instance), new_role(aws, instance)
    made = control.create_access_grants_location(**mine, LocationScope=f"s3://{bucket}/a*", IAMRoleArn=role)
    made.pop("ResponseMetadata")
    id = made["AccessGrantsLocationId"]
    assert made.pop("CreatedAt")
    assert made == {
        "AccessGrantsLocationId": id,
        "AccessGrantsLocationArn": f"{instance}/location/{id}",
        "LocationScope": f"s3://{bucket}/a*",
        "IAMRoleArn": role,
    }
    everything = control.create_access_grants_location(**mine, LocationScope="s3://", IAMRoleArn=role)
    assert everything["AccessGrantsLocationId"] == "default"
    create = control.create_access_grants_location
    error = fails(create, **mine, LocationScope="s3://", IAMRoleArn=role)
    assert (error["status"], error["Code"]) == (409, "AccessGrantsLocationAlreadyExistsError")
    elsewhere = new_name()
    aws.client("s3", region="eu-west-1").create_bucket(
        Bucket=elsewhere, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    for scope in ("bucket", f"s3://{new_name()}", f"s3://{elsewhere}/*", "s3://*"):
        assert fails(create, **mine, LocationScope=scope, IAMRoleArn=role)["Code"] == "InvalidAccessGrantsLocation"
    nobody = f"arn:aws:iam::{aws.account}:role/nobody"
    assert fails(create, **mine, LocationScope=f"s3://{bucket}", IAMRoleArn=nobody)["Code"] == "InvalidIamRole"
    updated = control.update_access_grants_location(**mine, AccessGrantsLocationId=id, IAMRoleArn=other)
    assert updated["IAMRoleArn"] == other
    assert control.get_access_grants_location(**mine, AccessGrantsLocationId=id)["IAMRoleArn"] == other
    listed = control.list_access_grants_locations(**mine)["AccessGrantsLocationsList"]
    assert {one["LocationScope"] for one in listed} == {"s3://", f"s3://{bucket}/a*"}
    first = control.list_access_grants_locations(**mine, MaxResults=1)
    second = control.list_access_grants_locations(**mine, MaxResults=1, NextToken=first["NextToken"])
    assert first["AccessGrantsLocationsList"] + second["AccessGrantsLocationsList"] == listed
    assert "NextToken" not in second
    narrowed = control.list_access_grants_locations(**mine, LocationScope=f"s3://{bucket}")
    assert [one["AccessGrantsLocationId"] for one in narrowed["AccessGrantsLocationsList"]] == [id]
    assert fails(control.delete_access_grants_instance, **mine)["Code"] == "AccessGrantsInstanceNotEmptyError"
    control.delete_access_grants_location(**mine, AccessGrantsLocationId=id)
    error = fails(control.get_access_grants_location, **mine, AccessGrantsLocationId=id)
    assert (error["status"], error["Code"]) == (404, "NoSuchAccessGrantsLocationError")


def test_grants(aws, control, mine, instance, location, give, bucket, grantee, fails):
    user, _ = grantee
    id = give(user, "READ", "a/*", Tags=[{"Key": "k", "Value": "v"}])
    found = control.get_access_grant(**mine, AccessGrantId=id)
    found.pop("ResponseMetadata")
    assert found.pop("CreatedAt")
    assert found == {
        "AccessGrantId": id,
        "AccessGrantArn": f"{instance}/grant/{id}",
        "Grantee": {"GranteeType": "IAM", "GranteeIdentifier": user},
        "Permission": "READ",
        "AccessGrantsLocationId": location,
        "AccessGrantsLocationConfiguration": {"S3SubPrefix": "a/*"},
        "GrantScope": f"s3://{bucket}/a/*",
    }
    at = {**mine, "ResourceArn": found["AccessGrantArn"]}
    control.tag_resource(**at, Tags=[{"Key": "l", "Value": "w"}])
    control.untag_resource(**at, TagKeys=["k"])
    assert control.list_tags_for_resource(**at)["Tags"] == [{"Key": "l", "Value": "w"}]
    missing = {**at, "ResourceArn": f"{instance}/grant/none"}
    assert fails(control.list_tags_for_resource, **missing)["Code"] == "NoSuchResource"
    whole = give(user, "WRITE")
    assert control.get_access_grant(**mine, AccessGrantId=whole)["GrantScope"] == f"s3://{bucket}/*"
    one = give(user, "READ", "b/key", S3PrefixType="Object")
    assert control.get_access_grant(**mine, AccessGrantId=one)["GrantScope"] == f"s3://{bucket}/b/key"
    for arguments in ((user, "READ", "a/*"), (user, "WRITE")):
        with pytest.raises(control.exceptions.ClientError, match="AccessGrantAlreadyExists"):
            give(*arguments)
    for arguments, more in (
        ((f"arn:aws:iam::{aws.account}:root", "READ"), {}),
        ((user, "READ", "c*"), {"S3PrefixType": "Object"}),
    ):
        with pytest.raises(control.exceptions.ClientError, match="InvalidAccessGrant"):
            give(*arguments, **more)
    with pytest.raises(control.exceptions.ClientError, match="NotImplemented"):
        control.create_access_grant(
            **mine,
            AccessGrantsLocationId=location,
            Grantee={"GranteeType": "DIRECTORY_USER", "GranteeIdentifier": str(uuid.uuid4())},
            Permission="READ",
        )

    def listed(**filters):
        return {one["AccessGrantId"] for one in control.list_access_grants(**mine, **filters)["AccessGrantsList"]}

    assert listed() == {id, whole, one}
    assert listed(Permission="READ") == {id, one}
    assert listed(GrantScope=f"s3://{bucket}/b*") == {one}
    assert listed(GranteeType="IAM", GranteeIdentifier=user + "x") == set()
    error = fails(control.delete_access_grants_location, **mine, AccessGrantsLocationId=location)
    assert error["Code"] == "AccessGrantsLocationNotEmptyError"
    for each in (id, whole, one):
        control.delete_access_grant(**mine, AccessGrantId=each)
    error = fails(control.get_access_grant, **mine, AccessGrantId=id)
    assert (error["status"], error["Code"]) == (404, "NoSuchAccessGrantError")
    control.delete_access_grants_location(**mine, AccessGrantsLocationId=location)


def test_the_default_location_needs_a_bucket(aws, control, mine, instance, bucket, grantee):
    role = new_role(aws, instance)
    at = control.create_access_grants_location(**mine, LocationScope="s3://", IAMRoleArn=role)["AccessGrantsLocationId"]
    given = {
        **mine,
        "AccessGrantsLocationId": at,
        "Grantee": {"GranteeType": "IAM", "GranteeIdentifier": grantee[0]},
        "Permission": "READ",
    }
    for configuration in (None, "*", f"{new_name()}/*"):
        more = {"AccessGrantsLocationConfiguration": {"S3SubPrefix": configuration}} if configuration else {}
        with pytest.raises(control.exceptions.ClientError, match="InvalidAccessGrant"):
            control.create_access_grant(**given, **more)
    made = control.create_access_grant(**given, AccessGrantsLocationConfiguration={"S3SubPrefix": f"{bucket}/p*"})
    assert made["GrantScope"] == f"s3://{bucket}/p*"


def test_credentials_reach_what_is_granted_alone(aws, control, mine, instance, give, bucket, grantee, s3, fails):
    user, keys = grantee
    give(user, "READ", "a/*")
    give(user, "READWRITE", "a/deep/*")
    for key in ("a/1", "a/deep/1", "b"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    theirs = control_of(aws, credentials=keys)
    assert fails(aws.client("s3", credentials=keys).get_object, Bucket=bucket, Key="a/1")["Code"] == "AccessDenied"
    answer = theirs.get_data_access(**mine, Target=f"s3://{bucket}/a/*", Permission="READ")
    assert answer["MatchedGrantTarget"] == f"s3://{bucket}/a/*"
    assert answer["Grantee"] == {"GranteeType": "IAM", "GranteeIdentifier": user}
    assert answer["MatchedInstanceArn"] == instance
    reads = aws.client("s3", credentials=answer["Credentials"])
    assert reads.get_object(Bucket=bucket, Key="a/1")["Body"].read() == b"x"
    assert [one["Key"] for one in reads.list_objects_v2(Bucket=bucket, Prefix="a/")["Contents"]] == ["a/1", "a/deep/1"]
    for call, more in (
        (reads.get_object, {"Key": "b"}),
        (reads.put_object, {"Key": "a/1", "Body": b"y"}),
        (reads.delete_object, {"Key": "a/1"}),
        (reads.list_objects_v2, {}),
        (reads.get_bucket_versioning, {}),
    ):
        assert fails(call, Bucket=bucket, **more)["Code"] == "AccessDenied"
    # The narrowest grant that covers it.
    deep = theirs.get_data_access(**mine, Target=f"s3://{bucket}/a/deep/*", Permission="WRITE", DurationSeconds=900)
    assert deep["MatchedGrantTarget"] == f"s3://{bucket}/a/deep/*"
    writes = aws.client("s3", credentials=deep["Credentials"])
    writes.put_object(Bucket=bucket, Key="a/deep/2", Body=b"z")
    assert fails(writes.get_object, Bucket=bucket, Key="a/deep/2")["Code"] == "AccessDenied"
    assert fails(writes.put_object, Bucket=bucket, Key="a/2", Body=b"z")["Code"] == "AccessDenied"
    # Only as much as is asked for.
    least = theirs.get_data_access(
        **mine, Target=f"s3://{bucket}/a/1", TargetType="Object", Permission="READ", Privilege="Minimal"
    )
    assert least["MatchedGrantTarget"] == f"s3://{bucket}/a/1"
    one = aws.client("s3", credentials=least["Credentials"])
    assert one.get_object(Bucket=bucket, Key="a/1")["Body"].read() == b"x"
    assert fails(one.get_object, Bucket=bucket, Key="a/deep/1")["Code"] == "AccessDenied"
    for target, permission in (("b", "READ"), ("a/*", "WRITE"), ("a/*", "READWRITE"), ("*", "READ")):
        error = fails(theirs.get_data_access, **mine, Target=f"s3://{bucket}/{target}", Permission=permission)
        assert error == {
            "status": 403,
            "Code": "AccessDenied",
            "Message": f"You do not have {permission} permissions to the requested S3 Prefix: s3://{bucket}/{target}",
        }
    for wrong in ({"Target": "bucket"}, {"DurationSeconds": 50000}, {"Permission": "LIST"}, {"Privilege": "Most"}):
        asked = {"Target": f"s3://{bucket}/a/*", "Permission": "READ", **wrong}
        assert fails(theirs.get_data_access, **mine, **asked)["Code"] == "InvalidRequest"


def test_names_with_wildcards_are_themselves(aws, mine, give, bucket, grantee, s3, fails):
    user, keys = grantee
    give(user, "READ", "a*b?$/*")
    for key in ("a*b?$/1", "axbx$/1"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    theirs = control_of(aws, credentials=keys)
    answer = theirs.get_data_access(**mine, Target=f"s3://{bucket}/a*b?$/*", Permission="READ")
    reads = aws.client("s3", credentials=answer["Credentials"])
    assert reads.get_object(Bucket=bucket, Key="a*b?$/1")["Body"].read() == b"x"
    assert fails(reads.get_object, Bucket=bucket, Key="axbx$/1")["Code"] == "AccessDenied"
    assert reads.list_objects_v2(Bucket=bucket, Prefix="a*b?$/")["KeyCount"] == 1
    assert fails(reads.list_objects_v2, Bucket=bucket, Prefix="axbx$/")["Code"] == "AccessDenied"


def test_grants_to_a_role(aws, control, mine, give, bucket, s3):
    iam, name = aws.client("iam"), f"worker-{uuid.uuid4().hex}"
    trust = {"Effect": "Allow", "Principal": {"AWS": aws.account}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    allow = {"Effect": "Allow", "Action": ["s3:GetDataAccess", "s3:ListCallerAccessGrants"], "Resource": "*"}
    iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document(allow))
    _, keys = user_keys(aws, {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role})
    session = aws.client("sts", credentials=keys).assume_role(RoleArn=role, RoleSessionName="session")["Credentials"]
    give(role, "READ", "a/*")
    give(f"{role}-other", "READ", "b/*")
    s3.put_object(Bucket=bucket, Key="a/1", Body=b"x")
    theirs = control_of(aws, credentials=session)
    listed = theirs.list_caller_access_grants(**mine)["CallerAccessGrantsList"]
    assert [(one["Permission"], one["GrantScope"]) for one in listed] == [("READ", f"s3://{bucket}/a/*")]
    assert "CallerAccessGrantsList" not in theirs.list_caller_access_grants(**mine, GrantScope=f"s3://{bucket}/c") or (
        theirs.list_caller_access_grants(**mine, GrantScope=f"s3://{bucket}/c")["CallerAccessGrantsList"] == []
    )
    answer = theirs.get_data_access(**mine, Target=f"s3://{bucket}/a/*", Permission="READ")
    reads = aws.client("s3", credentials=answer["Credentials"])
    assert reads.get_object(Bucket=bucket, Key="a/1")["Body"].read() == b"x"


def test_a_role_that_cannot_be_assumed(aws, control, mine, instance, bucket, grantee, fails):
    user, keys = grantee
    role = new_role(aws, instance, ("sts:AssumeRole",))
    at = control.create_access_grants_location(**mine, LocationScope=f"s3://{bucket}", IAMRoleArn=role)
    control.create_access_grant(
        **mine,
        AccessGrantsLocationId=at["AccessGrantsLocationId"],
        Grantee={"GranteeType": "IAM", "GranteeIdentifier": user},
        Permission="READ",
    )
    theirs = control_of(aws, credentials=keys)
    asked = {**mine, "Target": f"s3://{bucket}/*", "Permission": "READ"}
    error = fails(theirs.get_data_access, **asked)
    assert (error["status"], error["Code"]) == (403, "StsNotAuthorizedError")
    assert (
        f"User: {SERVICE} is not authorized to perform: sts:SetSourceIdentity on resource: {role}" in error["Message"]
    )
    control.update_access_grants_location(
        **mine, AccessGrantsLocationId=at["AccessGrantsLocationId"], IAMRoleArn=new_role(aws, instance)
    )
    assert theirs.get_data_access(**asked)["Credentials"]["SessionToken"]
    # Longer than the role allows.
    assert fails(theirs.get_data_access, **asked, DurationSeconds=43200)["Code"] == "StsValidationError"


def test_another_account(aws, control, mine, instance, give, bucket, s3, fails):
    other = type(aws)(aws.endpoint)
    allow = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    user, keys = user_keys(other, allow)
    give(user, "READ", "a/*")
    s3.put_object(Bucket=bucket, Key="a/1", Body=b"x")
    theirs = control_of(other, credentials=keys)
    asked = {**mine, "Target": f"s3://{bucket}/a/*", "Permission": "READ"}
    path = {"AccountId": other.account, "S3Prefix": f"s3://{bucket}/a"}
    assert fails(theirs.get_data_access, **asked)["Code"] == "AccessDenied"
    assert fails(theirs.list_caller_access_grants, **mine)["Code"] == "AccessDenied"
    assert fails(theirs.get_access_grants_instance_for_prefix, **path)["Code"] == "AccessDenied"
    assert fails(control_of(other).get_access_grants_instance_for_prefix, **path)["Code"] == "AccessDenied"
    shared = {
        "Effect": "Allow",
        "Principal": {"AWS": other.account},
        "Action": ["s3:GetDataAccess", "s3:ListCallerAccessGrants", "s3:GetAccessGrantsInstanceForPrefix"],
        "Resource": instance,
    }
    control.put_access_grants_instance_resource_policy(**mine, Policy=document(shared))
    answer = theirs.get_data_access(**asked)
    reads = other.client("s3", credentials=answer["Credentials"])
    assert reads.get_object(Bucket=bucket, Key="a/1")["Body"].read() == b"x"
    assert len(theirs.list_caller_access_grants(**mine)["CallerAccessGrantsList"]) == 1
    assert theirs.get_access_grants_instance_for_prefix(**path)["AccessGrantsInstanceArn"] == instance
    assert fails(theirs.list_access_grants, **mine)["Code"] == "AccessDenied"
    # Their own account's root has no grant.
    assert fails(control_of(other).get_data_access, **asked)["Code"] == "AccessDenied"
    assert fails(theirs.get_access_grant, **mine, AccessGrantId="x")["Code"] == "AccessDenied"


def test_who_may_not(aws, mine, instance, location, bucket, fails):
    user, keys = user_keys(aws)
    theirs = control_of(aws, credentials=keys)
    grantee = {"GranteeType": "IAM", "GranteeIdentifier": user}
    for call, more in (
        (theirs.get_access_grants_instance, {}),
        (theirs.list_access_grants, {}),
        (theirs.get_data_access, {"Target": f"s3://{bucket}/*", "Permission": "READ"}),
        (
            theirs.create_access_grant,
            {"AccessGrantsLocationId": location, "Grantee": grantee, "Permission": "READ"},
        ),
    ):
        error = fails(call, **mine, **more)
        assert error["Code"] == "AccessDenied"
        assert instance in json.dumps(error)
    # A location hands its role over.
    _, keys = user_keys(aws, {"Effect": "Allow", "Action": "s3:*", "Resource": "*"})
    error = fails(
        control_of(aws, credentials=keys).create_access_grants_location,
        **mine,
        LocationScope="s3://",
        IAMRoleArn=new_role(aws, instance),
    )
    assert "iam:PassRole" in error["Message"]
