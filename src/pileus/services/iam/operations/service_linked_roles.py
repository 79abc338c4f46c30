"""Roles that AWS's services make for themselves."""

from __future__ import annotations

import orjson

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.services.iam import errors, keys
from pileus.services.iam.entities import KINDS, find, load, new_id, remove, role_answer, save
from pileus.services.iam.records import Role
from pileus.services.iam.service_linked import TEMPLATES
from pileus.store.contract import Reader, Transaction


async def create_service_linked_role(ctx: Context, tx: Transaction, request: Request) -> Answer:
    service = request["AWSServiceName"]
    template = TEMPLATES.get(service)
    if template is None:
        raise errors.no_such_entity(f"Service-linked role template for {service} cannot be found.")
    name = template.role
    suffix = request.get("CustomSuffix")
    if suffix is not None:
        if not template.suffix:
            raise errors.invalid_input(f"Custom suffix is not allowed for {service}")
        name = f"{name}_{suffix}"
    if await find(tx, ctx.account, Role, name) is not None:
        raise errors.invalid_input(
            f"Service role name {name} has been taken in this account, please try a different suffix."
        )
    arn = f"arn:aws:iam::aws:policy/aws-service-role/{template.policy}"
    statement = {"Action": ["sts:AssumeRole"], "Effect": "Allow", "Principal": {"Service": [service]}}
    role = Role(
        name=name,
        id=new_id(Role, ctx.cloud.ids),
        path=f"/aws-service-role/{service}/",
        created=float(int(ctx.now)),
        trust=orjson.dumps({"Version": "2012-10-17", "Statement": [statement]}).decode(),
        description=request.get("Description", template.description),
        attached=[arn],
    )
    save(ctx, tx, role)
    tx.put(keys.related(ctx.account, "attached", arn, KINDS[Role], role.name), b"")
    return {"Role": role_answer(ctx.account, role, created=True)}


async def delete_service_linked_role(ctx: Context, tx: Transaction, request: Request) -> Answer:
    role = await load(tx, ctx.account, Role, request["RoleName"])
    if not role.path.startswith("/aws-service-role/"):
        raise errors.no_such_entity(f"The role with name {role.name} cannot be found.")
    for arn in role.attached:
        tx.delete(keys.related(ctx.account, "attached", arn, KINDS[Role], role.name))
    remove(ctx, tx, role)
    task = f"task{role.path}{role.name}/{ctx.cloud.ids.uuid()}"
    # No service of Pileus holds on to its role: the deletion is done when it is asked for.
    tx.put(keys.deletion_task(ctx.account, task), b"SUCCEEDED")
    return {"DeletionTaskId": task}


async def get_service_linked_role_deletion_status(ctx: Context, tx: Reader, request: Request) -> Answer:
    task = request["DeletionTaskId"]
    status = await tx.get(keys.deletion_task(ctx.account, task))
    if status is None:
        raise errors.no_such_entity(f"Deletion task {task} cannot be found.")
    return {"Status": status.decode()}
