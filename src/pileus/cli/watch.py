"""`pileus watch`."""

from __future__ import annotations

import io
import os
import time
import zipfile
from pathlib import Path

import click

from pileus.cli.common import client, endpoint_option

_LOOK_EVERY_S = 0.3


@click.command()
@click.argument("function")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@endpoint_option
def command(*, function: str, folder: Path, endpoint: str) -> None:
    """Update a function's code from FOLDER, now and each time something is saved there, until Ctrl-C.

    Any Pileus takes it, on this machine or another. Where it was started with --hot-reload, a function can run from
    the folder itself, which needs no update.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    from pileus.services.lambda_.hot_reload import stamp

    lambda_ = client("lambda", endpoint)
    seen = ""
    while True:
        now = stamp(folder)
        if now != seen:
            seen = now
            begin = time.monotonic()
            try:
                lambda_.update_function_code(FunctionName=function, ZipFile=_packed(folder))
                lambda_.get_waiter("function_updated_v2").wait(FunctionName=function, WaiterConfig={"Delay": 0.1})
            except (ClientError, BotoCoreError, OSError) as error:
                # What was saved halfway is corrected by the next save.
                click.echo(f"{function} is not updated: {error}", err=True)
            else:
                click.echo(f"{function} updated in {(time.monotonic() - begin) * 1000:.0f} ms")
        time.sleep(_LOOK_EVERY_S)


def _packed(folder: Path) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for root, names, files in os.walk(folder):
            names[:] = sorted(set(names) - {".git", "__pycache__"})
            for name in sorted(files):
                path = Path(root, name)
                archive.write(path, path.relative_to(folder))
    return out.getvalue()
