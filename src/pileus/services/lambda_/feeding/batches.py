"""Batches and what functions say of them, as pure logic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import orjson

# "Lambda quotas": the payload of a synchronous invocation; a batch ends before it.
PAYLOAD_BYTES_MAX = 6_291_456


def failed_items(payload: bytes, known: Sequence[str]) -> list[str] | None:
    """The items of a batch that the function reports as failed, of those that it got; None: all of them.

    An answer that is null or empty, or has no list of failures or an empty one, means success. An item that is not of
    the batch, or that is null or empty, makes the whole batch fail.

    Source: "Reporting batch item failures" of the developer guide.
    """
    try:
        answer = orjson.loads(payload) if payload.strip() else None
    except orjson.JSONDecodeError:
        return None
    if not answer:
        return []
    if not isinstance(answer, dict):
        # A text or a number says nothing of failures; a list of anything does not either.
        return [] if not isinstance(answer, list) else None
    reported = answer.get("batchItemFailures")
    if not reported:
        return []
    if not isinstance(reported, list):
        return None
    items = [each.get("itemIdentifier") if isinstance(each, dict) else None for each in reported]
    there = set(known)
    failed = [item for item in items if isinstance(item, str) and item in there]
    return failed if len(failed) == len(items) else None


def fits(size: int, more: int) -> bool:
    """Whether a record of `more` bytes still fits into a batch of `size` bytes."""
    return size + more + 1 <= PAYLOAD_BYTES_MAX


def event(records: Sequence[bytes], **further: Any) -> bytes:
    """The function's event: records in JSON already, and further members."""
    head = b'{"Records":[' + b",".join(records) + b"]"
    rest = orjson.dumps(further) if further else b"{}"
    return head + (b"," + rest[1:] if further else b"}")
