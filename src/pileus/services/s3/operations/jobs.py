"""Batch jobs: making, finding, ordering and cancelling them.

Source: the pages of these actions under "Amazon S3 Control" in the API Reference.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from pileus.cloud.context import Context
from pileus.kernel.errors import AWSError
from pileus.services.s3 import batch, batch_running, keys, listing
from pileus.services.s3.batch import Job
from pileus.services.s3.control_tags import check as check_tags
from pileus.services.s3.metadata import shown_tags
from pileus.services.s3.operations.accesspoints import check_account
from pileus.services.s3.records import encode
from pileus.store.contract import Reader, Transaction

_PAGE_MAX = 1000
_JOBS_MAX = 100_000
_KEPT = ("Operation", "Report", "Manifest", "ManifestGenerator", "Description", "RoleArn", "ConfirmationRequired")


async def create_job(ctx: Context, tx: Transaction, request: dict[str, Any]) -> dict[str, Any]:
    account = check_account(ctx, request)
    batch.check(request)
    kept = {name: request[name] for name in _KEPT if request.get(name) is not None}
    digest = hashlib.sha256(msgspec.msgpack.encode([kept, request["Priority"]])).hexdigest()
    at = keys.job_token(account, ctx.region, request["ClientRequestToken"])
    if (before := await tx.get(at)) is not None:
        job_id, same = msgspec.msgpack.decode(before, type=tuple[str, str])
        if same != digest:
            raise AWSError("IdempotencyException", "The client request token was used with another request", status=400)
        return {"JobId": job_id}
    job = Job(
        id=ctx.cloud.ids.uuid(),
        account=account,
        region=ctx.region,
        created=ctx.now,
        request=kept,
        status="New",
        priority=request["Priority"],
        tags=shown_tags(check_tags(request.get("Tags") or ())),
    )
    batch_running.save(tx, job)
    tx.put(at, encode((job.id, digest)))
    batch_running.begin(ctx.cloud, tx, job, ctx.now)
    return {"JobId": job.id}


async def _find(ctx: Context, tx: Reader, request: dict[str, Any]) -> Job:
    job = await batch_running.load(tx, check_account(ctx, request), ctx.region, request["JobId"])
    if job is None:
        raise AWSError("NoSuchJob", "The specified job does not exist.", status=404)
    return job


def _progress(job: Job, now: float) -> dict[str, Any]:
    active = int((job.ended or now) - job.begun) if job.begun else 0
    return {
        "TotalNumberOfTasks": job.total,
        "NumberOfTasksSucceeded": job.succeeded,
        "NumberOfTasksFailed": job.failed,
        "Timers": {"ElapsedTimeInActiveSeconds": active},
    }


async def describe_job(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    job = await _find(ctx, tx, request)
    shown: dict[str, Any] = {
        "JobId": job.id,
        "JobArn": job.arn,
        "ConfirmationRequired": bool(job.request.get("ConfirmationRequired")),
        "Status": job.status,
        "Priority": job.priority,
        "ProgressSummary": _progress(job, ctx.now),
        "CreationTime": job.created,
        **{name: job.request[name] for name in _KEPT if name in job.request and name != "ConfirmationRequired"},
    }
    if job.reason:
        shown["StatusUpdateReason"] = job.reason
    if job.failure is not None:
        shown["FailureReasons"] = [{"FailureCode": job.failure[0], "FailureReason": job.failure[1]}]
    if job.ended:
        shown["TerminationDate"] = job.ended
    if job.status == "Suspended":
        shown |= {"SuspendedDate": job.begun, "SuspendedCause": "AwaitingConfirmation"}
    return {"Job": shown}


async def list_jobs(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    """The latest first."""
    rows = await tx.scan(*keys.jobs_range(check_account(ctx, request), ctx.region), limit=_JOBS_MAX)
    jobs = sorted((batch.decode_job(value) for _, value in rows), key=lambda job: (-job.created, job.id))
    if wanted := request.get("JobStatuses"):
        jobs = [job for job in jobs if job.status in wanted]
    if given := request.get("NextToken"):
        behind = listing.from_token(given).decode("utf-8", "replace")
        jobs = jobs[next((at + 1 for at, job in enumerate(jobs) if job.id == behind), len(jobs)) :]
    most = listing.page_size(request.get("MaxResults") or _PAGE_MAX, "maxResults")
    answer: dict[str, Any] = {
        "Jobs": [
            {
                "JobId": job.id,
                **({"Description": job.request["Description"]} if job.request.get("Description") else {}),
                "Operation": next(iter(job.request["Operation"])),
                "Priority": job.priority,
                "Status": job.status,
                "CreationTime": job.created,
                **({"TerminationDate": job.ended} if job.ended else {}),
                "ProgressSummary": _progress(job, ctx.now),
            }
            for job in jobs[:most]
        ]
    }
    if len(jobs) > most:
        answer["NextToken"] = listing.token(jobs[most - 1].id.encode())
    return answer


async def update_job_priority(ctx: Context, tx: Transaction, request: dict[str, Any]) -> dict[str, Any]:
    job = await _find(ctx, tx, request)
    _check_running(job)
    job.priority = request["Priority"]
    batch_running.save(tx, job)
    return {"JobId": job.id, "Priority": job.priority}


async def update_job_status(ctx: Context, tx: Transaction, request: dict[str, Any]) -> dict[str, Any]:
    """Confirm a job that waits for that, or cancel one that has not ended."""
    job = await _find(ctx, tx, request)
    _check_running(job)
    job.reason = request.get("StatusUpdateReason") or ""
    if request["RequestedJobStatus"] == "Cancelled":
        job.status, job.ended = "Cancelled", ctx.now
        batch_running.forget(tx, job)
    elif job.status != "Suspended":
        raise _wrong_status(job)
    else:
        job.status = "Ready"
        batch_running.begin(ctx.cloud, tx, job, ctx.now)
    batch_running.save(tx, job)
    return {
        "JobId": job.id,
        "Status": job.status,
        **({"StatusUpdateReason": job.reason} if job.reason else {}),
    }


async def put_job_tagging(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    job = await _find(ctx, tx, request)
    job.tags = shown_tags(check_tags(request["Tags"]))
    batch_running.save(tx, job)


async def get_job_tagging(ctx: Context, tx: Reader, request: dict[str, Any]) -> dict[str, Any]:
    return {"Tags": (await _find(ctx, tx, request)).tags}


async def delete_job_tagging(ctx: Context, tx: Transaction, request: dict[str, Any]) -> None:
    job = await _find(ctx, tx, request)
    job.tags = []
    batch_running.save(tx, job)


def _check_running(job: Job) -> None:
    if job.status in batch.ENDED:
        raise _wrong_status(job)


def _wrong_status(job: Job) -> AWSError:
    return AWSError("JobStatusException", f"The job is in the status {job.status}", status=400)
