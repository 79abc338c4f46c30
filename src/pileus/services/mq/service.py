"""Amazon MQ's manifest.

Permissions: "Actions, resources, and condition keys for Amazon MQ" of the Service Authorization Reference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pileus.cloud.context import Context
from pileus.cloud.manifest import Permission, Request, Service, free, reading, writing
from pileus.kernel.arn import make_arn
from pileus.services.mq.operations import brokers


def _on_broker(action: str) -> Callable[[Context, Request], Sequence[Permission]]:
    def permissions(ctx: Context, request: Request) -> list[Permission]:
        id = request["BrokerId"]
        arn = id if id.startswith("arn:") else make_arn("mq", ctx.region, ctx.account, f"broker:*:{id}")
        return [Permission(f"mq:{action}", arn)]

    return permissions


def _on_resource(action: str) -> Callable[[Context, Request], Sequence[Permission]]:
    return lambda ctx, request: [Permission(f"mq:{action}", request["ResourceArn"])]


SERVICE = Service(
    name="mq",
    operations={
        "CreateBroker": free(brokers.create_broker),
        "DescribeBroker": reading(brokers.describe_broker, _on_broker("DescribeBroker")),
        "ListBrokers": reading(brokers.list_brokers),
        "DeleteBroker": writing(brokers.delete_broker, _on_broker("DeleteBroker")),
        # From inside only: AWS's API has no such operation.
        "OpenBroker": reading(brokers.open_broker, _on_broker("DescribeBroker")),
        "CreateTags": writing(brokers.create_tags, _on_resource("CreateTags")),
        "DeleteTags": writing(brokers.delete_tags, _on_resource("DeleteTags")),
        "ListTags": reading(brokers.list_tags, _on_resource("ListTags")),
    },
)
