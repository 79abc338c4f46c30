"""`pileus invoke`."""

from __future__ import annotations

import base64
import json
import sys

import click

from pileus.cli.common import client, ending, endpoint_option, json_option


@click.command()
@click.argument("function")
@click.argument("event", required=False)
@click.option("--payload", help="The event as JSON, {} where none is given; - reads standard input.")
@click.option("--log/--no-log", "show_log", default=True, show_default=True, help="Print the end of its log to stderr.")
@click.option("--debug", is_flag=True, help="Wait for a debugger (debugpy, the Node.js inspector), without a timeout.")
@click.option("--debug-port", default=5678, show_default=True, help="Where the debugger finds the function.")
@endpoint_option
@json_option
def command(
    *,
    function: str,
    event: str | None,
    payload: str | None,
    show_log: bool,
    debug: bool,
    debug_port: int,
    endpoint: str,
    as_json: bool,
) -> None:
    """Invoke a function with an event (JSON) and print its answer. Exits with 1 when the function failed."""
    from botocore.exceptions import BotoCoreError, ClientError

    if event is not None and payload is not None:
        raise click.UsageError("There is one event: name it after the function or with --payload.")
    given = event or payload or "{}"
    if given == "-":
        given = sys.stdin.read()
    lambda_ = client("lambda", endpoint, patience_s=86400 if debug else 910)
    if debug:
        lambda_.meta.events.register(
            "before-sign.lambda.Invoke",
            lambda request, **_: request.headers.add_header("X-Pileus-Debug", str(debug_port)),
        )
        click.echo(f"Attach a debugger to 127.0.0.1:{debug_port}; the code is in /var/task.", err=True)
    try:
        answer = lambda_.invoke(FunctionName=function, Payload=given.encode(), LogType="Tail")
    except (ClientError, BotoCoreError) as error:
        raise ending(error, endpoint) from None
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
