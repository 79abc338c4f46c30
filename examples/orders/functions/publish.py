"""Fed from the table's stream: tells the bus of every order that was placed."""

import json
import os

import boto3
from boto3.dynamodb.types import TypeDeserializer

events = boto3.client("events")
deserialize = TypeDeserializer().deserialize


def handle(event, context):
    for record in event["Records"]:
        image = record["dynamodb"]["NewImage"]
        order = {name: deserialize(value) for name, value in image.items()}
        answer = events.put_events(
            Entries=[
                {
                    "EventBusName": os.environ["BUS"],
                    "Source": "shop.orders",
                    "DetailType": "Order Placed",
                    "Detail": json.dumps(order, default=float),
                }
            ]
        )
        if answer["FailedEntryCount"]:
            # The batch comes again.
            raise RuntimeError(answer["Entries"])
