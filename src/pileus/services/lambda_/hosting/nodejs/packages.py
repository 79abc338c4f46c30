"""What npm can bring: Node.js itself, and the AWS SDK for JavaScript v3 that functions find in their runtime."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Callable
from pathlib import Path

from pileus.sandbox.contract import SandboxError
from pileus.services.lambda_.hosting.fetching import new_folder, run_quietly
from pileus.services.lambda_.hosting.frame import Version

# The clients that functions use most. AWS's runtime has them all, some 300 MB; a function can ship the others.
_SDK = (
    "@aws-sdk/client-cloudwatch",
    "@aws-sdk/client-cognito-identity-provider",
    "@aws-sdk/client-dynamodb",
    "@aws-sdk/client-eventbridge",
    "@aws-sdk/client-kinesis",
    "@aws-sdk/client-kms",
    "@aws-sdk/client-lambda",
    "@aws-sdk/client-s3",
    "@aws-sdk/client-secrets-manager",
    "@aws-sdk/client-ses",
    "@aws-sdk/client-sfn",
    "@aws-sdk/client-sns",
    "@aws-sdk/client-sqs",
    "@aws-sdk/client-ssm",
    "@aws-sdk/client-sts",
    "@aws-sdk/lib-dynamodb",
    "@aws-sdk/lib-storage",
    "@aws-sdk/s3-request-presigner",
    "@aws-sdk/util-dynamodb",
)


def sdk(folder: Path) -> Path | None:
    """The SDK's node_modules, where it was installed."""
    found = folder / "nodejs-sdk" / "node_modules"
    return found if found.is_dir() else None


def installed_nodes(folder: Path) -> list[Path]:
    return sorted(folder.glob("nodejs*/node_modules/node-*/bin/node"))


async def fetch_sdk(folder: Path, say: Callable[[str], None]) -> None:
    if sdk(folder) is None:
        say("Fetching the AWS SDK for JavaScript ...")
        with new_folder(folder / "nodejs-sdk") as making:
            await _npm(making, *_SDK)


async def install_node(version: Version, folder: Path) -> None:
    """The newest Node.js of that version, as npm's package of the binary."""
    architecture = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine())
    if platform.system() != "Linux" or architecture is None:
        raise SandboxError("npm has Node.js for Linux on x86_64 and arm64 only")
    with new_folder(folder / f"nodejs{version[0]}") as making:
        await _npm(making, f"node-linux-{architecture}@{version[0]}")


async def _npm(folder: Path, *packages: str) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise SandboxError("npm is not on the PATH: install it, it comes with Node.js")
    options = ["--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "--omit=dev", "--loglevel=error"]
    if said := await run_quietly([npm, "install", *options, "--prefix", str(folder), *packages], cwd=folder):
        raise SandboxError(f"npm cannot install {packages[0]}: {said}")
