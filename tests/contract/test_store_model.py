"""Every engine against the simplest store there is: a dict that is copied, and sorted when it is scanned."""

import asyncio
import functools
import shutil
import tempfile
from pathlib import Path

import pytest
from engines import ENGINES
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

# Few and close together, so that they meet; some are prefixes of others.
key = st.lists(st.sampled_from([b"", b"\x00", b"a", b"b", b"\xff"]), max_size=3).map(b"".join)
value = st.sampled_from([b"", b"1", b"2", b"v" * 10_000])
change = st.one_of(
    st.tuples(st.just("put"), key, value),
    st.tuples(st.just("delete"), key),
    st.tuples(st.just("delete_range"), key, key),
)
look = st.one_of(
    st.tuples(st.just("get"), key),
    st.tuples(st.just("get_many"), st.lists(key, max_size=20)),
    st.tuples(st.just("scan"), key, key, st.integers(0, 5), st.booleans()),
)
END = b"\xff" * 9


class Abandoned(Exception):
    pass


class Model(dict):
    """The contract in a few lines."""

    def put(self, key, value):
        self[key] = value

    def delete(self, key):
        self.pop(key, None)

    def delete_range(self, start, end):
        for key in [key for key in self if start <= key < end]:
            del self[key]

    def get_many(self, keys):
        return [self.get(key) for key in keys]

    def scan(self, start, end, limit, reverse):
        return sorted(((k, v) for k, v in self.items() if start <= k < end), reverse=reverse)[:limit]


async def look_at(reader, name, *arguments):
    if name == "scan":
        start, end, limit, reverse = arguments
        return await reader.scan(start, end, limit=limit, reverse=reverse)
    return await getattr(reader, name)(*arguments)


class StoreMachine(RuleBasedStateMachine):
    def __init__(self, engine):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.folder = Path(tempfile.mkdtemp())
        self.reopens = "memory" not in engine
        self.open = functools.partial(ENGINES[engine], self.folder)
        self.model = Model()

    @initialize()
    def start(self):
        self.store = self.open()

    def run(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    @rule(steps=st.lists(st.one_of(change, look), max_size=8), abandon=st.booleans())
    def transaction(self, steps, abandon):
        self.run_all([(steps, abandon)])

    @rule(
        callers=st.lists(
            st.tuples(st.lists(st.one_of(change, look), max_size=4), st.booleans()), min_size=2, max_size=5
        )
    )
    def transactions_at_the_same_time(self, callers):
        self.run_all(callers)

    def run_all(self, callers):
        """Each caller's reads tell when it ran; the model follows in the order in which the functions were run."""
        called_back = []

        async def call(number, steps, abandon):
            async def fn(tx):
                attempt = Model(self.model)
                tx.on_commit(lambda: called_back.append(number))
                for name, *arguments in steps:
                    if name in ("put", "delete", "delete_range"):
                        getattr(tx, name)(*arguments)
                        getattr(attempt, name)(*arguments)
                    else:
                        assert await look_at(tx, name, *arguments) == getattr(attempt, name)(*arguments)
                if abandon:
                    raise Abandoned
                self.model = attempt
                return number

            return await self.store.write(fn)

        async def all_of_them():
            calls = [call(number, *caller) for number, caller in enumerate(callers)]
            return await asyncio.gather(*calls, return_exceptions=True)

        results = self.run(all_of_them())
        for number, ((_, abandon), result) in enumerate(zip(callers, results, strict=True)):
            if abandon:
                assert isinstance(result, Abandoned)
            else:
                assert result == number
            assert called_back.count(number) == (not abandon)

    @rule(steps=st.lists(look, max_size=5))
    def read(self, steps):
        async def fn(reader):
            return [await look_at(reader, *step) for step in steps]

        expected = [getattr(self.model, name)(*arguments) for name, *arguments in steps]
        assert self.run(self.store.read(fn)) == expected

    @precondition(lambda self: self.reopens)
    @rule()
    def reopen(self):
        self.run(self.store.close())
        self.store = self.open()

    @invariant()
    def everything_is_there(self):
        if hasattr(self, "store"):
            found = self.run(self.store.read(lambda reader: reader.scan(b"", END, limit=1000)))
            assert found == sorted(self.model.items())

    def teardown(self):
        self.run(self.store.close())
        self.loop.close()
        shutil.rmtree(self.folder)


@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_does_as_the_model(engine):
    # Those on a disk wait for it.
    examples = 100 if "memory" in engine else 20
    run_state_machine_as_test(
        functools.partial(StoreMachine, engine),
        settings=settings(max_examples=examples, stateful_step_count=20, deadline=None),
    )
