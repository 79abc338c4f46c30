"""Outgoing internet for sandboxes without root: a slirp4netns beside each of them, which connects as this user does.

The rules are those of `internet`. The machine's own addresses and link-local ones have routes that refuse, in the
sandbox's network, where nobody inside may change them; they are those that the machine has when the sandbox is made.
Its loopback and name server slirp4netns keeps closed, and no sandbox has an address that another could reach.
"""

from __future__ import annotations

import os
import select
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from pileus.sandbox.internet import LINK_LOCAL, own_addresses

PROGRAM = "slirp4netns"
_DEVICE = Path("/dev/net/tun")
# Of the range kept for tests of networks (RFC 2544), in every sandbox the same.
_NETWORK = "198.18.0.0/24"
_START_TIMEOUT_S = 10.0
_CLOSE = "import sys; sys.path.insert(0, sys.argv[1]); from inside.closed import main; main(sys.argv[2:])"


class WayOut:
    """One sandbox's."""

    def __init__(self, process: subprocess.Popen[bytes], hold: int) -> None:
        self._process = process
        # It ends when nobody holds this any more, so also where this process is killed.
        self._hold = hold

    def close(self) -> None:
        os.close(self._hold)
        self._process.kill()
        self._process.wait()


def check() -> str:
    """Empty where this machine can; else why not."""
    if not shutil.which(PROGRAM):
        return (
            f"outgoing internet for functions needs root, or the program {PROGRAM}: install the package {PROGRAM},"
            " start Pileus as root, or without --internet"
        )
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        return f"outgoing internet for functions without root needs {_DEVICE} to be open to this user"
    return ""


def connect(pid: int) -> WayOut:
    """Give the network of this process, which runs nothing yet, a way out. Blocks. Raises `OSError`."""
    told, tell = os.pipe()
    end, hold = os.pipe()
    command = [PROGRAM, "--configure", "--mtu=65520", f"--cidr={_NETWORK}", "--disable-host-loopback", "--disable-dns"]
    command += [f"--ready-fd={tell}", f"--exit-fd={end}", str(pid), "eth0"]
    # Not a pipe: it goes on writing there.
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                command, pass_fds=(tell, end), stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )
        except OSError:
            os.close(hold)
            os.close(told)
            raise
        finally:
            os.close(tell)
            os.close(end)
        way_out = WayOut(process, hold)
        try:
            ready, _, _ = select.select([told], [], [], _START_TIMEOUT_S)
            if not ready or not os.read(told, 1):
                said.seek(0)
                lines = said.read().decode(errors="replace").strip().splitlines()
                raise OSError(f"{PROGRAM}: {lines[-1] if lines else 'it said nothing'}")
            _refuse_in(pid)
        except BaseException:
            way_out.close()
            raise
        finally:
            os.close(told)
    return way_out


def _refuse_in(pid: int) -> None:
    networks = [
        "/".join(map(str, LINK_LOCAL)),
        *(f"{each}/32" for each in sorted(own_addresses()) if each[:4] != "127."),
    ]
    command = [sys.executable, "-I", "-S", "-c", _CLOSE, str(Path(__file__).parent), str(pid), *networks]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"the machine's addresses cannot be closed: {done.stderr.strip().splitlines()[-1:]}")
