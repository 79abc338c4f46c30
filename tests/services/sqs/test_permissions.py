"""Who may do what with a queue."""

from __future__ import annotations

import json
from typing import Any

from sqs_kit import Query, bodies, caught, texts


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
