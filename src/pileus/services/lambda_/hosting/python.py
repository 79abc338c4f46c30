"""Python runtimes: which interpreter, what lies in the root, what the environment looks like from inside."""

from __future__ import annotations

import importlib.util
import os
import re
import sys
from pathlib import Path
from typing import Any

from pileus.sandbox import roots
from pileus.sandbox.contract import OWN_ADDRESS, TemplateSpec
from pileus.services.lambda_.execution import FunctionSpec

# What AWS's /var/runtime holds.
_PACKAGES = (
    "awslambdaric",
    "boto3",
    "botocore",
    "dateutil",
    "jmespath",
    "runtime_client",
    "s3transfer",
    "simplejson",
    "six",
    "snapshot_restore_py",
    "urllib3",
)
_INSIDE = Path(__file__).parent / "python_inside.py"
RUNTIME_API_PORT = 9001
XRAY_DAEMON_PORT = 2000


def version_of(runtime: str) -> tuple[int, int] | None:
    """(3, 11) for "python3.11"."""
    match = re.fullmatch(r"python(\d)\.(\d{1,2})", runtime)
    return (int(match[1]), int(match[2])) if match else None


def unsupported(runtime: str) -> str | None:
    """None where it runs here, else why not."""
    version = version_of(runtime)
    if version is None:
        return f"the runtime {runtime} is not built yet"
    return None


def template_spec(runtime: str, *, endpoint_port: int, private_root: bool) -> TemplateSpec:
    """The template for functions of a Python runtime."""
    python = Path(os.path.realpath(sys.executable))
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = _packages()
    if not private_root:
        runtime_path = sorted({str(each.parent) for each in found.values()})
        return TemplateSpec(
            name=runtime,
            python_inside=str(python),
            python_outside=python,
            entry=_INSIDE,
            config={"runtime_path": runtime_path, "sdk": True, "fixed_port": False},
            environment=_template_environment("0"),
            ports=(RUNTIME_API_PORT,),
            datagram_ports=(XRAY_DAEMON_PORT,),
        )
    root = roots.machine_root(993, 990, "sbx_user1051")
    root.binds["/var/lang"] = Path(sys.base_prefix)
    for path in found.values():
        root.binds[f"/var/runtime/{path.name}"] = path
    root.directories += ["/var/task", "/opt"]
    # Whatever is installed beside this machine's interpreter is not the function's.
    library = f"lib/python{version}"
    hidden = [
        f"/var/lang/{library}/{name}"
        for name in ("site-packages", "dist-packages")
        if Path(sys.base_prefix, library, name).is_dir()
    ]
    return TemplateSpec(
        name=runtime,
        binds=root.binds,
        files=root.files,
        links=root.links,
        directories=root.directories,
        hidden=hidden,
        python_inside=f"/var/lang/bin/{python.name}",
        python_outside=python,
        entry=_INSIDE,
        config={"runtime_path": ["/var/runtime"], "sdk": True, "fixed_port": True},
        environment=_template_environment(f"{OWN_ADDRESS}:{RUNTIME_API_PORT}"),
        ports=(RUNTIME_API_PORT, endpoint_port),
        datagram_ports=(XRAY_DAEMON_PORT,),
    )


def _packages() -> dict[str, Path]:
    """The folder or file of each package of /var/runtime, as installed beside Pileus."""
    found: dict[str, Path] = {}
    for name in _PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            continue
        origin = Path(spec.origin)
        found[name] = origin.parent if spec.submodule_search_locations else origin
    return found


def _template_environment(runtime_api: str) -> dict[str, str]:
    return {
        "PATH": "/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin",
        "LD_LIBRARY_PATH": "/var/lang/lib:/lib64:/usr/lib64",
        "LANG": "en_US.UTF-8",
        "LC_CTYPE": "C.UTF-8",
        "TZ": ":UTC",
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_LAMBDA_RUNTIME_API": runtime_api,
    }


def environment_variables(runtime: str) -> dict[str, str]:
    """What Python functions find in their environment beyond what every function does."""
    version = version_of(runtime)
    if version is None:
        return {}
    return {"PYTHONPATH": "/var/runtime"} | ({"LC_CTYPE": "C.UTF-8"} if version >= (3, 12) else {})


def payload(spec: FunctionSpec, *, task_root: str, layer_roots: list[str]) -> dict[str, Any]:
    """What `enter` is told. The roots are paths as the function sees them."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    layers = [path for root in layer_roots for path in (f"{root}/python/lib/{version}/site-packages", f"{root}/python")]
    # Layers stand before the runtime's packages and once more at the end.
    return {"handler": spec.handler, "path": [[task_root, *layers], layers], "roots": [task_root, *layers]}
