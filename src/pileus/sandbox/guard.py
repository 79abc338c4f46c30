"""Who may make namespaces: a snapshot, when it was asked for a clone, and as often as that.

The kernel asks here before it carries out the one call that a snapshot's filter allows beside others' (seccomp's user
notification, Linux 5.5); which call that is stands in registers, so nothing can be changed after the answer.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import select
import struct

# SECCOMP_IOCTL_NOTIF_RECV and _SEND, with their structures' sizes.
_RECEIVE, _NOTICE_BYTES = 0xC0502100, 80
_SEND, _ANSWER = 0xC0182101, struct.Struct("=QqiI")
_GO_ON = 1


class Guard:
    def __init__(self, listener: int) -> None:
        self._listener = listener
        # Calls that are asked for and have not been made.
        self.expected = 0
        asyncio.get_running_loop().add_reader(listener, self._hear)

    def close(self) -> None:
        if self._listener >= 0:
            asyncio.get_running_loop().remove_reader(self._listener)
            os.close(self._listener)
            self._listener = -1

    def _hear(self) -> None:
        poller = select.poll()
        poller.register(self._listener, select.POLLIN)
        if any(events & (select.POLLHUP | select.POLLERR) for _fd, events in poller.poll(0)):
            # Nobody has this filter any more.
            self.close()
            return
        notice = bytearray(_NOTICE_BYTES)
        try:
            fcntl.ioctl(self._listener, _RECEIVE, notice)
            (identifier,) = struct.unpack_from("=Q", notice)
            granted = self.expected > 0
            self.expected -= granted
            answer = _ANSWER.pack(identifier, 0, 0, _GO_ON) if granted else _ANSWER.pack(identifier, 0, -errno.EPERM, 0)
            fcntl.ioctl(self._listener, _SEND, answer)
        except OSError:
            # Whoever asked has ended.
            return
