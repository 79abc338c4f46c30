"""Pileus's own paths, beside AWS's: health for everybody, the rest for the machine's own user.

    GET  /_pileus/health          {"status", "version", "services": {name: "available"}}
    GET  /_localstack/health      the field's older form of the same
    GET  /_pileus/status          loops, store, environments: what `pileus status` shows
    GET  /_pileus/metrics         what services have counted, for Prometheus
    GET  /_pileus/traces          segments of traces: ?account=000000000000
    POST /_pileus/clock           {"advance_s": seconds}: on a node that runs on virtual time
    GET  /_pileus/<service>/...   a service's pages; its downloads, for whoever has a signed address

Code inside an execution environment reaches health only: it is a stranger.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qsl

import orjson

from pileus import __version__
from pileus.cloud.context import Cloud
from pileus.cloud.directory import Directory
from pileus.kernel.clock import VirtualClock
from pileus.wire.bodies import Receive, read_whole
from pileus.wire.message import HttpAnswer, HttpRequest

_BODY_BYTES_MAX = 64 * 1024

Status = Callable[[], Awaitable[dict[str, Any]]]


def is_internal(path: str) -> bool:
    return path.startswith(("/_pileus/", "/_localstack/"))


class Internal:
    def __init__(self, cloud: Cloud, services: Directory, status: Status) -> None:
        self._cloud = cloud
        self._services = services
        self._status = status

    async def answer(self, request: HttpRequest, receive: Receive, *, trusted: bool) -> HttpAnswer:
        """`trusted`: the request came from this machine, and not from inside an environment."""
        method, path = request.method, request.path
        if path == "/_pileus/health" and method in ("GET", "HEAD"):
            services = dict.fromkeys(self._services.names, "available")
            return _json(200, {"status": "ok", "version": __version__, "services": services})
        if path == "/_localstack/health" and method in ("GET", "HEAD"):
            return _json(200, {"services": dict.fromkeys(self._services.names, "available"), "version": __version__})
        service = await self._services.find(path.split("/")[2])
        for beginning, download in service.downloads.items() if service else ():
            if path.startswith(beginning) and method == "GET":
                content = await download(self._cloud, path, request.query)
                if content is None:
                    return _json(403, {"message": "The address has expired, or was never good."})
                return HttpAnswer(200, [("content-type", "application/octet-stream")], content)
        if not trusted:
            return _json(403, {"message": "Only from the machine that Pileus runs on."})
        if service is not None and path in service.pages and method == "GET":
            return _json(200, await service.pages[path](self._cloud, dict(parse_qsl(request.query))))
        if path == "/_pileus/status" and method == "GET":
            return _json(200, await self._status())
        if path == "/_pileus/metrics" and method == "GET":
            from pileus.wire import prometheus

            page = prometheus.exposition(self._cloud.metrics.shown())
            return HttpAnswer(200, [("content-type", prometheus.CONTENT_TYPE)], page)
        if path == "/_pileus/traces" and method == "GET":
            account = dict(parse_qsl(request.query)).get("account", "")
            return _json(200, {"segments": self._cloud.traces.shown(account)})
        if path == "/_pileus/clock" and method == "POST":
            return await self._advance(await read_whole(receive, request.headers, _BODY_BYTES_MAX))
        return _json(404, {"message": f"There is no {method} {path}."})

    async def _advance(self, body: bytes) -> HttpAnswer:
        if not isinstance(self._cloud.clock, VirtualClock):
            return _json(409, {"message": "This node runs on the system's time; start it with --clock virtual."})
        try:
            request = orjson.loads(body)
            seconds = float(request["advance_s"])
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            return _json(400, {"message": 'Expected {"advance_s": seconds}.'})
        if not 0 <= seconds <= 100 * 366 * 86400:
            return _json(400, {"message": "advance_s must lie between 0 and 100 years."})
        # What falls due is everybody's, also that of services nobody has called yet.
        await self._services.find_all()
        await self._cloud.clock.advance(seconds)
        return _json(200, {"time": self._cloud.clock.time()})


def _json(status: int, content: Any) -> HttpAnswer:
    return HttpAnswer(status, [("content-type", "application/json")], orjson.dumps(content))
