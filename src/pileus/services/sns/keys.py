"""The keys of everything SNS stores.

topic          account, region, name                  Topic
subscription   account, region, topic's name, id      Subscription (account and region are the topic's)
owned          owner, region, subscription's ARN      the subscriptions of an account: the subscription's key
same           topic's id, protocol, endpoint         the subscription's id: an endpoint subscribes once
token          the token's secret part                Token
counts         topic's id                             Counts
usage          account, region                        Usage
dedup          topic's id, group, dedup id            Deduplication; group "" where the whole topic is the scope
expiry         milliseconds, a key                    what is removed at that time: deduplications, tokens
garbage        account, region, topic's name, id      a deleted topic (its id) whose subscriptions are still to go
sent           account, region, kind, milliseconds, id  Sent: mail, text messages and what devices got, to be read
application    account, region, platform, name        Application
endpoint       account, region, platform, app, id     Endpoint
device         account, region, platform, app, token  an endpoint's id: a device's token has one
sms            account, region                        SmsSettings
sandbox        account, region, phone number          SandboxNumber
archived       topic's id, milliseconds, number       Message, of FIFO topics that have an archive
archive        account, region, topic's name          every topic that has one, for the loop
signing        -                                      what signs messages: private key and certificate, PEM
"""

from __future__ import annotations

from pileus.store.keys import pack, prefix_range, unpack

Range = tuple[bytes, bytes]


def topic(account: str, region: str, name: str) -> bytes:
    return pack("sns", account, region, "topic", name)


def topics(account: str, region: str) -> Range:
    return prefix_range("sns", account, region, "topic")


def subscription(account: str, region: str, topic_name: str, subscription_id: str) -> bytes:
    return pack("sns", account, region, "subscription", topic_name, subscription_id)


def subscriptions(account: str, region: str, topic_name: str) -> Range:
    return prefix_range("sns", account, region, "subscription", topic_name)


def owned(owner: str, region: str, arn: str) -> bytes:
    return pack("sns", owner, region, "owned", arn)


def all_owned(owner: str, region: str) -> Range:
    return prefix_range("sns", owner, region, "owned")


def same(topic_id: str, protocol: str, endpoint: str) -> bytes:
    return pack("sns", "", "", "same", topic_id, protocol, endpoint)


def all_same(topic_id: str) -> Range:
    return prefix_range("sns", "", "", "same", topic_id)


def all_same_by(topic_id: str, protocol: str) -> Range:
    return prefix_range("sns", "", "", "same", topic_id, protocol)


def token(secret: str) -> bytes:
    return pack("sns", "", "", "token", secret)


def is_token(key: bytes) -> bool:
    return key.startswith(pack("sns", "", "", "token"))


def counts(topic_id: str) -> bytes:
    return pack("sns", "", "", "counts", topic_id)


def usage(account: str, region: str) -> bytes:
    return pack("sns", account, region, "usage")


def deduplication(topic_id: str, group: str, deduplication_id: str) -> bytes:
    return pack("sns", "", "", "dedup", topic_id, group, deduplication_id)


def expiry(ms: int, key: bytes) -> bytes:
    return pack("sns", "", "", "expiry", ms, key)


def expired(now_ms: int) -> Range:
    start, _ = prefix_range("sns", "", "", "expiry")
    return start, pack("sns", "", "", "expiry", now_ms + 1)


def of_expiry(key: bytes) -> bytes:
    found = unpack(key)[5]
    assert isinstance(found, bytes)
    return found


def garbage(account: str, region: str, topic_name: str, topic_id: str) -> bytes:
    return pack("sns", "", "", "garbage", account, region, topic_name, topic_id)


def garbages() -> Range:
    return prefix_range("sns", "", "", "garbage")


def of_garbage(key: bytes) -> tuple[str, str, str, str]:
    account, region, name, topic_id = unpack(key)[4:]
    return str(account), str(region), str(name), str(topic_id)


def sent(account: str, region: str, kind: str, ms: int, id: str) -> bytes:
    return pack("sns", account, region, "sent", kind, ms, id)


def all_sent(account: str, region: str, kind: str) -> Range:
    return prefix_range("sns", account, region, "sent", kind)


def application(account: str, region: str, platform: str, name: str) -> bytes:
    return pack("sns", account, region, "application", platform, name)


def applications(account: str, region: str) -> Range:
    return prefix_range("sns", account, region, "application")


def endpoint(account: str, region: str, platform: str, application: str, id: str) -> bytes:
    return pack("sns", account, region, "endpoint", platform, application, id)


def endpoints(account: str, region: str, platform: str, application: str) -> Range:
    return prefix_range("sns", account, region, "endpoint", platform, application)


def device(account: str, region: str, platform: str, application: str, token: str) -> bytes:
    return pack("sns", account, region, "device", platform, application, token)


def devices(account: str, region: str, platform: str, application: str) -> Range:
    return prefix_range("sns", account, region, "device", platform, application)


def sms(account: str, region: str) -> bytes:
    return pack("sns", account, region, "sms")


def sandbox(account: str, region: str, number: str) -> bytes:
    return pack("sns", account, region, "sandbox", number)


def sandboxes(account: str, region: str) -> Range:
    return prefix_range("sns", account, region, "sandbox")


def archived(topic_id: str, ms: int, sequence: str) -> bytes:
    return pack("sns", "", "", "archived", topic_id, ms, sequence)


def archived_between(topic_id: str, first_ms: int, end_ms: int | None) -> Range:
    start = pack("sns", "", "", "archived", topic_id, first_ms)
    if end_ms is None:
        return start, prefix_range("sns", "", "", "archived", topic_id)[1]
    return start, pack("sns", "", "", "archived", topic_id, end_ms)


def all_archived(topic_id: str) -> Range:
    return prefix_range("sns", "", "", "archived", topic_id)


def archive(account: str, region: str, topic_name: str) -> bytes:
    return pack("sns", "", "", "archive", account, region, topic_name)


def archives() -> Range:
    return prefix_range("sns", "", "", "archive")


def topic_of_archive(key: bytes) -> tuple[str, str, str]:
    account, region, name = unpack(key)[4:]
    return str(account), str(region), str(name)


def signing() -> bytes:
    return pack("sns", "", "", "signing")
