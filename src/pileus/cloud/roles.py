"""Roles that services assume: what a rule, a schedule, a pipe or a function may do is what its role allows.

Source: "Using service roles" and "AssumeRole" of the IAM User Guide and the STS API reference.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import NamedTuple

from pileus.cloud.context import Cloud
from pileus.kernel.arn import parse_arn
from pileus.kernel.errors import AWSError
from pileus.kernel.principal import Principal, service_principal

# A role allows at least this long.
SESSION_SHORTEST_S = 3600
# An environment of a function keeps the credentials it was made with for an invocation of up to 15 minutes.
RENEW_BEFORE_S = 1200.0
# Sessions kept in memory; more only cost another AssumeRole.
_KEPT_MAX = 10_000


@dataclass(frozen=True, slots=True)
class RoleSession:
    access_key_id: str
    secret_access_key: str
    session_token: str
    principal: Principal
    # Seconds since the epoch.
    expires: float


class _Key(NamedTuple):
    service: str
    role: str
    source_arn: str
    session_name: str
    duration_s: int


class RoleSessions:
    """The node's role sessions, one for each resource and role; `app.py` puts it into `cloud.parts`."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._sessions: dict[_Key, RoleSession] = {}
        self._assuming: dict[_Key, asyncio.Task[RoleSession]] = {}

    async def session(
        self, service: str, role: str, *, source_arn: str, session_name: str, duration_s: int = SESSION_SHORTEST_S
    ) -> RoleSession:
        """A session of `role` that lasts long enough, assumed as `{service}.amazonaws.com` for `source_arn`.

        Raises what AssumeRole answers: `AccessDenied` where the role's trust policy does not name the service.
        """
        key = _Key(service, role, source_arn, session_name, duration_s)
        found = self._sessions.get(key)
        if found is not None and found.expires - self._cloud.clock.time() > RENEW_BEFORE_S:
            return found
        task = self._assuming.get(key)
        if task is None:
            task = self._assuming[key] = asyncio.create_task(self._renew(key))
            task.add_done_callback(lambda _: self._assuming.pop(key, None))
        return await asyncio.shield(task)

    async def principal(self, service: str, role: str, *, source_arn: str, session_name: str) -> Principal:
        """The role, as a principal for `cloud.call`. Raises as `session` does."""
        return (await self.session(service, role, source_arn=source_arn, session_name=session_name)).principal

    def forget(self, source_arn: str) -> None:
        """The resource is gone, or has another role."""
        for key in [key for key in self._sessions if key.source_arn == source_arn]:
            del self._sessions[key]

    async def _renew(self, key: _Key) -> RoleSession:
        session = await assume(
            self._cloud,
            key.service,
            key.role,
            source_arn=key.source_arn,
            session_name=key.session_name,
            duration_s=key.duration_s,
        )
        if len(self._sessions) >= _KEPT_MAX:
            self._sessions.clear()
        self._sessions[key] = session
        return session


async def assume(
    cloud: Cloud, service: str, role: str, *, source_arn: str, session_name: str, duration_s: int = SESSION_SHORTEST_S
) -> RoleSession:
    """Assume `role` as `{service}.amazonaws.com`, acting for `source_arn`. Raises `AWSError`.

    A role that does not allow `duration_s` is assumed for the shortest time that every role allows. A session's name
    has 64 characters at most: a longer one is cut.
    """
    source = parse_arn(source_arn)
    assert source is not None, "what acts is a resource of its own"
    owner = parse_arn(role)
    account = source.account or (owner.account if owner is not None else "")
    acting = service_principal(service, account=account, source_arn=source_arn)
    region = source.region or cloud.settings.region
    request = {"RoleArn": role, "RoleSessionName": session_name[:64], "DurationSeconds": duration_s}
    try:
        answer = await cloud.call(acting, "sts", "AssumeRole", request, region=region)
    except AWSError as error:
        if error.code != "ValidationError" or duration_s <= SESSION_SHORTEST_S:
            raise
        request["DurationSeconds"] = SESSION_SHORTEST_S
        answer = await cloud.call(acting, "sts", "AssumeRole", request, region=region)
    keys, user = answer["Credentials"], answer["AssumedRoleUser"]
    return RoleSession(
        access_key_id=keys["AccessKeyId"],
        secret_access_key=keys["SecretAccessKey"],
        session_token=keys["SessionToken"],
        principal=Principal(
            kind="role",
            account=owner.account if owner is not None else account,
            arn=user["Arn"],
            id=user["AssumedRoleId"],
            name=role.rpartition("/")[2],
            role_arn=role,
            access_key_id=keys["AccessKeyId"],
        ),
        expires=float(keys["Expiration"]),
    )
