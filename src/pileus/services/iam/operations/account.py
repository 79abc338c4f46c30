"""The account as a whole: its alias, its counts and quotas, everything that is in it."""

from __future__ import annotations

from typing import Any

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.services.iam import attached, aws_policies, documents, errors, keys, managed
from pileus.services.iam.entities import (
    boundary_answer,
    document_answer,
    group_answer,
    load,
    role_answer,
    tag_list,
    user_answer,
)
from pileus.services.iam.operations.access_keys import ACCESS_KEYS_MAX
from pileus.services.iam.operations.groups import GROUPS_PER_USER_MAX
from pileus.services.iam.paging import listing, page, truncation
from pileus.services.iam.records import Entity, Group, InstanceProfile, Policy, Role, User, decode
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import unpack

# More than an account may have of any kind.
_ALL = 100_000


async def create_account_alias(ctx: Context, tx: Transaction, request: Request) -> None:
    alias = request["AccountAlias"]
    owner = await tx.get(keys.aliased(alias))
    if owner is not None and owner.decode() != ctx.account:
        raise errors.already_exists(f"The account alias {alias} already exists.")
    old = await tx.get(keys.alias(ctx.account))
    if old is not None:
        tx.delete(keys.aliased(old.decode()))
    tx.put(keys.alias(ctx.account), alias.encode())
    tx.put(keys.aliased(alias), ctx.account.encode())


async def delete_account_alias(ctx: Context, tx: Transaction, request: Request) -> None:
    alias = request["AccountAlias"]
    if await tx.get(keys.alias(ctx.account)) != alias.encode():
        raise errors.no_such_entity(f"The account alias {alias} cannot be found.")
    tx.delete(keys.alias(ctx.account))
    tx.delete(keys.aliased(alias))


async def list_account_aliases(ctx: Context, tx: Reader, request: Request) -> Answer:
    alias = await tx.get(keys.alias(ctx.account))
    return listing("AccountAliases", [] if alias is None else [alias.decode()], None)


async def get_account_summary(ctx: Context, tx: Reader, request: Request) -> Answer:
    async def count(kind: keys.Kind) -> int:
        return len(await tx.scan(*keys.entities(ctx.account, kind), limit=_ALL))

    policies = [decode(raw, Policy) for _, raw in await tx.scan(*keys.entities(ctx.account, "policy"), limit=_ALL)]
    summary = {
        "Users": await count("user"),
        "UsersQuota": 5000,
        "Groups": await count("group"),
        "GroupsQuota": 300,
        "GroupsPerUserQuota": GROUPS_PER_USER_MAX,
        "Roles": await count("role"),
        "RolesQuota": 1000,
        "InstanceProfiles": await count("instance-profile"),
        "InstanceProfilesQuota": 1000,
        "Policies": len(policies),
        "PoliciesQuota": 1500,
        "PolicySizeQuota": documents.MANAGED_POLICY_SIZE_MAX,
        "PolicyVersionsInUse": sum(len(policy.versions) for policy in policies),
        "PolicyVersionsInUseQuota": 10000,
        "VersionsPerPolicyQuota": managed.VERSIONS_MAX,
        "AttachedPoliciesPerUserQuota": attached.POLICIES_MAX,
        "AttachedPoliciesPerGroupQuota": attached.POLICIES_MAX,
        "AttachedPoliciesPerRoleQuota": attached.POLICIES_MAX,
        "UserPolicySizeQuota": documents.INLINE_POLICIES_SIZE_MAX["user"],
        "GroupPolicySizeQuota": documents.INLINE_POLICIES_SIZE_MAX["group"],
        "RolePolicySizeQuota": documents.INLINE_POLICIES_SIZE_MAX["role"],
        "AssumeRolePolicySizeQuota": documents.TRUST_POLICY_SIZE_MAX,
        "AccessKeysPerUserQuota": ACCESS_KEYS_MAX,
        "AccountAccessKeysPresent": 0,
        "AccountMFAEnabled": 0,
        "AccountPasswordPresent": 1,
        "AccountSigningCertificatesPresent": 0,
        "GlobalEndpointTokenVersion": 1,
        "MFADevices": 0,
        "MFADevicesInUse": 0,
        "Providers": 0,
        "ServerCertificates": 0,
        "ServerCertificatesQuota": 20,
        "SigningCertificatesPerUserQuota": 2,
    }
    return {"SummaryMap": summary}


async def get_account_authorization_details(ctx: Context, tx: Reader, request: Request) -> Answer:
    wanted = set(request.get("Filter", ("User", "Role", "Group", "LocalManagedPolicy", "AWSManagedPolicy")))
    details: list[tuple[str, Answer]] = []
    if "User" in wanted:
        details += [("UserDetailList", _user(ctx, one)) for one in await _all(ctx, tx, "user", User)]
    if "Group" in wanted:
        details += [("GroupDetailList", _group(ctx, one)) for one in await _all(ctx, tx, "group", Group)]
    if "Role" in wanted:
        details += [("RoleDetailList", await _role(ctx, tx, one)) for one in await _all(ctx, tx, "role", Role)]
    policies: list[Policy | aws_policies.AwsPolicy] = []
    if "LocalManagedPolicy" in wanted:
        policies += await _all(ctx, tx, "policy", Policy)
    if "AWSManagedPolicy" in wanted:
        policies += aws_policies.all_policies().values()
    for policy in policies:
        found = await managed.answer(tx, ctx.account, policy)
        found.pop("Tags", None)
        found["PolicyVersionList"] = [
            {"Document": document_answer(document), **version} for version, document in managed.versions(policy)
        ]
        # Of AWS's own policies only those in use are told.
        if isinstance(policy, Policy) or found["AttachmentCount"] or found["PermissionsBoundaryUsageCount"]:
            details.append(("Policies", found))
    items, marker = page(details, request)
    names = ("UserDetailList", "GroupDetailList", "RoleDetailList", "Policies")
    lists: dict[str, list[Answer]] = {name: [one for of, one in items if of == name] for name in names}
    return {**lists, **truncation(marker)}


async def _all(ctx: Context, tx: Reader, kind: keys.Kind, record: type[Any]) -> list[Any]:
    return [decode(raw, record) for _, raw in await tx.scan(*keys.entities(ctx.account, kind), limit=_ALL)]


def _inline(entity: Entity) -> list[Answer]:
    return [{"PolicyName": name, "PolicyDocument": document_answer(text)} for name, text in entity.inline.items()]


def _managed(entity: Entity) -> list[Answer]:
    return [attached.policy_answer(arn) for arn in entity.attached]


def _user(ctx: Context, user: User) -> Answer:
    return {
        **user_answer(ctx.account, user),
        "GroupList": user.groups,
        "UserPolicyList": _inline(user),
        "AttachedManagedPolicies": _managed(user),
        "Tags": tag_list(user.tags),
    }


def _group(ctx: Context, group: Group) -> Answer:
    return {
        **group_answer(ctx.account, group),
        "GroupPolicyList": _inline(group),
        "AttachedManagedPolicies": _managed(group),
    }


async def _role(ctx: Context, tx: Reader, role: Role) -> Answer:
    profiles: list[Answer] = []
    for key, _ in await tx.scan(*keys.profiles_of_role(ctx.account, role.name), limit=_ALL):
        profile = await load(tx, ctx.account, InstanceProfile, str(unpack(key)[-1]))
        profiles.append(
            {
                "Path": profile.path,
                "InstanceProfileName": profile.name,
                "InstanceProfileId": profile.id,
                "Arn": f"arn:aws:iam::{ctx.account}:instance-profile{profile.path}{profile.name}",
                "CreateDate": profile.created,
                "Roles": [role_answer(ctx.account, role, created=True)],
            }
        )
    shown = role_answer(ctx.account, role, created=True)
    return {
        **shown,
        "InstanceProfileList": profiles,
        "RolePolicyList": _inline(role),
        "AttachedManagedPolicies": _managed(role),
        **boundary_answer(role.boundary),
        "Tags": tag_list(role.tags),
        "RoleLastUsed": {},
    }
