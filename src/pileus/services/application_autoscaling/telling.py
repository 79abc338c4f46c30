"""What Application Auto Scaling tells of: a target that was scaled to its limit, by an event on the default bus.

Source: "Monitor Application Auto Scaling events using Amazon EventBridge" of the user guide.
"""

from __future__ import annotations

from datetime import UTC, datetime

import orjson

from pileus.cloud.context import Cloud
from pileus.cloud.sending import Message, send
from pileus.delivery.contract import Delivery
from pileus.kernel.arn import make_arn
from pileus.kernel.principal import service_principal
from pileus.services.application_autoscaling.names import Target
from pileus.services.application_autoscaling.records import Activity, ScalableTarget
from pileus.store.contract import Transaction

TARGET = "application-autoscaling.event"
_DETAIL_TYPE = "Application Auto Scaling Scaling Activity State Change"


def put(
    cloud: Cloud,
    tx: Transaction,
    at: Target,
    target: ScalableTarget,
    activity: Activity,
    *,
    capacity: int,
    wanted: int,
) -> None:
    """Tell of the activity, which scaled out from `capacity` to all that the target may have."""
    detail = {
        "startTime": _shown(activity.started),
        "endTime": _shown(activity.ended),
        "newDesiredCapacity": wanted,
        "oldDesiredCapacity": capacity,
        "minCapacity": target.least,
        "maxCapacity": target.most,
        "resourceId": at.resource,
        "scalableDimension": at.dimension,
        "serviceNamespace": at.namespace,
        "statusCode": activity.status,
        "scaledToMax": True,
        "direction": "scale-out",
    }
    payload = {"account": at.account, "region": at.region, "detail": detail}
    cloud.outbox.put(tx, target=TARGET, payload=payload, now=activity.ended)


async def tell(cloud: Cloud, delivery: Delivery) -> None:
    """The outbox's handler."""
    payload = delivery.payload
    bus = make_arn("events", payload["region"], payload["account"], "event-bus/default")
    message = Message(
        body=orjson.dumps(payload["detail"]), source="aws.application-autoscaling", detail_type=_DETAIL_TYPE
    )
    principal = service_principal("application-autoscaling", account=payload["account"])
    await send(cloud, principal, bus, message, region=payload["region"])


def _shown(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
