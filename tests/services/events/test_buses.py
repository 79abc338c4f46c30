"""Event buses and the policies on them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from events_kit import bare, refused


def test_the_default_bus_is_there(aws: Any) -> None:
    events = aws.client("events")
    arn = f"arn:aws:events:us-east-1:{aws.account}:event-bus/default"
    bus = bare(events.describe_event_bus())
    assert bus.keys() == {"Name", "Arn", "CreationTime", "LastModifiedTime"}
    assert (bus["Name"], bus["Arn"]) == ("default", arn)
    assert events.list_event_buses()["EventBuses"] == [bus]
    assert refused(events.delete_event_bus, Name="default") == (
        "ValidationException",
        "Cannot delete event bus default.",
    )


def test_a_bus_from_its_making_to_its_end(aws: Any) -> None:
    events = aws.client("events")
    arn = f"arn:aws:events:us-east-1:{aws.account}:event-bus/orders"
    assert bare(events.create_event_bus(Name="orders")) == {"EventBusArn": arn}
    assert refused(events.create_event_bus, Name="orders") == (
        "ResourceAlreadyExistsException",
        "Event bus orders already exists.",
    )
    assert refused(events.create_event_bus, Name="a/b")[0] == "ValidationException"
    listed = events.list_event_buses(NamePrefix="ord")["EventBuses"]
    assert [(one["Name"], one["Arn"]) for one in listed] == [("orders", arn)]
    assert listed[0].keys() == {"Name", "Arn", "CreationTime", "LastModifiedTime"}
    assert bare(events.update_event_bus(Name="orders", Description="of orders"))["Description"] == "of orders"
    assert events.describe_event_bus(Name=arn)["Description"] == "of orders"
    events.put_rule(Name="r", EventBusName="orders", EventPattern='{"source": ["x"]}')
    assert refused(events.delete_event_bus, Name="orders") == (
        "ValidationException",
        "Event bus can't be deleted since it has rules.",
    )
    events.delete_rule(Name="r", EventBusName="orders")
    events.delete_event_bus(Name="orders")
    gone = ("ResourceNotFoundException", "Event bus orders does not exist.")
    assert refused(events.describe_event_bus, Name="orders") == gone
    assert refused(events.delete_event_bus, Name="orders") == gone
    assert refused(events.put_rule, Name="r", EventBusName="orders", EventPattern='{"source": ["x"]}') == gone


def test_buses_come_in_pages(aws: Any) -> None:
    events = aws.client("events")
    for n in range(5):
        events.create_event_bus(Name=f"page-{n}")
    first = events.list_event_buses(NamePrefix="page-", Limit=3)
    rest = events.list_event_buses(NamePrefix="page-", Limit=3, NextToken=first["NextToken"])
    assert [one["Name"] for one in first["EventBuses"] + rest["EventBuses"]] == [f"page-{n}" for n in range(5)]
    assert "NextToken" not in rest
    assert refused(events.list_event_buses, NextToken="made-up")[0] == "ValidationException"


@pytest.mark.parametrize("bus", ["default", "permitted"])
def test_permissions_are_statements_of_the_policy(aws: Any, bus: str) -> None:
    events = aws.client("events")
    if bus != "default":
        events.create_event_bus(Name=bus)
    arn = f"arn:aws:events:us-east-1:{aws.account}:event-bus/{bus}"
    missing = ("ResourceNotFoundException", "Statement with the provided id does not exist.")
    assert refused(events.remove_permission, EventBusName=bus, StatementId="one") == missing
    for sid, principal in (("one", "222233334444"), ("two", "333344445555")):
        events.put_permission(EventBusName=bus, Action="events:PutEvents", Principal=principal, StatementId=sid)
    events.remove_permission(EventBusName=bus, StatementId="one")
    assert json.loads(events.describe_event_bus(Name=bus)["Policy"]) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "two",
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::333344445555:root"},
                "Action": "events:PutEvents",
                "Resource": arn,
            }
        ],
    }
    assert refused(events.remove_permission, EventBusName=bus, StatementId="one") == missing
    events.remove_permission(EventBusName=bus, RemoveAllPermissions=True)
    assert "Policy" not in events.describe_event_bus(Name=bus)
    assert refused(
        events.put_permission, EventBusName="none", Action="events:PutEvents", Principal="*", StatementId="x"
    ) == ("ResourceNotFoundException", "Event bus none does not exist.")
    assert refused(events.put_permission, EventBusName=bus, Policy="{")[0] == "ValidationException"


def test_another_account_needs_the_policy(aws: Any, pileus: Any) -> None:
    other = type(aws)(pileus.endpoint)
    events = aws.client("events")
    events.create_event_bus(Name="guarded")
    arn = f"arn:aws:events:us-east-1:{aws.account}:event-bus/guarded"
    entry = {"EventBusName": arn, "Source": "other", "DetailType": "t", "Detail": "{}"}
    code, message = refused(other.client("events").put_events, Entries=[entry])
    assert code == "AccessDeniedException"
    assert f"is not authorized to perform: events:PutEvents on resource: {arn}" in message
    events.put_permission(
        EventBusName="guarded", Action="events:PutEvents", Principal=other.account, StatementId="let-in"
    )
    assert other.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0


def test_policies_that_cannot_be_evaluated(aws: Any) -> None:
    """They would keep everybody out, the owner too."""
    events = aws.client("events")
    arn = events.create_event_bus(Name="evaluated")["EventBusArn"]
    allow = {"Effect": "Allow", "Principal": "*", "Action": "events:PutEvents", "Resource": arn}
    for broken in ({"Condition": {"Likes": {"a:b": "c"}}}, {"Condition": ["a"]}, {"Action": [1]}, {"Resource": {}}):
        policy = json.dumps({"Version": "2012-10-17", "Statement": [{**allow, **broken}]})
        code, message = refused(events.put_permission, EventBusName="evaluated", Policy=policy)
        assert (code, message.partition(":")[0]) == ("ValidationException", "Policy is not valid. Reason")
    condition = {"Type": "Likes", "Key": "aws:PrincipalOrgID", "Value": "o-1"}
    one = {"Action": "events:PutEvents", "Principal": "*", "StatementId": "one", "Condition": condition}
    assert refused(events.put_permission, EventBusName="evaluated", **one)[0] == "ValidationException"
    assert "Policy" not in events.describe_event_bus(Name="evaluated")
    entry = {"Source": "a", "DetailType": "b", "Detail": "{}", "EventBusName": arn}
    assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0


def test_a_denied_user(aws: Any) -> None:
    iam = aws.client("iam")
    iam.create_user(UserName="narrow")
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "events:PutEvents",
                "Resource": "*",
                "Condition": {"StringEquals": {"events:source": "mine"}},
            }
        ],
    }
    iam.put_user_policy(UserName="narrow", PolicyName="p", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName="narrow")["AccessKey"]
    events = aws.client("events", credentials=key)
    mine = {"Source": "mine", "DetailType": "t", "Detail": "{}"}
    assert events.put_events(Entries=[mine])["FailedEntryCount"] == 0
    assert refused(events.put_events, Entries=[mine, {**mine, "Source": "theirs"}])[0] == "AccessDeniedException"
    for call, request in (
        (events.put_rule, {"Name": "r", "EventPattern": '{"source": ["x"]}'}),
        (events.create_event_bus, {"Name": "b"}),
        (events.list_rules, {}),
        (
            events.create_archive,
            {"ArchiveName": "a", "EventSourceArn": f"arn:aws:events:us-east-1:{aws.account}:event-bus/default"},
        ),
    ):
        assert refused(call, **request)[0] == "AccessDeniedException"


def test_tags(aws: Any) -> None:
    events = aws.client("events")
    events.create_event_bus(Name="tagged", Tags=[{"Key": "made", "Value": "so"}])
    events.put_rule(
        Name="r", EventBusName="tagged", EventPattern='{"source": ["x"]}', Tags=[{"Key": "a", "Value": "b"}]
    )
    prefix = f"arn:aws:events:us-east-1:{aws.account}"
    for arn, tag in (
        (f"{prefix}:event-bus/tagged", {"Key": "made", "Value": "so"}),
        (f"{prefix}:rule/tagged/r", {"Key": "a", "Value": "b"}),
    ):
        events.tag_resource(ResourceARN=arn, Tags=[{"Key": "k", "Value": "v"}])
        assert events.list_tags_for_resource(ResourceARN=arn)["Tags"] == [tag, {"Key": "k", "Value": "v"}]
        events.untag_resource(ResourceARN=arn, TagKeys=["k", "none"])
        assert events.list_tags_for_resource(ResourceARN=arn)["Tags"] == [tag]
    assert refused(events.list_tags_for_resource, ResourceARN=f"{prefix}:rule/gone") == (
        "ResourceNotFoundException",
        "Rule gone does not exist on EventBus default.",
    )
    assert (
        refused(events.tag_resource, ResourceARN=f"{prefix}:event-bus/tagged", Tags=[{"Key": "aws:x", "Value": "v"}])[0]
        == "ValidationException"
    )
