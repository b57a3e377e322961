# SPDX-License-Identifier: Apache-2.0
"""Which version directories are served."""

import threading

import pytest

from serving.errors import ServingError
from serving.source import FileSystemSource, Policy, find_versions


def policy(**choice) -> Policy:
    return Policy(**choice)


@pytest.fixture
def base_path(tmp_path):
    for child in ("1", "7", "0010", "temporary-11", "12.partial", "x"):
        (tmp_path / child).mkdir()
    return str(tmp_path)


@pytest.mark.parametrize(
    "chosen, expected",
    [
        (policy(), [10]),
        (policy(latest={}), [10]),
        (policy(latest={"num_versions": 2}), [7, 10]),
        (policy(latest={"num_versions": 9}), [1, 7, 10]),
        (policy(all={}), [1, 7, 10]),
        (policy(specific={"versions": [7, 1, 5]}), [1, 7]),
        (policy(specific={"versions": [5]}), []),
    ],
    ids=lambda value: str(value).replace("\n", " "),
)
def test_policies(base_path, chosen, expected):
    versions = find_versions("m", base_path, chosen)
    assert sorted(versions) == expected


def test_leading_zeros_stay_in_the_path(base_path):
    assert find_versions("m", base_path, policy())[10].endswith("/0010")


def test_missing_base_path():
    with pytest.raises(ServingError, match="Could not find base path /nowhere/m for servable m"):
        find_versions("m", "/nowhere/m", policy())


class Aspirations:
    """Collects what a source asks for."""

    def __init__(self):
        self.calls = []
        self.changed = threading.Condition()

    def __call__(self, name, versions):
        with self.changed:
            self.calls.append((name, sorted(versions)))
            self.changed.notify_all()

    def wait_for(self, call):
        with self.changed:
            assert self.changed.wait_for(lambda: self.calls and self.calls[-1] == call, 10)


@pytest.fixture
def start_source():
    sources = []

    def start(models, **options):
        aspirations = Aspirations()
        sources.append(FileSystemSource(aspirations, **options))
        sources[-1].configure({name: (path, policy()) for name, path in models.items()})
        return sources[-1], aspirations

    yield start
    for source in sources:
        source.stop()


def test_poll_finds_new_and_removed_versions(base_path, tmp_path, start_source):
    _, aspirations = start_source({"m": base_path}, poll_wait_seconds=0.02)
    aspirations.wait_for(("m", [10]))
    (tmp_path / "11").mkdir()
    aspirations.wait_for(("m", [11]))
    (tmp_path / "11").rmdir()
    aspirations.wait_for(("m", [10]))


def test_missing_base_path_unloads_nothing_an_empty_one_does(tmp_path, start_source):
    path = tmp_path / "models"
    (path / "1").mkdir(parents=True)
    _, aspirations = start_source({"m": str(path)}, poll_wait_seconds=0.02)
    aspirations.wait_for(("m", [1]))
    path.rename(tmp_path / "elsewhere")
    path_was_missing = len(aspirations.calls)
    threading.Event().wait(0.2)
    # A poll that was under way may still report once.
    assert len(aspirations.calls) <= path_was_missing + 1
    assert ("m", []) not in aspirations.calls
    path.mkdir()
    aspirations.wait_for(("m", []))


def test_zero_polls_at_each_configuration_only(base_path, tmp_path, start_source):
    source, aspirations = start_source({"m": base_path}, poll_wait_seconds=0)
    (tmp_path / "11").mkdir()
    threading.Event().wait(0.1)
    assert aspirations.calls == [("m", [10])]
    source.configure({"m": (base_path, policy())})
    assert aspirations.calls == [("m", [10]), ("m", [11])]


def test_negative_never_polls(base_path, start_source):
    _, aspirations = start_source({"m": base_path}, poll_wait_seconds=-1)
    assert aspirations.calls == []


def test_model_that_is_no_longer_configured_is_unloaded(base_path, start_source):
    source, aspirations = start_source({"m": base_path, "n": base_path}, poll_wait_seconds=0)
    source.configure({"n": (base_path, policy())})
    assert aspirations.calls[2:] == [("m", []), ("n", [10])]


def test_no_version_can_be_refused(tmp_path, start_source):
    with pytest.raises(ServingError) as caught:
        start_source({"m": str(tmp_path)}, poll_wait_seconds=0, fail_if_no_versions=True)
    assert str(caught.value) == (
        f"NOT_FOUND: Unable to find a numerical version path for servable m at: {tmp_path}"
    )
