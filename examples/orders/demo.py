"""`make demo-orders`: starts Pileus on a free port, deploys the order application, and has it go wrong and be mended.

Ends with 0 when every order is shipped and billed, and everything was taken down again.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import boto3
from botocore.config import Config

from app import Orders, run


def say(what: str, text: str) -> None:
    mark = "\x1b[32m✓\x1b[0m" if sys.stdout.isatty() else "-"
    print(f"{mark} {what:<13} {text}", flush=True)


def main() -> int:
    # A SIGTERM takes the same way out as Ctrl-C: through the `finally` that stops Pileus.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="pileus-demo-") as folder:
        started = time.perf_counter()
        command = [sys.executable, "-m", "pileus", "start", "--port", "0", "--json", "--data-dir", f"{folder}/data"]
        with (Path(folder) / "pileus.log").open("w+") as log:
            server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log)
            try:
                assert server.stdout is not None
                ready = server.stdout.readline()
                if not ready:
                    raise RuntimeError("Pileus did not start")
                endpoint = json.loads(ready)["endpoint"]
                say("pileus", f"{endpoint}, ready in {(time.perf_counter() - started) * 1000:.0f} ms")
                use(endpoint)
                session = boto3.session.Session()
                run(Orders(lambda service: session.client(service, config=Config(retries={"max_attempts": 2})), say))
            except BaseException:
                log.seek(0)
                sys.stderr.write(log.read())
                raise
            finally:
                server.terminate()
                code = server.wait(timeout=30)
        say("pileus", f"stopped with {code}")
        return code


def use(endpoint: str) -> None:
    """Have boto3 speak to Pileus, whatever else it may have been set up for."""
    for name in [name for name in os.environ if name.startswith("AWS_") and name != "AWS_CA_BUNDLE"]:
        del os.environ[name]
    os.environ.update(
        AWS_ENDPOINT_URL=endpoint,
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",
        AWS_DEFAULT_REGION="us-east-1",
        AWS_CONFIG_FILE=os.devnull,
        AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    )


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
