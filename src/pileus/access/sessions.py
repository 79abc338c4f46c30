"""Temporary credentials whose session token says everything itself.

A token is the session's contents and a seal (HMAC-SHA-256 under the cloud's key) over them; the secret is derived from
both. So issuing one writes nothing, checking one reads nothing, any node can do either, and no token holds a secret.

    sessions = await load_sessions(store, ids)
    credentials = issue_session(sessions, ids, principal, now=…, duration_s=3600)
    sessions.credential(access_key_id, token, now)
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from pileus.access.access_keys import new_access_key_id
from pileus.access.contract import Credential
from pileus.kernel.arn import make_arn
from pileus.kernel.ids import Ids
from pileus.kernel.principal import BucketSession, Principal
from pileus.store.contract import Store, Transaction
from pileus.store.keys import pack

_KEY = pack("access", "", "", "session-key")
_KEY_BYTES = 32
_SEAL_BYTES = 32
# Every token begins so: a version for contents that change one day.
_VERSION = b"\x01"
# Longer ones are refused unread.
_TOKEN_LENGTH_MAX = 16 * 1024


class TemporaryCredentials(NamedTuple):
    access_key_id: str
    secret_access_key: str
    session_token: str
    # Seconds since the epoch.
    expiration: float


class UnknownToken(Exception):
    """A session token that this cloud did not issue, or not with this access key id."""


class ExpiredToken(Exception):
    """A session token past its time."""


class _Contents(msgspec.Struct, frozen=True, array_like=True):
    access_key_id: str
    expiration: float
    principal: Principal


class Sessions:
    """Issues and checks temporary credentials under one key, which all nodes of a cloud share."""

    def __init__(self, key: bytes) -> None:
        self._seal_key = hmac.digest(key, b"seal", "sha256")
        self._secret_key = hmac.digest(key, b"secret", "sha256")
        # Checking a token costs more than all the rest of a request's authentication: known ones are remembered.
        self._open = lru_cache(maxsize=4096)(self._open_unknown)

    def issue(self, access_key_id: str, principal: Principal, expiration: float) -> TemporaryCredentials:
        sealed = _VERSION + msgspec.msgpack.encode(_Contents(access_key_id, expiration, principal))
        token = sealed + hmac.digest(self._seal_key, sealed, "sha256")
        return TemporaryCredentials(access_key_id, self._secret(sealed), b64encode(token).decode(), expiration)

    def credential(self, access_key_id: str, token: str, now: float) -> Credential:
        """The credential that `token` makes of `access_key_id`; raises `UnknownToken` or `ExpiredToken`."""
        if len(token) > _TOKEN_LENGTH_MAX:
            raise UnknownToken
        contents, secret = self._open(token)
        if contents.access_key_id != access_key_id:
            raise UnknownToken
        if now >= contents.expiration:
            raise ExpiredToken
        return Credential(secret, contents.principal)

    def _open_unknown(self, token: str) -> tuple[_Contents, str]:
        try:
            raw = b64decode(token, validate=True)
        except (Base64Error, ValueError):
            raise UnknownToken from None
        if b64encode(raw).decode() != token:
            # One token has one spelling.
            raise UnknownToken
        sealed, seal = raw[:-_SEAL_BYTES], raw[-_SEAL_BYTES:]
        if not hmac.compare_digest(hmac.digest(self._seal_key, sealed, "sha256"), seal):
            raise UnknownToken
        if sealed[:1] != _VERSION:
            raise UnknownToken
        try:
            contents = msgspec.msgpack.decode(sealed[1:], type=_Contents)
        except msgspec.MsgspecError:
            # Sealed by an earlier version of Pileus.
            raise UnknownToken from None
        return contents, self._secret(sealed)

    def _secret(self, sealed: bytes) -> str:
        """40 characters, as AWS's secrets are."""
        return b64encode(hmac.digest(self._secret_key, sealed, "sha256")[:30]).decode()


async def load_sessions(store: Store, ids: Ids) -> Sessions:
    """The sessions of this cloud; its key is made once and kept in the store."""

    async def key(tx: Transaction) -> bytes:
        found = await tx.get(_KEY)
        if found is None:
            found = ids.token_bytes(_KEY_BYTES)
            tx.put(_KEY, found)
        return found

    return Sessions(await store.write(key))


def issue_session(
    sessions: Sessions,
    ids: Ids,
    principal: Principal,
    *,
    now: float,
    duration_s: float,
    bucket_session: BucketSession | None = None,
) -> TemporaryCredentials:
    """Temporary credentials (ASIA...) with which a caller is `principal` for `duration_s`, for one bucket alone if
    that is said."""
    access_key_id = new_access_key_id("ASIA", principal.account, ids)
    principal = msgspec.structs.replace(
        principal, access_key_id=access_key_id, issued=float(int(now)), bucket_session=bucket_session
    )
    return sessions.issue(access_key_id, principal, float(int(now + duration_s)))


def role_session(
    *,
    account: str,
    role_arn: str,
    role_id: str,
    session_name: str,
    session_policies: Sequence[dict[str, Any]] = (),
    tags: Mapping[str, str] | None = None,
    source_identity: str = "",
) -> Principal:
    """The principal of a session of a role; `role_id` is the role's unique id (AROA...)."""
    role_name = role_arn.rpartition("/")[2]
    return Principal(
        kind="role",
        account=account,
        arn=make_arn("sts", "", account, f"assumed-role/{role_name}/{session_name}"),
        id=f"{role_id}:{session_name}",
        name=session_name,
        role_arn=role_arn,
        session_policies=tuple(session_policies),
        tags=dict(tags or {}),
        source_identity=source_identity,
    )
