"""`pileus logs`."""

from __future__ import annotations

import asyncio
import datetime
import json

import click

from pileus.cli.common import client, ending, endpoint_option, is_terminal, json_option
from pileus.kernel.clock import SystemClock

_POLL_S = 0.5


@click.command()
@click.argument("group")
@click.option("-f", "--follow", is_flag=True, help="Go on printing as events come in.")
@click.option("--since", default="1h", show_default=True, help="How far back: 90s, 15m, 2h, 7d.")
@click.option("--filter", "pattern", default="", help="A CloudWatch Logs filter pattern.")
@endpoint_option
@json_option
def command(*, group: str, follow: bool, since: str, pattern: str, endpoint: str, as_json: bool) -> None:
    """Print a log group's events; a function's name stands for /aws/lambda/NAME."""
    name = group if group.startswith("/") else f"/aws/lambda/{group}"
    try:
        asyncio.run(_print(name, follow, _seconds(since), pattern, endpoint, as_json))
    except KeyboardInterrupt:
        raise click.exceptions.Exit(130) from None


def _seconds(text: str) -> float:
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    if text[-1:] not in units or not text[:-1].isdigit():
        raise click.BadParameter(f"{text!r}: write it like 90s, 15m, 2h or 7d", param_hint="--since")
    return int(text[:-1]) * units[text[-1]]


async def _print(group: str, follow: bool, since_s: float, pattern: str, endpoint: str, as_json: bool) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    clock = SystemClock()
    logs = client("logs", endpoint)
    start_ms = int((clock.time() - since_s) * 1000)
    seen: set[str] = set()
    while True:
        try:
            pages = logs.get_paginator("filter_log_events").paginate(
                logGroupName=group, startTime=start_ms, filterPattern=pattern
            )
            fresh = [event for page in pages for event in page["events"] if event["eventId"] not in seen]
        except logs.exceptions.ResourceNotFoundException as error:
            if not follow:
                raise ending(error, endpoint) from None
            # A function's group comes with its first words.
            fresh = []
        except (ClientError, BotoCoreError) as error:
            raise ending(error, endpoint) from None
        for event in fresh:
            _say(event, as_json)
        if not follow:
            return
        # An event may come in late: look again at the last minute, and remember what was printed of it.
        seen.update(event["eventId"] for event in fresh)
        newest = max((event["timestamp"] for event in fresh), default=start_ms)
        start_ms = max(start_ms, newest - 60_000)
        await clock.sleep(_POLL_S)


def _say(event: dict[str, object], as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(event))
        return
    when = datetime.datetime.fromtimestamp(int(str(event["timestamp"])) / 1000, tz=datetime.UTC)
    stamp = when.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    click.echo(f"{click.style(stamp, dim=True) if is_terminal() else stamp} {str(event['message']).rstrip()}")
