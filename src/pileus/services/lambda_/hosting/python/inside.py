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

# What the SDK has brought along: modules, and the first parts of their names.
_extra: frozenset[str] = frozenset()
_extra_tops: frozenset[str] = frozenset()

# Services whose models are read ahead: their clients are made in a few milliseconds.
_WARM_SERVICES = ("s3", "dynamodb", "sqs", "sns")

# What a session reads from the environment when it is made.
_READ_BY_SESSIONS = ("AWS_CONFIG_FILE", "AWS_DATA_PATH", "AWS_DEFAULT_PROFILE", "AWS_PROFILE")


def preload(config: dict[str, Any]) -> None:
    """Load the runtime client and the SDK. `config`: {"runtime_path": [...], "sdk": bool, "fixed_port": bool}."""
    global _extra, _extra_tops  # noqa: PLW0603 -- the template's one memory
    sys.path[:0] = config["runtime_path"]
    if config["fixed_port"]:
        # Its C part reads the Runtime API's address once, when it is loaded: elsewhere that is done in the environment.
        importlib.import_module("awslambdaric.__main__")
    base = frozenset(sys.modules)
    if config["sdk"] and importlib.util.find_spec("boto3"):
        _preload_sdk()
    _extra = frozenset(sys.modules) - base
    _extra_tops = frozenset(name.partition(".")[0] for name in _extra)


def _preload_sdk() -> None:
    """Load boto3, with what making a client looks up on disk; what depends on the environment is left for later."""
    import boto3
    import botocore.hooks
    import botocore.loaders

    _remember(botocore.loaders.JSONFileLoader, "load_file", lambda _self, path: path)
    _remember(botocore.loaders.Loader, "list_available_services", _only_built_in)
    _remember(botocore.loaders.Loader, "list_api_versions", _only_built_in)
    botocore.hooks.accepts_kwargs = _remembered_by_function(botocore.hooks.accepts_kwargs)
    session = boto3.session.Session("none", "none", region_name="us-east-1")
    for name in _WARM_SERVICES:
        session.client(name, endpoint_url="http://127.0.0.1:1")
    # The session that `boto3.client` uses. It asks the environment when it makes a client.
    boto3.DEFAULT_SESSION = boto3.session.Session()
    loader = boto3.DEFAULT_SESSION._session.get_component("data_loader")
    for name in _WARM_SERVICES:
        loader.load_service_model(name, "service-2")
        loader.load_service_model(name, "endpoint-rule-set-1")
    _frozen.append(True)


# Filled while the template loads; after that nothing is added, so that a function's memory is its own.
_frozen: list[bool] = []


def _remember(kind: Any, name: str, key_of: Any) -> None:
    """Let every instance of `kind` share what the method `name` answers in the template; a key of None does not."""
    original = getattr(kind, name)
    answers: dict[Any, Any] = {}

    def method(self: Any, *arguments: Any, **named: Any) -> Any:
        key = None if named else key_of(self, *arguments)
        if key is None:
            return original(self, *arguments, **named)
        if key in answers:
            found = answers[key]
            return list(found) if isinstance(found, list) else found
        found = original(self, *arguments)
        if found is not None and not _frozen:
            answers[key] = found
        return found

    setattr(kind, name, method)


def _only_built_in(loader: Any, *arguments: str) -> Any:
    """The key of a lookup in botocore's own folder; None where the function brings models of its own."""
    others = [each for each in loader.search_paths if each != loader.BUILTIN_DATA_PATH]
    return None if any(map(os.path.isdir, others)) else arguments


def _remembered_by_function(original: Any) -> Any:
    answers: dict[Any, bool] = {}

    def accepts_kwargs(function: Any) -> bool:
        key = getattr(function, "__func__", function)
        try:
            if key in answers:
                return answers[key]
        except TypeError:
            return bool(original(function))
        found = bool(original(function))
        if not _frozen:
            answers[key] = found
        return found

    return accepts_kwargs


def enter(config: dict[str, Any], payload: dict[str, Any]) -> None:
    """Be the function: `payload` is {"handler": ..., "path": [before, after], "roots": [...]}."""
    time.tzset()
    _forget_what_is_shipped(payload["roots"])
    before, after = payload["path"]
    runtime = config["runtime_path"]
    sys.path[:] = [*before, *runtime, *(each for each in sys.path if each and each not in runtime), *after]
    sys.argv[:] = ["/var/runtime/bootstrap.py", payload["handler"]]
    if "random" in sys.modules:
        sys.modules["random"].seed()
    import awslambdaric.__main__
    import awslambdaric.bootstrap

    if any(name in os.environ for name in _READ_BY_SESSIONS):
        vars(sys.modules.get("boto3", awslambdaric))["DEFAULT_SESSION"] = None
    if os.environ.get("AWS_LAMBDA_LOG_FORMAT") or os.environ.get("AWS_LAMBDA_LOG_LEVEL"):
        # It looks at these when it is imported.
        importlib.reload(awslambdaric.bootstrap)
    # Frames on standard output keep the messages of a logger whole; see environment.py.
    os.environ["_LAMBDA_TELEMETRY_LOG_FD"] = str(os.dup(1))
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
    # Every object that is looked at costs a page of memory: go by the names that are shipped, not by those loaded.
    found = {name for name in shipped if name in _extra_tops}
    if not found:
        return
    standard: frozenset[str] = getattr(sys, "stdlib_module_names", frozenset())
    for name in _extra:
        top = name.partition(".")[0]
        if top in found or top not in standard:
            sys.modules.pop(name, None)


if __name__ == "__main__":
    import json

    # Started as a program, behind a function's wrapper script.
    told = json.loads(sys.argv[1])
    sys.path.pop(0)
    preload(told["config"])
    enter(told["config"], told["payload"])
