"""Layers: published, used by functions, shared."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from lambda_kit import caught, package

PYTHON_LAYER = package({"python/greeting.py": "WORD = 'hello'"})


def layer(aws: Any, rest: str) -> str:
    return f"arn:aws:lambda:us-east-1:{aws.account}:layer:{rest}"


def test_publishing_and_reading(aws: Any, lambda_: Any) -> None:
    for number in (1, 2):
        answer = lambda_.publish_layer_version(
            LayerName="l",
            Content={"ZipFile": PYTHON_LAYER},
            CompatibleRuntimes=["python3.12"],
            CompatibleArchitectures=["x86_64"],
        )
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 201
        assert answer["Version"] == number
        assert answer["LayerVersionArn"] == layer(aws, f"l:{number}")
    found = lambda_.get_layer_version(LayerName="l", VersionNumber=1)
    assert found["Content"]["CodeSize"] == len(PYTHON_LAYER)
    assert found["CompatibleRuntimes"] == ["python3.12"]
    by_arn = lambda_.get_layer_version_by_arn(Arn=layer(aws, "l:2"))
    assert by_arn["Version"] == 2
    assert [one["Version"] for one in lambda_.list_layer_versions(LayerName="l")["LayerVersions"]] == [2, 1]
    assert [one["Version"] for one in lambda_.list_layer_versions(LayerName="l", Marker="2")["LayerVersions"]] == [1]
    assert len(lambda_.list_layer_versions(LayerName="l", Marker="9" * 5000)["LayerVersions"]) == 2
    listed = lambda_.list_layers(CompatibleRuntime="python3.12")["Layers"]
    assert [(one["LayerName"], one["LatestMatchingVersion"]["Version"]) for one in listed] == [("l", 2)]
    assert lambda_.list_layers(CompatibleRuntime="java21")["Layers"] == []
    # The newest that matches, which need not be the newest.
    for _ in range(25):
        lambda_.publish_layer_version(LayerName="m", Content={"ZipFile": PYTHON_LAYER})
    lambda_.publish_layer_version(LayerName="l", Content={"ZipFile": PYTHON_LAYER}, CompatibleRuntimes=["java21"])
    for runtime, found in (("python3.12", [("l", 2)]), ("java21", [("l", 3)])):
        listed = lambda_.list_layers(CompatibleRuntime=runtime)["Layers"]
        assert [(one["LayerName"], one["LatestMatchingVersion"]["Version"]) for one in listed] == found
    listed = lambda_.list_layers()["Layers"]
    assert [(one["LayerName"], one["LatestMatchingVersion"]["Version"]) for one in listed] == [("l", 3), ("m", 25)]
    lambda_.delete_layer_version(LayerName="l", VersionNumber=3)
    lambda_.delete_layer_version(LayerName="l", VersionNumber=2)
    lambda_.delete_layer_version(LayerName="l", VersionNumber=2)
    assert caught(lambda_.get_layer_version, LayerName="l", VersionNumber=2)[:2] == ("ResourceNotFoundException", 404)
    assert lambda_.publish_layer_version(LayerName="l", Content={"ZipFile": PYTHON_LAYER})["Version"] == 4


def test_a_function_finds_what_its_layers_hold(
    aws: Any, lambda_: Any, make: Callable[..., Any], updated: Callable[..., None]
) -> None:
    lambda_.publish_layer_version(LayerName="l", Content={"ZipFile": PYTHON_LAYER})
    lambda_.publish_layer_version(LayerName="m", Content={"ZipFile": package({"python/greeting.py": "WORD = 'later'"})})
    code = "import greeting\ndef handler(event, context):\n    return greeting.WORD\n"
    created = make("f", code, Layers=[layer(aws, "l:1")])
    assert created["Layers"] == [{"Arn": layer(aws, "l:1"), "CodeSize": len(PYTHON_LAYER)}]
    # A function keeps what it uses, though the layer version is gone.
    lambda_.delete_layer_version(LayerName="l", VersionNumber=1)
    assert json.load(lambda_.invoke(FunctionName="f")["Payload"]) == "hello"
    lambda_.update_function_configuration(FunctionName="f", Layers=[layer(aws, "m:1")])
    updated()
    assert json.load(lambda_.invoke(FunctionName="f")["Payload"]) == "later"


def test_what_functions_cannot_use(aws: Any, lambda_: Any, make: Callable[..., Any]) -> None:
    for _ in range(2):
        lambda_.publish_layer_version(LayerName="l", Content={"ZipFile": PYTHON_LAYER})
    one, two = layer(aws, "l:1"), layer(aws, "l:2")
    elsewhere = one.replace("us-east-1", "eu-west-1")
    for layers, message in (
        ([layer(aws, "none:1")], f"Layer version {layer(aws, 'none:1')} does not exist."),
        ([layer(aws, "l:9")], f"Layer version {layer(aws, 'l:9')} does not exist."),
        (
            [one, two],
            "Two different versions of the same layer are not allowed to be referenced in the same function. "
            f"{one} and {two} are versions of the same layer.",
        ),
        (
            [elsewhere],
            "Layers are not in the same region as the function. Layers are expected to be in region us-east-1.",
        ),
        ([layer(aws, f"{n}:1") for n in range(6)], "Cannot reference more than 5 layers."),
    ):
        assert caught(make, Layers=layers) == ("InvalidParameterValueException", 400, message)


def test_layer_versions_that_cannot_be(aws: Any, lambda_: Any) -> None:
    refused = ("InvalidParameterValueException", 400, "Layer Version Cannot be less than 1.")
    for number in (0, -1):
        assert caught(lambda_.get_layer_version, LayerName="l", VersionNumber=number) == refused
        assert caught(lambda_.delete_layer_version, LayerName="l", VersionNumber=number) == refused
    content = {"ZipFile": PYTHON_LAYER}
    for runtimes, code, constraint in (
        (["nosuch1"], "ValidationException", "Member must satisfy constraint: [Member must satisfy enum value set: ["),
        (["python3.12", "python2.7"], "InvalidParameterValueException", "Member must satisfy enum value set: ["),
    ):
        found = caught(lambda_.publish_layer_version, LayerName="l", Content=content, CompatibleRuntimes=runtimes)
        assert found[:2] == (code, 400)
        assert found[2].startswith(
            f"1 validation error detected: Value '[{', '.join(runtimes)}]' at 'compatibleRuntimes' failed to satisfy "
            f"constraint: {constraint}"
        )
    both = {"CompatibleRuntimes": ["nosuch1"], "CompatibleArchitectures": ["nosuch2"]}
    found = caught(lambda_.publish_layer_version, LayerName="l", Content=content, **both)
    assert found[2].startswith("2 validation errors detected: ")
    assert lambda_.list_layer_versions(LayerName="l")["LayerVersions"] == []
    for call, request in ((lambda_.list_layers, {}), (lambda_.list_layer_versions, {"LayerName": "l"})):
        found = caught(call, CompatibleRuntime="nosuch1", **request)
        assert found[0] == "ValidationException"
        assert found[2].startswith("1 validation error detected: Value 'nosuch1' at 'compatibleRuntime' failed")
        assert call(CompatibleRuntime="python2.7", **request)


def test_the_policy_of_a_layer_version(aws: Any, lambda_: Any) -> None:
    lambda_.publish_layer_version(LayerName="l", Content={"ZipFile": PYTHON_LAYER})
    at = {"LayerName": "l", "VersionNumber": 1}
    assert caught(lambda_.get_layer_version_policy, **at)[2] == "No policy is associated with the given resource."
    grant = {"StatementId": "s1", "Action": "lambda:GetLayerVersion", "Principal": "*"}
    added = lambda_.add_layer_version_permission(**at, **grant)
    statement = {
        "Sid": "s1",
        "Effect": "Allow",
        "Principal": "*",
        "Action": "lambda:GetLayerVersion",
        "Resource": layer(aws, "l:1"),
    }
    assert json.loads(added["Statement"]) == statement
    policy = lambda_.get_layer_version_policy(**at)
    assert json.loads(policy["Policy"]) == {"Version": "2012-10-17", "Id": "default", "Statement": [statement]}
    assert policy["RevisionId"] == added["RevisionId"]
    assert caught(lambda_.add_layer_version_permission, **at, **grant)[:2] == ("ResourceConflictException", 409)
    stale = caught(lambda_.add_layer_version_permission, **at, **{**grant, "StatementId": "s2"}, RevisionId="no")
    assert stale == (
        "PreconditionFailedException",
        412,
        "The Revision Id provided does not match the latest Revision Id. Call the GetLayerPolicy API to retrieve the "
        "latest Revision Id",
    )
    missing = caught(lambda_.remove_layer_version_permission, **at, StatementId="none")
    assert missing[2] == "Statement none is not found in resource policy."
    lambda_.remove_layer_version_permission(**at, StatementId="s1")
    gone = {"LayerName": "none", "VersionNumber": 1}
    assert caught(lambda_.add_layer_version_permission, **gone, **grant)[2] == (
        f"Layer version {layer(aws, 'none:1')} does not exist."
    )


@pytest.mark.parametrize("shared", [False, True])
def test_another_account_uses_a_layer_that_is_shared_with_it(
    aws: Any, lambda_: Any, pileus: Any, make: Callable[..., Any], shared: bool
) -> None:
    owner = type(aws)(pileus.endpoint)
    theirs = owner.client("lambda")
    theirs.publish_layer_version(LayerName="l", Content={"ZipFile": PYTHON_LAYER})
    if shared:
        theirs.add_layer_version_permission(
            LayerName="l",
            VersionNumber=1,
            StatementId="s",
            Action="lambda:GetLayerVersion",
            Principal=aws.account,
        )
        make("f", Layers=[layer(owner, "l:1")])
        assert lambda_.get_function_configuration(FunctionName="f")["Layers"][0]["Arn"] == layer(owner, "l:1")
    else:
        assert caught(make, Layers=[layer(owner, "l:1")])[:2] == ("AccessDeniedException", 403)
