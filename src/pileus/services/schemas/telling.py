"""What Schemas tells of itself: events on the default bus, by the outbox.

Source: "Schema registry events" in "Amazon EventBridge events detail reference" of the EventBridge user guide.
"""

from __future__ import annotations

from datetime import UTC, datetime

import orjson

from pileus.cloud.context import Cloud, Context
from pileus.cloud.sending import Message, send
from pileus.delivery.contract import Delivery
from pileus.kernel.arn import make_arn
from pileus.kernel.principal import service_principal
from pileus.services.schemas.records import Schema
from pileus.store.contract import Transaction

TARGET = "schemas.event"


def put(ctx: Context, tx: Transaction, schema: Schema) -> None:
    """Tell of the newest version; of the first that the schema is made, too."""
    kinds = ("Schema Created", "Schema Version Created") if schema.last == 1 else ("Schema Version Created",)
    for kind in kinds:
        payload = {
            "account": ctx.account,
            "region": ctx.region,
            "kind": kind,
            "resource": make_arn("schemas", ctx.region, "", f"schema/{schema.registry}/{schema.name}"),
            "detail": {
                "SchemaName": schema.name,
                "SchemaType": schema.type,
                "RegistryName": schema.registry,
                "CreationDate": datetime.fromtimestamp(int(ctx.now), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "Version": str(schema.last),
            },
        }
        ctx.cloud.outbox.put(tx, target=TARGET, payload=payload, now=ctx.now)


async def tell(cloud: Cloud, delivery: Delivery) -> None:
    """The outbox's handler."""
    payload = delivery.payload
    bus = make_arn("events", payload["region"], payload["account"], "event-bus/default")
    message = Message(
        body=orjson.dumps(payload["detail"]),
        source="aws.schemas",
        detail_type=payload["kind"],
        resources=(payload["resource"],),
    )
    principal = service_principal("schemas", account=payload["account"])
    await send(cloud, principal, bus, message, region=payload["region"])
