"""Which backend this machine gets: the strongest that works, or the one that was named."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Literal

from pileus.sandbox import internet as _internet
from pileus.sandbox import slirp
from pileus.sandbox.contract import Backend, Probe, SandboxError
from pileus.sandbox.namespaces import Namespaces
from pileus.sandbox.process import Processes

_KINDS: Mapping[str, type[Backend]] = {"namespaces": Namespaces, "process": Processes}


async def choose(wanted: Literal["auto", "namespaces", "process"] = "auto", *, internet: bool = False) -> Backend:
    """A backend that works here. Raises `SandboxError` with the reasons where none does."""
    reasons = []
    for name, kind in _KINDS.items():
        if wanted not in ("auto", name):
            continue
        # Processes have the machine's own network, and so the internet, in any case.
        backend: Backend = Namespaces(internet=internet) if kind is Namespaces else kind()
        probe = await backend.probe()
        if probe.works:
            return backend
        reasons.append(f"{name}: {probe.reason}")
        await backend.close()
    raise SandboxError("; ".join(reasons) or f"there is no sandbox backend {wanted}")


def no_internet() -> str:
    """Empty where sandboxes can have a way out on this machine; else why not."""
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return _internet.check() if is_root else slirp.check()


async def probe_all() -> list[Probe]:
    """Every backend, probed: for `pileus doctor`."""
    found = []
    for kind in _KINDS.values():
        backend = kind()
        found.append(await backend.probe())
        await backend.close()
    return found
