"""Fed from the billing queue: has the payment provider charge the customer, and fails while that is down."""

import json
import os

import boto3

table = boto3.resource("dynamodb").Table(os.environ["TABLE"])


def handle(event, context):
    for record in event["Records"]:
        order = json.loads(record["body"])["detail"]
        provider = table.get_item(Key={"order": "provider"}, ConsistentRead=True).get("Item", {})
        if provider.get("down"):
            raise RuntimeError("The payment provider does not answer.")
        table.update_item(
            Key={"order": order["order"]},
            UpdateExpression="SET billed = :total",
            ExpressionAttributeValues={":total": table.get_item(Key={"order": order["order"]})["Item"]["total"]},
        )
