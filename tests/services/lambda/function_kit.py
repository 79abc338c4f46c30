"""A function and a call of it, for tests of what Lambda makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pileus.services.lambda_.execution import FunctionSpec, Invocation, RoleCredentials

ROOT = "1-5759e988-bd862e3fe1be46a994272793"
SAMPLED = f"Root={ROOT};Parent=53995c3f42cd8ad8;Sampled=1"


async def _credentials() -> RoleCredentials:
    return RoleCredentials("", "", "")


def spec(tracing: Literal["Active", "PassThrough"]) -> FunctionSpec:
    return FunctionSpec(
        fingerprint="f",
        arn="arn:aws:lambda:us-east-1:000000000000:function:f",
        name="f",
        version="$LATEST",
        account="0" * 12,
        region="us-east-1",
        runtime="python3.11",
        handler="index.handler",
        code_dir=Path("/"),
        log_group="g",
        tracing=tracing,
        credentials=_credentials,
    )


def invocation(header: str) -> Invocation:
    return Invocation(request_id="r", payload=b"", invoked_arn=spec("Active").arn, trace_header=header)
