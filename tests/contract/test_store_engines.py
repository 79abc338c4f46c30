"""What every engine of the store does; see `pileus.store.contract`."""

import asyncio
import gc
import itertools
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pileus.store import keys
from pileus.store.contract import KEY_BYTES_MAX, VALUE_BYTES_MAX, StoreUnavailable

END = b"\xff" * 9


async def put(store, *pairs):
    async def fn(tx):
        for key, value in pairs:
            tx.put(key, value)

    await store.write(fn)


async def everything(store):
    async def fn(reader):
        return await reader.scan(b"", END, limit=100_000)

    return await store.read(fn)


async def get(store, key):
    async def fn(reader):
        return await reader.get(key)

    return await store.read(fn)


class Boom(Exception):
    pass


# Reading


async def test_what_was_put_is_read(store):
    await put(store, (b"a", b"1"), (b"b", b""), (b"", b"empty key"))
    assert await get(store, b"a") == b"1"
    assert await get(store, b"b") == b""
    assert await get(store, b"") == b"empty key"
    assert await get(store, b"c") is None


async def test_get_many_keeps_the_order_of_its_keys(store):
    await put(store, (b"a", b"1"), (b"b", b"2"))

    async def fn(reader):
        return await reader.get_many([b"b", b"x", b"a", b"b"])

    assert await store.read(fn) == [b"2", None, b"1", b"2"]
    assert await store.write(fn) == [b"2", None, b"1", b"2"]


async def test_get_many_of_many_keys(store):
    """More than a statement takes, than is kept of a snapshot, small values and large ones, twice, nowhere."""
    values = {b"%04d" % number: b"%d" % number * (1 if number % 7 else 2000) for number in range(700)}
    await put(store, *values.items())
    wanted = [b"%04d" % number for number in (*range(0, 800, 3), 5, 5, 6)]

    async def fn(tx):
        before = await tx.get_many(wanted)
        return before, await tx.get_many(wanted), [await tx.get(key) for key in wanted]

    expected = [values.get(key) for key in wanted]
    assert await store.read(fn) == (expected, expected, expected)
    assert await store.write(fn) == (expected, expected, expected)

    async def changing(tx):
        tx.put(b"0003", b"new")
        tx.delete(b"0005")
        return await tx.get_many(wanted)

    values[b"0003"] = b"new"
    del values[b"0005"]
    expected = [values.get(key) for key in wanted]
    assert await store.write(changing) == expected
    assert await store.write(fn) == await store.read(fn) == (expected, expected, expected)


@pytest.mark.parametrize("side", ["read", "write"])
async def test_scans_have_ends_limits_and_directions(store, side):
    pairs = [(bytes([n]), bytes([n])) for n in range(10)]
    await put(store, *pairs)

    async def scan(start, end, **how):
        return await getattr(store, side)(lambda reader: reader.scan(start, end, **how))

    assert await scan(b"", END, limit=100) == pairs
    assert await scan(b"\x02", b"\x05", limit=100) == pairs[2:5]
    assert await scan(b"\x02", b"\x05", limit=2) == pairs[2:4]
    assert await scan(b"\x02", b"\x05", limit=100, reverse=True) == pairs[4:1:-1]
    assert await scan(b"\x02", b"\x05", limit=2, reverse=True) == pairs[4:2:-1]
    assert await scan(b"\x05", b"\x02", limit=100) == []
    assert await scan(b"\x05", b"\x05", limit=100) == []
    assert await scan(b"", END, limit=0) == []
    with pytest.raises(ValueError, match="limit"):
        await scan(b"", END, limit=-1)


async def test_scans_go_on_behind_the_last_key(store):
    pairs = [(keys.pack("k", n), b"") for n in range(25)]
    await put(store, *pairs)

    async def scan(start, end, **how):
        return await store.read(lambda reader: reader.scan(start, end, **how))

    start, end = keys.prefix_range("k")
    forwards, backwards = [], []
    while page := await scan(start, end, limit=4):
        forwards += page
        start = keys.after(page[-1][0])
    start, end = keys.prefix_range("k")
    while page := await scan(start, end, limit=4, reverse=True):
        backwards += page
        end = page[-1][0]
    assert forwards == pairs
    assert backwards == pairs[::-1]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.text(max_size=5), st.integers(), st.booleans()), unique=True, min_size=1, max_size=30))
def test_pairs_come_in_the_order_of_their_tuples(tuples):
    from pileus.store.sqlite import open_store

    async def run():
        store = open_store(None, "memory")
        await put(store, *((keys.pack(*parts), b"") for parts in tuples))
        found = [keys.unpack(key) for key, _ in await everything(store)]
        await store.close()
        return found

    assert asyncio.run(run()) == sorted(tuples)


# Writing


async def test_a_transaction_sees_its_own_writes(store):
    await put(store, *((bytes([n]), b"old") for n in range(6)))

    async def fn(tx):
        tx.put(b"\x01", b"new")
        tx.delete(b"\x02")
        tx.put(b"\x09", b"added")
        assert await tx.get(b"\x01") == b"new"
        assert await tx.get(b"\x02") is None
        assert await tx.get_many([b"\x00", b"\x01", b"\x02"]) == [b"old", b"new", None]
        seen = await tx.scan(b"\x01", END, limit=3)
        assert seen == [(b"\x01", b"new"), (b"\x03", b"old"), (b"\x04", b"old")]
        tx.put(b"\x04", b"newer")
        tx.delete_range(b"\x03", b"\x05")
        assert await tx.get(b"\x04") is None
        tx.put(b"\x03", b"again")
        return await tx.scan(b"", END, limit=10, reverse=True)

    expected = [
        (b"\x09", b"added"),
        (b"\x05", b"old"),
        (b"\x03", b"again"),
        (b"\x01", b"new"),
        (b"\x00", b"old"),
    ]
    assert await store.write(fn) == expected
    assert await everything(store) == expected[::-1]


async def test_transactions_read_what_those_before_them_left(store):
    """Whatever an engine remembers of one transaction for the next."""
    small, large = b"s" * 10, b"l" * 100_000
    values: dict[bytes, bytes] = {}

    async def look(tx):
        assert await tx.get_many([b"a", b"b", b"c"]) == [values.get(key) for key in (b"a", b"b", b"c")]

    for value in (small, large, small, large):
        await store.write(look)
        await put(store, (b"a", value), (b"b", value))
        values |= {b"a": value, b"b": value}
        await store.write(look)

        async def refuse(tx):
            await look(tx)
            tx.put(b"a", b"never")
            tx.put(b"c", b"never")
            assert len(await tx.scan(b"", END, limit=10)) == 3
            assert await tx.get(b"c") == b"never"
            tx.delete_range(b"b", END)
            assert await tx.get(b"b") is None
            raise Boom

        with pytest.raises(Boom):
            await store.write(refuse)
        await store.write(look)

    async def drop(tx):
        await look(tx)
        tx.delete(b"a")
        tx.delete_range(b"b", b"c")

    await store.write(drop)
    values.clear()
    await store.write(look)
    assert await store.read(lambda tx: tx.get_many([b"a", b"b"])) == [None, None]


async def test_deleting_what_is_not_there_is_no_error(store):
    async def fn(tx):
        tx.delete(b"x")
        tx.delete_range(b"a", b"b")
        tx.delete_range(b"b", b"a")

    await put(store, (b"aa", b""), (b"b", b""))
    await store.write(fn)
    assert await everything(store) == [(b"b", b"")]


async def test_an_exception_rolls_back_everything_and_reaches_the_caller(store):
    await put(store, (b"a", b"1"), (b"b", b"2"))
    called = []

    async def fn(tx):
        tx.on_commit(lambda: called.append(1))
        tx.put(b"a", b"changed")
        await tx.scan(b"", END, limit=1)
        tx.delete_range(b"b", END)
        tx.put(b"c", b"3")
        raise Boom("no")

    with pytest.raises(Boom, match="no"):
        await store.write(fn)
    assert await everything(store) == [(b"a", b"1"), (b"b", b"2")]
    assert called == []


async def test_on_commit_runs_on_the_loop_after_the_commit_and_before_the_caller(store):
    order, thread = [], threading.get_ident()

    async def fn(tx):
        tx.on_commit(lambda: order.append(("callback", threading.get_ident() == thread)))
        tx.put(b"a", b"1")
        order.append("function")
        return "result"

    assert await store.write(fn) == "result"
    order.append("caller")
    assert order == ["function", ("callback", True), "caller"]


async def test_a_callback_that_fails_harms_nobody(store):
    after = []

    async def bad(tx):
        tx.on_commit(lambda: 1 / 0)
        tx.on_commit(lambda: after.append("mine"))
        tx.put(b"bad", b"1")

    async def good(tx):
        tx.on_commit(lambda: after.append("other"))
        tx.put(b"good", b"1")

    await asyncio.gather(store.write(bad), store.write(good))
    assert sorted(after) == ["mine", "other"]
    assert [key for key, _ in await everything(store)] == [b"bad", b"good"]


# Isolation


async def test_no_update_is_lost(store):
    async def increment(tx):
        count = int(await tx.get(b"n") or b"0")
        tx.put(b"n", b"%d" % (count + 1))
        return count + 1

    async def client():
        return [await store.write(increment) for _ in range(20)]

    results = await asyncio.gather(*(client() for _ in range(16)))
    assert sorted(itertools.chain(*results)) == list(range(1, 321))
    assert await get(store, b"n") == b"320"


async def test_readers_never_see_half_a_transaction(store):
    await put(store, (b"a", b"0"), (b"b", b"0"))
    stop = False

    async def writer():
        async def fn(tx):
            count = b"%d" % (int(await tx.get(b"a")) + 1)
            tx.put(b"a", count)
            await tx.scan(b"a", b"c", limit=2)
            tx.put(b"b", count)

        nonlocal stop
        for _ in range(100):
            await store.write(fn)
        stop = True

    async def reader():
        async def fn(snapshot):
            return await snapshot.get(b"a"), await snapshot.get(b"b")

        last = 0
        while not stop:
            left, right = await store.read(fn)
            assert left == right
            assert int(left) >= last
            last = int(left)
            await asyncio.sleep(0)

    await asyncio.gather(writer(), reader(), reader())
    assert await get(store, b"a") == b"100"


async def test_what_was_acknowledged_is_read_at_once(store):
    async def client(name):
        for n in range(50):
            await put(store, (name, b"%d" % n))
            assert await get(store, name) == b"%d" % n

    await asyncio.gather(*(client(b"%d" % n) for n in range(8)))


# Callers that misbehave


@pytest.mark.parametrize("error", [Boom, KeyError, asyncio.CancelledError, StopAsyncIteration, GeneratorExit])
async def test_a_failing_caller_harms_no_other(store, error):
    async def bad(tx):
        tx.put(b"bad", b"1")
        await tx.scan(b"", END, limit=1)
        raise error("mine")

    async def good(tx, n):
        tx.put(b"good%02d" % n, b"1")

    calls = [store.write(lambda tx, n=n: good(tx, n)) for n in range(10)]
    calls[5:5] = [store.write(bad)]
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert isinstance(results.pop(5), error)
    assert results == [None] * 10
    assert [key for key, _ in await everything(store)] == [b"good%02d" % n for n in range(10)]


@pytest.mark.parametrize("side", ["read", "write"])
async def test_a_function_that_awaits_something_else_is_told_so(store, side):
    closed = []

    async def bad(tx):
        if side == "write":
            tx.put(b"bad", b"1")
        try:
            await asyncio.sleep(0)
        finally:
            closed.append(True)

    bad_call = getattr(store, side)(bad)
    results = await asyncio.gather(bad_call, put(store, (b"good", b"1")), return_exceptions=True)
    assert isinstance(results[0], RuntimeError)
    assert "awaited something" in str(results[0])
    assert closed == [True]
    assert await everything(store) == [(b"good", b"1")]


@pytest.mark.parametrize("outer", ["read", "write"])
@pytest.mark.parametrize("inner", ["read", "write"])
async def test_a_function_may_not_call_the_store(store, outer, inner):
    async def nested(tx):
        await getattr(store, inner)(lambda inner_tx: inner_tx.get(b"a"))

    with pytest.raises(RuntimeError, match="may not call the store"):
        await getattr(store, outer)(nested)
    await put(store, (b"a", b"1"))
    assert await get(store, b"a") == b"1"


async def test_a_transaction_cannot_be_used_after_its_function(store):
    kept = []

    async def fn(tx):
        kept.append(tx)
        tx.put(b"a", b"1")

    await store.write(fn)
    for use in (lambda tx: tx.put(b"b", b"1"), lambda tx: tx.delete(b"a"), lambda tx: tx.delete_range(b"", END)):
        with pytest.raises(RuntimeError, match="over"):
            use(kept[0])
    assert await everything(store) == [(b"a", b"1")]


async def test_callers_that_are_cancelled_harm_no_other(store):
    for turn in range(20):
        tasks = [asyncio.create_task(put(store, (b"%d" % n, b"%d" % turn))) for n in range(12)]
        for _ in range(turn % 4):
            await asyncio.sleep(0)
        for task in tasks[::3]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for n, result in enumerate(results):
            assert result is None or (n % 3 == 0 and isinstance(result, asyncio.CancelledError))
            if result is None:
                assert await get(store, b"%d" % n) == b"%d" % turn


@pytest.mark.parametrize(
    ("use", "error", "text"),
    [
        (lambda tx: tx.put("text", b""), TypeError, "a key is bytes"),
        (lambda tx: tx.put(b"k", "text"), TypeError, "a value is bytes"),
        (lambda tx: tx.put(b"k", None), TypeError, "a value is bytes"),
        (lambda tx: tx.put(b"k" * (KEY_BYTES_MAX + 1), b""), ValueError, "a key takes at most 8192 bytes"),
        (lambda tx: tx.put(b"k", b"v" * (VALUE_BYTES_MAX + 1)), ValueError, "a value takes at most"),
        (lambda tx: tx.delete("text"), TypeError, "a key is bytes"),
        (lambda tx: tx.delete_range("a", "b"), TypeError, "a key is bytes"),
        (lambda tx: tx.delete_range(b"a", None), TypeError, "a key is bytes"),
    ],
)
async def test_wrong_keys_and_values_are_refused(store, use, error, text):
    async def fn(tx):
        tx.put(b"first", b"")
        use(tx)

    with pytest.raises(error, match=text):
        await store.write(fn)
    assert await everything(store) == []


async def test_the_longest_keys_and_values_are_kept(store):
    longest = bytes(range(256)) * (KEY_BYTES_MAX // 256)
    value = bytes(range(256)) * (VALUE_BYTES_MAX // 256)
    await put(store, (longest, value), (longest[:-1] + b"\x00", b"other"))
    assert await get(store, longest) == value
    assert await get(store, longest[:-1] + b"\x00") == b"other"
    await put(store, (longest, b"short"))
    assert await get(store, longest) == b"short"


async def test_a_failed_caller_leaves_no_reference_cycle(store):
    class Thing(Exception):
        pass

    async def bad(tx):
        raise Thing

    gc.collect()
    with pytest.raises(Thing):
        await store.write(bad)
    gc.collect()
    assert not [thing for thing in gc.get_objects() if isinstance(thing, Thing)]


# Life and death


async def test_a_closed_store_refuses(store):
    await put(store, (b"a", b"1"))
    await store.close()
    await store.close()
    for call in (store.read, store.write):
        with pytest.raises(StoreUnavailable, match="closed"):
            await call(lambda tx: tx.get(b"a"))


async def test_closing_waits_for_the_commit_under_way(store):
    calls = [asyncio.create_task(put(store, (b"%d" % n, b""))) for n in range(5)]
    await asyncio.sleep(0)
    await store.close()
    assert await asyncio.gather(*calls) == [None] * 5


async def test_calls_from_other_threads_and_loops_are_served(store):
    """Two more threads with loops of their own increment the same counter as this one."""

    async def increment(tx):
        tx.put(b"n", b"%d" % (int(await tx.get(b"n") or b"0") + 1))

    async def client():
        for _ in range(30):
            await store.write(increment)
            await get(store, b"n")

    await store.write(increment)
    await asyncio.gather(client(), *(asyncio.to_thread(asyncio.run, client()) for _ in range(2)))
    assert await get(store, b"n") == b"91"
