"""From the name in an invocation to what runs: functions as they are deployed now, kept in memory.

An entry lives for a second (other nodes change functions, too) and is dropped at once when this node changes it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from pileus.cloud.context import Cloud
from pileus.kernel.clock import SystemClock
from pileus.kernel.principal import Principal
from pileus.services.lambda_ import concurrency, configurations, errors, hot_reload, provisioned, roles, runtimes
from pileus.services.lambda_.codestore import CodeStore
from pileus.services.lambda_.execution import FunctionSpec, Pool, RoleCredentials
from pileus.services.lambda_.logwriter import LogWriter
from pileus.services.lambda_.lookup import find_alias, find_version, get_function, get_qualified
from pileus.services.lambda_.names import LATEST, Target, is_version
from pileus.services.lambda_.records import Version
from pileus.store.contract import Reader

ENTRY_AGE_MAX_S = 1.0
_SYSTEM = SystemClock()
# Behind the version whose provisioned environments are meant.
_PROVISIONED = "+provisioned"


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a name stands for now."""

    at: Target
    # Of the first of them.
    role: str
    # Versions and the share of invocations each gets; one of 1.0 but for aliases with weights.
    specs: tuple[tuple[FunctionSpec, float], ...]
    reserved: int | None
    # The limit of all functions of the account that have no reservation, together.
    unreserved_max: int
    # By version: the same with an environment that is provisioned, where the version has any.
    provisioned: Mapping[str, FunctionSpec]
    # Of the reservation, what is not provisioned.
    reserved_left: int | None
    # Whether a recursive loop through it is stopped.
    stops_loops: bool
    expires: float

    def choose(self, draw: Callable[[float, float], float]) -> FunctionSpec:
        if len(self.specs) == 1:
            return self.specs[0][0]
        left = draw(0.0, 1.0)
        for spec, share in self.specs:
            left -= share
            if left < 0:
                return spec
        return self.specs[0][0]


class _Stored(NamedTuple):
    """What the store says of a name."""

    versions: list[tuple[Version, float]]
    reserved: int | None
    provisioned: int
    provisioned_versions: dict[str, int]
    unreserved_max: int
    stops_loops: bool


class Resolver:
    """The node's memory of what is deployed."""

    def __init__(
        self,
        cloud: Cloud,
        *,
        code: CodeStore,
        logs: LogWriter,
        pool: Pool,
        wake: Callable[[Target], Awaitable[None]],
    ) -> None:
        """`wake`: called for a version that is inactive and has been invoked."""
        self._cloud = cloud
        self._wake = wake
        self._code = code
        self._logs = logs
        self._pool = pool
        self._entries: dict[Target, Resolved] = {}
        # What environments may be running: by function and version, its fingerprint.
        self._running: dict[tuple[Target, str], str] = {}
        self._retiring: set[asyncio.Task[None]] = set()

    async def resolve(self, at: Target) -> Resolved:
        """Raises where it is not there, or not ready yet."""
        entry = self._entries.get(at)
        if entry is not None and entry.expires > self._cloud.clock.monotonic():
            return entry
        entry = await self._load(at)
        self._entries[at] = entry
        return entry

    def forget(self, at: Target) -> None:
        """The function has changed: look again before the next invocation."""
        for known in [known for known in self._entries if known[:3] == at[:3]]:
            del self._entries[known]

    def retire(self, at: Target, version: str | None = None) -> None:
        """The function, or that version of it, is gone: so go its environments."""
        self.forget(at)
        function = at._replace(qualifier="")
        for key in [
            key for key in self._running if key[0] == function and version in (None, key[1].removesuffix(_PROVISIONED))
        ]:
            self._retire(self._running.pop(key))

    async def close(self) -> None:
        for task in self._retiring:
            task.cancel()

    def _retire(self, fingerprint: str) -> None:
        task = asyncio.get_running_loop().create_task(self._pool.retire(fingerprint))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def _load(self, at: Target) -> Resolved:
        async def read(tx: Reader) -> _Stored:
            reserved = await concurrency.reservations(tx, at.account, at.region)
            ahead = await provisioned.by_function(tx, at.account, at.region)
            taken = sum(reserved.values()) + sum(n for name, n in ahead.items() if name not in reserved)
            return _Stored(
                versions=await _weighted(tx, at),
                reserved=reserved.get(at.name),
                provisioned=ahead.get(at.name, 0),
                provisioned_versions=await provisioned.by_version(tx, at) if at.name in ahead else {},
                unreserved_max=max(0, concurrency.ACCOUNT_MAX - taken),
                stops_loops=(await get_function(tx, at)).recursive_loop != "Allow",
            )

        stored = await self._cloud.store.read(read)
        specs: list[tuple[FunctionSpec, float]] = []
        ready: dict[str, FunctionSpec] = {}
        for version, share in stored.versions:
            if version.state != "Active" and version.serving is None:
                if version.state == "Inactive":
                    await self._wake(at._replace(qualifier=version.version))
                if version.state == "Inactive" or version.reason_code == "Restoring":
                    raise errors.snapshot_not_ready()
                raise errors.in_state(version.state)
            spec = await self.spec(at, version)
            specs.append((spec, share))
            if stored.provisioned_versions.get(version.version):
                ready[version.version] = self._provisioned(at, spec)
        first = stored.versions[0][0]
        hot = any((version.serving or version.configuration).hot_reload for version, _share in stored.versions)
        return Resolved(
            at=at,
            role=(first.serving or first.configuration).role,
            specs=tuple(specs),
            reserved=stored.reserved,
            unreserved_max=stored.unreserved_max,
            provisioned=ready,
            reserved_left=None if stored.reserved is None else max(0, stored.reserved - stored.provisioned),
            stops_loops=stored.stops_loops,
            # What was saved meanwhile is seen by the next invocation.
            expires=self._cloud.clock.monotonic() + (0.0 if hot else ENTRY_AGE_MAX_S),
        )

    def _provisioned(self, at: Target, spec: FunctionSpec) -> FunctionSpec:
        """The same for environments that are provisioned, which never run what comes to the others."""
        fingerprint = f"{spec.fingerprint}-provisioned"
        self._goes_by(at._replace(qualifier=""), f"{spec.version}{_PROVISIONED}", fingerprint)
        return replace(spec, fingerprint=fingerprint, initialization_type="provisioned-concurrency")

    def _goes_by(self, function: Target, version: str, fingerprint: str) -> None:
        """From now on the version runs under this fingerprint: what was before it is retired."""
        former = self._running.get((function, version))
        if former != fingerprint:
            self._running[function, version] = fingerprint
            if former is not None:
                self._retire(former)

    async def spec(self, at: Target, version: Version) -> FunctionSpec:
        """What runs a version, whatever state it is in. Raises where it cannot be run."""
        function = at._replace(qualifier="")
        config = version.serving or version.configuration
        if (reason := await self._pool.supports(config.runtime)) is not None:
            raise errors.runtime_not_here(config.runtime, reason)
        folder, saved = None, ""
        if config.hot_reload:
            folder = hot_reload.check(config.hot_reload, self._cloud.settings.hot_reload)
            saved = await asyncio.to_thread(hot_reload.stamp, folder)
        session = await roles.session(self._cloud, function, config.role)
        # Described otherwise, a function still runs the same.
        plain = configurations.replaced(config, description="")
        snapshotted = configurations.is_snapshotted(version)
        # What is restored from a snapshot asks for its credentials.
        key = "" if snapshotted else session.access_key_id
        fingerprint = configurations.digest(plain, at.arn, version.version, key, saved)
        self._logs.writes_as(function, config.role, config.log_group)
        self._goes_by(function, version.version, fingerprint)
        return FunctionSpec(
            fingerprint=fingerprint,
            arn=at.arn,
            name=at.name,
            version=version.version,
            account=at.account,
            region=at.region,
            runtime=config.runtime,
            runtime_version_arn=runtimes.version_arn(config.runtime, at.region),
            handler=config.handler,
            architecture="arm64" if config.architecture == "arm64" else "x86_64",
            memory_mb=config.memory_mb,
            timeout_s=float(config.timeout_s),
            tmp_mb=config.tmp_mb,
            environment=config.environment or {},
            code_dir=folder or await self._code.ensure(config.code_sha256),
            layer_dirs=[await self._code.ensure(layer.code_sha256) for layer in config.layers],
            log_group=config.log_group,
            log_format="JSON" if config.log_format == "JSON" else "Text",
            application_log_level=config.application_log_level,
            system_log_level=config.system_log_level,
            tracing="Active" if config.tracing == "Active" else "PassThrough",
            credentials=self._credentials(function, config.role),
            initialization_type="snap-start" if snapshotted else "on-demand",
        )

    async def caller(self, resolved: Resolved) -> Principal:
        """The function's role, for what Lambda does in its name."""
        return (await roles.session(self._cloud, resolved.at, resolved.role)).principal

    def _credentials(self, function: Target, role: str) -> Callable[[], Awaitable[RoleCredentials]]:
        async def credentials() -> RoleCredentials:
            session = await roles.session(self._cloud, function, role)
            # Functions live in real time, whatever time it is in the cloud.
            expires = session.expires - self._cloud.clock.time() + _SYSTEM.time()
            return RoleCredentials(session.access_key_id, session.secret_access_key, session.session_token, expires)

        return credentials


async def _weighted(tx: Reader, at: Target) -> list[tuple[Version, float]]:
    """The versions behind a name, each with its share."""
    main = await get_qualified(tx, at, missing=at.qualified_arn)
    if not at.qualifier or at.qualifier == LATEST or is_version(at.qualifier):
        return [(main, 1.0)]
    alias = await find_alias(tx, at, at.qualifier)
    weights = alias.weights if alias is not None else {}
    out = [(main, 1.0 - sum(weights.values()))]
    for number, share in weights.items():
        version = await find_version(tx, at, number)
        if version is not None:
            out.append((version, share))
    return out
