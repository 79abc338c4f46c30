"""The judge of FIFO traffic: what it lets pass, and what it does not."""

from __future__ import annotations

import pytest
from fifo_traffic import NEVER, Ended, History, Message, Received, Rules, Sent, faults

RULES = Rules(visibility_s=10, live="live", dead="dead", receives_max=2)


def sent(at: float, body: str, sequence: int) -> Sent:
    return Sent(at, at + 1 if sequence else NEVER, "g", body, sequence)


def received(at: float, *messages: tuple[str, int, int], queue: str = "live", takes: float = 1) -> Received:
    """Each message is (body, sequence number, how often it was received)."""
    return Received(at, at + takes, queue, tuple(Message(body, "g", n, times) for body, n, times in messages))


def deleted(at: float, by: Received, which: int = 0, *, end: float = 1) -> Ended:
    return Ended(at, at + end, by, by.messages[which], deleted=True)


def given_back(at: float, by: Received, which: int = 0) -> Ended:
    return Ended(at, at + 1, by, by.messages[which], deleted=False)


A, B = sent(0, "a", 1), sent(2, "b", 2)
BOTH = received(10, ("a", 1, 1), ("b", 2, 1))
TURNED = received(10, ("b", 2, 1), ("a", 1, 1))
FIRST = received(10, ("a", 1, 1))
SECOND = received(10, ("b", 2, 1))


def judge(*events: Sent | Received | Ended) -> list[str]:
    history = History([], [], [])
    for event in events:
        {Sent: history.sent, Received: history.received, Ended: history.ended}[type(event)].append(event)  # type: ignore[attr-defined]
    return [one.partition(":")[0] for one in faults(history, RULES)]


def test_what_is_as_it_should_be() -> None:
    assert judge(A, B, BOTH, deleted(12, BOTH), deleted(14, BOTH, 1)) == []
    # Its time ran out, and it was received once more; then nobody was told of the delete.
    again = received(21, ("a", 1, 2), ("b", 2, 2))
    assert judge(A, B, BOTH, again, deleted(23, again), deleted(25, again, 1, end=NEVER)) == []
    # It was given back.
    early = received(14, ("a", 1, 2), ("b", 2, 1))
    assert judge(A, B, FIRST, given_back(12, FIRST), early, deleted(16, early), deleted(16, early, 1)) == []
    # Given up, moved back to the end of the queue, received there.
    dead = received(40, ("a", 1, 3), queue="dead")
    behind = received(30, ("b", 2, 1))
    last = received(60, ("a", 3, 1))
    assert judge(A, B, FIRST, behind, deleted(32, behind), dead, given_back(42, dead), last, deleted(62, last)) == []
    # A delete that came too late may have been for nothing.
    assert judge(A, FIRST, deleted(30, FIRST), dead, deleted(42, dead)) == []
    # Two calls under way at once: the one that ended last may have been the first.
    slow, quick = received(10, ("a", 1, 1), takes=20), received(22, ("a", 1, 2))
    assert judge(A, slow, quick, deleted(24, quick)) == []


@pytest.mark.parametrize(
    ("rule", "events"),
    [
        ("lost", [A, B, FIRST, deleted(12, FIRST)]),
        ("lost", [A, FIRST]),
        ("hidden", [A, FIRST, again := received(14, ("a", 1, 2)), deleted(16, again)]),
        ("hidden", [A, FIRST, again := received(10.5, ("a", 1, 2)), deleted(16, again)]),
        ("blocked", [A, B, FIRST, after := received(12, ("b", 2, 1)), deleted(16, FIRST), deleted(14, after)]),
        ("order", [A, B, SECOND, deleted(12, SECOND), last := received(14, ("a", 1, 1)), deleted(16, last)]),
        ("order", [A, B, TURNED, deleted(12, TURNED), deleted(14, TURNED, 1)]),
        ("order", [A, sent(2, "b", 1), BOTH, deleted(12, BOTH), deleted(14, BOTH, 1)]),
        ("deleted", [A, FIRST, deleted(12, FIRST), copy := received(30, ("a", 3, 1)), deleted(32, copy)]),
        ("deleted", [A, FIRST, deleted(12, FIRST), copy := received(30, ("a", 1, 3), queue="dead"), deleted(32, copy)]),
        ("receives", [A, FIRST, third := received(40, ("a", 1, 3)), deleted(42, third)]),
        ("receives", [A, FIRST, same := received(40, ("a", 1, 1)), deleted(42, same)]),
        ("a was never sent", [FIRST, deleted(12, FIRST)]),
    ],
)  # fmt: skip
def test_what_must_not_be(rule: str, events: list[Sent | Received | Ended]) -> None:
    assert set(judge(*events)) == {rule}


def test_a_message_that_was_moved_leaves_none_behind() -> None:
    dead = received(10, ("a", 1, 3), ("b", 2, 3), queue="dead")
    back = received(30, ("b", 3, 1))
    left = received(40, ("a", 1, 4), queue="dead")
    assert judge(A, B, dead, back, deleted(32, back), left, deleted(42, left)) == ["moved"]
    # The other way round it is as it should be.
    back = received(30, ("a", 3, 1))
    left = received(40, ("b", 2, 4), queue="dead")
    assert judge(A, B, dead, back, deleted(32, back), left, deleted(42, left)) == []
