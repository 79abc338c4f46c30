"""What functions reach and what they do not when they may go out without root; run by `sandbox_lab` as nobody."""

from __future__ import annotations

from internet_scenarios import CODE, try_reaching_out, try_what_stays_closed

from internet_world import HOST, MACHINE, PORT
from sandbox_lab import Lab

__all__ = ["try_reaching_out", "try_what_stays_closed"]


async def try_its_own_gateway(lab: Lab) -> None:
    """The addresses that slirp4netns has for itself lead nowhere, and routes stay as they are."""
    gateways = [f"198.18.0.{each}:{PORT}" for each in (2, 3)]
    spec = lab.function(CODE, timeout_s=30.0)
    found = (await lab.answer(spec, {"out": HOST, "to": gateways}))["found"]
    assert not {MACHINE, "127.0.0.1", "reached"} & set(found.values()), found


async def try_that_nobody_opens_what_is_closed(lab: Lab) -> None:
    """The route that refuses is not the function's to take away."""
    code = (
        "import fcntl, socket, struct\n"
        "def handler(event, context):\n"
        "    to = struct.pack('HH4s8x', 2, 0, socket.inet_aton(event))\n"
        "    none, mask = struct.pack('HH4s8x', 2, 0, bytes(4)), struct.pack('HH4s8x', 2, 0, b'\\xff' * 4)\n"
        "    entry = struct.pack('L16s16s16sHhLPhPLLH', 0, to, none, mask, 5, 0, 0, 0, 0, 0, 0, 0, 0)\n"
        "    try:\n"
        "        fcntl.ioctl(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0x890C, entry)\n"
        "    except OSError as error:\n"
        "        return type(error).__name__\n"
    )
    assert await lab.answer(lab.function(code), MACHINE) == "PermissionError"


async def try_that_nothing_stays(lab: Lab) -> None:
    """Its program ends with a sandbox; others work on."""
    spec, other = lab.function(CODE), lab.function(CODE)
    for each in (spec, other):
        await lab.answer(each, {"out": HOST})
    (environment,) = lab.environments(spec)
    program = environment.sandbox._parts.way_out._process
    assert program.poll() is None
    await lab.pool.retire(spec.fingerprint)
    assert program.returncode is not None
    far = f"{HOST}:{PORT}"
    assert (await lab.answer(other, {"out": HOST, "to": [far]}))["found"] == {far: MACHINE}
