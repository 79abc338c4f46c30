"""What a function finds around it: mounts, limits and environment variables of its environment."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from pileus.sandbox.contract import OWN_ADDRESS, Assignment, Limits, Sandbox
from pileus.services.lambda_ import container_credentials
from pileus.services.lambda_.execution import FunctionSpec, RoleCredentials
from pileus.services.lambda_.hosting.frame import (
    LIBRARIES,
    RUNTIME_API_PORT,
    TELEMETRY,
    XRAY_DAEMON_PORT,
    Hosted,
    Place,
    Roots,
    Start,
)

# "Configure Lambda function memory": at 1,769 MB a function has the equivalent of one vCPU.
_MB_PER_VCPU = 1769
# A recorded answer of AWS has 742 at 128 MB: what a kernel allows by itself, one process for 256 KiB of the machine's
# memory, of which some is not the function's. At most as many as "Lambda quotas" says.
_PIDS_MAX = 1024
_PIDS_PER_MB = 4
_PIDS_BESIDE = 230
# The loopback address, where everything inside listens, too.
_LOCAL = "127.0.0.1"
_NOT_IN_SNAPSHOTS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_STREAM_NAME",
)
# "Extensions can access the function's environment variables, except for the following".
_OF_THE_RUNTIME = frozenset(
    {
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_XRAY_CONTEXT_MISSING",
        "AWS_XRAY_DAEMON_ADDRESS",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
        "_AWS_XRAY_DAEMON_ADDRESS",
        "_AWS_XRAY_DAEMON_PORT",
        "_HANDLER",
        *TELEMETRY,
    }
)


def starting(spec: FunctionSpec, sandbox: Sandbox, hosted: Hosted, place: Place, *, ahead: bool) -> Start:
    """How its runtime is started. `ahead`: the shell has it running already."""
    return hosted.language.start(spec, hosted, _roots(spec, sandbox), place, ahead)


def _roots(spec: FunctionSpec, sandbox: Sandbox) -> Roots:
    if sandbox.private_root:
        return Roots(task="/var/task", layers=["/opt"], private=True)
    return Roots(task=str(spec.code_dir), layers=[str(each) for each in spec.layer_dirs], private=False)


def assignment(
    spec: FunctionSpec,
    sandbox: Sandbox,
    hosted: Hosted,
    start: Start,
    credentials: RoleCredentials,
    log_stream: str,
    *,
    endpoint_port: int,
    token: str,
    template: bool,
) -> Assignment:
    """What makes a shell this function's environment; `token` gets its credentials from the Runtime API's port."""
    private = sandbox.private_root
    task_root = _roots(spec, sandbox).task
    mounts: dict[str, Sequence[Path]] = {**start.mounts, "/var/task": (spec.code_dir,)}
    if spec.layer_dirs:
        mounts["/opt"] = tuple(spec.layer_dirs)
    return Assignment(
        mounts=mounts if private else {},
        readable=() if private else (spec.code_dir, *spec.layer_dirs, *start.readable),
        environment=_variables(spec, sandbox, hosted, credentials, log_stream, task_root, endpoint_port, token),
        working_directory=task_root,
        limits=_limits(spec),
        payload=start.payload,
        argv=start.argv,
        template=template,
    )


def restoration(spec: FunctionSpec) -> Assignment:
    """What makes a clone of a snapshot this function's environment: all else it has already."""
    return Assignment(limits=_limits(spec))


def external_extensions(spec: FunctionSpec) -> list[str]:
    """Names of the programs in /opt/extensions, in the order in which they are started."""
    found: set[str] = set()
    for folder in spec.layer_dirs:
        try:
            with os.scandir(folder / "extensions") as entries:
                found.update(entry.name for entry in entries if entry.is_file())
        except OSError:
            continue
    return sorted(found)


def extension_assignment(spec: FunctionSpec, sandbox: Sandbox, environment: Mapping[str, str], name: str) -> Assignment:
    """What runs an external extension beside the runtime, with its variables but for those that are the runtime's."""
    program = f"/opt/extensions/{name}"
    if not sandbox.private_root:
        folders = [folder for folder in spec.layer_dirs if os.path.exists(folder / "extensions" / name)]
        program = str(folders[-1] / "extensions" / name)
    return Assignment(
        readable=() if sandbox.private_root else (spec.code_dir, *spec.layer_dirs),
        environment={key: value for key, value in environment.items() if key not in _OF_THE_RUNTIME},
        working_directory="/" if sandbox.private_root else str(spec.code_dir),
        limits=_limits(spec),
        argv=(program,),
    )


def _limits(spec: FunctionSpec) -> Limits:
    vcpus = spec.memory_mb / _MB_PER_VCPU
    pids = min(_PIDS_MAX, _PIDS_PER_MB * spec.memory_mb + _PIDS_BESIDE)
    return Limits(pids=pids, memory_mb=spec.memory_mb, tmp_mb=spec.tmp_mb, cpu_share=vcpus, cpu_max=max(1.0, vcpus))


def _variables(
    spec: FunctionSpec,
    sandbox: Sandbox,
    hosted: Hosted,
    credentials: RoleCredentials,
    log_stream: str,
    task_root: str,
    endpoint_port: int,
    token: str,
) -> dict[str, str]:
    """The defined runtime environment variables; the reserved ones win over the function's own."""
    ports = sandbox.ports
    # Where there is no network of its own, the ports are this machine's.
    address = OWN_ADDRESS if sandbox.private_root else _LOCAL
    daemon_port = ports.get(XRAY_DAEMON_PORT, XRAY_DAEMON_PORT)
    defaults = {
        "LANG": "en_US.UTF-8",
        "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
        "LD_LIBRARY_PATH": LIBRARIES,
        "TZ": ":UTC",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        # Not AWS's: where the cloud is.
        "AWS_ENDPOINT_URL": f"http://{_LOCAL}:{ports.get(endpoint_port, endpoint_port)}",
        **hosted.language.variables(spec.runtime, task_root),
    }
    reserved = {
        "_HANDLER": spec.handler,
        "AWS_ACCESS_KEY_ID": credentials.access_key_id,
        "AWS_SECRET_ACCESS_KEY": credentials.secret_access_key,
        "AWS_SESSION_TOKEN": credentials.session_token,
        "AWS_DEFAULT_REGION": spec.region,
        "AWS_REGION": spec.region,
        # Custom runtimes do not have it.
        **({} if hosted.interpreter is None else {"AWS_EXECUTION_ENV": f"AWS_Lambda_{spec.runtime}"}),
        "AWS_LAMBDA_FUNCTION_NAME": spec.name,
        "AWS_LAMBDA_FUNCTION_VERSION": spec.version,
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(spec.memory_mb),
        "AWS_LAMBDA_INITIALIZATION_TYPE": spec.initialization_type,
        "AWS_LAMBDA_LOG_GROUP_NAME": spec.log_group,
        "AWS_LAMBDA_LOG_STREAM_NAME": log_stream,
        # Recorded answers of AWS: it is there on both addresses, and only this runtime is told the other one.
        "AWS_LAMBDA_RUNTIME_API": f"{_LOCAL if spec.runtime == 'provided.al2' else address}:{ports[RUNTIME_API_PORT]}",
        "LAMBDA_TASK_ROOT": task_root,
        "LAMBDA_RUNTIME_DIR": "/var/runtime",
        "AWS_XRAY_DAEMON_ADDRESS": f"{address}:{daemon_port}",
        "_AWS_XRAY_DAEMON_ADDRESS": address,
        "_AWS_XRAY_DAEMON_PORT": str(daemon_port),
    }
    if spec.initialization_type == "snap-start":
        # What is in a snapshot outlives credentials, and belongs to no log stream.
        for name in _NOT_IN_SNAPSHOTS:
            del reserved[name]
        address_and_port = f"{_LOCAL}:{ports[RUNTIME_API_PORT]}"
        reserved["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"http://{address_and_port}{container_credentials.PATH}"
        reserved["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = token
    if spec.log_format == "JSON":
        reserved["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
        reserved["AWS_LAMBDA_LOG_LEVEL"] = spec.application_log_level or "INFO"
    return {**defaults, **spec.environment, **reserved}
