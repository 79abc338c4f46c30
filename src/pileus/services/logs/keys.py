"""The keys of everything CloudWatch Logs stores.

    group     account, region, name                     Group
    stream    account, region, group's id, name         Stream
    chunk     stream's id, first timestamp, sequence    events of one PutLogEvents call: `chunks.encode`
    policy    account, region, name                     ResourcePolicy
    garbage   stream's id                               a deleted stream whose chunks are still to go

Chunks hang on the stream's id, so that a stream deleted and made again never sees its former events, and deleting one
is cheap however much it holds.
"""

from __future__ import annotations

from pileus.store.keys import pack, pack_onto, prefix_range, range_onto, text_range

Range = tuple[bytes, bytes]


def group(account: str, region: str, name: str) -> bytes:
    return pack("logs", account, region, "group", name)


def groups(account: str, region: str, prefix: str = "") -> Range:
    if not prefix:
        return prefix_range("logs", account, region, "group")
    return text_range(pack("logs", account, region, "group"), prefix)


# Group names of every account and region, for the loops: one small record each.
def group_index(account: str, region: str, name: str) -> bytes:
    return pack("logs", "", "", "group-index", account, region, name)


def group_indexes() -> Range:
    return prefix_range("logs", "", "", "group-index")


def stream(account: str, region: str, group_id: str, name: str) -> bytes:
    return pack("logs", account, region, "stream", group_id, name)


def streams(account: str, region: str, group_id: str, prefix: str = "") -> Range:
    if not prefix:
        return prefix_range("logs", account, region, "stream", group_id)
    return text_range(pack("logs", account, region, "stream", group_id), prefix)


def chunk(stream_id: str, first_ms: int, sequence: int) -> bytes:
    return pack("logs", "", "", "chunk", stream_id, first_ms, sequence)


def chunks(stream_id: str) -> Range:
    return prefix_range("logs", "", "", "chunk", stream_id)


def chunks_from(stream_id: str, first_ms: int) -> bytes:
    """Where the chunks begin whose first event is at `first_ms` or later."""
    return pack_onto(pack("logs", "", "", "chunk", stream_id), first_ms)


def garbage(stream_id: str) -> bytes:
    return pack("logs", "", "", "garbage", stream_id)


def garbages() -> Range:
    return range_onto(pack("logs", "", "", "garbage"))


def resource_policy(account: str, region: str, name: str) -> bytes:
    return pack("logs", account, region, "policy", name)


def resource_policies(account: str, region: str) -> Range:
    return prefix_range("logs", account, region, "policy")
