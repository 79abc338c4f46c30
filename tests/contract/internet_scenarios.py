"""What functions reach and what they do not when they may go out; run by `sandbox_lab` on a machine of its own."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from internet_world import HOST, MACHINE, METADATA, NAME, PORT
from pileus.sandbox import internet
from pileus.sandbox.namespaces import Namespaces
from sandbox_lab import Lab

CODE = """
import socket

def attempt(address, port):
    try:
        connection = socket.create_connection((address, port), 1)
    except OSError as error:
        return type(error).__name__
    # Who does not answer is reached all the same: a frozen neighbour.
    with connection:
        try:
            return connection.recv(100).decode()
        except OSError:
            return "reached"

def handler(event, context):
    if event.get("listen"):
        global listener
        listener = socket.create_server(("0.0.0.0", event["listen"]))
    own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    own.connect((event["out"], 9))
    found = {each: attempt(*each.rsplit(":", 1)) for each in event.get("to", ())}
    return {"own": own.getsockname()[0], "found": found}
"""


async def try_reaching_out(lab: Lab) -> None:
    spec = lab.function(CODE)
    far, by_name = f"{HOST}:{PORT}", f"{NAME}:{PORT}"
    answer = await lab.answer(spec, {"out": HOST, "to": [far, by_name]})
    # The address of the machine, not the sandbox's own.
    assert answer["found"] == {far: MACHINE, by_name: MACHINE}
    assert answer["own"].startswith(("198.18.", "198.19."))


async def try_what_stays_closed(lab: Lab) -> None:
    other = lab.function(CODE)
    neighbour = (await lab.answer(other, {"out": HOST, "listen": PORT}))["own"]
    spec = lab.function(CODE, timeout_s=30.0)
    own = (await lab.answer(spec, {"out": HOST}))["own"]
    last = own.rpartition(".")
    gateway = f"{last[0]}.{int(last[2]) - 1}"
    closed = [f"{each}:{PORT}" for each in (MACHINE, "127.0.0.1", METADATA, gateway, neighbour)]
    # All of these are there, for whoever is outside.
    for address in (MACHINE, "127.0.0.1", METADATA):
        reader, writer = await asyncio.open_connection(address, PORT)
        assert await reader.read(100)
        writer.close()
    found = (await lab.answer(spec, {"out": HOST, "to": closed}))["found"]
    assert set(found.values()) <= {"TimeoutError", "ConnectionRefusedError", "OSError", "PermissionError"}, found
    assert set(found) == set(closed)


async def try_that_nothing_stays(lab: Lab) -> None:
    """Devices go with their sandboxes, the rest with the backend or, where that was killed, at the next start."""
    before = _marks(), await asyncio.to_thread(_tables), len(_devices())
    own = Lab(Namespaces(internet=True), lab.folder)
    await own.answer(own.function(CODE), {"out": HOST})
    assert len(_marks()) == len(before[0]) + 1
    assert len(_devices()) > before[2]
    # As one that was killed would leave it: a table and its mark.
    namespace, pid = _marks()[0].split("-")[1:3]
    left = f"pileus-{namespace}-{pid}-0-1"
    await asyncio.to_thread(internet._make_table, left, forwards_already=False)
    internet._MARKS.joinpath(left).write_text("0")
    await asyncio.to_thread(internet.sweep)
    assert left not in _marks()
    assert left not in await asyncio.to_thread(_tables)
    assert _forwards()
    # Others work on.
    await own.answer(own.function(CODE), {"out": HOST})
    await own.pool.close()
    await own.backend.close()
    assert (_marks(), await asyncio.to_thread(_tables)) == before[:2]
    await lab.until(lambda: len(_devices()) <= before[2])
    await lab.answer(lab.function(CODE), {"out": HOST})


def _marks() -> list[str]:
    return sorted(os.listdir(internet._MARKS))


def _forwards() -> bool:
    return Path("/proc/sys/net/ipv4/ip_forward").read_text() == "1\n"


def _devices() -> list[str]:
    names = Path("/proc/net/dev").read_text().splitlines()[2:]
    return [each.strip() for each in names if each.strip().startswith(internet.DEVICE_PREFIX)]


def _tables() -> set[str]:
    from pyroute2.nftables.main import NFTables

    with NFTables(nfgen_family=1) as nft:
        return {table.get_attr("NFTA_TABLE_NAME") for table in nft.get_tables()}
