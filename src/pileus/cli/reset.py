"""`pileus reset`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import click

from pileus.cli.common import data_dir_option


@click.command()
@data_dir_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def command(*, data_dir: Path, yes: bool) -> None:
    """Forget everything in a data folder. Refused while a Pileus runs on it."""
    from pileus.store.contract import StoreUnavailable
    from pileus.store.sqlite_files import lock_folder

    if not data_dir.exists() or not any(data_dir.iterdir()):
        click.echo(f"{data_dir} holds nothing.")
        return
    if not (data_dir / "store.db").exists():
        raise click.ClickException(f"{data_dir} is not a data folder of Pileus; nothing was touched.")
    if not yes:
        click.confirm(f"Delete every bucket, table, function and role in {data_dir}?", abort=True)
    try:
        lock = lock_folder(data_dir)
        try:
            for entry in data_dir.iterdir():
                if entry.is_dir() and not entry.is_symlink():
                    shutil.rmtree(entry)
                else:
                    entry.unlink()
        finally:
            os.close(lock)
    except StoreUnavailable as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{data_dir} is empty.")
