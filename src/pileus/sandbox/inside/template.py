"""A template: one thread, what its sandboxes need loaded, cloned for each of them.

Run as part of the package `inside` in the root that `bootstrap` built. Over the socket:

    -> the plan                                                     <- {"ready": true}
    -> {"spawn": id} + [supervisor's socket, runner's socket,
                        output pipe, network namespace?, freezer?]  <- {"spawned": id, "pid": n} + [pidfd?]

When the server hangs up, the template thaws what is frozen (a frozen process of a version 1 cgroup cannot even be
killed) and ends; its clones end with it.
"""

from __future__ import annotations

import gc
import importlib.util
import os
import select
import signal
import socket
import sys
from types import ModuleType

from . import kernel, shell
from .messages import Message, Receiver, send

# CPython hands out objects of up to 512 bytes from pools of one size each.
_POOL_BYTES = 16 * 1024
_SMALL_BYTES_MAX = 512
_BYTES_OVERHEAD = 33
_filling: list[list[bytes]] = []


def _fill_holes() -> None:
    """Use up what is free among the objects that are there: what clones make then lies together, on fewer pages."""
    for size in range(48, _SMALL_BYTES_MAX + 1, 16):
        capacity = _POOL_BYTES // size - 2
        filling: list[bytes] = []
        in_a_row, pool = 0, 0
        # A pool that is filled from its first place to its last was empty: there are no holes left.
        while in_a_row < capacity and len(filling) < 100 * capacity:
            filling.append(bytes(size - _BYTES_OVERHEAD))
            previous, pool = pool, id(filling[-1]) // _POOL_BYTES
            in_a_row = in_a_row + 1 if pool == previous else 0
        del filling[-in_a_row - 1 :]
        _filling.append(filling)


def main(control_fd: int) -> None:
    os.set_inheritable(control_fd, False)
    control = socket.socket(fileno=control_fd)
    receiver = Receiver(control)
    received = receiver.receive()
    if received is None:
        return
    plan, _fds = received
    os.umask(0o022)
    # What strangers import must not find these modules.
    sys.path.remove(plan["package_dir"])
    # What is freed leaves holes that clones would fill, each a page copied.
    gc.disable()
    entry = _load(plan["entry"]) if plan["entry"] else None
    if entry is not None:
        entry.preload(plan["config"])
    _fill_holes()
    # Clones leave these pages alone.
    gc.freeze()
    gc.enable()
    send(control, {"ready": True})

    # Children are reaped between messages: SIGCHLD wakes the wait.
    wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK) if hasattr(os, "pipe2") else os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
    freezers: dict[int, int] = {}
    poller = select.poll()
    poller.register(control, select.POLLIN)
    poller.register(wake_read, select.POLLIN)
    while True:
        ready = {fd for fd, _events in poller.poll(0 if receiver.holds_more() else None)}
        if wake_read in ready:
            os.read(wake_read, 4096)
            _reap(freezers)
        if control.fileno() in ready or receiver.holds_more():
            received = receiver.receive()
            if received is None:
                for freezer in freezers.values():
                    os.write(freezer, b"THAWED")
                os._exit(0)
            message, fds = received
            freezer = fds.pop() if message["freezer"] else -1
            try:
                pid = kernel.clone(plan["clone_flags"]) if plan["clone_flags"] else os.fork()
            except OSError as error:
                send(control, {"spawned": message["spawn"], "error": str(error)})
                pid = -1
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                control.close()
                for each in (wake_read, wake_write, *freezers.values(), *([freezer] if freezer >= 0 else [])):
                    os.close(each)
                shell.run(plan, fds, entry)  # never returns
            if freezer >= 0:
                freezers[pid] = freezer
            _announce(control, message, pid, fds)


def _announce(control: socket.socket, message: Message, pid: int, fds: list[int]) -> None:
    for each in fds:
        os.close(each)
    if pid > 0:
        handles = [os.pidfd_open(pid)] if hasattr(os, "pidfd_open") else []
        send(control, {"spawned": message["spawn"], "pid": pid}, handles)
        for each in handles:
            os.close(each)


def _load(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("_entry", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _reap(freezers: dict[int, int]) -> None:
    while True:
        try:
            pid, _status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        freezer = freezers.pop(pid, -1)
        if freezer >= 0:
            os.close(freezer)
