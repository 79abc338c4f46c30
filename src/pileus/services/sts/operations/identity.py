"""Who calls, and whose a key is."""

from __future__ import annotations

from pileus.access.access_keys import account_of
from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.services.sts import errors


async def get_caller_identity(ctx: Context, request: Request) -> Answer:
    principal = ctx.principal
    return {"UserId": principal.id, "Account": principal.account, "Arn": principal.arn}


async def get_access_key_info(ctx: Context, request: Request) -> Answer:
    id = request["AccessKeyId"]
    account = account_of(id)
    if account is None:
        raise errors.validation_error(f"Invalid AccessKeyId: {id}")
    return {"Account": account}
