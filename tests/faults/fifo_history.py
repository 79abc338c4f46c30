"""Judges what happened to a FIFO queue's messages: each once, and in the order of its group.

A history is a list of events in the order in which they were seen by one observer:

    Sent(group, body, known)     a send was answered; with `known` False nobody knows whether it was done
    Received([(group, body)])    what one receive has handed out, in its order
    Deleting(group, body)        a delete is about to be asked for
    Deleted(group, body)         it was answered with success

Messages of a group are sent one after the other, under bodies of their own; a send that is repeated under the same
deduplication id is the same message, and stands for one more `Sent` with the same body.
"""

from __future__ import annotations

from typing import NamedTuple


class Sent(NamedTuple):
    group: str
    body: str
    known: bool = True


class Received(NamedTuple):
    messages: tuple[tuple[str, str], ...]


class Deleting(NamedTuple):
    group: str
    body: str


class Deleted(NamedTuple):
    group: str
    body: str


Event = Sent | Received | Deleting | Deleted
_Message = tuple[str, str]


def faults(history: list[Event], *, drained: bool = True) -> list[str]:
    """What a FIFO queue must not do and did; `drained`: at the end nothing was left in the queue."""
    found: list[str] = []
    order: dict[str, list[str]] = {}
    known: set[_Message] = set()
    deleting: set[_Message] = set()
    deleted: set[_Message] = set()
    received: set[_Message] = set()
    for event in history:
        match event:
            case Sent(group, body, is_known):
                line = order.setdefault(group, [])
                if body not in line:
                    line.append(body)
                if is_known:
                    known.add((group, body))
            case Received(messages):
                before: set[_Message] = set()
                for message in messages:
                    group, body = message
                    line = order.get(group, [])
                    if body not in line:
                        found.append(f"{group}/{body} was never sent")
                        continue
                    if message in deleted:
                        found.append(f"{group}/{body} was handed out after its delete")
                    if message in before:
                        found.append(f"{group}/{body} was handed out twice at once")
                    for earlier in line[: line.index(body)]:
                        one = (group, earlier)
                        if one in known and one not in deleting and one not in before:
                            found.append(f"{group}/{body} was handed out before {earlier}")
                    before.add(message)
                received |= before
            case Deleting(group, body):
                deleting.add((group, body))
            case Deleted(group, body):
                deleted.add((group, body))
    if drained:
        found += [f"{group}/{body} is lost" for group, body in sorted(known - received - deleting)]
        left = sorted(received - deleting)
        found += [f"{group}/{body} was never deleted, and is gone" for group, body in left]
    return found
