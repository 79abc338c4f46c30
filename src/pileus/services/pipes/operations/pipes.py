"""Pipes and their tags.

Source: the API reference's pages of these operations.
"""

from __future__ import annotations

from typing import Any

from pileus.cloud.context import Context
from pileus.cloud.manifest import Answer, Request
from pileus.kernel.arn import parse_arn
from pileus.kernel.paging import BadToken, page_place, page_token
from pileus.services.pipes import errors, keys, settings
from pileus.services.pipes.names import PipeName
from pileus.services.pipes.records import Pipe, decode, encode
from pileus.services.pipes.running import Runners, find_pipe
from pileus.store.contract import Reader, Transaction
from pileus.store.keys import after

TAGS_MAX = 50
PAGE = 100
_CHUNK = 256
# Something is being done to the pipe: nothing else may be.
_BUSY = frozenset(("CREATING", "UPDATING", "DELETING", "STARTING", "STOPPING"))


def _at(ctx: Context, name: str) -> PipeName:
    return PipeName(ctx.account, ctx.region, name)


async def _get(tx: Reader, at: PipeName) -> Pipe:
    pipe = await find_pipe(tx, at)
    if pipe is None:
        raise errors.no_pipe(at.name)
    return pipe


def _save(ctx: Context, tx: Transaction, at: PipeName, pipe: Pipe) -> Answer:
    """Keep the pipe, and have it run as it should."""
    pipe.revision = ctx.cloud.ids.hex(16)
    tx.put(keys.pipe(*at), encode(pipe))
    tx.put(keys.index(*at), b"")
    tx.on_commit(lambda: ctx.cloud.part(Runners).changed(at))
    return _brief(at, pipe)


def _brief(at: PipeName, pipe: Pipe) -> Answer:
    return {
        "Arn": at.arn,
        "Name": at.name,
        "DesiredState": pipe.desired,
        "CurrentState": pipe.current,
        "CreationTime": pipe.created,
        "LastModifiedTime": pipe.modified,
    }


def _check_tags(tags: dict[str, str]) -> None:
    if any(key.lower().startswith("aws:") for key in tags):
        raise errors.invalid("Tag keys can't start with aws:.")
    if len(tags) > TAGS_MAX:
        raise errors.invalid(f"A pipe can't have more than {TAGS_MAX} tags.")


async def create_pipe(ctx: Context, tx: Transaction, request: Request) -> Answer:
    at = _at(ctx, request["Name"])
    settings.check_source(request["Source"], request.get("SourceParameters") or {})
    settings.check_enrichment(request.get("Enrichment") or "")
    settings.check_target(request["Target"], request.get("TargetParameters"))
    _check_tags(request.get("Tags") or {})
    if await find_pipe(tx, at) is not None:
        raise errors.exists(at.name, at.arn)
    pipe = Pipe(
        name=at.name,
        source=request["Source"],
        target=request["Target"],
        role=request["RoleArn"],
        created=ctx.now,
        modified=ctx.now,
        desired=request.get("DesiredState") or "RUNNING",
        description=request.get("Description"),
        enrichment=request.get("Enrichment") or "",
        source_parameters=request.get("SourceParameters") or {},
        enrichment_parameters=request.get("EnrichmentParameters"),
        target_parameters=request.get("TargetParameters"),
        log_configuration=request.get("LogConfiguration"),
        kms_key=request.get("KmsKeyIdentifier") or "",
        tags=request.get("Tags") or {},
    )
    return _save(ctx, tx, at, pipe)


async def update_pipe(ctx: Context, tx: Transaction, request: Request) -> Answer:
    at = _at(ctx, request["Name"])
    pipe = await _get(tx, at)
    _check_idle(at, pipe)
    for member, changes in (request.get("SourceParameters") or {}).items():
        before = pipe.source_parameters.get(member)
        merged = {**before, **changes} if isinstance(before, dict) and member != "FilterCriteria" else changes
        pipe.source_parameters = {**pipe.source_parameters, member: merged}
    pipe.description = request.get("Description", pipe.description)
    pipe.enrichment = request.get("Enrichment", pipe.enrichment)
    pipe.enrichment_parameters = request.get("EnrichmentParameters", pipe.enrichment_parameters)
    pipe.target = request.get("Target", pipe.target)
    pipe.target_parameters = request.get("TargetParameters", pipe.target_parameters)
    pipe.log_configuration = request.get("LogConfiguration", pipe.log_configuration)
    pipe.kms_key = request.get("KmsKeyIdentifier", pipe.kms_key)
    pipe.role = request["RoleArn"]
    pipe.desired = request.get("DesiredState", pipe.desired)
    settings.check_source(pipe.source, pipe.source_parameters)
    settings.check_enrichment(pipe.enrichment)
    settings.check_target(pipe.target, pipe.target_parameters)
    pipe.current, pipe.reason, pipe.modified = "UPDATING", "", ctx.now
    return _save(ctx, tx, at, pipe)


def _check_idle(at: PipeName, pipe: Pipe) -> None:
    if pipe.current in _BUSY:
        raise errors.in_state(at.name, pipe.current, at.arn)


async def start_pipe(ctx: Context, tx: Transaction, request: Request) -> Answer:
    return await _turn(ctx, tx, request, "RUNNING", "STARTING")


async def stop_pipe(ctx: Context, tx: Transaction, request: Request) -> Answer:
    return await _turn(ctx, tx, request, "STOPPED", "STOPPING")


async def _turn(ctx: Context, tx: Transaction, request: Request, desired: str, current: str) -> Answer:
    at = _at(ctx, request["Name"])
    pipe = await _get(tx, at)
    _check_idle(at, pipe)
    if pipe.current == desired:
        raise errors.in_state(at.name, pipe.current, at.arn)
    pipe.desired, pipe.current, pipe.reason, pipe.modified = desired, current, "", ctx.now
    return _save(ctx, tx, at, pipe)


async def delete_pipe(ctx: Context, tx: Transaction, request: Request) -> Answer:
    at = _at(ctx, request["Name"])
    pipe = await _get(tx, at)
    if pipe.current == "DELETING":
        raise errors.in_state(at.name, pipe.current, at.arn)
    pipe.current, pipe.reason, pipe.modified = "DELETING", "", ctx.now
    return {**_save(ctx, tx, at, pipe), "DesiredState": "DELETED"}


async def describe_pipe(ctx: Context, tx: Reader, request: Request) -> Answer:
    at = _at(ctx, request["Name"])
    pipe = await _get(tx, at)
    source = settings.source_arn(pipe.source)
    shown: Answer = {
        **_brief(at, pipe),
        "Source": pipe.source,
        "SourceParameters": _with_defaults(source.service, pipe.source_parameters),
        "Target": pipe.target,
        "RoleArn": pipe.role,
        "Tags": pipe.tags,
    }
    for member, value in (
        ("StateReason", pipe.reason or None),
        ("Description", pipe.description),
        ("Enrichment", pipe.enrichment or None),
        ("EnrichmentParameters", pipe.enrichment_parameters),
        ("TargetParameters", pipe.target_parameters),
        ("LogConfiguration", pipe.log_configuration),
        ("KmsKeyIdentifier", pipe.kms_key or None),
    ):
        if value is not None:
            shown[member] = value
    return shown


def _with_defaults(service: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """What a source has where nothing was said."""
    if service == "sqs":
        own = {"BatchSize": settings.BATCH_SIZES[service], **(parameters.get("SqsQueueParameters") or {})}
        return {**parameters, "SqsQueueParameters": own}
    if service in ("mq", "smk"):
        member = "RabbitMQBrokerParameters" if service == "mq" else "SelfManagedKafkaParameters"
        given = {"BatchSize": settings.BATCH_SIZES[service], "MaximumBatchingWindowInSeconds": 0}
        return {**parameters, member: given | parameters[member]}
    own = {
        "BatchSize": settings.BATCH_SIZES[service],
        "MaximumBatchingWindowInSeconds": 0,
        "MaximumRecordAgeInSeconds": -1,
        "ParallelizationFactor": 1,
        **(parameters.get("DynamoDBStreamParameters") or {}),
    }
    return {**parameters, "DynamoDBStreamParameters": own}


async def list_pipes(ctx: Context, tx: Reader, request: Request) -> Answer:
    start, end = keys.pipes(ctx.account, ctx.region, request.get("NamePrefix", ""))
    limit = request.get("Limit") or PAGE
    at = start
    if token := request.get("NextToken"):
        try:
            at = page_place(token, start, end)
        except BadToken:
            raise errors.invalid("Invalid NextToken.") from None
    found: list[Answer] = []
    while True:
        entries = await tx.scan(at, end, limit=_CHUNK)
        for key, data in entries:
            pipe = decode(Pipe, data)
            if not _is_asked(pipe, request):
                continue
            if len(found) == limit:
                return {"Pipes": found, "NextToken": page_token(key, start)}
            shown = {**_brief(_at(ctx, pipe.name), pipe), "Source": pipe.source, "Target": pipe.target}
            if pipe.enrichment:
                shown["Enrichment"] = pipe.enrichment
            if pipe.reason:
                shown["StateReason"] = pipe.reason
            found.append(shown)
        if len(entries) < _CHUNK:
            return {"Pipes": found}
        at = after(entries[-1][0])


def _is_asked(pipe: Pipe, request: Request) -> bool:
    return (
        request.get("DesiredState", pipe.desired) == pipe.desired
        and request.get("CurrentState", pipe.current) == pipe.current
        and pipe.source.startswith(request.get("SourcePrefix", ""))
        and pipe.target.startswith(request.get("TargetPrefix", ""))
    )


# -- tags --------------------------------------------------------------------------------------------------------------


async def _tagged(ctx: Context, tx: Reader, text: str) -> tuple[PipeName, Pipe]:
    arn = parse_arn(text)
    name = arn.resource.removeprefix("pipe/") if arn is not None else text
    if arn is None or arn.account != ctx.account or arn.region != ctx.region:
        raise errors.no_pipe(name)
    at = _at(ctx, name)
    return at, await _get(tx, at)


async def tag_resource(ctx: Context, tx: Transaction, request: Request) -> None:
    at, pipe = await _tagged(ctx, tx, request["resourceArn"])
    pipe.tags = {**pipe.tags, **request["tags"]}
    _check_tags(pipe.tags)
    tx.put(keys.pipe(*at), encode(pipe))


async def untag_resource(ctx: Context, tx: Transaction, request: Request) -> None:
    at, pipe = await _tagged(ctx, tx, request["resourceArn"])
    pipe.tags = {key: value for key, value in pipe.tags.items() if key not in request["tagKeys"]}
    tx.put(keys.pipe(*at), encode(pipe))


async def list_tags_for_resource(ctx: Context, tx: Reader, request: Request) -> Answer:
    _, pipe = await _tagged(ctx, tx, request["resourceArn"])
    return {"tags": pipe.tags}
