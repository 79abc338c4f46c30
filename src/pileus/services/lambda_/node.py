"""What Lambda keeps in a node's memory, made at its start: `cloud.part(Node)`."""

from __future__ import annotations

from dataclasses import dataclass

from pileus.cloud.context import Cloud
from pileus.services.lambda_.codestore import CodeStore
from pileus.services.lambda_.concurrency import Concurrency
from pileus.services.lambda_.execution import Pool
from pileus.services.lambda_.logwriter import LogWriter
from pileus.services.lambda_.metrics import FunctionMetrics
from pileus.services.lambda_.resolver import Resolver
from pileus.services.lambda_.usage import UsageMeter


@dataclass(eq=False, kw_only=True)
class Node:
    code: CodeStore
    logs: LogWriter
    metrics: FunctionMetrics
    usage: UsageMeter
    concurrency: Concurrency
    pool: Pool
    resolver: Resolver
    # Signs the locations from which packages are fetched.
    secret: bytes


def node(cloud: Cloud) -> Node:
    return cloud.part(Node)
