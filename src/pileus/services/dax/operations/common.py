"""What the operations share: events, and listings of what is named or of everything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

import msgspec

from pileus.cloud.context import Context
from pileus.cloud.pages import read_page
from pileus.kernel.paging import BadToken
from pileus.services.dax import errors, keys
from pileus.services.dax.records import Event, decode, encode
from pileus.store.contract import Reader, Transaction

T = TypeVar("T", bound=msgspec.Struct)

PAGE = 100
# Events are kept for two weeks.
EVENTS_S = 14 * 86400.0


def note(
    ctx: Context, tx: Transaction, kind: Literal["CLUSTER", "PARAMETER_GROUP", "SUBNET_GROUP"], name: str, message: str
) -> None:
    start, end = keys.events(ctx.account, ctx.region, 0.0, max(ctx.now - EVENTS_S, 0.0))
    tx.delete_range(start, end)
    event = Event(source=name, type=kind, message=message, date=ctx.now)
    tx.put(keys.event(ctx.account, ctx.region, ctx.now, ctx.cloud.ids.hex(8)), encode(event))


async def page(
    tx: Reader,
    kind: type[T],
    within: keys.Range,
    limit: int | None,
    token: str | None,
    *,
    keep: Callable[[T], bool] | None = None,
    first: Sequence[T] = (),
) -> tuple[list[T], dict[str, str]]:
    """A page of what is stored and `keep` lets through, and the token of the next one as a member.

    `first`: what is there without being stored, before all else.
    """
    size = PAGE if limit is None else min(max(limit, 1), PAGE)

    def show(content: bytes) -> T | None:
        found = decode(kind, content)
        return found if keep is None or keep(found) else None

    ahead = [] if token else [*first][:size]
    try:
        found, following = await read_page(tx, within, show, limit=size - len(ahead), token=token)
    except BadToken:
        raise errors.invalid_value("The NextToken is not valid.") from None
    return [*ahead, *found], {} if following is None else {"NextToken": following}


async def named(
    tx: Reader, kind: type[T], names: Sequence[str], key: Callable[[str], bytes], missing: Callable[[str], Exception]
) -> list[T]:
    found = []
    for name in names:
        content = await tx.get(key(name))
        if content is None:
            raise missing(name)
        found.append(decode(kind, content))
    return found
