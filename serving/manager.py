# SPDX-License-Identifier: Apache-2.0
"""Loading and unloading versions, so that a model that answers goes on answering.

The rule is availability first: a new version is loaded beside the old one, the old one is
unloaded only once a wanted version is ready, and its memory is freed only after its last request
has been answered. A version that fails to load changes nothing for the others.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable, Mapping

import grpc

from serving import errors
from serving.errors import ServingError
from serving.memory import release as release_memory
from serving.servable import Servable
from serving.states import State, StateMonitor

_LOG = logging.getLogger(__name__)

Loader = Callable[[str, int, str], Servable]


class _Managed:
    """One version under management."""

    def __init__(self, path: str):
        self.path = path
        self.state = State.LOADING
        self.aspired = True
        self.unaspired = threading.Event()  # ends the waiting between load attempts
        self.servable: Servable | None = None
        self.requests = 0


class _Hold:
    """The block of `Manager.servable`.

    Every request passes here, and what `contextlib` makes of a generator takes several times as
    long as a class.
    """

    __slots__ = ("_managed", "_manager", "_name", "_version")

    def __init__(self, manager: Manager, name: str, version: int | None):
        self._manager = manager
        self._name = name
        self._version = version

    def __enter__(self) -> Servable:
        self._managed = self._manager._take(self._name, self._version)
        return self._managed.servable

    def __exit__(self, *_: object) -> None:
        self._manager._give_back(self._managed)


class Manager:
    """Keeps the aspired versions loaded and hands them to requests.

    Args:
        load: loads a version, given model name, version and path.
        monitor: told of every change of state.
        max_load_retries: further attempts after a load failed.
        load_retry_seconds: seconds between attempts.
        num_load_threads: how many versions may load at the same time.
    """

    def __init__(
        self,
        load: Loader,
        monitor: StateMonitor,
        *,
        max_load_retries: int = 5,
        load_retry_seconds: float = 60.0,
        num_load_threads: int = 1,
    ):
        self._load = load
        self._monitor = monitor
        self._max_load_retries = max_load_retries
        self._load_retry_seconds = load_retry_seconds
        self._load_slots = threading.Semaphore(num_load_threads)
        self._changed = threading.Condition(threading.RLock())
        self._aspired: dict[str, dict[int, str]] = {}
        self._managed: dict[str, dict[int, _Managed]] = {}
        self._serving: dict[str, dict[int, _Managed]] = {}

    def set_aspired_versions(self, name: str, versions: Mapping[int, str]) -> None:
        """Replaces the versions of a model that should be served, by version and path."""
        with self._changed:
            self._aspired[name] = dict(versions)
            self._reconcile(name)

    def servable(
        self, name: str, version: int | None = None
    ) -> contextlib.AbstractContextManager[Servable]:
        """A ready version, which stays loaded until the `with` block is left.

        Args:
            name: model name.
            version: None takes the highest version that is ready.

        Raises:
            ServingError: NOT_FOUND, on entering the block.
        """
        return _Hold(self, name, version)

    def available_versions(self, name: str) -> list[int]:
        """The versions of a model that answer now, ascending."""
        with self._changed:
            return sorted(self._serving.get(name, ()))

    def close(self, timeout: float | None = None) -> bool:
        """Unloads everything; waits for requests in progress.

        Args:
            timeout: seconds to wait; None waits without limit.

        Returns:
            Whether everything is unloaded.
        """
        with self._changed:
            for name in list(self._managed):
                self.set_aspired_versions(name, {})
            return self._changed.wait_for(lambda: not any(self._managed.values()), timeout)

    def _take(self, name: str, version: int | None) -> _Managed:
        with self._changed:
            serving = self._serving.get(name)
            if not serving or (version is not None and version not in serving):
                which = f"Latest({name})" if version is None else f"Specific({name}, {version})"
                raise errors.not_found(f"Servable not found for request: {which}")
            managed = serving[max(serving) if version is None else version]
            managed.requests += 1
            return managed

    def _give_back(self, managed: _Managed) -> None:
        with self._changed:
            managed.requests -= 1
            if not managed.requests:
                self._changed.notify_all()

    def _reconcile(self, name: str) -> None:
        """Starts every load and unload that the model's aspired versions now call for."""
        aspired = self._aspired[name]
        managed = self._managed.setdefault(name, {})
        for version, entry in list(managed.items()):
            entry.aspired = aspired.get(version) == entry.path
            if entry.aspired:
                entry.unaspired.clear()
            else:
                entry.unaspired.set()
                if entry.state == State.END:  # a failed load, forgotten so that it may come back
                    del managed[version]
        for version in sorted(aspired, reverse=True):
            if version not in managed:
                managed[version] = _Managed(aspired[version])
                self._monitor.publish(name, version, State.START)
                self._start(self._load_version, name, version)
        ready = [entry for entry in managed.values() if entry.state == State.AVAILABLE]
        if not aspired or any(entry.aspired for entry in ready):
            for version, entry in sorted(managed.items()):
                if entry.state == State.AVAILABLE and not entry.aspired:
                    entry.state = State.UNLOADING
                    del self._serving[name][version]
                    self._monitor.publish(name, version, State.UNLOADING)
                    self._start(self._unload_version, name, version)
        self._changed.notify_all()

    def _start(self, action: Callable[[str, int], None], name: str, version: int) -> None:
        thread_name = f"{action.__name__.strip('_')}-{name}-{version}"
        # Daemon threads: a load that hangs must not keep a stopped process alive.
        threading.Thread(target=action, args=(name, version), name=thread_name, daemon=True).start()

    def _load_version(self, name: str, version: int) -> None:
        with self._changed:
            entry = self._managed[name][version]
        self._monitor.publish(name, version, State.LOADING)
        error = None
        for attempt in range(1 + self._max_load_retries):
            if attempt and entry.unaspired.wait(self._load_retry_seconds):
                break
            with self._load_slots:
                try:
                    entry.servable = self._load(name, version, entry.path)
                    break
                except ServingError as failure:
                    error = failure
                except Exception as failure:  # the graph is foreign: anything may go wrong in it
                    error = ServingError(grpc.StatusCode.INTERNAL, str(failure))
            _LOG.error("Loading servable %s version %d failed: %s", name, version, error)
        with self._changed:
            if entry.servable:
                entry.state = State.AVAILABLE
                self._serving.setdefault(name, {})[version] = entry
                self._monitor.publish(name, version, State.AVAILABLE)
                _LOG.info("Loaded servable %s version %d", name, version)
            else:
                entry.state = State.END
                self._monitor.publish(name, version, State.END, error)
            self._reconcile(name)

    def _unload_version(self, name: str, version: int) -> None:
        with self._changed:
            entry = self._managed[name][version]
            self._changed.wait_for(lambda: not entry.requests)
        entry.servable.session.close()
        entry.servable = None
        release_memory()
        with self._changed:
            del self._managed[name][version]
            self._monitor.publish(name, version, State.END)
            _LOG.info("Unloaded servable %s version %d", name, version)
            self._reconcile(name)
