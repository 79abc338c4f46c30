"""Event buses, and the policies on them.

Source: the API reference's pages of these operations; recorded answers.
"""

from __future__ import annotations

from typing import Any

import orjson

from pileus.access.policy import PolicyError, compile_policy
from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.arn import parse_arn
from pileus.kernel.errors import AWSError
from pileus.services.events import errors, keys, paging
from pileus.services.events.lookup import get_bus, make_default, save_bus
from pileus.services.events.names import DEFAULT, BusName, bus_name
from pileus.services.events.operations.partner_sources import find_source, get_source, set_state
from pileus.services.events.operations.tags import tags_of
from pileus.services.events.records import Bus, decode
from pileus.store.contract import Transaction

POLICY_BYTES_MAX = 10_240


async def create_event_bus(ctx: Context, tx: Transaction, request: Request) -> Answer:
    name = request["Name"]
    at = BusName(ctx.account, ctx.region, name)
    source = None
    if name.startswith("aws.partner/") or request.get("EventSourceName"):
        if request.get("EventSourceName") != name:
            raise errors.invalid("A partner event bus has the name of its event source.")
        source = await get_source(tx, at, ctx.now)
    elif "/" in name:
        raise errors.invalid("Event bus name must not contain '/'.")
    if name == DEFAULT or await tx.get(keys.bus(*at)) is not None:
        raise errors.exists(f"Event bus {name}")
    bus = Bus(
        name=name,
        created=ctx.now,
        modified=ctx.now,
        description=request.get("Description", ""),
        kms_key=request.get("KmsKeyIdentifier", ""),
        dead_letter=request.get("DeadLetterConfig"),
        log_config=request.get("LogConfig"),
        tags=tags_of(request),
    )
    save_bus(tx, at, bus, ctx.now)
    if source is not None:
        await set_state(tx, at, source, "ACTIVE", ctx.now)
    return {"EventBusArn": at.arn, **_settings(bus)}


def _settings(bus: Bus) -> Answer:
    shown: Answer = {}
    if bus.description:
        shown["Description"] = bus.description
    if bus.kms_key:
        shown["KmsKeyIdentifier"] = bus.kms_key
    if bus.dead_letter is not None:
        shown["DeadLetterConfig"] = bus.dead_letter
    if bus.log_config is not None:
        shown["LogConfig"] = bus.log_config
    return shown


async def update_event_bus(ctx: Context, tx: Transaction, request: Request) -> Answer:
    at = bus_name(ctx, request.get("Name"))
    bus = await get_bus(tx, at)
    bus.description = request.get("Description", bus.description)
    bus.kms_key = request.get("KmsKeyIdentifier", bus.kms_key)
    bus.dead_letter = request.get("DeadLetterConfig", bus.dead_letter)
    bus.log_config = request.get("LogConfig", bus.log_config)
    save_bus(tx, at, bus, ctx.now)
    return {"Arn": at.arn, "Name": bus.name, **_settings(bus)}


async def delete_event_bus(ctx: Context, tx: Transaction, request: Request) -> None:
    at = bus_name(ctx, request["Name"])
    if at.name == DEFAULT:
        raise errors.invalid("Cannot delete event bus default.")
    await get_bus(tx, at)
    if await tx.scan(*keys.rules(*at), limit=1):
        raise errors.invalid("Event bus can't be deleted since it has rules.")
    tx.delete(keys.bus(*at))
    tx.delete(keys.rules_version(*at))
    source = await find_source(tx, at, ctx.now)
    if source is not None and source.state == "DELETED":
        tx.delete(keys.partner_source(*at))
    elif source is not None:
        await set_state(tx, at, source, "PENDING", ctx.now)


async def describe_event_bus(ctx: Context, tx: Transaction, request: Request) -> Answer:
    at = bus_name(ctx, request.get("Name"))
    if (at.account, at.region) == (ctx.account, ctx.region):
        await make_default(ctx, tx)
    bus = await get_bus(tx, at)
    shown = _shown(at, bus) | _settings(bus)
    shown.pop("Description", None)
    if bus.description:
        shown["Description"] = bus.description
    return shown


def _shown(at: BusName, bus: Bus) -> Answer:
    shown: Answer = {
        "Name": bus.name,
        "Arn": at.arn,
        "CreationTime": bus.created,
        "LastModifiedTime": bus.modified,
    }
    if bus.description:
        shown["Description"] = bus.description
    if bus.statements:
        shown["Policy"] = orjson.dumps({"Version": "2012-10-17", "Statement": bus.statements}).decode()
    return shown


async def list_event_buses(ctx: Context, tx: Transaction, request: Request) -> Answer:
    await make_default(ctx, tx)

    def show(data: bytes) -> Answer:
        bus = decode(Bus, data)
        return _shown(BusName(ctx.account, ctx.region, bus.name), bus)

    span = keys.buses(ctx.account, ctx.region, request.get("NamePrefix", ""))
    found, token = await paging.page(tx, request, span, show)
    return paging.answer("EventBuses", found, token)


# -- policies ----------------------------------------------------------------------------------------------------------


async def put_permission(ctx: Context, tx: Transaction, request: Request) -> None:
    at = bus_name(ctx, request.get("EventBusName"))
    bus = await get_bus(tx, at)
    if request.get("Policy") is not None:
        if any(request.get(member) is not None for member in ("Action", "Principal", "StatementId", "Condition")):
            raise errors.invalid("Policy can't be combined with Action, Principal, StatementId or Condition.")
        bus.statements = _statements(request["Policy"])
    else:
        for member in ("Action", "Principal", "StatementId"):
            if request.get(member) is None:
                raise errors.invalid(f"Parameter {member} is not valid. Reason: {member} is a required argument.")
        statement: dict[str, Any] = {
            "Sid": request["StatementId"],
            "Effect": "Allow",
            "Principal": _principal(request["Principal"]),
            "Action": request["Action"],
            "Resource": at.arn,
        }
        if condition := request.get("Condition"):
            statement["Condition"] = {condition["Type"]: {condition["Key"]: condition["Value"]}}
        bus.statements = [one for one in bus.statements if one.get("Sid") != statement["Sid"]] + [statement]
    try:
        # What cannot be evaluated would keep everybody out, who could mend it too.
        compile_policy({"Version": "2012-10-17", "Statement": bus.statements})
    except PolicyError as error:
        raise errors.invalid(f"Policy is not valid. Reason: {error}.") from None
    if len(orjson.dumps(bus.statements)) > POLICY_BYTES_MAX:
        raise AWSError("PolicyLengthExceededException", "Policy length exceeds the maximum.")
    save_bus(tx, at, bus, ctx.now)


def _principal(principal: str) -> str | dict[str, str]:
    if principal == "*":
        return "*"
    if parse_arn(principal) is not None:
        return {"AWS": principal}
    if not (len(principal) == 12 and principal.isascii() and principal.isdigit()):
        raise errors.invalid("Provided value in parameter 'principal' is not valid.")
    return {"AWS": f"arn:aws:iam::{principal}:root"}


def _statements(text: str) -> list[dict[str, Any]]:
    try:
        policy = orjson.loads(text)
    except orjson.JSONDecodeError:
        policy = None
    statements = policy.get("Statement") if isinstance(policy, dict) else None
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list) or not all(
        isinstance(one, dict)
        and one.get("Effect") in ("Allow", "Deny")
        and ("Principal" in one or "NotPrincipal" in one)
        and ("Action" in one or "NotAction" in one)
        and ("Resource" in one or "NotResource" in one)
        for one in statements
    ):
        raise errors.invalid("Policy is not valid.")
    return statements


async def remove_permission(ctx: Context, tx: Transaction, request: Request) -> None:
    at = bus_name(ctx, request.get("EventBusName"))
    bus = await get_bus(tx, at)
    if request.get("RemoveAllPermissions"):
        bus.statements = []
    else:
        sid = request.get("StatementId")
        left = [one for one in bus.statements if one.get("Sid") != sid]
        if not bus.statements or len(left) == len(bus.statements):
            raise errors.not_found("Statement with the provided id does not exist.")
        bus.statements = left
    save_bus(tx, at, bus, ctx.now)
