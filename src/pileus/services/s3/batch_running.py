"""Running batch jobs, as the role that each names: a stretch of tasks at a time, by deliveries of the outbox.

A node that is killed leaves a job at the end of its last stretch: the tasks behind that are done again.
"""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Any

import orjson

from pileus.cloud.context import Cloud
from pileus.cloud.roles import RoleSessions
from pileus.delivery.contract import Delivery, Retry
from pileus.kernel.errors import AWSError
from pileus.kernel.principal import Principal
from pileus.services.s3 import batch, keys, manifests, notifications, replicating
from pileus.services.s3.batch import Job, Result, Task
from pileus.services.s3.records import encode
from pileus.store.contract import Reader, Transaction

STRETCH = 100
_STRETCHES_MAX = 1_000_000
_SERVICE = "batchoperations.s3"


def begin(cloud: Cloud, tx: Transaction, job: Job, now: float) -> None:
    """Have the next stretch of a job done."""
    payload = {"account": job.account, "region": job.region, "id": job.id}
    cloud.outbox.put(tx, target=batch.TARGET, payload=payload, now=now, order=job.id)


async def load(tx: Reader, account: str, region: str, job_id: str) -> Job | None:
    data = await tx.get(keys.job(account, region, job_id))
    return None if data is None else batch.decode_job(data)


def save(tx: Transaction, job: Job) -> None:
    tx.put(keys.job(job.account, job.region, job.id), encode(job))


def forget(tx: Transaction, job: Job) -> None:
    """Drop what a job that has ended needs no more."""
    tx.delete_range(*keys.job_tasks_range(job.id))
    tx.delete_range(*keys.job_results_range(job.id))


async def deliver(cloud: Cloud, delivery: Delivery) -> None:
    at = delivery.payload
    job = await cloud.store.read(lambda tx: load(tx, at["account"], at["region"], at["id"]))
    if job is None or job.status not in ("New", "Ready", "Active", "Completing"):
        return
    try:
        principal = await cloud.part(RoleSessions).principal(
            _SERVICE, job.request["RoleArn"], source_arn=job.arn, session_name=f"s3-batch-{job.id}"
        )
        stretch = await cloud.store.read(lambda tx: tx.get(keys.job_tasks(job.id, job.done)))
        # Jobs that were made before tasks were kept have none yet.
        if job.status == "New" or (stretch is None and job.done < job.total):
            await _prepare(cloud, principal, job)
            return
    except AWSError as error:
        if error.fault == "server":
            raise Retry(str(error)) from error
        await _end(cloud, job, "Failed", (error.code, error.message))
        return
    except ValueError as error:
        await _end(cloud, job, "Failed", ("InvalidManifest", f"The manifest is invalid: {error}"))
        return
    if stretch is None:
        await _finish(cloud, principal, job)
        return
    results = [await _do(cloud, principal, job, task) for task in batch.decode_tasks(stretch)]
    await _change(cloud, job, status="Active", results=results, failed=sum(bool(result.code) for result in results))


async def _prepare(cloud: Cloud, principal: Principal, job: Job) -> None:
    """Keep the job's tasks, by stretches, and begin with the first or wait to be confirmed."""
    total = 0
    stretch: list[Task] = []

    async def keep(tx: Transaction) -> None:
        kept = await load(tx, job.account, job.region, job.id)
        if kept is not None and kept.status not in batch.ENDED:
            tx.put(keys.job_tasks(job.id, total), encode(stretch))

    async for task in manifests.tasks(cloud, principal, job):
        stretch.append(task)
        if len(stretch) == STRETCH:
            await cloud.store.write(keep)
            total += STRETCH
            stretch.clear()
    if stretch:
        await cloud.store.write(keep)
        total += len(stretch)
    if not total and "ManifestGenerator" in job.request:
        raise ValueError("Manifest generation found no keys matching the filter criteria.")
    waits = bool(job.request.get("ConfirmationRequired"))
    await _change(cloud, job, status="Suspended" if waits else "Active", total=total, goes_on=not waits)


async def _do(cloud: Cloud, principal: Principal, job: Job, task: Task) -> Result:
    given = job.request["Operation"]
    try:
        if batch.INVOKE in given:
            return await _invoke(cloud, principal, job, given[batch.INVOKE], task)
        if batch.REPLICATE in given:
            await replicating.replicate(cloud, principal, task.bucket, task.key, task.version_id)
            return Result(task)
        operation, request = batch.call(given, task)
        region = await manifests.region_of(cloud, request["Bucket"])
        await cloud.call(principal, "s3", operation, request, region=region)
    except AWSError as error:
        return Result(task, error.code, error.status or 400, error.message)
    return Result(task)


async def _invoke(cloud: Cloud, principal: Principal, job: Job, asked: dict[str, Any], task: Task) -> Result:
    """Hand a task to a function, and take its word for what became of it."""
    event = batch.event(job, asked, task, cloud.ids.string(32))
    request = {"FunctionName": asked["FunctionArn"], "Payload": orjson.dumps(event)}
    answer = await cloud.call(principal, "lambda", "Invoke", request, region=job.region)
    if answer.get("FunctionError"):
        return Result(task, "FunctionError", 200, f"Lambda returned function error: {answer['FunctionError']}")
    return batch.answered(task, event, answer.get("Payload") or b"")


async def _change(
    cloud: Cloud,
    job: Job,
    *,
    status: str,
    total: int | None = None,
    results: list[Result] | None = None,
    failed: int = 0,
    goes_on: bool = True,
) -> None:
    """Keep what has been done, and go on, unless the job has been cancelled, or another did the same."""
    now = cloud.clock.time()

    async def change(tx: Transaction) -> None:
        kept = await load(tx, job.account, job.region, job.id)
        if kept is None or kept.status != job.status or kept.done != job.done:
            return
        kept.status = status
        kept.begun = kept.begun or now
        if total is not None:
            kept.total = total
        if results is not None:
            tx.put(keys.job_results(job.id, kept.done), encode(results))
            kept.failed += failed
            kept.succeeded += len(results) - failed
        save(tx, kept)
        if goes_on:
            begin(cloud, tx, kept, now)

    await cloud.store.write(change)


async def _finish(cloud: Cloud, principal: Principal, job: Job) -> None:
    """Write the report where one is asked for, and end the job."""
    report = job.request["Report"]
    if report["Enabled"]:
        start, end = keys.job_results_range(job.id)
        rows = await cloud.store.read(lambda tx: tx.scan(start, end, limit=_STRETCHES_MAX))
        results = [one for _, value in rows for one in batch.decode_results(value)]
        try:
            await _report(cloud, principal, job, report, results)
        except AWSError as error:
            if error.fault == "server":
                raise Retry(str(error)) from error
            await _end(cloud, job, "Failed", ("ReportNotWritten", f"The report could not be written: {error.message}"))
            return
    too_many = job.done >= batch.FAILED_TASKS_MIN and job.failed * 2 > job.done
    failure = ("FailureThresholdExceeded", "More than half of the tasks have failed") if too_many else None
    await _end(cloud, job, "Failed" if too_many else "Complete", failure)


async def _report(cloud: Cloud, principal: Principal, job: Job, report: dict[str, Any], results: list[Result]) -> None:
    name = report["Bucket"].rpartition(":")[2]
    region = await manifests.region_of(cloud, name)
    beginning = "/".join(part for part in (report.get("Prefix", "").strip("/"), f"job-{job.id}") if part)

    async def put(key: str, body: bytes) -> None:
        await cloud.call(principal, "s3", "PutObject", {"Bucket": name, "Key": key, "Body": body}, region=region)

    files = []
    for outcome in ("succeeded", "failed"):
        chosen = [result for result in results if bool(result.code) == (outcome == "failed")]
        if not chosen or (outcome == "succeeded" and report["ReportScope"] == "FailedTasksOnly"):
            continue
        data = batch.report(chosen).encode()
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        key = f"{beginning}/results/{hashlib.sha1(data, usedforsecurity=False).hexdigest()}.csv"
        await put(key, data)
        files.append({"TaskExecutionStatus": outcome, "Bucket": name, "MD5Checksum": md5, "Key": key})
    manifest = orjson.dumps(
        {
            "Format": batch.REPORT_FORMAT,
            "ReportCreationDate": notifications.shown_time(cloud.clock.time()),
            "Results": files,
            "ReportSchema": batch.REPORT_SCHEMA,
        }
    )
    await put(f"{beginning}/manifest.json", manifest)
    await put(f"{beginning}/manifest.json.md5", hashlib.md5(manifest, usedforsecurity=False).hexdigest().encode())


async def _end(cloud: Cloud, job: Job, status: str, failure: tuple[str, str] | None) -> None:
    await cloud.store.write(partial(_ended, job, status, failure, cloud.clock.time()))


async def _ended(job: Job, status: str, failure: tuple[str, str] | None, now: float, tx: Transaction) -> None:
    kept = await load(tx, job.account, job.region, job.id)
    if kept is None or kept.status in batch.ENDED:
        return
    kept.status, kept.failure, kept.ended = status, failure, now
    save(tx, kept)
    forget(tx, job)
