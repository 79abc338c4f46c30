"""Replicating: handing a version to the bucket where a rule wants it, as the role that the configuration names.

Sources: "Setting up permissions for live replication", "What does Amazon S3 replicate?", "Changing the replica owner",
"Amazon S3 replication failure reasons" in the Amazon S3 User Guide.

The bytes are copied first; then one transaction puts the replica into its bucket, says so at the source and tells of
it. A delivery that comes twice finds the replica there.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import msgspec

from pileus.cloud.context import Cloud, Context, HttpInfo
from pileus.cloud.roles import RoleSessions
from pileus.delivery.contract import Dead, Delivery, Retry
from pileus.kernel.errors import AWSError
from pileus.kernel.principal import Principal, service_principal
from pileus.services.s3 import acls, bodies, buckets, errors, keys, notifications, policies, replication, versions
from pileus.services.s3.metadata import ARCHIVED
from pileus.services.s3.permissions import object_arn
from pileus.services.s3.records import Body, Bucket, Object, Piece, decode_pieces, encode
from pileus.store.contract import Reader, Transaction

_THRESHOLD_S = replication.THRESHOLD_MINUTES * 60


class Job(msgspec.Struct, kw_only=True):
    """What the outbox carries."""

    bucket: str
    key: str
    version_id: str
    role: str
    rule: dict[str, Any]
    # The version itself, or only what has changed of it beside its bytes.
    whole: bool
    # When it began, seconds since the epoch.
    since: float

    @property
    def destination(self) -> str:
        return replication.destination_name(self.rule)


class Failed(Exception):
    """It cannot be replicated; the argument is one of AWS's failure reasons."""


class _Part(NamedTuple):
    """A piece of the object's bytes (0: all of them)."""

    number: int
    checksum: str
    segments: list[bodies.Segment]


class _Found(NamedTuple):
    bucket: Bucket
    version: Object
    target: Bucket
    parts: list[_Part]


async def deliver(cloud: Cloud, delivery: Delivery) -> None:
    job = msgspec.convert(delivery.payload, Job)
    try:
        await _replicate(cloud, job)
    except Failed as failure:
        await cloud.store.write(partial(_fail, cloud, job, str(failure)))


async def replicate(cloud: Cloud, principal: Principal, name: str, key: str, version_id: str) -> None:
    """Replicate a version that is there already, whatever has become of it before, and wait for it.

    `principal` asks for it; what is done is done as the role that the bucket's configuration names. Raises an AWSError
    with the failure reason for its code.
    """

    async def look(tx: Reader) -> tuple[Bucket, Object]:
        bucket = await buckets.load(tx, name)
        if bucket is None:
            raise errors.no_such_bucket(name)
        version = await versions.wanted(tx, bucket, key, version_id or None)
        if version is None:
            raise errors.no_such_key(key)
        return bucket, version

    bucket, version = await cloud.store.read(look)
    needed = [("s3:InitiateReplication", object_arn(name, key), "InitiateReplicationNotPermitted")]
    try:
        await demand(cloud, principal, bucket, key, needed)
        rules = replication.matching(bucket.replication, key, version) if bucket.replication else []
        if not rules or version.storage_class in ARCHIVED:
            raise Failed("SrcObjectNotEligible")
    except Failed as failure:
        raise _told(failure) from failure
    for rule in rules:
        job = Job(
            bucket=name,
            key=key,
            version_id=version.version_id or versions.NULL_VERSION,
            role=bucket.replication["Role"],
            rule=rule,
            whole=True,
            since=cloud.clock.time(),
        )
        try:
            await _replicate(cloud, job)
        except Failed as failure:
            await cloud.store.write(partial(_fail, cloud, job, str(failure)))
            raise _told(failure) from failure


def _told(failure: Failed) -> AWSError:
    return AWSError(str(failure), "The object could not be replicated", status=400)


async def _replicate(cloud: Cloud, job: Job) -> None:
    found = await cloud.store.read(partial(_look, job))
    if found is None:
        return
    principal = await _assume(cloud, job, found.bucket)
    await _check_source(cloud, principal, job, found)
    await _check_target(cloud, principal, job, found)
    received: list[tuple[_Part, bodies.Received]] = []
    try:
        for part in found.parts:
            stream = bodies.SegmentStream(cloud, part.segments)
            received.append((part, await bodies.receive(cloud, stream, ())))
        tokens = [bodies.new_token(cloud) for _ in (*received, None)]
        kept = await cloud.store.write(partial(_settle, cloud, job, principal, received, tokens))
    except AWSError as error:
        await _drop(cloud, received)
        raise Retry(str(error)) from error
    except Failed:
        await _drop(cloud, received)
        raise
    if not kept:
        await _drop(cloud, received)


async def _drop(cloud: Cloud, received: list[tuple[_Part, bodies.Received]]) -> None:
    async def release(tx: Transaction) -> None:
        for _, one in received:
            if one.blob_id:
                cloud.blobs.release(tx, one.blob_id)

    await cloud.store.write(release)


async def _source(tx: Reader, job: Job) -> tuple[Bucket, Object] | None:
    """None: the version is gone, and nothing is left to do."""
    bucket = await buckets.load(tx, job.bucket)
    version = await versions.named(tx, bucket, job.key, job.version_id) if bucket is not None else None
    return None if bucket is None or version is None else (bucket, version)


async def _target(tx: Reader, job: Job, version: Object) -> Bucket:
    target = await buckets.load(tx, job.destination)
    if target is None or job.rule["Destination"].get("Account", target.account) != target.account:
        raise Failed("DstBucketNotFound")
    if target.versioning != "Enabled":
        raise Failed("DstBucketUnversioned")
    if version.lock is not None and not target.object_lock:
        raise Failed("DstBucketObjectLockConfigMissing")
    if not version.version_id:
        there = await versions.named(tx, target, job.key, versions.NULL_VERSION)
        if there is not None and (there.etag, there.sequence) != (version.etag, version.sequence):
            # A null version of its own, which a replica would replace.
            raise Failed("DstNullVersionExists")
    return target


async def _look(job: Job, tx: Reader) -> _Found | None:
    source = await _source(tx, job)
    if source is None:
        return None
    bucket, version = source
    target = await _target(tx, job, version)
    if version.customer_key is not None:
        # Its key comes with requests only.
        raise Failed("SrcObjectNotEligible")
    if not job.whole or await versions.named(tx, target, job.key, job.version_id) is not None:
        return _Found(bucket, version, target, [])
    parts = []
    if version.body.kind == "pieces":
        for piece in decode_pieces(await tx.get(keys.pieces(version.body.at)) or b"\x90"):
            segments = await bodies.locate(tx, piece.body, 0, piece.body.size - 1)
            parts.append(_Part(piece.number, piece.checksum, segments))
    elif version.size:
        parts.append(_Part(0, "", await bodies.locate(tx, version.body, 0, version.size - 1)))
    return _Found(bucket, version, target, parts)


# ------------------------------------------------------------------------------------------------------ permissions


async def _assume(cloud: Cloud, job: Job, bucket: Bucket) -> Principal:
    try:
        return await cloud.part(RoleSessions).principal(
            "s3", job.role, source_arn=bucket.arn, session_name="s3-replication"
        )
    except AWSError as error:
        if error.fault == "server":
            raise Retry(str(error)) from error
        raise Failed("AssumeRoleNotPermitted") from error


async def _check_source(cloud: Cloud, principal: Principal, job: Job, found: _Found) -> None:
    version, arn = found.version, object_arn(job.bucket, job.key)
    needed = [("s3:GetReplicationConfiguration", found.bucket.arn, "InitiateReplicationNotPermitted")]
    if not version.delete_marker:
        needed.append(("s3:GetObjectVersionForReplication", arn, "SrcGetObjectNotPermitted"))
    if version.tags:
        needed.append(("s3:GetObjectVersionTagging", arn, "SrcGetTagsNotPermitted"))
    if version.acl:
        needed.append(("s3:GetObjectVersionAcl", arn, "SrcGetAclNotPermitted"))
    await demand(cloud, principal, found.bucket, job.key, needed)


async def _check_target(cloud: Cloud, principal: Principal, job: Job, found: _Found) -> None:
    version, arn = found.version, object_arn(job.destination, job.key)
    if version.delete_marker:
        needed = [("s3:ReplicateDelete", arn, "DstDelObjNotPermitted")]
    else:
        needed = [("s3:ReplicateObject", arn, "DstPutObjectNotPermitted")]
    if version.tags:
        needed.append(("s3:ReplicateTags", arn, "DstPutTagsNotPermitted"))
    if _changes_owner(job) and not version.delete_marker:
        needed.append(("s3:ObjectOwnerOverrideToBucketOwner", arn, "DstPutAclNotPermitted"))
    await demand(cloud, principal, found.target, job.key, needed)


async def demand(
    cloud: Cloud, principal: Principal, bucket: Bucket, key: str, needed: list[tuple[str, str, str]]
) -> None:
    """The role's policies and the bucket's together must allow each (action, resource, failure reason)."""
    ctx = _context(cloud, bucket, principal)
    request = {"Bucket": bucket.name, "Key": key}
    guard = await cloud.store.read(lambda tx: policies.of_bucket(ctx, tx, request))
    for action, resource, reason in needed:
        try:
            await cloud.gate.allow(principal, action, resource, region=bucket.region, policy=guard)
        except AWSError as error:
            raise Failed(reason) from error


def _changes_owner(job: Job) -> bool:
    return "AccessControlTranslation" in job.rule["Destination"]


def _context(cloud: Cloud, bucket: Bucket, principal: Principal) -> Context:
    return Context(
        cloud=cloud,
        request_id=cloud.ids.string(16),
        service="s3",
        operation="Replication",
        account=bucket.account,
        region=bucket.region,
        principal=principal,
        now=cloud.clock.time(),
        http=HttpInfo(source_ip="s3.amazonaws.com"),
    )


# --------------------------------------------------------------------------------------------------------- settling


async def _settle(
    cloud: Cloud,
    job: Job,
    principal: Principal,
    received: list[tuple[_Part, bodies.Received]],
    tokens: list[str],
    tx: Transaction,
) -> bool:
    """Put the replica into its bucket and say so at the source; False where the bytes were not needed after all."""
    source = await _source(tx, job)
    if source is None:
        return False
    bucket, version = source
    target = await _target(tx, job, version)
    there = await versions.named(tx, target, job.key, job.version_id)
    owner, acl = _owner(job, bucket, target, version)
    kept = there is None and job.whole
    if there is not None and not there.delete_marker:
        there.tags, there.lock, there.acl = version.tags, version.lock, acl
        await versions.change(tx, target, job.key, there)
    elif kept:
        replica = msgspec.structs.replace(
            version,
            body=_body(cloud, tx, version, received, tokens),
            storage_class=job.rule["Destination"].get("StorageClass") or version.storage_class,
            owner=owner,
            acl=acl,
            upload_id="",
            restoration=None,
            replication={},
            replica=True,
        )
        await versions.insert(tx, target, job.key, replica)
        event = "s3:ObjectRemoved:DeleteMarkerCreated" if replica.delete_marker else "s3:ObjectCreated:Put"
        ctx = _context(cloud, target, principal)
        notifications.announce(ctx, tx, target, event, key=job.key, version=replica, now=ctx.now)
    await _note(tx, job, bucket, version, replication.COMPLETED)
    late = cloud.clock.time() - job.since > _THRESHOLD_S
    if kept and late and replication.is_on(job.rule["Destination"].get("ReplicationTime")):
        _tell(cloud, tx, job, bucket, version, "OperationReplicatedAfterThreshold")
    return kept


def _owner(job: Job, bucket: Bucket, target: Bucket, version: Object) -> tuple[str, tuple[Any, ...]]:
    """(owner, access control list) of the replica: the source's, unless all in the target is its owner's."""
    if target.ownership == acls.ENFORCED or _changes_owner(job):
        return "", ()
    owner = version.owner or bucket.account
    return "" if owner == target.account else owner, version.acl


def _body(
    cloud: Cloud,
    tx: Transaction,
    version: Object,
    received: list[tuple[_Part, bodies.Received]],
    tokens: list[str],
) -> Body:
    made = [
        (part, bodies.keep(cloud, tx, one, token)) for (part, one), token in zip(received, tokens[:-1], strict=True)
    ]
    if version.body.kind != "pieces":
        return made[0][1] if made else Body()
    tx.put(keys.pieces(tokens[-1]), encode([Piece(part.number, body, part.checksum) for part, body in made]))
    return Body("pieces", tokens[-1], version.size)


async def _note(tx: Transaction, job: Job, bucket: Bucket, version: Object, state: str) -> None:
    version.replication = version.replication | {job.destination: state}
    await versions.change(tx, bucket, job.key, version)


async def _fail(cloud: Cloud, job: Job, reason: str, tx: Transaction) -> None:
    source = await _source(tx, job)
    if source is None:
        return
    bucket, version = source
    await _note(tx, job, bucket, version, replication.FAILED)
    if replication.is_on(job.rule["Destination"].get("Metrics")):
        _tell(cloud, tx, job, bucket, version, "OperationFailedReplication", reason)


async def give_up(cloud: Cloud, delivery: Delivery) -> None:
    """A day of attempts has come to nothing, for no reason that S3 has a name for."""
    job = msgspec.convert(msgspec.convert(delivery.payload, Dead).delivery.payload, Job)
    await cloud.store.write(partial(_fail, cloud, job, ""))


async def tell_threshold(cloud: Cloud, delivery: Delivery) -> None:
    """What S3 Replication Time Control promises has not happened."""
    job = msgspec.convert(delivery.payload, Job)

    async def tell(tx: Transaction) -> None:
        source = await _source(tx, job)
        if source is not None and source[1].replication.get(job.destination) == replication.PENDING:
            _tell(cloud, tx, job, *source, "OperationMissedThreshold")

    await cloud.store.write(tell)


def _tell(
    cloud: Cloud, tx: Transaction, job: Job, bucket: Bucket, version: Object, event: str, reason: str = ""
) -> None:
    ctx = _context(cloud, bucket, service_principal("s3", account=bucket.account, source_arn=bucket.arn))
    data: dict[str, Any] = {
        "replicationRuleId": job.rule["ID"],
        "destinationBucket": f"arn:aws:s3:::{job.destination}",
        "s3Operation": "DELETE" if version.delete_marker else "OBJECT_PUT",
        "requestTime": notifications.shown_time(job.since),
    }
    if reason:
        data["failureReason"] = reason
    if event != "OperationFailedReplication":
        data["threshold"] = str(_THRESHOLD_S)
    if event == "OperationReplicatedAfterThreshold":
        data["replicationTime"] = str(int(ctx.now - job.since))
    notifications.announce(
        ctx,
        tx,
        bucket,
        f"s3:Replication:{event}",
        key=job.key,
        version=version,
        now=ctx.now,
        more={"replicationEventData": data},
    )
