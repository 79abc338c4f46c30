"""Clusters of DAX: their control plane, and their caches through DynamoDB's own protocol."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from dax_kit import World, key, refused


@pytest.fixture
def world(aws: Any) -> World:
    return World(aws)


def test_control_plane(world: World) -> None:
    dax, made = world.dax, world.made
    assert (made["Status"], made["TotalNodes"], made["ClusterEndpointEncryptionType"]) == ("creating", 1, "NONE")
    [found] = dax.describe_clusters(ClusterNames=["front"])["Clusters"]
    assert found["Status"] == found["Nodes"][0]["NodeStatus"] == "available"
    assert found["ClusterDiscoveryEndpoint"]["URL"].startswith("dax://")
    common = {"NodeType": "dax.t3.small", "ReplicationFactor": 1, "IamRoleArn": world.role}
    assert refused(dax.create_cluster, ClusterName="front", **common)[0] == "ClusterAlreadyExistsFault"
    assert refused(dax.create_cluster, ClusterName="x--y", **common)[0] == "InvalidParameterValueException"
    assert refused(dax.describe_clusters, ClusterNames=["none"])[0] == "ClusterNotFoundFault"

    more = dax.increase_replication_factor(ClusterName="front", NewReplicationFactor=3)["Cluster"]
    assert [node["NodeId"] for node in more["Nodes"]] == ["front-a", "front-b", "front-c"]
    less = dax.decrease_replication_factor(ClusterName="front", NewReplicationFactor=2, NodeIdsToRemove=["front-b"])
    assert [node["NodeId"] for node in less["Cluster"]["Nodes"]] == ["front-a", "front-c"]
    assert refused(dax.reboot_node, ClusterName="front", NodeId="front-b")[0] == "NodeNotFoundFault"

    arn = made["ClusterArn"]
    dax.tag_resource(ResourceName=arn, Tags=[{"Key": "k", "Value": "v"}])
    assert dax.list_tags(ResourceName=arn)["Tags"] == [{"Key": "k", "Value": "v"}]
    assert dax.untag_resource(ResourceName=arn, TagKeys=["k"])["Tags"] == []
    assert refused(dax.untag_resource, ResourceName=arn, TagKeys=["k"])[0] == "TagNotFoundFault"
    assert dax.describe_events(SourceName="front")["Events"][0]["Message"] == "Cluster created."

    dax.create_subnet_group(SubnetGroupName="nets", SubnetIds=["subnet-1"])
    assert (
        refused(dax.create_subnet_group, SubnetGroupName="nets", SubnetIds=["s"])[0] == "SubnetGroupAlreadyExistsFault"
    )
    assert "deleted" in dax.delete_subnet_group(SubnetGroupName="nets")["DeletionMessage"]
    assert refused(dax.describe_subnet_groups, SubnetGroupNames=["nets"])[0] == "SubnetGroupNotFoundFault"

    assert dax.delete_cluster(ClusterName="front")["Cluster"]["Status"] == "deleting"
    assert refused(world.through.get_item, TableName="things", Key=key())[0] == "ClusterNotFoundFault"


def test_item_cache(world: World) -> None:
    world.put(world.through, "one")
    world.put(world.direct, "behind")
    assert world.get(world.through) == "one"
    assert world.get(world.through, ConsistentRead=True) == "behind"
    world.through.update_item(
        TableName="things",
        Key=key(),
        UpdateExpression="SET v = :v",
        ExpressionAttributeValues={":v": {"S": "two"}},
    )
    world.direct.delete_item(TableName="things", Key=key())
    assert world.get(world.through) == "two"
    world.through.delete_item(TableName="things", Key=key())
    # That there is none is known, too.
    world.put(world.direct, "behind")
    assert world.get(world.through) is None
    world.dax.reboot_node(ClusterName="front", NodeId="front-a")
    assert world.get(world.through) == "behind"
    # What is kept of a write is what DynamoDB makes of it.
    numbers = {"L": [{"N": "1.0"}, {"N": "1E2"}, {"M": {"n": {"N": "-0.50"}}}, {"NS": ["2.0"]}]}
    world.through.put_item(TableName="things", Item={**key(), "n": numbers})
    through = world.through.get_item(TableName="things", Key=key())["Item"]
    assert through == world.direct.get_item(TableName="things", Key=key())["Item"]


def test_query_cache(world: World) -> None:
    query = {
        "TableName": "things",
        "KeyConditionExpression": "p = :p",
        "ExpressionAttributeValues": {":p": {"S": "a"}},
    }
    world.put(world.through, "one")
    assert world.through.query(**query)["Count"] == 1
    # Writes do not touch the query cache, not even the cluster's own.
    world.put(world.through, "two", 2)
    assert world.through.query(**query)["Count"] == 1
    assert world.through.query(**query, ConsistentRead=True)["Count"] == 2
    assert world.through.scan(TableName="things")["Count"] == 2


def test_parameters_apply_at_once(start_pileus: Callable[..., Any]) -> None:
    from conftest import Account

    server = start_pileus("--clock", "virtual")
    account = Account(server.endpoint)
    dax = account.client("dax")
    dax.create_parameter_group(ParameterGroupName="short")
    ttl = {"ParameterName": "record-ttl-millis", "ParameterValue": "2000"}
    dax.update_parameter_group(ParameterGroupName="short", ParameterNameValues=[ttl])
    world = World(account, ParameterGroupName="short")
    world.put(world.through, "one")
    world.put(world.direct, "behind")
    assert world.get(world.through) == "one"
    server.advance(3)
    assert world.get(world.through) == "behind"
    assert refused(dax.delete_parameter_group, ParameterGroupName="short")[0] == "InvalidParameterGroupStateFault"
    wrong = {"ParameterName": "record-ttl-millis", "ParameterValue": "-1"}
    code, _ = refused(dax.update_parameter_group, ParameterGroupName="short", ParameterNameValues=[wrong])
    assert code == "InvalidParameterValueException"


def test_denied(world: World) -> None:
    import boto3

    iam = world.account.client("iam")
    iam.create_user(UserName="u")
    made = iam.create_access_key(UserName="u")["AccessKey"]
    # Whoever may ask DynamoDB may not ask the cluster for that.
    allowed = {"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"}
    iam.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=json.dumps({"Statement": [allowed]}))
    client = boto3.client(
        "dynamodb",
        endpoint_url=f"{world.account.endpoint}/_aws/dax-clusters/front",
        region_name=world.account.region,
        aws_access_key_id=made["AccessKeyId"],
        aws_secret_access_key=made["SecretAccessKey"],
    )
    code, message = refused(client.get_item, TableName="things", Key=key())
    assert code.startswith("AccessDenied")
    assert "dax:GetItem" in message
    assert refused(world.through.list_tables)[0] == "UnknownOperationException"


@pytest.mark.parametrize(
    ("body", "error", "message"),
    [
        (b"", "SerializationException", ""),
        (b'{"TableName": "things", "Key": ', "SerializationException", ""),
        (b"[]", "SerializationException", "Start of list found where not expected"),
        (b'{"TableName": 1}', "SerializationException", "NUMBER_VALUE cannot be converted to String"),
        (b'{"TableName": "things"}', "ValidationException", "1 validation error detected"),
        (b'{"TableName": "things", "Key": {"p": {"S": "a"}}}', "ValidationException", "The provided key element"),
        # Not ASCII, and larger than what is read in one go by most.
        (json.dumps({"TableName": "things", "Key": key(7), "x": "é" * 9000}, ensure_ascii=False).encode(), "", ""),
    ],
)
def test_bodies_by_http(world: World, body: bytes, error: str, message: str) -> None:
    status, headers, answer = post(world, "GetItem", body)
    assert headers["content-type"] == "application/x-amz-json-1.0"
    assert len(headers.get_all("x-amzn-requestid")) == 1
    if not error:
        assert (status, answer) == (200, {})
        return
    assert status == 400
    assert answer["__type"] == f"com.amazonaws.dynamodb.v20120810#{error}"
    assert message in answer["message"]


def post(world: World, operation: str, body: bytes) -> tuple[int, Any, Any]:
    account = world.account
    headers = {"X-Amz-Target": f"DynamoDB_20120810.{operation}", "Content-Type": "application/x-amz-json-1.0"}
    request = AWSRequest("POST", f"{account.endpoint}/_aws/dax-clusters/front", headers=headers, data=body)
    SigV4Auth(Credentials(account.account, "test"), "dynamodb", account.region).add_auth(request)
    asked = urllib.request.Request(request.url, data=body, headers=dict(request.headers.items()), method="POST")
    try:
        with urllib.request.urlopen(asked, timeout=30) as answer:
            return answer.status, answer.headers, json.loads(answer.read())
    except urllib.error.HTTPError as answered:
        return answered.code, answered.headers, json.loads(answered.read())


def test_events_have_pages_of_what_is_asked_for(world: World) -> None:
    dax = world.dax
    for number in range(2, 5):
        dax.increase_replication_factor(ClusterName="front", NewReplicationFactor=number)
        dax.create_cluster(
            ClusterName=f"other{number}", NodeType="dax.t3.small", ReplicationFactor=1, IamRoleArn=world.role
        )
    whole = dax.describe_events(SourceName="front")["Events"]
    assert len(whole) >= 4
    found: list[Any] = []
    token: dict[str, str] = {}
    while True:
        answer = dax.describe_events(SourceName="front", MaxResults=2, **token)
        found += answer["Events"]
        if "NextToken" not in answer:
            break
        assert len(answer["Events"]) == 2
        token = {"NextToken": answer["NextToken"]}
    assert found == whole
    assert dax.describe_events(SourceType="SUBNET_GROUP")["Events"] == []


def test_the_default_subnet_group_is_there(aws: Any) -> None:
    dax = aws.client("dax")
    dax.create_subnet_group(SubnetGroupName="nets", SubnetIds=["subnet-1"])
    first = dax.describe_subnet_groups(MaxResults=1)
    rest = dax.describe_subnet_groups(NextToken=first["NextToken"])
    assert [group["SubnetGroupName"] for page in (first, rest) for group in page["SubnetGroups"]] == ["default", "nets"]
    [group] = dax.describe_subnet_groups(SubnetGroupNames=["default"])["SubnetGroups"]
    assert group["Subnets"] == []
    assert refused(dax.delete_subnet_group, SubnetGroupName="default")[0] == "InvalidParameterValueException"


def test_quotas_of_an_account(aws: Any) -> None:
    dax = aws.client("dax")
    for number in range(19):
        dax.create_parameter_group(ParameterGroupName=f"p{number}")
    assert refused(dax.create_parameter_group, ParameterGroupName="more")[0] == "ParameterGroupQuotaExceededFault"
    subnets = [f"subnet-{number}" for number in range(21)]
    for number in range(49):
        dax.create_subnet_group(SubnetGroupName=f"s{number}", SubnetIds=subnets[:20])
    assert refused(dax.create_subnet_group, SubnetGroupName="more", SubnetIds=["subnet-1"])[0] == (
        "SubnetGroupQuotaExceededFault"
    )
    dax.delete_subnet_group(SubnetGroupName="s0")
    assert refused(dax.create_subnet_group, SubnetGroupName="s0", SubnetIds=subnets)[0] == "SubnetQuotaExceededFault"
    assert refused(dax.update_subnet_group, SubnetGroupName="s1", SubnetIds=subnets)[0] == "SubnetQuotaExceededFault"


def test_quotas_of_nodes(world: World) -> None:
    made = {"NodeType": "dax.t3.small", "IamRoleArn": world.role}
    for number in range(4):
        world.dax.create_cluster(ClusterName=f"c{number}", ReplicationFactor=11, **made)
    assert refused(world.dax.create_cluster, ClusterName="more", ReplicationFactor=6, **made)[0] == (
        "NodeQuotaForCustomerExceededFault"
    )
    world.dax.create_cluster(ClusterName="more", ReplicationFactor=5, **made)
    assert refused(world.dax.increase_replication_factor, ClusterName="front", NewReplicationFactor=2)[0] == (
        "NodeQuotaForCustomerExceededFault"
    )
