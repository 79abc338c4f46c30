"""Filter policies: what they let through, and what they may be."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import AsyncMock, Mock

import pytest
from sns_kit import Queue, refused

from pileus.services.sns.filters import Filter, Filters
from pileus.services.sns.operations import messages
from pileus.services.sns.topics import Matches, Unmatched


class Filtered:
    """A topic with a queue behind a filter, and one without, whose last message says that all have come."""

    def __init__(self, aws: Any, policy: Any, scope: str = "MessageAttributes") -> None:
        self.sns = aws.client("sns")
        self.topic = self.sns.create_topic(Name="t")["TopicArn"]
        self.queue = Queue(aws, "q")
        values = {"FilterPolicyScope": scope, "FilterPolicy": json.dumps(policy), "RawMessageDelivery": "true"}
        self.subscription = self.sns.subscribe(
            TopicArn=self.topic, Protocol="sqs", Endpoint=self.queue.arn, Attributes=values
        )["SubscriptionArn"]
        self.mark = Queue(aws, "mark")
        self.sns.subscribe(TopicArn=self.topic, Protocol="sqs", Endpoint=self.mark.arn)

    def passed(self, *messages: dict[str, Any]) -> list[str]:
        """Which of the messages came through."""
        for one in messages:
            self.sns.publish(TopicArn=self.topic, **one)
        self.mark.take(len(messages))
        # One fan-out serves both queues, and the marks have come.
        held = self.queue.held()
        return sorted(one["Body"] for one in self.queue.take(held)) if held else []


def attribute(name: str, value: Any) -> dict[str, Any]:
    """A message whose text says what its attribute is."""
    kind = "Number" if isinstance(value, int | float) else "String.Array" if isinstance(value, list) else "String"
    text = value if isinstance(value, str) else json.dumps(value)
    return {"Message": text, "MessageAttributes": {name: {"DataType": kind, "StringValue": text}}}


@pytest.mark.parametrize(
    ("conditions", "passing", "stopped"),
    [
        (["rugby", "tennis"], ["rugby", ["golf", "tennis"]], ["baseball", ["baseball"], "Rugby", 5]),
        ([{"anything-but": ["rugby"]}], ["golf", ["golf", "rugby"], 3], ["rugby", ["rugby"]]),
        ([{"anything-but": {"prefix": "order-"}}], ["data"], ["order-cancelled"]),
        ([{"prefix": "bas"}], ["baseball", ["x", "basic"]], ["rugby"]),
        ([{"suffix": "ball"}], ["baseball"], ["rugby"]),
        ([{"equals-ignore-case": "tennis"}], ["Tennis", "TENNIS"], ["tennis2"]),
        ([{"cidr": "10.0.0.0/24"}], ["10.0.0.255"], ["10.1.1.0"]),
        ([301.5, {"numeric": ["<", 0]}], [301.5, -1, [1, 301.5]], [301, 0, "301.5"]),
        ([{"numeric": [">", 0, "<=", 150]}], [150, 0.5], [0, 151]),
        ([{"exists": True}], ["x", 1], []),
        ([True], [["x", True]], ["true"]),
    ],
)
def test_attributes(aws: Any, conditions: Any, passing: list[Any], stopped: list[Any]) -> None:
    filtered = Filtered(aws, {"a": conditions})
    messages = [attribute("a", value) for value in passing + stopped]
    bare = {"Message": "without"}
    other = attribute("b", "other")
    assert filtered.passed(*messages, bare, other) == sorted(one["Message"] for one in messages[: len(passing)])


def test_attributes_that_are_not_there(aws: Any) -> None:
    filtered = Filtered(aws, {"a": [{"exists": False}]})
    assert filtered.passed({"Message": "without"}, attribute("a", "x"), attribute("b", "y")) == ["without", "y"]
    sns = filtered.sns
    for policy, expected in (
        ({"a": [None, {"anything-but": "whatever"}]}, ["other", "without", "z"]),
        ({"a": ["x"], "b": ["y"]}, []),
        ({"$or": [{"a": ["whatever"]}, {"b": ["z"]}]}, ["whatever", "z"]),
        ({}, ["other", "whatever", "without", "z"]),
    ):
        sns.set_subscription_attributes(
            SubscriptionArn=filtered.subscription, AttributeName="FilterPolicy", AttributeValue=json.dumps(policy)
        )
        messages = ({"Message": "without"}, attribute("a", "whatever"), attribute("a", "other"), attribute("b", "z"))
        assert filtered.passed(*messages) == expected, policy


def test_binary_attributes_are_not_seen(aws: Any) -> None:
    filtered = Filtered(aws, {"a": [{"exists": False}]})
    binary = {"DataType": "Binary", "BinaryValue": b"x"}
    assert filtered.passed({"Message": "m", "MessageAttributes": {"a": binary}}) == ["m"]


@pytest.mark.parametrize(
    ("policy", "passing", "stopped"),
    [
        (
            {"object": {"key": [{"prefix": "auto-"}, "hardcodedvalue"]}},
            [{"object": {"key": "auto-test"}}, {"object": {"key": "hardcodedvalue"}}],
            [{"object": {"test": "auto-test"}}, {"object": {"key": "x"}}, "text", ["list"]],
        ),
        (
            {
                "Records": {
                    "s3": {"object": {"key": [{"prefix": "auto-"}]}},
                    "eventName": [{"prefix": "ObjectCreated:"}],
                }
            },
            [
                {"Records": [{"eventName": "ObjectCreated:Put", "s3": {"object": [[{"key": "auto-1"}]]}}]},
                {"Records": [{"eventName": "ObjectCreated:Put", "s3": {"object": {"key": "auto-2"}}}]},
            ],
            [
                {
                    "Records": [
                        {"eventName": "ObjectCreated:Put", "s3": {"object": {"key": "home"}}},
                        {"eventName": "ObjectRemoved:Delete", "s3": {"object": {"key": "auto-3"}}},
                    ]
                }
            ],
        ),
        (
            {"object.nested": ["value"]},
            [{"object": {"nested": "value"}}, {"object.nested": "value"}],
            [{"object": {"nested": {"deeper": "value"}}}],
        ),
        (
            {"detail": {"sourceIPAddress": [{"cidr": "10.0.0.0/24"}]}},
            [{"detail": {"sourceIPAddress": "10.0.0.255"}}],
            [{"detail": {"sourceIPAddress": "10.0.1.255"}}, {"detail": {"sourceIPAddress": "none"}}],
        ),
        (
            {"resources": [{"exists": False}], "detail": {"x": [None]}},
            [{"detail": {"x": None}, "resources": []}],
            [{"detail": {"x": None}, "resources": ["a"]}, {"detail": {"x": 1}}],
        ),
    ],
)
def test_bodies(aws: Any, policy: Any, passing: list[Any], stopped: list[Any]) -> None:
    filtered = Filtered(aws, policy, "MessageBody")
    messages = [{"Message": json.dumps(one)} for one in passing + stopped] + [{"Message": "{no json"}]
    assert filtered.passed(*messages) == sorted(one["Message"] for one in messages[: len(passing)])


def test_batches_are_filtered_entry_by_entry(aws: Any) -> None:
    filtered = Filtered(aws, {"n": [{"numeric": [">=", 5]}]})
    entries = [{"Id": str(n), **attribute("n", n)} for n in range(10)]
    filtered.sns.publish_batch(TopicArn=filtered.topic, PublishBatchRequestEntries=entries)
    filtered.mark.take(10)
    assert sorted(one["Body"] for one in filtered.queue.take(5)) == ["5", "6", "7", "8", "9"]
    assert filtered.queue.held() == 0


def _source(policy: str, column: int) -> str:
    return f'\n at [Source: (String)"{policy}"; line: 1, column: {column}]'


_MANY = [{"prefix": str(n)} for n in range(151)]


@pytest.mark.parametrize(
    ("policy", "scope", "message"),
    [
        (
            '{"key":[{"anything-but":{"exists":false}}]}',
            "",
            "Unsupported anything-but pattern: exists" + _source('{"key":[{"anything-but":{"exists":false}}]}', 40),
        ),
        (
            '{"key": [{"anything-but": {"prefix": false}}]}',
            "",
            "prefix match pattern must be a string" + _source('{"key":[{"anything-but":{"prefix":false}}]}', 40),
        ),
        (
            '{"key": [{"anything-but": {"suffix": "test"}}]}',
            "",
            "Unsupported anything-but pattern: suffix" + _source('{"key":[{"anything-but":{"suffix":"test"}}]}', 36),
        ),
        (
            '{"key_a": "value_one"}',
            "",
            '"key_a" must be an object or an array' + _source('{"key_a":"value_one"}', 11),
        ),
        (json.dumps({"a": _MANY}), "", "Filter policy is too complex"),
        (json.dumps({"a": _MANY[:20], "b": _MANY[:10]}), "", "Filter policy is too complex"),
        (json.dumps({"a": {"b": {"c": _MANY[:51]}}}), "MessageBody", "Filter policy is too complex"),
        (json.dumps({f"k{n}": ["v"] for n in range(6)}), "", "Filter policy can not have more than 5 keys"),
        (
            json.dumps({f"k{n}": {"a": ["v"]} for n in range(6)}),
            "MessageBody",
            "Filter policy can not have more than 5 keys",
        ),
        (
            '{"a": {"b": ["c"]}}',
            "",
            "Filter policy scope MessageAttributes does not support nested filter policy",
        ),
    ],
)
def test_bad_policies_are_refused(aws: Any, sns: Any, policy: str, scope: str, message: str) -> None:
    arn = sns.create_topic(Name="t")["TopicArn"]
    values = {"FilterPolicy": policy, **({"FilterPolicyScope": scope} if scope else {})}
    endpoint = f"arn:aws:sqs:us-east-1:{aws.account}:q"
    assert refused(sns.subscribe, TopicArn=arn, Protocol="sqs", Endpoint=endpoint, Attributes=values) == (
        "InvalidParameter",
        f"Invalid parameter: Attributes Reason: FilterPolicy: {message}",
    )


def test_complex_policies_that_may_be(aws: Any, sns: Any) -> None:
    arn = sns.create_topic(Name="t")["TopicArn"]
    for n, (policy, scope) in enumerate(
        (
            ({"a": _MANY[:150]}, "MessageAttributes"),
            ({"a": {"b": {"c": ["1", "2", "3", "4"]}}, "d": {"e": ["1", "2", "3"]}}, "MessageBody"),
            ({f"k{n}": ["v"] for n in range(5)}, "MessageAttributes"),
            ({"a": {f"k{n}": ["v"] for n in range(6)}}, "MessageBody"),
        )
    ):
        endpoint = f"arn:aws:sqs:us-east-1:{aws.account}:q{n}"
        values = {"FilterPolicy": json.dumps(policy), "FilterPolicyScope": scope}
        assert sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=endpoint, Attributes=values)["SubscriptionArn"]


def test_large_messages_pass_the_same_filters(aws: Any) -> None:
    """They are held against filters outside the transaction, from 1,000,000 characters times filters on."""
    passing = {"n": [{"numeric": ["<", 100]}], "kind": ["a"]}
    filtered = Filtered(aws, passing, "MessageBody")
    others = Queue(aws, "others")
    for number in range(5):
        policy = json.dumps({"n": [{"numeric": ["<", -number]}]})
        values = {"FilterPolicyScope": "MessageBody", "FilterPolicy": policy}
        topic = filtered.sns.create_topic(Name="t")["TopicArn"]
        endpoint = others.arn if number == 0 else Queue(aws, f"other-{number}").arn
        filtered.sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=endpoint, Attributes=values)
    many = [*range(1000, 30000), 50]
    bodies = [json.dumps({"kind": kind, "n": many}) for kind in ("a", "b")]
    assert filtered.passed(*({"Message": one} for one in bodies)) == [bodies[0]]
    entry = {"Id": "1", "Message": bodies[0]}
    filtered.sns.publish_batch(TopicArn=filtered.topic, PublishBatchRequestEntries=[entry])
    assert [one["Body"] for one in filtered.queue.take(1)] == [bodies[0]]
    assert others.held() == 0


async def test_others_have_their_turn_while_a_large_message_is_matched() -> None:
    policies = {str(number): json.dumps({"n": [{"numeric": ["<", number]}]}) for number in range(1, 201)}
    filters = Filters({id: Filter(policy, in_body=True) for id, policy in policies.items()})
    body = json.dumps({"n": [*range(100, 2000)]})
    matches, clock = Matches(), Mock(sleep=AsyncMock())
    assert not filters.is_much({}, '{"n": 1}')
    with pytest.raises(Unmatched) as caught:
        matches.known(filters, {}, body)
    await matches.find(Mock(clock=clock), caught.value)
    found = matches.known(filters, {}, body)
    assert found == filters.match({}, body)
    assert len(found) == 100
    assert clock.sleep.await_count >= 200


async def test_filters_that_change_all_the_time_hold_up_no_message(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found of filters is good for these alone: each attempt meets other ones."""
    asked: list[Matches | None] = []

    async def publish(ctx: Any, tx: Any, request: Any, matches: Matches | None) -> Any:
        asked.append(matches)
        if matches is not None:
            matches.known(Filters({}), {}, "")
        return {"MessageId": "1"}

    async def write(change: Any) -> Any:
        return await change(None)

    monkeypatch.setattr(messages, "_publish", publish)
    cloud = Mock(store=Mock(write=write), clock=Mock(sleep=AsyncMock()))
    assert await messages.publish(Mock(cloud=cloud), {}) == {"MessageId": "1"}
    # A batch's ten messages are each found out about once, and once more.
    assert len(asked) > 20
    assert asked[-1] is None
