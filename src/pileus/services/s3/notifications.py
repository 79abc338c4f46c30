"""Event notifications: what a configuration may say, which events it asks for, what a record says.

Sources: "Amazon S3 Event Notifications", "Event message structure", "Configuring event notifications using object key
name filtering" in the Amazon S3 User Guide; recorded answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import combinations
from typing import Any

from pileus.cloud.context import Cloud, Context
from pileus.kernel.arn import parse_arn
from pileus.kernel.ids import Ids, host_id
from pileus.kernel.principal import Principal
from pileus.services.s3 import errors
from pileus.services.s3.accounts import customer_id
from pileus.services.s3.listing import url_encoded
from pileus.services.s3.records import Body, Bucket, Object
from pileus.store.contract import Transaction

TARGET = "s3.notification"

# Member of the configuration: (member with the ARN, its name in errors, the ARN's service).
DESTINATIONS = {
    "TopicConfigurations": ("TopicArn", "Topic", "sns"),
    "QueueConfigurations": ("QueueArn", "Queue", "sqs"),
    "LambdaFunctionConfigurations": ("LambdaFunctionArn", "CloudFunction", "lambda"),
}

_EVENTS = frozenset(
    (
        "s3:ReducedRedundancyLostObject",
        "s3:ObjectCreated:*",
        "s3:ObjectCreated:Put",
        "s3:ObjectCreated:Post",
        "s3:ObjectCreated:Copy",
        "s3:ObjectCreated:CompleteMultipartUpload",
        "s3:ObjectRemoved:*",
        "s3:ObjectRemoved:Delete",
        "s3:ObjectRemoved:DeleteMarkerCreated",
        "s3:ObjectRestore:*",
        "s3:ObjectRestore:Post",
        "s3:ObjectRestore:Completed",
        "s3:ObjectRestore:Delete",
        "s3:Replication:*",
        "s3:Replication:OperationFailedReplication",
        "s3:Replication:OperationNotTracked",
        "s3:Replication:OperationMissedThreshold",
        "s3:Replication:OperationReplicatedAfterThreshold",
        "s3:LifecycleTransition",
        "s3:IntelligentTiering",
        "s3:ObjectAcl:Put",
        "s3:LifecycleExpiration:*",
        "s3:LifecycleExpiration:Delete",
        "s3:LifecycleExpiration:DeleteMarkerCreated",
        "s3:ObjectTagging:*",
        "s3:ObjectTagging:Put",
        "s3:ObjectTagging:Delete",
    )
)


def check(configuration: Mapping[str, Any], bucket: Bucket, ids: Ids) -> dict[str, Any]:
    """The configuration as it is kept: ids given, filter names in their canonical spelling."""
    kept: dict[str, Any] = {}
    for member, (arn_member, arn_name, service) in DESTINATIONS.items():
        entries = [_check_entry(entry, arn_member, ids) for entry in configuration.get(member) or ()]
        for entry in entries:
            arn = parse_arn(entry[arn_member])
            if arn is None or arn.service != service:
                raise errors.invalid_argument("The ARN could not be parsed", arn_name, entry[arn_member])
            if arn.region != bucket.region:
                raise errors.invalid_argument(
                    "The notification destination service region is not valid for the bucket location constraint",
                    arn_name,
                    entry[arn_member],
                )
        if entries:
            kept[member] = entries
    if configuration.get("EventBridgeConfiguration") is not None:
        kept["EventBridgeConfiguration"] = {}
    entries = [entry for member in DESTINATIONS for entry in kept.get(member, ())]
    if len({entry["Id"] for entry in entries}) != len(entries):
        raise errors.invalid_argument("Same ID used for multiple configurations. IDs must be unique")
    for one, other in combinations(entries, 2):
        _check_overlap(one, other)
    return kept


def _check_entry(entry: Mapping[str, Any], arn_member: str, ids: Ids) -> dict[str, Any]:
    events = entry.get("Events") or ()
    if not events or arn_member not in entry or any(event not in _EVENTS for event in events):
        raise errors.malformed_xml()
    kept: dict[str, Any] = {"Id": entry.get("Id") or ids.uuid(), arn_member: entry[arn_member], "Events": list(events)}
    rules = ((entry.get("Filter") or {}).get("Key") or {}).get("FilterRules") or ()
    names: list[str] = []
    shown = []
    for rule in rules:
        if rule.get("Name") is None or rule.get("Value") is None:
            raise errors.malformed_xml()
        name = str(rule["Name"]).capitalize()
        if name not in ("Prefix", "Suffix"):
            raise errors.invalid_argument(
                "filter rule name must be either prefix or suffix", "FilterRule.Name", rule["Name"]
            )
        if name in names:
            raise errors.invalid_argument(
                f"Cannot specify more than one {name.lower()} rule in a filter.", "FilterRule.Name", rule["Name"]
            )
        if len(rule["Value"].encode()) > 1024:
            raise errors.invalid_argument("Size of filter rule value cannot exceed 1024 bytes in UTF-8 representation")
        names.append(name)
        shown.append({"Name": name, "Value": rule["Value"]})
    if shown:
        kept["Filter"] = {"Key": {"FilterRules": shown}}
    return kept


def _affixes(entry: Mapping[str, Any]) -> tuple[str, str]:
    """(prefix, suffix) that a key must have."""
    rules = entry["Filter"]["Key"]["FilterRules"] if "Filter" in entry else ()
    found = {rule["Name"]: rule["Value"] for rule in rules}
    return found.get("Prefix", ""), found.get("Suffix", "")


def _events_overlap(one: Sequence[str], other: Sequence[str]) -> bool:
    return any(
        a == b or (a.endswith("*") and b.startswith(a[:-1])) or (b.endswith("*") and a.startswith(b[:-1]))
        for a in one
        for b in other
    )


def _check_overlap(one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    if not _events_overlap(one["Events"], other["Events"]):
        return
    (prefix, suffix), (other_prefix, other_suffix) = _affixes(one), _affixes(other)
    if not (prefix.startswith(other_prefix) or other_prefix.startswith(prefix)):
        return
    if not (suffix.endswith(other_suffix) or other_suffix.endswith(suffix)):
        return
    if not any((prefix, suffix, other_prefix, other_suffix)):
        raise errors.invalid_argument(
            "Configurations overlap. Configurations on the same bucket cannot share a common event type."
        )
    raise errors.invalid_argument(
        "Configuration is ambiguously defined. Cannot have overlapping suffixes in two rules if the prefixes are "
        "overlapping for the same event type."
    )


def matching(configuration: Mapping[str, Any], event: str, key: str) -> Iterator[tuple[str, str]]:
    """(configuration's id, destination's ARN) of those that ask for `event` ("s3:ObjectCreated:Put") of `key`."""
    family = event.rpartition(":")[0] + ":*"
    for member, (arn_member, _, _) in DESTINATIONS.items():
        for entry in configuration.get(member, ()):
            if event not in entry["Events"] and family not in entry["Events"]:
                continue
            prefix, suffix = _affixes(entry)
            if key.startswith(prefix) and key.endswith(suffix):
                yield entry["Id"], entry[arn_member]


def principal_id(principal: Principal) -> str:
    if principal.kind == "root":
        return customer_id(principal.account)
    if principal.kind == "anonymous":
        return "ANONYMOUS"
    return "AWS:" + (principal.id or principal.service)


def record(
    ctx: Context,
    bucket: Bucket,
    configuration_id: str,
    event: str,
    *,
    key: str,
    version: Object,
    now: float,
    more: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One event record; `version` is the object that was made or changed, or what its removal left (`removal`)."""
    object_: dict[str, Any] = {"key": url_encoded(key)}
    if event.startswith(_WITH_SIZE):
        object_["size"] = version.size
    if version.etag:
        object_["eTag"] = version.etag
    if version.version_id:
        object_["versionId"] = version.version_id
    if not event.startswith(_WITHOUT_SEQUENCER):
        object_["sequencer"] = f"{version.sequence:018X}"
    by_itself = event.startswith(("s3:Lifecycle", "s3:Replication"))
    who = ctx.principal.service if by_itself else principal_id(ctx.principal)
    if event in ("s3:ObjectRestore:Completed", "s3:ObjectRestore:Delete"):
        who = f"AmazonCustomer:{customer_id(bucket.account)}"
    return {
        "eventVersion": "2.2"
        if event.startswith("s3:Replication")
        else "2.3"
        if by_itself or event.startswith(_WITHOUT_SEQUENCER)
        else "2.1",
        "eventSource": "aws:s3",
        "awsRegion": bucket.region,
        "eventTime": shown_time(now),
        "eventName": event.removeprefix("s3:"),
        "userIdentity": {"principalId": who},
        "requestParameters": {"sourceIPAddress": ctx.http.source_ip},
        "responseElements": {"x-amz-request-id": ctx.request_id, "x-amz-id-2": host_id(ctx.request_id)},
        "s3": {
            "s3SchemaVersion": "1.0",
            "configurationId": configuration_id,
            "bucket": {
                "name": bucket.name,
                "ownerIdentity": {"principalId": customer_id(bucket.account)},
                "arn": bucket.arn,
            },
            "object": object_,
        },
        **(more or {}),
    }


_WITH_SIZE = ("s3:ObjectCreated:", "s3:ObjectRestore:", "s3:Replication:")
_WITHOUT_SEQUENCER = ("s3:ObjectTagging:", "s3:ObjectAcl:")


def shown_time(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def removal(now: float, sequence: int, version_id: str = "") -> Object:
    """What events say of an object that is there no more."""
    return Object(body=Body(), etag="", modified=now, sequence=sequence, version_id=version_id)


# Detail types of the events that Amazon EventBridge gets; what it is not told of is missing here.
_DETAIL_TYPES = {
    "s3:ObjectCreated": "Object Created",
    "s3:ObjectRemoved": "Object Deleted",
    "s3:LifecycleExpiration": "Object Deleted",
    "s3:ObjectRestore:Post": "Object Restore Initiated",
    "s3:ObjectRestore:Completed": "Object Restore Completed",
    "s3:ObjectRestore:Delete": "Object Restore Expired",
    "s3:LifecycleTransition": "Object Storage Class Changed",
    "s3:ObjectTagging:Put": "Object Tags Added",
    "s3:ObjectTagging:Delete": "Object Tags Deleted",
    "s3:ObjectAcl:Put": "Object ACL Updated",
}
_REASONS = {
    "Put": "PutObject",
    "Post": "POST Object",
    "Copy": "CopyObject",
    "CompleteMultipartUpload": "CompleteMultipartUpload",
}


def detail(
    ctx: Context, bucket: Bucket, event: str, *, key: str, version: Object, more: Mapping[str, Any]
) -> tuple[str, dict[str, Any]] | None:
    """(detail type, detail) of an event for Amazon EventBridge; None where it hears nothing of it.

    Source: "EventBridge event message structure" in the Amazon S3 User Guide; recorded answers.
    """
    family, _, kind = event.rpartition(":")
    detail_type = _DETAIL_TYPES.get(event) or _DETAIL_TYPES.get(family)
    if detail_type is None:
        return None
    object_: dict[str, Any] = {"key": key}
    if event.startswith(("s3:ObjectCreated:", "s3:ObjectRestore:")):
        object_["size"] = version.size
    if version.etag:
        object_["etag"] = version.etag
    if version.version_id:
        object_["version-id"] = version.version_id
    if family in ("s3:ObjectCreated", "s3:ObjectRemoved", "s3:LifecycleExpiration"):
        object_["sequencer"] = f"{version.sequence:018X}"
    made: dict[str, Any] = {
        "version": "0",
        "bucket": {"name": bucket.name},
        "object": object_,
        "request-id": ctx.request_id,
        "requester": ctx.principal.service or ctx.principal.account or "anonymous",
    }
    if ctx.http.source_ip and not ctx.principal.service:
        made["source-ip-address"] = ctx.http.source_ip
    if family == "s3:ObjectCreated":
        made["reason"] = _REASONS[kind]
    elif detail_type == "Object Deleted":
        made["reason"] = "Lifecycle Expiration" if family == "s3:LifecycleExpiration" else "DeleteObject"
        made["deletion-type"] = "Permanently Deleted" if kind == "Delete" else "Delete Marker Created"
    elif event == "s3:LifecycleTransition":
        made["destination-storage-class"] = version.storage_class
    restored = (more.get("glacierEventData") or {}).get("restoreEventData")
    if restored:
        made["restore-expiry-time"] = restored["lifecycleRestorationExpiryTime"]
        made["source-storage-class"] = restored["lifecycleRestoreStorageClass"]
        made["requester"] = "s3.amazonaws.com"
        made.pop("source-ip-address", None)
    elif event == "s3:ObjectRestore:Post":
        made["source-storage-class"] = version.storage_class
    return detail_type, made


def announce(
    ctx: Context,
    tx: Transaction,
    bucket: Bucket,
    event: str,
    *,
    key: str,
    version: Object,
    now: float,
    more: Mapping[str, Any] | None = None,
    due: float | None = None,
) -> None:
    """Put the deliveries of one event into the outbox, in the transaction that makes it happen.

    `more`: further members of its record. `due`: when it is told, where not at once.
    """
    if not bucket.notification:
        return
    cloud: Cloud = ctx.cloud
    when = now if due is None else due
    # So that a function whose own output calls it can be found out.
    common = {
        "account": bucket.account,
        "region": bucket.region,
        "bucket": bucket.arn,
        "trace": ctx.http.headers.get("x-amzn-trace-id", ""),
    }
    for configuration_id, arn in matching(bucket.notification, event, key):
        made = record(ctx, bucket, configuration_id, event, key=key, version=version, now=when, more=more or {})
        cloud.outbox.put(
            tx,
            target=TARGET,
            payload={**common, "destination": arn, "event": {"Records": [made]}},
            now=now,
            due=due,
            # Events of one key reach one destination in their order.
            order=f"{bucket.name}/{configuration_id}/{key}" if due is None else "",
        )
    if "EventBridgeConfiguration" in bucket.notification:
        found = detail(ctx, bucket, event, key=key, version=version, more=more or {})
        if found is not None:
            bus = f"arn:aws:events:{bucket.region}:{bucket.account}:event-bus/default"
            cloud.outbox.put(
                tx,
                target=TARGET,
                payload={**common, "destination": bus, "detail_type": found[0], "event": found[1]},
                now=now,
                due=due,
                order=f"{bucket.name}/events/{key}" if due is None else "",
            )
