"""A web server that subscribes: it keeps what it is sent, and answers as it is told."""

from __future__ import annotations

import queue
import ssl
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass
class Got:
    path: str
    # Lower-case names.
    headers: dict[str, str]
    body: str


class Web:
    """`certificate`: a file with a certificate for 127.0.0.1 and its key, where it is to speak HTTPS."""

    def __init__(self, certificate: Path | None = None) -> None:
        self.certificate = certificate
        self.got: queue.Queue[Got] = queue.Queue()
        # Answered one after the other, then always 200.
        self.statuses: list[int] = []
        # While it is clear, requests wait.
        self.open = threading.Event()
        self.open.set()
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                headers = {name.lower(): value for name, value in self.headers.items()}
                web.got.put(Got(self.path, headers, body))
                web.open.wait(30)
                self.send_response(web.statuses.pop(0) if web.statuses else 200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        if certificate is not None:
            tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            tls.load_cert_chain(certificate)
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.url = f"http{'s' if certificate else ''}://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def next(self) -> Got:
        return self.got.get(timeout=20)

    def close(self) -> None:
        self.open.set()
        self.server.shutdown()
        self.server.server_close()
