"""Makes a thumbnail of every photo that arrives, and keeps what it learned of the photo in a table."""

import io
import os
import urllib.parse

import boto3
from PIL import Image

s3 = boto3.client("s3")
table = boto3.resource("dynamodb").Table(os.environ["TABLE"])

EDGE_PIXELS = 256


def handle(event, context):
    made = []
    for record in event["Records"]:
        bucket = record["s3"]["bucket"]["name"]
        key = urllib.parse.unquote_plus(record["s3"]["object"]["key"])
        photo = s3.get_object(Bucket=bucket, Key=key)["Body"].read()

        image = Image.open(io.BytesIO(photo))
        width, height = image.size
        image.thumbnail((EDGE_PIXELS, EDGE_PIXELS))
        small = io.BytesIO()
        image.convert("RGB").save(small, "JPEG", quality=85)

        thumbnail = "thumbnails/" + key.removeprefix("photos/").rsplit(".", 1)[0] + ".jpg"
        s3.put_object(Bucket=bucket, Key=thumbnail, Body=small.getvalue(), ContentType="image/jpeg")
        table.put_item(
            Item={
                "photo": key,
                "thumbnail": thumbnail,
                "format": image.format or "JPEG",
                "width": width,
                "height": height,
                "photo_bytes": len(photo),
                "thumbnail_bytes": small.tell(),
                "request_id": context.aws_request_id,
            }
        )
        print(f"{key}: {width}x{height} -> {image.width}x{image.height}, {small.tell()} bytes")
        made.append(thumbnail)
    return {"thumbnails": made}
