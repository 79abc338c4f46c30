"""`pileus invoke --debug`: one invocation whose runtime waits for a debugger, and which no timeout ends.

The runtime listens in the network of its environment, where nobody of the machine comes; the node listens on the
machine's loopback in its place and passes on what is said.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from pileus.cloud.context import Context
from pileus.kernel.clock import SystemClock
from pileus.kernel.sockets import listen
from pileus.sandbox.contract import Sandbox, SandboxError
from pileus.services.lambda_ import errors
from pileus.services.lambda_.execution import FunctionSpec
from pileus.services.lambda_.hosting.frame import Hosted

# Not AWS's: the port of the machine's loopback on which a debugger finds the runtime.
HEADER = "x-pileus-debug"
# A day: who debugs has time.
TIMEOUT_S = 86400.0
_CHUNK = 1 << 16
_TRY_EVERY_S = 0.05
_TRIES = 400


def asked_port(ctx: Context) -> int:
    """The port that the caller's debugger takes; 0 where none is asked for. Only programs of this machine may ask."""
    asked = ctx.http.headers.get(HEADER)
    if not asked:
        return 0
    if not ctx.http.trusted:
        raise errors.invalid_parameter("Functions are debugged by programs of the machine that Pileus runs on only.")
    if not asked.isdecimal() or not 1024 <= int(asked) <= 65535:
        raise errors.invalid_parameter(f"{asked} is no port that a debugger could be waited for on: 1024 to 65535 are.")
    return int(asked)


def debugged(spec: FunctionSpec, port: int, request_id: str) -> FunctionSpec:
    """The same function for one invocation in an environment of its own."""
    return replace(spec, fingerprint=f"{spec.fingerprint}-{request_id}", timeout_s=TIMEOUT_S, debug_port=port)


async def prepare(hosted: Hosted, folder: Path) -> None:
    """Have what the debugger needs. Raises AWS's error for a bad parameter where there is none."""
    if hosted.language.debugger is None or hosted.interpreter is None:
        raise errors.invalid_parameter(f"Functions of {hosted.runtime} cannot be debugged: Python's and Node.js's can.")
    try:
        await hosted.language.debugger(hosted.interpreter, folder)
    except SandboxError as error:
        raise errors.invalid_parameter(f"The function cannot be debugged: {error}.") from None


async def open_port(sandbox: Sandbox, port: int) -> Callable[[], None]:
    """Pass on what a debugger says to the runtime, until what is returned is called."""
    if not sandbox.private_root:
        # It listens on the machine's own loopback.
        return lambda: None
    tasks: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(_serve(sandbox, port, reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    try:
        sock = listen("127.0.0.1", port)
    except OSError as error:
        raise errors.invalid_parameter(f"The port {port} cannot be taken for a debugger: {error.strerror}.") from None
    server = await asyncio.start_server(accept, sock=sock)

    def close() -> None:
        server.close()
        for task in tasks:
            task.cancel()

    return close


async def _serve(sandbox: Sandbox, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One connection of the debugger."""
    inside = None
    try:
        inside = await _connect(sandbox, port)
        there_reader, there_writer = await asyncio.open_connection(sock=inside)
        both = [asyncio.ensure_future(_pump(reader, there_writer)), asyncio.ensure_future(_pump(there_reader, writer))]
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in both:
                each.cancel()
            there_writer.close()
    except (OSError, SandboxError):
        # The debugger sees that nobody is there.
        if inside is not None:
            inside.close()
    finally:
        writer.close()


async def _connect(sandbox: Sandbox, port: int) -> socket.socket:
    """A connection to the runtime, which may need a moment until it listens."""
    loop = asyncio.get_running_loop()
    for left in range(_TRIES, -1, -1):
        made = await sandbox.new_socket()
        try:
            await loop.sock_connect(made, ("127.0.0.1", port))
        except OSError:
            made.close()
            if not left:
                raise
            await SystemClock().sleep(_TRY_EVERY_S)
        else:
            return made
    raise AssertionError("the last try raises")


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
