"""Runs a worker in a process of its own and kills it in the middle of what it does."""

import asyncio
import fcntl
import os
import signal
import time
import traceback

PIPE_BYTES = 1 << 20


def run_and_kill(worker, *, after_s, after_reports=1):
    """Fork; run `worker(report)` there; kill -9 `after_s` after that many reports. Returns all lines it reported.

    A fork of this warm process takes a few milliseconds where a new interpreter takes hundreds. The worker opens all
    it needs itself. One that ends by itself has failed.
    """
    receiving, sending = os.pipe()
    fcntl.fcntl(sending, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    child = os.fork()
    if child == 0:
        try:
            os.close(receiving)
            asyncio.run(worker(lambda line: os.write(sending, f"{line}\n".encode())))
        except BaseException:  # noqa: BLE001 -- reported, and judged by the parent
            os.write(sending, f"failed {traceback.format_exc()!r}\n".encode())
        finally:
            os._exit(0)
    os.close(sending)
    with os.fdopen(receiving, "rb") as reports:
        head = b"".join(reports.readline() for _ in range(after_reports))
        time.sleep(after_s)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        lines = (head + reports.read()).decode().splitlines(keepends=True)
    # The last one may have been cut off by the kill.
    lines = [line[:-1] for line in lines if line.endswith("\n")]
    failures = [line for line in lines if line.startswith("failed")]
    assert not failures, failures[0].encode().decode("unicode_escape")
    return lines
