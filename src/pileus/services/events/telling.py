"""What EventBridge tells of itself: events on the default bus of connections and API destinations.

Source: "Connection events" and "API Destination events" in "Amazon EventBridge events detail reference" of the user
guide. Which of its events follow each other in an operation is not documented.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pileus.cloud.context import Cloud
from pileus.services.events import keys, routing
from pileus.services.events.names import DEFAULT, BusName, api_destination_arn, connection_arn
from pileus.services.events.records import ApiDestination, Connection, decode
from pileus.store.contract import Transaction
from pileus.store.keys import after

ACTIVE_STATE = "AUTHORIZED"
_SCAN = 500


async def of_connection(
    cloud: Cloud,
    tx: Transaction,
    owner: tuple[str, str],
    connection: Connection,
    *happened: str,
    was: str,
    now: float,
) -> None:
    """Tell that "Creation Started", "Authorized", ... `owner`: account and region; `was`: its state before."""
    arn = connection_arn(*owner, connection.name, connection.id)
    for one in happened:
        detail = {"ConnectionName": connection.name, "Timestamp": _shown(now)}
        await _put(cloud, tx, owner, f"Connection {one}", arn, detail, now)
    if (was == ACTIVE_STATE) == (connection.state == ACTIVE_STATE):
        return
    start, end = keys.api_destinations(*owner)
    while True:
        entries = await tx.scan(start, end, limit=_SCAN)
        for _, data in entries:
            destination = decode(ApiDestination, data)
            if destination.connection_arn == arn:
                await of_destination(cloud, tx, owner, destination, active=connection.state == ACTIVE_STATE, now=now)
        if len(entries) < _SCAN:
            return
        start = after(entries[-1][0])


async def of_destination(
    cloud: Cloud, tx: Transaction, owner: tuple[str, str], destination: ApiDestination, *, active: bool, now: float
) -> None:
    arn = api_destination_arn(*owner, destination.name, destination.id)
    detail = {"ApiDestinationName": destination.name, "Timestamp": _shown(now)}
    await _put(cloud, tx, owner, f"API Destination {'Activated' if active else 'Deactivated'}", arn, detail, now)


async def _put(
    cloud: Cloud, tx: Transaction, owner: tuple[str, str], kind: str, arn: str, detail: dict[str, Any], now: float
) -> None:
    account, region = owner
    event = {
        "version": "0",
        "id": cloud.ids.uuid(),
        "detail-type": kind,
        "source": "aws.events",
        "account": account,
        "time": routing.shown_time(now),
        "region": region,
        "resources": [arn],
        "detail": detail,
    }
    await routing.route(cloud, tx, BusName(account, region, DEFAULT), event, now=now)


def _shown(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%d %H:%M:%S +0000 UTC")
