"""Changes that meet each other, and invocations that meet changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from feed_kit import PASSES_GATES, allow, at_gate, gate, make_table, put
from lambda_kit import caught, package

from waiting import until

WAITS = (
    gate()
    + """
def handler(event, context):
    gate()
    return "done"
"""
)


def test_of_two_deploys_at_once_each_is_whole_or_refused(
    aws: Any, lambda_: Any, make: Callable[..., Any], updated: Callable[[str], None]
) -> None:
    arn = make()["FunctionArn"]
    refused: set[str] = set()
    codes = [f"def handler(event, context):\n    return {number}\n" for number in range(8)]

    def deploy(code: str) -> str | None:
        client = aws.client("lambda")
        try:
            answer = client.update_function_code(FunctionName="f", ZipFile=package({"index.py": code}))
        except client.exceptions.ResourceConflictException as refusal:
            refused.add(refusal.response["Error"]["Message"])
            return None
        sha256: str = answer["CodeSha256"]
        return sha256

    with ThreadPoolExecutor(4) as threads:
        done = {sha256: number for number, sha256 in enumerate(threads.map(deploy, codes)) if sha256}
    assert done
    assert refused <= {f"The operation cannot be performed at this time. An update is in progress for resource: {arn}"}
    updated("f")
    there = lambda_.get_function_configuration(FunctionName="f")["CodeSha256"]
    assert json.loads(lambda_.invoke(FunctionName="f")["Payload"].read()) == done[there]


def test_a_function_that_is_deleted_finishes_what_it_does(
    aws: Any, lambda_: Any, role: str, make: Callable[..., Any]
) -> None:
    allow(aws, PASSES_GATES)
    make_table(aws)
    make(code=WAITS, Timeout=30)
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(aws.client("lambda").invoke, FunctionName="f")
        until(lambda: at_gate(aws))
        lambda_.delete_function(FunctionName="f")
        assert caught(lambda_.invoke, FunctionName="f")[:2] == ("ResourceNotFoundException", 404)
        put(aws, "go")
        answer = running.result()
    assert json.loads(answer["Payload"].read()) == "done"
    assert "FunctionError" not in answer
    # Another one of the same name is another one.
    make()
    assert lambda_.invoke(FunctionName="f", Payload=b'"new"')["Payload"].read() == b'"new"'


def test_a_layer_deleted_under_a_function_stays_for_it(
    lambda_: Any, make: Callable[..., Any], updated: Callable[[str], None]
) -> None:
    content = {"ZipFile": package({"python/inside.py": "WORD = 'layer'\n"})}
    layer = lambda_.publish_layer_version(LayerName="l", Content=content)
    make(
        code="import inside\ndef handler(event, context):\n    return inside.WORD\n", Layers=[layer["LayerVersionArn"]]
    )
    lambda_.delete_layer_version(LayerName="l", VersionNumber=1)
    assert lambda_.invoke(FunctionName="f")["Payload"].read() == b'"layer"'
    # Also in new environments, and through changes that leave it alone.
    lambda_.update_function_configuration(FunctionName="f", MemorySize=256)
    updated("f")
    assert lambda_.invoke(FunctionName="f")["Payload"].read() == b'"layer"'
    assert lambda_.get_function_configuration(FunctionName="f")["Layers"][0]["Arn"] == layer["LayerVersionArn"]
    assert caught(make, name="g", Layers=[layer["LayerVersionArn"]])[0] == "InvalidParameterValueException"


def test_aliases_never_point_nowhere(lambda_: Any, make: Callable[..., Any]) -> None:
    make(Publish=True)
    missing = ("ResourceNotFoundException", 404)
    assert caught(lambda_.create_alias, FunctionName="f", Name="a", FunctionVersion="2")[:2] == missing
    lambda_.create_alias(FunctionName="f", Name="a", FunctionVersion="1")
    assert caught(lambda_.update_alias, FunctionName="f", Name="a", FunctionVersion="2")[:2] == missing
    assert lambda_.get_alias(FunctionName="f", Name="a")["FunctionVersion"] == "1"
    assert caught(lambda_.delete_function, FunctionName="f", Qualifier="1")[:2] == ("ResourceConflictException", 409)
    assert lambda_.invoke(FunctionName="f:a", Payload=b"1")["Payload"].read() == b"1"


def test_an_alias_splits_by_its_weights(lambda_: Any, make: Callable[..., Any], updated: Callable[[str], None]) -> None:
    make(Publish=True)
    lambda_.update_function_code(FunctionName="f", ZipFile=package({"index.py": "def handler(e, c):\n    return 2\n"}))
    updated("f")
    lambda_.publish_version(FunctionName="f")
    weights = {"AdditionalVersionWeights": {"2": 0.5}}
    lambda_.create_alias(FunctionName="f", Name="a", FunctionVersion="1", RoutingConfig=weights)
    ran = [lambda_.invoke(FunctionName="f", Qualifier="a", Payload=b"1")["ExecutedVersion"] for _ in range(80)]
    # A fair coin does not fall on one side less than 11 times of 80, but once in a hundred thousand million tries.
    assert min(ran.count("1"), ran.count("2")) > 10
