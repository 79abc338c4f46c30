"""What the tests of DAX share."""

from __future__ import annotations

import json
from typing import Any

import pytest


def refused(call: Any, **request: Any) -> tuple[str, str]:
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError) as caught:
        call(**request)
    error = caught.value.response["Error"]
    return error["Code"], error["Message"]


class World:
    """A table, a cluster in front of it, and a plain client of DynamoDB that goes through the cluster."""

    def __init__(self, account: Any, name: str = "front", **cluster: Any) -> None:
        import boto3

        self.account = account
        self.dax = account.client("dax")
        self.direct = account.client("dynamodb")
        iam = account.client("iam")
        trust = {"Effect": "Allow", "Principal": {"Service": "dax.amazonaws.com"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Statement": [trust]})
        self.role = iam.create_role(RoleName="dax", AssumeRolePolicyDocument=document)["Role"]["Arn"]
        allowed = {"Effect": "Allow", "Action": "dynamodb:*", "Resource": "*"}
        iam.put_role_policy(RoleName="dax", PolicyName="all", PolicyDocument=json.dumps({"Statement": [allowed]}))
        self.direct.create_table(
            TableName="things",
            KeySchema=[{"AttributeName": "p", "KeyType": "HASH"}, {"AttributeName": "s", "KeyType": "RANGE"}],
            AttributeDefinitions=[
                {"AttributeName": "p", "AttributeType": "S"},
                {"AttributeName": "s", "AttributeType": "N"},
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        self.direct.get_waiter("table_exists").wait(TableName="things", WaiterConfig={"Delay": 1})
        self.made = self.dax.create_cluster(
            ClusterName=name, NodeType="dax.t3.small", ReplicationFactor=1, IamRoleArn=self.role, **cluster
        )["Cluster"]
        keys = {"aws_access_key_id": account.account, "aws_secret_access_key": "test"}
        self.through = boto3.client(
            "dynamodb", endpoint_url=f"{account.endpoint}/_aws/dax-clusters/{name}", region_name=account.region, **keys
        )

    def put(self, client: Any, value: str, sort: int = 1) -> None:
        client.put_item(TableName="things", Item={"p": {"S": "a"}, "s": {"N": str(sort)}, "v": {"S": value}})

    def get(self, client: Any, **options: Any) -> str | None:
        found = client.get_item(TableName="things", Key=key(), **options).get("Item")
        return None if found is None else found["v"]["S"]


def key(sort: int = 1) -> dict[str, Any]:
    return {"p": {"S": "a"}, "s": {"N": str(sort)}}
