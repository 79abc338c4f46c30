"""Replication rules: what a configuration may say, which versions they send on their way, what is told of those.

Sources: "Replicating objects within and across Regions", "Replication configuration file elements", "Getting
replication status information" in the Amazon S3 User Guide; recorded answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pileus.cloud.context import Context
from pileus.kernel.errors import NotBuilt
from pileus.kernel.ids import Ids
from pileus.services.s3 import errors
from pileus.services.s3.metadata import ARCHIVED
from pileus.services.s3.records import Bucket, Object
from pileus.store.contract import Transaction

TARGET = "s3.replication"
THRESHOLD_TARGET = "s3.replication-threshold"
DEAD_TARGET = "s3.replication-dead"
PENDING, COMPLETED, FAILED = "PENDING", "COMPLETED", "FAILED"
# S3 Replication Time Control knows no other.
THRESHOLD_MINUTES = 15

RULES_MAX = 1000
_SCHEMA = (
    "{} must be specified for this version of Cross Region Replication configuration schema. Please refer to S3 "
    "Developer Guide for more information."
)


def check(configuration: Mapping[str, Any], ids: Ids) -> dict[str, Any]:
    """The configuration as it is kept: each rule has an id."""
    given = configuration["Rules"]
    if not given or len(given) > RULES_MAX:
        raise errors.malformed_xml()
    rules = [_check_rule(dict(rule), ids) for rule in given]
    if len({rule["ID"] for rule in rules}) != len(rules):
        raise errors.invalid_argument("Rule Id must be unique")
    latest = ["Filter" in rule for rule in rules]
    if any(latest) and not all(latest):
        raise errors.invalid_request("Filter must be specified in all rules, or in none of them.")
    if all(latest) and len({rule["Priority"] for rule in rules}) != len(rules):
        raise errors.invalid_request("Found duplicate priority. The priority of rules must be unique.")
    if not any(latest) and len({rule["Destination"]["Bucket"] for rule in rules}) > 1:
        raise errors.invalid_request("Number of distinct destination bucket ARNs cannot exceed 1")
    return {"Role": configuration["Role"], "Rules": rules}


def _check_rule(rule: dict[str, Any], ids: Ids) -> dict[str, Any]:
    rule["ID"] = rule.get("ID") or ids.uuid()
    if len(rule["ID"]) > 255:
        raise errors.invalid_argument("ID length should not exceed allowed limit of 255")
    _check_destination(rule["Destination"])
    if rule["Status"] == "Enabled":
        _check_built(rule)
    filter_ = rule.get("Filter")
    if filter_ is None:
        return rule
    if "Prefix" in rule or len(filter_) > 1:
        raise errors.malformed_xml()
    if rule.get("Priority") is None:
        raise errors.invalid_request(_SCHEMA.format("Priority"))
    markers = rule.get("DeleteMarkerReplication")
    if markers is None:
        raise errors.invalid_request(_SCHEMA.format("DeleteMarkerReplication"))
    if _tags(rule) and markers.get("Status") == "Enabled":
        raise errors.invalid_request("Delete marker replication is not supported if any Tag filter is specified.")
    return rule


def destination_name(rule: Mapping[str, Any]) -> str:
    """The destination bucket's name, from its ARN."""
    name: str = rule["Destination"]["Bucket"]
    return name.rpartition(":")[2]


def _tags(rule: Mapping[str, Any]) -> dict[str, str]:
    filter_ = rule.get("Filter") or {}
    tags = [*([filter_["Tag"]] if "Tag" in filter_ else ()), *((filter_.get("And") or {}).get("Tags") or ())]
    return {tag["Key"]: tag["Value"] for tag in tags}


def _check_destination(destination: Mapping[str, Any]) -> None:
    if "AccessControlTranslation" in destination and "Account" not in destination:
        raise errors.invalid_request("Account must be specified if AccessControlTranslation is present.")
    time = destination.get("ReplicationTime")
    if time is not None and is_on(time):
        if not is_on(destination.get("Metrics")):
            raise errors.invalid_request("Metrics must be enabled if ReplicationTime is enabled.")
        if time["Time"].get("Minutes") != THRESHOLD_MINUTES:
            raise errors.invalid_argument("ReplicationTime must be 15 minutes.")


def _check_built(rule: Mapping[str, Any]) -> None:
    """Who relies on a second copy must hear of what does not happen."""
    if rule["Destination"].get("EncryptionConfiguration"):
        raise NotBuilt("PutBucketReplication with replicas encrypted with KMS")
    if is_on((rule.get("SourceSelectionCriteria") or {}).get("SseKmsEncryptedObjects")):
        raise NotBuilt("PutBucketReplication of objects encrypted with KMS")
    if is_on(rule.get("ExistingObjectReplication")):
        raise NotBuilt("PutBucketReplication of existing objects")


def is_on(element: Mapping[str, Any] | None) -> bool:
    return (element or {}).get("Status") == "Enabled"


def _prefix(rule: Mapping[str, Any]) -> str:
    filter_ = rule.get("Filter") or {}
    return rule.get("Prefix") or filter_.get("Prefix") or (filter_.get("And") or {}).get("Prefix") or ""


def _matches(rule: Mapping[str, Any], key: str, version: Object) -> bool:
    if rule["Status"] != "Enabled" or not key.startswith(_prefix(rule)):
        return False
    if version.delete_marker:
        # The first version of the schema knows no such element, and replicates them.
        return "Filter" not in rule or is_on(rule.get("DeleteMarkerReplication"))
    return _tags(rule).items() <= dict(version.tags).items()


def matching(configuration: Mapping[str, Any], key: str, version: Object) -> list[dict[str, Any]]:
    """The rule that counts for each destination: that of the highest priority."""
    found: dict[str, dict[str, Any]] = {}
    for rule in sorted(configuration["Rules"], key=lambda rule: rule.get("Priority") or 0):
        if _matches(rule, key, version):
            found[destination_name(rule)] = rule
    return list(found.values())


def status(version: Object) -> str:
    """`x-amz-replication-status`: of a source with several destinations the worst counts; "": none."""
    if version.replica:
        return "REPLICA"
    states = version.replication.values()
    return next((state for state in (FAILED, PENDING, COMPLETED) if state in states), "")


def begin(ctx: Context, tx: Transaction, bucket: Bucket, key: str, version: Object) -> None:
    """Send a new version, or a delete marker, to where the bucket's rules want it.

    Replicas go no further, and neither does what lifecycle rules do.
    """
    if version.replica or ctx.operation == "Lifecycle" or version.storage_class in ARCHIVED:
        return
    _send(ctx, tx, bucket, key, version, matching(bucket.replication, key, version), whole=True)


def change(ctx: Context, tx: Transaction, bucket: Bucket, key: str, version: Object) -> None:
    """Send what has changed of a replicated version beside its bytes; of a replica where the rules sync those."""
    if not bucket.replication:
        return
    rules = matching(bucket.replication, key, version)
    if version.replica:
        rules = [
            rule for rule in rules if is_on((rule.get("SourceSelectionCriteria") or {}).get("ReplicaModifications"))
        ]
    else:
        rules = [rule for rule in rules if version.replication.get(destination_name(rule)) in (PENDING, COMPLETED)]
    _send(ctx, tx, bucket, key, version, rules, whole=False)


def _send(
    ctx: Context,
    tx: Transaction,
    bucket: Bucket,
    key: str,
    version: Object,
    rules: list[dict[str, Any]],
    *,
    whole: bool,
) -> None:
    if not rules:
        return
    version.replication = version.replication | {destination_name(rule): PENDING for rule in rules}
    for rule in rules:
        payload = {
            "bucket": bucket.name,
            "key": key,
            "version_id": version.version_id,
            "role": bucket.replication["Role"],
            "rule": rule,
            "whole": whole,
            "since": ctx.now,
        }
        order = f"{bucket.name}/{destination_name(rule)}/{key}"
        ctx.cloud.outbox.put(tx, target=TARGET, payload=payload, now=ctx.now, order=order, dead_target=DEAD_TARGET)
        if whole and is_on(rule["Destination"].get("ReplicationTime")):
            due = ctx.now + THRESHOLD_MINUTES * 60
            ctx.cloud.outbox.put(tx, target=THRESHOLD_TARGET, payload=payload, now=ctx.now, due=due)
