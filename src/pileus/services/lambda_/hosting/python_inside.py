"""Runs inside the environments of Python functions; imports nothing of Pileus.

`preload` is run once, in the template; `enter` in each environment. AWS's runtime client (`awslambdaric`) is what talks
to the Runtime API and calls the handler.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import time
from typing import Any

# What has been loaded before the SDK, as on AWS before the function is loaded.
_base: frozenset[str] = frozenset()
# What the SDK has brought along.
_extra: frozenset[str] = frozenset()

# Services whose models are read ahead: their clients are made in a few milliseconds.
_WARM_SERVICES = ("s3", "dynamodb", "sqs", "sns")


def preload(config: dict[str, Any]) -> None:
    """Load the runtime client and the SDK. `config`: {"runtime_path": [...], "sdk": bool, "fixed_port": bool}."""
    global _base, _extra  # noqa: PLW0603 -- the template's one memory
    sys.path[:0] = config["runtime_path"]

    if config["fixed_port"]:
        # Its C part reads the Runtime API's address from the environment, once.
        pass
    _base = frozenset(sys.modules)
    if config["sdk"] and importlib.util.find_spec("boto3"):
        _preload_sdk()
    _extra = frozenset(sys.modules) - _base


def _preload_sdk() -> None:
    import boto3
    import botocore.loaders

    # A loader keeps what it has read, but every session has its own: let them share what has been read here.
    read: dict[str, Any] = {}
    load_file = botocore.loaders.JSONFileLoader.load_file

    def shared(self: Any, file_path: str) -> Any:
        return read[file_path] if file_path in read else load_file(self, file_path)

    def remembered(self: Any, file_path: str) -> Any:
        if file_path not in read:
            found = load_file(self, file_path)
            if found is None:
                return None
            read[file_path] = found
        return read[file_path]

    botocore.loaders.JSONFileLoader.load_file = remembered
    try:
        session = boto3.session.Session("none", "none", region_name="us-east-1")
        for name in _WARM_SERVICES:
            session.client(name, endpoint_url="http://127.0.0.1:1")
    finally:
        botocore.loaders.JSONFileLoader.load_file = shared
    boto3.DEFAULT_SESSION = None


def enter(config: dict[str, Any], payload: dict[str, Any]) -> None:
    """Be the function: `payload` is {"handler": ..., "path": [before, after], "roots": [...]}."""
    time.tzset()
    _forget_what_is_shipped(payload["roots"])
    before, after = payload["path"]
    runtime = config["runtime_path"]
    sys.path[:] = [*before, *runtime, *(each for each in sys.path if each and each not in runtime), *after]
    sys.path_importer_cache.clear()
    sys.argv[:] = ["/var/runtime/bootstrap.py", payload["handler"]]
    if "random" in sys.modules:
        sys.modules["random"].seed()
    import awslambdaric.bootstrap

    if os.environ.get("AWS_LAMBDA_LOG_FORMAT") or os.environ.get("AWS_LAMBDA_LOG_LEVEL"):
        # It looks at these when it is imported.
        importlib.reload(awslambdaric.bootstrap)
    # Frames on standard output keep the messages of a logger whole; see environment.py.
    os.environ["_LAMBDA_TELEMETRY_LOG_FD"] = str(os.dup(1))
    import awslambdaric.__main__

    awslambdaric.__main__.main(sys.argv)


def _forget_what_is_shipped(roots: list[str]) -> None:
    """What the function or a layer ships comes before what is loaded here, as on AWS, where none of it is loaded yet.

    The SDK goes as a whole, since its parts have bound one another.
    """
    shipped: set[str] = set()
    for root in roots:
        try:
            names = os.listdir(root)
        except OSError:
            continue
        shipped.update(name.partition(".")[0] for name in names)
    tops = {name.partition(".")[0] for name in _extra}
    found = tops & shipped
    if not found:
        return
    standard: frozenset[str] = getattr(sys, "stdlib_module_names", frozenset())
    for name in _extra:
        top = name.partition(".")[0]
        if top in found or top not in standard:
            sys.modules.pop(name, None)
