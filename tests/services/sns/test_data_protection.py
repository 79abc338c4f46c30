"""Data protection policies: what is denied, masked and reported."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sns_kit import Queue, bare, refused

from waiting import until

PREFIX = "arn:aws:dataprotection::aws:data-identifier/"


def policy(operation: dict[str, Any], *identifiers: str, direction: str = "Inbound", **statement: Any) -> str:
    named = [one if one.startswith("My") else PREFIX + one for one in identifiers]
    given = {"DataDirection": direction, "Principal": ["*"], "DataIdentifier": named, "Operation": operation}
    document = {
        "Name": "data_protection_policy",
        "Description": "Test Policy",
        "Version": "2021-06-01",
        "Statement": [{"Sid": "s", **given, **statement}],
        "Configuration": {"CustomDataIdentifier": [{"Name": "MyId", "Regex": "EID-[0-9]{4}"}]},
    }
    return json.dumps(document)


def topic(aws: Any, sns: Any, text: str) -> tuple[str, Queue]:
    arn = sns.create_topic(Name="t", DataProtectionPolicy=text)["TopicArn"]
    queue = Queue(aws, "q")
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue.arn)
    return arn, queue


def test_policies_are_kept(sns: Any) -> None:
    arn = sns.create_topic(Name="t")["TopicArn"]
    assert "DataProtectionPolicy" not in sns.get_data_protection_policy(ResourceArn=arn)
    before = bare(sns.get_topic_attributes(TopicArn=arn))
    text = policy({"Deny": {}}, "EmailAddress")
    sns.put_data_protection_policy(ResourceArn=arn, DataProtectionPolicy=text)
    assert sns.get_data_protection_policy(ResourceArn=arn)["DataProtectionPolicy"] == text
    assert bare(sns.get_topic_attributes(TopicArn=arn)) == before


def test_what_is_denied_is_not_published(aws: Any, sns: Any) -> None:
    arn, queue = topic(aws, sns, policy({"Deny": {}}, "EmailAddress", "CreditCardNumber"))
    for text in ("mail a.b@example.com", "card 4111 1111 1111 1111"):
        assert refused(sns.publish, TopicArn=arn, Message=text)[0] == "AuthorizationError"
    texts = ["no card 4111 1111 1111 1112", "a@b.co", "fine"]
    entries = [{"Id": str(n), "Message": text} for n, text in enumerate(texts)]
    answer = sns.publish_batch(TopicArn=arn, PublishBatchRequestEntries=entries)
    assert [one["Id"] for one in answer["Successful"]] == ["0", "2"]
    (failed,) = answer["Failed"]
    assert (failed["Id"], failed["Code"], failed["SenderFault"]) == ("1", "AuthorizationError", True)
    assert sorted(queue.texts(2)) == ["fine", texts[0]]


def test_what_comes_in_is_masked(aws: Any, sns: Any) -> None:
    mask = {"Deidentify": {"MaskConfig": {"MaskWithCharacter": "#"}}}
    arn, queue = topic(aws, sns, policy(mask, "Ssn-US", "IpAddress", "MyId"))
    sns.publish(TopicArn=arn, Message="of 123-45-6789 at 10.0.0.1 is EID-1234, not 1.2.3")
    assert queue.texts() == ["of ########### at ######## is ########, not 1.2.3"]


def test_what_goes_out_depends_on_who_subscribes(aws: Any, pileus: Any, sns: Any) -> None:
    other = type(aws)(pileus.endpoint)
    arn = sns.create_topic(Name="t")["TopicArn"]
    sns.add_permission(TopicArn=arn, Label="l", AWSAccountId=[other.account], ActionName=["Subscribe"])
    ours, theirs = Queue(aws, "q"), Queue(other, "q")
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=ours.arn)
    other.client("sns").subscribe(TopicArn=arn, Protocol="sqs", Endpoint=theirs.arn)
    theirs_only = [f"arn:aws:iam::{other.account}:root"]

    def put(operation: dict[str, Any]) -> None:
        text = policy(operation, "EmailAddress", direction="Outbound", Principal=theirs_only)
        sns.put_data_protection_policy(ResourceArn=arn, DataProtectionPolicy=text)

    put({"Deidentify": {"RedactConfig": {}}})
    sns.publish(TopicArn=arn, Message="from a@example.com")
    assert (ours.texts(), theirs.texts()) == (["from a@example.com"], ["from "])
    put({"Deny": {}})
    sns.publish(TopicArn=arn, Message="from b@example.com")
    sns.publish(TopicArn=arn, Message="last")
    assert sorted(ours.texts(2)) == ["from b@example.com", "last"]
    assert theirs.texts() == ["last"]


def test_findings_are_reported(aws: Any, sns: Any) -> None:
    logs = aws.client("logs")
    group = "/aws/vendedlogs/findings"
    logs.create_log_group(logGroupName=group)
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "delivery.logs.amazonaws.com"},
        "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
        "Resource": "*",
    }
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    logs.put_resource_policy(policyName="p", policyDocument=document)
    audit = {"Audit": {"SampleRate": "99", "FindingsDestination": {"CloudWatchLogs": {"LogGroup": group}}}}
    arn, _ = topic(aws, sns, policy(audit, "EmailAddress"))
    ids = {sns.publish(TopicArn=arn, Message=f"a@example.com {n}")["MessageId"] for n in range(5)}
    sns.publish(TopicArn=arn, Message="nothing")
    found = until(lambda: logs.filter_log_events(logGroupName=group)["events"])
    report = json.loads(found[0]["message"])
    assert report["messageId"] in ids
    assert report["resourceArn"] == arn
    assert report["dataIdentifiers"] == [{"name": "EmailAddress", "count": 1, "detections": [{"start": 0, "end": 13}]}]


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        json.dumps({"Name": "n", "Version": "2012-10-17", "Statement": [{}]}),
        policy({}, "EmailAddress"),
        policy({"Deny": {}}, "EmailAddress", direction="Sideways"),
        policy({"Deidentify": {}}, "EmailAddress"),
        policy({"Audit": {"SampleRate": "100"}}, "EmailAddress"),
        policy({"Deny": {}}, "EmailAddress", DataIdentifier=["none"]),
    ],
)
def test_bad_policies_are_refused(sns: Any, text: str) -> None:
    arn = sns.create_topic(Name="t")["TopicArn"]
    code, message = refused(sns.put_data_protection_policy, ResourceArn=arn, DataProtectionPolicy=text)
    assert (code, message.startswith("Invalid parameter: DataProtectionPolicy: ")) == ("InvalidParameter", True)


def test_no_text_takes_long(aws: Any, sns: Any) -> None:
    identifiers = ("EmailAddress", "CreditCardNumber", "IpAddress", "PkcsPrivateKey", "PhoneNumber-US", "MyId")
    arn, queue = topic(aws, sns, policy({"Deny": {}}, *identifiers))
    for piece in ("a", "1", "1-", "1.", "a.", "a@", "-----BEGIN PRIVATE KEY-----", "EID-"):
        sns.publish(TopicArn=arn, Message=piece * (200_000 // len(piece)))
    assert len(queue.texts(8)) == 8
    slow = json.loads(policy({"Deny": {}}, "MyId"))
    for regex in ("a*a*b", "[a-z]+[a-z]+[0-9]+", "a{1,99}a{1,99}"):
        slow["Configuration"]["CustomDataIdentifier"][0]["Regex"] = regex
        code, _ = refused(sns.put_data_protection_policy, ResourceArn=arn, DataProtectionPolicy=json.dumps(slow))
        assert code == "NotImplemented"
    for regex in ("(a+)+b", "[", "a" * 201):
        slow["Configuration"]["CustomDataIdentifier"][0]["Regex"] = regex
        code, _ = refused(sns.put_data_protection_policy, ResourceArn=arn, DataProtectionPolicy=json.dumps(slow))
        assert code == "InvalidParameter"


def test_what_cannot_be_looked_for_is_refused_by_name(sns: Any) -> None:
    arn = sns.create_topic(Name="t")["TopicArn"]
    text = policy({"Deny": {}}, "Name")
    code, message = refused(sns.put_data_protection_policy, ResourceArn=arn, DataProtectionPolicy=text)
    assert (code, "Looking for Name" in message) == ("NotImplemented", True)
