"""Text messages: settings, opt-outs, the sandbox.

Sources: the API reference's pages of these operations; recorded answers.
"""

from __future__ import annotations

import string

import msgspec

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.cloud.pages import page_answer, read_page
from pileus.kernel.paging import BadToken
from pileus.services.sns import endpoints, errors, keys, mailbox, quotas, texting
from pileus.services.sns.records import SandboxNumber, Sent, decode, encode
from pileus.store.contract import Reader, Transaction

PAGE = 100
_PASSWORD_CHARS = 6


async def set_sms_attributes(ctx: Context, tx: Transaction, request: Request) -> Answer:
    given = request["attributes"]
    texting.check(given)
    settings = await texting.settings_of(tx, ctx.account, ctx.region)
    merged = {name: value for name, value in (settings.attributes | given).items() if value}
    changed = msgspec.structs.replace(settings, attributes=merged)
    texting.put(tx, ctx.account, ctx.region, changed)
    return {}


async def get_sms_attributes(ctx: Context, tx: Reader, request: Request) -> Answer:
    settings = await texting.settings_of(tx, ctx.account, ctx.region)
    return {"attributes": texting.show(settings, request.get("attributes") or ())}


async def check_if_phone_number_is_opted_out(ctx: Context, tx: Reader, request: Request) -> Answer:
    number = endpoints.check_known_number(request["phoneNumber"])
    return {"isOptedOut": await texting.is_opted_out(tx, ctx.account, ctx.region, number)}


async def list_phone_numbers_opted_out(ctx: Context, tx: Reader, request: Request) -> Answer:
    return {"phoneNumbers": (await texting.settings_of(tx, ctx.account, ctx.region)).opted_out}


async def opt_in_phone_number(ctx: Context, tx: Transaction, request: Request) -> Answer:
    await texting.opt_in(tx, ctx.account, ctx.region, endpoints.check_known_number(request["phoneNumber"]))
    return {}


async def get_sms_sandbox_account_status(ctx: Context, tx: Reader, request: Request) -> Answer:
    """Accounts are out of the sandbox: every number is sent to."""
    return {"IsInSandbox": False}


async def create_sms_sandbox_phone_number(ctx: Context, tx: Transaction, request: Request) -> Answer:
    number = endpoints.check_known_number(request["PhoneNumber"])
    if await texting.is_opted_out(tx, ctx.account, ctx.region, number):
        raise errors.opted_out()
    known = await tx.scan(*keys.sandboxes(ctx.account, ctx.region), limit=quotas.SANDBOX_NUMBERS_MAX)
    key = keys.sandbox(ctx.account, ctx.region, number)
    if len(known) >= quotas.SANDBOX_NUMBERS_MAX and all(key != other for other, _ in known):
        raise errors.too_many_numbers()
    password = ctx.cloud.ids.string(_PASSWORD_CHARS, string.digits)
    tx.put(key, encode(SandboxNumber(number=number, password=password)))
    id = ctx.cloud.ids.uuid()
    text = f"Your verification code is {password}"
    sent = Sent(kind="sms", to=number, message_id=id, time=ctx.now, body=text)
    mailbox.put(tx, ctx.account, ctx.region, sent, id)
    return {}


async def _get_number(ctx: Context, tx: Reader, number: str) -> SandboxNumber:
    raw = await tx.get(keys.sandbox(ctx.account, ctx.region, number))
    if raw is None:
        raise errors.no_number()
    return decode(SandboxNumber, raw)


async def verify_sms_sandbox_phone_number(ctx: Context, tx: Transaction, request: Request) -> Answer:
    kept = await _get_number(ctx, tx, request["PhoneNumber"])
    if kept.password != request["OneTimePassword"]:
        raise errors.wrong_password()
    key = keys.sandbox(ctx.account, ctx.region, kept.number)
    tx.put(key, encode(msgspec.structs.replace(kept, verified=True)))
    return {}


async def delete_sms_sandbox_phone_number(ctx: Context, tx: Transaction, request: Request) -> Answer:
    kept = await _get_number(ctx, tx, request["PhoneNumber"])
    tx.delete(keys.sandbox(ctx.account, ctx.region, kept.number))
    return {}


async def list_sms_sandbox_phone_numbers(ctx: Context, tx: Reader, request: Request) -> Answer:
    def show(data: bytes) -> Answer:
        one = decode(SandboxNumber, data)
        return {"PhoneNumber": one.number, "Status": "Verified" if one.verified else "Pending"}

    span = keys.sandboxes(ctx.account, ctx.region)
    limit = request.get("MaxResults") or PAGE
    try:
        found, token = await read_page(tx, span, show, limit=limit, token=request.get("NextToken"))
    except BadToken:
        raise errors.bad_next_token() from None
    return page_answer("PhoneNumbers", found, token)


async def list_origination_numbers(ctx: Context, tx: Reader, request: Request) -> Answer:
    """Numbers to send from are bought elsewhere: nobody has one."""
    return {"PhoneNumbers": []}
