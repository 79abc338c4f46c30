"""Function roles: assumed as the service principal of Lambda, kept until their credentials are about to end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from pileus.cloud.context import Cloud
from pileus.kernel.errors import AWSError
from pileus.kernel.principal import Principal, service_principal
from pileus.services.lambda_ import errors
from pileus.services.lambda_.execution import RoleCredentials
from pileus.services.lambda_.names import Target

# What AWS gives functions; a role's own limit may be lower.
SESSION_S = 12 * 3600
SESSION_SHORTEST_S = 3600
# An environment keeps the credentials it was made with for an invocation of up to 15 minutes.
RENEW_BEFORE_S = 1200.0


@dataclass(frozen=True, slots=True)
class RoleSession:
    credentials: RoleCredentials
    principal: Principal
    expires: float


class Roles:
    """The node's role sessions, one per function and role."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._sessions: dict[tuple[Target, str], RoleSession] = {}
        self._assuming: dict[tuple[Target, str], asyncio.Task[RoleSession]] = {}

    async def session(self, function: Target, role: str) -> RoleSession:
        """Credentials of `role` for `function` that last long enough; raises where Lambda may not assume it."""
        key = (function._replace(qualifier=""), role)
        found = self._sessions.get(key)
        if found is not None and found.expires - self._cloud.clock.time() > RENEW_BEFORE_S:
            return found
        task = self._assuming.get(key)
        if task is None:
            task = asyncio.create_task(self._renew(key))
            self._assuming[key] = task
            task.add_done_callback(lambda _: self._assuming.pop(key, None))
        return await asyncio.shield(task)

    async def _renew(self, key: tuple[Target, str]) -> RoleSession:
        session = await assume(self._cloud, *key)
        self._sessions[key] = session
        return session

    def forget(self, function: Target) -> None:
        for key in [key for key in self._sessions if key[0] == function._replace(qualifier="")]:
            del self._sessions[key]


async def assume(cloud: Cloud, function: Target, role: str) -> RoleSession:
    """Assume `role` for `function`, whether or not the function is there yet."""
    lambda_ = service_principal("lambda", account=function.account, source_arn=function.arn)
    request = {"RoleArn": role, "RoleSessionName": function.name, "DurationSeconds": SESSION_S}
    try:
        try:
            answer = await cloud.call(lambda_, "sts", "AssumeRole", request, region=function.region)
        except AWSError as error:
            if error.code != "ValidationError":
                raise
            request["DurationSeconds"] = SESSION_SHORTEST_S
            answer = await cloud.call(lambda_, "sts", "AssumeRole", request, region=function.region)
    except AWSError as error:
        if error.fault == "server":
            raise
        raise errors.role_not_assumable() from None
    keys, user = answer["Credentials"], answer["AssumedRoleUser"]
    return RoleSession(
        RoleCredentials(keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"]),
        Principal(
            kind="role",
            account=function.account,
            arn=user["Arn"],
            id=user["AssumedRoleId"],
            name=role.rpartition("/")[2],
            role_arn=role,
            access_key_id=keys["AccessKeyId"],
        ),
        float(keys["Expiration"]),
    )
