"""IAM's store keys. IAM is global: its region is "". Names are told apart without regard to case.

(iam, account, "", kind, name)                     users, groups, roles, policies, instance profiles
(iam, account, "", "member", group, user)          who is in a group
(iam, account, "", "attached", arn, kind, name)    to what a managed policy is attached
(iam, account, "", "bounded", arn, kind, name)     of what a managed policy is the boundary
(iam, account, "", "profiled", role, profile)      which instance profiles hold a role
(iam, account, "", "credential", id)               service-specific credentials
(iam, account, "", "alias", alias)                 the account's alias
(iam, "", "", "access-key", id)                    access keys of all accounts, and beside them their last use
"""

from __future__ import annotations

from typing import Literal

from pileus.store.keys import pack, prefix_range

Kind = Literal["user", "group", "role", "policy", "instance-profile"]
Relation = Literal["attached", "bounded"]


def entity(account: str, kind: Kind, name: str) -> bytes:
    return pack("iam", account, "", kind, name.lower())


def entities(account: str, kind: Kind) -> tuple[bytes, bytes]:
    return prefix_range("iam", account, "", kind)


def member(account: str, group: str, user: str) -> bytes:
    return pack("iam", account, "", "member", group.lower(), user.lower())


def members(account: str, group: str) -> tuple[bytes, bytes]:
    return prefix_range("iam", account, "", "member", group.lower())


def related(account: str, relation: Relation, arn: str, kind: Kind, name: str) -> bytes:
    return pack("iam", account, "", relation, arn, kind, name.lower())


def related_to(account: str, relation: Relation, arn: str) -> tuple[bytes, bytes]:
    return prefix_range("iam", account, "", relation, arn)


def profile_of_role(account: str, role: str, profile: str) -> bytes:
    return pack("iam", account, "", "profiled", role.lower(), profile.lower())


def profiles_of_role(account: str, role: str) -> tuple[bytes, bytes]:
    return prefix_range("iam", account, "", "profiled", role.lower())


def service_credential(account: str, id: str) -> bytes:
    return pack("iam", account, "", "credential", id)


def alias(account: str) -> bytes:
    return pack("iam", account, "", "alias")


def aliased(alias_name: str) -> bytes:
    return pack("iam", "", "", "alias", alias_name)


def access_key(id: str) -> bytes:
    return pack("iam", "", "", "access-key", id)


def access_key_use(id: str) -> bytes:
    return pack("iam", "", "", "access-key-use", id)


def deletion_task(account: str, id: str) -> bytes:
    return pack("iam", account, "", "deletion", id)
