"""Pipes from DynamoDB Streams."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pipes_kit import World, bare, refused

from waiting import until

NEWEST = {"DynamoDBStreamParameters": {"StartingPosition": "LATEST"}}
OLDEST = {"DynamoDBStreamParameters": {"StartingPosition": "TRIM_HORIZON"}}


@pytest.fixture
def world(aws: Any) -> World:
    return World(aws)


def test_a_pipe_from_its_making_to_its_end(world: World) -> None:
    pipes, stream, group = world.pipes, world.table(), world.group()
    arn = f"arn:aws:pipes:us-east-1:{world.account.account}:pipe/p"
    request = {"Source": stream, "SourceParameters": NEWEST, "Target": group}
    made = bare(pipes.create_pipe(Name="p", RoleArn=world.role, Description="d", Tags={"k": "v"}, **request))
    assert made == {
        "Arn": arn,
        "Name": "p",
        "DesiredState": "RUNNING",
        "CurrentState": "CREATING",
        "CreationTime": made["CreationTime"],
        "LastModifiedTime": made["CreationTime"],
    }
    assert refused(pipes.create_pipe, Name="p", RoleArn=world.role, **request) == (
        "ConflictException",
        "Pipe p already exists.",
    )
    world.wait_state("RUNNING")
    shown = bare(pipes.describe_pipe(Name="p"))
    assert shown == {
        **made,
        "CurrentState": "RUNNING",
        "Source": stream,
        "SourceParameters": {
            "DynamoDBStreamParameters": {
                "StartingPosition": "LATEST",
                "BatchSize": 100,
                "MaximumBatchingWindowInSeconds": 0,
                "MaximumRecordAgeInSeconds": -1,
                "ParallelizationFactor": 1,
            }
        },
        "Target": group,
        "RoleArn": world.role,
        "Description": "d",
        "Tags": {"k": "v"},
    }
    pipes.tag_resource(resourceArn=arn, tags={"more": "x"})
    pipes.untag_resource(resourceArn=arn, tagKeys=["k"])
    assert pipes.list_tags_for_resource(resourceArn=arn)["tags"] == {"more": "x"}
    world.put("one")
    [text] = world.wait_texts(1)
    record = json.loads(text)
    assert record["eventName"] == "INSERT"
    assert record["eventSourceARN"] == stream
    assert record["dynamodb"]["NewImage"] == {"id": {"S": "one"}}
    # What comes while it is stopped comes later.
    assert pipes.stop_pipe(Name="p")["CurrentState"] == "STOPPING"
    world.wait_state("STOPPED")
    assert refused(pipes.stop_pipe, Name="p")[0] == "ConflictException"
    world.put("two")
    assert pipes.start_pipe(Name="p")["CurrentState"] == "STARTING"
    world.wait_state("RUNNING")
    assert [json.loads(text)["dynamodb"]["Keys"]["id"]["S"] for text in world.wait_texts(2)] == ["one", "two"]
    listed = pipes.list_pipes(NamePrefix="p", SourcePrefix=stream[:20], CurrentState="RUNNING")["Pipes"]
    assert [(one["Arn"], one["Source"], one["Target"]) for one in listed] == [(arn, stream, group)]
    assert pipes.list_pipes(TargetPrefix="arn:aws:sqs")["Pipes"] == []
    template = {"InputTemplate": '{"id": <$.dynamodb.Keys.id.S>, "pipe": "<aws.pipes.pipe-name>"}'}
    pipes.update_pipe(Name="p", RoleArn=world.role, TargetParameters=template)
    world.wait_state("RUNNING")
    world.put("three")
    assert json.loads(world.wait_texts(3)[2]) == {"id": "three", "pipe": "p"}
    deleted = pipes.delete_pipe(Name="p")
    assert (deleted["DesiredState"], deleted["CurrentState"]) == ("DELETED", "DELETING")
    until(lambda: not pipes.list_pipes()["Pipes"])
    assert refused(pipes.describe_pipe, Name="p") == ("NotFoundException", "Pipe p does not exist.")


def test_pipes_that_cannot_be(world: World) -> None:
    pipes, stream, group = world.pipes, world.table(), world.group()
    good = {"Name": "p", "RoleArn": world.role, "Source": stream, "SourceParameters": NEWEST, "Target": group}
    for wrong, code in (
        ({"Source": "arn:aws:s3:::b"}, "ValidationException"),
        ({"Source": "arn:aws:kinesis:us-east-1:111122223333:stream/s", "SourceParameters": {}}, "NotImplemented"),
        ({"SourceParameters": {}}, "ValidationException"),
        ({"SourceParameters": {"SqsQueueParameters": {"BatchSize": 1}}}, "ValidationException"),
        ({"SourceParameters": {**NEWEST, "FilterCriteria": {"Filters": [{"Pattern": "no"}]}}}, "ValidationException"),
        ({"Target": "arn:aws:s3:::b"}, "ValidationException"),
        ({"Target": "arn:aws:states:us-east-1:111122223333:stateMachine:m"}, "NotImplemented"),
        ({"Enrichment": "arn:aws:states:us-east-1:111122223333:stateMachine:m"}, "NotImplemented"),
        ({"Target": "arn:aws:sqs:us-east-1:111122223333:q.fifo"}, "ValidationException"),
    ):
        assert refused(pipes.create_pipe, **{**good, **wrong})[0] == code
    # The role must trust pipes, and the source must be there.
    for n, wrong in enumerate(
        (
            {"RoleArn": f"arn:aws:iam::{world.account.account}:role/none"},
            {"Source": stream.replace("table/things", "table/none")},
        )
    ):
        pipes.create_pipe(**{**good, "Name": f"f{n}", **wrong})
        world.wait_state("CREATE_FAILED", f"f{n}")
        assert pipes.describe_pipe(Name=f"f{n}")["StateReason"]


def test_a_denied_user(world: World) -> None:
    iam = world.account.client("iam")
    iam.create_user(UserName="narrow")
    policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "pipes:*", "Resource": "*"}]}
    iam.put_user_policy(UserName="narrow", PolicyName="p", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName="narrow")["AccessKey"]
    pipes = world.account.client("pipes", credentials=key)
    code, message = refused(
        pipes.create_pipe,
        Name="p",
        RoleArn=world.role,
        Source="arn:aws:dynamodb:us-east-1:111122223333:table/things/stream/2024-01-01T00:00:00.000",
        SourceParameters=NEWEST,
        Target="arn:aws:sqs:us-east-1:111122223333:q",
    )
    assert code == "AccessDeniedException"
    assert "iam:PassRole" in message


def test_filtered_enriched_and_handed_on_by_functions(world: World) -> None:
    stream, group = world.table(), world.group("/aws/lambda/target")
    enrich = world.function(
        "enrich",
        "def handler(events, context):\n    return [{'id': e['id'], 'twice': e['n'] * 2} for e in events]\n",
    )
    target = world.function("target", "def handler(events, context):\n    print('GOT', events)\n")
    world.put("before", n={"N": "1"})
    pattern = {"eventName": ["INSERT"], "dynamodb": {"NewImage": {"n": {"N": [{"anything-but": "5"}]}}}}
    world.create(
        Source=stream,
        SourceParameters={**OLDEST, "FilterCriteria": {"Filters": [{"Pattern": json.dumps(pattern)}]}},
        Enrichment=enrich,
        EnrichmentParameters={"InputTemplate": '{"id": <$.dynamodb.Keys.id.S>, "n": <$.dynamodb.NewImage.n.N>}'},
        Target=target,
        TargetParameters={"InputTemplate": '{"got": "<$.id>", "twice": <$.twice>}'},
    )
    world.put("filtered", n={"N": "5"})
    world.put("after", n={"N": "7"})
    assert group
    until(lambda: sum("GOT" in text and "after" in text for text in world.texts("/aws/lambda/target")))
    got = "".join(text for text in world.texts("/aws/lambda/target") if text.startswith("GOT"))
    assert "{'got': 'before', 'twice': '11'}" in got
    assert "{'got': 'after', 'twice': '77'}" in got
    assert "filtered" not in got


def test_what_fails_is_tried_again_in_its_place(world: World) -> None:
    """The target's log group is not there at first: nothing is lost, nothing overtakes."""
    stream = world.table()
    group = f"arn:aws:logs:us-east-1:{world.account.account}:log-group:late"
    template = {"InputTemplate": '"<$.dynamodb.Keys.id.S>"'}
    world.create(Source=stream, SourceParameters=NEWEST, Target=group, TargetParameters=template)
    for n in range(3):
        world.put(f"n{n}")
    world.group("late")
    assert world.wait_texts(3, "late") == ["n0", "n1", "n2"]


def test_lanes_of_a_shard_do_not_wait_for_each_other(world: World) -> None:
    stream, group = world.table(), world.group()
    stuck = world.function(
        "stuck",
        "def handler(events, context):\n"
        "    if any(e['dynamodb']['Keys']['id']['S'] == 'stuck' for e in events):\n"
        "        raise ValueError('stuck')\n"
        "    return [e['dynamodb']['NewImage'] for e in events]\n",
    )
    world.put("stuck")
    for version in ("1", "2", "3"):
        for number in range(8):
            world.put(f"item-{number}", v={"N": version})
    own = {"StartingPosition": "TRIM_HORIZON", "ParallelizationFactor": 10, "BatchSize": 1}
    world.create(Source=stream, SourceParameters={"DynamoDBStreamParameters": own}, Enrichment=stuck, Target=group)
    # All but those of the one lane that is stuck, whichever items it has.
    came = [json.loads(text) for text in world.wait_texts(12)]
    versions: dict[str, list[str]] = {}
    for image in came:
        versions.setdefault(image["id"]["S"], []).append(image["v"]["N"])
    assert len(versions) > 3
    assert all(found == ["1", "2", "3"][: len(found)] for found in versions.values())
