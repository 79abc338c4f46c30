"""Lifecycle rules: what a configuration may say, and what it asks for of one version.

Sources: "Managing the lifecycle of objects", "Lifecycle configuration elements", "Transitioning objects using Amazon S3
Lifecycle" in the Amazon S3 User Guide; recorded answers.

Everything falls due at a midnight (UTC): the days of a rule are added to the time from which they count, and the result
is rounded up.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from pileus.kernel.errors import AWSError
from pileus.kernel.ids import Ids
from pileus.services.s3 import errors
from pileus.services.s3.conditions import http_date
from pileus.services.s3.records import Bucket, Object

DAY_S = 86_400
RULES_MAX = 1000
# What directory buckets say instead of a time.
NO_EXPIRATION = "NotImplemented"
ID_CHARACTERS_MAX = 255
# Smaller objects are not moved to another storage class, unless a rule speaks of sizes itself.
TRANSITION_BYTES_MIN = 128 * 1024
MINIMUM_SIZES = ("all_storage_classes_128K", "varies_by_storage_class")
_ANY_SIZE = ("GLACIER", "DEEP_ARCHIVE")

# Objects only ever move towards the end of this list.
_WATERFALL = ("STANDARD", "STANDARD_IA", "INTELLIGENT_TIERING", "ONEZONE_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE")
_DAYS_MIN = {"STANDARD_IA": 30, "ONEZONE_IA": 30}
_FILTERS = ("Prefix", "Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan", "And")
_ACTIONS = (
    "Expiration",
    "Transitions",
    "NoncurrentVersionExpiration",
    "NoncurrentVersionTransitions",
    "AbortIncompleteMultipartUpload",
)


class Conditions(NamedTuple):
    """Which objects a rule is about."""

    prefix: str = ""
    tags: tuple[tuple[str, str], ...] = ()
    greater_than: int | None = None
    less_than: int | None = None


class Due(NamedTuple):
    """What becomes of a version, and when. `storage_class` "": it expires."""

    when: float
    rule_id: str
    storage_class: str = ""


# ------------------------------------------------------------------------------------------------- what may be put


def check(configuration: Mapping[str, Any] | None, ids: Ids) -> list[dict[str, Any]]:
    """The rules as they are kept: each has an id."""
    rules = (configuration or {}).get("Rules") or ()
    if not 1 <= len(rules) <= RULES_MAX:
        raise errors.malformed_xml()
    kept = [_check_rule(dict(rule), ids) for rule in rules]
    if len({rule["ID"] for rule in kept}) != len(kept):
        raise errors.invalid_argument("Rule ID must be unique. Found same ID for more than one rule")
    return kept


def _check_rule(rule: dict[str, Any], ids: Ids) -> dict[str, Any]:
    if rule.get("Status") not in ("Enabled", "Disabled") or ("Filter" in rule) == ("Prefix" in rule):
        raise errors.malformed_xml()
    rule_id = rule.get("ID") or ids.uuid()
    if len(rule_id) > ID_CHARACTERS_MAX:
        raise errors.invalid_argument("ID length should not exceed allowed limit of 255")
    rule["ID"] = rule_id
    filter_ = rule.get("Filter") or {}
    if sum(name in filter_ for name in _FILTERS) > 1:
        raise errors.malformed_xml()
    for tag in [*(filter_.get("And") or {}).get("Tags", ()), *([filter_["Tag"]] if "Tag" in filter_ else ())]:
        if not tag.get("Key") or tag.get("Value") is None:
            raise errors.malformed_xml()
    found = conditions(rule)
    if len(dict(found.tags)) != len(found.tags):
        raise errors.invalid_request("Duplicate Tag Keys are not allowed.")
    if found.greater_than is not None and found.less_than is not None and found.less_than <= found.greater_than:
        raise errors.invalid_request("'ObjectSizeLessThan' has to be a value greater than 'ObjectSizeGreaterThan'.")
    if not any(rule.get(name) is not None for name in _ACTIONS):
        raise errors.invalid_request("At least one action needs to be specified in a rule")
    _check_expiration(rule, found)
    _check_transitions(rule, found)
    _check_noncurrent(rule)
    if (abort := rule.get("AbortIncompleteMultipartUpload")) is not None:
        _positive(abort.get("DaysAfterInitiation"), "DaysAfterInitiation", "AbortIncompleteMultipartUpload")
        if found.tags:
            raise errors.invalid_request("AbortIncompleteMultipartUpload cannot be specified with Tags.")
        if found.greater_than is not None or found.less_than is not None:
            raise errors.invalid_request("AbortIncompleteMultipartUpload cannot be specified with Object Size.")
    return rule


def _positive(days: int | None, name: str, action: str) -> None:
    if days is None:
        raise errors.malformed_xml()
    if days <= 0:
        raise errors.invalid_argument(f"'{name}' for {action} action must be a positive integer")


def _midnight(when: float) -> None:
    if when % DAY_S:
        import datetime

        shown = datetime.datetime.fromtimestamp(when, datetime.UTC).isoformat().replace("+00:00", "Z")
        raise errors.invalid_argument("'Date' must be at midnight GMT", "Date", shown)


def _check_expiration(rule: Mapping[str, Any], found: Conditions) -> None:
    if (expiration := rule.get("Expiration")) is None:
        return
    if sum(name in expiration for name in ("Days", "Date", "ExpiredObjectDeleteMarker")) != 1:
        raise errors.malformed_xml()
    if "Days" in expiration:
        _positive(expiration["Days"], "Days", "Expiration")
    elif "Date" in expiration:
        _midnight(expiration["Date"])
    elif found.tags:
        raise errors.invalid_request("ExpiredObjectDeleteMarker cannot be specified with Tags.")


def _check_transitions(rule: Mapping[str, Any], found: Conditions) -> None:
    transitions = rule.get("Transitions") or ()
    shown = f"'(prefix={found.prefix})'"
    expiration = rule.get("Expiration") or {}
    kinds = {name for one in (*transitions, expiration) for name in ("Days", "Date") if name in one}
    classes = [one.get("StorageClass") for one in transitions]
    for one in transitions:
        if one.get("StorageClass") not in _WATERFALL[1:] or ("Days" in one) == ("Date" in one):
            raise errors.malformed_xml()
        if "Date" in one:
            _midnight(one["Date"])
        elif one["Days"] < 0:
            raise errors.invalid_argument("'Days' for Transition action must be nonnegative")
        elif one["Days"] < (least := _DAYS_MIN.get(one["StorageClass"], 0)):
            raise errors.invalid_argument(
                f"'Days' in Transition action must be greater than or equal to {least} for storageClass "
                f"'{one['StorageClass']}'"
            )
    if len(set(classes)) != len(classes):
        raise errors.invalid_request(
            f"'StorageClass' must be different for 'Transition' actions in same 'Rule' with filter {shown}"
        )
    if transitions and len(kinds) > 1:
        raise errors.invalid_request(
            "Found mixed 'Date' and 'Days' based Expiration and Transition actions in lifecycle rule for filter "
            f"{shown}"
        )
    for name in kinds:
        if any(expiration.get(name, math.inf) <= one[name] for one in transitions):
            raise errors.invalid_argument(
                f"'{name}' in the Expiration action for filter {shown} must be "
                f"{'greater' if name == 'Days' else 'later'} than '{name}' in the Transition action"
            )


def _check_noncurrent(rule: Mapping[str, Any]) -> None:
    expiration = rule.get("NoncurrentVersionExpiration")
    transitions = rule.get("NoncurrentVersionTransitions") or ()
    if expiration is not None:
        _positive(expiration.get("NoncurrentDays"), "NoncurrentDays", "NoncurrentVersionExpiration")
    for one in transitions:
        if one.get("StorageClass") not in _WATERFALL[1:] or one.get("NoncurrentDays") is None:
            raise errors.malformed_xml()
        least = _DAYS_MIN.get(one["StorageClass"], 0)
        if one["NoncurrentDays"] < least:
            raise errors.invalid_argument(
                "'NoncurrentDays' in NoncurrentVersionTransition action must be greater than or equal to "
                f"{least} for storageClass '{one['StorageClass']}'"
            )
    for one in (*transitions, *([expiration] if expiration else ())):
        if (newer := one.get("NewerNoncurrentVersions")) is not None and not 1 <= newer <= 100:
            raise errors.invalid_argument("'NewerNoncurrentVersions' must be a positive integer between 1 and 100")


def check_minimum_size(given: str | None) -> str:
    if given is None:
        return MINIMUM_SIZES[0]
    if given not in MINIMUM_SIZES:
        raise AWSError("InvalidRequest", f"Invalid TransitionDefaultMinimumObjectSize found: {given}", status=400)
    return given


# ---------------------------------------------------------------------------------------------- what rules ask for


def conditions(rule: Mapping[str, Any]) -> Conditions:
    filter_ = rule.get("Filter") or {}
    both = filter_.get("And") or {}
    tags = [*both.get("Tags", ()), *([filter_["Tag"]] if "Tag" in filter_ else ())]
    return Conditions(
        rule.get("Prefix") or filter_.get("Prefix") or both.get("Prefix") or "",
        tuple((tag["Key"], tag["Value"]) for tag in tags),
        filter_.get("ObjectSizeGreaterThan", both.get("ObjectSizeGreaterThan")),
        filter_.get("ObjectSizeLessThan", both.get("ObjectSizeLessThan")),
    )


def _matches(found: Conditions, key: str, version: Object) -> bool:
    if not key.startswith(found.prefix):
        return False
    if found.tags and not set(found.tags) <= set(version.tags):
        return False
    if found.greater_than is not None and version.size <= found.greater_than:
        return False
    return found.less_than is None or version.size < found.less_than


def midnight_after(when: float, days: int) -> float:
    """`days` after `when`, rounded up to a midnight."""
    return math.ceil((when + days * DAY_S) / DAY_S) * DAY_S


def _when(action: Mapping[str, Any], since: float, days: str = "Days") -> float | None:
    if days in action:
        return float(midnight_after(since, action[days]))
    return action.get("Date")


def of_current(bucket: Bucket, key: str, version: Object) -> list[Due]:
    """What becomes of a key's current version (an object, or the delete marker that is its only version)."""
    found: list[Due] = []
    for rule in bucket.lifecycle:
        if rule["Status"] != "Enabled":
            continue
        meant = conditions(rule)
        expiration = rule.get("Expiration") or {}
        if version.delete_marker:
            # Tags and sizes are an object's.
            if key.startswith(meant.prefix) and meant[1:] == ((), None, None):
                if expiration.get("ExpiredObjectDeleteMarker"):
                    found.append(Due(version.modified, rule["ID"]))
                elif (when := _when(expiration, version.modified)) is not None:
                    found.append(Due(when, rule["ID"]))
        elif _matches(meant, key, version):
            if (when := _when(expiration, version.modified)) is not None:
                found.append(Due(when, rule["ID"]))
            found += _transitions(bucket, rule, meant, version, rule.get("Transitions") or (), version.modified, "Days")
    return found


def of_noncurrent(bucket: Bucket, key: str, version: Object, since: float, newer: int) -> list[Due]:
    """The same for a version that is not current since `since`, with `newer` others between it and the current one."""
    found: list[Due] = []
    for rule in bucket.lifecycle:
        if rule["Status"] != "Enabled" or not _matches(meant := conditions(rule), key, version):
            continue
        expiration = rule.get("NoncurrentVersionExpiration")
        if expiration and newer >= expiration.get("NewerNoncurrentVersions", 0):
            found.append(Due(midnight_after(since, expiration["NoncurrentDays"]), rule["ID"]))
        transitions = [
            one
            for one in rule.get("NoncurrentVersionTransitions") or ()
            if newer >= one.get("NewerNoncurrentVersions", 0)
        ]
        found += _transitions(bucket, rule, meant, version, transitions, since, "NoncurrentDays")
    return found


def _transitions(
    bucket: Bucket,
    rule: Mapping[str, Any],
    meant: Conditions,
    version: Object,
    transitions: Sequence[Mapping[str, Any]],
    since: float,
    days: str,
) -> list[Due]:
    if version.delete_marker:
        return []
    found = []
    sized = meant.greater_than is not None or meant.less_than is not None
    for one in transitions:
        target = one["StorageClass"]
        any_size = sized or (bucket.lifecycle_minimum_size == MINIMUM_SIZES[1] and target in _ANY_SIZE)
        if not any_size and version.size < TRANSITION_BYTES_MIN:
            continue
        if (when := _when(one, since, days)) is not None and _may_move(version.storage_class, target):
            found.append(Due(when, rule["ID"], target))
    return found


def _may_move(source: str, target: str) -> bool:
    if (source, target) == ("ONEZONE_IA", "GLACIER_IR"):
        return False
    at = _WATERFALL.index(source) if source in _WATERFALL else 0
    return _WATERFALL.index(target) > at


def chosen(dues: Sequence[Due], now: float) -> Due | None:
    """What is to be done by `now`: expiring comes before moving, and the move that goes furthest before others."""
    due = [one for one in dues if one.when <= now]
    if not due:
        return None
    return min(due, key=lambda one: (bool(one.storage_class), -_WATERFALL.index(one.storage_class or "STANDARD")))


def expires(bucket: Bucket, key: str, version: Object) -> Due | None:
    """When a current object expires."""
    if not bucket.lifecycle or version.delete_marker:
        return None
    return min((one for one in of_current(bucket, key, version) if not one.storage_class), default=None)


def expiration_header(bucket: Bucket, key: str, version: Object) -> dict[str, str]:
    """`Expiration` as answers about a current object give it (`x-amz-expiration`)."""
    if bucket.is_directory:
        return {"Expiration": NO_EXPIRATION}
    first = expires(bucket, key, version)
    if first is None:
        return {}
    return {"Expiration": f'expiry-date="{http_date(first.when)}", rule-id="{quote(first.rule_id, safe="")}"'}


def abort_of(bucket: Bucket, key: str, initiated: float) -> Due | None:
    """When a multipart upload that began at `initiated` is aborted."""
    found = [
        Due(midnight_after(initiated, rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"]), rule["ID"])
        for rule in bucket.lifecycle
        if rule["Status"] == "Enabled"
        and rule.get("AbortIncompleteMultipartUpload")
        and key.startswith(conditions(rule).prefix)
    ]
    return min(found, default=None)
