"""Event notifications: what configurations may say, what records say, and functions that hear of objects."""

from __future__ import annotations

import io
import json
import time
import urllib.request
import zipfile
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from urllib.parse import unquote_plus

import pytest
from botocore.exceptions import ClientError

from pileus.kernel.errors import AWSError
from pileus.kernel.ids import Ids, host_id
from pileus.kernel.principal import ANONYMOUS, Principal
from pileus.services.s3 import notifications
from pileus.services.s3.records import Body, Bucket, Object

BUCKET = Bucket(name="bucket", account="111111111111", region="us-east-1", created=0.0)
ARN = "arn:aws:lambda:us-east-1:111111111111:function:my-lambda"
WAIT_S = 60.0


def entry(events=("s3:ObjectCreated:*",), arn=ARN, id=None, **affixes):
    made = {"LambdaFunctionArn": arn, "Events": list(events)}
    if id is not None:
        made["Id"] = id
    if affixes:
        rules = [{"Name": name, "Value": value} for name, value in affixes.items()]
        made["Filter"] = {"Key": {"FilterRules": rules}}
    return made


def check(*entries):
    return notifications.check({"LambdaFunctionConfigurations": list(entries)}, BUCKET, Ids(1))


def refusal(*entries):
    with pytest.raises(AWSError) as caught:
        check(*entries)
    return caught.value


def test_ids_are_given_and_filter_names_spelt_in_one_way():
    kept = check(entry(prefix="in/", SUFFIX=".jpg"), entry(["s3:ObjectRemoved:*"], id="mine"))
    first, second = kept["LambdaFunctionConfigurations"]
    assert first["Id"]
    assert first["Filter"]["Key"]["FilterRules"] == [
        {"Name": "Prefix", "Value": "in/"},
        {"Name": "Suffix", "Value": ".jpg"},
    ]
    assert second["Id"] == "mine"
    assert check() == {}


@pytest.mark.parametrize(
    ("entries", "code", "message"),
    [
        ([entry(arn="invalid-queue")], "InvalidArgument", "The ARN could not be parsed"),
        ([entry(arn=ARN.replace("lambda", "sqs", 1))], "InvalidArgument", "The ARN could not be parsed"),
        (
            [entry(arn=ARN.replace("us-east-1", "eu-west-1"))],
            "InvalidArgument",
            "The notification destination service region is not valid for the bucket location constraint",
        ),
        ([entry(events=["s3:Wrong"])], "MalformedXML", ""),
        ([entry(events=[])], "MalformedXML", ""),
        ([entry(INVALID="x")], "InvalidArgument", "filter rule name must be either prefix or suffix"),
        ([entry(Prefix=None)], "MalformedXML", ""),
        ([entry(id="a"), entry(["s3:ObjectRemoved:*"], id="a")], "InvalidArgument", "Same ID used"),
        ([entry(), entry(["s3:ObjectCreated:Put"])], "InvalidArgument", "Configurations overlap"),
        ([entry(prefix="a"), entry(prefix="ab")], "InvalidArgument", "Configuration is ambiguously defined"),
        (
            [entry(suffix="g"), entry(prefix="x", suffix="pg")],
            "InvalidArgument",
            "Configuration is ambiguously defined",
        ),
    ],
)
def test_configurations_that_are_refused(entries, code, message):
    error = refusal(*entries)
    assert error.code == code
    assert error.message.startswith(message)


def test_configurations_that_do_not_overlap():
    check(entry(prefix="a"), entry(prefix="b"))
    check(entry(suffix=".jpg"), entry(suffix=".png"))
    check(entry(prefix="a", suffix=".jpg"), entry(prefix="a", suffix=".png"))
    check(entry(), entry(["s3:ObjectRemoved:*"]))
    check(entry(["s3:ObjectCreated:Put"]), entry(["s3:ObjectCreated:Copy"]))


def test_matching():
    kept = check(
        entry(id="images", prefix="in/", suffix=".jpg"),
        entry(["s3:ObjectRemoved:Delete"], id="gone"),
    )

    def ids(event, key):
        return [name for name, _ in notifications.matching(kept, event, key)]

    assert ids("s3:ObjectCreated:Put", "in/a.jpg") == ["images"]
    assert ids("s3:ObjectCreated:CompleteMultipartUpload", "in/a.jpg") == ["images"]
    assert ids("s3:ObjectCreated:Put", "out/a.jpg") == []
    assert ids("s3:ObjectCreated:Put", "in/a.JPG") == []
    assert ids("s3:ObjectRemoved:Delete", "anything") == ["gone"]
    assert ids("s3:ObjectRemoved:DeleteMarkerCreated", "anything") == []


def context(principal):
    http = SimpleNamespace(source_ip="127.0.0.1")
    return SimpleNamespace(principal=principal, http=http, request_id="request")


def test_a_record():
    user = Principal(kind="user", account="111111111111", id="AIDAEXAMPLE")
    version = Object(body=Body("inline", "t", 9), etag="437b930db84b8079c2dd804a71936b5f", modified=1.0, sequence=255)
    record = notifications.record(
        context(user), BUCKET, "id", "s3:ObjectCreated:Put", key="a b/ü+.jpg", version=version, now=1700000000.123456
    )
    assert record == {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": "us-east-1",
        "eventTime": "2023-11-14T22:13:20.123Z",
        "eventName": "ObjectCreated:Put",
        "userIdentity": {"principalId": "AWS:AIDAEXAMPLE"},
        "requestParameters": {"sourceIPAddress": "127.0.0.1"},
        "responseElements": {"x-amz-request-id": "request", "x-amz-id-2": host_id("request")},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": "id",
            "bucket": {
                "name": "bucket",
                "ownerIdentity": {"principalId": record["s3"]["bucket"]["ownerIdentity"]["principalId"]},
                "arn": "arn:aws:s3:::bucket",
            },
            "object": {
                "key": "a+b/%C3%BC%2B.jpg",
                "size": 9,
                "eTag": "437b930db84b8079c2dd804a71936b5f",
                "sequencer": "0000000000000000FF",
            },
        },
    }


def test_a_record_of_a_removed_object():
    record = notifications.record(
        context(ANONYMOUS),
        BUCKET,
        "id",
        "s3:ObjectRemoved:Delete",
        key="a",
        version=notifications.removal(1.0, 16),
        now=1.0,
    )
    assert record["s3"]["object"] == {"key": "a", "sequencer": "000000000000000010"}


def test_a_record_of_tagging_has_no_sequencer():
    version = Object(body=Body(), etag="e", modified=1.0, sequence=1)
    record = notifications.record(
        context(ANONYMOUS), BUCKET, "id", "s3:ObjectTagging:Put", key="a", version=version, now=1.0
    )
    assert record["eventVersion"] == "2.3"
    assert record["s3"]["object"] == {"key": "a", "eTag": "e"}


# ---------------------------------------------------------------------------------------------------- through the wire


def configuration(*entries):
    return {"LambdaFunctionConfigurations": list(entries)}


def test_configuration_of_a_bucket(s3, bucket, aws, fails):
    def put(*entries, **options):
        return s3.put_bucket_notification_configuration(
            Bucket=bucket, NotificationConfiguration=configuration(*entries), **options
        )

    assert "LambdaFunctionConfigurations" not in s3.get_bucket_notification_configuration(Bucket=bucket)
    arn = ARN.replace("111111111111", aws.account)
    for skip in (False, True):
        error = _error(lambda skip=skip: put(entry(arn="invalid-queue"), SkipDestinationValidation=skip))
        assert error == {
            "Code": "InvalidArgument",
            "Message": "The ARN could not be parsed",
            "ArgumentName": "CloudFunction",
            "ArgumentValue": "invalid-queue",
        }
    assert _error(lambda: put(entry(arn=arn, INVALID="x"))) == {
        "Code": "InvalidArgument",
        "Message": "filter rule name must be either prefix or suffix",
        "ArgumentName": "FilterRule.Name",
        "ArgumentValue": "INVALID",
    }
    assert _error(lambda: put(entry(arn=arn))) == {
        "Code": "InvalidArgument",
        "Message": "Unable to validate the following destination configurations",
        "ArgumentName1": f"{arn}, null",
        "ArgumentValue1": f"Not authorized to invoke function [{arn}]",
    }
    assert "LambdaFunctionConfigurations" not in s3.get_bucket_notification_configuration(Bucket=bucket)
    put(entry(arn=arn, id="id123"), SkipDestinationValidation=True)
    kept = s3.get_bucket_notification_configuration(Bucket=bucket)["LambdaFunctionConfigurations"]
    assert kept == [{"Id": "id123", "LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]}]
    put()
    assert "LambdaFunctionConfigurations" not in s3.get_bucket_notification_configuration(Bucket=bucket)
    queue = {"QueueArn": f"arn:aws:sqs:us-east-1:{aws.account}:q", "Events": ["s3:ObjectCreated:*"]}
    s3.put_bucket_notification_configuration(
        Bucket=bucket,
        NotificationConfiguration={"QueueConfigurations": [queue]},
        SkipDestinationValidation=True,
    )
    (kept,) = s3.get_bucket_notification_configuration(Bucket=bucket)["QueueConfigurations"]
    assert (kept["QueueArn"], kept["Events"]) == (queue["QueueArn"], queue["Events"])


def _error(call):
    with pytest.raises(ClientError) as caught:
        call()
    error = caught.value.response["Error"]
    return {name: value for name, value in error.items() if name not in ("RequestId", "HostId")}


CODE = """
import json

def handler(event, context):
    for record in event["Records"]:
        print("RECORD " + json.dumps(record))
"""


def allow(action, resource=None, **more):
    statement = {"Effect": "Allow", "Action": action, **({"Resource": resource} if resource else {}), **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture
def function(aws):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("index.py", CODE)
    iam = aws.client("iam")
    trust = allow("sts:AssumeRole", Principal={"Service": "lambda.amazonaws.com"})
    iam.create_role(RoleName="hears", AssumeRolePolicyDocument=trust)
    iam.put_role_policy(RoleName="hears", PolicyName="logs", PolicyDocument=allow("logs:*", "*"))
    client = aws.client("lambda")
    made = client.create_function(
        FunctionName="hears",
        Runtime="python3.11",
        Handler="index.handler",
        Role=f"arn:aws:iam::{aws.account}:role/hears",
        Code={"ZipFile": archive.getvalue()},
        Timeout=30,
    )
    client.get_waiter("function_active_v2").wait(FunctionName="hears", WaiterConfig={"Delay": 0.1, "MaxAttempts": 300})
    yield made["FunctionArn"]
    client.delete_function(FunctionName="hears")


def heard(aws, count):
    """The first `count` records that the function has printed."""
    logs, until = aws.client("logs"), time.monotonic() + WAIT_S
    while time.monotonic() < until:
        try:
            events = logs.filter_log_events(logGroupName="/aws/lambda/hears", filterPattern="RECORD")["events"]
        except logs.exceptions.ResourceNotFoundException:
            events = []
        if len(events) >= count:
            return [json.loads(event["message"].split("RECORD ", 1)[1]) for event in events]
        time.sleep(0.1)
    raise AssertionError(f"{len(events)} of {count} records after {WAIT_S} s")


def test_a_function_hears_of_objects(aws, s3, bucket, function):
    def put(**options):
        s3.put_bucket_notification_configuration(
            Bucket=bucket,
            NotificationConfiguration=configuration(
                entry(["s3:ObjectCreated:*", "s3:ObjectRemoved:*"], arn=function, id="all", prefix="in/")
            ),
            **options,
        )

    error = _error(put)
    assert error["Message"] == "Unable to validate the following destination configurations"
    aws.client("lambda").add_permission(
        FunctionName="hears",
        StatementId="s3",
        Action="lambda:InvokeFunction",
        Principal="s3.amazonaws.com",
        SourceArn=f"arn:aws:s3:::{bucket}",
        SourceAccount=aws.account,
    )
    put()
    key = "in/a photo ü.jpg"
    s3.put_object(Bucket=bucket, Key="out/unheard.jpg", Body=b"x")
    s3.put_object(Bucket=bucket, Key=key, Body=b"something")
    s3.copy_object(Bucket=bucket, Key=key, CopySource={"Bucket": bucket, "Key": "out/unheard.jpg"})
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"part")
    s3.complete_multipart_upload(
        Bucket=bucket,
        Key=key,
        UploadId=upload,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )
    s3.delete_object(Bucket=bucket, Key=key)
    s3.delete_object(Bucket=bucket, Key=key)  # nothing was there any more: no event
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    version = s3.put_object(Bucket=bucket, Key=key, Body=b"v")["VersionId"]
    marker = s3.delete_object(Bucket=bucket, Key=key)["VersionId"]
    s3.delete_object(Bucket=bucket, Key=key, VersionId=version)
    records = heard(aws, 7)
    assert {unquote_plus(record["s3"]["object"]["key"]) for record in records} == {key}
    ordered = sorted(records, key=lambda record: record["s3"]["object"]["sequencer"])
    assert [record["eventName"] for record in ordered] == [
        "ObjectCreated:Put",
        "ObjectCreated:Copy",
        "ObjectCreated:CompleteMultipartUpload",
        "ObjectRemoved:Delete",
        "ObjectCreated:Put",
        "ObjectRemoved:DeleteMarkerCreated",
        "ObjectRemoved:Delete",
    ]
    assert "versionId" not in ordered[0]["s3"]["object"]
    assert [record["s3"]["object"]["versionId"] for record in ordered[4:]] == [version, marker, version]
    assert ordered[5]["s3"]["object"]["eTag"] == "d41d8cd98f00b204e9800998ecf8427e"
    assert ordered[0]["s3"]["object"]["size"] == 9
    assert ordered[0]["s3"]["object"]["eTag"] == "437b930db84b8079c2dd804a71936b5f"
    assert ordered[0]["requestParameters"]["sourceIPAddress"] == "127.0.0.1"
    assert ordered[0]["awsRegion"] == "us-east-1"


@pytest.fixture
def listening(start_pileus, aws):
    """`listening(events, *options, **bucket)`: (server, client, bucket, take), a bucket on a node with these options
    that tells a queue; `take(n)` are the next n records, in the order in which they come."""

    def listen(events, *options, **settings):
        server = start_pileus(*options)
        account = type(aws)(server.endpoint)
        s3, sqs = account.client("s3"), account.client("sqs")
        arn = f"arn:aws:sqs:us-east-1:{account.account}:heard"
        url = sqs.create_queue(QueueName="heard")["QueueUrl"]
        policy = allow("sqs:SendMessage", arn, Principal={"Service": "s3.amazonaws.com"})
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})

        def take(count):
            found, end = [], time.monotonic() + WAIT_S
            while len(found) < count and time.monotonic() < end:
                for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", ()):
                    body = json.loads(message["Body"])
                    found += body.get("Records") or [body]
                    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            assert len(found) == count, found
            return found

        s3.create_bucket(Bucket="told", **settings)
        s3.put_bucket_notification_configuration(
            Bucket="told", NotificationConfiguration={"QueueConfigurations": [{"QueueArn": arn, "Events": events}]}
        )
        (tested,) = take(1)
        assert tested.keys() == {"Service", "Event", "Time", "Bucket", "RequestId", "HostId"}
        assert (tested["Service"], tested["Event"], tested["Bucket"]) == ("Amazon S3", "s3:TestEvent", "told")
        return server, s3, "told", take

    return listen


def test_a_queue_hears_of_every_kind_of_event(listening):
    families = ["ObjectCreated:*", "ObjectRemoved:*", "ObjectRestore:*", "ObjectTagging:*", "LifecycleExpiration:*"]
    events = [f"s3:{family}" for family in (*families, "ObjectAcl:Put", "LifecycleTransition")]
    server, s3, bucket, take = listening(events, "--clock", "virtual", ObjectOwnership="ObjectWriter")
    names = {"Bucket": bucket, "Key": "a"}

    def names_of(count):
        return [record["eventName"] for record in take(count)]

    s3.put_object(**names, Body=b"x")
    form = s3.generate_presigned_post(bucket, "a")
    fields = {**form["fields"], "file": "x"}
    parts = "".join(
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in fields.items()
    )
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    urllib.request.urlopen(urllib.request.Request(form["url"], f"{parts}--b--\r\n".encode(), headers)).close()
    s3.copy_object(**names, CopySource=f"{bucket}/a", MetadataDirective="REPLACE")
    upload = s3.create_multipart_upload(**names)["UploadId"]
    etag = s3.upload_part(**names, UploadId=upload, PartNumber=1, Body=b"part")["ETag"]
    s3.complete_multipart_upload(**names, UploadId=upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    s3.put_object_tagging(**names, Tagging={"TagSet": [{"Key": "k", "Value": "v"}]})
    s3.delete_object_tagging(**names)
    s3.put_object_acl(**names, ACL="bucket-owner-read")
    s3.delete_object(**names)
    made = ["Put", "Post", "Copy", "CompleteMultipartUpload"]
    assert names_of(8) == [
        *(f"ObjectCreated:{kind}" for kind in made),
        *("ObjectTagging:Put", "ObjectTagging:Delete", "ObjectAcl:Put", "ObjectRemoved:Delete"),
    ]

    s3.put_object(**names, Body=b"x", StorageClass="GLACIER")
    s3.restore_object(**names, RestoreRequest={"Days": 1})
    assert names_of(3) == ["ObjectCreated:Put", "ObjectRestore:Post", "ObjectRestore:Completed"]
    # Made longer: the end that it had first passes without a word.
    assert s3.restore_object(**names, RestoreRequest={"Days": 4})["ResponseMetadata"]["HTTPStatusCode"] == 200
    server.advance(2 * 86_400)
    s3.put_object_tagging(**names, Tagging={"TagSet": []})
    assert names_of(1) == ["ObjectTagging:Put"]
    server.advance(4 * 86_400)
    (ended,) = take(1)
    assert (ended["eventName"], ended["s3"]["object"]["size"]) == ("ObjectRestore:Delete", 1)
    assert ended["requestParameters"]["sourceIPAddress"] == "s3.amazonaws.com"

    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.delete_object(**names)
    rules = [
        {
            "ID": "m",
            "Status": "Enabled",
            "Filter": {"Prefix": "big"},
            "Transitions": [{"Days": 1, "StorageClass": "GLACIER_IR"}],
        },
        {"ID": "e", "Status": "Enabled", "Filter": {"Prefix": "old"}, "Expiration": {"Days": 1}},
        {
            "ID": "n",
            "Status": "Enabled",
            "Filter": {"Prefix": "old"},
            "NoncurrentVersionExpiration": {"NoncurrentDays": 1},
        },
    ]
    s3.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    s3.put_object(Bucket=bucket, Key="big", Body=bytes(200_000))
    s3.put_object(Bucket=bucket, Key="old", Body=b"x")
    assert names_of(3) == ["ObjectRemoved:DeleteMarkerCreated", "ObjectCreated:Put", "ObjectCreated:Put"]
    server.advance(2 * 86_400 + 7200)
    assert sorted(names_of(2)) == ["LifecycleExpiration:DeleteMarkerCreated", "LifecycleTransition"]
    server.advance(3 * 86_400 + 7200)
    # Whatever time of the day it was: the version goes, and a day later the marker that then stands alone.
    assert names_of(2) == ["LifecycleExpiration:Delete"] * 2


def test_events_of_a_key_come_in_their_order(listening):
    _, s3, bucket, take = listening(["s3:ObjectCreated:*", "s3:ObjectRemoved:*"])
    keys, times = ("a", "b", "c"), 8

    def change(key):
        for number in range(times):
            s3.put_object(Bucket=bucket, Key=key, Body=b"x" * number)
            s3.delete_object(Bucket=bucket, Key=key)

    with ThreadPoolExecutor(len(keys)) as pool:
        list(pool.map(change, keys))
    records = take(len(keys) * times * 2)
    for key in keys:
        own = [record for record in records if record["s3"]["object"]["key"] == key]
        assert [record["eventName"] for record in own] == ["ObjectCreated:Put", "ObjectRemoved:Delete"] * times
        assert [record["s3"]["object"]["size"] for record in own[::2]] == list(range(times))
        sequencers = [record["s3"]["object"]["sequencer"] for record in own]
        assert sequencers == sorted(set(sequencers))
