# SPDX-License-Identifier: Apache-2.0
"""Versions come and go under load, one of them broken: nobody notices but by the version.

DS2_TF_HOT_SWAP_SECONDS says for how long; 20 by default.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).parents[2]
SECONDS = float(os.environ.get("DS2_TF_HOT_SWAP_SECONDS", "20"))
CLIENTS = 10
BROKEN = 3

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def versions(tmp_path_factory, helpers):
    """Directories of versions 1 to 5, of which the third is broken."""
    base = tmp_path_factory.mktemp("versions")
    paths = {number: helpers.save_tiny_model(str(base), number) for number in (1, 2, 4, 5)}
    paths[BROKEN] = str(base / "broken")
    shutil.copytree(paths[2], paths[BROKEN])
    pathlib.Path(paths[BROKEN], "saved_model.pb").write_bytes(b"\x0a\xff no model")
    return paths


class Publisher:
    """A base path in which versions appear whole and vanish whole."""

    def __init__(self, directory: pathlib.Path, sources: dict[int, str]):
        self.directory, self._sources = directory, sources

    def add(self, version: int) -> None:
        temporary = self.directory / f".{version}"
        shutil.copytree(self._sources[version], temporary)
        temporary.rename(self.directory / str(version))

    def remove(self, version: int) -> None:
        hidden = self.directory / f".gone-{version}"
        (self.directory / str(version)).rename(hidden)
        shutil.rmtree(hidden)


class Client(threading.Thread):
    """Asks without a pause until it is told to stop; keeps what was wrong and who answered."""

    def __init__(self, connection, request, stop: threading.Event):
        super().__init__()
        self._connection, self._request, self._stop_event = connection, request, stop
        self.answered = set()
        self.count = 0
        self.wrong = []

    def run(self) -> None:
        while not self._stop_event.is_set():
            try:
                reply = self._connection.predict(self._request)
            except Exception as error:
                self.wrong.append(repr(error))
                continue
            version = reply.model_spec.version.value
            # All weights hold the version, and the features are three ones.
            if list(reply.outputs["logits"].float_val) != [3.0 * version] * 2:
                self.wrong.append(str(reply))
            self.answered.add(version)
            self.count += 1


def start(base_path: pathlib.Path, log) -> tuple[subprocess.Popen, str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "serving.server", "--host=127.0.0.1", "--port=0"]
        + ["--model_name=tiny", f"--model_base_path={base_path}"]
        + ["--file_system_poll_wait_seconds=0.2", "--max_num_load_retries=0"],
        cwd=ROOT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    return process, re.match("ready: gRPC at ([^,;]+)", process.stdout.readline())[1]


def megabytes(process: subprocess.Popen) -> float:
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"^VmRSS:\s*(\d+)", status, re.MULTILINE)[1]) / 1024


def test_hot_swap(versions, helpers, tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    publisher = Publisher(models, versions)
    publisher.add(1)
    with open(tmp_path / "log", "wb") as log:
        process, address = start(models, log)
    stop = threading.Event()
    clients = [
        Client(helpers.Connection(address), helpers.scores_request(), stop) for _ in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    try:
        watcher = helpers.Connection(address)

        def wait_for(version: int) -> None:
            deadline = time.monotonic() + 60
            while watcher.version() != version:
                assert time.monotonic() < deadline, f"version {version} does not come"
                time.sleep(0.05)

        end = time.monotonic() + SECONDS
        levels = []
        while time.monotonic() < end or len(levels) < 3:
            for version in (2, BROKEN, 4, 5):
                publisher.add(version)
                if version != BROKEN:
                    wait_for(version)
            # The broken one goes before 4 does: it would be the latest then, and 4 stay in service.
            for version, then in ((5, 4), (BROKEN, 4), (4, 2), (2, 1)):
                publisher.remove(version)
                wait_for(then)
            levels.append(megabytes(process))
        assert process.poll() is None
    finally:
        stop.set()
        for client in clients:
            client.join()
        process.terminate()
        code = process.wait(60)
        process.stdout.close()
    assert [wrong for client in clients for wrong in client.wrong[:1]] == []
    assert set().union(*(client.answered for client in clients)) == {1, 2, 4, 5}
    assert min(client.count for client in clients) > 20
    requests = sum(client.count for client in clients)
    print(f"{requests} requests; resident after each round: {[round(m) for m in levels]} MiB")
    # Old versions are freed: what a swap leaves behind does not add up.
    assert levels[-1] < levels[0] + 60, levels
    assert code == 0
