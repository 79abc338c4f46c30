"""DAX: items that a cluster's cache holds, got by AWS's own client and by DynamoDB's protocol: the server's part."""

from __future__ import annotations

import json
from typing import Any

import amazondax
import botocore.session

from bench.cases.dynamodb import BATCH, create_table, get_body, put_batch
from bench.client import REGION, ask_all, aws, expect, signed
from bench.gauge import Figures, during, repeat
from bench.load import Requests
from bench.servers import Cannot, Server

TABLE = CLUSTER = "bench"
ITEMS = 1000


def run(server: Server, quick: bool) -> Figures:
    create_table(server, TABLE, "pk", "sk")
    expect(ask_all(server, [put_batch(server, TABLE, first) for first in range(0, ITEMS, BATCH)], 4))
    bodies = [get_body(TABLE, number) for number in range(ITEMS)]
    with _client(server, _address(server)) as client:
        keys = [json.loads(body)["Key"] for body in bodies]
        # From now on the cache has them.
        _read(client, keys)
        yield "dax_get_cpu_us", repeat(lambda: during(_cpu_us, server, client, keys), quick)
    headers = {"X-Amz-Target": "DynamoDB_20120810.GetItem", "Content-Type": "application/x-amz-json-1.0"}
    place = f"POST /_aws/dax-clusters/{CLUSTER}"
    requests = Requests([signed(server, "dynamodb", place, body, headers) for body in bodies])
    loads = requests.rounds(server, 64, 1 if quick else 2, quick)
    yield "dax_http_get_cpu_us", [(load.cpu_us, speed) for load, speed in loads]


def _address(server: Server) -> str:
    """Of a cluster that is made for it."""
    iam, dax = aws(server, "iam"), aws(server, "dax")
    trust = {"Effect": "Allow", "Principal": {"Service": "dax.amazonaws.com"}, "Action": "sts:AssumeRole"}
    role = iam.create_role(RoleName="dax", AssumeRolePolicyDocument=json.dumps({"Statement": [trust]}))["Role"]["Arn"]
    allowed = {"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"}
    iam.put_role_policy(RoleName="dax", PolicyName="all", PolicyDocument=json.dumps({"Statement": [allowed]}))
    made = dax.create_cluster(ClusterName=CLUSTER, NodeType="dax.t3.small", ReplicationFactor=1, IamRoleArn=role)
    endpoint = made["Cluster"]["ClusterDiscoveryEndpoint"]
    return f"{endpoint['Address']}:{endpoint['Port']}"


def _client(server: Server, address: str) -> Any:
    session = botocore.session.get_session()
    session.set_credentials(server.key, server.key)
    return amazondax.AmazonDaxClient(session, region_name=REGION, endpoints=[address])


def _read(client: Any, keys: list[dict[str, Any]]) -> None:
    for key in keys:
        if "Item" not in client.get_item(TableName=TABLE, Key=key):
            raise Cannot("an item was not found")


def _cpu_us(server: Server, client: Any, keys: list[dict[str, Any]]) -> float:
    """Processor time of the server for one read. It is told in hundredths of a second: so many are read."""
    rounds = 4
    before = server.cpu_s()
    for _ in range(rounds):
        _read(client, keys)
    return (server.cpu_s() - before) / (rounds * len(keys)) * 1e6
