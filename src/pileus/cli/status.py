"""`pileus status`."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from pileus.cli.common import endpoint_option, fetch, is_terminal, json_option


@click.command()
@endpoint_option
@json_option
def command(*, endpoint: str, as_json: bool) -> None:
    """Show whether Pileus runs, its services, loops and environments."""
    health = fetch(endpoint, "/_pileus/health")
    status = fetch(endpoint, "/_pileus/status")
    if as_json:
        click.echo(json.dumps({**health, **status}, indent=2))
        return
    click.echo(f"Pileus {health['version']} at {endpoint}, up {status['uptime_s']:.0f} s, data in {status['data_dir']}")
    click.echo("Services: " + ", ".join(health["services"]))
    for each in status.get("runtimes", []):
        if each["note"]:
            click.echo(f"Runtime {each['runtime']}: {each['note']}")
    for each in status.get("snapshots", []):
        if each["obstacle"]:
            click.echo(f"Not restored from a snapshot, {each['function']}:{each['version']}: {each['obstacle']}")
    rows = [
        (
            loop["name"],
            str(loop["runs"]),
            str(loop["failures"]),
            f"{loop['last_duration_s'] * 1000:.1f} ms",
            loop["last_error"],
        )
        for loop in status["loops"]
    ]
    table(("loop", "runs", "failures", "last took", "last error"), rows)


def table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """For a person, or a line a row for a pipe."""
    if is_terminal():
        from rich.console import Console
        from rich.table import Table

        shown = Table(*head, box=None)
        for row in rows:
            shown.add_row(*row)
        Console().print(shown)
        return
    for row in (head, *rows):
        click.echo("\t".join(row))
