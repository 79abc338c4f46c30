"""Configurations under ids: putting, getting, deleting and listing them is the same for every kind."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from pileus.cloud.context import Context
from pileus.services.s3 import buckets, configurations, inventories, listing
from pileus.services.s3.configurations import Kind
from pileus.services.s3.operations.configuration import save
from pileus.store.contract import Reader, Transaction

Request = dict[str, Any]


def put(kind: Kind) -> Callable[[Context, Transaction, Request], Awaitable[None]]:
    async def operation(ctx: Context, tx: Transaction, request: Request) -> None:
        bucket = await buckets.find(ctx, tx, request)
        configuration = request[kind.member]
        id_ = configurations.id_of(request)
        kind.check(id_, configuration)
        kept = dict(bucket.configurations.get(kind.name, {}))
        if id_ not in kept and len(kept) >= configurations.CONFIGURATIONS_MAX:
            raise configurations.too_many()
        kept[id_] = configuration
        save(tx, bucket, configurations={**bucket.configurations, kind.name: kept})
        if kind is configurations.INVENTORY:
            await inventories.schedule(tx, bucket.name, id_, ctx.now)
        ctx.status = 204

    return operation


def get(kind: Kind) -> Callable[[Context, Reader, Request], Awaitable[dict[str, Any]]]:
    async def operation(ctx: Context, tx: Reader, request: Request) -> dict[str, Any]:
        bucket = await buckets.find(ctx, tx, request)
        found = bucket.configurations.get(kind.name, {}).get(configurations.id_of(request))
        if found is None:
            raise configurations.missing()
        return {kind.member: found}

    return operation


def delete(kind: Kind) -> Callable[[Context, Transaction, Request], Awaitable[None]]:
    async def operation(ctx: Context, tx: Transaction, request: Request) -> None:
        bucket = await buckets.find(ctx, tx, request)
        kept = dict(bucket.configurations.get(kind.name, {}))
        if kept.pop(configurations.id_of(request), None) is None:
            raise configurations.missing()
        save(tx, bucket, configurations={**bucket.configurations, kind.name: kept})

    return operation


def list_(kind: Kind) -> Callable[[Context, Reader, Request], Awaitable[dict[str, Any]]]:
    async def operation(ctx: Context, tx: Reader, request: Request) -> dict[str, Any]:
        """In the order of their ids, 100 a page."""
        bucket = await buckets.find(ctx, tx, request)
        given = request.get("ContinuationToken")
        behind = listing.from_token(given).decode("utf-8", "replace") if given else ""
        kept = bucket.configurations.get(kind.name, {})
        ids = sorted(one for one in kept if one > behind)
        page = ids[: configurations.PAGE_MAX]
        answer: dict[str, Any] = {"IsTruncated": len(ids) > len(page)}
        if page:
            answer[kind.list_member] = [kept[one] for one in page]
        if given:
            answer["ContinuationToken"] = given
        if len(ids) > len(page):
            answer["NextContinuationToken"] = listing.token(page[-1].encode())
        return answer

    return operation
