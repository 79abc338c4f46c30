"""Random bytes: nobody gets what another has got, and a seed gives the same again."""

from __future__ import annotations

import threading
from uuid import UUID

from pileus.kernel.ids import Ids


def test_threads_never_share_bytes() -> None:
    ids = Ids()
    drawn: list[bytes] = []

    def draw() -> None:
        drawn.extend(ids.token_bytes(16) for _ in range(20_000))

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(drawn)) == len(drawn) == 80_000
    assert {len(one) for one in drawn} == {16}


def test_threads_never_share_a_uuid() -> None:
    ids = Ids()
    drawn: list[str] = []

    def draw() -> None:
        drawn.extend(ids.uuid() for _ in range(20_000))

    threads = [threading.Thread(target=draw) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(drawn)) == len(drawn) == 80_000
    assert all(str(UUID(one)) == one and UUID(one).version == 4 for one in drawn[::100])
    assert {one[19] for one in drawn} == set("89ab")


def test_any_number_of_bytes() -> None:
    ids = Ids()
    for count in (0, 1, 4095, 4096, 4097, 10_000, 3):
        assert len(ids.token_bytes(count)) == count


def test_a_seed_gives_the_same_again() -> None:
    one, other = Ids(3), Ids(3)
    assert [one.uuid(), one.hex(8), one.string(5)] == [other.uuid(), other.hex(8), other.string(5)]
    assert Ids().uuid() != Ids().uuid()
