"""The checker of histories itself: what it takes, and what it must not take."""

from __future__ import annotations

import random

import pytest
from histories import UNKNOWN, Call, History, explains


def register(value, call):
    if call.name == "put":
        return call.argument
    if call.name == "swap":
        before, after = call.argument
        if call.result is UNKNOWN:
            return after if value == before else value
        if (value == before) is not call.result:
            return None
        return after if call.result else value
    return value if call.result == value else None


def pair(values, call):
    if call.name == "put both":
        return (call.argument, call.argument)
    return values if call.result == values else None


@pytest.mark.parametrize(
    "calls",
    [
        [Call("put", 1, None, 0, 1), Call("get", None, 1, 2, 3)],
        # At the same time: the reader may see either.
        [Call("put", 1, None, 0, 3), Call("get", None, 0, 1, 2)],
        [Call("put", 1, None, 0, 3), Call("get", None, 1, 1, 2)],
        # Two writes at once are seen in the order in which they were done, whichever that was.
        [
            Call("put", 1, None, 0, 9),
            Call("put", 2, None, 1, 8),
            Call("get", None, 2, 2, 3),
            Call("get", None, 1, 4, 5),
        ],
        [Call("swap", (0, 1), True, 0, 2), Call("swap", (0, 2), False, 1, 3), Call("get", None, 1, 4, 5)],
        # Nobody was told: it was done, or it was not.
        [Call("put", 1, UNKNOWN, 0, 1), Call("get", None, 1, 2, 3)],
        [Call("put", 1, UNKNOWN, 0, 1), Call("get", None, 0, 2, 3)],
    ],
)
def test_takes_what_could_have_happened(calls):
    assert explains(calls, 0, register) is not None


@pytest.mark.parametrize(
    "calls",
    [
        # A write that was lost; a read that is stale; one that goes back.
        [Call("put", 1, None, 0, 1), Call("get", None, 0, 2, 3)],
        [Call("put", 1, None, 0, 9), Call("get", None, 1, 1, 2), Call("get", None, 0, 3, 4)],
        # Of two swaps from one value only one can succeed.
        [Call("swap", (0, 1), True, 0, 2), Call("swap", (0, 2), True, 1, 3)],
        [Call("swap", (0, 1), False, 0, 1)],
        # What was never written; what came after the end of the one who could have written it.
        [Call("get", None, 7, 0, 1)],
        [Call("put", 1, UNKNOWN, 0, 3), Call("get", None, 0, 4, 5), Call("get", None, 1, 6, 7)],
    ],
)
def test_refuses_what_could_not(calls):
    assert explains(calls, 0, register) is None


def test_sees_half_of_a_transaction():
    put = Call("put both", 1, None, 0, 9)
    assert explains([put, Call("get both", None, (0, 0), 1, 2), Call("get both", None, (1, 1), 3, 4)], (0, 0), pair)
    assert explains([put, Call("get both", None, (0, 1), 1, 2)], (0, 0), pair) is None


def test_one_wrong_answer_among_many_is_found():
    chance, calls, value = random.Random(1), [], 0
    for number in range(1, 400):
        # In truth each is done at its `number`, while up to four others are under way.
        begun, ended = number - chance.random() * 4, number + chance.random() * 4
        if chance.random() < 0.5:
            value = number
            calls.append(Call("put", number, None, begun, ended))
        else:
            calls.append(Call("get", None, value, begun, ended))
    assert explains(calls, 0, register) == value
    last = max((call for call in calls if call.name == "get"), key=lambda call: call.begun)
    last.result = calls[0].argument or 0
    assert explains(calls, 0, register) is None


def test_a_call_without_a_result_ends_with_the_server():
    history = History()
    with history.call("put", 1):
        pass
    with history.call("get", None) as call:
        call.result = 0
    assert history.calls[0].ended == float("inf")
    history.cut()
    assert history.calls[1].ended <= history.calls[0].ended < float("inf")
