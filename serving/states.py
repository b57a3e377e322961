# SPDX-License-Identifier: Apache-2.0
"""The state of every model version the server has ever managed, and waiting for it."""

from __future__ import annotations

import enum
import itertools
import threading
from collections.abc import Iterable
from dataclasses import dataclass

import grpc

from serving.errors import ServingError


class State(enum.IntEnum):
    """Life of a version; the numbers are those of `ModelVersionStatus.State`."""

    START = 10
    LOADING = 20
    AVAILABLE = 30
    UNLOADING = 40
    END = 50


@dataclass(frozen=True)
class VersionState:
    """The last state a version reached.

    Attributes:
        state: where in its life the version is.
        error: why it ended, if a failed load ended it.
        sequence: position in the order of all events of the monitor.
    """

    state: State
    error: ServingError | None
    sequence: int


class StateMonitor:
    """Remembers the last state of each version, also after it was unloaded or failed to load."""

    def __init__(self):
        self._changed = threading.Condition()
        self._states: dict[str, dict[int, VersionState]] = {}
        self._sequence = itertools.count(1)

    def publish(self, name: str, version: int, state: State, error: ServingError | None = None):
        """Records that a version reached a state."""
        with self._changed:
            event = VersionState(state, error, next(self._sequence))
            self._states.setdefault(name, {})[version] = event
            self._changed.notify_all()

    def now(self) -> int:
        """A mark in the order of events, for `wait_available`."""
        with self._changed:
            return next(self._sequence)

    def version_state(self, name: str, version: int) -> VersionState | None:
        """The state of one version, or None if it was never managed."""
        with self._changed:
            return self._states.get(name, {}).get(version)

    def version_states(self, name: str) -> dict[int, VersionState]:
        """All versions of a model, the highest first."""
        with self._changed:
            return dict(sorted(self._states.get(name, {}).items(), reverse=True))

    def wait_available(
        self, names: Iterable[str], *, since: int = 0, stop: threading.Event | None = None
    ) -> None:
        """Blocks until each model has an available version, or none that could become one.

        Args:
            names: the models to wait for.
            since: count only events after this mark; 0 counts all.
            stop: returns early when set (checked ten times a second).

        Raises:
            ServingError: UNKNOWN, if every version of some model ended; names each and why.
        """
        names = sorted(set(names))
        with self._changed:
            while not (stop and stop.is_set()):
                recent = {name: self._recent(name, since) for name in names}
                if all(map(_is_settled, recent.values())):
                    failed = {n: v for n, v in recent.items() if not _is_available(v)}
                    if failed:
                        raise _unavailable(failed)
                    return
                self._changed.wait(timeout=0.1)

    def _recent(self, name: str, since: int) -> dict[int, VersionState]:
        states = self._states.get(name, {})
        return {version: event for version, event in states.items() if event.sequence > since}


def _is_available(states: dict[int, VersionState]) -> bool:
    return any(event.state == State.AVAILABLE for event in states.values())


def _is_settled(states: dict[int, VersionState]) -> bool:
    ended = bool(states) and all(event.state == State.END for event in states.values())
    return _is_available(states) or ended


def _unavailable(failed: dict[str, dict[int, VersionState]]) -> ServingError:
    parts = []
    for name, states in failed.items():
        version = max(states)
        error = states[version].error
        reason = f" due to error: {error}" if error else ""
        parts.append(f"{{{{name: {name} version: {version}}}{reason}}}, ")
    text = f"{len(failed)} servable(s) did not become available: {{{''.join(parts)}}}"
    return ServingError(grpc.StatusCode.UNKNOWN, text)
