"""Behind the function URL: takes an order and keeps it."""

import json
import os
import uuid
from decimal import Decimal

import boto3

orders = boto3.resource("dynamodb").Table(os.environ["TABLE"])


def handle(event, context):
    try:
        order = json.loads(event.get("body") or "", parse_float=Decimal)
        customer, lines = order["customer"], order["lines"]
        total = sum(line["price"] * line["count"] for line in lines)
    except (ValueError, KeyError, TypeError):
        return {"statusCode": 400, "body": json.dumps({"message": "This is no order."})}
    item = {"order": uuid.uuid4().hex, "customer": customer, "lines": lines, "total": total, "status": "placed"}
    orders.put_item(Item=item)
    return {"statusCode": 201, "body": json.dumps({"order": item["order"], "total": float(total)})}
