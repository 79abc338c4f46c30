"""Sessions of users and of those whom they vouch for."""

from __future__ import annotations

import msgspec

from pileus.access.contract import Identities
from pileus.access.sessions import Sessions, issue_session
from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.arn import make_arn
from pileus.kernel.errors import NotBuilt
from pileus.kernel.principal import Principal
from pileus.services.sts import errors
from pileus.services.sts.credentials import credentials_answer
from pileus.services.sts.session_policies import passed
from pileus.store.contract import Reader

DURATION_DEFAULT_S = 12 * 3600
ROOT_DURATION_MAX_S = 3600


async def get_session_token(ctx: Context, tx: Reader, request: Request) -> Answer:
    """Source: the API reference of `GetSessionToken`."""
    for member in ("SerialNumber", "TokenCode"):
        if member in request:
            raise NotBuilt(f"sts:GetSessionToken with {member}")
    principal = _long_term(ctx, "GetSessionToken")
    issued = issue_session(
        ctx.cloud.part(Sessions), ctx.cloud.ids, principal, now=ctx.now, duration_s=_duration_s(principal, request)
    )
    return {"Credentials": credentials_answer(issued)}


async def get_federation_token(ctx: Context, tx: Reader, request: Request) -> Answer:
    """Source: the API reference of `GetFederationToken`."""
    caller = _long_term(ctx, "GetFederationToken")
    given = await passed(request, ctx.cloud.part(Identities), tx)
    name = request["Name"]
    principal = Principal(
        kind="federated",
        account=ctx.account,
        arn=make_arn("sts", "", ctx.account, f"federated-user/{name}"),
        id=f"{ctx.account}:{name}",
        name=name,
        # Whose policies the session's are narrowed from.
        role_arn=caller.arn,
        session_policies=tuple(given.documents),
        tags={**caller.tags, **given.tags},
    )
    issued = issue_session(
        ctx.cloud.part(Sessions), ctx.cloud.ids, principal, now=ctx.now, duration_s=_duration_s(caller, request)
    )
    return {
        "Credentials": credentials_answer(issued),
        "FederatedUser": {"FederatedUserId": principal.id, "Arn": principal.arn},
        "PackedPolicySize": given.packed_size or 0,
    }


def _long_term(ctx: Context, operation: str) -> Principal:
    """The caller, unless its own credentials are temporary ones."""
    principal = ctx.principal
    if principal.issued or principal.kind not in ("root", "user"):
        raise errors.access_denied(f"Cannot call {operation} with session credentials")
    return msgspec.structs.replace(principal, access_key_id="")


def _duration_s(principal: Principal, request: Request) -> int:
    """As asked for; a root user's sessions end after an hour, whatever was asked for."""
    asked: int = request.get("DurationSeconds", DURATION_DEFAULT_S)
    return min(asked, ROOT_DURATION_MAX_S) if principal.kind == "root" else asked
