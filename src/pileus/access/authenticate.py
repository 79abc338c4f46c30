"""From a request to the principal who makes it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

import msgspec

from pileus.access import errors, sigv2
from pileus.access.claim import EMPTY_SHA256, STREAMING_SIGNED, STREAMING_SIGNED_TRAILER
from pileus.access.contract import Credential, Identities
from pileus.access.errors import Family
from pileus.access.sessions import ExpiredToken, Sessions, UnknownToken
from pileus.access.sigv4 import ChunkSignatures, check_signature, check_time, read_claim, wrong_service
from pileus.kernel.arn import make_arn
from pileus.kernel.principal import ANONYMOUS, Principal
from pileus.kernel.settings import DEFAULT_ACCOUNT, Settings

# On a loopback address: the key of the default account's root, and the secret of every such key.
LOCAL_KEY = "test"
LOCAL_SECRET = "test"  # noqa: S105 -- the field's convention; counts on a loopback address only

_LOOPBACK_HOSTS = ("localhost", "::1")


class Keyring(NamedTuple):
    """Everything that knows secrets."""

    identities: Identities
    sessions: Sessions
    settings: Settings


class Authenticated(msgspec.Struct, frozen=True):
    """Who calls, and what is left to check of a payload that streams."""

    principal: Principal
    # As signed; empty for an anonymous caller.
    region: str = ""
    service: str = ""
    # The SHA-256 (hex) that a streaming payload must turn out to have; empty where it is not signed as a whole.
    payload_sha256: str = ""
    # Checks the chunks of a body in aws-chunked framing, where they are signed.
    chunks: ChunkSignatures | None = None

    @property
    def account(self) -> str:
        return self.principal.account


_ANONYMOUS = Authenticated(ANONYMOUS)


async def authenticate(
    *,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes | None,
    body_sha256: str = "",
    family: Family,
    keyring: Keyring,
    now: float,
    client_now: float | None = None,
    services: Collection[str] = (),
    resource: str = "",
    here: str = "",
    asymmetric: bool | None = None,
) -> Authenticated:
    """Who makes this request; an anonymous principal where it carries no signature at all.

    `path`, `query` and `headers` as in `pileus.access.sigv4`. `body` None: the payload streams. `body_sha256`: its
    hash, where the caller has computed it already (large bodies are hashed off the loop). `services`: the names for
    which the request may be signed, any when empty. `resource`: S3's path with the bucket put in that the host
    names. `here`: the region that was called, which counts where the signature is good in several. `client_now`: the
    time by which requests are signed, where it is another than the cloud's. `asymmetric`: whether such signatures are
    taken, see `read_claim`. Raises the AWS error of the family.
    """
    if client_now is None:
        client_now = now
    claim = read_claim(query, headers, family, asymmetric=asymmetric)
    if claim is None:
        if family == "s3" and (claim_v2 := sigv2.read_claim(query)) is not None:
            if client_now > claim_v2.expires:
                raise errors.request_expired(client_now, claim_v2.expires)
            return await _presigned_v2(
                claim_v2, method=method, path=resource or path, headers=headers, keyring=keyring, now=now
            )
        return _ANONYMOUS
    scope = claim.scope
    if services and scope.service not in services:
        raise wrong_service(scope, next(iter(services)), family)
    check_time(claim, client_now, family)
    credential = await find_credential(
        scope.access_key_id,
        claim.session_token,
        family=family,
        keyring=keyring,
        now=now,
        bucket_session=claim.bucket_session,
    )
    if body is not None and not body_sha256 and (claim.payload == "" or len(claim.payload) == 64):
        body_sha256 = sha256(body).hexdigest() if body else EMPTY_SHA256
    key = check_signature(
        claim,
        credential.secret,
        method=method,
        path=path,
        query=query,
        headers=headers,
        # A payload that streams and of which no hash was declared can only be empty.
        body_sha256=body_sha256 or EMPTY_SHA256,
        family=family,
    )
    region = claim.region_at(here)
    if not region:
        raise errors.invalid_signature(family, "Credential should be scoped to a valid region. ")
    _note_use(keyring, credential, scope.service, region, now)
    chunks = None
    payload_sha256 = ""
    if claim.payload in (STREAMING_SIGNED, STREAMING_SIGNED_TRAILER):
        chunks = ChunkSignatures(key, claim)
    elif len(claim.payload) == 64 and body_sha256:
        if claim.payload != body_sha256:
            if family == "s3":
                raise errors.content_sha256_mismatch(claim.payload, body_sha256)
            message = "The provided 'x-amz-content-sha256' header does not match what was computed."
            raise errors.invalid_signature(family, message)
    elif body is None and len(claim.payload or EMPTY_SHA256) == 64:
        payload_sha256 = claim.payload or EMPTY_SHA256
    return Authenticated(credential.principal, region, scope.service, payload_sha256, chunks)


async def find_credential(
    access_key_id: str,
    session_token: str,
    *,
    family: Family,
    keyring: Keyring,
    now: float,
    bucket_session: bool = False,
) -> Credential:
    """The secret and the principal behind an access key id; raises AWS's error where there is none.

    The given root keys; on a loopback address `test`, and a key id of 12 digits for the root of that account; temporary
    keys (ASIA...) with their session token; the access keys of IAM users. `bucket_session`: the token was sent as that
    of a session with a directory bucket; such a one counts in no other place, and none other in this.
    """
    root = _root_credential(access_key_id, keyring.settings)
    if root is None and access_key_id.startswith("ASIA"):
        if not session_token:
            raise errors.unknown_access_key(family, access_key_id)
        try:
            found = keyring.sessions.credential(access_key_id, session_token, now)
            if (found.principal.bucket_session is not None) != bucket_session:
                raise UnknownToken
            return found
        except UnknownToken:
            raise errors.invalid_session_token(family, session_token) from None
        except ExpiredToken:
            raise errors.expired_session_token(family, session_token) from None
    if session_token:
        # Long-term keys have no token: whoever sends one has mixed up two sets of credentials.
        raise errors.invalid_session_token(family, session_token)
    credential = root or await keyring.identities.credential(access_key_id)
    if credential is None:
        raise errors.unknown_access_key(family, access_key_id)
    return credential


def _root_credential(access_key_id: str, settings: Settings) -> Credential | None:
    secret = settings.root_keys.get(access_key_id)
    if secret is not None:
        return Credential(secret, root_principal(settings.account, access_key_id))
    return _local_credential(access_key_id) if is_loopback(settings.host) else None


@lru_cache(maxsize=1024)
def _local_credential(access_key_id: str) -> Credential | None:
    """What counts on a loopback address."""
    if access_key_id == LOCAL_KEY:
        return Credential(LOCAL_SECRET, root_principal(DEFAULT_ACCOUNT, access_key_id))
    if len(access_key_id) == 12 and access_key_id.isascii() and access_key_id.isdigit():
        return Credential(LOCAL_SECRET, root_principal(access_key_id, access_key_id))
    return None


@lru_cache(maxsize=1024)
def root_principal(account: str, access_key_id: str = "") -> Principal:
    """The root user of `account`."""
    return Principal(
        kind="root",
        account=account,
        arn=make_arn("iam", "", account, "root"),
        id=account,
        name=account,
        access_key_id=access_key_id,
    )


@lru_cache(maxsize=8)
def is_loopback(host: str) -> bool:
    """Whether a node that listens on `host` is reached from its own machine only."""
    import ipaddress

    if host in _LOOPBACK_HOSTS:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _presigned_v2(
    claim: sigv2.Claim,
    *,
    method: str,
    path: str,
    headers: Mapping[str, str],
    keyring: Keyring,
    now: float,
) -> Authenticated:
    credential = await find_credential(
        claim.access_key_id,
        claim.session_token,
        family="s3",
        keyring=keyring,
        now=now,
    )
    sigv2.check_signature(claim, credential.secret, method=method, path=path, headers=headers)
    _note_use(keyring, credential, "s3", keyring.settings.region, now)
    # Version 2 names no region.
    return Authenticated(credential.principal, "", "s3")


def _note_use(keyring: Keyring, credential: Credential, service: str, region: str, now: float) -> None:
    """Of users' own keys alone a last use is told."""
    principal = credential.principal
    if principal.kind == "user" and not principal.issued:
        keyring.identities.used(principal.access_key_id, service=service, region=region, now=now)
