"""Judges what concurrent clients of FIFO queues saw: nothing lost, nothing twice, no group out of its order.

Clients note every call with the moments between which it was done; `end` is `NEVER` where nobody was told what came of
it. A message is known by its body; where it lies by its queue and sequence number, which it gets anew when it is given
up to a dead-letter queue and when it is moved back. So much is certain, whatever was under way at once:

    hidden     what was handed out is not handed out again within its visibility timeout, unless somebody gave it back
    blocked    as long as it is hidden, nothing behind it in its group is handed out
    order      what was handed out without something before it in its group never has that before it again
    moved      nor does a message that was moved back leave one behind that was before it in the dead-letter queue
    deleted    what was deleted while it was hidden is gone for good, in every queue
    receives   a message is handed out so many times at most, and counted once more each time
    lost       whatever was acknowledged was handed out to somebody who deleted it
"""

from __future__ import annotations

from collections import defaultdict
from typing import NamedTuple

NEVER = float("inf")


class Message(NamedTuple):
    body: str
    group: str
    sequence: int
    receives: int


class Sent(NamedTuple):
    begin: float
    end: float
    group: str
    body: str
    # 0 where nobody was told.
    sequence: int


class Received(NamedTuple):
    begin: float
    end: float
    queue: str
    messages: tuple[Message, ...]


class Ended(NamedTuple):
    """A delete, or a visibility timeout of 0, of a message that `received` handed out."""

    begin: float
    end: float
    received: Received
    message: Message
    deleted: bool


class Rules(NamedTuple):
    visibility_s: float
    live: str
    dead: str
    # How often `live` hands a message out before `dead` gets it.
    receives_max: int


class History(NamedTuple):
    sent: list[Sent]
    received: list[Received]
    ended: list[Ended]


def faults(history: History, rules: Rules) -> list[str]:
    """What must not have happened and did, after both queues were drained."""
    return [*_sequences(history), *_lines(history, rules), *_moved(history, rules), *_ends(history, rules)]


def _sequences(history: History) -> list[str]:
    """Each group is sent by one client, one call after the other, repeated until it is acknowledged."""
    found, last = [], defaultdict(int)
    for one in sorted(history.sent, key=lambda sent: sent.begin):
        if one.sequence:
            if one.sequence <= last[one.group]:
                found.append(f"order: {one.body} was sent after what has a higher sequence number")
            last[one.group] = one.sequence
    return found


def _handed_out(history: History) -> dict[tuple[str, str], list[tuple[Received, Message]]]:
    """By queue and group."""
    lines = defaultdict(list)
    for one in history.received:
        for message in one.messages:
            lines[one.queue, message.group].append((one, message))
    return lines


def _lines(history: History, rules: Rules) -> list[str]:
    found = []
    given_back = defaultdict(list)
    for ended in history.ended:
        given_back[ended.received.queue, ended.message.sequence].append(ended.begin)
    for (queue, _), handed_out in _handed_out(history).items():
        for one, message in handed_out:
            own = [each.sequence for each in one.messages if each.group == message.group]
            if own != sorted(set(own)):
                found.append(f"order: {own} were handed out at once")
            if queue == rules.live and message.receives > rules.receives_max:
                found.append(f"receives: {message.body} was handed out for the {message.receives}th time")
            for other, later in handed_out:
                if other is one:
                    continue
                if later.sequence == message.sequence and one.end < other.begin and later.receives <= message.receives:
                    found.append(f"receives: {later.body} was counted {message.receives}, then {later.receives}")
                if later.sequence < message.sequence and one.end < other.begin and later.sequence not in own:
                    found.append(f"order: {later.body} was handed out after {message.body}")
                if any(one.begin < at < other.end for at in given_back[queue, message.sequence]):
                    continue
                if later.sequence == message.sequence:
                    # Which of the two came first is not known where both were under way.
                    if one.end < other.end < min(one.begin, other.begin) + rules.visibility_s:
                        found.append(f"hidden: {later.body} was handed out again")
                elif later.sequence > message.sequence and one.end < other.begin:
                    with_it = message.sequence in [each.sequence for each in other.messages]
                    if other.end < one.begin + rules.visibility_s and not with_it:
                        found.append(f"blocked: {later.body} was handed out while {message.body} was hidden")
    return found


def _moved(history: History, rules: Rules) -> list[str]:
    found = []
    lines = _handed_out(history)
    for (queue, group), dead in lines.items():
        if queue != rules.dead:
            continue
        back = defaultdict(list)
        for one, message in lines.get((rules.live, group), ()):
            back[message.body].append(one)
        for one, message in dead:
            # When it was certainly in the other queue again.
            ends = [live.end for live in back[message.body] if one.end < live.begin]
            for other, before in dead:
                if before.sequence < message.sequence and any(end < other.begin for end in ends):
                    found.append(f"moved: {message.body} left {before.body} behind")
    return found


def _ends(history: History, rules: Rules) -> list[str]:
    found = []
    gone: dict[str, float] = {}
    tried = set()
    for ended in history.ended:
        if ended.deleted:
            tried.add(ended.message.body)
            if ended.end < ended.received.begin + rules.visibility_s:
                gone[ended.message.body] = min(ended.end, gone.get(ended.message.body, NEVER))
    for one in history.received:
        found += [
            f"deleted: {message.body} was handed out by {one.queue} after its delete"
            for message in one.messages
            if gone.get(message.body, NEVER) < one.begin
        ]
    found += [f"lost: {one.body}" for one in history.sent if one.sequence and one.body not in tried]
    known = {one.body for one in history.sent}
    found += [
        f"{each.body} was never sent" for one in history.received for each in one.messages if each.body not in known
    ]
    return found
