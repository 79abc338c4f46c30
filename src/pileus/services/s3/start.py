"""What S3 has in a node, from its start to its end."""

from __future__ import annotations

from pileus.cloud.context import Cloud
from pileus.services.s3 import access_logs, object_lambda, sealing


async def start(cloud: Cloud) -> None:
    await sealing.start(cloud)
    cloud.parts[object_lambda.Calls] = object_lambda.Calls()
    cloud.parts[access_logs.AccessLogs] = access_logs.AccessLogs(cloud)


async def stop(cloud: Cloud) -> None:
    await cloud.part(access_logs.AccessLogs).flush()
