"""AWS STS's manifest."""

from __future__ import annotations

from collections.abc import Sequence

from pileus.cloud.context import Context
from pileus.cloud.manifest import Permission, Request, Service, free, reading
from pileus.kernel.arn import make_arn
from pileus.services.sts.operations import identity, roles, sessions


def _none(ctx: Context, request: Request) -> Sequence[Permission]:
    """Nobody needs a permission for it, and nobody can be denied it; or the operation decides by itself."""
    return ()


def _federate(ctx: Context, request: Request) -> Sequence[Permission]:
    return (
        Permission("sts:GetFederationToken", make_arn("sts", "", ctx.account, f"federated-user/{request['Name']}")),
    )


SERVICE = Service(
    name="sts",
    operations={
        # The role's trust policy has its say, and may be another account's.
        "AssumeRole": reading(roles.assume_role, _none),
        "GetCallerIdentity": free(identity.get_caller_identity, _none),
        "GetSessionToken": reading(sessions.get_session_token, _none),
        "GetFederationToken": reading(sessions.get_federation_token, _federate),
        "GetAccessKeyInfo": free(identity.get_access_key_info),
    },
)
