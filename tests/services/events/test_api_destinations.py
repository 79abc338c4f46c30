"""Connections, and API destinations that are really called."""

from __future__ import annotations

import json
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest
from events_kit import Group, Web, bare, refused

from waiting import until

BASIC = {"BasicAuthParameters": {"Username": "user", "Password": "pass"}}
API_KEY = {"ApiKeyAuthParameters": {"ApiKeyName": "ApiKey", "ApiKeyValue": "secret"}}
OAUTH = {
    "OAuthParameters": {
        "ClientParameters": {"ClientID": "client_id", "ClientSecret": "client_secret"},
        "AuthorizationEndpoint": "https://127.0.0.1:1/oauth",
        "HttpMethod": "POST",
    }
}
KINDS = [("BASIC", BASIC), ("API_KEY", API_KEY), ("OAUTH_CLIENT_CREDENTIALS", OAUTH)]


@pytest.fixture
def web() -> Iterator[Web]:
    made = Web()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.mark.parametrize(("kind", "parameters"), KINDS)
def test_a_connection_shows_no_secrets(aws: Any, kind: str, parameters: dict[str, Any]) -> None:
    events = aws.client("events")
    state = "AUTHORIZING" if kind.startswith("OAUTH") else "AUTHORIZED"
    request = {"Name": "c", "AuthorizationType": kind, "AuthParameters": {**parameters, "InvocationHttpParameters": {}}}
    made = bare(events.create_connection(**request))
    assert made.keys() == {"ConnectionArn", "ConnectionState", "CreationTime", "LastModifiedTime"}
    assert made["ConnectionArn"].startswith(f"arn:aws:events:us-east-1:{aws.account}:connection/c/")
    assert made["ConnectionState"] == state
    assert refused(events.create_connection, **request)[0] == "ResourceAlreadyExistsException"
    shown = bare(events.describe_connection(Name="c"))
    assert shown.keys() == {
        *("ConnectionArn", "Name", "ConnectionState", "AuthorizationType", "SecretArn", "AuthParameters"),
        *("CreationTime", "LastModifiedTime", "LastAuthorizedTime"),
    }
    assert "secret" not in json.dumps(shown["AuthParameters"]).lower().replace("client_id", "")
    assert "pass" not in json.dumps(shown["AuthParameters"])
    assert (
        shown["AuthParameters"]
        == {
            "BASIC": {"BasicAuthParameters": {"Username": "user"}, "InvocationHttpParameters": {}},
            "API_KEY": {"ApiKeyAuthParameters": {"ApiKeyName": "ApiKey"}, "InvocationHttpParameters": {}},
            "OAUTH_CLIENT_CREDENTIALS": {
                "OAuthParameters": {
                    "ClientParameters": {"ClientID": "client_id"},
                    "AuthorizationEndpoint": "https://127.0.0.1:1/oauth",
                    "HttpMethod": "POST",
                },
                "InvocationHttpParameters": {},
            },
        }[kind]
    )
    prefix = f"arn:aws:secretsmanager:us-east-1:{aws.account}:secret:events!connection/c/"
    assert shown["SecretArn"].startswith(prefix)
    listed = events.list_connections(NamePrefix="c")["Connections"]
    assert listed == [{name: value for name, value in shown.items() if name not in ("SecretArn", "AuthParameters")}]
    assert events.list_connections(ConnectionState="DEAUTHORIZED")["Connections"] == []


def test_connections_are_changed_and_dropped(aws: Any) -> None:
    events = aws.client("events")
    events.create_connection(Name="c", AuthorizationType="BASIC", AuthParameters=BASIC)
    changed = bare(
        events.update_connection(
            Name="c",
            AuthorizationType="BASIC",
            AuthParameters={"BasicAuthParameters": {"Username": "new", "Password": "new_pass"}},
        )
    )
    assert changed.keys() == {
        *("ConnectionArn", "ConnectionState", "CreationTime", "LastModifiedTime", "LastAuthorizedTime")
    }
    assert events.describe_connection(Name="c")["AuthParameters"] == {"BasicAuthParameters": {"Username": "new"}}
    assert refused(events.update_connection, Name="c", AuthorizationType="API_KEY")[0] == "ValidationException"
    assert events.deauthorize_connection(Name="c")["ConnectionState"] == "DEAUTHORIZING"
    assert events.describe_connection(Name="c")["ConnectionState"] == "DEAUTHORIZED"
    assert events.delete_connection(Name="c")["ConnectionState"] == "DELETING"
    assert refused(events.describe_connection, Name="c")[0] == "ResourceNotFoundException"


def test_the_default_bus_is_told_what_becomes_of_them(aws: Any, web: Web) -> None:
    events, group = aws.client("events"), Group(aws, "told")
    events.put_rule(Name="told", EventPattern='{"source": ["aws.events"]}')
    events.put_targets(Rule="told", Targets=[{"Id": "logs", "Arn": group.arn}])

    def told(count: int) -> list[str]:
        found = until(lambda: len(group.texts()) == count and [json.loads(text) for text in group.texts()])
        for each in found:
            kind = "connection/c" if each["detail-type"].startswith("Connection") else "api-destination/d"
            assert each["resources"][0].startswith(f"arn:aws:events:us-east-1:{aws.account}:{kind}/")
            name, moment = each["detail"].values()
            assert (name, moment[-10:]) == (kind.rpartition("/")[2], " +0000 UTC")
        return sorted(each["detail-type"] for each in found)

    arn = events.create_connection(Name="c", AuthorizationType="BASIC", AuthParameters=BASIC)["ConnectionArn"]
    expected = ["Connection Authorized", "Connection Creation Started"]
    assert told(2) == expected
    events.create_api_destination(Name="d", ConnectionArn=arn, InvocationEndpoint="https://x.invalid", HttpMethod="PUT")
    expected += ["API Destination Activated"]
    assert told(3) == sorted(expected)
    events.deauthorize_connection(Name="c")
    expected += ["Connection Deauthorization Started", "Connection Deauthorized", "API Destination Deactivated"]
    assert told(6) == sorted(expected)
    oauth = {"OAuthParameters": {**OAUTH["OAuthParameters"], "AuthorizationEndpoint": f"{web.url}/oauth"}}
    events.update_connection(Name="c", AuthorizationType="OAUTH_CLIENT_CREDENTIALS", AuthParameters=oauth)
    expected += ["Connection Update Started", "Connection Authorization Started", "Connection Authorized"]
    expected += ["API Destination Activated"]
    assert told(10) == sorted(expected)
    events.delete_connection(Name="c")
    assert told(12) == sorted([*expected, "Connection Deletion Started", "API Destination Deactivated"])


def test_a_destination_is_as_active_as_the_connection_that_it_is_given(aws: Any) -> None:
    events, group = aws.client("events"), Group(aws, "given")
    one = events.create_connection(Name="one", AuthorizationType="BASIC", AuthParameters=BASIC)["ConnectionArn"]
    two = events.create_connection(Name="two", AuthorizationType="BASIC", AuthParameters=BASIC)["ConnectionArn"]
    events.deauthorize_connection(Name="two")
    events.put_rule(Name="told", EventPattern='{"source": ["aws.events"]}')
    events.put_targets(Rule="told", Targets=[{"Id": "logs", "Arn": group.arn, "InputPath": "$.detail-type"}])
    made = {"InvocationEndpoint": "https://x.invalid", "HttpMethod": "PUT"}
    assert events.create_api_destination(Name="d", ConnectionArn=two, **made)["ApiDestinationState"] == "INACTIVE"
    for connection, state in ((one, "ACTIVE"), (one, "ACTIVE"), (two, "INACTIVE")):
        assert events.update_api_destination(Name="d", ConnectionArn=connection)["ApiDestinationState"] == state
    until(lambda: len(group.texts()) >= 2)
    assert sorted(group.texts()) == ['"API Destination Activated"', '"API Destination Deactivated"']


def test_bad_connections(aws: Any) -> None:
    events = aws.client("events")
    name = "This should fail with two errors 123467890123412341234123412341234"
    code, message = refused(events.create_connection, Name=name, AuthorizationType="INVALID", AuthParameters=BASIC)
    assert code == "ValidationException"
    assert message == (
        f"3 validation errors detected: Value '{name}' at 'name' failed to satisfy constraint: Member must satisfy "
        rf"regular expression pattern: [\.\-_A-Za-z0-9]+; Value '{name}' at 'name' failed to satisfy constraint: "
        "Member must have length less than or equal to 64; Value 'INVALID' at 'authorizationType' failed to satisfy "
        "constraint: Member must satisfy enum value set: [BASIC, OAUTH_CLIENT_CREDENTIALS, API_KEY]"
    )
    assert refused(events.create_connection, Name="c", AuthorizationType="BASIC", AuthParameters=API_KEY)[0] == (
        "ValidationException"
    )


@pytest.mark.parametrize(("kind", "parameters"), KINDS)
def test_an_api_destination_from_its_making_to_its_end(aws: Any, kind: str, parameters: dict[str, Any]) -> None:
    events = aws.client("events")
    connection = events.create_connection(Name="c", AuthorizationType=kind, AuthParameters=parameters)["ConnectionArn"]
    state = "INACTIVE" if kind.startswith("OAUTH") else "ACTIVE"
    made = bare(
        events.create_api_destination(
            Name="d",
            ConnectionArn=connection,
            HttpMethod="POST",
            InvocationEndpoint="https://example.com/api",
            Description="first",
        )
    )
    assert made.keys() == {"ApiDestinationArn", "ApiDestinationState", "CreationTime", "LastModifiedTime"}
    assert made["ApiDestinationState"] == state
    listed = {
        **made,
        "Name": "d",
        "ConnectionArn": connection,
        "HttpMethod": "POST",
        "InvocationEndpoint": "https://example.com/api",
        "InvocationRateLimitPerSecond": 300,
    }
    assert bare(events.describe_api_destination(Name="d")) == {**listed, "Description": "first"}
    assert events.list_api_destinations(NamePrefix="d")["ApiDestinations"] == [listed]
    updated = events.update_api_destination(
        Name="d", InvocationEndpoint="https://example.com/api/v2", HttpMethod="PUT", Description="second"
    )
    assert updated["ApiDestinationState"] == state
    now = events.describe_api_destination(Name="d")
    assert (now["InvocationEndpoint"], now["HttpMethod"], now["Description"]) == (
        *("https://example.com/api/v2", "PUT", "second"),
    )
    assert bare(events.delete_api_destination(Name="d")) == {}
    assert refused(events.describe_api_destination, Name="d") == (
        "ResourceNotFoundException",
        "Failed to describe the api-destination(s). An api-destination 'd' does not exist.",
    )


def test_bad_api_destinations(aws: Any) -> None:
    events = aws.client("events")
    request = {"Name": "d", "InvocationEndpoint": "https://example.com"}
    assert refused(
        events.create_api_destination, ConnectionArn="invalid-connection-arn", HttpMethod="INVALID_METHOD", **request
    ) == (
        "ValidationException",
        "2 validation errors detected: Value 'invalid-connection-arn' at 'connectionArn' failed to satisfy constraint: "
        r"Member must satisfy regular expression pattern: ^arn:aws([a-z]|\-)*:events:([a-z]|\d|\-)*:([0-9]{12})?:"
        r"connection\/[\.\-_A-Za-z0-9]+\/[\-A-Za-z0-9]+$; Value 'INVALID_METHOD' at 'httpMethod' failed to satisfy "
        "constraint: Member must satisfy enum value set: [HEAD, POST, PATCH, DELETE, PUT, GET, OPTIONS]",
    )
    gone = f"arn:aws:events:us-east-1:{aws.account}:connection/none/{'0' * 8}"
    assert refused(events.create_api_destination, ConnectionArn=gone, HttpMethod="POST", **request) == (
        "ResourceNotFoundException",
        "Connection 'none' does not exist.",
    )


@pytest.fixture
def role(aws: Any) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sts:AssumeRole"}
    iam = aws.client("iam")
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    arn: str = iam.create_role(RoleName="caller", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    return arn


@pytest.mark.parametrize("kind", ["BASIC", "API_KEY", "OAUTH_CLIENT_CREDENTIALS"])
def test_events_go_out(aws: Any, web: Web, role: str, kind: str) -> None:
    events = aws.client("events")
    oauth = {"OAuthParameters": {**OAUTH["OAuthParameters"], "AuthorizationEndpoint": web.url + "/token"}}
    parameters = {"BASIC": BASIC, "API_KEY": API_KEY, "OAUTH_CLIENT_CREDENTIALS": oauth}[kind]
    more = {
        "HeaderParameters": [{"Key": "X-From", "Value": "connection"}, {"Key": "Origin", "Value": "http://localhost"}],
        "QueryStringParameters": [{"Key": "q", "Value": "a b"}],
        "BodyParameters": [{"Key": "added", "Value": "yes"}],
    }
    events.create_connection(
        Name="c", AuthorizationType=kind, AuthParameters={**parameters, "InvocationHttpParameters": more}
    )
    connection = events.describe_connection(Name="c")["ConnectionArn"]
    until(lambda: events.describe_connection(Name="c")["ConnectionState"] == "AUTHORIZED")
    destination = events.create_api_destination(
        Name="d", ConnectionArn=connection, HttpMethod="POST", InvocationEndpoint=f"{web.url}/orders/*?fixed=1"
    )["ApiDestinationArn"]
    events.put_rule(Name="r", EventPattern='{"source": ["out"]}')
    events.put_targets(
        Rule="r",
        Targets=[
            {
                "Id": "t",
                "Arn": destination,
                "RoleArn": role,
                "InputPath": "$.detail",
                "HttpParameters": {"PathParameterValues": ["$.detail.id"], "HeaderParameters": {"X-Target": "t"}},
            }
        ],
    )
    web.requests.clear()
    # The first answer is one that is tried again.
    web.statuses = [503]
    events.put_events(Entries=[{"Source": "out", "DetailType": "t", "Detail": '{"id": "o/1", "n": 2}'}])
    until(lambda: len(web.requests) >= 2)
    method, path, headers, body = web.requests[-1]
    assert (method, path) == ("POST", "/orders/o%2F1?fixed=1&q=a+b")
    assert json.loads(body) == {"id": "o/1", "n": 2, "added": "yes"}
    assert headers["content-type"] == "application/json; charset=utf-8"
    assert headers["user-agent"] == "Amazon/EventBridge/ApiDestinations"
    assert (headers["x-from"], headers["x-target"]) == ("connection", "t")
    assert "origin" not in headers
    assert {
        "BASIC": headers.get("authorization") == "Basic " + b64encode(b"user:pass").decode(),
        "API_KEY": headers.get("apikey") == "secret",
        "OAUTH_CLIENT_CREDENTIALS": headers.get("authorization") == "Bearer the-token",
    }[kind]


def test_a_destination_is_no_way_into_the_node(aws: Any, start_pileus: Any) -> None:
    """The node calls itself as a stranger: what only the machine's own users may do it does not let itself do."""
    server = start_pileus("--clock", "virtual")
    here = type(aws)(server.endpoint)
    trust = {"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = here.client("iam").create_role(
        RoleName="caller", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )["Role"]["Arn"]
    events = here.client("events")
    connection = events.create_connection(Name="c", AuthorizationType="API_KEY", AuthParameters=API_KEY)
    destination = events.create_api_destination(
        Name="d",
        ConnectionArn=connection["ConnectionArn"],
        HttpMethod="POST",
        InvocationEndpoint=f"{server.endpoint}/_pileus/clock",
    )["ApiDestinationArn"]
    events.put_rule(Name="r", EventPattern='{"source": ["out"]}')
    target = {"Id": "t", "Arn": destination, "RoleArn": role, "Input": '{"advance_s": 1000000}'}
    events.put_targets(Rule="r", Targets=[target])
    events.put_events(Entries=[{"Source": "out", "DetailType": "t", "Detail": "{}"}])

    def tried() -> bool:
        with urllib.request.urlopen(server.endpoint + "/_pileus/status") as answer:
            deliveries = json.load(answer)["deliveries"]
        [one] = [one for one in deliveries if one["target"] == "events.api-destination"]
        return bool(one["delivered"] + one["failed_attempts"])

    until(tried)
    events.create_event_bus(Name="later")
    later = events.describe_event_bus(Name="later")["CreationTime"]
    assert (later - connection["CreationTime"]).total_seconds() < 1000
