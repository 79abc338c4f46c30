"""`pileus invoke`."""

from __future__ import annotations

import base64
import json
import sys

import click

from pileus.cli.common import client, endpoint_option, json_option


@click.command()
@click.argument("function")
@click.option("--payload", default="{}", show_default=True, help="The event as JSON; - reads standard input.")
@click.option("--log/--no-log", "show_log", default=True, show_default=True, help="Print the end of its log to stderr.")
@endpoint_option
@json_option
def command(*, function: str, payload: str, show_log: bool, endpoint: str, as_json: bool) -> None:
    """Invoke a function and print its answer. Exits with 1 when the function failed."""
    from botocore.exceptions import BotoCoreError, ClientError

    event = sys.stdin.read() if payload == "-" else payload
    try:
        answer = client("lambda", endpoint).invoke(FunctionName=function, Payload=event.encode(), LogType="Tail")
    except (ClientError, BotoCoreError) as error:
        raise click.ClickException(str(error)) from None
    output = answer["Payload"].read().decode()
    tail = base64.b64decode(answer.get("LogResult", "")).decode(errors="replace")
    failure = answer.get("FunctionError")
    if as_json:
        click.echo(json.dumps({"status": answer["StatusCode"], "error": failure, "payload": output, "log": tail}))
    else:
        if show_log:
            click.echo(tail.rstrip(), err=True)
        click.echo(output)
    if failure:
        raise click.exceptions.Exit(1)
