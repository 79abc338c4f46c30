"""Waiting for what happens behind an answer, in real time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any


def until(find: Callable[[], Any], *, seconds: float = 30) -> Any:
    """What `find` returns once it is something; errors of clients count as nothing."""
    from botocore.exceptions import ClientError

    end = time.monotonic() + seconds
    while True:
        try:
            if found := find():
                return found
        except ClientError:
            if time.monotonic() > end:
                raise
        assert time.monotonic() < end, "it never came"
        threading.Event().wait(0.02)
