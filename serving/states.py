# SPDX-License-Identifier: Apache-2.0
"""The state of every model version the server has ever managed, and waiting for it."""

from __future__ import annotations

import enum
import itertools
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

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
        self._changed = threading.Condition(threading.RLock())
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

    def wait_for(self, condition: Callable[[], bool], timeout: float | None = None) -> bool:
        """Blocks until `condition`, which is tried after every event, holds.

        Returns:
            Whether it holds; False after `timeout` seconds.
        """
        with self._changed:
            return self._changed.wait_for(condition, timeout)

    def wait_available(
        self, names: Iterable[str], *, since: int = 0, stop: threading.Event | None = None
    ) -> dict[str, dict[int, VersionState]]:
        """Blocks until each model has an available version, or none that could become one.

        Args:
            names: the models to wait for.
            since: count only events after this mark; 0 counts all.
            stop: returns early when set (checked ten times a second).

        Returns:
            The models of which every version ended, with those versions; empty if all is well.
        """
        recent: dict[str, dict[int, VersionState]] = {}

        def settled() -> bool:
            recent.update((name, self._recent(name, since)) for name in names)
            return all(map(_is_settled, recent.values()))

        while not self.wait_for(settled, timeout=0.1):
            if stop and stop.is_set():
                return {}
        return {name: states for name, states in recent.items() if not _is_available(states)}

    def _recent(self, name: str, since: int) -> dict[int, VersionState]:
        states = self.version_states(name)
        return {version: event for version, event in states.items() if event.sequence > since}


def _is_available(states: dict[int, VersionState]) -> bool:
    return any(event.state == State.AVAILABLE for event in states.values())


def _is_settled(states: dict[int, VersionState]) -> bool:
    ended = bool(states) and all(event.state == State.END for event in states.values())
    return _is_available(states) or ended
