"""Discoverers, what they learn, what Schemas tells of it; and the policies of registries."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pileus.services.schemas import shapes
from waiting import until

CONTENT = json.dumps({"openapi": "3.0.0", "info": {"title": "E", "version": "1"}, "paths": {}})
ALLOW_LOGS = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                "Resource": "*",
            }
        ],
    }
)


def refused(call: Any, **request: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call(**request)
    answer = caught.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def bare(answer: dict[str, Any]) -> dict[str, Any]:
    return {member: value for member, value in answer.items() if member != "ResponseMetadata"}


def put(aws: Any, bus: str, detail: Any, source: str = "shop/north", detail_type: str = "order placed") -> None:
    entry = {"EventBusName": bus, "Source": source, "DetailType": detail_type, "Detail": json.dumps(detail)}
    assert aws.client("events").put_events(Entries=[entry])["FailedEntryCount"] == 0


def versions(aws: Any, name: str) -> list[str]:
    try:
        listed = aws.client("schemas").list_schema_versions(RegistryName="discovered-schemas", SchemaName=name)
    except ClientError:
        return []
    return [each["SchemaVersion"] for each in listed["SchemaVersions"]]


def test_a_discoverer_from_its_making_to_its_end(aws: Any) -> None:
    events, schemas = aws.client("events"), aws.client("schemas")
    bus = events.create_event_bus(Name="shop")["EventBusArn"]
    made = schemas.create_discoverer(SourceArn=bus, Description="d", Tags={"k": "v"})
    assert made["ResponseMetadata"]["HTTPStatusCode"] == 201
    arn = f"arn:aws:schemas:us-east-1:{aws.account}:discoverer/events-event-bus-shop"
    listed = {
        "DiscovererArn": arn,
        "DiscovererId": "events-event-bus-shop",
        "SourceArn": bus,
        "State": "STARTED",
        "CrossAccount": True,
        "Tags": {"k": "v"},
    }
    assert bare(made) == {**listed, "Description": "d"}
    at = {"DiscovererId": "events-event-bus-shop"}
    assert bare(schemas.describe_discoverer(**at)) == bare(made)
    assert bare(schemas.list_discoverers()) == {"Discoverers": [listed]}
    assert schemas.list_discoverers(DiscovererIdPrefix="other")["Discoverers"] == []
    assert schemas.list_discoverers(SourceArnPrefix=bus[:-1])["Discoverers"] == [listed]
    assert schemas.list_discoverers(SourceArnPrefix=f"{bus}s")["Discoverers"] == []
    assert refused(schemas.create_discoverer, SourceArn=bus) == ("ConflictException", 409)
    assert [each["RegistryName"] for each in schemas.list_registries()["Registries"]] == ["discovered-schemas"]

    name = "Schemas-events-event-bus-shop"
    rule = events.describe_rule(Name=name, EventBusName="shop")
    assert (rule["ManagedBy"], rule["State"]) == ("schemas.amazonaws.com", "ENABLED")
    assert json.loads(rule["EventPattern"]) == {
        "source": [{"prefix": "aws.partner/"}, {"anything-but": {"prefix": "aws."}}]
    }
    with pytest.raises(events.exceptions.ManagedRuleException):
        events.delete_rule(Name=name, EventBusName="shop")
    assert bare(schemas.stop_discoverer(**at)) == {**at, "State": "STOPPED"}
    assert events.describe_rule(Name=name, EventBusName="shop")["State"] == "DISABLED"
    assert schemas.start_discoverer(**at)["State"] == "STARTED"
    changed = schemas.update_discoverer(**at, Description="e", CrossAccount=False)
    assert (changed["Description"], changed["CrossAccount"]) == ("e", False)
    pattern = events.describe_rule(Name=name, EventBusName="shop")["EventPattern"]
    assert json.loads(pattern)["account"] == [aws.account]
    schemas.tag_resource(ResourceArn=arn, Tags={"l": "w"})
    assert schemas.list_tags_for_resource(ResourceArn=arn)["Tags"] == {"k": "v", "l": "w"}
    assert schemas.delete_discoverer(**at)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert events.list_rules(EventBusName="shop")["Rules"] == []
    for call in (schemas.describe_discoverer, schemas.delete_discoverer, schemas.start_discoverer):
        assert refused(call, **at) == ("NotFoundException", 404)


def test_changes_at_once_are_all_kept_and_the_rule_says_the_same(aws: Any) -> None:
    events, schemas = aws.client("events"), aws.client("schemas")
    at = {"DiscovererId": "events-event-bus-busy"}
    schemas.create_discoverer(SourceArn=events.create_event_bus(Name="busy")["EventBusArn"])
    with ThreadPoolExecutor(3) as pool:
        for number in range(8):
            turn, state = [(schemas.stop_discoverer, "STOPPED"), (schemas.start_discoverer, "STARTED")][number % 2]
            crossing = number % 3 == 0
            calls = [
                pool.submit(turn, **at),
                pool.submit(schemas.update_discoverer, **at, Description=str(number)),
                pool.submit(schemas.update_discoverer, **at, CrossAccount=crossing),
            ]
            for call in calls:
                call.result()
            shown = schemas.describe_discoverer(**at)
            assert (shown["State"], shown["Description"], shown["CrossAccount"]) == (state, str(number), crossing)
            rule = events.describe_rule(Name="Schemas-events-event-bus-busy", EventBusName="busy")
            assert rule["State"] == ("ENABLED" if state == "STARTED" else "DISABLED")
            assert ("account" in json.loads(rule["EventPattern"])) is not crossing


@pytest.mark.parametrize(
    "source",
    [
        "arn:aws:sqs:us-east-1:{account}:queue",
        "arn:aws:events:us-east-1:{account}:rule/one",
        "arn:aws:events:us-east-1:222233334444:event-bus/default",
        "arn:aws:events:eu-west-1:{account}:event-bus/default",
        "arn:aws:events:us-east-1:{account}:event-bus/nobody",
        "nothing of this kind at all",
    ],
)
def test_what_is_no_source(aws: Any, source: str) -> None:
    schemas = aws.client("schemas")
    source = source.format(account=aws.account)
    assert refused(schemas.create_discoverer, SourceArn=source) == ("BadRequestException", 400)
    assert schemas.list_discoverers()["Discoverers"] == []


def test_events_become_schemas_and_new_looks_new_versions(aws: Any) -> None:
    events, schemas = aws.client("events"), aws.client("schemas")
    logs = aws.client("logs")
    logs.create_log_group(logGroupName="told")
    logs.put_resource_policy(policyName="rules", policyDocument=ALLOW_LOGS)
    events.put_rule(Name="told", EventPattern='{"source": ["aws.schemas"]}')
    group = f"arn:aws:logs:us-east-1:{aws.account}:log-group:told"
    events.put_targets(Rule="told", Targets=[{"Id": "logs", "Arn": group}])
    bus = events.create_event_bus(Name="learn")["EventBusArn"]
    schemas.create_discoverer(SourceArn=bus)
    name = "shop-north@OrderPlaced"
    put(aws, "learn", {"n": 1, "by": {"name": "a"}})
    until(lambda: versions(aws, name) == ["1"])
    put(aws, "learn", {"n": 2, "by": {"name": "b"}})
    put(aws, "learn", {"n": 1.5, "late": True})
    until(lambda: versions(aws, name) == ["1", "2"])
    found = schemas.describe_schema(RegistryName="discovered-schemas", SchemaName=name)
    assert found["Type"] == "OpenApi3"
    components = json.loads(found["Content"])["components"]["schemas"]
    assert components["AWSEvent"]["x-amazon-events-source"] == "shop/north"
    assert components["AWSEvent"]["required"] == [
        *("detail-type", "resources", "detail", "id", "source", "time", "region", "version", "account")
    ]
    assert components["OrderPlaced"] == {
        "type": "object",
        "required": ["n"],
        "properties": {
            "n": {"type": "number"},
            "by": {"$ref": "#/components/schemas/By"},
            "late": {"type": "boolean"},
        },
    }
    before = schemas.describe_schema(RegistryName="discovered-schemas", SchemaName=name, SchemaVersion="1")
    assert json.loads(before["Content"])["components"]["schemas"]["OrderPlaced"]["required"] == ["n", "by"]

    schemas.stop_discoverer(DiscovererId="events-event-bus-learn")
    put(aws, "learn", {"other": True}, detail_type="order lost")
    schemas.start_discoverer(DiscovererId="events-event-bus-learn")
    put(aws, "learn", {"n": True}, detail_type="order found")
    until(lambda: versions(aws, "shop-north@OrderFound"))
    assert versions(aws, "shop-north@OrderLost") == []

    def told() -> list[dict[str, Any]]:
        return [json.loads(each["message"]) for each in logs.filter_log_events(logGroupName="told")["events"]]

    until(lambda: len(told()) == 5)
    ours = [each for each in told() if each["detail"]["SchemaName"] == name]
    assert sorted((each["detail-type"], each["detail"]["Version"]) for each in ours) == [
        ("Schema Created", "1"),
        ("Schema Version Created", "1"),
        ("Schema Version Created", "2"),
    ]
    assert ours[0]["resources"] == [f"arn:aws:schemas:us-east-1::schema/discovered-schemas/{name}"]
    assert ours[0]["detail"].keys() == {"SchemaName", "SchemaType", "RegistryName", "CreationDate", "Version"}


def test_what_is_too_large_is_not_learned(aws: Any) -> None:
    schemas = aws.client("schemas")
    bus = aws.client("events").create_event_bus(Name="wide")["EventBusArn"]
    schemas.create_discoverer(SourceArn=bus)
    put(aws, "wide", {f"n{number}": 1 for number in range(2001)}, source="one")
    put(aws, "wide", {"list": [1] * 2001}, source="one")
    put(aws, "wide", {"n" * 60_000: {"n" * 60_000: 1}}, source="one")
    for half in ("a", "b"):
        put(aws, "wide", {f"{half}{number}": 1 for number in range(1500)}, source="two")
    put(aws, "wide", {"n": 1}, source="three")
    until(lambda: versions(aws, "three@OrderPlaced"))
    until(lambda: versions(aws, "two@OrderPlaced") == ["1"])
    assert versions(aws, "one@OrderPlaced") == []


def test_the_objects_of_a_list_are_looked_at_once() -> None:
    """By the square of their number it would take minutes, and everybody would wait."""
    shape = shapes.shape_of([{"many": [{f"k{number}": number} for number in range(100_000)]}])
    items = shape.members["many"].items
    assert items is not None
    assert (len(items.members), items.required) == (100_000, set())


@pytest.mark.parametrize("made_again", [False, True])
def test_a_deleted_schema_is_learned_anew(aws: Any, made_again: bool) -> None:
    schemas = aws.client("schemas")
    schemas.create_discoverer(SourceArn=f"arn:aws:events:us-east-1:{aws.account}:event-bus/default")
    put(aws, "default", {"n": 1}, source="s")
    until(lambda: versions(aws, "s@OrderPlaced"))
    at = {"RegistryName": "discovered-schemas", "SchemaName": "s@OrderPlaced"}
    schemas.delete_schema(**at)
    if made_again:
        schemas.create_schema(**at, Type="OpenApi3", Content=CONTENT)
    put(aws, "default", {"m": 1}, source="s")
    until(lambda: len(versions(aws, "s@OrderPlaced")) == 1 + made_again)
    found = schemas.describe_schema(RegistryName="discovered-schemas", SchemaName="s@OrderPlaced")["Content"]
    assert list(json.loads(found)["components"]["schemas"]["OrderPlaced"]["properties"]) == ["m"]


def test_policies_of_registries(aws: Any) -> None:
    schemas, iam = aws.client("schemas"), aws.client("iam")
    schemas.create_registry(RegistryName="shared")
    schemas.create_schema(RegistryName="shared", SchemaName="s", Type="OpenApi3", Content=CONTENT)
    user = iam.create_user(UserName="reader")["User"]["Arn"]
    theirs = aws.client("schemas", credentials=iam.create_access_key(UserName="reader")["AccessKey"])
    at = {"RegistryName": "shared"}
    assert refused(theirs.describe_schema, **at, SchemaName="s")[1] == 403
    assert refused(schemas.get_resource_policy, **at) == ("NotFoundException", 404)
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": user},
        "Action": "schemas:DescribeSchema",
        "Resource": f"arn:aws:schemas:us-east-1:{aws.account}:schema/shared/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    kept = bare(schemas.put_resource_policy(**at, Policy=policy))
    assert kept == bare(schemas.get_resource_policy(**at)) == {"Policy": policy, "RevisionId": kept["RevisionId"]}
    assert theirs.describe_schema(**at, SchemaName="s")["SchemaVersion"] == "1"
    assert refused(theirs.delete_schema, **at, SchemaName="s")[1] == 403
    stale = {**at, "Policy": policy, "RevisionId": "another"}
    assert refused(schemas.put_resource_policy, **stale) == ("PreconditionFailedException", 412)
    again = schemas.put_resource_policy(**at, Policy=policy, RevisionId=kept["RevisionId"])
    assert again["RevisionId"] != kept["RevisionId"]
    assert refused(schemas.put_resource_policy, **at, Policy="[") == ("BadRequestException", 400)
    # It could not be evaluated: nobody would get an answer any more.
    for broken in ({"Statement": 5}, {"Statement": [{**statement, "Condition": {"Likes": {"a:b": "c"}}}]}):
        assert refused(schemas.put_resource_policy, **at, Policy=json.dumps(broken)) == ("BadRequestException", 400)
    assert refused(schemas.put_resource_policy, Policy=policy) == ("BadRequestException", 400)
    assert schemas.delete_resource_policy(**at)["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert refused(schemas.get_resource_policy, **at) == ("NotFoundException", 404)
    assert refused(theirs.describe_schema, **at, SchemaName="s")[1] == 403
