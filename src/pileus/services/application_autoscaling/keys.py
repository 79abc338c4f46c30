"""The keys of everything Application Auto Scaling stores.

target     account, region, namespace, resource, dimension          ScalableTarget
policy     account, region, namespace, resource, dimension, name    Policy
action     account, region, namespace, resource, dimension, name    ScheduledAction
activity   account, region, namespace, age, id                      Activity, the latest first
tracked    (account, region, namespace, resource, dimension)        targets with a policy that scales them
"""

from __future__ import annotations

from pileus.services.application_autoscaling.names import Target
from pileus.store.keys import pack, prefix_range, unpack

SERVICE = "application-autoscaling"
# Activities are kept in the order of what is left until then.
_FAR = 1 << 53

Range = tuple[bytes, bytes]


def target(at: Target) -> bytes:
    return pack(SERVICE, at.account, at.region, "target", *at[2:])


def policy(at: Target, name: str) -> bytes:
    return pack(SERVICE, at.account, at.region, "policy", *at[2:], name)


def action(at: Target, name: str) -> bytes:
    return pack(SERVICE, at.account, at.region, "action", *at[2:], name)


def all_of(kind: str, account: str, region: str, *parts: str) -> Range:
    """Records of one kind, of the namespace, resource and dimension in `parts`, as far as they are said."""
    return prefix_range(SERVICE, account, region, kind, *parts)


def activity(at: Target, when: float, activity_id: str) -> bytes:
    return pack(SERVICE, at.account, at.region, "activity", at.namespace, _FAR - int(when * 1000), activity_id)


def activities_before(at: Target, when: float) -> Range:
    _, end = prefix_range(SERVICE, at.account, at.region, "activity", at.namespace)
    return pack(SERVICE, at.account, at.region, "activity", at.namespace, _FAR - int(when * 1000)), end


def tracked(at: Target) -> bytes:
    return pack(SERVICE, "", "", "tracked", *at)


def all_tracked() -> Range:
    return prefix_range(SERVICE, "", "", "tracked")


def tracked_target(key: bytes) -> Target:
    return Target(*(str(part) for part in unpack(key)[4:]))
