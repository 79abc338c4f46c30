"""Fed from the shipping queue: marks orders as shipped."""

import json
import os

import boto3

orders = boto3.resource("dynamodb").Table(os.environ["TABLE"])


def handle(event, context):
    for record in event["Records"]:
        order = json.loads(record["body"])["detail"]
        orders.update_item(
            Key={"order": order["order"]},
            UpdateExpression="SET shipped = :yes",
            ExpressionAttributeValues={":yes": True},
        )
