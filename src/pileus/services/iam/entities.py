"""Finding and saving users, groups, roles, policies and instance profiles, and how answers show them."""

from __future__ import annotations

from functools import partial
from typing import Any, TypeVar
from urllib.parse import quote

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer
from pileus.kernel.arn import make_arn
from pileus.kernel.ids import BASE32, Ids
from pileus.services.iam import errors, keys
from pileus.services.iam.identities import IamIdentities
from pileus.services.iam.records import Entity, Group, InstanceProfile, Policy, Role, User, decode, encode
from pileus.store.contract import Reader, Transaction

E = TypeVar("E", bound=User | Group | Role | InstanceProfile)
Record = User | Group | Role | InstanceProfile | Policy

KINDS: dict[type[Any], keys.Kind] = {
    User: "user",
    Group: "group",
    Role: "role",
    Policy: "policy",
    InstanceProfile: "instance-profile",
}
_ID_PREFIXES: dict[type[Any], str] = {
    User: "AIDA",
    Group: "AGPA",
    Role: "AROA",
    Policy: "ANPA",
    InstanceProfile: "AIPA",
}


def new_id(kind: type[Any], ids: Ids) -> str:
    """A unique id: four letters of its kind and 17 characters."""
    return _ID_PREFIXES[kind] + ids.string(17, BASE32)


async def find(tx: Reader, account: str, kind: type[E], name: str) -> E | None:
    raw = await tx.get(keys.entity(account, KINDS[kind], name))
    return None if raw is None else decode(raw, kind)


async def load(tx: Reader, account: str, kind: type[E], name: str) -> E:
    """The record; raises NoSuchEntity."""
    found = await find(tx, account, kind, name)
    if found is None:
        raise errors.not_found(KINDS[kind], name)
    return found


def save(ctx: Context, tx: Transaction, record: Record) -> None:
    tx.put(keys.entity(ctx.account, KINDS[type(record)], record.name), encode(record))
    changed(ctx, tx)


def remove(ctx: Context, tx: Transaction, record: Record) -> None:
    tx.delete(keys.entity(ctx.account, KINDS[type(record)], record.name))
    changed(ctx, tx)


def changed(ctx: Context, tx: Transaction) -> None:
    """What this node remembers of the account's identities is no longer true once `tx` is committed."""
    tx.on_commit(partial(ctx.cloud.part(IamIdentities).forget, ctx.account))


def arn_of(account: str, record: Entity | InstanceProfile) -> str:
    return make_arn("iam", "", account, f"{KINDS[type(record)]}{record.path}{record.name}")


def document_answer(document: str) -> str:
    """A policy document as IAM answers it: percent-encoded."""
    return quote(document, safe="")


def tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def boundary_answer(arn: str) -> Answer:
    return {"PermissionsBoundary": {"PermissionsBoundaryType": "Policy", "PermissionsBoundaryArn": arn}} if arn else {}


def user_answer(account: str, user: User, *, detail: bool = True) -> Answer:
    """A User; its boundary and tags only in `detail`: lists do not show them."""
    answer: Answer = {
        "Path": user.path,
        "UserName": user.name,
        "UserId": user.id,
        "Arn": arn_of(account, user),
        "CreateDate": user.created,
    }
    if detail:
        answer |= boundary_answer(user.boundary)
        if user.tags:
            answer["Tags"] = tag_list(user.tags)
    return answer


def group_answer(account: str, group: Group) -> Answer:
    return {
        "Path": group.path,
        "GroupName": group.name,
        "GroupId": group.id,
        "Arn": arn_of(account, group),
        "CreateDate": group.created,
    }


def role_answer(account: str, role: Role, *, created: bool = False, detail: bool = True) -> Answer:
    """A Role as CreateRole (`created`), GetRole (`detail`) and lists show it."""
    answer: Answer = {
        "Path": role.path,
        "RoleName": role.name,
        "RoleId": role.id,
        "Arn": arn_of(account, role),
        "CreateDate": role.created,
        "AssumeRolePolicyDocument": document_answer(role.trust),
    }
    if role.description is not None and not created:
        answer["Description"] = role.description
    if not created:
        answer["MaxSessionDuration"] = role.max_session_s
    if detail or created:
        answer |= boundary_answer(role.boundary)
        if role.tags:
            answer["Tags"] = tag_list(role.tags)
    if detail and not created:
        answer["RoleLastUsed"] = {}
    return answer
