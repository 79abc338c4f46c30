"""What the subcommands share: where the node is, how things are said."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from pileus.kernel.settings import DEFAULT_REGION

DEFAULT_ENDPOINT = "http://127.0.0.1:4566"

endpoint_option = click.option(
    "--endpoint",
    default=lambda: os.environ.get("AWS_ENDPOINT_URL", DEFAULT_ENDPOINT),
    show_default=f"$AWS_ENDPOINT_URL or {DEFAULT_ENDPOINT}",
    help="Where Pileus runs.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document instead of text.")


def default_data_dir() -> Path:
    """`$PILEUS_DATA_DIR`, else the user's state folder."""
    if named := os.environ.get("PILEUS_DATA_DIR"):
        return Path(named)
    base = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(base) / "pileus"


def cache_dir() -> Path | None:
    """The user's cache folder for Pileus; None where there is no home for one."""
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(base) if base else Path.home() / ".cache") / "pileus"
    except RuntimeError:
        return None


data_dir_option = click.option(
    "--data-dir",
    type=click.Path(file_okay=False, path_type=Path),
    default=default_data_dir,
    show_default="$PILEUS_DATA_DIR or ~/.local/state/pileus",
    help="The folder that holds everything Pileus keeps.",
)


def fetch(endpoint: str, path: str) -> dict[str, Any]:
    """A JSON document of the node's own paths; ends the command in one line where nothing answers."""
    # `start` shares this module, and these would take a tenth of its time to be ready.
    import urllib.error
    import urllib.request

    if not endpoint.startswith(("http://", "https://")):
        raise click.ClickException(f"{endpoint} is not an http:// or https:// address.")
    try:
        with urllib.request.urlopen(endpoint.rstrip("/") + path, timeout=10) as answer:  # noqa: S310 -- checked above
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        raise click.ClickException(f"{endpoint}{path} answered {error.code}: {error.read(500).decode()}") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise click.ClickException(f"Pileus does not answer at {endpoint} ({reason}). Start it: pileus start") from None


def client(service: str, endpoint: str, *, patience_s: int = 910) -> Any:
    """A boto3 client for the node: the caller's own credentials where there are some, else the loopback root key."""
    import boto3
    from botocore.config import Config

    session = boto3.session.Session()
    named = {} if session.get_credentials() else {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    return session.client(
        service,
        endpoint_url=endpoint,
        region_name=session.region_name or DEFAULT_REGION,
        config=Config(retries={"max_attempts": 0}, read_timeout=patience_s),
        **named,
    )


def ending(error: Exception, endpoint: str) -> click.ClickException:
    """What a command ends with where a call of `client`'s failed: the service's own words, or what to do."""
    from botocore.exceptions import ClientError, EndpointConnectionError

    if isinstance(error, ClientError):
        told = error.response.get("Error", {})
        return click.ClickException(f"{told.get('Code', 'Unknown')}: {told.get('Message', '')}")
    if isinstance(error, EndpointConnectionError):
        return click.ClickException(f"Pileus does not answer at {endpoint}. Start it: pileus start")
    return click.ClickException(str(error))


def is_terminal() -> bool:
    """Whether a person looks: colour and progress there, plain lines where a pipe does."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ
