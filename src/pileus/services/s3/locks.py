"""Object lock: what keeps a version from being removed, and until when.

Sources: "Locking objects with Object Lock", "Object Lock considerations" in the Amazon S3 User Guide; recorded answers.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from pileus.kernel.errors import AWSError, NotBuilt
from pileus.services.s3 import errors
from pileus.services.s3.records import Bucket, Lock, Object

DAY_S = 86_400
MODES = ("GOVERNANCE", "COMPLIANCE")
HOLDS = ("ON", "OFF")
_PST_S = 8 * 3600


def check_configuration(configuration: Mapping[str, Any] | None) -> dict[str, Any]:
    """The default retention that an ObjectLockConfiguration gives a bucket; {}: none."""
    given = configuration or {}
    if given.get("ObjectLockEnabled") != "Enabled":
        raise errors.malformed_xml()
    if (rule := given.get("Rule")) is None:
        return {}
    retention = rule.get("DefaultRetention") or {}
    if retention.get("DefaultEventHold") is not None:
        raise NotBuilt("PutObjectLockConfiguration with event holds")
    periods = [name for name in ("Days", "Years") if retention.get(name) is not None]
    if retention.get("Mode") not in MODES or len(periods) != 1:
        raise errors.malformed_xml()
    if retention[periods[0]] <= 0:
        raise errors.invalid_argument("Default retention period must be a positive integer value.")
    return {"Mode": retention["Mode"], periods[0]: retention[periods[0]]}


def require(bucket: Bucket) -> None:
    if not bucket.object_lock:
        raise errors.invalid_request("Bucket is missing Object Lock Configuration")


def of_request(bucket: Bucket, request: Mapping[str, Any], now: float) -> Lock | None:
    """The lock of a version that a request makes: by its headers, else by the bucket's default."""
    mode, until = request.get("ObjectLockMode"), request.get("ObjectLockRetainUntilDate")
    hold = request.get("ObjectLockLegalHoldStatus")
    if mode is not None or until is not None or hold is not None:
        require(bucket)
    if (mode is None) != (until is None):
        raise errors.invalid_argument(
            "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both be supplied",
            "x-amz-object-lock-retain-until-date" if until is None else "x-amz-object-lock-mode",
        )
    if hold is not None and hold not in HOLDS:
        raise errors.invalid_argument(
            "Legal Hold must be either of 'ON' or 'OFF'", "x-amz-object-lock-legal-hold", hold
        )
    if mode is not None and until is not None:
        if mode not in MODES:
            raise errors.invalid_argument("Unknown wormMode directive.", "x-amz-object-lock-mode", mode)
        if until <= now:
            raise errors.invalid_argument(
                "The retain until date must be in the future!",
                "x-amz-object-lock-retain-until-date",
                time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(until)),
            )
    elif bucket.lock_default:
        mode = bucket.lock_default["Mode"]
        days = bucket.lock_default.get("Days") or bucket.lock_default["Years"] * 365
        until = now + days * DAY_S
    if mode is None and hold is None:
        return None
    return Lock(mode or "", float(until or 0.0), hold or "")


def date_of_field(text: str) -> float:
    """The date of a form's field, which comes as text."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise errors.invalid_argument(
            "The retain until date must be provided in ISO 8601 format", "x-amz-object-lock-retain-until-date", text
        ) from None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def check_integrity(what: str, *, locked: bool, checked: bool) -> None:
    """What is locked cannot be put right later: its bytes must come with something to check them by. `what`: "Object"
    or "Part"."""
    if locked and not checked:
        raise errors.invalid_request(
            f"Content-MD5 OR x-amz-checksum- HTTP header is required for Put {what} requests with Object Lock "
            "parameters"
        )


def shown(version: Object) -> dict[str, Any]:
    """What reading answers say of a version's lock."""
    if (lock := version.lock) is None:
        return {}
    answer: dict[str, Any] = {}
    if lock.mode:
        answer |= {"ObjectLockMode": lock.mode, "ObjectLockRetainUntilDate": lock.until}
    if lock.legal_hold:
        answer["ObjectLockLegalHoldStatus"] = lock.legal_hold
    return answer


def is_locked(version: Object, now: float, *, bypass: bool = False) -> bool:
    """Whether the version may not be removed; `bypass`: the caller may and wants to bypass governance."""
    if (lock := version.lock) is None:
        return False
    if lock.legal_hold == "ON":
        return True
    return lock.until > now and not (lock.mode == "GOVERNANCE" and bypass)


def denied() -> AWSError:
    return errors.access_denied("Access Denied because object protected by object lock.")


def check_bypass(bucket: Bucket, request: Mapping[str, Any]) -> bool:
    """Whether a deletion bypasses governance; only buckets with object lock know of that."""
    if request.get("BypassGovernanceRetention") is not None and not bucket.object_lock:
        raise errors.invalid_argument(
            "x-amz-bypass-governance-retention is only applicable to Object Lock enabled buckets.",
            "x-amz-bypass-governance-retention",
        )
    return bool(request.get("BypassGovernanceRetention"))


def retained(version: Object, retention: Mapping[str, Any] | None, now: float, *, bypass: bool) -> Lock:
    """The lock after PutObjectRetention: a retention that holds is only ever made stricter, unless it is bypassed.

    An empty retention takes the old one away, for who may bypass it.
    """
    given = retention or {}
    if given.get("EventHold") is not None or given.get("EventHoldDuration") is not None:
        raise NotBuilt("PutObjectRetention with event holds")
    mode, until = given.get("Mode"), given.get("RetainUntilDate")
    old = version.lock or Lock()
    if mode is None and until is None and bypass:
        if old.mode == "COMPLIANCE" and old.until > now:
            raise denied()
        return msgspec.structs.replace(old, mode="", until=0.0)
    if mode not in MODES or until is None:
        raise errors.malformed_xml()
    if until <= now:
        date = time.strftime("%a %b %d %H:%M:%S PST %Y", time.gmtime(until - _PST_S))
        raise errors.invalid_argument("The retain until date must be in the future!", "RetainUntilDate", date)
    if old.until > now and not (old.mode == "GOVERNANCE" and bypass):
        weaker = MODES.index(mode) < MODES.index(old.mode)
        if weaker or until < old.until:
            raise denied()
    return msgspec.structs.replace(old, mode=mode, until=float(until))
