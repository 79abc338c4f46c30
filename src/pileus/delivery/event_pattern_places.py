"""Where the tests of patterns are filed, so that an event finds by its own values those that may take them.

A test's place is made of its kind, a size and a key: the prefix "abc" lies under ("prefix", 3, "abc"). Of a value that
the test takes, `keys_of` gives that key for this kind and size; so all prefixes of three letters cost one look. Ranges
and networks lie under the smallest block of two to the power of `size` numbers that holds them whole.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from ipaddress import ip_address
from math import floor
from typing import Any, NamedTuple

# Beyond this (both ways) numbers are not compared.
NUMBER_MAX = 5_000_000_000
_ADDRESS_LENGTH_MAX = 45


class Place(NamedTuple):
    kind: str
    size: int
    key: Hashable


def is_number(value: Any) -> bool:
    """Whether it is one that is compared."""
    return isinstance(value, int | float) and -NUMBER_MAX <= value <= NUMBER_MAX


def affix(kind: str, text: str) -> Place:
    """Of a "prefix" or a "suffix"."""
    return Place(kind, len(text), text)


def ignoring_case(lower: str) -> Place:
    return Place("folded", 0, lower)


def between(lowest: float = -NUMBER_MAX, highest: float = NUMBER_MAX) -> Place:
    """Of the numbers from `lowest` to `highest`."""
    return _block("numbers", floor(lowest) + NUMBER_MAX, floor(highest) + NUMBER_MAX)


def addresses(version: int, lowest: int, highest: int) -> Place:
    """Of the addresses of IP's version 4 or 6 in this range."""
    return _block(f"addresses{version}", lowest, highest)


def _block(kind: str, lowest: int, highest: int) -> Place:
    size = (lowest ^ highest).bit_length()
    return Place(kind, size, lowest >> size)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _folded(value: Any) -> str | None:
    return value.lower() if isinstance(value, str) else None


def _number(value: Any) -> int | None:
    return floor(value) + NUMBER_MAX if is_number(value) else None


def _address(version: int) -> Callable[[Any], int | None]:
    def number(value: Any) -> int | None:
        if not isinstance(value, str) or len(value) > _ADDRESS_LENGTH_MAX:
            return None
        try:
            address = ip_address(value)
        except ValueError:
            return None
        return int(address) if address.version == version else None

    return number


# By kind: what a value is to it (None: nothing that its tests take), and the key of that for a size.
KINDS: dict[str, tuple[Callable[[Any], Any], Callable[[Any, int], Hashable]]] = {
    "prefix": (_text, lambda text, size: text[:size]),
    "suffix": (_text, lambda text, size: text[-size:] if size else ""),
    "folded": (_folded, lambda text, size: text),
    "numbers": (_number, lambda number, size: number >> size),
    "addresses4": (_address(4), lambda number, size: number >> size),
    "addresses6": (_address(6), lambda number, size: number >> size),
}
