"""What a node is told when it starts; every setting is documented in README.md."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Durability = Literal["full", "relaxed", "memory"]
IamMode = Literal["enforce", "audit", "off"]

DEFAULT_ACCOUNT = "000000000000"
DEFAULT_REGION = "us-east-1"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One node's configuration."""

    data_dir: Path
    # What can be made anew is kept here and shared by all nodes of this user (parsed service models); None: nowhere.
    cache_dir: Path | None = None
    host: str = "127.0.0.1"
    # 0 takes a free port.
    port: int = 4566
    store: str = "sqlite"
    durability: Durability = "full"
    iam: IamMode = "enforce"
    account: str = DEFAULT_ACCOUNT
    region: str = DEFAULT_REGION
    # Host names under which service host prefixes count, beside localhost, localhost.localstack.cloud, amazonaws.com.
    domains: tuple[str, ...] = ()
    # Which sandbox backend to use: the strongest that works, unless one is named.
    sandbox: Literal["auto", "namespaces", "process"] = "auto"
    # Folders of this machine from which functions may run their code as it is saved.
    hot_reload: tuple[Path, ...] = ()
    # Refuse functions whose runtime's very version is not installed, in place of running them on the nearest.
    strict_runtimes: bool = False
    # Whether functions may reach the internet.
    internet: bool = False
    # The machine's memory that idle and busy environments together may take, MiB; 0: 80 % of what there is.
    memory_budget_mb: int = 0
    # Idle environments are reaped after this long, seconds.
    idle_timeout_s: float = 600.0
    # How long a change of a DynamoDB global table takes at least to its other replicas, seconds.
    replication_lag_s: float = 0.1
    # Whether single partition keys of DynamoDB tables, and the growth of tables on demand, have their limits.
    partition_limits: bool = False
    log_format: Literal["text", "json"] = "text"
    # virtual: time moves only when it is told to (tests, rehearsals).
    clock: Literal["system", "virtual"] = "system"
    # Access key id -> secret of keys that act as an account's root, given at start.
    root_keys: dict[str, str] = field(default_factory=dict)
