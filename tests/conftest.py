"""What every test through the wire shares: a running Pileus, and an account of its own for each test."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

# botocore must not look for a real account's configuration, nor wait for an instance's metadata.
for name in list(os.environ):
    if name.startswith("AWS_") and name != "AWS_CA_BUNDLE":
        del os.environ[name]
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull


class Server:
    """A Pileus of its own process. `stop` ends it as SIGTERM does, `kill` as a power cut does."""

    def __init__(self, data_dir: Path, *options: str, durability: str = "relaxed") -> None:
        command = [sys.executable, "-m", "pileus", "start", "--port", "0", "--json", "--data-dir", str(data_dir)]
        self.log = data_dir.parent / f"{data_dir.name}.log"
        with self.log.open("ab") as errors:
            self.process = subprocess.Popen(
                [*command, "--durability", durability, *options], stdout=subprocess.PIPE, stderr=errors
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise RuntimeError(f"Pileus did not start:\n{self.log.read_text()}")
        self.endpoint: str = json.loads(line)["endpoint"]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def advance(self, seconds: float) -> None:
        """Jump ahead on a server that was started with `--clock virtual`; returns when what fell due has run."""
        request = urllib.request.Request(
            self.endpoint + "/_pileus/clock", json.dumps({"advance_s": seconds}).encode(), method="POST"
        )
        urllib.request.urlopen(request).read()


class Account:
    """A fresh account on a running Pileus; an access key of twelve digits names it and is its root."""

    region = "us-east-1"

    def __init__(self, endpoint: str, account: str | None = None) -> None:
        self.endpoint = endpoint
        self.account = account or f"{random.randrange(10**11, 10**12)}"

    def client(self, service: str, *, credentials: dict[str, str] | None = None, **options: Any) -> Any:
        """A boto3 client, as root of the account or with `credentials` as STS's answers name them."""
        import boto3
        from botocore.config import Config

        config = {
            "retries": {"max_attempts": 0},
            "connect_timeout": 10,
            "read_timeout": 60,
            **options.pop("config", {}),
        }
        keys = credentials or {"AccessKeyId": self.account, "SecretAccessKey": "test"}
        return boto3.session.Session().client(
            service,
            endpoint_url=self.endpoint,
            region_name=options.pop("region", self.region),
            aws_access_key_id=keys["AccessKeyId"],
            aws_secret_access_key=keys["SecretAccessKey"],
            aws_session_token=keys.get("SessionToken"),
            config=Config(**config),
            **options,
        )


@pytest.fixture(scope="session")
def pileus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all tests of a worker. It keeps what it writes from a killed process, not from a power cut."""
    server = Server(tmp_path_factory.mktemp("pileus") / "data")
    yield server
    assert server.stop() == 0, server.log.read_text()


@pytest.fixture
def aws(pileus: Server) -> Account:
    return Account(pileus.endpoint)


@pytest.fixture
def start_pileus(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers of the test's own: `start_pileus("--clock", "virtual", data_dir=…, durability="full")`."""
    started: list[Server] = []

    def start(*options: str, data_dir: Path | None = None, durability: str = "relaxed") -> Server:
        server = Server(data_dir or tmp_path / "data", *options, durability=durability)
        started.append(server)
        return server

    yield start
    for server in started:
        if server.process.poll() is None:
            server.kill()


@pytest.fixture
def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
