"""Partner event sources: from one account's offer to another's bus."""

from __future__ import annotations

import json
from typing import Any

from events_kit import Group, bare, refused

SOURCE = "aws.partner/example.com/shop/orders"
ARN = f"arn:aws:events:us-east-1::event-source/{SOURCE}"


def entry(n: int = 1, source: str = SOURCE) -> dict[str, Any]:
    return {"Source": source, "DetailType": "order", "Detail": json.dumps({"n": n})}


def test_a_partner_s_events_reach_the_bus_of_the_account_that_took_them(aws: Any, pileus: Any) -> None:
    customer = type(aws)(pileus.endpoint)
    partner, events = aws.client("events"), customer.client("events")
    made = partner.create_partner_event_source(Name=SOURCE, Account=customer.account)
    assert bare(made) == {"EventSourceArn": ARN}
    source = bare(events.describe_event_source(Name=SOURCE))
    assert (source["ExpirationTime"] - source["CreationTime"]).days == 14
    assert source == {
        "Arn": ARN,
        "CreatedBy": "example.com",
        "CreationTime": source["CreationTime"],
        "ExpirationTime": source["ExpirationTime"],
        "Name": SOURCE,
        "State": "PENDING",
    }
    # Nobody has taken it: it is accepted, and reaches nobody.
    assert partner.put_partner_events(Entries=[entry(0)])["FailedEntryCount"] == 0
    bus = events.create_event_bus(Name=SOURCE, EventSourceName=SOURCE)["EventBusArn"]
    assert bus == f"arn:aws:events:us-east-1:{customer.account}:event-bus/{SOURCE}"
    assert events.list_event_sources()["EventSources"][0]["State"] == "ACTIVE"
    assert "ExpirationTime" not in events.describe_event_source(Name=SOURCE)
    group = Group(customer, "orders")
    events.put_rule(Name="r", EventBusName=SOURCE, EventPattern=json.dumps({"source": [{"prefix": "aws.partner/"}]}))
    events.put_targets(Rule="r", EventBusName=SOURCE, Targets=[{"Id": "t", "Arn": group.arn}])
    answer = partner.put_partner_events(Entries=[entry(1)])
    event = json.loads(group.wait()[0])
    assert event == {
        "version": "0",
        "id": answer["Entries"][0]["EventId"],
        "detail-type": "order",
        "source": SOURCE,
        "account": customer.account,
        "time": event["time"],
        "region": "us-east-1",
        "resources": [],
        "detail": {"n": 1},
    }
    events.deactivate_event_source(Name=SOURCE)
    assert events.describe_event_source(Name=SOURCE)["State"] == "PENDING"
    partner.put_partner_events(Entries=[entry(2)])
    events.activate_event_source(Name=SOURCE)
    partner.put_partner_events(Entries=[entry(3)])
    assert sorted(json.loads(text)["detail"]["n"] for text in group.wait(2)) == [1, 3]
    partner.delete_partner_event_source(Name=SOURCE, Account=customer.account)
    assert events.describe_event_source(Name=SOURCE)["State"] == "DELETED"
    assert refused(events.activate_event_source, Name=SOURCE)[0] == "InvalidStateException"
    events.remove_targets(Rule="r", EventBusName=SOURCE, Ids=["t"])
    events.delete_rule(Name="r", EventBusName=SOURCE)
    events.delete_event_bus(Name=SOURCE)
    assert events.list_event_sources()["EventSources"] == []


def test_what_a_partner_sees(aws: Any) -> None:
    events = aws.client("events")
    for name, account in ((SOURCE, "111122223333"), (SOURCE, "222233334444"), (f"{SOURCE}/more", "111122223333")):
        events.create_partner_event_source(Name=name, Account=account)
    assert bare(events.describe_partner_event_source(Name=SOURCE)) == {"Arn": ARN, "Name": SOURCE}
    prefix = "aws.partner/example.com/"
    first = events.list_partner_event_sources(NamePrefix=prefix, Limit=1)
    rest = events.list_partner_event_sources(NamePrefix=prefix, NextToken=first["NextToken"])
    names = [each["Name"] for each in first["PartnerEventSources"] + rest["PartnerEventSources"]]
    assert names == [SOURCE, f"{SOURCE}/more"]
    accounts = events.list_partner_event_source_accounts(EventSourceName=SOURCE)["PartnerEventSourceAccounts"]
    assert [(each["Account"], each["State"]) for each in accounts] == [
        ("111122223333", "PENDING"),
        ("222233334444", "PENDING"),
    ]
    again = refused(events.create_partner_event_source, Name=SOURCE, Account="111122223333")
    assert again == ("ResourceAlreadyExistsException", f"Event source {SOURCE} already exists.")
    for account in ("111122223333", "222233334444"):
        events.delete_partner_event_source(Name=SOURCE, Account=account)
    gone = ("ResourceNotFoundException", f"Event source {SOURCE} does not exist.")
    assert refused(events.describe_partner_event_source, Name=SOURCE) == gone
    assert refused(events.list_partner_event_source_accounts, EventSourceName=SOURCE) == gone
    events.delete_partner_event_source(Name=f"{SOURCE}/more", Account="111122223333")


def test_what_is_refused(aws: Any, pileus: Any) -> None:
    events = aws.client("events")
    gone = ("ResourceNotFoundException", f"Event source {SOURCE} does not exist.")
    for call in (events.describe_event_source, events.activate_event_source, events.deactivate_event_source):
        assert refused(call, Name=SOURCE) == gone
    assert refused(events.create_event_bus, Name=SOURCE, EventSourceName=SOURCE) == gone
    assert refused(events.create_event_bus, Name=SOURCE)[0] == "ValidationException"
    # A name that another offers, or nobody; and the partner's own names are not for everybody's events.
    other = type(aws)(pileus.endpoint)
    other.client("events").create_partner_event_source(Name=SOURCE, Account=aws.account)
    assert refused(events.create_partner_event_source, Name=SOURCE, Account=aws.account)[0] == (
        "ResourceAlreadyExistsException"
    )
    for put in (events.put_partner_events, events.put_events):
        failed = put(Entries=[entry()])["Entries"][0]
        assert failed["ErrorCode"] == "NotAuthorizedForSourceException"
    assert refused(events.activate_event_source, Name=SOURCE)[0] == "InvalidStateException"


def test_an_offer_that_nobody_takes_expires(aws: Any, start_pileus: Any) -> None:
    server = start_pileus("--clock", "virtual")
    events = type(aws)(server.endpoint).client("events")
    events.create_partner_event_source(Name=SOURCE, Account="111122223333")
    server.advance(15 * 86400)
    assert refused(events.describe_partner_event_source, Name=SOURCE)[0] == "ResourceNotFoundException"
    events.create_partner_event_source(Name=SOURCE, Account="111122223333")
