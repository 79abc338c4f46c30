"""Delivering server access logs: records become log objects in the bucket that is to have them.

Sources: "Enabling Amazon S3 server access logging", "Permissions for log delivery" in the Amazon S3 User Guide;
"PartitionedPrefix" in the API reference.

One transaction takes records out of the store and puts the object that is made of them into the outbox, under its final
name: a node may be killed at any moment, and each record is in one object. What the target does not take is tried again
for a day, and then given up, as AWS gives it up: nobody is told but by the log that is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

from pileus.cloud.context import Cloud
from pileus.delivery.contract import Delivery
from pileus.kernel.principal import service_principal
from pileus.services.s3 import acls, keys
from pileus.services.s3.access_logs import AccessLogs
from pileus.services.s3.accounts import canonical_id
from pileus.services.s3.records import AccessRecord, decode_access_record
from pileus.store.contract import Transaction
from pileus.store.keys import after

TARGET = "s3.access-log"
PERIOD_S = 60
# Of one transaction, and so of one object: records and their bytes. A stranger may fill each with 64 KiB of headers.
RECORDS_MAX = 2000
BYTES_MAX = 4 * 1024 * 1024
_SCAN_BATCH = 50
_DAY_S = 86_400
_GRANT_HEADERS = {"FULL_CONTROL": "GrantFullControl", "READ": "GrantRead", "WRITE": "GrantWrite"}


async def run_access_logs(cloud: Cloud) -> None:
    await cloud.part(AccessLogs).flush()
    while await cloud.store.write(partial(_take, cloud)):
        pass


async def _take(cloud: Cloud, tx: Transaction) -> bool:
    """Whether there may be more."""
    at, end = keys.access_records_range()
    rows: list[tuple[bytes, bytes]] = []
    size, more = 0, True
    while more and len(rows) < RECORDS_MAX and size < BYTES_MAX:
        found = await tx.scan(at, end, limit=_SCAN_BATCH)
        rows += found
        size += sum(len(value) for _, value in found)
        more = len(found) == _SCAN_BATCH
        at = after(found[-1][0]) if found else end
    objects: dict[str, tuple[AccessRecord, list[str]]] = {}
    now = cloud.clock.time()
    for key, value in rows:
        record = decode_access_record(value)
        beginning = _beginning(record, now)
        first, lines = objects.setdefault(f"{record.bucket} {record.target} {beginning}", (record, []))
        lines.append(record.line)
        tx.delete(key)
    for first, lines in objects.values():
        payload = {
            "bucket": first.bucket,
            "account": first.account,
            "region": first.region,
            "target": first.target["TargetBucket"],
            "key": f"{_beginning(first, now)}-{cloud.ids.hex(16).upper()}",
            "grants": grant_members(first.target.get("TargetGrants") or (), first.account),
            "lines": lines,
        }
        cloud.outbox.put(tx, target=TARGET, payload=payload, now=now)
    return more


def _beginning(record: AccessRecord, now: float) -> str:
    """An object's key but for the unique string that ends it."""
    prefix: str = record.target.get("TargetPrefix") or ""
    partitioned = (record.target.get("TargetObjectKeyFormat") or {}).get("PartitionedPrefix")
    if partitioned is None:
        return f"{prefix}{datetime.fromtimestamp(now, UTC):%Y-%m-%d-%H-%M-%S}"
    by_event = partitioned.get("PartitionDateSource", "EventTime") == "EventTime"
    when = datetime.fromtimestamp(record.time // _DAY_S * _DAY_S if by_event else now, UTC)
    return f"{prefix}{record.account}/{record.region}/{record.bucket}/{when:%Y/%m/%d/%Y-%m-%d-%H-%M-%S}"


def grant_members(grants: Sequence[Mapping[str, Any]], account: str) -> dict[str, str]:
    """The members of a PutObject that gives `grants`, and the buckets' owner full control; {}: there are none."""
    given: dict[str, list[str]] = {}
    for grant in grants:
        grantee = grant.get("Grantee") or {}
        kind, value = next(
            (
                (kind, grantee[member])
                for kind, member in (("id", "ID"), ("uri", "URI"), ("emailAddress", "EmailAddress"))
                if grantee.get(member)
            ),
            ("", ""),
        )
        given.setdefault(_GRANT_HEADERS.get(grant.get("Permission", ""), ""), []).append(f'{kind}="{value}"')
    if given:
        given.setdefault("GrantFullControl", []).append(f'id="{canonical_id(account)}"')
    return {member: ",".join(dict.fromkeys(grantees)) for member, grantees in given.items()}


async def deliver(cloud: Cloud, delivery: Delivery) -> None:
    payload = delivery.payload
    principal = service_principal(
        acls.LOG_SERVICE.removesuffix(".amazonaws.com"),
        account=payload["account"],
        source_arn=f"arn:aws:s3:::{payload['bucket']}",
    )
    request = {
        "Bucket": payload["target"],
        "Key": payload["key"],
        "Body": ("\n".join(payload["lines"]) + "\n").encode(),
        "ContentType": "text/plain",
        **payload["grants"],
    }
    await cloud.call(principal, "s3", "PutObject", request, region=payload["region"])
