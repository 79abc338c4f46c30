"""Multi-Region access points: making them, their policies and routes, and requests through them."""

from __future__ import annotations

import http.client
import json
import uuid
from urllib.parse import urlsplit

import pytest
from tests.services.s3.control_kit import control_of, document, sent_here, user_keys

from waiting import until

REGIONS = ("us-east-1", "eu-west-1")
BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def token():
    return uuid.uuid4().hex


@pytest.fixture
def control(aws):
    return control_of(aws, region="us-west-2")


@pytest.fixture
def mine(aws):
    return {"AccountId": aws.account}


@pytest.fixture
def sides(aws):
    return {region: new_bucket(aws, region) for region in REGIONS}


def new_bucket(aws, region):
    name = f"test-{uuid.uuid4().hex}"
    place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    aws.client("s3", region=region).create_bucket(Bucket=name, **place)
    return name


@pytest.fixture
def outcome(control, mine):
    """`outcome(answer)`: what became of an asynchronous request."""

    def wait(answer):
        arn = answer["RequestTokenARN"]

        def shown():
            return control.describe_multi_region_access_point_operation(**mine, RequestTokenARN=arn)["AsyncOperation"]

        until(lambda: shown()["RequestStatus"] != "INPROGRESS")
        return shown()

    return wait


@pytest.fixture
def make(control, mine, outcome):
    """`make(*buckets)`: name and alias of a new one."""

    def made(*buckets, **more):
        name = f"point-{uuid.uuid4().hex}"
        regions = [one if isinstance(one, dict) else {"Bucket": one} for one in buckets]
        details = {"Name": name, "Regions": regions, **more}
        answer = control.create_multi_region_access_point(**mine, ClientToken=token(), Details=details)
        assert outcome(answer)["RequestStatus"] == "SUCCEEDED"
        return name, control.get_multi_region_access_point(**mine, Name=name)["AccessPoint"]["Alias"]

    return made


def data(aws, regions=None, **options):
    config = {} if regions is None else {"sigv4a_signing_region_set": regions}
    return sent_here(aws, aws.client("s3", config=config, **options))


def arn(aws, alias):
    return f"arn:aws:s3::{aws.account}:accesspoint/{alias}"


def test_the_life_of_a_point(aws, control, mine, sides, outcome, fails):
    name = f"point-{uuid.uuid4().hex}"
    details = {"Name": name, "Regions": [{"Bucket": bucket} for bucket in sides.values()]}
    asked = {**mine, "ClientToken": token(), "Details": details}
    answer = control.create_multi_region_access_point(**asked)
    assert answer["RequestTokenARN"].startswith(f"arn:aws:s3:us-west-2:{aws.account}:async-request/mrap/create/")
    assert control.create_multi_region_access_point(**asked)["RequestTokenARN"] == answer["RequestTokenARN"]
    other = {**details, "Regions": details["Regions"][:1]}
    assert fails(control.create_multi_region_access_point, **{**asked, "Details": other})["Code"] == (
        "IdempotencyException"
    )
    done = outcome(answer)
    assert done.pop("CreationTime")
    assert done == {
        "Operation": "CreateMultiRegionAccessPoint",
        "RequestTokenARN": answer["RequestTokenARN"],
        "RequestParameters": {"CreateMultiRegionAccessPointRequest": details},
        "RequestStatus": "SUCCEEDED",
        "ResponseDetails": {
            "MultiRegionAccessPointDetails": {
                "Regions": [{"Name": region, "RequestStatus": "SUCCEEDED"} for region in REGIONS]
            }
        },
    }
    found = control.get_multi_region_access_point(**mine, Name=name)["AccessPoint"]
    assert control.list_multi_region_access_points(**mine)["AccessPoints"] == [found]
    assert found.pop("CreatedAt")
    alias = found.pop("Alias")
    assert alias.endswith(".mrap")
    assert alias[:-5].isalnum()
    assert found == {
        "Name": name,
        "PublicAccessBlock": dict.fromkeys(BLOCKS, True),
        "Status": "READY",
        "Regions": [
            {"Bucket": bucket, "Region": region, "BucketAccountId": aws.account} for region, bucket in sides.items()
        ],
    }
    gone = control.delete_multi_region_access_point(**mine, ClientToken=token(), Details={"Name": name})
    assert outcome(gone)["RequestStatus"] == "SUCCEEDED"
    assert fails(control.get_multi_region_access_point, **mine, Name=name) == {
        "status": 404,
        "Code": "NoSuchMultiRegionAccessPoint",
        "Message": "The specified Multi-Region Access Point does not exist.",
    }
    assert control.list_multi_region_access_points(**mine)["AccessPoints"] == []
    again = control.delete_multi_region_access_point(**mine, ClientToken=token(), Details={"Name": name})
    error = outcome(again)["ResponseDetails"]["ErrorDetails"]
    assert (error["Code"], error["Resource"]) == ("NoSuchMultiRegionAccessPoint", name)
    unknown = answer["RequestTokenARN"][:-1] + "-"
    error = fails(control.describe_multi_region_access_point_operation, **mine, RequestTokenARN=unknown)
    assert (error["status"], error["Code"]) == (404, "NoSuchAsyncRequest")


def test_what_the_outcome_says_is_wrong(aws, control, mine, sides, make, outcome):
    bucket = sides["us-east-1"]

    def code(name, *regions):
        details = {"Name": name, "Regions": list(regions)}
        answer = control.create_multi_region_access_point(**mine, ClientToken=token(), Details=details)
        done = outcome(answer)
        assert done["RequestStatus"] == "FAILED"
        return done["ResponseDetails"]["ErrorDetails"]["Code"]

    same = "MultiRegionAccessPointSameBucketRegion"
    assert code("a-point", {"Bucket": bucket}, {"Bucket": new_bucket(aws, "us-east-1")}) == same
    assert code("a-point", {"Bucket": f"no-{uuid.uuid4().hex}"}) == "NoSuchBucket"
    other = type(aws)(aws.endpoint)
    theirs = new_bucket(other, "us-east-1")
    assert code("a-point", {"Bucket": theirs}) == "AccessDenied"
    assert control.list_multi_region_access_points(**mine)["AccessPoints"] == []
    name, _ = make({"Bucket": theirs, "BucketAccountId": other.account})
    assert code(name, {"Bucket": bucket}) == "MultiRegionAccessPointAlreadyOwnedByYou"
    assert control.get_multi_region_access_point(**mine, Name=name)["AccessPoint"]["Status"] == "READY"


def test_what_is_refused_at_once(aws, mine, control, sides, fails):
    there = control_of(aws, region="us-east-1")
    error = fails(there.list_multi_region_access_points, **mine)
    assert (error["status"], error["Code"]) == (301, "PermanentRedirect")
    details = {"Name": "Bad_Name", "Regions": [{"Bucket": sides["us-east-1"]}]}
    create = control.create_multi_region_access_point
    assert fails(create, **mine, ClientToken=token(), Details=details)["Code"] == "InvalidRequest"
    details = {"Name": "a-point", "Regions": []}
    assert fails(create, **mine, ClientToken=token(), Details=details)["Code"] == "InvalidRequest"
    _, keys = user_keys(aws)
    theirs = control_of(aws, region="us-west-2", credentials=keys)
    details = {"Name": "a-point", "Regions": [{"Bucket": sides["us-east-1"]}]}
    for call, more in (
        (theirs.create_multi_region_access_point, {"ClientToken": token(), "Details": details}),
        (theirs.list_multi_region_access_points, {}),
        (theirs.get_multi_region_access_point, {"Name": "a-point"}),
    ):
        assert fails(call, **mine, **more)["Code"] == "AccessDenied"
    assert fails(control.list_multi_region_access_points, AccountId="000000000001")["Code"] == "AccessDenied"


def test_permissions_know_a_point_by_its_alias(aws, mine, make, sides, fails):
    name, alias = make(sides["us-east-1"])
    _, keys = user_keys(aws, {"Effect": "Allow", "Action": "s3:GetMultiRegionAccessPoint", "Resource": arn(aws, alias)})
    theirs = control_of(aws, region="us-west-2", credentials=keys)
    assert theirs.get_multi_region_access_point(**mine, Name=name)["AccessPoint"]["Alias"] == alias
    error = fails(theirs.get_multi_region_access_point_policy, **mine, Name=name)
    assert error["Code"] == "AccessDenied"
    assert arn(aws, alias) in error["Message"]


def test_requests_go_to_the_region_that_they_are_for(aws, make, sides):
    _, alias = make(*sides.values())
    target = {"Bucket": arn(aws, alias), "Key": "a/b c+d"}
    for region, bucket in sides.items():
        data(aws, region).put_object(**target, Body=region.encode())
        assert aws.client("s3", region=region).get_object(Bucket=bucket, Key="a/b c+d")["Body"].read() == (
            region.encode()
        )
    everywhere = data(aws)
    assert everywhere.get_object(**target)["Body"].read() == b"us-east-1"
    assert data(aws, "eu-west-1").get_object(**target)["Body"].read() == b"eu-west-1"
    # From where there is none, it is the nearest.
    assert data(aws, "eu-central-1").get_object(**target)["Body"].read() == b"eu-west-1"
    assert data(aws, "us-west-2").get_object(**target)["Body"].read() == b"us-east-1"
    assert [one["Key"] for one in everywhere.list_objects_v2(Bucket=arn(aws, alias))["Contents"]] == ["a/b c+d"]
    everywhere.delete_object(**target)
    assert "Contents" not in everywhere.list_objects_v2(Bucket=arn(aws, alias))
    assert data(aws, "eu-west-1").head_object(**target)["ContentLength"] == len("eu-west-1")


def test_presigned_requests(aws, make, sides):
    _, alias = make(*sides.values())
    client = data(aws)
    client.put_object(Bucket=arn(aws, alias), Key="k", Body=b"here")
    url = urlsplit(client.generate_presigned_url("get_object", Params={"Bucket": arn(aws, alias), "Key": "k"}))
    assert url.netloc == f"{alias}.accesspoint.s3-global.amazonaws.com"

    def answer(query):
        connection = http.client.HTTPConnection(urlsplit(aws.endpoint).netloc, timeout=30)
        try:
            connection.request("GET", f"{url.path}?{query}", headers={"Host": url.netloc})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    assert answer(url.query) == (200, b"here")
    assert answer(url.query.replace("X-Amz-Region-Set=%2A", "X-Amz-Region-Set=eu-west-1"))[0] == 403
    status, body = answer("&".join(part for part in url.query.split("&") if not part.startswith("X-Amz-Region-Set")))
    assert (status, b"AuthorizationQueryParametersError" in body) == (400, True)


def test_routes(aws, control, mine, make, sides, fails):
    _, alias = make(*sides.values())
    at = {**mine, "Mrap": arn(aws, alias)}
    dials = {"us-east-1": 100, "eu-west-1": 100}

    def shown():
        return [
            {"Bucket": sides[region], "Region": region, "TrafficDialPercentage": dial} for region, dial in dials.items()
        ]

    found = control.get_multi_region_access_point_routes(**at)
    assert (found["Mrap"], found["Routes"]) == (arn(aws, alias), shown())
    client = data(aws, "us-east-1")
    upload = {"Bucket": arn(aws, alias), "Key": "parts"}
    begun = client.create_multipart_upload(**upload)["UploadId"]
    control.submit_multi_region_access_point_routes(
        **at, RouteUpdates=[{"Region": "us-east-1", "TrafficDialPercentage": 0}]
    )
    dials["us-east-1"] = 0
    assert control_of(aws, region="eu-west-1").get_multi_region_access_point_routes(**at)["Routes"] == shown()
    client.put_object(Bucket=arn(aws, alias), Key="k", Body=b"x")
    assert aws.client("s3", region="eu-west-1").list_objects_v2(Bucket=sides["eu-west-1"])["KeyCount"] == 1
    # What is under way goes on where it began.
    part = client.upload_part(**upload, UploadId=begun, PartNumber=1, Body=b"part")
    client.complete_multipart_upload(
        **upload, UploadId=begun, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    )
    assert aws.client("s3").list_objects_v2(Bucket=sides["us-east-1"])["Contents"][0]["Key"] == "parts"
    for updates in (
        [{"Region": "eu-west-1", "TrafficDialPercentage": 0}],
        [{"Region": "eu-west-1", "TrafficDialPercentage": 50}],
        [{"TrafficDialPercentage": 100}],
        [{"Region": "eu-west-1", "Bucket": sides["us-east-1"], "TrafficDialPercentage": 100}],
    ):
        error = fails(control.submit_multi_region_access_point_routes, **at, RouteUpdates=updates)
        assert (error["status"], error["Code"]) == (400, "InvalidRequest")
    assert control.get_multi_region_access_point_routes(**at)["Routes"] == shown()
    assert fails(control_of(aws, region="eu-north-1").get_multi_region_access_point_routes, **at)["status"] == 301
    nowhere = {**mine, "Mrap": arn(aws, "mnothing.mrap")}
    assert fails(control.get_multi_region_access_point_routes, **nowhere)["Code"] == "NoSuchMultiRegionAccessPoint"


def put_policy(control, mine, outcome, name, policy):
    details = {"Name": name, "Policy": policy}
    return outcome(control.put_multi_region_access_point_policy(**mine, ClientToken=token(), Details=details))


def test_policies(aws, control, mine, make, sides, outcome, fails):
    name, alias = make(sides["us-east-1"])
    user, keys = user_keys(aws)
    assert (
        "Policy" not in control.get_multi_region_access_point_policy(**mine, Name=name)
        or not (control.get_multi_region_access_point_policy(**mine, Name=name)["Policy"])
    )
    aws.client("s3").put_object(Bucket=sides["us-east-1"], Key="k", Body=b"x")
    theirs = data(aws, credentials=keys)
    target = {"Bucket": arn(aws, alias), "Key": "k"}
    assert fails(theirs.get_object, **target)["Code"] == "AccessDenied"
    allow = {
        "Effect": "Allow",
        "Principal": {"AWS": user},
        "Action": "s3:GetObject",
        "Resource": f"{arn(aws, alias)}/object/*",
    }
    assert put_policy(control, mine, outcome, name, document(allow))["RequestStatus"] == "SUCCEEDED"
    found = control.get_multi_region_access_point_policy(**mine, Name=name)["Policy"]
    assert found == {"Established": {"Policy": document(allow)}}
    status = control.get_multi_region_access_point_policy_status(**mine, Name=name)
    assert status["Established"] == {"IsPublic": False}
    assert theirs.get_object(**target)["Body"].read() == b"x"
    assert fails(theirs.put_object, **target, Body=b"y")["Code"] == "AccessDenied"
    assert fails(theirs.get_object, Bucket=sides["us-east-1"], Key="k")["Code"] == "AccessDenied"
    # Its root, too, keeps to what it forbids.
    deny = {**allow, "Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject"}
    put_policy(control, mine, outcome, name, document(allow, deny))
    assert fails(data(aws).delete_object, **target)["Code"] == "AccessDenied"
    for policy, code in (
        ("{", "MalformedPolicy"),
        (document({**allow, "Resource": "arn:aws:s3:::other/*"}), "MalformedPolicy"),
        (document({**allow, "Principal": "*"}), "AccessDenied"),
    ):
        done = put_policy(control, mine, outcome, name, policy)
        assert (done["RequestStatus"], done["ResponseDetails"]["ErrorDetails"]["Code"]) == ("FAILED", code)
    found = control.get_multi_region_access_point_policy(**mine, Name=name)["Policy"]
    assert json.loads(found["Established"]["Policy"])["Statement"] == [allow, deny]


def test_both_policies_must_let_another_account_in(aws, control, mine, make, sides, outcome, fails):
    other = type(aws)(aws.endpoint)
    name, alias = make(sides["us-east-1"])
    s3 = aws.client("s3")
    s3.put_object(Bucket=sides["us-east-1"], Key="k", Body=b"x")
    theirs = data(other)
    target = {"Bucket": arn(aws, alias), "Key": "k"}
    allow = {"Effect": "Allow", "Principal": {"AWS": other.account}, "Action": "s3:GetObject"}
    put_policy(control, mine, outcome, name, document({**allow, "Resource": f"{arn(aws, alias)}/object/*"}))
    assert fails(theirs.get_object, **target)["Code"] == "AccessDenied"
    delegated = {
        **allow,
        "Resource": f"arn:aws:s3:::{sides['us-east-1']}/*",
        "Condition": {"StringEquals": {"s3:DataAccessPointAccount": aws.account}},
    }
    s3.put_bucket_policy(Bucket=sides["us-east-1"], Policy=document(delegated))
    assert theirs.get_object(**target)["Body"].read() == b"x"
    assert fails(other.client("s3").get_object, Bucket=sides["us-east-1"], Key="k")["Code"] == "AccessDenied"
    # A point whose policy does not name them keeps them out, whatever the bucket's says.
    _, shut = make(sides["us-east-1"])
    assert fails(theirs.get_object, Bucket=arn(aws, shut), Key="k")["Code"] == "AccessDenied"


def test_a_point_gives_nothing_away_of_another_accounts_bucket(aws, mine, make, control, outcome, fails):
    other = type(aws)(aws.endpoint)
    theirs = new_bucket(other, "us-east-1")
    other.client("s3").put_object(Bucket=theirs, Key="k", Body=b"x")
    name, alias = make({"Bucket": theirs, "BucketAccountId": other.account})
    allow = {"Effect": "Allow", "Principal": {"AWS": aws.account}, "Action": "s3:*"}
    put_policy(control, mine, outcome, name, document({**allow, "Resource": f"{arn(aws, alias)}/object/*"}))
    assert fails(data(aws).get_object, Bucket=arn(aws, alias), Key="k")["Code"] == "AccessDenied"
    # The same of an access point of one region.
    regional = control_of(aws)
    made = regional.create_access_point(**mine, Name=f"p-{uuid.uuid4().hex}", Bucket=theirs)
    point = made["AccessPointArn"]
    policy = document({**allow, "Resource": f"{point}/object/*"})
    regional.put_access_point_policy(**mine, Name=point.rpartition("/")[2], Policy=policy)
    assert fails(aws.client("s3").get_object, Bucket=made["Alias"], Key="k")["Code"] == "AccessDenied"
    other.client("s3").put_bucket_policy(
        Bucket=theirs, Policy=document({**allow, "Resource": f"arn:aws:s3:::{theirs}/*"})
    )
    assert data(aws).get_object(Bucket=arn(aws, alias), Key="k")["Body"].read() == b"x"
    assert aws.client("s3").get_object(Bucket=made["Alias"], Key="k")["Body"].read() == b"x"


def test_what_is_not_done_through_a_point(aws, make, sides, fails):
    _, alias = make(*sides.values())
    client = data(aws)
    assert fails(client.get_bucket_versioning, Bucket=arn(aws, alias))["Code"] == "MethodNotAllowed"
    assert fails(client.delete_bucket, Bucket=arn(aws, alias))["Code"] == "MethodNotAllowed"
    client.put_object(Bucket=arn(aws, alias), Key="k", Body=b"x")
    source = f"{arn(aws, alias)}/object/k"
    error = fails(client.copy_object, Bucket=sides["us-east-1"], Key="copy", CopySource=source)
    assert error["Code"] == "InvalidRequest"
    client.copy_object(Bucket=arn(aws, alias), Key="copy", CopySource=f"{sides['us-east-1']}/k")
    assert client.get_object(Bucket=arn(aws, alias), Key="copy")["Body"].read() == b"x"
    gone = arn(aws, "mnothing.mrap")
    assert fails(client.get_object, Bucket=gone, Key="k")["Code"] == "NoSuchMultiRegionAccessPoint"
    wrong = data(aws, credentials={"AccessKeyId": aws.account, "SecretAccessKey": "guessed"})
    assert fails(wrong.get_object, Bucket=arn(aws, alias), Key="k")["Code"] == "SignatureDoesNotMatch"


def test_a_request_outlives_its_node(start_pileus, tmp_path):
    from tests.conftest import Account

    server = start_pileus(data_dir=tmp_path / "data", durability="full")
    aws = Account(server.endpoint)
    bucket = new_bucket(aws, "us-east-1")
    mine = {"AccountId": aws.account}
    details = {"Name": "a-point", "Regions": [{"Bucket": bucket}]}
    asked = control_of(aws, region="us-west-2").create_multi_region_access_point(
        **mine, ClientToken=token(), Details=details
    )
    server.kill()
    aws = Account(start_pileus(data_dir=tmp_path / "data").endpoint, aws.account)
    control = control_of(aws, region="us-west-2")

    def status():
        shown = control.describe_multi_region_access_point_operation(**mine, RequestTokenARN=asked["RequestTokenARN"])
        return shown["AsyncOperation"]["RequestStatus"]

    until(lambda: status() == "SUCCEEDED")
    assert control.get_multi_region_access_point(**mine, Name="a-point")["AccessPoint"]["Status"] == "READY"
