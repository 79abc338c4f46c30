"""Managed policies and their versions."""

from __future__ import annotations

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.arn import make_arn
from pileus.services.iam import aws_policies, errors, keys, managed, tags
from pileus.services.iam.aws_policies import AwsPolicy
from pileus.services.iam.documents import check_managed_policy
from pileus.services.iam.entities import KINDS, document_answer, find, new_id, remove, save, tag_list
from pileus.services.iam.paging import listing, page, truncation
from pileus.services.iam.records import Group, Policy, PolicyVersion, Role, User, decode
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import unpack

_CLASSES = {kind: record for record, kind in KINDS.items()}


async def create_policy(ctx: Context, tx: Transaction, request: Request) -> Answer:
    name, path = request["PolicyName"], request.get("Path", "/")
    check_managed_policy(request["PolicyDocument"])
    if await tx.get(keys.entity(ctx.account, "policy", name)) is not None:
        raise errors.already_exists(f"A policy called {name} already exists. Duplicate names are not allowed.")
    now = float(int(ctx.now))
    policy = Policy(
        name=name,
        id=new_id(Policy, ctx.cloud.ids),
        path=path,
        arn=make_arn("iam", "", ctx.account, f"policy{path}{name}"),
        created=now,
        updated=now,
        description=request.get("Description"),
        tags=tags.merged({}, request.get("Tags", ())),
        versions={"v1": PolicyVersion(document=request["PolicyDocument"], created=now)},
        default="v1",
        next_version=2,
    )
    save(ctx, tx, policy)
    return {"Policy": await managed.answer(tx, ctx.account, policy)}


async def get_policy(ctx: Context, tx: Reader, request: Request) -> Answer:
    policy = await managed.load(tx, ctx.account, request["PolicyArn"])
    return {"Policy": await managed.answer(tx, ctx.account, policy, detail=True)}


async def list_policies(ctx: Context, tx: Reader, request: Request) -> Answer:
    scope = request.get("Scope", "All")
    prefix = request.get("PathPrefix", "/")
    relation: keys.Relation = "bounded" if request.get("PolicyUsageFilter") == "PermissionsBoundary" else "attached"

    async def wanted(arn: str, path: str) -> bool:
        if not path.startswith(prefix):
            return False
        return not request.get("OnlyAttached") or await managed.count(tx, ctx.account, relation, arn) > 0

    candidates: list[Policy | AwsPolicy] = []
    if scope != "Local":
        candidates += aws_policies.all_policies().values()
    if scope != "AWS":
        # An account has 1500 policies of its own at most.
        start, end = keys.entities(ctx.account, "policy")
        candidates += [decode(raw, Policy) for _, raw in await tx.scan(start, end, limit=10_000)]
    found = [await managed.answer(tx, ctx.account, one) for one in candidates if await wanted(one.arn, one.path)]
    return listing("Policies", *page(found, request))


async def list_entities_for_policy(ctx: Context, tx: Reader, request: Request) -> Answer:
    policy = await managed.load(tx, ctx.account, request["PolicyArn"])
    wanted = request.get("EntityFilter")
    prefix = request.get("PathPrefix", "/")
    relations: tuple[keys.Relation, ...] = ("attached", "bounded")
    if "PolicyUsageFilter" in request:
        relations = ("attached",) if request["PolicyUsageFilter"] == "PermissionsPolicy" else ("bounded",)
    entities: list[Group | Role | User] = []
    for relation in relations:
        start, end = keys.related_to(ctx.account, relation, policy.arn)
        for key, _ in await tx.scan(start, end, limit=10_000):
            *_, kind, name = unpack(key)
            entity = await find(tx, ctx.account, _CLASSES[kind], str(name))  # type: ignore[index]
            if entity is not None and entity.path.startswith(prefix) and entity not in entities:
                entities.append(entity)
    entities = [one for one in entities if wanted in (None, "LocalManagedPolicy", "AWSManagedPolicy", _title(one))]
    found, marker = page(entities, request)
    lists: dict[str, list[Answer]] = {"PolicyGroups": [], "PolicyUsers": [], "PolicyRoles": []}
    for one in found:
        title = _title(one)
        lists[f"Policy{title}s"].append({f"{title}Name": one.name, f"{title}Id": one.id})
    return {**lists, **truncation(marker)}


def _title(entity: Group | Role | User) -> str:
    return KINDS[type(entity)].capitalize()


async def delete_policy(ctx: Context, tx: Transaction, request: Request) -> None:
    arn = request["PolicyArn"]
    policy = await managed.load_own(tx, ctx.account, arn)
    relations: tuple[keys.Relation, ...] = ("attached", "bounded")
    for relation in relations:
        if await managed.count(tx, ctx.account, relation, arn):
            raise errors.delete_conflict("Cannot delete a policy attached to entities.")
    if len(policy.versions) > 1:
        raise errors.delete_conflict(
            "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. "
            "The default version is deleted with the policy."
        )
    remove(ctx, tx, policy)


async def create_policy_version(ctx: Context, tx: Transaction, request: Request) -> Answer:
    policy = await managed.load_own(tx, ctx.account, request["PolicyArn"])
    check_managed_policy(request["PolicyDocument"])
    if len(policy.versions) >= managed.VERSIONS_MAX:
        raise errors.limit_exceeded(
            f"A managed policy can have up to {managed.VERSIONS_MAX} versions. "
            "Before you create a new version, you must delete an existing version."
        )
    id = f"v{policy.next_version}"
    policy.next_version += 1
    policy.updated = float(int(ctx.now))
    policy.versions[id] = PolicyVersion(document=request["PolicyDocument"], created=policy.updated)
    if request.get("SetAsDefault"):
        policy.default = id
    save(ctx, tx, policy)
    return {"PolicyVersion": managed.versions(policy)[0][0]}


async def get_policy_version(ctx: Context, tx: Reader, request: Request) -> Answer:
    arn, id = request["PolicyArn"], request["VersionId"]
    policy = await managed.load(tx, ctx.account, arn)
    for version, document in managed.versions(policy):
        if version["VersionId"] == id:
            return {"PolicyVersion": {"Document": document_answer(document), **version}}
    raise errors.policy_version_not_found(arn, id)


async def list_policy_versions(ctx: Context, tx: Reader, request: Request) -> Answer:
    policy = await managed.load(tx, ctx.account, request["PolicyArn"])
    return listing("Versions", *page([version for version, _ in managed.versions(policy)], request))


async def set_default_policy_version(ctx: Context, tx: Transaction, request: Request) -> None:
    arn, id = request["PolicyArn"], request["VersionId"]
    policy = await managed.load_own(tx, ctx.account, arn)
    if id not in policy.versions:
        raise errors.policy_version_not_found(arn, id)
    policy.default = id
    policy.updated = float(int(ctx.now))
    save(ctx, tx, policy)


async def delete_policy_version(ctx: Context, tx: Transaction, request: Request) -> None:
    arn, id = request["PolicyArn"], request["VersionId"]
    policy = await managed.load_own(tx, ctx.account, arn)
    if id not in policy.versions:
        raise errors.policy_version_not_found(arn, id)
    if id == policy.default:
        raise errors.delete_conflict("Cannot delete the default version of a policy.")
    del policy.versions[id]
    save(ctx, tx, policy)


async def tag_policy(ctx: Context, tx: Transaction, request: Request) -> None:
    policy = await managed.load_own(tx, ctx.account, request["PolicyArn"])
    policy.tags = tags.merged(policy.tags, request["Tags"])
    save(ctx, tx, policy)


async def untag_policy(ctx: Context, tx: Transaction, request: Request) -> None:
    policy = await managed.load_own(tx, ctx.account, request["PolicyArn"])
    policy.tags = tags.without(policy.tags, request["TagKeys"])
    save(ctx, tx, policy)


async def list_policy_tags(ctx: Context, tx: Reader, request: Request) -> Answer:
    policy = await managed.load_own(tx, ctx.account, request["PolicyArn"])
    return listing("Tags", *page(tag_list(policy.tags), request))
