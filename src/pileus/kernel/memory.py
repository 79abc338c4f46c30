"""Memory that nothing uses goes back to the machine."""

from __future__ import annotations

import ctypes
import gc


def give_back() -> None:
    """Takes some milliseconds: for moments in which there is little to do."""
    gc.collect()
    # glibc's: others give back by themselves what they can.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
