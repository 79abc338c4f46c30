"""`pileus doctor`."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

import click

from pileus.cli.common import data_dir_option, is_terminal, json_option


@click.command()
@data_dir_option
@json_option
def command(*, data_dir: Path, as_json: bool) -> None:
    """Show what this machine can do, what is missing and how to get it. Exits with 1 when functions cannot run."""
    from pileus.cli.runtimes import overview
    from pileus.sandbox import internet
    from pileus.sandbox.choice import no_internet, probe_all

    probes = asyncio.run(probe_all())
    chosen = next((probe.backend for probe in probes if probe.works), None)
    found: dict[str, Any] = {
        "system": f"{platform.system()} {platform.release()} ({platform.machine()})",
        "python": platform.python_version(),
        "function_runtime": f"python{sys.version_info.major}.{sys.version_info.minor}",
        "sandbox": chosen,
        "backends": [
            {"name": probe.backend, "works": probe.works, "reason": probe.reason, "reduced": list(probe.reduced)}
            for probe in probes
        ],
        "internet": {
            "works": not (missing := no_internet()),
            "reason": missing,
            "name_servers": internet.name_servers(),
        },
        "runtimes": overview(data_dir),
        "data_dir": str(data_dir),
        "disk_free_gb": round(shutil.disk_usage(_existing(data_dir)).free / 1e9, 1),
    }
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        _print(found)
    if chosen is None:
        raise click.exceptions.Exit(1)


def _existing(path: Path) -> Path:
    """The nearest folder above that is there; os.path's answer to one that may not be looked into is no."""
    while not os.path.exists(path):
        path = path.parent
    return path


def _print(found: dict[str, Any]) -> None:
    click.echo(f"{found['system']}, Python {found['python']}")
    click.echo(f"Data in {found['data_dir']}, {found['disk_free_gb']} GB free")
    for backend in found["backends"]:
        used = " (used)" if backend["name"] == found["sandbox"] else ""
        if backend["works"]:
            _line(True, f"sandbox {backend['name']}{used}")
        else:
            _line(False, f"sandbox {backend['name']}: {backend['reason']}")
        for reduced in backend["reduced"]:
            _line(None, f"{backend['name']}: {reduced}")
    out = found["internet"]
    if not out["works"]:
        _line(None, out["reason"])
    elif not out["name_servers"]:
        _line(None, "outgoing internet (--internet): no name server in /etc/resolv.conf that functions could reach")
    else:
        _line(True, "outgoing internet for functions (--internet)")
    for row in found["runtimes"]:
        good = {"ready": True, "missing": False}.get(row["state"])
        on = f" on {row['interpreter']} ({row['version']})" if row["interpreter"] else ""
        _line(good, f"runtime {row['runtime']}{on}" + (f": {row['note']}" if row["note"] else ""))
    if found["sandbox"] is None:
        click.echo("Functions cannot run here.")


def _line(good: bool | None, text: str) -> None:
    mark, colour = {True: ("ok", "green"), False: ("no", "red"), None: ("--", "yellow")}[good]
    click.echo(f"  {click.style(mark, fg=colour) if is_terminal() else mark}  {text}")
