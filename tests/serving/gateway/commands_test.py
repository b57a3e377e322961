# SPDX-License-Identifier: Apache-2.0
"""`ds2 gateway` and `ds2 serve --web` as processes."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys

import pytest

from ds2_tf import cli

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), *[os.pardir] * 3))


class _Address:
    """What the tests' functions need of a gateway."""

    def __init__(self, url):
        self.url = url


@contextlib.contextmanager
def running(*words):
    """The ready line of a command; it is then ended by SIGTERM, and must end well."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ds2_tf.cli", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process.stdout.readline().strip()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
    finally:
        process.kill()
        process.communicate()


def url_in(line: str) -> str:
    return re.search(r"page at (http://127\.0\.0\.1:\d+/)", line)[1]


@pytest.mark.slow
def test_a_gateway_before_a_server(tone_server, tones):
    with running("gateway", "--server", tone_server.address, "--port", "0") as line:
        assert line.startswith("ready: ") and line.endswith(f"model at {tone_server.address}")
        assert tones.hear(_Address(url_in(line)), tones.spoken("go on"))[-1]["text"] == "go on"


@pytest.mark.slow
def test_a_server_with_its_page(tone_base_paths, tones):
    words = ["--port", "0", "--host", "0.0.0.0", "--web", "--web_port", "0"]
    with running("serve", tone_base_paths["ds2"], *words) as line:
        assert line.startswith("ready: gRPC at 0.0.0.0:") and "ds2 versions 3; page at" in line
        assert tones.hear(_Address(url_in(line)), tones.spoken("go on"))[-1]["text"] == "go on"


@pytest.mark.parametrize(
    "words, message",
    [
        (["--decoder", "none.decoder"], "none.decoder cannot be read"),
        (["--alphabet", "none.txt"], "none.txt cannot be read"),
        (["--tls-key", "key.pem"], "needs its certificate"),
        (["--tls-certificate", "none.pem"], "none.pem and its key cannot be used"),
        (["--server-ca", "none.pem"], "none.pem cannot be read"),
        (["--max-seconds", "0"], "max_seconds must be positive"),
    ],
)
def test_what_cannot_be_is_said(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["gateway", "--server", "127.0.0.1:1", *words]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ds2: error: ") and message in line


@pytest.mark.slow
def test_a_gateway_before_nobody_warns(helpers):
    address = f"127.0.0.1:{helpers.free_port()}"
    words = [sys.executable, "-m", "ds2_tf.cli", "gateway", "--server", address, "--port", "0"]
    process = subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout.readline().startswith("ready: ")
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        assert f"ds2: warning: No answer from {address}" in errors
    finally:
        process.kill()
        process.communicate()


def test_a_page_without_its_port(monkeypatch, capsys):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        words = ["--server", "127.0.0.1:1", "--port", str(holder.getsockname()[1])]
        assert cli.main(["gateway", *words]) == 1
    assert "for the page. Is another server using it?" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [["--web_port", "8080"], ["--web_decoder", "x"]])
def test_flags_of_a_page_that_is_not_asked_for(flags, tmp_path, capsys):
    assert cli.main(["serve", str(tmp_path), *flags, "--web_allow_origin", "http://a"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{flags[0]}, --web_allow_origin without --web" in line


def test_a_page_before_a_server_with_tls(tone_base_paths, capsys):
    words = ["--web", "--ssl_config_file", "ssl.txt"]
    assert cli.main(["serve", tone_base_paths["ds2"], *words]) == 1
    assert "ds2 gateway --server" in capsys.readouterr().err
