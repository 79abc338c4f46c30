"""`pileus dynamodb`."""

from __future__ import annotations

import base64
import itertools
import json
from typing import Any

import click

from pileus.cli.common import client, ending, endpoint_option, json_option


@click.command()
@click.argument("table", required=False)
@click.option("--limit", default=100, show_default=True, help="How many items to print at most.")
@endpoint_option
@json_option
def command(*, table: str | None, limit: int, endpoint: str, as_json: bool) -> None:
    """List tables, or print a table's items: one a line, as JSON. With --json they keep DynamoDB's types."""
    from botocore.exceptions import BotoCoreError, ClientError

    dynamodb = client("dynamodb", endpoint)
    try:
        if table is None:
            _list(dynamodb, as_json)
        else:
            pages = dynamodb.get_paginator("scan").paginate(TableName=table)
            for item in itertools.islice((item for page in pages for item in page["Items"]), limit):
                shown = _typed({"M": item})["M"] if as_json else {name: plain(value) for name, value in item.items()}
                click.echo(json.dumps(shown, ensure_ascii=False))
    except (ClientError, BotoCoreError) as error:
        raise ending(error, endpoint) from None


def _list(dynamodb: Any, as_json: bool) -> None:
    for page in dynamodb.get_paginator("list_tables").paginate():
        for name in page["TableNames"]:
            found = dynamodb.describe_table(TableName=name)["Table"]
            items, size, status = found["ItemCount"], found["TableSizeBytes"], found["TableStatus"]
            if as_json:
                click.echo(json.dumps({"name": name, "items": items, "bytes": size, "status": status}))
            else:
                click.echo(f"{name}  {items:,} items  {size:,} bytes  {status}")


def plain(value: dict[str, Any]) -> Any:
    """A value as one reads it: numbers as they are written, sets as lists, binaries in base64."""
    ((kind, content),) = value.items()
    match kind:
        case "N":
            return _number(content)
        case "B":
            return base64.b64encode(content).decode()
        case "NULL":
            return None
        case "L":
            return [plain(each) for each in content]
        case "M":
            return {name: plain(each) for name, each in content.items()}
        case "SS" | "NS" | "BS":
            return [plain({kind[0]: each}) for each in content]
    return content


def _number(text: str) -> int | float | str:
    """Where a float would not hold it, its text."""
    number = int(text) if "." not in text else float(text)
    return number if isinstance(number, int) or len(text.strip("-0.")) <= 15 else text


def _typed(value: dict[str, Any]) -> dict[str, Any]:
    ((kind, content),) = value.items()
    match kind:
        case "B":
            return {"B": base64.b64encode(content).decode()}
        case "BS":
            return {"BS": [base64.b64encode(each).decode() for each in content]}
        case "L":
            return {"L": [_typed(each) for each in content]}
        case "M":
            return {"M": {name: _typed(each) for name, each in content.items()}}
    return value
