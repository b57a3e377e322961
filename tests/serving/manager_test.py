# SPDX-License-Identifier: Apache-2.0
"""Loading and unloading in the order that keeps a model answering."""

import threading

import grpc
import pytest

from serving.errors import ServingError
from serving.manager import Manager
from serving.servable import Servable
from serving.states import State, StateMonitor

BROKEN = ServingError(grpc.StatusCode.INVALID_ARGUMENT, "broken")


class FakeSession:
    def __init__(self):
        self.closed = threading.Event()

    def close(self):
        self.closed.set()


class FakeLoads:
    """Loads on demand: versions in `held` wait for `release`, those in `broken` fail."""

    def __init__(self):
        self.held = {}
        self.broken = set()
        self.sessions = {}
        self.attempts = []
        self.attempted = threading.Condition()

    def hold(self, version):
        self.held[version] = threading.Event()
        return self.held[version]

    def __call__(self, name, version, path):
        with self.attempted:
            self.attempts.append((version, path))
            self.attempted.notify_all()
        if version in self.held:
            assert self.held[version].wait(10)
        if version in self.broken:
            raise BROKEN
        self.sessions[version] = FakeSession()
        return Servable(name, version, {}, self.sessions[version])


@pytest.fixture
def loads():
    return FakeLoads()


@pytest.fixture
def monitor():
    return StateMonitor()


@pytest.fixture
def manager(loads, monitor):
    manager = Manager(loads, monitor, max_load_retries=0)
    yield manager
    manager.close()


def wait_for(monitor, version, state):
    """Waits until the version has reached the state."""

    def reached():
        now = monitor.version_state("m", version)
        return now is not None and now.state == state

    assert monitor.wait_for(reached, timeout=10), monitor.version_states("m")


def aspire(manager, *versions):
    manager.set_aspired_versions("m", {version: f"/m/{version}" for version in versions})


def answering(manager, version=None):
    with manager.servable("m", version) as servable:
        return servable.version


def test_latest_is_the_highest_ready(manager, monitor):
    aspire(manager, 1, 3, 2)
    for version in (1, 2, 3):
        wait_for(monitor, version, State.AVAILABLE)
    assert answering(manager) == 3
    assert answering(manager, 1) == 1
    assert manager.available_versions("m") == [1, 2, 3]


def test_nothing_is_there_before_the_first_load(manager, loads):
    release = loads.hold(1)
    aspire(manager, 1)
    with pytest.raises(ServingError, match=r"Latest\(m\)"):
        answering(manager)
    release.set()


def test_old_version_answers_while_the_new_one_loads(manager, loads, monitor):
    aspire(manager, 1)
    wait_for(monitor, 1, State.AVAILABLE)
    release = loads.hold(2)
    aspire(manager, 2)
    wait_for(monitor, 2, State.LOADING)
    assert answering(manager) == 1
    release.set()
    wait_for(monitor, 1, State.END)
    assert answering(manager) == 2
    with pytest.raises(ServingError, match=r"Specific\(m, 1\)"):
        answering(manager, 1)


def test_old_version_is_freed_after_its_last_request(manager, loads, monitor):
    aspire(manager, 1)
    wait_for(monitor, 1, State.AVAILABLE)
    with manager.servable("m") as servable:
        aspire(manager, 2)
        wait_for(monitor, 1, State.UNLOADING)
        assert not loads.sessions[1].closed.wait(0.05)
        assert servable.session is loads.sessions[1]
        assert answering(manager) == 2
    wait_for(monitor, 1, State.END)
    assert loads.sessions[1].closed.is_set()


def test_broken_version_leaves_the_old_one(manager, loads, monitor):
    aspire(manager, 1)
    wait_for(monitor, 1, State.AVAILABLE)
    loads.broken.add(2)
    aspire(manager, 2)
    wait_for(monitor, 2, State.END)
    assert monitor.version_state("m", 2).error is BROKEN
    assert answering(manager) == 1
    aspire(manager, 2)  # the next poll, which must not try again
    assert [version for version, _ in loads.attempts] == [1, 2]


def test_broken_version_that_went_away_may_come_back(manager, loads, monitor):
    loads.broken.add(2)
    aspire(manager, 2)
    wait_for(monitor, 2, State.END)
    aspire(manager)
    loads.broken.clear()
    aspire(manager, 2)
    wait_for(monitor, 2, State.AVAILABLE)


def test_any_failure_of_a_load_is_reported(monitor):
    def load(name, version, path):
        raise ZeroDivisionError("surprise")

    manager = Manager(load, monitor, max_load_retries=0)
    aspire(manager, 1)
    wait_for(monitor, 1, State.END)
    assert str(monitor.version_state("m", 1).error) == "INTERNAL: surprise"


def test_failed_load_is_retried(loads, monitor):
    manager = Manager(loads, monitor, max_load_retries=2, load_retry_seconds=0.01)
    loads.broken.add(1)
    aspire(manager, 1)
    wait_for(monitor, 1, State.END)
    assert len(loads.attempts) == 3
    manager.close()


def test_retry_ends_when_the_version_goes_away(loads, monitor):
    manager = Manager(loads, monitor, max_load_retries=5, load_retry_seconds=3600)
    loads.broken.add(1)
    aspire(manager, 1)
    with loads.attempted:
        assert loads.attempted.wait_for(lambda: loads.attempts, 10)
    aspire(manager, 2)
    wait_for(monitor, 1, State.END)
    wait_for(monitor, 2, State.AVAILABLE)
    assert len(loads.attempts) == 2
    manager.close()


def test_version_that_comes_back_while_unloading_is_loaded_again(manager, loads, monitor):
    aspire(manager, 1)
    wait_for(monitor, 1, State.AVAILABLE)
    with manager.servable("m"):
        aspire(manager)
        wait_for(monitor, 1, State.UNLOADING)
        aspire(manager, 1)
    wait_for(monitor, 1, State.AVAILABLE)
    assert answering(manager) == 1
    assert len(loads.attempts) == 2


def test_empty_aspiration_unloads_all(manager, monitor):
    aspire(manager, 1, 2)
    for version in (1, 2):
        wait_for(monitor, version, State.AVAILABLE)
    aspire(manager)
    for version in (1, 2):
        wait_for(monitor, version, State.END)
    with pytest.raises(ServingError, match=r"Latest\(m\)"):
        answering(manager)


def test_version_that_moved_is_loaded_from_its_new_path(manager, loads, monitor):
    aspire(manager, 1)
    wait_for(monitor, 1, State.AVAILABLE)
    mark = monitor.now()
    manager.set_aspired_versions("m", {1: "/elsewhere/1", 2: "/elsewhere/2"})
    monitor.wait_available(["m"], since=mark)
    with loads.attempted:
        assert loads.attempted.wait_for(lambda: (1, "/elsewhere/1") in loads.attempts, 10)


def test_version_that_loads_in_vain_is_unloaded_again(manager, loads, monitor):
    release = loads.hold(1)
    aspire(manager, 1)
    aspire(manager, 2)
    wait_for(monitor, 1, State.LOADING)
    release.set()
    wait_for(monitor, 2, State.AVAILABLE)
    wait_for(monitor, 1, State.END)
    assert loads.sessions[1].closed.is_set()
