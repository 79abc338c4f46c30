"""The targets of rules.

Source: the API reference's pages of these operations; recorded answers.
"""

from __future__ import annotations

from typing import Any

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.arn import parse_arn
from pileus.services.events import errors, targets
from pileus.services.events.lookup import get_rule, save_rule
from pileus.services.events.names import RuleName
from pileus.services.events.operations.rules import MANAGED_BY, check_manager
from pileus.services.events.paging import PAGE
from pileus.services.events.records import Rule
from pileus.store.contract import Reader, Transaction

# "Targets per rule: 5".
TARGETS_MAX = 5


async def put_targets(ctx: Context, tx: Transaction, request: Request) -> Answer:
    at, rule = await get_rule(ctx, tx, request, "Rule")
    check_manager(rule, request)
    for target in request["Targets"]:
        targets.check(target, at.bus.account, managed=MANAGED_BY in request)
    merged = {**rule.targets, **{target["Id"]: _put(at, rule, target) for target in request["Targets"]}}
    if len(merged) > TARGETS_MAX:
        raise errors.too_many()
    rule.targets = merged
    save_rule(ctx, tx, at, rule)
    return {"FailedEntryCount": 0, "FailedEntries": []}


def _put(at: RuleName, rule: Rule, target: dict[str, Any]) -> dict[str, Any]:
    """The target as it is kept: another account's bus keeps the role that it had, where nothing is said of one."""
    former = rule.targets.get(target["Id"])
    if (
        former is not None
        and former["Arn"] == target["Arn"]
        and "RoleArn" in former
        and targets.is_foreign_bus(parse_arn(target["Arn"]), at.bus.account)
    ):
        return {"RoleArn": former["RoleArn"], **target}
    return target


async def remove_targets(ctx: Context, tx: Transaction, request: Request) -> Answer:
    at, rule = await get_rule(ctx, tx, request, "Rule")
    if rule.managed_by and not request.get("Force"):
        raise errors.managed(rule.name)
    failed = [
        {
            "TargetId": id,
            "ErrorCode": "ResourceNotFoundException",
            "ErrorMessage": f"Rule {rule.name} does not have a target with the Id {id}.",
        }
        for id in request["Ids"]
        if id not in rule.targets
    ]
    rule.targets = {id: target for id, target in rule.targets.items() if id not in request["Ids"]}
    save_rule(ctx, tx, at, rule)
    return {"FailedEntryCount": len(failed), "FailedEntries": failed}


async def list_targets_by_rule(ctx: Context, tx: Reader, request: Request) -> Answer:
    _, rule = await get_rule(ctx, tx, request, "Rule")
    found = list(rule.targets.values())
    limit = request.get("Limit") or PAGE
    begin = 0
    if token := request.get("NextToken"):
        ids = list(rule.targets)
        if token not in ids:
            raise errors.bad_token()
        begin = ids.index(token)
    shown: Answer = {"Targets": found[begin : begin + limit]}
    if begin + limit < len(found):
        shown["NextToken"] = found[begin + limit]["Id"]
    return shown
