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
from typing import Any

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
_CHUNK_BYTES = 256 << 10
# Who says nothing for so long is forgotten: clients keep connections that they do not use.
_IDLE_S = 600.0
# A signature counts for a quarter of an hour, as everywhere; clients sign anew every few minutes.
_SKEW_S = 900.0
_SIGNING_SERVICE = "dax"

_AUTHORIZE = 1489122155

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


class Session:
    def __init__(
        self,
        cloud: Cloud,
        proxy: Proxy,
        names: NameLists,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._cloud = cloud
        self._proxy = proxy
        self._names = names
        self._reader = reader
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._at = 0
        # When something came last, by the loop's time.
        self._heard = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        # What requests are made with, once the client has said who it is.
        self._exchange: Exchange | None = None
        self._refusal: AWSError | None = None

    async def run(self) -> None:
        """Until the client goes or says what is no request."""
        self._end_when_idle()
        try:
            await self._greet()
            while await self._answer_one():
                pass
        except (Malformed, ConnectionError, asyncio.IncompleteReadError) as error:
            log.info("%s: a connection ended: %s", self._proxy.cluster.arn, error or type(error).__name__)
        finally:
            if self._timer is not None:
                self._timer.cancel()
            self._writer.close()

    def _end_when_idle(self) -> None:
        """Look now, and when it may be so next: a time limit for each read costs a request more than reading it."""
        left = self._heard + _IDLE_S - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._end_when_idle)
        else:
            # The reader comes to its end.
            self._writer.close()

    async def _greet(self) -> None:
        # Behind it layering, the session, who the client is, and the types it adds: none that would change anything.
        magic, *_ = await self._values(5)
        if magic != _MAGIC:
            raise Malformed("no client of DAX")

    async def _answer_one(self) -> bool:
        try:
            service, method = await self._values(2)
        except asyncio.IncompleteReadError:
            return False
        if service != _SERVICE or type(method) is not int:
            raise Malformed("no request")
        if method == _AUTHORIZE:
            # Not answered: whether it was good is told with the next request.
            await self._authorize(await self._values(5))
            return True
        known = METHODS.get(method)
        if known is None:
            raise Malformed(f"no method {method}")
        arguments = await self._values(known.arguments)
        self._writer.write(await self._answer(known.function, arguments))
        await self._writer.drain()
        return True

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
            peer = self._writer.get_extra_info("peername")
            caller = Caller(credential.principal, peer[0] if peer else "")
            self._exchange = Exchange(self._proxy, caller, self._names, self._writer.get_extra_info("sockname")[0])
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
        if not hmac.compare_digest(hmac.digest(key, to_sign, sha256).hex(), signature.lower()):
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

    async def _values(self, count: int) -> list[Any]:
        """The next values. Raises `Malformed`, or `IncompleteReadError` where the client has gone."""
        found = []
        for _ in range(count):
            small = cbor.small_at(self._buffer, self._at)
            if small is not None:
                value, self._at = small
            else:
                scanner = Scanner(self._at)
                while not scanner.scan(self._buffer):
                    await self._read()
                value = cbor.decode(bytes(memoryview(self._buffer)[self._at : scanner.at]))
                self._at = scanner.at
            found.append(value)
        if self._at == len(self._buffer):
            self._buffer.clear()
            self._at = 0
        elif self._at > _CHUNK_BYTES:
            del self._buffer[: self._at]
            self._at = 0
        return found

    async def _read(self) -> None:
        """More of a value that is not whole."""
        if len(self._buffer) - self._at > BYTES_MAX:
            raise Malformed("too large")
        chunk = await self._reader.read(_CHUNK_BYTES)
        if not chunk:
            raise asyncio.IncompleteReadError(bytes(self._buffer[self._at :][:16]), None)
        self._heard = self._loop.time()
        self._buffer += chunk


def _unauthenticated(message: str) -> AWSError:
    return AWSError("MissingAuthenticationTokenException", message, status=400)
