# SPDX-License-Identifier: Apache-2.0
"""`ds2 transcribe --server`, against a server with a model whose arithmetic is known."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from ds2_tf import cli
from ds2_tf.audio.wav import wav_bytes
from ds2_tf.commands import transcribe as module


@pytest.fixture(scope="module")
def address(helpers, speech_base_path):
    server = helpers.make_server(helpers.single_model_config("ds2", speech_base_path))
    server.start()
    yield server.address
    server.stop()


@pytest.fixture
def transcribe(address, tmp_path, monkeypatch, capsys):
    """Runs the command in a directory with recordings of one, two, six and twelve seconds."""
    monkeypatch.chdir(tmp_path)
    for seconds in (1, 2, 6, 12):
        samples = 0.1 * np.random.default_rng(seconds).standard_normal(seconds * 16000)
        (tmp_path / f"{seconds}.wav").write_bytes(wav_bytes(samples, 16000))
    (tmp_path / "bad.wav").write_bytes(b"no recording")

    def run(*words):
        status = cli.main(["transcribe", "--server", address, *words])
        output = capsys.readouterr()
        return status, output.out.splitlines(), output.err.splitlines()

    return run


def test_files_that_fail_are_named_and_the_others_come_out(transcribe, monkeypatch):
    # The model refuses what is longer than five seconds. Groups of files, too, are as if one.
    monkeypatch.setattr(module, "_GROUP_FILES", 2)
    files = ["2.wav", "6.wav", "bad.wav", "none.wav", "1.wav"]
    status, lines, errors = transcribe("--piece-seconds", "0", *files)
    assert status == 1
    assert lines == ["2.wav\tsamples 32000", "1.wav\tsamples 16000"]
    assert [error.split(": ")[2] for error in errors] == ["6.wav", "not-audio", "missing-audio"]
    assert "could not decode 6.0 s" in errors[0]


def test_long_files_are_cut(transcribe):
    status, (line,), errors = transcribe("--piece-seconds", "5", "--batch-size", "2", "12.wav")
    assert status == 0 and errors == []
    assert sum(int(word) for word in line.split()[1::2]) == 12 * 16000


def test_words_are_those_of_the_log_probabilities(transcribe):
    # The last label, the apostrophe, is the most probable one in each frame of this model.
    status, (line,), _ = transcribe("--json", "--times", "--piece-seconds", "5", "6.wav")
    result = json.loads(line)
    assert status == 0 and result["text"] == "' '" and result["duration"] == 6.0
    first, second = result["words"]
    assert first["text"] == second["text"] == "'"
    assert (first["start"], first["end"], second["end"]) == (0.0, second["start"], 6.0)


def test_nobody_answers(tmp_path, helpers, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "1.wav").write_bytes(wav_bytes(np.full(16000, 0.1), 16000))
    words = ["--server", f"127.0.0.1:{helpers.free_port()}", "--timeout", "0.3", "1.wav"]
    assert cli.main(["transcribe", *words]) == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert "Is the server running" in error


def test_certificates_on_both_sides(
    transcribe, start_server, speech_base_path, helpers, ssl_config_file, authority, tmp_path
):
    config = helpers.single_model_config("ds2", speech_base_path)
    server, _ = start_server(config, ssl_config_file=ssl_config_file(client_verify=True))
    files = authority.write_to(tmp_path)
    words = ["--server", server.address.replace("127.0.0.1", "localhost"), "1.wav"]
    trust = ["--server-ca", files["ca"]]
    known = ["--client-certificate", files["client"], "--client-key", files["client_key"]]
    assert transcribe(*words, *trust, *known) == (0, ["samples 16000"], [])
    for fewer in (trust, []):
        status, _, (error,) = transcribe(*words, *fewer, "--timeout", "0.5")
        assert status == 1 and "Is the server running" in error
    status, _, (error,) = transcribe(*words, *trust, *known[:2])
    assert status == 1 and "go together" in error
    status, _, (error,) = transcribe(*words, *known)
    assert status == 1 and "--tls or --server-ca" in error


def test_tls_with_the_authorities_that_everyone_trusts(
    start_server, speech_base_path, helpers, ssl_config_file, authority, tmp_path
):
    config = helpers.single_model_config("ds2", speech_base_path)
    server, _ = start_server(config, ssl_config_file=ssl_config_file())
    (tmp_path / "1.wav").write_bytes(wav_bytes(np.full(16000, 0.1), 16000))
    command = [sys.executable, "-m", "ds2_tf.cli", "transcribe", "--timeout", "5", "--tls", "1.wav"]
    command += ["--server", server.address.replace("127.0.0.1", "localhost")]

    def run(**environment) -> subprocess.CompletedProcess:
        # gRPC reads its roots once in a process.
        return subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    ours = authority.write_to(tmp_path)["ca"]
    trusted = run(GRPC_DEFAULT_SSL_ROOTS_FILE_PATH=str(ours))
    assert (trusted.returncode, trusted.stdout.strip()) == (0, "samples 16000"), trusted.stderr
    assert run().returncode == 1
