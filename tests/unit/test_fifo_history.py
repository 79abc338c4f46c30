"""The judge of FIFO histories: what it lets pass, and what it does not."""

from __future__ import annotations

from fifo_history import Deleted, Deleting, Event, Received, Sent, faults


def take(*bodies: str, group: str = "g") -> Received:
    return Received(tuple((group, body) for body in bodies))


def delete(body: str, group: str = "g") -> list[Event]:
    return [Deleting(group, body), Deleted(group, body)]


GOOD: list[Event] = [
    Sent("g", "1"),
    Sent("g", "2"),
    Sent("h", "1"),
    take("1", "2"),
    *delete("1"),
    # Its visibility timeout has run out.
    take("2"),
    *delete("2"),
    take("1", group="h"),
    *delete("1", "h"),
]


def test_what_is_as_it_should_be() -> None:
    assert faults(GOOD) == []
    # Nobody knows of 2 whether it was sent: it may come, and it may not.
    unknown: list[Event] = [Sent("g", "1"), Sent("g", "2", known=False), Sent("g", "3"), take("1"), *delete("1")]
    assert faults([*unknown, take("3"), *delete("3")]) == []
    assert faults([*unknown, take("2", "3"), *delete("2"), *delete("3")]) == []
    # Sent once more under its deduplication id, it is the same message, in its first place.
    assert faults([*unknown, Sent("g", "2"), take("2", "3"), *delete("2"), *delete("3")]) == []
    # A delete that was cut off may have been done or not.
    cut: list[Event] = [Sent("g", "1"), Sent("g", "2"), take("1"), Deleting("g", "1")]
    assert faults([*cut, take("2"), *delete("2")]) == []
    assert faults([*cut, take("1", "2"), *delete("1"), *delete("2")]) == []


def test_what_is_lost() -> None:
    assert faults(GOOD[:-3]) == ["h/1 is lost"]
    assert faults(GOOD[:-3], drained=False) == []
    assert faults([Sent("g", "1"), take("1")]) == ["g/1 was never deleted, and is gone"]


def test_what_comes_twice() -> None:
    assert faults([*GOOD, take("2")]) == ["g/2 was handed out after its delete"]
    assert faults([Sent("g", "1"), take("1", "1"), *delete("1")]) == ["g/1 was handed out twice at once"]


def test_what_is_out_of_order() -> None:
    sent: list[Event] = [Sent("g", "1"), Sent("g", "2"), Sent("h", "3")]
    first = "g/2 was handed out before 1"
    assert faults([*sent, take("2"), take("1")], drained=False) == [first]
    assert faults([*sent, take("2", "1")], drained=False) == [first]
    # In flight, 1 holds up its group, and no other.
    assert faults([*sent, take("1"), take("2")], drained=False) == [first]
    assert faults([*sent, take("1"), take("3", group="h")], drained=False) == []


def test_what_nobody_sent() -> None:
    assert faults([take("1")], drained=False) == ["g/1 was never sent"]
