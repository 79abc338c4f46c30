"""Subscribers over HTTP: asked, signed to, tried again; and what ends their subscription."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from sns_kit import Queue, refused
from sns_web import Got, Web


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


# As the verifying libraries have it: where certificates may come from.
AWS_HOST = re.compile(r"^https://sns\.[a-zA-Z0-9-]{3,}\.amazonaws\.com(\.cn)?/[^?]*\.pem$")


def verify(message: dict[str, Any], *, fetched_from: str = "") -> None:
    """What AWS's libraries do to be sure of a message. Raises where they would refuse it."""
    url = message["SigningCertURL"]
    if fetched_from:
        assert AWS_HOST.match(url)
        url = fetched_from + "/" + url.rpartition("/")[2]
    certificate = x509.load_pem_x509_certificate(urllib.request.urlopen(url).read())
    names = ("Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
    if message["Type"] == "Notification":
        names = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
    text = "".join(f"{name}\n{message[name]}\n" for name in names if name in message)
    digest = SHA1() if message["SignatureVersion"] == "1" else SHA256()
    key = certificate.public_key()
    assert isinstance(key, RSAPublicKey)
    key.verify(b64decode(message["Signature"]), text.encode(), PKCS1v15(), digest)


def subscribed(sns: Any, web: Web, *, topic: str = "t", **attributes: str) -> tuple[str, str, Got]:
    """A topic, the subscription of the web server, which has confirmed it, and what it was asked with."""
    arn = sns.create_topic(Name=topic)["TopicArn"]
    subscription = sns.subscribe(
        TopicArn=arn, Protocol="http", Endpoint=web.url + "/in", ReturnSubscriptionArn=True, Attributes=attributes
    )["SubscriptionArn"]
    asked = web.next()
    assert get(json.loads(asked.body)["SubscribeURL"])[0] == 200
    return arn, subscription, asked


def test_a_subscriber_is_asked_and_then_told(aws: Any, sns: Any, web: Web) -> None:
    arn = sns.create_topic(Name="t")["TopicArn"]
    answer = sns.subscribe(TopicArn=arn, Protocol="http", Endpoint=web.url + "/in")
    assert answer["SubscriptionArn"] == "pending confirmation"
    asked = web.next()
    envelope = json.loads(asked.body)
    assert {*envelope} == {
        *("Type", "MessageId", "Token", "TopicArn", "Message", "SubscribeURL", "Timestamp"),
        *("SignatureVersion", "Signature", "SigningCertURL"),
    }
    assert envelope["Type"] == "SubscriptionConfirmation"
    assert envelope["Message"] == (
        f"You have chosen to subscribe to the topic {arn}.\nTo confirm the subscription, visit the SubscribeURL "
        "included in this message."
    )
    token = envelope["Token"]
    assert envelope["SubscribeURL"].endswith(f"/?Action=ConfirmSubscription&TopicArn={arn}&Token={token}")
    assert (asked.path, asked.headers["content-type"]) == ("/in", "text/plain; charset=UTF-8")
    assert asked.headers["user-agent"] == "Amazon Simple Notification Service Agent"
    assert asked.headers["x-amz-sns-message-type"] == "SubscriptionConfirmation"
    assert asked.headers["x-amz-sns-message-id"] == envelope["MessageId"]
    assert asked.headers["x-amz-sns-topic-arn"] == arn
    assert "x-amz-sns-subscription-arn" not in asked.headers
    verify(envelope)

    (listed,) = sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]
    assert listed["SubscriptionArn"] == "PendingConfirmation"
    counts = sns.get_topic_attributes(TopicArn=arn)["Attributes"]
    assert (counts["SubscriptionsPending"], counts["SubscriptionsConfirmed"]) == ("1", "0")
    sns.publish(TopicArn=arn, Message="nobody gets it")

    url = envelope["SubscribeURL"]
    for broken, message in (
        (url.replace(arn, "arn:broken"), "Invalid parameter: Topic"),
        (url.replace(":us-east-1:", ":us-west-1:"), "Invalid parameter: Topic"),
        (url.replace(token, "abc123"), "Invalid parameter: Token"),
        (url.replace(token, "no token"), "Invalid token"),
    ):
        status, text = get(broken.replace(" ", "%20"))
        assert status == 400
        assert f"<Code>InvalidParameter</Code><Message>{message}</Message>" in text
    status, text = get(url)
    assert status == 200
    assert re.search(rf"<SubscriptionArn>{arn}:[0-9a-f-]{{36}}</SubscriptionArn>", text)
    # Once more, and with another end, as at AWS.
    assert get(url)[0] == 200
    shown = sns.get_subscription_attributes(SubscriptionArn=re.search(r"arn:[^<]*", text)[0])["Attributes"]
    assert shown["PendingConfirmation"] == "false"
    assert shown["ConfirmationWasAuthenticated"] == "false"

    sns.publish(TopicArn=arn, Message="told", Subject="s")
    told = web.next()
    notification = json.loads(told.body)
    assert notification["Message"] == "told"
    assert told.headers["x-amz-sns-message-type"] == "Notification"
    assert told.headers["x-amz-sns-message-id"] == notification["MessageId"]
    assert told.headers["x-amz-sns-subscription-arn"] == shown["SubscriptionArn"]
    assert "x-amz-sns-rawdelivery" not in told.headers
    verify(notification)
    notification["Message"] = "changed"
    with pytest.raises(Exception, match=r"^$"):
        verify(notification)


def test_the_second_version_of_signatures(aws: Any, sns: Any, web: Web) -> None:
    arn, _, asked = subscribed(sns, web)
    assert json.loads(asked.body)["SignatureVersion"] == "1"
    sns.set_topic_attributes(TopicArn=arn, AttributeName="SignatureVersion", AttributeValue="2")
    sns.publish(TopicArn=arn, Message="m")
    envelope = json.loads(web.next().body)
    assert envelope["SignatureVersion"] == "2"
    verify(envelope)


def test_certificates_come_from_where_libraries_trust_them(aws: Any, start_pileus: Any) -> None:
    server = start_pileus("--domain", "amazonaws.com")
    account = type(aws)(server.endpoint)
    sns = account.client("sns")
    arn = sns.create_topic(Name="t")["TopicArn"]
    queue = Queue(account, "q")
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue.arn)
    sns.publish(TopicArn=arn, Message="m")
    (envelope,) = queue.bodies()
    assert envelope["SigningCertURL"].startswith("https://sns.us-east-1.amazonaws.com/SimpleNotificationService-")
    assert envelope["UnsubscribeURL"].startswith("https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe&")
    verify(envelope, fetched_from=server.endpoint)
    # The certificate is the node's, and stays it.
    server.stop()
    server = start_pileus("--domain", "amazonaws.com")
    verify(envelope, fetched_from=server.endpoint)
    assert get(server.endpoint + "/SimpleNotificationService-0.pem")[0] == 404


def test_subscribers_over_https(
    aws: Any, start_pileus: Any, tls_web: Web, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A certificate that the machine trusts is asked for, as AWS asks for one that the world trusts."""
    other = type(aws)(start_pileus(data_dir=tmp_path / "strict").endpoint).client("sns")
    stranger = other.create_topic(Name="t")["TopicArn"]
    other.subscribe(TopicArn=stranger, Protocol="https", Endpoint=tls_web.url + "/untrusted")
    monkeypatch.setenv("SSL_CERT_FILE", str(tls_web.certificate))
    sns = type(aws)(start_pileus().endpoint).client("sns")
    arn = sns.create_topic(Name="t")["TopicArn"]
    subscription = sns.subscribe(
        TopicArn=arn, Protocol="https", Endpoint=tls_web.url + "/in", ReturnSubscriptionArn=True
    )["SubscriptionArn"]
    asked = tls_web.next()
    assert get(json.loads(asked.body)["SubscribeURL"])[0] == 200
    assert sns.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]["Protocol"] == "https"
    sns.publish(TopicArn=arn, Message="told")
    told = tls_web.next()
    assert (asked.path, told.path) == ("/in", "/in")
    assert json.loads(told.body)["Message"] == "told"
    verify(json.loads(told.body))


# AWS's validator fetches certificates by HTTPS from AWS's host only; the bytes are this node's.
VALIDATE = """
const http = require("http"), https = require("https");
https.get = (url, told) => http.get(process.env.NODE + new URL(url).pathname, told);
const Validator = require("sns-validator");
new Validator().validate(process.env.MESSAGE, (error, message) => {
  console.log(error ? "refused: " + error.message : "accepted: " + message.Message);
});
"""


@pytest.fixture(scope="module")
def sns_validator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder where AWS's own package for verifying messages in Node.js is installed."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    folder = tmp_path_factory.mktemp("npm")
    command = ["npm", "install", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries", "0", "sns-validator"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=240)
    if done.returncode:
        pytest.skip(f"npm does not bring sns-validator: {done.stderr[-300:]}")
    return folder


def test_awss_own_validator_accepts_messages(aws: Any, start_pileus: Any, web: Web, sns_validator: Path) -> None:
    server = start_pileus("--domain", "amazonaws.com")
    sns = type(aws)(server.endpoint).client("sns")

    def validated(message: dict[str, Any]) -> str:
        here = {**os.environ, "NODE": server.endpoint, "MESSAGE": json.dumps(message)}
        command = ["node", "-e", VALIDATE]
        done = subprocess.run(command, cwd=sns_validator, env=here, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    for version in ("1", "2"):
        arn = sns.create_topic(Name=f"t{version}", Attributes={"SignatureVersion": version})["TopicArn"]
        sns.subscribe(TopicArn=arn, Protocol="http", Endpoint=web.url)
        asked = json.loads(web.next().body)
        assert validated(asked).startswith("accepted: You have chosen to subscribe to the topic")
        sns.confirm_subscription(TopicArn=arn, Token=asked["Token"])
        sns.publish(TopicArn=arn, Message="héllo\nworld", Subject="s")
        told = json.loads(web.next().body)
        assert told["SignatureVersion"] == version
        assert validated(told) == "accepted: héllo\nworld"
        assert validated({**told, "Message": "changed"}) == "refused: The message signature is invalid."


def test_raw_messages_and_content_types(aws: Any, sns: Any, web: Web) -> None:
    policy = json.dumps({"requestPolicy": {"headerContentType": "text/csv"}})
    arn, subscription, _ = subscribed(sns, web, RawMessageDelivery="true", DeliveryPolicy=policy)
    sns.publish(TopicArn=arn, Message="a,b")
    got = web.next()
    assert (got.body, got.headers["content-type"]) == ("a,b", "text/csv")
    assert got.headers["x-amz-sns-rawdelivery"] == "true"
    shown = sns.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]
    default = {
        **{"minDelayTarget": 20, "maxDelayTarget": 20, "numRetries": 3, "numMaxDelayRetries": 0},
        **{"numNoDelayRetries": 0, "numMinDelayRetries": 0, "backoffFunction": "linear"},
    }
    rest = {"sicklyRetryPolicy": None, "throttlePolicy": None, "guaranteed": False}
    kind = {"headerContentType": "text/csv"}
    assert json.loads(shown["DeliveryPolicy"]) == {**rest, "healthyRetryPolicy": None, "requestPolicy": kind}
    assert json.loads(shown["EffectiveDeliveryPolicy"]) == {
        **rest,
        "healthyRetryPolicy": default,
        "requestPolicy": kind,
    }


def test_envelopes_are_said_to_be_json_or_text(aws: Any, sns: Any) -> None:
    arn = sns.create_topic(Name="t")["TopicArn"]
    csv = {"headerContentType": "text/csv"}
    refusals = (
        (sns.set_topic_attributes, "TopicArn", arn, {"http": {"defaultRequestPolicy": csv}}, "defaultRequestPolicy"),
        (sns.subscribe, "Protocol", "http", {"requestPolicy": csv}, "requestPolicy"),
    )
    for call, name, value, policy, where in refusals:
        text = json.dumps(policy)
        if call == sns.subscribe:
            rest = {"TopicArn": arn, "Endpoint": "http://127.0.0.1:9/", "Attributes": {"DeliveryPolicy": text}}
        else:
            rest = {"AttributeName": "DeliveryPolicy", "AttributeValue": text}
        message = refused(call, **{name: value}, **rest)[1]
        assert message.endswith(f"DeliveryPolicy: {where}.headerContentType is not supported")


def test_failures_are_tried_again_and_end_in_the_dead_letter_queue(later: Any, still: Any, web: Web) -> None:
    sns = later.client("sns")
    dead = Queue(later, "dead")
    redrive = json.dumps({"deadLetterTargetArn": dead.arn})
    arn, _, _ = subscribed(sns, web, RedrivePolicy=redrive)
    web.statuses = [500, 503, 200]
    sns.publish(TopicArn=arn, Message="third time")
    web.next()
    for _ in range(2):
        still.advance(18)
        assert web.got.empty()
        still.advance(3)
        web.next()
    still.advance(3600)
    assert web.got.empty()
    assert dead.held() == 0
    web.statuses = [500, 429, 500, 500]
    sns.publish(TopicArn=arn, Message="never")
    web.next()
    still.advance(61)
    assert [web.next() for _ in range(3)]
    assert dead.texts() == ["never"]
    # The endpoint does not like it: it will never.
    web.statuses = [404]
    sns.publish(TopicArn=arn, Message="refused")
    web.next()
    assert dead.texts() == ["refused"]
    assert web.got.empty()


def test_retries_come_in_four_phases(later: Any, still: Any, web: Web) -> None:
    """At once, then at the least delay, then growing, then at the most: as the topic says, or the subscription."""
    sns = later.client("sns")
    retries = {
        **{"minDelayTarget": 10, "maxDelayTarget": 40, "numRetries": 7, "backoffFunction": "geometric"},
        **{"numNoDelayRetries": 1, "numMinDelayRetries": 2, "numMaxDelayRetries": 1},
    }
    own = json.dumps({"healthyRetryPolicy": {"minDelayTarget": 5, "maxDelayTarget": 5, "numRetries": 1}})
    arn, subscription, _ = subscribed(sns, web, DeliveryPolicy=own)

    def attempts(waits: list[float]) -> None:
        web.statuses = [500] * (len(waits) + 1)
        sns.publish(TopicArn=arn, Message="m")
        web.next()
        for wait in waits:
            if wait:
                still.advance(wait - 0.5)
                assert web.got.empty()
                still.advance(0.6)
            web.next()
        still.advance(3600)
        assert web.got.empty()

    def put(**given: Any) -> None:
        policy = json.dumps({"http": {"defaultHealthyRetryPolicy": retries, **given}})
        sns.set_topic_attributes(TopicArn=arn, AttributeName="DeliveryPolicy", AttributeValue=policy)

    put()
    attempts([5])
    put(disableSubscriptionOverrides=True)
    shown = sns.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]
    assert json.loads(shown["EffectiveDeliveryPolicy"])["healthyRetryPolicy"] == retries
    attempts([0, 10, 10, 10, 20, 40, 40])


def test_a_subscriber_that_hangs_delays_nobody(aws: Any, sns: Any, web: Web) -> None:
    arn, _, _ = subscribed(sns, web)
    other = Web()
    try:
        sns.subscribe(TopicArn=arn, Protocol="http", Endpoint=other.url)
        get(json.loads(other.next().body)["SubscribeURL"])
        queue = Queue(aws, "q")
        sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=queue.arn)
        gone = f"arn:aws:sqs:us-east-1:{aws.account}:gone"
        sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=gone)
        web.open.clear()
        for n in range(40):
            sns.publish(TopicArn=arn, Message=str(n))
        assert sorted(queue.texts(40), key=int) == [str(n) for n in range(40)]
        assert {json.loads(other.next().body)["Message"] for _ in range(40)} == {str(n) for n in range(40)}
    finally:
        other.close()


def test_credentials_in_the_address(aws: Any, sns: Any, web: Web) -> None:
    arn = sns.create_topic(Name="t")["TopicArn"]
    url = web.url.replace("http://", "http://user:p%40ss@")
    sns.subscribe(TopicArn=arn, Protocol="http", Endpoint=url)
    assert b64decode(web.next().headers["authorization"].removeprefix("Basic ")) == b"user:p@ss"


def test_links_end_subscriptions_and_bring_them_back(aws: Any, sns: Any, web: Web) -> None:
    arn, subscription, asked = subscribed(sns, web)
    sns.publish(TopicArn=arn, Message="m")
    url = json.loads(web.next().body)["UnsubscribeURL"]
    assert get(url)[0] == 200
    told = json.loads(web.next().body)
    assert told["Type"] == "UnsubscribeConfirmation"
    assert told["Message"] == (
        f"You have chosen to deactivate subscription {subscription}.\nTo cancel this operation and restore the "
        "subscription, visit the SubscribeURL included in this message."
    )
    verify(told)
    assert refused(sns.get_subscription_attributes, SubscriptionArn=subscription)[0] == "NotFound"
    assert get(json.loads(asked.body)["SubscribeURL"])[0] == 400
    assert get(told["SubscribeURL"])[0] == 200
    assert sns.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]["PendingConfirmation"] == "false"


def test_only_the_owner_may_end_a_sealed_one(aws: Any, sns: Any, web: Web) -> None:
    arn = sns.create_topic(Name="t")["TopicArn"]
    sns.subscribe(TopicArn=arn, Protocol="http", Endpoint=web.url)
    token = json.loads(web.next().body)["Token"]
    subscription = sns.confirm_subscription(TopicArn=arn, Token=token, AuthenticateOnUnsubscribe="true")[
        "SubscriptionArn"
    ]
    shown = sns.get_subscription_attributes(SubscriptionArn=subscription)["Attributes"]
    assert shown["ConfirmationWasAuthenticated"] == "true"
    sns.publish(TopicArn=arn, Message="m")
    assert get(json.loads(web.next().body)["UnsubscribeURL"])[0] == 403
    sns.unsubscribe(SubscriptionArn=subscription)
    assert refused(sns.get_subscription_attributes, SubscriptionArn=subscription)[0] == "NotFound"


def test_who_does_not_answer_in_time_is_forgotten(later: Any, still: Any, web: Web) -> None:
    sns = later.client("sns")
    arn = sns.create_topic(Name="t")["TopicArn"]
    sns.subscribe(TopicArn=arn, Protocol="http", Endpoint=web.url)
    token = json.loads(web.next().body)["Token"]
    still.advance(47 * 3600)
    assert len(sns.list_subscriptions()["Subscriptions"]) == 1
    still.advance(4000)
    assert sns.list_subscriptions()["Subscriptions"] == []
    assert refused(sns.confirm_subscription, TopicArn=arn, Token=token) == (
        "InvalidParameter",
        "Invalid parameter: Token",
    )


def test_a_subscriber_may_ask_for_less_at_a_time(later: Any, still: Any, web: Web) -> None:
    sns = later.client("sns")
    arn, _, _ = subscribed(sns, web, DeliveryPolicy=json.dumps({"throttlePolicy": {"maxReceivesPerSecond": 2}}))
    for n in range(3):
        sns.publish(TopicArn=arn, Message=str(n))
    web.next()
    still.advance(0.4)
    assert web.got.empty()
    still.advance(0.2)
    web.next()
    still.advance(0.6)
    web.next()


def test_links_of_the_machine_itself_are_not_called(aws: Any, sns: Any) -> None:
    arn = sns.create_topic(Name="t")["TopicArn"]
    answer = sns.subscribe(TopicArn=arn, Protocol="http", Endpoint="http://169.254.169.254/latest/meta-data")
    assert answer["SubscriptionArn"] == "pending confirmation"
    for endpoint in ("ftp://x", "https://x", "http://", "x"):
        assert refused(sns.subscribe, TopicArn=arn, Protocol="http", Endpoint=endpoint) == (
            "InvalidParameter",
            "Invalid parameter: Endpoint must match the specified protocol",
        )
