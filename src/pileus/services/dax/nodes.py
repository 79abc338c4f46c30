"""This node's clusters: each has a port, where its clients come in, and its caches."""

from __future__ import annotations

import asyncio
import errno
import logging
from dataclasses import dataclass

from pileus.cloud.context import Cloud
from pileus.kernel.sockets import listen
from pileus.services.dax import certificates, errors, keys
from pileus.services.dax.names import NameLists
from pileus.services.dax.proxy import Proxy
from pileus.services.dax.records import ITEM_TTL, QUERY_TTL, Cluster, ParameterGroup, decode, encode
from pileus.services.dax.session import Session
from pileus.store.contract import Reader, Transaction

log = logging.getLogger("pileus.dax")

Place = tuple[str, str, str]

PORT_FIRST = 8111
TLS_PORT_FIRST = 9111
_PORTS = 500
_CHUNK = 256
DEFAULT_GROUP = "default.dax1.0"


@dataclass(eq=False)
class Open:
    proxy: Proxy
    server: asyncio.Server
    sessions: set[Session]


def place_of(cluster: Cluster) -> Place:
    return cluster.account, cluster.region, cluster.name


async def find_group(tx: Reader, account: str, region: str, name: str) -> ParameterGroup | None:
    if name == DEFAULT_GROUP:
        return ParameterGroup(name=name, description="Default parameter group for dax1.0")
    content = await tx.get(keys.parameter_group(account, region, name))
    return None if content is None else decode(ParameterGroup, content)


class Nodes:
    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._open: dict[Place, Open] = {}
        self._names: dict[tuple[str, str], NameLists] = {}

    def proxy(self, place: Place) -> Proxy | None:
        found = self._open.get(place)
        return None if found is None else found.proxy

    async def open(self, cluster: Cluster, group: ParameterGroup) -> Open:
        """Listen for the cluster's clients; its port becomes the one that was free. Raises `AWSError`."""
        proxy = Proxy(self._cloud, cluster, item_ttl_s=group.ttl_s(ITEM_TTL), query_ttl_s=group.ttl_s(QUERY_TTL))
        names = self._names.setdefault(
            (cluster.account, cluster.region), NameLists(self._cloud, cluster.account, cluster.region)
        )
        sessions: set[Session] = set()
        secured = certificates.context(await certificates.load(self._cloud)) if cluster.tls else None
        first = [cluster.port] if cluster.port else []
        lowest = TLS_PORT_FIRST if cluster.tls else PORT_FIRST
        for port in (*first, *range(lowest, lowest + _PORTS)):
            try:
                sock = listen(self._cloud.settings.host, port)
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                continue
            server = await asyncio.get_running_loop().create_server(
                lambda: Session(self._cloud, proxy, names, sessions), sock=sock, ssl=secured
            )
            cluster.port = port
            return Open(proxy, server, sessions)
        raise errors.no_port()

    def serve(self, opened: Open) -> None:
        self._open[place_of(opened.proxy.cluster)] = opened

    def close(self, opened: Open) -> None:
        opened.server.close()
        for session in list(opened.sessions):
            session.close()

    def forget(self, place: Place) -> None:
        opened = self._open.pop(place, None)
        if opened is not None:
            self.close(opened)

    def changed(self, cluster: Cluster, group: ParameterGroup) -> None:
        """The cluster's record or its parameters are others now."""
        proxy = self.proxy(place_of(cluster))
        if proxy is not None:
            proxy.cluster = cluster
            proxy.item_ttl_s, proxy.query_ttl_s = group.ttl_s(ITEM_TTL), group.ttl_s(QUERY_TTL)

    async def start(self) -> None:
        """Listen for all clusters there are."""
        start, end = keys.all_serving()

        async def load(tx: Reader) -> list[tuple[Cluster, ParameterGroup]]:
            found = []
            at = start
            while rows := await tx.scan(at, end, limit=_CHUNK):
                for key, _ in rows:
                    content = await tx.get(keys.cluster(*keys.served(key)))
                    if content is not None:
                        cluster = decode(Cluster, content)
                        group = await find_group(tx, cluster.account, cluster.region, cluster.parameter_group)
                        found.append((cluster, group or ParameterGroup(name=cluster.parameter_group)))
                at = rows[-1][0] + b"\0"
            return found

        for cluster, group in await self._cloud.store.read(load):
            port = cluster.port
            self.serve(await self.open(cluster, group))
            if cluster.port != port:
                log.warning("%s: port %d is taken; it is reached at port %d now", cluster.arn, port, cluster.port)
                await self._keep(cluster)

    async def _keep(self, cluster: Cluster) -> None:
        async def write(tx: Transaction) -> None:
            tx.put(keys.cluster(*place_of(cluster)), encode(cluster))

        await self._cloud.store.write(write)

    def stop(self) -> None:
        for place in list(self._open):
            self.forget(place)
