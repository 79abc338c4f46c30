"""Which runtimes AWS takes, and what it says of others (record "test_create_lambda_exceptions")."""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256

from pileus.kernel.arn import PARTITION
from pileus.services.lambda_ import errors

# In the order in which AWS's error message lists them.
RUNTIMES = (
    "nodejs20.x",
    "python3.14",
    "provided.al2023",
    "python3.12",
    "python3.13",
    "nodejs24.x",
    "nodejs22.x",
    "java25",
    "python3.10",
    "python3.11",
    "java21",
    "ruby3.3",
    "ruby3.4",
    "ruby3.2",
    "python3.8",
    "python3.9",
    "java17",
    "nodejs16.x",
    "dotnet10",
    "dotnet8",
    "java11",
    "dotnet6",
    "nodejs18.x",
    "provided.al2",
    "java8.al2",
)

DEPRECATED = frozenset(
    {
        "dotnetcore1.0",
        "dotnetcore2.0",
        "dotnetcore2.1",
        "dotnetcore3.1",
        "go1.x",
        "java8",
        "nodejs",
        "nodejs4.3",
        "nodejs4.3-edge",
        "nodejs6.10",
        "nodejs8.10",
        "nodejs10.x",
        "nodejs12.x",
        "nodejs14.x",
        "provided",
        "python2.7",
        "python3.6",
        "python3.7",
        "ruby2.5",
        "ruby2.7",
    }
)


def may_be_snapshotted(runtime: str) -> bool:
    """From Java 11, Python 3.12 and .NET 8 on."""
    found = re.fullmatch(r"(java|python3\.|dotnet)(\d+)", runtime)
    return found is not None and int(found[2]) >= {"java": 11, "python3.": 12, "dotnet": 8}[found[1]]


def check(runtime: str) -> None:
    """Raise AWS's error where functions cannot be created with `runtime`."""
    if runtime in DEPRECATED:
        raise errors.invalid_parameter(
            f"The runtime parameter of {runtime} is no longer supported for creating or updating AWS Lambda functions. "
            "We recommend you use a supported runtime while creating or updating functions."
        )
    if runtime not in RUNTIMES:
        raise errors.invalid_parameter(
            f"Value {runtime} at 'runtime' failed to satisfy constraint: Member must satisfy enum value set: "
            f"[{', '.join(RUNTIMES)}] or be a valid ARN"
        )


def check_compatible(runtimes: Sequence[str]) -> None:
    """Raise AWS's error where one of a layer's runtimes is none any more.

    The message is that of deployments that failed; that the call itself answers with this code is inferred from it.
    """
    if any(each not in RUNTIMES for each in runtimes):
        raise errors.invalid_parameter(
            f"1 validation error detected: Value '[{', '.join(runtimes)}]' at 'compatibleRuntimes' failed to satisfy "
            f"constraint: Member must satisfy enum value set: [{', '.join(RUNTIMES)}]"
        )


def version_arn(runtime: str, region: str) -> str:
    """Names the very build of a runtime; here it changes with the runtime only."""
    return f"arn:{PARTITION}:lambda:{region}::runtime:{sha256(runtime.encode()).hexdigest()}"
