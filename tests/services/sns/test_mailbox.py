"""Mail, text messages and devices: what is sent to them can be read."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from typing import Any

import pytest
from pipes_kit import make_role
from sns_kit import Queue, bare, refused, status_of

from waiting import until


class Mailbox:
    def __init__(self, aws: Any) -> None:
        self.aws = aws

    def ask(self, path: str, method: str = "GET", **query: str) -> Any:
        text = "&".join(f"{name}={value}" for name, value in {"accountId": self.aws.account, **query}.items())
        url = f"{self.aws.endpoint}/_aws/sns/{path}?{text.replace('+', '%2B')}"
        with urllib.request.urlopen(urllib.request.Request(url, method=method)) as answer:
            data = answer.read()
            return json.loads(data) if data else None

    def mails(self, address: str, count: int = 1) -> list[dict[str, Any]]:
        return self._wait("email-messages", "email_messages", address, count)

    def texts(self, number: str, count: int = 1) -> list[dict[str, Any]]:
        return self._wait("sms-messages", "sms_messages", number, count)

    def pushed(self, arn: str, count: int = 1) -> list[dict[str, Any]]:
        return self._wait("platform-endpoint-messages", "platform_endpoint_messages", arn, count)

    def _wait(self, path: str, member: str, to: str, count: int) -> list[dict[str, Any]]:
        def find() -> list[dict[str, Any]]:
            found: list[dict[str, Any]] = self.ask(path)[member].get(to, [])
            return found if len(found) >= count else []

        found: list[dict[str, Any]] = until(find)
        assert len(found) == count
        return found


@pytest.fixture
def mailbox(aws: Any) -> Mailbox:
    return Mailbox(aws)


def test_mail(aws: Any, sns: Any, mailbox: Mailbox) -> None:
    arn = sns.create_topic(Name="t")["TopicArn"]
    answer = sns.subscribe(TopicArn=arn, Protocol="email", Endpoint="a@example.com", ReturnSubscriptionArn=True)
    (asked,) = mailbox.mails("a@example.com")
    assert asked["Subject"] == "AWS Notification - Subscription Confirmation"
    link = re.search(r"http\S+Action=ConfirmSubscription\S+", asked["Message"])
    assert link is not None
    token = mailbox.ask(f"subscription-tokens/{answer['SubscriptionArn']}")
    assert token == {
        "subscription_token": link[0].rpartition("Token=")[2],
        "subscription_arn": answer["SubscriptionArn"],
    }
    sns.publish(TopicArn=arn, Message="before")
    urllib.request.urlopen(link[0]).read()
    sns.publish(TopicArn=arn, Message="hello", Subject="Greeting")
    told = mailbox.mails("a@example.com", 2)[1]
    assert told["Subject"] == "Greeting"
    assert told["Message"].startswith("hello\n")
    assert "Action=Unsubscribe" in told["Message"]
    sns.subscribe(TopicArn=arn, Protocol="email-json", Endpoint="b@example.com")
    json_asked = json.loads(mailbox.mails("b@example.com")[0]["Message"])
    sns.confirm_subscription(TopicArn=arn, Token=json_asked["Token"])
    sns.publish(TopicArn=arn, Message="both")
    envelope = json.loads(mailbox.mails("b@example.com", 2)[1]["Message"])
    assert (envelope["Type"], envelope["Message"]) == ("Notification", "both")
    mailbox.ask("email-messages", "DELETE")
    assert mailbox.ask("email-messages") == {"email_messages": {}, "region": "us-east-1"}
    with pytest.raises(urllib.error.HTTPError):
        mailbox.ask(f"subscription-tokens/{answer['SubscriptionArn']}")


def test_text_messages(aws: Any, sns: Any, mailbox: Mailbox) -> None:
    arn = sns.create_topic(Name="t")["TopicArn"]
    number = "+15551234567"
    subscription = sns.subscribe(TopicArn=arn, Protocol="sms", Endpoint=number)["SubscriptionArn"]
    assert subscription.startswith(arn)
    for punctuated in ("+1 (555) 123-4568", "+15/55-123.4569"):
        answer = sns.subscribe(TopicArn=arn, Protocol="sms", Endpoint=punctuated)
        assert answer["SubscriptionArn"].startswith(arn)
    sns.publish(TopicArn=arn, Message=json.dumps({"default": "d", "sms": "short"}), MessageStructure="json")
    (first,) = mailbox.texts(number)
    assert (first["Message"], first["TopicArn"], first["SubscriptionArn"]) == ("short", arn, subscription)
    sender = {"AWS.SNS.SMS.SenderID": {"DataType": "String", "StringValue": "Me"}}
    id = bare(sns.publish(PhoneNumber=number, Message="direct", MessageAttributes=sender))
    second = mailbox.texts(number, 2)[1]
    assert id == {"MessageId": second["MessageId"]}
    assert second["MessageAttributes"] == sender
    for wrong in ("+1a234", "NAA+15551234567", "+0123"):
        assert refused(sns.publish, PhoneNumber=wrong, Message="m") == (
            "InvalidParameter",
            f"Invalid parameter: PhoneNumber Reason: {wrong} is not valid to publish to",
        )
    assert refused(sns.check_if_phone_number_is_opted_out, phoneNumber="+1a234") == (
        "InvalidParameter",
        "Invalid parameter: PhoneNumber Reason: input incorrectly formatted",
    )
    # Who has opted out gets nothing, until he opts in.
    assert sns.check_if_phone_number_is_opted_out(phoneNumber=number)["isOptedOut"] is False
    mailbox.ask("opted-out", "POST", phoneNumber=number)
    assert sns.check_if_phone_number_is_opted_out(phoneNumber=number)["isOptedOut"] is True
    assert sns.list_phone_numbers_opted_out()["phoneNumbers"] == [number]
    sns.publish(PhoneNumber=number, Message="not this")
    sns.opt_in_phone_number(phoneNumber=number)
    sns.opt_in_phone_number(phoneNumber="+4989123456")
    assert sns.list_phone_numbers_opted_out()["phoneNumbers"] == []
    sns.publish(PhoneNumber=number, Message="but this")
    assert mailbox.texts(number, 3)[2]["Message"] == "but this"


def test_settings_of_text_messages(sns: Any) -> None:
    assert bare(sns.get_sms_attributes()) == {"attributes": {"MonthlySpendLimit": "1"}}
    given = {"DefaultSMSType": "Promotional", "DefaultSenderID": "Test", "DeliveryStatusSuccessSamplingRate": "100"}
    assert bare(sns.set_sms_attributes(attributes=given)) == {}
    assert sns.get_sms_attributes()["attributes"] == {"MonthlySpendLimit": "1", **given}
    some = ["DefaultSMSType", "DefaultSenderID"]
    assert sns.get_sms_attributes(attributes=some)["attributes"] == {name: given[name] for name in some}
    for attributes, message in (
        ({"InvalidAttribute": "x"}, "InvalidAttribute is not a valid attribute"),
        ({"DefaultSMSType": "Invalid"}, "DefaultSMSType is invalid"),
        ({"DefaultSenderID": "123"}, "DefaultSenderID is invalid"),
        ({"DefaultSenderID": "a" * 12}, "DefaultSenderID is invalid"),
    ):
        assert refused(sns.set_sms_attributes, attributes=attributes) == ("InvalidParameter", message)
    sns.set_sms_attributes(attributes=dict.fromkeys(given, ""))
    assert sns.get_sms_attributes()["attributes"] == {"MonthlySpendLimit": "1"}


def test_the_sandbox(aws: Any, sns: Any, mailbox: Mailbox) -> None:
    number = "+15557654321"
    assert sns.get_sms_sandbox_account_status()["IsInSandbox"] is False
    sns.create_sms_sandbox_phone_number(PhoneNumber=number)
    listed = [{"PhoneNumber": number, "Status": "Pending"}]
    assert bare(sns.list_sms_sandbox_phone_numbers()) == {"PhoneNumbers": listed}
    password = mailbox.texts(number)[0]["Message"].rpartition(" ")[2]
    wrong = "00000" if password != "00000" else "11111"
    verify = sns.verify_sms_sandbox_phone_number
    assert refused(verify, PhoneNumber=number, OneTimePassword=wrong)[0] == "VerificationException"
    verify(PhoneNumber=number, OneTimePassword=password)
    assert sns.list_sms_sandbox_phone_numbers()["PhoneNumbers"][0]["Status"] == "Verified"
    sns.delete_sms_sandbox_phone_number(PhoneNumber=number)
    assert refused(sns.delete_sms_sandbox_phone_number, PhoneNumber=number)[0] == "ResourceNotFound"
    assert sns.list_origination_numbers()["PhoneNumbers"] == []
    for n in range(10):
        sns.create_sms_sandbox_phone_number(PhoneNumber=f"+1555000000{n}")
    sns.create_sms_sandbox_phone_number(PhoneNumber="+15550000009")
    assert refused(sns.create_sms_sandbox_phone_number, PhoneNumber=number)[0] == "UserError"
    mailbox.ask("opted-out", "POST", phoneNumber=number)
    assert refused(sns.create_sms_sandbox_phone_number, PhoneNumber=number)[0] == "OptedOut"


def _application(sns: Any, name: str = "app") -> str:
    attributes = {"PlatformCredential": "secret", "PlatformPrincipal": "id"}
    arn: str = sns.create_platform_application(Name=name, Platform="ADM", Attributes=attributes)[
        "PlatformApplicationArn"
    ]
    return arn


def test_platform_applications(aws: Any, sns: Any) -> None:
    arn = _application(sns)
    assert arn == f"arn:aws:sns:us-east-1:{aws.account}:app/ADM/app"
    get = sns.get_platform_application_attributes
    assert bare(get(PlatformApplicationArn=arn)) == {"Attributes": {"Enabled": "true"}}
    assert bare(sns.list_platform_applications()) == {
        "PlatformApplications": [{"PlatformApplicationArn": arn, "Attributes": {"Enabled": "true"}}]
    }
    put = sns.set_platform_application_attributes
    put(PlatformApplicationArn=arn, Attributes={"Enabled": "false"})
    assert get(PlatformApplicationArn=arn)["Attributes"] == {"Enabled": "false"}
    assert refused(get, PlatformApplicationArn="invalid") == (
        "InvalidParameter",
        "Invalid parameter: PlatformApplicationArn Reason: An ARN must have at least 6 elements, not 1",
    )
    assert refused(get, PlatformApplicationArn=arn + "x") == ("NotFound", "PlatformApplication does not exist")
    assert status_of(get, PlatformApplicationArn=arn + "x") == 404
    assert refused(put, PlatformApplicationArn=arn + "x", Attributes={"Dummy": "x"})[0] == "NotFound"
    null = (
        "ValidationError",
        "1 validation error detected: Value null at 'attributes' failed to satisfy constraint: Member must not be null",
    )
    assert refused(put, PlatformApplicationArn=arn, Attributes={}) == null
    create = sns.create_platform_application
    assert refused(create, Name="n", Platform="ADM", Attributes={}) == null
    for attributes, reason in (
        ({"PlatformPrincipal": "x"}, "PlatformPrincipal attribute provided without PlatformCredential"),
        ({"PlatformCredential": "x"}, "PlatformCredential attribute provided without PlatformPrincipal"),
    ):
        assert refused(create, Name="n", Platform="ADM", Attributes=attributes) == (
            "InvalidParameter",
            f"Invalid parameter: Attributes Reason: {reason}",
        )
    good = {"PlatformCredential": "x", "PlatformPrincipal": "x"}
    for name, value, wanted in (
        ("SuccessFeedbackSampleRate", "101", "must be an integer between 0 and 100"),
        ("SuccessFeedbackSampleRate", "some", "must be an integer between 0 and 100"),
        ("FailureFeedbackRoleArn", "me", "must be the ARN of a role"),
    ):
        reason = f"Invalid parameter: Attributes Reason: Invalid value for attribute: {name}: {wanted}"
        assert refused(create, Name="n", Platform="ADM", Attributes=good | {name: value})[1] == reason
        assert refused(put, PlatformApplicationArn=arn, Attributes={name: value})[1] == reason
    put(PlatformApplicationArn=arn, Attributes={"SuccessFeedbackSampleRate": "", "SuccessFeedbackRoleArn": ""})
    for name, reason in (
        ("", "cannot be empty"),
        ("@name", "must contain only characters 'a'-'z', 'A'-'Z', '0'-'9', '_', '-', and '.'"),
        ("a" * 257, "must be at most 256 characters long"),
    ):
        assert refused(create, Name=name, Platform="ADM", Attributes=good)[1] == (
            f"Invalid parameter: {name} Reason: {reason}"
        )
    assert refused(create, Name="n", Platform="AAA", Attributes=good)[1] == (
        "Invalid parameter: Platform Reason: AAA is not supported"
    )
    sns.delete_platform_application(PlatformApplicationArn=arn)
    assert sns.list_platform_applications()["PlatformApplications"] == []


def test_endpoints(aws: Any, sns: Any) -> None:
    app = _application(sns)
    create, put = sns.create_platform_endpoint, sns.set_endpoint_attributes
    arn = create(PlatformApplicationArn=app, Token="token_1")["EndpointArn"]
    assert arn.startswith(f"arn:aws:sns:us-east-1:{aws.account}:endpoint/ADM/app/")
    assert create(PlatformApplicationArn=app, Token="token_1")["EndpointArn"] == arn
    assert refused(create, PlatformApplicationArn=app, Token="token_1", CustomUserData="x") == (
        "InvalidParameter",
        f"Invalid parameter: Token Reason: Endpoint {arn} already exists with the same Token, but different "
        "attributes.",
    )
    shown = {"Enabled": "true", "Token": "token_1"}
    assert bare(sns.get_endpoint_attributes(EndpointArn=arn)) == {"Attributes": shown}
    assert bare(sns.list_endpoints_by_platform_application(PlatformApplicationArn=app)) == {
        "Endpoints": [{"EndpointArn": arn, "Attributes": shown}]
    }
    for attributes, reason in (
        ({"InvalidKey": "x"}, "Invalid attribute name: InvalidKey"),
        ({"PlatformCredential": "x"}, "Invalid attribute name: PlatformCredential"),
        (
            {"CustomUserData": "x" * 2049},
            "Invalid value for attribute: CustomUserData: must be at most 2048 bytes long in UTF-8 encoding",
        ),
    ):
        expected = ("InvalidParameter", f"Invalid parameter: Attributes Reason: {reason}")
        assert refused(create, PlatformApplicationArn=app, Token="t", Attributes=attributes) == expected
        assert refused(put, EndpointArn=arn, Attributes=attributes) == expected
    assert refused(put, EndpointArn=app, Attributes={"Enabled": "true"})[1] == (
        "Invalid parameter: EndpointArn Reason: Wrong number of slashes in relative portion of the ARN."
    )
    none = arn[:-1] + ("0" if arn[-1] != "0" else "1")
    assert refused(put, EndpointArn=none, Attributes={"Enabled": "true"}) == ("NotFound", "Endpoint does not exist")
    assert refused(create, PlatformApplicationArn=app + "x", Token="t")[0] == "NotFound"
    other = create(PlatformApplicationArn=app, Token="token_2")["EndpointArn"]
    assert refused(put, EndpointArn=other, Attributes={"Token": "token_1"})[1] == (
        "Invalid parameter: Attributes Reason: Invalid value for attribute: Token: This endpoint is already "
        "registered with a different token."
    )
    sns.delete_endpoint(EndpointArn=other)
    apple = sns.create_platform_application(
        Name="apple", Platform="APNS", Attributes={"PlatformCredential": "key", "PlatformPrincipal": "cert"}
    )["PlatformApplicationArn"]
    for token in ("no hexadecimal", "a" * 401):
        assert refused(create, PlatformApplicationArn=apple, Token=token) == (
            "InvalidParameter",
            "Invalid parameter: Token Reason: iOS device tokens must be no more than 400 hexadecimal characters",
        )
    sns.delete_endpoint(EndpointArn=arn)
    sns.delete_endpoint(EndpointArn=arn)
    assert sns.list_endpoints_by_platform_application(PlatformApplicationArn=app)["Endpoints"] == []


def test_devices_get_messages(aws: Any, sns: Any, mailbox: Mailbox) -> None:
    app = _application(sns)
    arn = sns.create_platform_endpoint(PlatformApplicationArn=app, Token="t", CustomUserData="u")["EndpointArn"]
    text = json.dumps({"default": "d", "ADM": '{"data": {"x": "y"}}'})
    sns.publish(TargetArn=arn, Message=text, MessageStructure="json")
    (pushed,) = mailbox.pushed(arn)
    assert (pushed["Message"], pushed["TargetArn"]) == ('{"data": {"x": "y"}}', arn)
    for wrong in ('{"sms": "x"}', '{"default": {"x": "y"}}'):
        assert refused(sns.publish, TargetArn=arn, Message=wrong, MessageStructure="json") == (
            "InvalidParameter",
            "Invalid parameter: JSON must contain an entry for 'default' or 'ADM'.",
        )
    sns.publish(TargetArn=arn, Message='{"ADM": "alone"}', MessageStructure="json")
    assert mailbox.pushed(arn, 2)[1]["Message"] == "alone"
    topic = sns.create_topic(Name="t")["TopicArn"]
    dead = Queue(aws, "dead")
    redrive = {"RedrivePolicy": json.dumps({"deadLetterTargetArn": dead.arn})}
    sns.subscribe(TopicArn=topic, Protocol="application", Endpoint=arn, Attributes=redrive)
    sns.publish(TopicArn=topic, Message="to all")
    assert mailbox.pushed(arn, 3)[2]["Message"] == "to all"
    sns.set_endpoint_attributes(EndpointArn=arn, Attributes={"Enabled": "false"})
    assert refused(sns.publish, TargetArn=arn, Message="m") == ("EndpointDisabled", "Endpoint is disabled")
    sns.publish(TopicArn=topic, Message="lost")
    assert dead.texts() == ["lost"]


def test_what_becomes_of_devices_is_published(aws: Any, sns: Any) -> None:
    topic = sns.create_topic(Name="told")["TopicArn"]
    queue = Queue(aws, "q")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
    app = _application(sns)
    events = {f"Event{event}": topic for event in ("EndpointCreated", "EndpointDeleted", "EndpointUpdated")}
    events["EventDeliveryFailure"] = topic
    sns.set_platform_application_attributes(PlatformApplicationArn=app, Attributes=events)

    def told(event: str, arn: str) -> dict[str, Any]:
        (envelope,) = queue.bodies()
        assert envelope["Subject"] == f"{event} event for app app (ADM)"
        body = json.loads(envelope["Message"])
        assert body.pop("Time").endswith("Z")
        common = {"EndpointArn": arn, "EventType": event, "Resource": app, "Service": "SNS"}
        assert {name: body.pop(name) for name in common} == common
        return dict(body)

    arn = sns.create_platform_endpoint(PlatformApplicationArn=app, Token="t")["EndpointArn"]
    assert told("EndpointCreated", arn) == {}
    sns.create_platform_endpoint(PlatformApplicationArn=app, Token="t")
    sns.set_endpoint_attributes(EndpointArn=arn, Attributes={"Enabled": "true"})
    sns.set_endpoint_attributes(EndpointArn=arn, Attributes={"Enabled": "false"})
    assert told("EndpointUpdated", arn) == {}
    all = sns.create_topic(Name="all")["TopicArn"]
    sns.subscribe(TopicArn=all, Protocol="application", Endpoint=arn)
    id = sns.publish(TopicArn=all, Message="lost")["MessageId"]
    assert told("DeliveryFailure", arn) == {
        "DeliveryAttempts": 1,
        "FailureMessage": "Endpoint is disabled",
        "FailureType": "EndpointDisabled",
        "MessageId": id,
    }
    sns.delete_endpoint(EndpointArn=arn)
    sns.delete_endpoint(EndpointArn=arn)
    assert told("EndpointDeleted", arn) == {}
    assert queue.held() == 0


def test_devices_that_are_not_reached_do_not_tell_each_other(aws: Any, sns: Any) -> None:
    """What is told of one would go to both, and be told again, twice as often each time."""
    topic = sns.create_topic(Name="round")["TopicArn"]
    app = _application(sns)
    for token in ("one", "other"):
        arn = sns.create_platform_endpoint(PlatformApplicationArn=app, Token=token)["EndpointArn"]
        sns.set_endpoint_attributes(EndpointArn=arn, Attributes={"Enabled": "false"})
        sns.subscribe(TopicArn=topic, Protocol="application", Endpoint=arn)
    sns.set_platform_application_attributes(PlatformApplicationArn=app, Attributes={"EventDeliveryFailure": topic})
    queue = Queue(aws, "q")
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue.arn)
    for _ in range(3):
        id = sns.publish(TopicArn=topic, Message="lost")["MessageId"]
        messages = [envelope["Message"] for envelope in queue.bodies(3)]
        messages.remove("lost")
        assert [json.loads(message)["MessageId"] for message in messages] == [id, id]


def test_deliveries_to_devices_and_phones_are_logged(aws: Any, sns: Any, mailbox: Mailbox) -> None:
    role = make_role(aws, "feedback", "sns")
    feedback = {"SuccessFeedbackRoleArn": role, "FailureFeedbackRoleArn": role, "SuccessFeedbackSampleRate": "100"}
    app = _application(sns)
    sns.set_platform_application_attributes(PlatformApplicationArn=app, Attributes=feedback)
    arn = sns.create_platform_endpoint(PlatformApplicationArn=app, Token="token")["EndpointArn"]
    logs = aws.client("logs")

    def report(group: str) -> dict[str, Any]:
        def find() -> Any:
            try:
                return logs.filter_log_events(logGroupName=f"sns/us-east-1/{aws.account}/{group}")["events"]
            except logs.exceptions.ResourceNotFoundException:
                return []

        (event,) = until(find)
        found: dict[str, Any] = json.loads(event["message"])
        assert found["notification"].pop("timestamp")
        assert found["delivery"].pop("dwellTimeMs") >= 0
        return found

    id = sns.publish(TargetArn=arn, Message="m")["MessageId"]
    kept = "Message has been kept"
    delivery = {"statusCode": 200, "token": "token", "attempts": 1, "providerResponse": kept, "destination": arn}
    assert report("app/ADM/app") == {"notification": {"messageId": id}, "delivery": delivery, "status": "SUCCESS"}
    topic = sns.create_topic(Name="t")["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="application", Endpoint=arn)
    sns.set_endpoint_attributes(EndpointArn=arn, Attributes={"Enabled": "false"})
    id = sns.publish(TopicArn=topic, Message="m")["MessageId"]
    delivery |= {"statusCode": 400, "providerResponse": "Endpoint is disabled"}
    assert report("app/ADM/app/Failure") == {
        "notification": {"messageId": id},
        "delivery": delivery,
        "status": "FAILURE",
    }
    sns.set_sms_attributes(attributes={"DeliveryStatusIAMRole": role, "DeliveryStatusSuccessSamplingRate": "100"})
    number = "+15551112222"
    attribute = {"AWS.SNS.SMS.SMSType": {"DataType": "String", "StringValue": "Transactional"}}
    id = sns.publish(PhoneNumber=number, Message="x" * 161, MessageAttributes=attribute)["MessageId"]
    sent = {
        "numberOfMessageParts": 2,
        "destination": number,
        "priceInUSD": 0,
        "smsType": "Transactional",
        "providerResponse": kept,
    }
    direct = "DirectPublishToPhoneNumber"
    assert report(direct) == {"notification": {"messageId": id}, "delivery": sent, "status": "SUCCESS"}
    sns.subscribe(TopicArn=topic, Protocol="sms", Endpoint=number)
    sns.publish(TopicArn=topic, Message="é" * 70)
    sent |= {"numberOfMessageParts": 1, "smsType": "Promotional"}
    assert report("t")["delivery"] == sent
    mailbox.ask("opted-out", "POST", phoneNumber=number)
    sns.publish(PhoneNumber=number, Message="m")
    sent["providerResponse"] = "The phone number has opted out."
    assert report(f"{direct}/Failure")["delivery"] == sent
    sns.publish(TopicArn=topic, Message="m")
    assert report("t/Failure")["delivery"] == sent


def test_strangers_see_no_mail(aws: Any, mailbox: Mailbox) -> None:
    request = urllib.request.Request(
        f"{aws.endpoint}/_aws/sns/sms-messages", headers={"Origin": "https://elsewhere.example"}
    )
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code == 403
