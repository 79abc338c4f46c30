"""The rules of a bus in memory, indexed: what an event is held against.

Made anew from the store whenever the bus's rules have changed; only what has changed is compiled again.
"""

from __future__ import annotations

from collections import OrderedDict

from pileus.delivery.event_patterns import InvalidPattern, RuleIndex, compile_pattern
from pileus.services.events import keys
from pileus.services.events.lookup import all_rules
from pileus.services.events.names import BusName
from pileus.services.events.records import Rule, decode
from pileus.store.contract import Reader

# Buses whose rules are kept in memory.
BOOKS_MAX = 512


class Book:
    def __init__(self) -> None:
        self.version = b""
        self.index: RuleIndex[str] = RuleIndex()
        self.rules: dict[str, Rule] = {}
        self._data: dict[str, bytes] = {}

    def update(self, version: bytes, records: list[tuple[bytes, bytes]]) -> None:
        seen = set()
        for _, data in records:
            rule = decode(Rule, data)
            seen.add(rule.name)
            if self._data.get(rule.name) == data:
                continue
            self._data[rule.name] = data
            self.rules[rule.name] = rule
            self.index.discard(rule.name)
            if rule.enabled and rule.pattern:
                try:
                    self.index.add(rule.name, compile_pattern(rule.pattern))
                except InvalidPattern:
                    # Taken by an earlier version of Pileus: it matches nothing.
                    continue
        for name in self._data.keys() - seen:
            del self._data[name], self.rules[name]
            self.index.discard(name)
        self.version = version


class Books:
    """The node's books, the latest used last."""

    def __init__(self) -> None:
        self._books: OrderedDict[BusName, Book] = OrderedDict()

    async def of(self, tx: Reader, bus: BusName) -> Book:
        version = await tx.get(keys.rules_version(*bus)) or b""
        book = self._books.get(bus)
        if book is None:
            book = self._books[bus] = Book()
            if len(self._books) > BOOKS_MAX:
                self._books.popitem(last=False)
        else:
            self._books.move_to_end(bus)
        if book.version != version:
            book.update(version, await all_rules(tx, bus))
        return book
