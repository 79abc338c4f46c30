"""The rules of a bus in memory, indexed: what an event is held against.

Made anew from the store whenever the bus's rules have changed; only what has changed is compiled again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import suppress

from pileus.delivery.event_patterns import InvalidPattern, RuleIndex, compile_pattern
from pileus.services.events import keys
from pileus.services.events.lookup import all_rules
from pileus.services.events.names import BusName
from pileus.services.events.records import Rule, decode
from pileus.store.contract import Reader, Store

# Buses whose rules are kept in memory.
BOOKS_MAX = 512
# Rules that are compiled while everybody waits: some milliseconds.
PART = 100


class Book:
    def __init__(self) -> None:
        self.version = b""
        self.index: RuleIndex[str] = RuleIndex()
        self.rules: dict[str, Rule] = {}
        self._data: dict[str, bytes] = {}

    def update(self, version: bytes, records: list[tuple[bytes, bytes]]) -> None:
        seen = {self.add(data) for _, data in records}
        for name in self._data.keys() - seen:
            del self._data[name], self.rules[name]
            self.index.discard(name)
        self.version = version

    def add(self, data: bytes) -> str:
        """Take a rule in; its name."""
        rule = decode(Rule, data)
        if self._data.get(rule.name) != data:
            self._data[rule.name] = data
            self.rules[rule.name] = rule
            self.index.discard(rule.name)
            if rule.enabled and rule.pattern:
                # One that an earlier version of Pileus took matches nothing.
                with suppress(InvalidPattern):
                    self.index.add(rule.name, compile_pattern(rule.pattern))
        return rule.name


class Books:
    """The node's books, the latest used last."""

    def __init__(self) -> None:
        self._books: OrderedDict[BusName, Book] = OrderedDict()

    async def prepare(self, store: Store, bus: BusName) -> None:
        """Read the rules of a bus that is not in memory yet: many, a part at a time, as others wait meanwhile.

        A transaction cannot do that. What changes until `of` is asked, it makes good.
        """
        if bus in self._books:
            return

        async def read(tx: Reader) -> tuple[bytes, list[tuple[bytes, bytes]]]:
            return await tx.get(keys.rules_version(*bus)) or b"", await all_rules(tx, bus)

        version, records = await store.read(read)
        if len(records) <= PART:
            return
        book = Book()
        for number, (_, data) in enumerate(records, 1):
            book.add(data)
            if number % PART == 0:
                # Gives way; no time passes.
                await asyncio.sleep(0)
        book.version = version
        self._keep(bus, book)

    def _keep(self, bus: BusName, book: Book) -> None:
        self._books[bus] = book
        self._books.move_to_end(bus)
        if len(self._books) > BOOKS_MAX:
            self._books.popitem(last=False)

    async def of(self, tx: Reader, bus: BusName) -> Book:
        version = await tx.get(keys.rules_version(*bus)) or b""
        book = self._books.get(bus)
        if book is None:
            book = Book()
            self._keep(bus, book)
        else:
            self._books.move_to_end(bus)
        if book.version != version:
            book.update(version, await all_rules(tx, bus))
        return book
