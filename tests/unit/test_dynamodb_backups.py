"""The end of a backup that is left of a deleted table."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from pileus.services.dynamodb import keys, records, work
from pileus.store.contract import Reader, Transaction
from pileus.store.sqlite import open_store

ACCOUNT, REGION = "000000000000", "us-east-1"
TABLE_ID = "00000000-0000-4000-8000-000000000000"


async def test_it_goes_when_its_time_has_come_and_nothing_is_restored_from_it() -> None:
    store = open_store(None, "memory")
    put: list[dict[str, Any]] = []
    outbox = SimpleNamespace(put=lambda tx, **members: put.append(members))
    clock, ids = SimpleNamespace(time=lambda: 1000.0), SimpleNamespace(uuid=lambda: "id")
    cloud: Any = SimpleNamespace(store=store, outbox=outbox, clock=clock, ids=ids)
    table = records.Table(name="table", id=TABLE_ID, created=0.0, attributes={"id": "S"}, hash="id")
    backup = records.Backup(
        id="backup", name="left", created=0.0, table=table, items=0, size_bytes=0, ready=True, kept=TABLE_ID
    )
    key = keys.backup(ACCOUNT, REGION, backup.id)
    delivery: Any = SimpleNamespace(
        payload={"account": ACCOUNT, "region": REGION, "table": "", "work": "expire-backup", "backup": backup.id}
    )

    async def write(tx: Transaction) -> None:
        tx.put(key, records.encode(backup))

    async def found(tx: Reader) -> bytes | None:
        return await tx.get(key)

    backup.copying = ("restored",)
    await store.write(write)
    await work.handle(cloud, delivery)
    assert await store.read(found) is not None
    (again,) = put
    assert (again["payload"]["work"], again["due"]) == ("expire-backup", 1600.0)
    backup.copying = ()
    await store.write(write)
    await work.handle(cloud, delivery)
    assert await store.read(found) is None
    assert (put[-1]["payload"]["work"], put[-1]["payload"]["table"]) == ("sweep-table", TABLE_ID)
    await store.close()
