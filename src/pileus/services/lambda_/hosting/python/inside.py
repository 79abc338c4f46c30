"""Runs inside the environments of Python functions; imports nothing of Pileus.

AWS's runtime client (`awslambdaric`) is what talks to the Runtime API and calls the handler. The template runs it up to
where it looks for the handler and waits there: all that comes before is the same for every function, and what is done
already costs its clones neither time nor memory.
"""

from __future__ import annotations

import contextlib
import copy
import importlib
import importlib.util
import os
import sys
import time
from collections.abc import Callable
from typing import Any

# What the SDK has brought along: modules, and the first parts of their names.
_extra: frozenset[str] = frozenset()
_extra_tops: frozenset[str] = frozenset()

# Services whose models are read ahead: their clients are made in a few milliseconds.
_WARM_SERVICES = ("s3", "dynamodb", "sqs", "sns")

# What a session reads from the environment when it is made.
_READ_BY_SESSIONS = ("AWS_CONFIG_FILE", "AWS_DATA_PATH", "AWS_DEFAULT_PROFILE", "AWS_PROFILE")


Wait = Callable[[], "dict[str, Any]"]


def run(config: dict[str, Any], wait: Wait) -> None:
    """`config`: {"runtime_path": [...], "sdk": bool, "fixed_port": bool}. The template waits in `wait`."""
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
    if config["fixed_port"]:
        # The client is made another way for some; most functions of an interpreter are for the runtime of its version.
        os.environ["AWS_EXECUTION_ENV"] = "AWS_Lambda_python{}.{}".format(*sys.version_info)
        _rehearse()
        _wait_for_handler(config, wait)
    else:
        _run_client(_become(config, wait()))


def _preload_sdk() -> None:
    """Load boto3, with what making a client looks up on disk; what depends on the environment is left for later."""
    import boto3
    import botocore.hooks
    import botocore.loaders

    _remember(botocore.loaders.JSONFileLoader, "load_file", lambda _self, path: path)
    _remember(botocore.loaders.Loader, "list_available_services", _only_built_in)
    _remember(botocore.loaders.Loader, "list_api_versions", _only_built_in)
    botocore.hooks.accepts_kwargs = _remembered_by_function(botocore.hooks.accepts_kwargs)
    _share_parts_of_clients()
    session = boto3.session.Session("none", "none", region_name="us-east-1")
    for name in _WARM_SERVICES:
        session.client(name, endpoint_url="http://127.0.0.1:1")
    # The session that `boto3.client` uses. It asks the environment when it makes a client.
    boto3.DEFAULT_SESSION = boto3.session.Session()
    loader = boto3.DEFAULT_SESSION._session.get_component("data_loader")
    for name in _WARM_SERVICES:
        loader.load_service_model(name, "service-2")
        loader.load_service_model(name, "endpoint-rule-set-1")
    _share_credential_resolver(boto3.DEFAULT_SESSION._session)
    _frozen.append(True)


# Filled while the template loads; after that nothing is added, so that a function's memory is its own.
_frozen: list[bool] = []


def _remember(kind: Any, name: str, key_of: Any) -> None:
    """Let every instance of `kind` share what the method `name` answers in the template; a key of None does not.

    Lists and tables are handed out as copies where the callers change them.
    """
    original = getattr(kind, name)
    answers: dict[Any, Any] = {}

    def method(self: Any, *arguments: Any, **named: Any) -> Any:
        key = None if named else key_of(self, *arguments)
        if key is None:
            return original(self, *arguments, **named)
        found = answers.get(key)
        if found is None:
            found = original(self, *arguments)
            if found is not None and not _frozen:
                answers[key] = found
        return copy.copy(found) if name in _CHANGED_BY_CALLERS else found

    setattr(kind, name, method)


_CHANGED_BY_CALLERS = ("list_available_services", "list_api_versions", "_create_methods", "_create_name_mapping")


def _share_parts_of_clients() -> None:
    """A client's methods and its endpoint rules are the same for every client of one service model.

    Making them is not the most of it: whatever of a model is looked at in an environment costs it a page of memory.
    """
    import botocore.client
    import botocore.endpoint_provider

    for name in ("_create_methods", "_create_name_mapping"):
        if hasattr(botocore.client.ClientCreator, name):
            _remember(botocore.client.ClientCreator, name, _model_of)
    make = botocore.endpoint_provider.RuleSet
    made: dict[tuple[int, int], tuple[Any, Any]] = {}

    def rule_set(**parts: Any) -> Any:
        # What is known by its id is kept, so that nothing else gets it.
        key = id(parts.get("rules")), id(parts.get("partitions"))
        if key in made:
            return made[key][0]
        found = make(**parts)
        if not _frozen:
            made[key] = found, parts
        return found

    vars(botocore.endpoint_provider)["RuleSet"] = rule_set


def _model_of(_creator: Any, service_model: Any) -> Any:
    description = getattr(service_model, "_service_description", None)
    return None if description is None else id(description)


# What the chain of providers of credentials looks at when it is made.
_READ_BY_CREDENTIALS = (
    "HOME",
    "BOTO_CONFIG",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_CREDENTIAL_FILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_METADATA_SERVICE_TIMEOUT",
    "AWS_METADATA_SERVICE_NUM_ATTEMPTS",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
    "AWS_EC2_METADATA_V1_DISABLED",
    "AWS_IMDS_USE_IPV6",
)


def _share_credential_resolver(session: Any) -> None:
    """Make the chain of providers ahead, which asks none of them: for `session` as it is, and no other."""
    import botocore.session

    make = getattr(botocore.session.Session, "_create_credential_resolver", None)
    if make is None:
        return
    found = make(session)
    # It has looked for files of configuration, and found none: the function may have some.
    session._config = session._profile_map = None
    instance_variables = session.instance_variables()

    def create_credential_resolver(self: Any) -> Any:
        environment = os.environ
        if (
            self is not session
            or self.instance_variables() != instance_variables
            or any(name in environment for name in _READ_BY_CREDENTIALS)
            or any(name.lower().endswith("_proxy") for name in environment)
        ):
            return make(self)
        return found

    botocore.session.Session._create_credential_resolver = create_credential_resolver
    session._components.lazy_register_component("credential_provider", session._create_credential_resolver)


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


def _wait_for_handler(config: dict[str, Any], wait: Wait) -> None:
    """Run the runtime client, and wait where it looks for the handler."""
    from awslambdaric import bootstrap

    get_handler = bootstrap._get_handler
    telemetry = os.dup(1)
    polls_in_a_thread = os.environ["AWS_EXECUTION_ENV"] in _POLL_IN_A_THREAD

    def found_out(_handler: str) -> Any:
        handler = _become(config, wait())
        bootstrap._get_handler = get_handler
        os.dup2(1, telemetry, inheritable=False)
        environment = os.environ
        if (
            "AWS_LAMBDA_LOG_FORMAT" in environment
            or "AWS_LAMBDA_LOG_LEVEL" in environment
            or (environment.get("AWS_EXECUTION_ENV", "") in _POLL_IN_A_THREAD) != polls_in_a_thread
        ):
            _start_over(handler)
        return get_handler(handler)

    # The client leaves its own files out of the traces that it reports: this one is beside it at AWS, under this name.
    found_out.__code__ = found_out.__code__.replace(co_filename="/var/runtime/bootstrap.py")
    bootstrap._get_handler = found_out
    os.environ["_LAMBDA_TELEMETRY_LOG_FD"] = str(telemetry)
    importlib.import_module("awslambdaric.__main__").main(["/var/runtime/bootstrap.py", "handler"])


# For these the client waits for events in a thread of its own.
_POLL_IN_A_THREAD = tuple(f"AWS_Lambda_python3.{minor}" for minor in range(12, 16))


def _start_over(handler: str) -> None:
    """The client goes another way from its beginning on: undo what it has done so far."""
    import logging

    logging.getLogger().handlers.clear()
    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
    _run_client(handler)


def _run_client(handler: str) -> None:
    import awslambdaric.__main__
    import awslambdaric.bootstrap

    if os.environ.get("AWS_LAMBDA_LOG_FORMAT") or os.environ.get("AWS_LAMBDA_LOG_LEVEL"):
        # It looks at these when it is imported.
        importlib.reload(awslambdaric.bootstrap)
    # Frames on standard output keep the messages of a logger whole; see environment.py.
    os.environ["_LAMBDA_TELEMETRY_LOG_FD"] = str(os.dup(1))
    awslambdaric.__main__.main(["/var/runtime/bootstrap.py", handler])


class _Enough(BaseException):
    """Ends the rehearsal."""


def _rehearse() -> None:
    """Go the way of a few invocations, so that what Python keeps of a first time is there before the clones."""
    import logging

    import awslambdaric.__main__ as client
    from awslambdaric import bootstrap

    runtime_client: Any = importlib.import_module("runtime_client")
    originals = bootstrap._get_handler, runtime_client.next, runtime_client.post_invocation_result
    before = sys.argv[:], sys.path[:], sys.stdout, sys.stderr
    for _ in range(_REHEARSALS):
        # This very file, as a function's module would be: found on the path, compiled, run.
        folder, name = os.path.split(os.path.splitext(__file__)[0])
        sys.path.insert(0, folder)
        originals[0](f"{name}._rehearsed")
        del sys.path[0], sys.modules[name]
    sys.path_importer_cache.pop(folder, None)
    left = [0]

    def next_event() -> tuple[bytes, dict[str, Any]]:
        left[0] -= 1
        if left[0] < 0:
            raise _Enough
        return b'{"key": [1, 2.5, null, true, "text"]}', dict(_REHEARSED_HEADERS)

    try:
        bootstrap._get_handler = lambda _handler: _rehearsed
        runtime_client.next, runtime_client.post_invocation_result = next_event, lambda *_arguments: None
        for _ in range(_REHEARSALS):
            left[0] = 2
            os.environ["_LAMBDA_TELEMETRY_LOG_FD"] = str(os.dup(1))
            with contextlib.suppress(_Enough):
                client.main(["/var/runtime/bootstrap.py", "handler"])
            logging.getLogger().handlers.clear()
            sys.stdout, sys.stderr = before[2:]
    finally:
        bootstrap._get_handler, runtime_client.next, runtime_client.post_invocation_result = originals
        sys.argv[:], sys.path[:] = before[:2]
        os.environ.pop("_X_AMZN_TRACE_ID", None)
        bootstrap._GLOBAL_AWS_REQUEST_ID = None


# Python specializes what has run eight times.
_REHEARSALS = 12
_REHEARSED_HEADERS = {
    "Content-Type": "application/json",
    "Lambda-Runtime-Aws-Request-Id": "00000000-0000-0000-0000-000000000000",
    "Lambda-Runtime-Deadline-Ms": 4102444800000,
    "Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:000000000000:function:rehearsal",
    "Lambda-Runtime-Trace-Id": "Root=1-00000000-000000000000000000000000",
}


def _rehearsed(event: Any, context: Any) -> Any:
    context.get_remaining_time_in_millis()
    return {"statusCode": 200, "body": "", "event": event}


def _become(config: dict[str, Any], payload: dict[str, Any]) -> str:
    """Be the function: `payload` is {"handler": ..., "path": [before, after], "roots": [...]}; returns the handler."""
    if os.environ.get("TZ") != ":UTC":
        time.tzset()
    _forget_what_is_shipped(payload["roots"])
    before, after = payload["path"]
    runtime = config["runtime_path"]
    sys.path[:] = [*before, *runtime, *(each for each in sys.path if each and each not in runtime), *after]
    sys.argv[:] = ["/var/runtime/bootstrap.py", payload["handler"]]
    # What Python's own fork would have done.
    if "random" in sys.modules:
        sys.modules["random"].seed()
    if "threading" in sys.modules:
        sys.modules["threading"].main_thread()._set_native_id()
    if "wait" in payload:
        _wait_in_the_place_of_restore_next(payload["wait"])
    if any(name in os.environ for name in _READ_BY_SESSIONS) and "boto3" in sys.modules:
        vars(sys.modules["boto3"])["DEFAULT_SESSION"] = None
    return str(payload["handler"])


def _wait_in_the_place_of_restore_next(wait: Wait) -> None:
    """Where the client would ask to be restored, and wait for the answer, this process waits to be cloned."""
    client = importlib.import_module("awslambdaric.lambda_runtime_client").BaseLambdaRuntimeClient
    client.restore_next = lambda _self: wait() and None


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
    run(told["config"], lambda: told["payload"])
