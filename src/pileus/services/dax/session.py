"""A client's connection to a cluster: requests in CBOR, one after the other, each answered in its turn.

    client   "J7yne5G" 0 session {"UserAgent": ...} 0, then requests: 1 method arguments...
    cluster  [] result, or [codes...] message [request id, error code, HTTP status, cancellation reasons]

Source: what the official clients (`amazon-dax-client`) write and read.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from calendar import timegm
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any, cast

from pileus.cloud.context import Cloud
from pileus.kernel.errors import AWSError
from pileus.services.dax.names import NameLists
from pileus.services.dax.protocol import cbor
from pileus.services.dax.protocol.cbor import Malformed, Scanner
from pileus.services.dax.proxy import Caller, Proxy
from pileus.services.dax.requests import METHODS, Exchange

log = logging.getLogger("pileus.dax")

_MAGIC = "J7yne5G"
_SERVICE = 1
# A batch of DynamoDB holds 16 MB; its form here is no larger.
BYTES_MAX = 20 << 20
# What was taken of the buffer is cut off when it is more than this.
_TAKEN_BYTES = 256 << 10
# Who says nothing for so long is forgotten: clients keep connections that they do not use.
_IDLE_S = 600.0
# A signature counts for a quarter of an hour, as everywhere; clients sign anew every few minutes.
_SKEW_S = 900.0
_SIGNING_SERVICE = "dax"

_AUTHORIZE = 1489122155
_AUTHORIZE_ARGUMENTS = 5

_OK = cbor.encode([])
# By DynamoDB's name of an error: what clients tell errors by.
_CODES = {
    "ProvisionedThroughputExceededException": [4, 37, 38, 39, 40],
    "ResourceNotFoundException": [4, 37, 38, 39, 41],
    "AccessDeniedException": [4, 37, 38, 42],
    "ConditionalCheckFailedException": [4, 37, 38, 39, 43],
    "ResourceInUseException": [4, 37, 38, 39, 45],
    "ValidationException": [4, 37, 38, 39, 46],
    "InternalServerError": [4, 37, 38, 39, 47],
    "ItemCollectionSizeLimitExceededException": [4, 37, 38, 39, 48],
    "LimitExceededException": [4, 37, 38, 39, 49],
    "ThrottlingException": [4, 37, 38, 39, 50],
    "TransactionCanceledException": [4, 37, 38, 39, 58],
    "RequestLimitExceeded": [4, 37, 38, 39, 61],
}
_UNAUTHENTICATED = [4, 23, 31, 33]
_OTHER_CODES = [4, 37, 38, 39, 46]


class Session(asyncio.Protocol):
    def __init__(self, cloud: Cloud, proxy: Proxy, names: NameLists, sessions: set[Session]) -> None:
        """`sessions`: the cluster's, of which it is one while it is connected."""
        self._cloud = cloud
        self._proxy = proxy
        self._names = names
        self._sessions = sessions
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport = None  # type: ignore[assignment]  # until the connection is made
        # What came and is not taken yet begins at `_at`; of a request that is not whole, its method and the values so
        # far, and how far the next one was looked at.
        self._buffer = bytearray()
        self._at = 0
        self._method = 0
        self._values: list[Any] = []
        self._scanner: Scanner | None = None
        self._greeted = False
        # The request under way: those behind it wait.
        self._task: asyncio.Task[None] | None = None
        self._ended = False
        self._writable = asyncio.Event()
        self._writable.set()
        # When something came last, by the loop's time.
        self._heard = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        # What requests are made with, once the client has said who it is.
        self._exchange: Exchange | None = None
        self._refusal: AWSError | None = None

    def close(self) -> None:
        """The cluster is gone."""
        if self._task is not None:
            self._task.cancel()
        self._transport.close()

    # ---------------------------------------------------------------------------------------------- the transport's

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's is none by its class, and one by what it does.
        self._transport = cast("asyncio.Transport", transport)
        self._sessions.add(self)
        self._end_when_idle()

    def connection_lost(self, exc: Exception | None) -> None:
        self._sessions.discard(self)
        self._writable.set()
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        self._buffer += data
        if self._task is None:
            self._go_on()
        elif len(self._buffer) > BYTES_MAX:
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        """Whoever asks and then says no more is answered still (by TLS that is not to be had)."""
        self._ended = True
        return self._task is not None and self._transport.get_extra_info("sslcontext") is None

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def _end_when_idle(self) -> None:
        """Look now, and when it may be so next: a time limit for each read costs a request more than reading it."""
        left = self._heard + _IDLE_S - self._loop.time()
        if left <= 0 and self._task is None:
            self._transport.close()
        elif left <= 0 and not self._writable.is_set():
            # Nobody reads what was asked for.
            self._transport.abort()
        else:
            self._timer = self._loop.call_later(left if left > 0 else _IDLE_S, self._end_when_idle)

    # ----------------------------------------------------------------------------------------------------- requests

    def _go_on(self) -> None:
        """Begin the next request, if it is there."""
        try:
            request = self._next()
        except Malformed as error:
            log.info("%s: a connection ended: %s", self._proxy.cluster.arn, error)
            self._transport.close()
            return
        if request is not None:
            self._task = self._loop.create_task(self._serve(*request))
        elif self._ended:
            self._transport.close()

    def _next(self) -> tuple[int, list[Any]] | None:
        """A method and its arguments, once they are whole. Raises `Malformed`."""
        if not self._greeted:
            # Behind the first layering, the session, who the client is, and the types it adds: nothing that would
            # change anything.
            greeting = self._take(5)
            said = self._values if greeting is None else greeting
            if said and said[0] != _MAGIC:
                raise Malformed("no client of DAX")
            if greeting is None:
                return None
            self._greeted = True
        if not self._method:
            head = self._take(2)
            if head is None:
                return None
            service, method = head
            if service != _SERVICE or type(method) is not int:
                raise Malformed("no request")
            if method != _AUTHORIZE and method not in METHODS:
                raise Malformed(f"no method {method}")
            self._method = method
        method = self._method
        arguments = self._take(_AUTHORIZE_ARGUMENTS if method == _AUTHORIZE else METHODS[method].arguments)
        if arguments is None:
            return None
        self._method = 0
        return method, arguments

    def _take(self, count: int) -> list[Any] | None:
        """The next values, once so many are whole. Raises `Malformed`."""
        buffer, values = self._buffer, self._values
        while len(values) < count:
            small = None if self._scanner is not None else cbor.small_at(buffer, self._at)
            if small is not None:
                value, self._at = small
            else:
                scanner = self._scanner or Scanner(self._at)
                if not scanner.scan(buffer):
                    if len(buffer) - self._at > BYTES_MAX:
                        raise Malformed("too large")
                    self._scanner = scanner
                    return None
                self._scanner = None
                value = cbor.decode(bytes(memoryview(buffer)[self._at : scanner.at]))
                self._at = scanner.at
            values.append(value)
        if self._at == len(buffer):
            buffer.clear()
            self._at = 0
        elif self._at > _TAKEN_BYTES:
            del buffer[: self._at]
            self._at = 0
        self._values = []
        return values

    async def _serve(self, method: int, arguments: list[Any]) -> None:
        try:
            if method == _AUTHORIZE:
                # Not answered: whether it was good is told with the next request.
                await self._authorize(arguments)
            else:
                answer = await self._answer(METHODS[method].function, arguments)
                if not self._transport.is_closing():
                    self._transport.write(answer)
                await self._writable.wait()
        except Exception:  # a fault of ours must not leave the client waiting
            log.exception("%s: a connection ended", self._proxy.cluster.arn)
            self._transport.close()
        finally:
            self._task = None
        if not self._transport.is_closing():
            if len(self._buffer) > BYTES_MAX:
                self._transport.resume_reading()
            self._go_on()

    async def _answer(self, function: Callable[[Exchange, list[Any]], Awaitable[bytes]], arguments: list[Any]) -> bytes:
        try:
            if self._exchange is None:
                raise self._refusal or _unauthenticated("Missing Authentication Token")
            return _OK + await function(self._exchange, arguments)
        except AWSError as error:
            return self._refused(error)
        except Malformed as error:
            return self._refused(AWSError("ValidationException", f"The request cannot be read: {error}"))
        except Exception:  # a fault of ours must not take the connection down, nor show its insides
            log.exception("%s failed", self._proxy.cluster.arn)
            return self._refused(AWSError("InternalServerError", "The request processing has failed.", status=500))

    def _refused(self, error: AWSError) -> bytes:
        unauthenticated = error is self._refusal or error.code == "MissingAuthenticationTokenException"
        codes = _UNAUTHENTICATED if unauthenticated else _CODES.get(error.code, _OTHER_CODES)
        details: list[Any] = [self._cloud.ids.uuid(), error.code, error.status or 400]
        reasons = error.members.get("CancellationReasons")
        if reasons is not None:
            # Three of each: the code, the message, the item.
            details.append([part for one in reasons for part in (one.get("Code"), one.get("Message"), None)])
        return cbor.encode(codes) + cbor.encode(error.message) + cbor.encode(details)

    async def _authorize(self, arguments: list[Any]) -> None:
        access_key_id, signature, to_sign, token, _ = arguments
        self._exchange = None
        try:
            if not (
                isinstance(access_key_id, str)
                and isinstance(signature, str)
                and isinstance(to_sign, bytes)
                and isinstance(token, str | None)
            ):
                raise _unauthenticated("Missing Authentication Token")
            credential = await self._cloud.gate.credential(access_key_id, token or "")
            self._check(credential.secret, signature, to_sign)
            peer = self._transport.get_extra_info("peername")
            caller = Caller(credential.principal, peer[0] if peer else "")
            self._exchange = Exchange(self._proxy, caller, self._names, self._transport.get_extra_info("sockname")[0])
            self._refusal = None
        except AWSError as error:
            self._refusal = error

    def _check(self, secret: str, signature: str, to_sign: bytes) -> None:
        """The client signs a request that it does not send; what is signed is when it did so, and for where."""
        lines = to_sign.split(b"\n")
        scope = lines[2].decode("latin-1").split("/") if len(lines) == 4 else []
        if lines[0] != b"AWS4-HMAC-SHA256" or len(scope) != 4 or scope[2] != _SIGNING_SERVICE:
            raise _unauthenticated("The signature is for no request to DAX.")
        key = b"AWS4" + secret.encode()
        for part in scope:
            key = hmac.digest(key, part.encode("latin-1"), sha256)
        if not hmac.compare_digest(hmac.digest(key, to_sign, sha256).hex().encode(), signature.lower().encode()):
            raise _unauthenticated(
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
                "Access Key and signing method. Consult the service documentation for details."
            )
        try:
            signed = timegm(time.strptime(lines[1].decode("latin-1"), "%Y%m%dT%H%M%SZ"))
        except ValueError:
            raise _unauthenticated("The signature says no time.") from None
        if abs(self._cloud.clock.client_time() - signed) > _SKEW_S or not lines[1].startswith(scope[0].encode()):
            raise _unauthenticated("Signature expired.")
        if scope[1] != self._proxy.cluster.region:
            raise _unauthenticated(f"Credential should be scoped to a valid region, not '{scope[1]}'. ")


def _unauthenticated(message: str) -> AWSError:
    return AWSError("MissingAuthenticationTokenException", message, status=400)
