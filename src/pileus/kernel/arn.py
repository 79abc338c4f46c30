"""Amazon Resource Names."""

from __future__ import annotations

from typing import NamedTuple

PARTITION = "aws"


class Arn(NamedTuple):
    """`arn:partition:service:region:account:resource`; `resource` keeps its own colons and slashes."""

    partition: str
    service: str
    region: str
    account: str
    resource: str

    def __str__(self) -> str:
        return ":".join(("arn", *self))


def parse_arn(text: str) -> Arn | None:
    """The parts of an ARN, or `None` where `text` is none."""
    parts = text.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn":
        return None
    return Arn(*parts[1:])


def make_arn(service: str, region: str, account: str, resource: str) -> str:
    return f"arn:{PARTITION}:{service}:{region}:{account}:{resource}"
