"""Who may do what with a queue."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import ClientError
from sqs_kit import Query, bodies, caught, counts, texts


def role_client(aws: Any, name: str, statements: list[dict[str, Any]]) -> Any:
    iam, sts = aws.client("iam"), aws.client("sts")
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": f"arn:aws:iam::{aws.account}:root"}}
        ],
    }
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
    if statements:
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=document)
    return aws.client("sqs", credentials=sts.assume_role(RoleArn=arn, RoleSessionName="session")["Credentials"])


def test_what_no_policy_allows_is_denied(aws: Any, sqs: Any) -> None:
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:{aws.account}:q"
    client = role_client(aws, "sender", [{"Effect": "Allow", "Action": "sqs:SendMessage", "Resource": arn}])
    client.send_message(QueueUrl=url, MessageBody="m")
    client.send_message_batch(QueueUrl=url, Entries=[{"Id": "1", "MessageBody": "m"}])
    code, message, status = caught(client.receive_message, QueueUrl=url)
    assert (code, status) == ("AccessDenied", 403)
    assert message == (
        f"User: arn:aws:sts::{aws.account}:assumed-role/sender/session is not authorized to perform: "
        f"sqs:receivemessage on resource: {arn} because no identity-based policy allows the sqs:receivemessage action"
    )
    assert caught(client.list_queues)[0] == "AccessDenied"
    (got,) = sqs.receive_message(QueueUrl=url, AttributeNames=["SenderId"])["Messages"]
    assert got["Attributes"]["SenderId"].startswith("AROA")
    assert got["Attributes"]["SenderId"].endswith(":session")


def test_permissions_are_added_and_removed(aws: Any, sqs: Any) -> None:
    from conftest import Account

    other = Account(aws.endpoint)
    url = sqs.create_queue(QueueName="shared")["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:{aws.account}:shared"
    stranger = other.client("sqs")
    sqs.send_message(QueueUrl=url, MessageBody="m")
    assert caught(stranger.receive_message, QueueUrl=url)[0] == "AccessDenied"
    sqs.add_permission(
        QueueUrl=url, Label="share", AWSAccountIds=[other.account, aws.account], Actions=["ReceiveMessage"]
    )
    policy = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])["Attributes"]["Policy"]
    assert json.loads(policy) == {
        "Version": "2008-10-17",
        "Id": f"{arn}/SQSDefaultPolicy",
        "Statement": [
            {
                "Sid": "share",
                "Effect": "Allow",
                "Principal": {
                    "AWS": [f"arn:aws:iam::{other.account}:root", f"arn:aws:iam::{aws.account}:root"],
                },
                "Action": "SQS:ReceiveMessage",
                "Resource": arn,
            }
        ],
    }
    assert bodies(stranger.receive_message(QueueUrl=url)) == ["m"]
    assert caught(stranger.send_message, QueueUrl=url, MessageBody="m")[0] == "AccessDenied"
    assert caught(
        sqs.add_permission, QueueUrl=url, Label="share", AWSAccountIds=[other.account], Actions=["ReceiveMessage"]
    )[:2] == ("InvalidParameterValue", "Value share for parameter Label is invalid. Reason: Already exists.")
    sqs.remove_permission(QueueUrl=url, Label="share")
    assert "Attributes" not in sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
    assert caught(stranger.receive_message, QueueUrl=url)[0] == "AccessDenied"
    assert caught(sqs.remove_permission, QueueUrl=url, Label="share")[:2] == (
        "InvalidParameterValue",
        "Value share for parameter Label is invalid. Reason: can't find label.",
    )


def test_everybody_where_the_policy_says_so(aws: Any, sqs: Any, query: Query) -> None:
    url = sqs.create_queue(QueueName="open")["QueueUrl"]
    status, xml = query("SendMessage", url, sign=False, MessageBody="m")
    assert (status, texts(xml, "Code")) == (403, ["AccessDenied"])
    statement = {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    status, xml = query("SendMessage", url, sign=False, MessageBody="from nobody")
    assert status == 200
    assert bodies(sqs.receive_message(QueueUrl=url)) == ["from nobody"]
    assert query("ReceiveMessage", url, sign=False)[0] == 403
    # Nor need they say a version: the address is enough.
    with urllib.request.urlopen(f"{url}?Action=SendMessage&MessageBody=from+a+browser") as answer:
        assert texts(answer.read().decode(), "MessageId")
    assert bodies(sqs.receive_message(QueueUrl=url)) == ["from a browser"]


def test_every_operation_is_asked_for(aws: Any, sqs: Any) -> None:
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:{aws.account}:q"
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 1})
    source = sqs.create_queue(QueueName="source", Attributes={"RedrivePolicy": policy})["QueueUrl"]
    sqs.send_message(QueueUrl=source, MessageBody="m")
    for _ in range(2):
        sqs.receive_message(QueueUrl=source, VisibilityTimeout=0)
    (message,) = sqs.receive_message(QueueUrl=url, VisibilityTimeout=600)["Messages"]
    handle = message["ReceiptHandle"]
    task = sqs.start_message_move_task(SourceArn=arn)["TaskHandle"]
    client = role_client(aws, "nobody", [])
    on_queue: dict[str, dict[str, Any]] = {
        "AddPermission": {"Label": "l", "AWSAccountIds": [aws.account], "Actions": ["SendMessage"]},
        "ChangeMessageVisibility": {"ReceiptHandle": handle, "VisibilityTimeout": 0},
        "DeleteMessage": {"ReceiptHandle": handle},
        "DeleteQueue": {},
        "GetQueueAttributes": {},
        "ListDeadLetterSourceQueues": {},
        "ListQueueTags": {},
        "PurgeQueue": {},
        "ReceiveMessage": {"WaitTimeSeconds": 20},
        "RemovePermission": {"Label": "l"},
        "SendMessage": {"MessageBody": "m"},
        "SetQueueAttributes": {"Attributes": {"DelaySeconds": "1"}},
        "TagQueue": {"Tags": {"k": "v"}},
        "UntagQueue": {"TagKeys": ["k"]},
    }
    calls = [(name, name, {"QueueUrl": url, **request}) for name, request in on_queue.items()]
    calls += [
        (
            "ChangeMessageVisibilityBatch",
            "ChangeMessageVisibility",
            {"QueueUrl": url, "Entries": [{"Id": "1", "ReceiptHandle": handle, "VisibilityTimeout": 0}]},
        ),
        ("DeleteMessageBatch", "DeleteMessage", {"QueueUrl": url, "Entries": [{"Id": "1", "ReceiptHandle": handle}]}),
        ("SendMessageBatch", "SendMessage", {"QueueUrl": url, "Entries": [{"Id": "1", "MessageBody": "m"}]}),
        ("CreateQueue", "CreateQueue", {"QueueName": "q"}),
        ("GetQueueUrl", "GetQueueUrl", {"QueueName": "q"}),
        ("StartMessageMoveTask", "StartMessageMoveTask", {"SourceArn": arn}),
        ("ListMessageMoveTasks", "ListMessageMoveTasks", {"SourceArn": arn}),
        ("CancelMessageMoveTask", "CancelMessageMoveTask", {"TaskHandle": task}),
    ]
    for operation, action, request in calls:
        # Denied at once, and before anything is done.
        with pytest.raises(ClientError) as denied:
            client._make_api_call(operation, request)
        error = denied.value.response
        assert (error["Error"]["Code"], error["ResponseMetadata"]["HTTPStatusCode"]) == ("AccessDenied", 403), operation
        shown = f"sqs:{action.lower()}"
        assert error["Error"]["Message"].endswith(
            f"is not authorized to perform: {shown} on resource: {arn} "
            f"because no identity-based policy allows the {shown} action"
        )
    # What may be done to any queue, all but ListQueues, is all there is.
    assert {operation for operation, _, _ in calls} == set(sqs.meta.service_model.operation_names) - {"ListQueues"}
    assert counts(sqs, url) == (0, 1, 0)


def test_a_queues_own_policy_allows_and_denies(aws: Any, sqs: Any) -> None:
    url = sqs.create_queue(QueueName="own")["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:{aws.account}:own"
    client = role_client(aws, "guest", [])
    role = f"arn:aws:iam::{aws.account}:role/guest"

    def put(*statements: dict[str, Any]) -> None:
        document = {"Version": "2012-10-17", "Statement": [{"Resource": arn, **one} for one in statements]}
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(document)})

    allow = {"Effect": "Allow", "Principal": {"AWS": role}, "Action": ["sqs:SendMessage", "sqs:ReceiveMessage"]}
    put(allow)
    client.send_message(QueueUrl=url, MessageBody="m")
    assert bodies(client.receive_message(QueueUrl=url, VisibilityTimeout=0)) == ["m"]
    # A denial counts for the account's root as well, for what it names.
    put(allow, {"Effect": "Deny", "Principal": "*", "Action": ["sqs:SendMessage", "sqs:ReceiveMessage"]})
    for one in (client, sqs):
        for call, request in (
            (one.send_message, {"MessageBody": "m"}),
            (one.send_message_batch, {"Entries": [{"Id": "1", "MessageBody": "m"}]}),
            (one.receive_message, {"WaitTimeSeconds": 20}),
        ):
            code, message, status = caught(call, QueueUrl=url, **request)
            assert (code, status) == ("AccessDenied", 403)
            assert message.endswith("with an explicit deny in a resource-based policy")
    assert counts(sqs, url) == (1, 0, 0)
    # Only from where it may come: as queues for a topic's or a bucket's events are guarded.
    source = {"ArnLike": {"aws:SourceArn": "arn:aws:s3:::bucket"}}
    put({**allow, "Condition": source})
    assert caught(client.send_message, QueueUrl=url, MessageBody="m")[0] == "AccessDenied"


def test_another_accounts_users_need_both(aws: Any, sqs: Any) -> None:
    other = type(aws)(aws.endpoint)
    url = sqs.create_queue(QueueName="far")["QueueUrl"]
    able = [{"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}]
    allowed, unable = role_client(other, "able", able), role_client(other, "unable", [])
    for client in (allowed, unable):
        assert caught(client.send_message, QueueUrl=url, MessageBody="m")[0] == "AccessDenied"
    sqs.add_permission(QueueUrl=url, Label="l", AWSAccountIds=[other.account], Actions=["SendMessage", "GetQueueUrl"])
    allowed.send_message(QueueUrl=url, MessageBody="from afar")
    assert allowed.get_queue_url(QueueName="far", QueueOwnerAWSAccountId=aws.account)["QueueUrl"] == url
    assert caught(unable.send_message, QueueUrl=url, MessageBody="m")[0] == "AccessDenied"
    assert caught(allowed.delete_queue, QueueUrl=url)[0] == "AccessDenied"
    assert bodies(sqs.receive_message(QueueUrl=url)) == ["from afar"]
