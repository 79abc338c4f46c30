"""`pileus start`."""

from __future__ import annotations

import ctypes
import gc
import json
import sys
from pathlib import Path

import click

from pileus.cli.common import cache_dir, data_dir_option, is_terminal
from pileus.kernel.settings import DEFAULT_REGION, Settings

# Of <malloc.h>.
_M_ARENA_MAX = -8


def _root_key(ctx: click.Context, param: click.Parameter, value: str | None) -> dict[str, str]:
    if not value:
        return {}
    key, colon, secret = value.partition(":")
    if not colon or not key or len(secret) < 16:
        raise click.BadParameter("give it as ACCESS_KEY_ID:SECRET, the secret of 16 characters or more")
    return {key: secret}


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option("--port", default=4566, show_default=True, help="The port; 0 takes a free one.")
@data_dir_option
@click.option(
    "--durability",
    type=click.Choice(["full", "relaxed", "memory"]),
    default="full",
    show_default=True,
    help="full: survives a power cut. relaxed: survives kill -9. memory: nothing is kept.",
)
@click.option(
    "--iam",
    type=click.Choice(["enforce", "audit", "off"]),
    default="enforce",
    show_default=True,
    help="enforce policies, log what would be denied, or allow everything.",
)
@click.option(
    "--root-key",
    envvar="PILEUS_ROOT_KEY",
    callback=_root_key,
    metavar="ID:SECRET",
    help="Credentials of account 000000000000's root; demanded off loopback. [$PILEUS_ROOT_KEY]",
)
@click.option("--region", default=DEFAULT_REGION, show_default=True, help="Where calls that name no region go.")
@click.option("--domain", "domains", multiple=True, help="One more domain under which service host names count.")
@click.option(
    "--sandbox",
    type=click.Choice(["auto", "namespaces", "process"]),
    default="auto",
    show_default=True,
    help="How functions are isolated; auto takes the strongest that works here (see: pileus doctor).",
)
@click.option(
    "--hot-reload",
    multiple=True,
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False, resolve_path=True, path_type=Path),
    help="Let functions run their code from folders below DIR, as it is saved (S3Bucket=hot-reload, S3Key=the folder).",
)
@click.option(
    "--strict-runtimes",
    is_flag=True,
    help="Refuse functions whose runtime's very version is not installed, in place of running them on the nearest.",
)
@click.option(
    "--internet/--no-internet",
    default=False,
    show_default=True,
    help="Whether functions reach the internet; --internet needs root, or slirp4netns.",
)
@click.option(
    "--replication-lag",
    type=click.FloatRange(0, 3600),
    default=0.1,
    show_default=True,
    metavar="SECONDS",
    help="How long changes of a DynamoDB global table take to its other replicas.",
)
@click.option(
    "--partition-limits",
    is_flag=True,
    help="Throttle hot partition keys of DynamoDB tables, and tables on demand that grow fast, as AWS does.",
)
@click.option("--clock", type=click.Choice(["system", "virtual"]), default="system", hidden=True)
@click.option("--json", "as_json", is_flag=True, help="Say what happens as JSON lines.")
def command(
    *,
    host: str,
    port: int,
    data_dir: Path,
    durability: str,
    iam: str,
    root_key: dict[str, str],
    region: str,
    domains: tuple[str, ...],
    sandbox: str,
    hot_reload: tuple[Path, ...],
    strict_runtimes: bool,
    internet: bool,
    replication_lag: float,
    partition_limits: bool,
    clock: str,
    as_json: bool,
) -> None:
    """Run Pileus in the foreground until Ctrl-C or SIGTERM."""
    # What is imported stays: the collector would look at all of it again and again. `app` turns it on again.
    gc.disable()
    _share_one_heap()
    from pileus.app import StartError, run

    settings = Settings(
        host=host,
        port=port,
        data_dir=data_dir.absolute(),
        cache_dir=cache_dir(),
        durability=durability,  # type: ignore[arg-type]  # click has checked the choice
        iam=iam,  # type: ignore[arg-type]
        root_keys=root_key,
        region=region,
        domains=domains,
        sandbox=sandbox,  # type: ignore[arg-type]
        hot_reload=hot_reload,
        strict_runtimes=strict_runtimes,
        internet=internet,
        replication_lag_s=replication_lag,
        partition_limits=partition_limits,
        clock=clock,  # type: ignore[arg-type]
        log_format="json" if as_json else "text",
    )

    def ready(endpoint: str) -> None:
        if as_json:
            line = json.dumps({"event": "ready", "endpoint": endpoint})
        else:
            address = click.style(endpoint, bold=True) if is_terminal() else endpoint
            line = f"Pileus serves AWS at {address}, data in {settings.data_dir}\nReady."
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    try:
        run(settings, ready)
    except StartError as error:
        raise click.ClickException(str(error)) from None


def _share_one_heap() -> None:
    """Let the threads to come allocate where this one does: source is mallopt(3).

    glibc gives each a heap of its own, and what one has freed the others do not use: after an hour of invocations half
    of the memory that a node had gained was nothing else.
    """
    libc = ctypes.CDLL(None)
    # Other C libraries have one heap anyway.
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_ARENA_MAX, 1)
