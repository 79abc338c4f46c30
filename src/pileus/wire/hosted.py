"""Requests to host names that a service serves itself: see `pileus.cloud.hosted`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import orjson

from pileus.access.authenticate import Keyring, authenticate
from pileus.cloud.context import Cloud, HttpInfo
from pileus.cloud.hosted import Handler, HostedRequest
from pileus.kernel.errors import AWSError
from pileus.kernel.principal import Principal
from pileus.store.contract import StoreUnavailable
from pileus.wire.bodies import Receive, read_whole
from pileus.wire.cohort import Cohort
from pileus.wire.gate import Gate
from pileus.wire.message import HttpAnswer, HttpRequest
from pileus.wire.route import HostedName

log = logging.getLogger("pileus.calls")


class _Access:
    """See `cloud.hosted.HostedAccess`."""

    def __init__(
        self,
        cloud: Cloud,
        cohort: Cohort,
        keyring: Keyring,
        request: HttpRequest,
        receive: Receive,
        region: str,
        http: HttpInfo,
    ) -> None:
        self._cloud = cloud
        self._cohort = cohort
        self._keyring = keyring
        self._request = request
        self._receive = receive
        self._region = region
        self._http = http
        self._gate = Gate(cloud, keyring)

    async def body(self, limit: int) -> bytes:
        return await read_whole(self._receive, self._request.headers, limit)

    async def caller(self, service: str, body: bytes) -> Principal:
        request = self._request
        who = await authenticate(
            method=request.method,
            path=request.path,
            query=request.query,
            headers=request.headers,
            body=body,
            family="rest-json",
            keyring=self._keyring,
            now=self._cloud.clock.time(),
            client_now=self._cloud.clock.client_time(),
            services=(service,),
            here=self._region,
        )
        await self._cohort
        return who.principal

    async def allow(
        self,
        principal: Principal,
        action: str,
        resource: str,
        *,
        conditions: Mapping[str, str | list[str]],
        policy: dict[str, Any] | None,
    ) -> None:
        http = self._http
        await self._gate.allow(
            principal,
            action,
            resource,
            region=self._region,
            source_ip=http.source_ip,
            user_agent=http.user_agent,
            secure=http.secure,
            conditions=conditions,
            policy=policy,
        )


async def serve(
    cloud: Cloud,
    handler: Handler,
    named: HostedName,
    request: HttpRequest,
    receive: Receive,
    *,
    http: HttpInfo,
    cohort: Cohort,
    keyring: Keyring,
    trusted: bool,
) -> HttpAnswer:
    """The handler's answer to a request for `named`. Never raises."""
    hosted = HostedRequest(
        name=named.name,
        region=named.region,
        domain=named.domain,
        path=named.path,
        query=request.query,
        request_id=cloud.ids.uuid(),
        now=cloud.clock.time(),
        http=http,
        access=_Access(cloud, cohort, keyring, request, receive, named.region, http),
        trusted=trusted,
    )
    try:
        answer = await handler(cloud, hosted)
    except AWSError as error:
        status = error.status or 400
        log.info("%s %s answered %d %s: %s", named.domain, hosted.request_id, status, error.code, error.message)
        return _error(status, error.code, error.message, hosted.request_id)
    except StoreUnavailable as error:
        log.error("%s %s: %s", named.domain, hosted.request_id, error)
        return _error(503, "ServiceUnavailable", "The store is not available.", hosted.request_id)
    except Exception:  # a fault of ours must not take the connection down, nor show its insides
        log.exception("%s %s failed", named.domain, hosted.request_id)
        return _error(500, "InternalFailure", "Internal Server Error", hosted.request_id)
    headers = [*answer.headers, ("x-amzn-requestid", hosted.request_id)]
    return HttpAnswer(answer.status, headers, answer.body, answer.when_sent)


def _error(status: int, code: str, message: str, request_id: str) -> HttpAnswer:
    headers = [
        ("content-type", "application/json"),
        ("x-amzn-errortype", code),
        ("x-amzn-requestid", request_id),
    ]
    return HttpAnswer(status, headers, orjson.dumps({"Message": message or None}))
