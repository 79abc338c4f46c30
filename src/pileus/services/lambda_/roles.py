"""Function roles: assumed as the service principal of Lambda, kept until their credentials are about to end."""

from __future__ import annotations

from pileus.cloud.context import Cloud
from pileus.cloud.roles import RoleSession, RoleSessions, assume
from pileus.kernel.errors import AWSError
from pileus.services.lambda_ import errors
from pileus.services.lambda_.names import Target

# What AWS gives functions; a role's own limit may be lower.
SESSION_S = 12 * 3600


async def session(cloud: Cloud, function: Target, role: str) -> RoleSession:
    """Credentials of `role` for `function` that last long enough; raises where Lambda may not assume it."""
    try:
        return await cloud.part(RoleSessions).session(
            "lambda", role, source_arn=function.arn, session_name=function.name, duration_s=SESSION_S
        )
    except AWSError as error:
        raise _not_assumable(error) from None


async def check(cloud: Cloud, function: Target, role: str) -> None:
    """Raise unless Lambda may assume `role` for `function`, whether or not the function is there yet."""
    try:
        await assume(cloud, "lambda", role, source_arn=function.arn, session_name=function.name, duration_s=SESSION_S)
    except AWSError as error:
        raise _not_assumable(error) from None


def _not_assumable(error: AWSError) -> AWSError:
    return error if error.fault == "server" else errors.role_not_assumable()
