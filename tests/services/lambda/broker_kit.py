"""Brokers of the tests' own: RabbitMQ, unprivileged where it can be, with its own folder, names and ports; Kafka."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from waiting import until

SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"
NOBODY = 65534


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports: list[int] = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Broker:
    """Skips the test where there is no RabbitMQ."""

    user = password = "guest"

    def __init__(self, folder: Path) -> None:
        if not os.path.exists(SERVER):
            pytest.skip("RabbitMQ is not here: apt-get install rabbitmq-server")
        self._folder = folder
        self.port, distribution, names = _free_ports(3)
        folder.mkdir()
        (folder / "plugins").write_text("[].\n")
        as_nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"] if os.getuid() == 0 else []
        if as_nobody:
            shutil.chown(folder, NOBODY, NOBODY)
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "ERL_EPMD_PORT": str(names),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"pileus-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(folder / "none"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "none.config"),
            "RABBITMQ_CONF_ENV_FILE": str(folder / "none.conf"),
            # One scheduler: it shares the machine with other tests.
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1",
        }
        # It looks names up in a process of its own, which would outlive it.
        self._names = subprocess.Popen(
            [*as_nobody, shutil.which("epmd") or "epmd", "-port", str(names), "-address", "127.0.0.1"],
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        with (folder.parent / f"{folder.name}.out").open("wb") as out:
            self._server = subprocess.Popen(
                [*as_nobody, SERVER], env=environment, stdout=out, stderr=out, start_new_session=True, cwd=folder
            )
        until(lambda: self._server.poll() is not None or self._answers(), seconds=60)
        if self._server.poll() is not None:
            self.stop()
            pytest.skip("RabbitMQ does not start here")

    @property
    def endpoint(self) -> str:
        return f"amqp://127.0.0.1:{self.port}"

    def _answers(self) -> bool:
        from pika.exceptions import AMQPError

        try:
            self.connect().close()
        except AMQPError:
            return False
        return True

    def connect(self) -> Any:
        import pika

        return pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", self.port))

    def stop(self) -> None:
        if self._server.poll() is None:
            os.killpg(self._server.pid, signal.SIGKILL)
            self._server.wait()
        self._names.kill()
        self._names.wait()


@contextmanager
def running_broker() -> Iterator[Broker]:
    # Not below pytest's folder, into which the broker's user may not look.
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        started = Broker(Path(folder) / "rabbit")
        try:
            yield started
        finally:
            started.stop()


def register(aws: Any, broker: Broker, **settings: Any) -> dict[str, Any]:
    """The broker as one of Amazon MQ's."""
    answer: dict[str, Any] = aws.client("mq").create_broker(
        **{
            "BrokerName": "orders",
            "EngineType": "RABBITMQ",
            "DeploymentMode": "SINGLE_INSTANCE",
            "HostInstanceType": "mq.m5.large",
            "PubliclyAccessible": True,
            "Users": [{"Username": broker.user, "Password": broker.password}],
            "Tags": {"pileus:endpoint": broker.endpoint},
            **settings,
        }
    )
    return answer


class KafkaBrokers:
    """The mock cluster that librdkafka brings, on real sockets."""

    def __init__(self) -> None:
        from confluent_kafka import Producer

        self._producer = Producer({"bootstrap.servers": "mock", "test.mock.num.brokers": 1, "log_level": 2})
        found = self._producer.list_topics(timeout=10).brokers.values()
        self.servers = [f"{each.host}:{each.port}" for each in found]

    def send(self, topic: str, value: bytes, **options: Any) -> None:
        self._producer.produce(topic, value, partition=0, **options)
        self._producer.flush(10)
