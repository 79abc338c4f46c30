"""The way of one call, in order; nothing else knows the whole of it.

    bytes -> http -> route -> authenticate -> decode -> authorize -> operation -> encode -> bytes

A call from inside (`call`) enters after decode, as a principal, and is authorized like any other.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from hashlib import sha256
from time import monotonic
from typing import Any

import msgspec

from pileus.access.authenticate import Authenticated, Keyring, authenticate, find_credential
from pileus.access.authorize import ResourcePolicies, authorize, is_own_root
from pileus.access.contract import Guard, Identities
from pileus.access.errors import Family, family_of, missing_token
from pileus.access.request import Circumstances
from pileus.access.sessions import Sessions
from pileus.cloud.context import Cloud, Context, HttpInfo, Sent
from pileus.cloud.directory import Directory
from pileus.cloud.forms import Form, FormReader, Posted
from pileus.cloud.manifest import Kind, Operation, Permission, Request, Service
from pileus.kernel.errors import AWSError, NotBuilt
from pileus.kernel.principal import Principal
from pileus.kernel.streams import BytesStream
from pileus.model import ModelNotFound, ServiceModel, load
from pileus.model import Operation as OperationModel
from pileus.store.contract import Reader, StoreUnavailable, Transaction
from pileus.wire import clean, constraints, hosted
from pileus.wire.bodies import PayloadStream, Receive, read_whole
from pileus.wire.cohort import Cohort
from pileus.wire.compression import gunzip
from pileus.wire.connection import Incoming
from pileus.wire.integrity import check_body
from pileus.wire.internal import Internal, is_internal
from pileus.wire.message import HttpAnswer, HttpRequest, s3_headers
from pileus.wire.presigned import with_query_headers
from pileus.wire.protocols import Codec, codec_for
from pileus.wire.route import EXPRESS_OPERATIONS, HostedName, Hosts, Route, names_service, route

log = logging.getLogger("pileus.calls")

# Services that answer callers without a signature where a policy allows it.
_ANONYMOUS_SERVICES = frozenset({"s3", "sqs"})
# What links in messages ask for: the token in them is what counts.
_ANONYMOUS_OPERATIONS = frozenset({("sns", "ConfirmSubscription"), ("sns", "Unsubscribe")})
# Services whose clients sign for other names, too: S3's for directory buckets and Object Lambda.
_SIGNED_AS = {"s3": ("s3", "s3express", "s3-object-lambda")}
# Larger bodies are hashed off the event loop.
_HASH_INLINE_BYTES = 256 * 1024
# Of requests whose service is not known yet, or sets nothing else.
_BODY_BYTES_MAX = 16 * 1024 * 1024
# Whose errors a request for no known service is answered with.
_FALLBACK_SERVICE = "s3"
_FORM = "application/x-www-form-urlencoded"
_AMZ_JSON = "application/x-amz-json-"


class Pipeline:
    """Takes HTTP requests, and calls from inside, to the operations of the services."""

    def __init__(
        self,
        cloud: Cloud,
        services: Directory,
        *,
        identities: Identities,
        sessions: Sessions,
        internal: Internal,
    ) -> None:
        self.cloud = cloud
        self.services = services
        # Of the requests from outside, which it takes through its stages.
        self.cohort = Cohort()
        self.hosts = Hosts(cloud.settings.domains)
        self.keyring = Keyring(identities, sessions, cloud.settings)
        # For code inside an environment, and for web pages of other sites in a browser of this machine, the loopback's
        # well-known keys do not count: as if on an address of the world.
        self.strangers_keyring = Keyring(identities, sessions, replace(cloud.settings, host="::"))
        self._internal = internal
        # What is asked for by an X-Amz-Target in JSON, once it was asked for.
        self.targets: dict[str, _Asked] = {}
        cache_dir = cloud.settings.cache_dir
        self._models_dir = None if cache_dir is None else cache_dir / "models"

    def model(self, service: str) -> ServiceModel:
        """Raises `ModelNotFound` where AWS has no such service."""
        return load(service, self._models_dir)

    # ------------------------------------------------------------------------------------------------ from outside

    async def handle(self, incoming: Incoming, receive: Receive) -> HttpAnswer:
        """Answer one HTTP request. Never raises."""
        request = HttpRequest(incoming.method, incoming.path, incoming.query, incoming.headers)
        call = _HttpCall(self, incoming, receive, request)
        try:
            if is_internal(request.path):
                return await self._internal.answer(request, receive, trusted=_is_trusted(incoming))
            named = self.hosts.hosted(request.headers.get("host", ""), request.path)
            if named is not None:
                return await call.answer_hosted(named)
            return call.told(await call.answer(), "")
        except AWSError as error:
            return call.refuse(error)
        except StoreUnavailable as error:
            log.error("%s: %s", call, error)
            return call.refuse(
                AWSError("ServiceUnavailable", "The store is not available.", status=503, fault="server")
            )
        except Exception:  # a fault of ours must not take the connection down, nor show its insides
            log.exception("%s failed", call)
            return call.refuse(
                AWSError("InternalFailure", "The request processing has failed.", status=500, fault="server")
            )

    # ------------------------------------------------------------------------------------------------- from inside

    async def call(
        self,
        principal: Principal,
        service: str,
        operation: str,
        request: Mapping[str, Any],
        *,
        region: str,
        account: str | None = None,
        trace: str = "",
        source: HttpInfo | None = None,
    ) -> dict[str, Any]:
        """See `pileus.cloud.context.Caller`."""
        http = HttpInfo(headers={"x-amzn-trace-id": trace}) if trace else HttpInfo()
        if source is not None:
            http.source_ip, http.user_agent, http.secure = source.source_ip, source.user_agent, source.secure
        known = await self.services.find(service)
        built = _built(known, service, operation)
        ctx = Context(
            cloud=self.cloud,
            request_id=self.cloud.ids.uuid(),
            service=service,
            operation=operation,
            account=account or principal.account,
            region=region,
            principal=principal,
            now=self.cloud.clock.time(),
            http=http,
        )
        model = self.model(service)
        members = dict(request)
        if known is not None and known.resolve is not None:
            instead = await known.resolve(ctx, members)
            built = built if instead is None else known.alternatives[instead]
        return await self.run(ctx, built, members, family_of(model.name, model.protocols[0]))

    # --------------------------------------------------------------------------------------- authorize and operate

    async def run(self, ctx: Context, operation: Operation, request: Request, family: Family) -> dict[str, Any]:
        """Authorize and run; the answer's members. Raises `AWSError`."""
        store = self.cloud.store
        function = operation.function
        needed, allowed = self._needed(ctx, operation, request)
        ctx.permit = partial(self._permit, operation, request, family)
        if operation.kind is Kind.READING:

            async def read(tx: Reader) -> dict[str, Any] | None:
                if not allowed:
                    await self._authorize(ctx, operation, request, needed, family, tx)
                return await function(ctx, tx, request)

            return await store.read(read) or {}
        if operation.kind is Kind.WRITING:

            async def write(tx: Transaction) -> dict[str, Any] | None:
                # In the same transaction: what allows the call is what is there when it is done.
                if not allowed:
                    await self._authorize(ctx, operation, request, needed, family, tx)
                return await function(ctx, tx, request)

            return await store.write(write) or {}
        if needed and not allowed:
            await store.read(partial(self._authorize, ctx, operation, request, needed, family))
        return await function(ctx, request) or {}

    def _needed(self, ctx: Context, operation: Operation, request: Request) -> tuple[Sequence[Permission], bool]:
        """The permissions that a call needs, and whether it has them for certain."""
        if operation.permissions is not None:
            needed = operation.permissions(ctx, request)
        else:
            needed = (Permission(f"{self.model(ctx.service).signing_name}:{ctx.operation}"),)
        allowed = self.cloud.settings.iam == "off" or (
            not _is_guarded(ctx, operation) and is_own_root(ctx.principal, ctx.account, needed)
        )
        return needed, allowed

    async def admit(self, ctx: Context, service: Service, request: Request, family: Family) -> None:
        """Authorize a call that cannot be made, and have the service look for what it is about."""
        operation = _built(service, ctx.service, ctx.operation)
        needed, allowed = self._needed(ctx, operation, request)
        look = service.admit
        assert look is not None

        async def check(tx: Reader) -> None:
            if not allowed:
                await self._authorize(ctx, operation, request, needed, family, tx)
            await look(ctx, tx, request)

        await self.cloud.store.read(check)

    async def _permit(
        self,
        operation: Operation,
        request: Request,
        family: Family,
        ctx: Context,
        reader: Reader,
        needed: Sequence[Permission],
    ) -> None:
        """See `pileus.cloud.context.Permit`."""
        if self.cloud.settings.iam != "off":
            asked = operation if operation.refine is None else replace(operation, refine=None)
            await self._authorize(ctx, asked, request, needed, family, reader)

    async def _authorize(
        self,
        ctx: Context,
        operation: Operation,
        request: Request,
        needed: Sequence[Permission],
        family: Family,
        reader: Reader,
    ) -> None:
        if operation.refine is not None:
            needed = await operation.refine(ctx, reader, request, needed)
        policies: ResourcePolicies | None = None
        if operation.resource_policy is not None and _is_guarded(ctx, operation):
            policies = partial(operation.resource_policy, ctx, reader, request)
            if is_own_root(ctx.principal, ctx.account, needed):
                # An account's root only the resource's own policy can refuse, and mostly there is none.
                found = await operation.resource_policy(ctx, reader, request)
                if found is None or _leaves_all_to(ctx.principal.account, found):
                    return
                policies = partial(_at_once, found)
        await authorize(
            ctx.principal,
            needed,
            account=ctx.account,
            circumstances=Circumstances(ctx.region, ctx.now, ctx.http.source_ip, ctx.http.user_agent, ctx.http.secure),
            reader=reader,
            identities=self.keyring.identities,
            resource_policies=policies,
            family=family,
            mode=self.cloud.settings.iam,
        )


def _leaves_all_to(account: str, found: Guard | dict[str, Any]) -> bool:
    """Whether all of it is the account's, and no policy guards it."""
    return isinstance(found, Guard) and not found.documents and all(owner == account for owner in found.owners.values())


async def _at_once(found: Guard | dict[str, Any]) -> Guard | dict[str, Any]:
    return found


def _is_guarded(ctx: Context, operation: Operation) -> bool:
    """Whether a policy of the resource may have a say."""
    if operation.resource_policy is None:
        return False
    return operation.guarded is None or operation.guarded(ctx)


def _built(service: Service | None, name: str, operation: str) -> Operation:
    built = service.operations.get(operation) if service is not None else None
    if built is None:
        raise NotBuilt(f"{name}:{operation}")
    return built


class _Asked(msgspec.Struct, frozen=True, eq=False):
    """What a request asks for, as far as its head and its address tell."""

    # Of the service, as the directory has it.
    name: str
    region: str
    multi_region: bool
    model: ServiceModel
    # None where it is not built.
    service: Service | None
    codec: Codec
    family: Family
    operation: OperationModel
    labels: Mapping[str, str]
    # For which names requests may be signed.
    signed_as: tuple[str, ...]
    # Whether a payload may stream in.
    streams: bool


class _HttpCall:
    """One HTTP request on its way; what is known of it so far decides how an error is told."""

    def __init__(self, pipeline: Pipeline, incoming: Incoming, receive: Receive, request: HttpRequest) -> None:
        self._pipeline = pipeline
        self._incoming = incoming
        self._receive = receive
        self._request = request
        # Made when it is known whose form it has to have.
        self._request_id = ""
        self._arrived = pipeline.cloud.clock.monotonic()
        self._ctx: Context | None = None
        self._service = ""
        self._codec: Codec | None = None
        self._operation: OperationModel | None = None

    def __str__(self) -> str:
        return f"{self._service or '?'}.{self._operation.name if self._operation else '?'} {self._request_id}"

    async def answer(self) -> HttpAnswer:
        request = self._request
        cloud = self._pipeline.cloud
        headers = request.headers
        signed_path = request.path
        form = False
        asked = self._pipeline.targets.get(headers.get("x-amz-target", ""))
        if asked is not None and headers.get("content-type", "").startswith(_AMZ_JSON):
            self._request_id = cloud.ids.uuid()
        else:
            form = request.method == "POST" and headers.get("content-type", "").startswith(_FORM)
            found = await self._find(form=form)
            if isinstance(found, HttpAnswer):
                return found
            asked = found
        name, service, operation, family = asked.name, asked.service, asked.operation, asked.family
        self._service = name
        self._codec, self._operation = asked.codec, operation
        limit = service.body_bytes_max if service is not None else _BODY_BYTES_MAX

        # S3's clients say in a header what a payload that streams hashes to; elsewhere the signature needs all of it.
        # A form has been read already: tools send it as the type of whatever they are given (`curl --data-binary`).
        streaming = asked.streams and not form and (name == "s3" or "x-amz-content-sha256" in headers)
        body_sha256 = ""
        if not streaming and not form:
            request.body = await read_whole(self._receive, headers, limit, operation.name)
        if len(request.body) > _HASH_INLINE_BYTES:
            body_sha256 = await asyncio.to_thread(lambda: sha256(request.body).hexdigest())

        now = cloud.clock.time()
        who = await authenticate(
            method=request.method,
            path=signed_path,
            query=request.query,
            headers=headers,
            body=None if streaming else request.body,
            body_sha256=body_sha256,
            family=family,
            keyring=await self._keyring(service),
            now=now,
            client_now=cloud.clock.client_time(),
            services=asked.signed_as,
            resource=request.path,
            here=asked.region or cloud.settings.region,
            asymmetric=True if asked.multi_region else None,
        )
        if who.principal.kind == "anonymous" and not (
            name in _ANONYMOUS_SERVICES or operation.unauthenticated or (name, operation.name) in _ANONYMOUS_OPERATIONS
        ):
            raise missing_token(family)

        if who.principal.bucket_session is not None and name != "s3":
            raise AWSError("AccessDenied", "Access Denied", status=403)
        ctx = self._ctx = Context(
            cloud=cloud,
            request_id=self._request_id,
            service=name,
            operation=operation.name,
            account=who.principal.account or cloud.settings.account,
            region=who.region or asked.region or cloud.settings.region,
            principal=who.principal,
            now=now,
            http=self._http_info(),
        )
        try:
            if name == "s3" and not asked.streams:
                check_body(operation.name, request.headers, request.body)
            if asked.streams or "content-encoding" in request.headers:
                self._open_body(request, who, limit, streaming=streaming)
            members = clean.read(asked.model, operation, request.body) if asked.codec.protocol == "json" else None
            if members is None:
                members = asked.codec.decode(operation, request, asked.labels)
                constraints.check(asked.model, operation, members)
        except AWSError:
            if service is not None and service.admit is not None and not streaming:
                await self._admit(ctx, service, asked.labels, family)
            raise
        built = _built(service, name, operation.name)
        if service is not None and service.resolve is not None:
            instead = await service.resolve(ctx, members)
            built = built if instead is None else service.alternatives[instead]
        cohort = self._pipeline.cohort
        await cohort
        # By the world's clock: it is about what the processor does.
        began = monotonic()
        answer = await self._pipeline.run(ctx, built, members, family)
        # Those that have written are told together: a commit is of all who were ready.
        if built.kind is Kind.READING:
            await cohort.has_read(began)
        return asked.codec.encode(
            operation, answer, self._request_id, status=ctx.status, headers=ctx.response_headers or None
        )

    async def _find(self, *, form: bool) -> _Asked | HttpAnswer:
        """What is asked for; or the answer, where it is no operation's: to a preflight, or to a browser's form."""
        request, cloud = self._request, self._pipeline.cloud
        if form:
            # The query protocols say in the body what they want.
            request.body = await read_whole(self._receive, request.headers, _BODY_BYTES_MAX)
        target = route(self._pipeline.hosts, request.headers, request.path, request.query, request.body)
        self._service = target.service
        if target.service == "s3":
            self._request_id = cloud.ids.string(16)
            request.headers = with_query_headers(request.query, request.headers)
        else:
            self._request_id = cloud.ids.uuid()
        request.path = target.path

        try:
            model = self._pipeline.model(target.service)
        except ModelNotFound:
            raise AWSError("UnknownOperationException", f"There is no service {target.service}.", status=404) from None
        service = await self._pipeline.services.find(target.service)
        codec = self._codec = codec_for(model, request)
        family = family_of(model.name, codec.protocol)
        if request.method == "OPTIONS" and service is not None and service.preflight is not None:
            allowed = await service.preflight(cloud, request.path, request.headers)
            return HttpAnswer(200, [*s3_headers(self._request_id), *allowed.items()])
        if service is not None and service.forms is not None and request.method == "POST" and not request.query:
            posted = await self._read_form(service, service.forms)
            if posted is not None:
                return await self._answer_form(service, posted, family, target)
        operation, labels = codec.find(request)
        if target.express and operation.name in EXPRESS_OPERATIONS:
            operation = model.operations[EXPRESS_OPERATIONS[operation.name]]
        asked = _Asked(
            name=target.service,
            region=target.region,
            multi_region=target.multi_region,
            model=model,
            service=service,
            codec=codec,
            family=family,
            operation=operation,
            labels=labels,
            signed_as=_SIGNED_AS.get(model.signing_name) or (model.signing_name,),
            streams=operation.streaming_input is not None,
        )
        named = request.headers.get("x-amz-target", "")
        if codec.protocol == "json" and names_service(named):
            self._pipeline.targets[named] = asked
        return asked

    async def _admit(self, ctx: Context, service: Service, labels: Mapping[str, str], family: Family) -> None:
        """Raise what is wrong with the caller, or with what the request is about: it counts before a bad body does."""
        assert self._codec is not None
        assert self._operation is not None
        self._request.body = b""
        members = self._codec.decode(self._operation, self._request, labels)
        if service.resolve is not None:
            await service.resolve(ctx, members)
        await self._pipeline.admit(ctx, service, members, family)

    async def _read_form(self, service: Service, read: FormReader) -> Posted | None:
        """What a browser's form asks for; None where the request is none."""
        request, cloud = self._request, self._pipeline.cloud
        keyring = await self._keyring(service)
        now = cloud.clock.time()

        async def credential(access_key_id: str, session_token: str, of_bucket: bool) -> tuple[str, Principal]:
            found = await find_credential(
                access_key_id, session_token, family="s3", keyring=keyring, now=now, bucket_session=of_bucket
            )
            return found.secret, found.principal

        form = Form(
            path=request.path,
            headers=request.headers,
            origin=self._http_info().origin,
            body=BytesStream(request.body) if request.body else PayloadStream(self._receive, request.headers),
            credential=credential,
            now=cloud.clock.client_time(),
        )
        return await read(cloud, form)

    async def _answer_form(self, service: Service, posted: Posted, family: Family, target: Route) -> HttpAnswer:
        cloud = self._pipeline.cloud
        ctx = self._ctx = Context(
            cloud=cloud,
            request_id=self._request_id,
            service=target.service,
            operation=posted.operation,
            account=posted.principal.account or cloud.settings.account,
            region=posted.region or target.region or cloud.settings.region,
            principal=posted.principal,
            now=cloud.clock.time(),
            http=self._http_info(),
        )
        built = _built(service, target.service, posted.operation)
        status, headers, body = posted.answer(await self._pipeline.run(ctx, built, posted.request, family))
        sent = dict(s3_headers(self._request_id)) | ctx.response_headers | headers
        return HttpAnswer(status, [*sent.items()], body)

    async def answer_hosted(self, named: HostedName) -> HttpAnswer:
        """What the service that serves such names itself has to say."""
        pipeline = self._pipeline
        service = await pipeline.services.find(named.service)
        if service is None or named.label not in service.hosts:
            raise NotBuilt(f"{named.service}:{named.label}")
        return await hosted.serve(
            pipeline.cloud,
            service.hosts[named.label],
            named,
            self._request,
            self._receive,
            http=self._http_info(),
            cohort=pipeline.cohort,
            keyring=await self._keyring(service),
            trusted=_is_trusted(self._incoming),
        )

    async def _keyring(self, service: Service | None) -> Keyring:
        """Who counts on the way this request took."""
        pipeline, headers = self._pipeline, self._request.headers
        if self._incoming.environment:
            return pipeline.strangers_keyring
        if pipeline.hosts.is_foreign(headers) and not await self._is_welcome(service):
            log.warning(
                "%s: the loopback's own keys do not count for a page of %s", self, headers.get("origin", "another site")
            )
            return pipeline.strangers_keyring
        return pipeline.keyring

    async def _is_welcome(self, service: Service | None) -> bool:
        """Whether what is asked for lets pages of that origin in (S3: the bucket's CORS configuration)."""
        if service is None or service.preflight is None or "origin" not in self._request.headers:
            return False
        asked = {**self._request.headers, "access-control-request-method": self._request.method}
        try:
            await service.preflight(self._pipeline.cloud, self._request.path, asked)
        except AWSError:
            return False
        return True

    def refuse(self, error: AWSError) -> HttpAnswer:
        """The answer that tells of `error`, and a line in the log."""
        used = self._codec or codec_for(self._pipeline.model(_FALLBACK_SERVICE), self._request)
        self._request_id = self._request_id or self._pipeline.cloud.ids.uuid()
        answer = used.encode_error(self._operation, error, self._request_id)
        log.info("%s answered %d %s: %s", self, answer.status, error.code, error.message)
        return self.told(answer, error.code)

    def told(self, answer: HttpAnswer, error: str) -> HttpAnswer:
        """The answer, of which the operation is told when it has been sent, if it wants to be."""
        when_sent = self._ctx.when_sent if self._ctx is not None else None
        if when_sent is not None:
            monotonic = self._pipeline.cloud.clock.monotonic
            answered = monotonic()

            def tell(body_bytes: int) -> None:
                total_ms = int((monotonic() - self._arrived) * 1000)
                turn_around_ms = int((answered - self._arrived) * 1000)
                when_sent(Sent(answer.status, answer.headers, error, body_bytes, total_ms, turn_around_ms))

            answer.when_sent = tell
        return answer

    def _open_body(self, request: HttpRequest, who: Authenticated, limit: int, *, streaming: bool) -> None:
        if self._operation is not None and self._operation.streaming_input is not None and not streaming:
            request.stream = BytesStream(request.body)
        elif streaming:
            request.stream = PayloadStream(self._receive, request.headers, sha256=who.payload_sha256, chunks=who.chunks)
        elif request.headers.get("content-encoding") == "gzip":
            request.body = gunzip(request.body, limit)

    def _http_info(self) -> HttpInfo:
        incoming, headers = self._incoming, self._request.headers
        # By position, as they stand there: names would cost as much as the rest.
        return HttpInfo(
            self._request.method,
            self._request.path,
            self._request.query,
            headers,
            incoming.client,
            headers.get("user-agent", ""),
            incoming.secure,
            _is_trusted(incoming),
            partial(_disconnected, self._receive),
        )


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _is_trusted(incoming: Incoming) -> bool:
    """Whether a program of this machine asks, and neither code inside an environment nor a web page."""
    return (
        not incoming.environment
        and incoming.client in ("127.0.0.1", "::1")
        and "origin" not in incoming.headers
        and "sec-fetch-site" not in incoming.headers
    )
