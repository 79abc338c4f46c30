"""A machine with a way to the internet, in network namespaces: for tests that go there with nothing but this machine.

`become_a_machine` puts this process into a network of its own, where it has the address 203.0.113.2 and a neighbour
that stands for everything else: a host at 198.51.100.7 that tells who called, a name server, and, at the address where
clouds give out the machine's own credentials, a service that nobody inside may reach.
"""

from __future__ import annotations

import os
import socket
import struct
import tempfile
import threading
from pathlib import Path

from pyroute2 import IPRoute

from pileus.sandbox.inside import kernel

MACHINE, NEIGHBOUR, METADATA, HOST, NAME = (
    "203.0.113.2",
    "203.0.113.1",
    "169.254.169.254",
    "198.51.100.7",
    "far.example",
)
PORT = 8080


def become_a_machine() -> None:
    kernel.unshare(kernel.CLONE_NEWNET | kernel.CLONE_NEWNS)
    kernel.mount(None, "/", None, kernel.MS_REC | kernel.MS_PRIVATE)
    # What is noted there is this machine's, not the real one's.
    kernel.mount("tmpfs", "/run", "tmpfs", 0, "mode=0755")
    folder = Path(tempfile.mkdtemp())
    (folder / "resolv.conf").write_text(f"nameserver 127.0.0.53\nnameserver {NEIGHBOUR}\n")
    kernel.mount(str(folder / "resolv.conf"), os.path.realpath("/etc/resolv.conf"), None, kernel.MS_BIND)
    told, tell = os.pipe()
    go, going = os.pipe()
    neighbour = os.fork()
    if neighbour == 0:
        os.close(told)
        os.close(going)
        kernel.unshare(kernel.CLONE_NEWNET)
        os.write(tell, b"1")
        os.read(go, 1)
        # It ends with this machine, whoever that has become by then.
        threading.Thread(target=lambda: os._exit(len(os.read(go, 1))), daemon=True).start()
        try:
            _be_the_internet(tell)
        finally:
            os._exit(0)
    os.read(told, 1)
    with IPRoute() as routes:
        routes.link("add", ifname="up0", kind="veth", peer={"ifname": "down0", "net_ns_pid": neighbour})
        _bring_up(routes, "lo")
        _bring_up(routes, "up0", MACHINE)
        routes.route("add", dst="default", gateway=NEIGHBOUR)
        routes.route("add", dst=f"{METADATA}/32", oif=routes.link_lookup(ifname="up0")[0])
    os.write(going, b"1")
    os.read(told, 1)
    for each in (told, tell, go):
        os.close(each)
    os.set_inheritable(going, True)
    be_served()


def be_served() -> None:
    """What this machine serves itself, on every address; again, where it has become another program."""
    _serve("0.0.0.0")


def _bring_up(routes: IPRoute, name: str, address: str = "") -> None:
    index = routes.link_lookup(ifname=name)[0]
    if address:
        routes.addr("add", index=index, address=address, prefixlen=24)
    routes.link("set", index=index, state="up")


def _be_the_internet(tell: int) -> None:
    with IPRoute() as routes:
        _bring_up(routes, "lo")
        _bring_up(routes, "down0", NEIGHBOUR)
        index = routes.link_lookup(ifname="down0")[0]
        for address in (METADATA, HOST):
            routes.addr("add", index=index, address=address, prefixlen=32)
    _serve("0.0.0.0")
    names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    names.bind((NEIGHBOUR, 53))
    os.write(tell, b"1")
    while True:
        question, who = names.recvfrom(512)
        # The question again, and the address for A; none for anything else.
        asked = question[12 : question.index(b"\0", 12) + 5]
        is_address = asked[-4:-2] == b"\0\1"
        answer = b"\xc0\x0c\0\1\0\1\0\0\0\1\0\4" + socket.inet_aton(HOST) if is_address else b""
        counts = struct.pack("!HHHHH", 0x8180, 1, int(is_address), 0, 0)
        names.sendto(question[:2] + counts + asked + answer, who)


def _serve(address: str) -> None:
    """Tell every caller who it is."""
    listener = socket.create_server((address, PORT))

    def serve() -> None:
        while True:
            connection, who = listener.accept()
            with connection:
                connection.sendall(who[0].encode())

    threading.Thread(target=serve, daemon=True).start()
