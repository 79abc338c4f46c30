"""The keys of everything EventBridge Scheduler stores.

schedule    account, region, group, name    Schedule
group       account, region, name           Group; the default one is there without a record
"""

from __future__ import annotations

from pileus.store.keys import pack, prefix_range, text_range

Range = tuple[bytes, bytes]


def schedule(account: str, region: str, group: str, name: str) -> bytes:
    return pack("scheduler", account, region, "schedule", group, name)


def schedules(account: str, region: str, group: str | None = None, prefix: str = "") -> Range:
    """Those of all groups, or of one, or of one with names that begin so."""
    if group is None:
        return prefix_range("scheduler", account, region, "schedule")
    if not prefix:
        return prefix_range("scheduler", account, region, "schedule", group)
    return text_range(pack("scheduler", account, region, "schedule", group), prefix)


def group(account: str, region: str, name: str) -> bytes:
    return pack("scheduler", account, region, "group", name)


def groups(account: str, region: str, prefix: str = "") -> Range:
    if not prefix:
        return prefix_range("scheduler", account, region, "group")
    return text_range(pack("scheduler", account, region, "group"), prefix)
