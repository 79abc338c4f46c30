"""A template: one thread, what its sandboxes need loaded, cloned for each of them.

Run as part of the package `inside` in the root that `bootstrap` built. Over its socket:

    -> the plan + [folder of freezers?]                         <- {"ready": true}
    -> one byte, for a clone                                    <- {"cloned": true} + [channel, runner's socket, clone]
       or for another runner in a sandbox that is there         <- {"refused": why}

The template does next to nothing between its clones: the memory they share with it stays shared, and every page it
writes to would be theirs alone from then on. So all it calls is made ahead, and talking is left to the clones.

When the server hangs up, the template thaws what is frozen (a frozen process of a version 1 cgroup cannot even be
killed) and ends; its clones end with it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import gc
import importlib.util
import os
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import NoReturn

from . import kernel, shell
from .messages import Message, Receiver, encode, send
from .snapshot import Snapshot

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
    received = Receiver(control).receive()
    if received is None:
        return
    plan, fds = received
    os.umask(0o022)
    # What strangers import must not find these modules.
    sys.path.remove(plan["package_dir"])
    # What is freed leaves holes that clones would fill, each a page copied.
    gc.disable()
    code = 70
    try:
        template = Template(plan, control, fds)
        if plan["entry"]:
            entry = _load(plan["entry"])
            entry.run(plan["config"], template.wait)
        else:
            template.wait()
        code = 0
    except SystemExit as stop:
        code = shell.exit_code(stop)
        shell.finish()
    except BaseException:  # noqa: BLE001 -- of the template or of what a clone runs: the process ends in any case
        traceback.print_exc()
        code = 1
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(code)


class Template:
    """What `wait` needs."""

    def __init__(self, plan: Message, control: socket.socket, fds: list[int]) -> None:
        self._plan = plan
        self._control = control
        self._freezers = fds[0] if fds else -1

    def wait(self) -> Message:
        """Be the template from now on; returns in each clone, as what it was assigned to be, with its payload."""
        plan = self._plan
        isolated = bool(plan["clone_flags"])
        clone, bare = kernel.cloner(plan["clone_flags"]), kernel.bare
        control = self._control.fileno()
        byte, joins = ctypes.create_string_buffer(1), ctypes.create_string_buffer(b"j", 1)
        family, stream = int(socket.AF_UNIX), int(socket.SOCK_STREAM | getattr(socket, "SOCK_CLOEXEC", 0))
        # How the first process, and the runner, talk with the server: our end and the server's.
        channel, talk = (ctypes.c_int * 2)(), (ctypes.c_int * 2)()
        announce = self._announcer()
        # Nobody waits for clones: the server holds descriptors of them.
        bare.signal(int(signal.SIGCHLD), shell.IGNORE)
        shell.rehearse()
        # All that is not needed goes before anything is shared.
        gc.collect()
        _fill_holes()
        kernel.give_memory_back()
        # Clones leave these pages alone.
        gc.freeze()
        gc.enable()
        send(self._control, {"ready": True})
        while True:
            count = bare.read(control, byte, 1)
            if count == 0 or (count < 0 and ctypes.get_errno() != errno.EINTR):
                self._end()
            if count < 0:
                continue
            bare.socketpair(family, stream, 0, channel)
            bare.socketpair(family, stream, 0, talk)
            pid = kernel.fork() if byte.raw == joins.raw else clone()
            if pid == 0:
                break
            if pid > 0:
                announce(pid, channel[1], talk[1])
            else:
                send(self._control, {"refused": os.strerror(ctypes.get_errno())})
            bare.close(channel[0])
            bare.close(channel[1])
            bare.close(talk[0])
            bare.close(talk[1])
        bare.close(channel[1])
        bare.close(talk[1])
        if byte.raw == joins.raw:
            return shell.join(plan, channel[0], talk[0])
        if isolated:
            bare.prctl(kernel.PR_SET_PDEATHSIG, 9, 0, 0, 0)
            runner = shell.be_first(channel[0], talk[0])
        else:
            runner = shell.be_first_without_namespaces(channel[0], talk[0])
        return shell.be_runner(plan, runner, become_template=lambda *given: Snapshot(*given).wait)

    def _announcer(self) -> Callable[[int, int, int], None]:
        """Tells the server of a clone."""
        control = self._control
        if sys.platform != "linux":
            return lambda pid, channel, talk: send(control, {"cloned": True, "pid": pid}, [channel, talk])
        sender = kernel.DescriptorSender(control.fileno(), encode({"cloned": True}, 3), 3)
        descriptors, bare = sender.descriptors, kernel.bare
        pidfd_open, nothing = ctypes.c_long(kernel.SYS_PIDFD_OPEN), ctypes.c_long(0)

        def announce(pid: int, channel: int, talk: int) -> None:
            handle = bare.syscall(pidfd_open, pid, nothing)
            descriptors[0] = channel
            descriptors[1] = talk
            descriptors[2] = handle
            sender.send()
            bare.close(handle)

        return announce

    def _end(self) -> NoReturn:
        if self._freezers >= 0:
            for name in os.listdir(self._freezers):
                with contextlib.suppress(OSError):
                    fd = os.open(f"{name}/freezer.state", os.O_WRONLY, dir_fd=self._freezers)
                    os.write(fd, b"THAWED")
                    os.close(fd)
        os._exit(0)


def _load(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location("_entry", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
