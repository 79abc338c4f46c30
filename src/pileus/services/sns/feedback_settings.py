"""What may be said of delivery status: who writes of it, and of how many deliveries in a hundred. Pure logic."""

from __future__ import annotations

import re

from pileus.kernel.arn import parse_arn

_PERCENTAGE = re.compile(r"[0-9]{1,2}|100", re.ASCII)


def is_percentage(value: str) -> bool:
    return _PERCENTAGE.fullmatch(value) is not None


def is_role(value: str) -> bool:
    arn = parse_arn(value)
    return arn is not None and arn.service == "iam" and arn.resource.startswith("role/")
