"""A template that a stranger's code has become: what was assigned lets itself be cloned, as it is by then.

    -> {"clone": true} + [channel, runner's socket]      <- {"cloned": true} + [clone], {"refused": why}
                                                          <- {"snapshot": why not, or ""}, once

All of it runs in the stranger's process and memory: whoever reads what it sends believes nothing of it. That process
has no more than what makes namespaces below its own: one capability in a user namespace of its own, and a filter by
which the server is asked before the very call below. Namespaces are furnished from outside, by a runner that
joins them ("world" in `shell.py`).

A clone is a first process, which waits for its namespaces and then makes runners, as in every sandbox; each of these
goes on from here as a copy of what was assigned, with files, sockets, /tmp and random numbers of its own.
"""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import sys
import traceback

from . import kernel, shell
from .messages import Message, Receiver, send
from .renewal import Holdings


class Snapshot:
    def __init__(self, plan: Message, control: socket.socket) -> None:
        self._flags = plan["clone_flags"]
        self._control = control
        self._pid = os.getpid()

    def wait(self) -> Message:
        """Be a template from now on; returns in each clone, with its payload. Ends the process where nobody asks."""
        holdings = Holdings(keep=self._control.fileno())
        holdings.look()
        send(self._control, {"snapshot": holdings.obstacle})
        receiver = Receiver(self._control)
        clone = kernel.cloner(self._flags)
        while (received := receiver.receive()) is not None:
            _message, fds = received
            # The C library's own, which tells libraries of it (their threads end here); Python is told in the runner.
            between = kernel.fork()
            if between == 0:
                self._be_between(clone(), fds)
                return self._be_clone(holdings, *fds)
            for fd in fds:
                os.close(fd)
            kernel.bare.waitpid(between, None, 0)
        os._exit(0)

    def _be_between(self, pid: int, fds: list[int]) -> None:
        """Between the template and the clone, whose parent tells of it and ends; returns in the clone."""
        if pid == 0:
            self._control.close()
            return
        try:
            if pid < 0:
                send(self._control, {"refused": os.strerror(ctypes.get_errno())})
            else:
                send(self._control, {"cloned": True}, [os.pidfd_open(pid)])
        finally:
            os._exit(0)

    def _fork(self) -> int:
        """Another process has another id than the template: libraries (OpenSSL) tell copies of themselves by it."""
        while (pid := os.fork()) in (0, self._pid):
            if pid == 0:
                if os.getpid() != self._pid:
                    return 0
                os._exit(0)
            os.waitpid(pid, 0)
        return pid

    def _be_clone(self, holdings: Holdings, channel: int, talk: int) -> Message:
        kernel.bare.signal(int(signal.SIGCHLD), shell.DEFAULT)
        # The namespaces are furnished meanwhile.
        if not os.read(channel, 1):
            os._exit(0)
        talk = shell.be_first(channel, talk, fork=self._fork)
        os.close(channel)
        control = socket.socket(fileno=talk)
        try:
            send(control, {"here": True})
            if not control.recv(1):
                os._exit(70)
            send(control, {"ready": True})
            received = Receiver(control).receive()
            if received is None:
                os._exit(70)
            assignment, fds = received
            os.setsid()
            # Only the template needs what it was left.
            kernel.set_capabilities()
            holdings.renew(fds[0])
            os.close(fds[0])
        except BaseException:  # noqa: BLE001 -- the server must hear of it, whatever it is
            send(control, {"failed": traceback.format_exc()})
            os._exit(70)
        control.close()
        sys.stdout.flush()
        payload: Message = assignment["payload"]
        return payload
