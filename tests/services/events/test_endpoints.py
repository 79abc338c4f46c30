"""Global endpoints: two buses of one name in two regions, and events signed for both."""

from __future__ import annotations

import json
from typing import Any

import pytest
from events_kit import Group, bare, refused

from waiting import until

HEALTH = "arn:aws:route53:::healthcheck/12345678-aaaa-bbbb-cccc-1234567890ab"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)


def routing(secondary: str = "eu-west-1") -> dict[str, Any]:
    return {"FailoverConfig": {"Primary": {"HealthCheck": HEALTH}, "Secondary": {"Route": secondary}}}


def bus_arns(aws: Any, bus: str, *regions: str) -> list[dict[str, str]]:
    return [
        {"EventBusArn": f"arn:aws:events:{region}:{aws.account}:event-bus/{bus}"}
        for region in regions or ("us-east-1", "eu-west-1")
    ]


def made(aws: Any, bus: str, **options: Any) -> dict[str, Any]:
    """An active endpoint of two buses of this name."""
    events = aws.client("events")
    for region in ("us-east-1", "eu-west-1"):
        aws.client("events", region=region).create_event_bus(Name=bus)
    request = {"ReplicationConfig": {"State": "DISABLED"}, **options}
    events.create_endpoint(Name=bus, RoutingConfig=routing(), EventBuses=bus_arns(aws, bus), **request)
    return settled(events, bus)


def settled(events: Any, name: str) -> dict[str, Any]:
    def find() -> dict[str, Any] | None:
        shown = bare(events.describe_endpoint(Name=name))
        return shown if shown["State"] not in ("CREATING", "UPDATING", "DELETING") else None

    return until(find)


def role_of(aws: Any, name: str, *actions: str) -> str:
    iam = aws.client("iam")
    role: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName=name, PolicyName="it", PolicyDocument=document)
    return role


def put(aws: Any, endpoint: str, **entry: Any) -> dict[str, Any]:
    entry = {"Source": "my.app", "DetailType": "placed", "Detail": "{}", **entry}
    return bare(aws.client("events").put_events(EndpointId=endpoint, Entries=[entry]))


def test_an_endpoint_from_its_making_to_its_end(aws: Any) -> None:
    events = aws.client("events")
    for region in ("us-east-1", "eu-west-1"):
        aws.client("events", region=region).create_event_bus(Name="orders")
    arn = f"arn:aws:events:us-east-1:{aws.account}:endpoint/main"
    settings = {
        "Name": "main",
        "RoutingConfig": routing(),
        "ReplicationConfig": {"State": "DISABLED"},
        "EventBuses": bus_arns(aws, "orders"),
    }
    assert bare(events.create_endpoint(**settings, Description="of orders")) == {
        **settings,
        "Arn": arn,
        "State": "CREATING",
    }
    shown = settled(events, "main")
    id = shown["EndpointId"]
    assert id.endswith(".veo")
    assert shown == {
        **settings,
        "Arn": arn,
        "Description": "of orders",
        "State": "ACTIVE",
        "EndpointId": id,
        "EndpointUrl": f"https://{id}.endpoint.events.amazonaws.com",
        "CreationTime": shown["CreationTime"],
        "LastModifiedTime": shown["LastModifiedTime"],
    }
    assert bare(events.list_endpoints(NamePrefix="ma")) == {"Endpoints": [shown]}
    there = aws.client("events", region="eu-west-1")
    assert there.list_endpoints()["Endpoints"] == []
    assert bare(there.describe_endpoint(Name="main", HomeRegion="us-east-1")) == shown
    assert there.list_endpoints(HomeRegion="us-east-1")["Endpoints"] == [shown]
    assert refused(events.create_endpoint, **settings) == (
        "ResourceAlreadyExistsException",
        "Endpoint main already exists.",
    )
    changed = bare(events.update_endpoint(Name="main", Description="of late orders"))
    assert changed == {
        **settings,
        "Arn": arn,
        "State": "UPDATING",
        "EndpointId": id,
        "EndpointUrl": shown["EndpointUrl"],
    }
    assert settled(events, "main")["Description"] == "of late orders"
    assert bare(events.delete_endpoint(Name="main")) == {}
    until(lambda: not events.list_endpoints(NamePrefix="main")["Endpoints"])
    gone = ("ResourceNotFoundException", "Endpoint main does not exist.")
    for call in (events.describe_endpoint, events.update_endpoint, events.delete_endpoint):
        assert refused(call, Name="main") == gone
    assert refused(put, aws=aws, endpoint=id) == ("ResourceNotFoundException", f"Endpoint {id} does not exist.")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"RoutingConfig": routing("us-west-2")}, "one event bus in the primary Region and one in the secondary"),
        ({"RoutingConfig": routing("us-east-1")}, "one event bus in the primary Region and one in the secondary"),
        ({"Buses": ("us-east-1", "us-east-1")}, "one event bus in the primary Region and one in the secondary"),
        ({"ReplicationConfig": {"State": "ENABLED"}}, "RoleArn is required for event replication."),
        ({"ReplicationConfig": None}, "RoleArn is required for event replication."),
    ],
)
def test_what_an_endpoint_cannot_be(aws: Any, changes: dict[str, Any], reason: str) -> None:
    request: dict[str, Any] = {
        "Name": "never",
        "RoutingConfig": routing(),
        "ReplicationConfig": {"State": "DISABLED"},
        "EventBuses": bus_arns(aws, "default", *changes.pop("Buses", ())),
        **changes,
    }
    request = {member: value for member, value in request.items() if value is not None}
    code, message = refused(aws.client("events").create_endpoint, **request)
    assert code == "ValidationException"
    assert reason in message


def test_the_buses_of_an_endpoint_are_there_and_of_one_name(aws: Any) -> None:
    events = aws.client("events")
    request = {"Name": "never", "RoutingConfig": routing(), "ReplicationConfig": {"State": "DISABLED"}}
    mixed = bus_arns(aws, "default", "us-east-1") + bus_arns(aws, "other", "eu-west-1")
    assert "must be identical" in refused(events.create_endpoint, **request, EventBuses=mixed)[1]
    assert refused(events.create_endpoint, **request, EventBuses=bus_arns(aws, "nobody")) == (
        "ResourceNotFoundException",
        "Event bus nobody does not exist.",
    )
    foreign = [{"EventBusArn": one["EventBusArn"].replace(aws.account, "222233334444")} for one in mixed[:1]]
    assert refused(events.create_endpoint, **request, EventBuses=foreign + bus_arns(aws, "default", "eu-west-1"))[
        1
    ].endswith("Event buses must be in the same account.")


def test_events_go_to_the_primary_and_to_the_secondary_when_it_is_gone(aws: Any) -> None:
    """Signed by version 4A for any region."""
    id = made(aws, "spare")["EndpointId"]
    groups = {region: Group(aws, f"spare-{region}") for region in ("us-east-1", "eu-west-1")}
    for region, group in groups.items():
        client = aws.client("events", region=region)
        client.put_rule(Name="all", EventBusName="spare", EventPattern='{"source": ["my.app"]}')
        client.put_targets(Rule="all", EventBusName="spare", Targets=[{"Id": "logs", "Arn": group.arn}])
    arns = [one["EventBusArn"] for one in bus_arns(aws, "spare")]
    for bus in ({}, {"EventBusName": "spare"}, {"EventBusName": arns[0]}, {"EventBusName": arns[1]}):
        assert put(aws, id, **bus)["FailedEntryCount"] == 0
    until(lambda: len(groups["us-east-1"].texts()) == 4)
    event = json.loads(groups["us-east-1"].texts()[0])
    assert (event["region"], event["account"]) == ("us-east-1", aws.account)
    assert refused(put, aws=aws, endpoint=id, EventBusName="default")[0] == "ValidationException"

    events = aws.client("events")
    events.remove_targets(Rule="all", EventBusName="spare", Ids=["logs"])
    events.delete_rule(Name="all", EventBusName="spare")
    events.delete_event_bus(Name="spare")
    assert put(aws, id, EventBusName="spare")["FailedEntryCount"] == 0
    until(groups["eu-west-1"].texts)
    assert [json.loads(text)["region"] for text in groups["eu-west-1"].texts()] == ["eu-west-1"]
    # Where the primary is there again, it gets the events again.
    events.create_event_bus(Name="spare")
    assert put(aws, id)["FailedEntryCount"] == 0


def test_a_wrong_key_signs_for_no_region(aws: Any) -> None:
    id = made(aws, "closed")["EndpointId"]
    wrong = aws.client("events", credentials={"AccessKeyId": aws.account, "SecretAccessKey": "guessed"})
    entry = {"Source": "a", "DetailType": "b", "Detail": "{}"}
    assert refused(wrong.put_events, EndpointId=id, Entries=[entry])[0] == "InvalidSignatureException"


def test_events_are_replicated_by_managed_rules(aws: Any) -> None:
    needed = ("events:PutRule", "events:PutTargets", "events:DeleteRule", "events:RemoveTargets", "events:PutEvents")
    role = role_of(aws, "replicate", *needed, "iam:PassRole")
    shown = made(aws, "twice", ReplicationConfig={"State": "ENABLED"}, RoleArn=role)
    assert (shown["State"], shown["RoleArn"]) == ("ACTIVE", role)
    name = f"GlobalEndpointManagedRule-{shown['EndpointId'].removesuffix('.veo')}"
    groups = {}
    for region in ("us-east-1", "eu-west-1"):
        client = aws.client("events", region=region)
        rule = client.describe_rule(Name=name, EventBusName="twice")
        assert rule["ManagedBy"] == "events.amazonaws.com"
        assert refused(client.put_rule, Name=name, EventBusName="twice", EventPattern='{"source": ["x"]}')[0] == (
            "ManagedRuleException"
        )
        groups[region] = Group(aws, f"twice-{region}")
        client.put_rule(Name="all", EventBusName="twice", EventPattern='{"source": ["my.app"]}')
        client.put_targets(Rule="all", EventBusName="twice", Targets=[{"Id": "logs", "Arn": groups[region].arn}])
    put(aws, shown["EndpointId"], Detail='{"n": 1}')
    for group in groups.values():
        until(group.texts)
        assert [json.loads(text)["detail"] for text in group.texts()] == [{"n": 1}]

    events = aws.client("events")
    events.update_endpoint(Name="twice", ReplicationConfig={"State": "DISABLED"})
    settled(events, "twice")
    assert refused(events.describe_rule, Name=name, EventBusName="twice")[0] == "ResourceNotFoundException"
    events.update_endpoint(Name="twice", ReplicationConfig={"State": "ENABLED"})
    assert settled(events, "twice")["State"] == "ACTIVE"
    events.delete_endpoint(Name="twice")
    until(lambda: not events.list_endpoints(NamePrefix="twice")["Endpoints"])
    there = aws.client("events", region="eu-west-1")
    assert [one["Name"] for one in there.list_rules(EventBusName="twice")["Rules"]] == ["all"]


def test_an_endpoint_whose_role_may_not_is_not_made(aws: Any) -> None:
    role = role_of(aws, "powerless", "events:PutEvents")
    shown = made(aws, "powerless", ReplicationConfig={"State": "ENABLED"}, RoleArn=role)
    assert shown["State"] == "CREATE_FAILED"
    assert "events:PutRule" in shown["StateReason"]
    events = aws.client("events")
    events.delete_endpoint(Name="powerless")
    until(lambda: not events.list_endpoints(NamePrefix="powerless")["Endpoints"])
