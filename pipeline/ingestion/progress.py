# SPDX-License-Identifier: Apache-2.0
"""Progress of a job whose workers share nothing but a directory."""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import sys
import threading
import time
import uuid
from typing import TextIO


class ProgressWriter:
    """A worker's side: adds up what it has done and notes it at most twice a second.

    Args:
        directory: where `ProgressDisplay` looks.
    """

    _PAUSE = 0.5

    def __init__(self, directory: str):
        self._path = pathlib.Path(directory) / f"{uuid.uuid4().hex}.json"
        now = time.time()
        self._totals = {
            "utterances": 0,
            "audio_seconds": 0.0,
            "reused": 0,
            "started": now,
            "updated": now,
        }

    def add(self, audio_seconds: float) -> None:
        """Counts one utterance."""
        self._totals["utterances"] += 1
        self._totals["audio_seconds"] += audio_seconds
        if time.time() - self._totals["updated"] > self._PAUSE:
            self.flush()

    def add_reused(self, utterances: int) -> None:
        """Counts utterances of a shard that was there already."""
        self._totals["reused"] += utterances
        self.flush()

    def flush(self) -> None:
        """Writes the totals now."""
        self._totals["updated"] = time.time()
        # The display is a convenience: where its directory is gone, the work goes on.
        if self._path.parent.is_dir():
            temporary = self._path.with_suffix(".tmp")
            temporary.write_text(json.dumps(self._totals))
            os.replace(temporary, self._path)


class ProgressDisplay:
    """The driver's side: a context manager that shows the sum of all workers.

    On a terminal one line is redrawn every second; elsewhere a line is printed every 15 s, and
    both end with the final line.

    Args:
        directory: where workers write; made on entry and removed on exit.
        total: utterances to expect.
        stream: where to print. Defaults to standard error.
    """

    def __init__(self, directory: str, total: int, stream: TextIO | None = None):
        self._directory = pathlib.Path(directory)
        self._total = total
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)

    def __enter__(self) -> ProgressDisplay:
        shutil.rmtree(self._directory, ignore_errors=True)
        self._directory.mkdir(parents=True)
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._finished.set()
        self._thread.join()
        self._print(end="\n")
        shutil.rmtree(self._directory, ignore_errors=True)

    def _show(self) -> None:
        while not self._finished.wait(1.0 if self._terminal else 15.0):
            self._print(end="" if self._terminal else "\n")

    def _print(self, end: str) -> None:
        line = self.line()
        self._stream.write(f"\r\x1b[K{line}{end}" if self._terminal else f"{line}{end}")
        self._stream.flush()

    def line(self) -> str:
        """The state as text; the rate counts from when the first worker was ready."""
        parts = [json.loads(path.read_text()) for path in self._directory.glob("*.json")]
        if not parts:
            return f"ingest: starting, {self._total} utterances"
        elapsed = max(part["updated"] for part in parts) - min(part["started"] for part in parts)
        computed, reused = (sum(part[name] for part in parts) for name in ("utterances", "reused"))
        seconds = sum(part["audio_seconds"] for part in parts)
        done = computed + reused
        text = f"ingest: {done}/{self._total} utterances, {seconds / 3600:.2f} h of audio"
        if reused:
            text += f", {reused} reused"
        if elapsed > 0 and computed:
            text += f", {seconds / elapsed:.0f}x real time"
            remaining = (self._total - done) * elapsed / computed
            if remaining > 0:
                text += f", {_clock(remaining)} left"
        return text


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"
