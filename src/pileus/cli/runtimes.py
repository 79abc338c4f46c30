"""`pileus runtimes`: what functions run on here, and `pileus runtimes install`."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from pileus.cli.common import cache_dir, data_dir_option, is_terminal, json_option


@click.group(invoke_without_command=True)
@data_dir_option
@json_option
@click.pass_context
def command(ctx: click.Context, *, data_dir: Path, as_json: bool) -> None:
    """List the runtimes of functions, the interpreters they run on here and their state."""
    if ctx.invoked_subcommand is not None:
        ctx.obj = data_dir
        return
    rows = overview(data_dir)
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        colour = {"ready": "green", "missing": "red"}.get(row["state"], "yellow")
        state = f"{row['state']:9}"
        on = f"{row['version']:8} {row['interpreter']}".rstrip()
        parts = [f"{row['runtime']:16}", click.style(state, fg=colour) if is_terminal() else state, on, row["note"]]
        click.echo("  ".join(each for each in parts if each.strip()).rstrip())


def overview(data_dir: Path) -> list[dict[str, Any]]:
    """Every runtime, by language and version."""
    from pileus.services.lambda_.hosting.catalog import Catalog
    from pileus.services.lambda_.runtimes import RUNTIMES

    catalog = Catalog((cache_dir() or data_dir) / "runtimes")
    return [asdict(row) for row in catalog.overview(sorted(RUNTIMES, key=_by_version))]


def _by_version(runtime: str) -> tuple[str, list[int]]:
    import re

    return re.sub(r"[\d.].*", "", runtime), [int(each) for each in re.findall(r"\d+", runtime)]


@command.command()
@click.argument("runtimes", nargs=-1, metavar="[RUNTIME]...")
@click.pass_context
def install(ctx: click.Context, runtimes: tuple[str, ...]) -> None:
    """Fetch interpreters and what functions find beside them: python3.13 (through uv), nodejs22.x (through npm).

    Without a name, what the interpreters that are here still lack.
    """
    from pileus.sandbox.contract import SandboxError
    from pileus.services.lambda_.hosting.installing import install as fetch

    folder = (cache_dir() or ctx.obj) / "runtimes"
    try:
        asyncio.run(fetch(list(runtimes), folder, click.echo))
    except SandboxError as error:
        raise click.ClickException(str(error)) from None
