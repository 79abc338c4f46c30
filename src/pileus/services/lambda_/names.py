"""Function names in all their forms, and the ARNs they stand for.

    my-function                                         name
    my-function:prod                                    with a qualifier: a version, an alias or $LATEST
    123456789012:function:my-function                   partial ARN
    arn:aws:lambda:us-east-1:123456789012:function:f:7  full ARN

Source: "Function names" of Lambda's API reference; the records "test_function_name_and_qualifier_validation".
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from pileus.cloud.context import Context
from pileus.kernel.arn import make_arn
from pileus.services.lambda_ import errors

LATEST = "$LATEST"
NAME_LENGTH_MAX = 64

_NAME = re.compile(
    r"(?:arn:aws[a-zA-Z-]*:lambda:)?(?:((?:eusc-)?[a-z]{2}(?:-gov|-iso[a-z]?)?-[a-z]+-\d):)?(?:(\d{12}):)?(?:function:)?"
    r"([a-zA-Z0-9-_.]+)(?::(\$LATEST(?:\.PUBLISHED)?|[a-zA-Z0-9-_$]+))?"
)
_ALIAS = re.compile(r"(?!^[0-9]+$)[a-zA-Z0-9-_]+")
_LAYER = re.compile(r"arn:[a-zA-Z0-9-]+:lambda:([a-z0-9-]+):(\d{12}):layer:([a-zA-Z0-9-_]+)(?::(\d+))?")


class Target(NamedTuple):
    """The function, version or alias that a request names."""

    account: str
    region: str
    name: str
    # "" where the caller gave none.
    qualifier: str

    @property
    def arn(self) -> str:
        """Unqualified."""
        return make_arn("lambda", self.region, self.account, f"function:{self.name}")

    @property
    def asked_arn(self) -> str:
        """With the qualifier that was given, if any."""
        return f"{self.arn}:{self.qualifier}" if self.qualifier else self.arn

    @property
    def qualified_arn(self) -> str:
        """With the qualifier, `$LATEST` where none was given."""
        return f"{self.arn}:{self.qualifier or LATEST}"


def parse(ctx: Context, function_name: str, qualifier: str = "") -> Target:
    """What `FunctionName` and `Qualifier` mean together; says nothing of whether it exists."""
    region, account, name, own = _parts(function_name)
    if own and qualifier and own != qualifier:
        raise errors.invalid_parameter(
            "The derived qualifier from the function name does not match the specified qualifier."
        )
    if region and region != ctx.region:
        raise errors.not_found(f"Functions from '{region}' are not reachable in this region ('{ctx.region}')")
    return Target(account or ctx.account, ctx.region, name, own or qualifier)


@lru_cache(maxsize=1024)
def _parts(function_name: str) -> tuple[str | None, str | None, str, str | None]:
    """Region, account, name and qualifier. Remembered: permissions, policy and operation ask for the same."""
    found = _NAME.fullmatch(function_name)
    if found is None:
        # The modelled pattern refuses what comes here before an operation sees it.
        raise errors.invalid_parameter(f"Invalid function name: {function_name}")
    region, account, name, own = found.groups()
    return region, account, name, own


def parse_own(ctx: Context, function_name: str, qualifier: str = "") -> Target:
    """The same where another account's function is out of the question."""
    target = parse(ctx, function_name, qualifier)
    if target.account != ctx.account:
        raise errors.access_denied()
    return target


def is_version(qualifier: str) -> bool:
    return qualifier.isascii() and qualifier.isdigit()


def is_alias(qualifier: str) -> bool:
    return _ALIAS.fullmatch(qualifier) is not None


class LayerName(NamedTuple):
    account: str
    region: str
    name: str
    # 0 where the ARN names none.
    version: int

    @property
    def arn(self) -> str:
        return make_arn("lambda", self.region, self.account, f"layer:{self.name}")

    @property
    def version_arn(self) -> str:
        return f"{self.arn}:{self.version}"


def parse_layer(ctx: Context, text: str, version: int = 0) -> LayerName:
    """A layer by name or ARN; in the ARN form its own version counts."""
    found = _LAYER.fullmatch(text)
    if found is None:
        return LayerName(ctx.account, ctx.region, text, version)
    region, account, name, own = found.groups()
    return LayerName(account, region, name, int(own) if own else version)
