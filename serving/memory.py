# SPDX-License-Identifier: Apache-2.0
"""Giving memory back to the system.

Two things keep it. The graph of an unloaded version is full of reference cycles, which Python's
collector finds late, as it shies away from the millions of objects that TensorFlow's import made.
And glibc keeps what was freed in the heap of the thread that freed it, of which a server has many.
"""

from __future__ import annotations

import ctypes
import gc
import os
import threading

# Releasing takes milliseconds, in which requests wait: not for less than this, and ever more rarely
# while there is nothing to be had.
_WORTHWHILE_BYTES = 64 * 2**20
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of <malloc.h>
_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 5.0, 320.0


def prepare_process() -> None:
    """Settings for a process that serves, once its modules are imported.

    All objects that are there now are exempt from collection, as modules live as long as the
    server. Free memory at the end of a thread's heap, and all that tensors of over 4 MiB took,
    returns to the system at once: left alone, glibc comes to keep up to 64 MiB in each of many
    heaps.
    """
    gc.collect()
    gc.freeze()
    gc.collect()  # so that the collector learns how few objects are left to it
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, 4 * 2**20)
        libc.mallopt(_M_TRIM_THRESHOLD, 4 * 2**20)


def release() -> None:
    """Collects unreachable objects and gives free memory back.

    Only in a process that is prepared for it: elsewhere, collecting takes a second.
    """
    if gc.get_freeze_count():
        gc.collect()
        _trim()


class MemoryKeeper:
    """Gives free memory back while the process is 64 MiB above its lowest level."""

    def __init__(self):
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory", daemon=True)

    def start(self) -> None:
        """Begins to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the watching."""
        self._stopped.set()

    def _run(self) -> None:
        lowest = _resident_bytes()
        pause = _PAUSE_SECONDS
        while not self._stopped.wait(pause):
            before = _resident_bytes()
            lowest = min(lowest, before)
            if before < lowest + _WORTHWHILE_BYTES:
                pause = _PAUSE_SECONDS
                continue
            release()
            in_vain = _resident_bytes() > before - _WORTHWHILE_BYTES / 2
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS) if in_vain else _PAUSE_SECONDS


def _resident_bytes() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # not Linux
        return 0


def _trim() -> None:
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it
    if trim:
        trim(0)
