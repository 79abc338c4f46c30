"""`pileus bill`."""

from __future__ import annotations

import json
from urllib.parse import urlencode

import click

from pileus.cli.common import endpoint_option, fetch, json_option
from pileus.cli.status import table


@click.command()
@click.option("--month", default="", help="Like 2026-11; the current one by default.")
@click.option("--account", default="", help="Of one account only.")
@endpoint_option
@json_option
def command(*, month: str, account: str, endpoint: str, as_json: bool) -> None:
    """Show what a month's functions would have cost on AWS."""
    query = urlencode({name: value for name, value in (("month", month), ("account", account)) if value})
    found = fetch(endpoint, "/_pileus/lambda/bill" + (f"?{query}" if query else ""))
    if "error" in found:
        raise click.ClickException(found["error"])
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    currency, as_of = found["prices"]["currency"], found["prices"]["as_of"]
    head = ("account", "region", "function", "requests", "GB-seconds", f"{currency} before the free tier")
    rows = [
        (
            each["account"],
            each["region"],
            each["function"],
            str(each["requests"]),
            f"{each['duration_gb_s'] + each['provisioned_duration_gb_s']:.3f}",
            f"{each['cost_before_free_tier']:.6f}",
        )
        for each in found["functions"]
    ]
    table(head, rows)
    for each in found["accounts"]:
        click.echo(
            f"Account {each['account']}: {each['requests']} requests, {each['free_requests']} of them free; "
            f"{each['duration_gb_s']:.3f} GB-seconds, {each['free_duration_gb_s']:.3f} of them free: "
            f"{each['cost']:.2f} {currency}"
        )
    click.echo(f"{found['month']} on AWS: {found['cost']:.2f} {currency} (prices of {as_of}, US East).")
