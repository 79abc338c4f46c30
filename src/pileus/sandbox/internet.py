"""Outgoing internet for sandboxes: a pair of virtual devices for each, address translation, and what stays closed.

A sandbox reaches what this machine reaches, through the machine's own forwarding. It does not reach the machine itself
(none of its addresses, so neither its loopback nor what it serves), other sandboxes, what is behind its published
ports, or link-local addresses, where clouds answer with the machine's own credentials. This is
for root; `slirp` is for others. All of it is one table of nftables, named after this instance, and one device of the
host for each sandbox, which goes with the sandbox.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import socket
import struct
from collections.abc import Iterable
from itertools import count, pairwise
from pathlib import Path
from typing import Any

from pileus.sandbox import processes
from pileus.sandbox.contract import SandboxError
from pileus.sandbox.inside import kernel

DEVICE_PREFIX = "pls"
# The range kept for tests of networks (RFC 2544): no machine's neighbours have such addresses.
_NETWORK, _NETWORK_BITS = 0xC6120000, 15
LINK_LOCAL = ("169.254.0.0", 16)
_FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
# What instances have changed, for whoever comes after one that was killed: a file each, with what was there before.
_MARKS = Path("/run/pileus-internet")

_INET, _INPUT, _FORWARD, _POSTROUTING = 1, "input", "forward", "postrouting"
_DROP, _ACCEPT = 0, 1
_META_IIFNAME, _META_OIFNAME, _META_NFPROTO = 6, 7, 15
_CT_STATE, _CT_STATUS = 0, 2
_ESTABLISHED_OR_RELATED, _DESTINATION_CHANGED = 0b110, 1 << 5
_PAYLOAD_NETWORK, _SOURCE, _DESTINATION = 1, 12, 16
_EQUAL, _NOT_EQUAL = 0, 1

_SIOCADDRT, _SIOCSIFFLAGS, _SIOCSIFADDR, _SIOCSIFNETMASK = 0x890B, 0x8914, 0x8916, 0x891C
_IFF_UP = 1

Expression = dict[str, Any]
_numbers = count(1)


class Internet:
    """The way out for the sandboxes of this instance. Its methods block."""

    def __init__(self) -> None:
        # Several in one process (tests) need names of their own.
        self._table = (
            f"pileus-{processes.pid_namespace()}-{os.getpid()}-{processes.start_time(os.getpid())}-{next(_numbers)}"
        )
        self._opened = False

    @property
    def is_open(self) -> bool:
        return self._opened

    def open(self) -> None:
        """Make the table; tables of dead instances go. Raises `SandboxError` where this machine cannot."""
        if self._opened:
            return
        sweep()
        before = _FORWARDING.read_text().strip()
        try:
            _MARKS.mkdir(exist_ok=True, mode=0o700)
            (_MARKS / self._table).write_text(before)
            _delete_tables([self._table])
            _make_table(self._table, forwards_already=before == "1")
            _FORWARDING.write_text("1")
        except OSError as error:
            self._opened = True
            self.close()
            raise SandboxError(f"no outgoing internet: {error}") from error
        except Exception as error:
            self._opened = True
            self.close()
            raise SandboxError(f"no outgoing internet: nftables answered {error!r}") from error
        self._opened = True

    def close(self) -> None:
        if self._opened:
            self._opened = False
            _undo([_MARKS / self._table])

    def connect(self, pid: int) -> None:
        """Give the network of this process a way out; this thread is in that of the host."""
        from pyroute2 import IPRoute

        ours, theirs = "", ""
        with IPRoute() as routes:
            while True:
                device = DEVICE_PREFIX + secrets.token_hex(5)
                number = secrets.randbelow(1 << (31 - _NETWORK_BITS))
                ours, theirs = (_address(_NETWORK + 2 * number + each) for each in (0, 1))
                if routes.get_addr(address=ours):
                    continue
                try:
                    peer = {"ifname": "eth0", "net_ns_pid": pid}
                    routes.link("add", ifname=device, kind="veth", peer=peer)
                except Exception as error:
                    if getattr(error, "code", 0) == errno.EEXIST:
                        continue
                    raise OSError(getattr(error, "code", errno.EIO), f"a virtual device: {error}") from error
                break
        settings = Path("/proc/sys/net")
        # Nothing but what comes from the sandbox's own address; nothing of version 6, which would reach the host.
        (settings / f"ipv4/conf/{device}/rp_filter").write_text("1")
        with contextlib.suppress(FileNotFoundError):
            (settings / f"ipv6/conf/{device}/disable_ipv6").write_text("1")
        _configure(device, ours)
        kernel.enter_network(pid, lambda: _configure("eth0", theirs, gateway=ours))


def check() -> str:
    """Empty where this machine can, as root; else why not. Changes nothing that stays."""
    try:
        table = f"pileus-check-{secrets.token_hex(4)}"
        try:
            _make_table(table, forwards_already=True)
        finally:
            _delete_tables([table])
    except ImportError as error:
        return f"outgoing internet for functions needs pyroute2: {error}"
    except Exception as error:  # noqa: BLE001 -- whatever the kernel or the library answers
        return f"outgoing internet for functions needs nftables in the kernel (nf_tables, nft_masq, nft_ct): {error}"
    if not os.access(_FORWARDING, os.W_OK):
        return f"outgoing internet for functions needs {_FORWARDING} to be writable"
    return ""


def name_servers() -> list[str]:
    """Those of this machine that a sandbox can reach."""
    found: list[str] = []
    for path in ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"):
        with contextlib.suppress(OSError):
            lines = [line.split() for line in Path(path).read_text().splitlines()]
            found += [line[1] for line in lines if len(line) > 1 and line[0] == "nameserver"]
    own = own_addresses()
    return [
        each
        for each in dict.fromkeys(found)
        if ":" not in each and not each.startswith(("127.", "169.254.", "0.")) and each not in own
    ]


def sweep() -> None:
    """Undo what killed instances have left."""
    if not os.access(_MARKS, os.W_OK):
        return
    _undo(
        mark
        for mark in _MARKS.iterdir()
        if mark.name.split("-")[1:2] == [processes.pid_namespace()]
        and processes.is_gone(int(mark.name.split("-")[2]), mark.name.split("-")[3])
    )


def _undo(marks: Iterable[Path]) -> None:
    marks = list(marks)
    if not marks:
        return
    with contextlib.suppress(Exception):
        _delete_tables([mark.name for mark in marks])
    before = {mark: mark.read_text() for mark in marks if mark.exists()}
    for mark in before:
        mark.unlink(missing_ok=True)
    # Whoever came first has seen what was there before any of us.
    if "0" in before.values() and not any(_MARKS.iterdir()):
        with contextlib.suppress(OSError):
            _FORWARDING.write_text("0")
    elif "0" in before.values():
        for other in _MARKS.iterdir():
            other.write_text("0")


def _make_table(table: str, *, forwards_already: bool) -> None:
    from pyroute2.nftables.main import NFTables

    inside, outside = _device(_META_IIFNAME), _device(_META_OIFNAME)
    with NFTables(nfgen_family=_INET) as nft:
        nft.table("add", name=table)
        for name, kind, priority in ((_INPUT, "filter", -10), (_FORWARD, "filter", -10), (_POSTROUTING, "nat", 100)):
            nft.chain("add", table=table, name=name, hook=name, type=kind, priority=priority, policy=_ACCEPT)
        rules: list[tuple[str, list[Expression]]] = [
            (_INPUT, [*inside, _verdict(_DROP)]),
            (_FORWARD, [*inside, *outside, _verdict(_DROP)]),
            (_FORWARD, [*inside, *_address_in(_DESTINATION, *LINK_LOCAL), _verdict(_DROP)]),
            (_FORWARD, [*inside, *_flags("ct", _CT_STATUS, _DESTINATION_CHANGED), _verdict(_DROP)]),
            (_FORWARD, [*outside, *_flags("ct", _CT_STATE, _ESTABLISHED_OR_RELATED), _verdict(_ACCEPT)]),
            (_FORWARD, [*outside, _verdict(_DROP)]),
            (
                _POSTROUTING,
                [*_address_in(_SOURCE, _address(_NETWORK), _NETWORK_BITS), _expression("masq")],
            ),
        ]
        if not forwards_already:
            # The machine was no router, and is none for anybody else.
            rules.insert(-1, (_FORWARD, [*inside, _verdict(_ACCEPT)]))
            rules.insert(-1, (_FORWARD, [_verdict(_DROP)]))
        for chain, expressions in rules:
            nft.rule("add", table=table, chain=chain, expressions=[[each] for each in expressions])


def _delete_tables(names: Iterable[str]) -> None:
    from pyroute2.nftables.main import NFTables

    with NFTables(nfgen_family=_INET) as nft:
        there = {table.get_attr("NFTA_TABLE_NAME") for table in nft.get_tables()}
        for name in there.intersection(names):
            nft.table("del", name=name)


def _expression(kind: str, **members: Any) -> Expression:
    data = {"attrs": [(f"NFTA_{kind.upper()}_{name.upper()}", value) for name, value in members.items()]}
    return {"attrs": [("NFTA_EXPR_NAME", kind), ("NFTA_EXPR_DATA", data)]}


def _data(value: bytes) -> dict[str, Any]:
    return {"attrs": [("NFTA_DATA_VALUE", value)]}


def _verdict(code: int) -> Expression:
    return _expression(
        "immediate", dreg=0, data={"attrs": [("NFTA_DATA_VERDICT", {"attrs": [("NFTA_VERDICT_CODE", code)]})]}
    )


def _device(which: int) -> list[Expression]:
    """Its name begins with our prefix."""
    return [
        _expression("meta", dreg=1, key=which),
        _expression("cmp", sreg=1, op=_EQUAL, data=_data(DEVICE_PREFIX.encode())),
    ]


def _flags(kind: str, key: int, bits: int) -> list[Expression]:
    """One of these bits is set."""
    return [
        _expression(kind, dreg=1, key=key),
        _expression("bitwise", sreg=1, dreg=1, len=4, mask=_data(struct.pack("=I", bits)), xor=_data(bytes(4))),
        _expression("cmp", sreg=1, op=_NOT_EQUAL, data=_data(bytes(4))),
    ]


def _address_in(offset: int, network: str, bits: int) -> list[Expression]:
    mask = (0xFFFFFFFF << (32 - bits)) & 0xFFFFFFFF
    return [
        _expression("meta", dreg=1, key=_META_NFPROTO),
        _expression("cmp", sreg=1, op=_EQUAL, data=_data(bytes([socket.AF_INET]))),
        _expression("payload", dreg=1, base=_PAYLOAD_NETWORK, offset=offset, len=4),
        _expression("bitwise", sreg=1, dreg=1, len=4, mask=_data(struct.pack("!I", mask)), xor=_data(bytes(4))),
        _expression("cmp", sreg=1, op=_EQUAL, data=_data(socket.inet_aton(network))),
    ]


def _address(number: int) -> str:
    return socket.inet_ntoa(struct.pack("!I", number))


def _configure(device: str, address: str, gateway: str = "") -> None:
    """Of a pair: its address in a network of two, and the way to everywhere else."""
    name = device.encode()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as control:
        for request, value in ((_SIOCSIFADDR, address), (_SIOCSIFNETMASK, "255.255.255.254")):
            fcntl.ioctl(control, request, struct.pack("16sHH4s16x", name, socket.AF_INET, 0, socket.inet_aton(value)))
        fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sh22x", name, _IFF_UP))
        if gateway:
            anywhere = struct.pack("HH4s8x", socket.AF_INET, 0, bytes(4))
            through = struct.pack("HH4s8x", socket.AF_INET, 0, socket.inet_aton(gateway))
            # struct rtentry: RTF_UP | RTF_GATEWAY.
            entry = struct.pack("L16s16s16sHhLPhPLLH", 0, anywhere, through, anywhere, 3, 0, 0, 0, 0, 0, 0, 0, 0)
            fcntl.ioctl(control, _SIOCADDRT, entry)


def own_addresses() -> set[str]:
    """Of this machine, of version 4."""
    with contextlib.suppress(OSError):
        lines = Path("/proc/net/fib_trie").read_text().splitlines()
        return {before.split()[-1] for before, line in pairwise(lines) if "/32 host LOCAL" in line}
    return set()
