# SPDX-License-Identifier: Apache-2.0
"""`ds2 train` as it is typed, and as it is killed."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from ds2_tf import cli
from ds2_tf.corpora.manifest import Utterance, write_manifest
from ds2_tf.errors import UserError
from ds2_tf.training import trainer

RECIPE = """
alphabet: "ab "
model:
  convolutions:
    - {{filters: 2, kernel: [21, 5], stride: [20, 2]}}
  recurrent_layers: 1
  recurrent_units: 4
  dropout: {dropout}
training:
  epochs: {epochs}
  batch_frames: 400
  max_batch_size: 2
  max_frames: 400
  accumulate_batches: 2
  average_decay: 0.9
  checkpoint_seconds: 0
  augmentation: {{frequency_masks: 1, time_masks: 1{audio}}}
"""


@pytest.fixture
def recipe(tmp_path):
    def write(epochs, audio="", dropout=0.1):
        path = tmp_path / "recipe.yaml"
        path.write_text(RECIPE.format(epochs=epochs, audio=audio, dropout=dropout))
        return str(path)

    return write


@pytest.fixture
def manifest(tmp_path, wav_file, noise):
    """Twelve recordings to train on and two to watch, with durations."""
    utterances = []
    for number in range(14):
        samples = noise(6400 + 1600 * number, seed=number)
        (tmp_path / f"{number}.wav").write_bytes(wav_file(samples))
        utterances.append(
            Utterance(
                f"u{number}",
                f"{number}.wav",
                "ab " * (number // 4) + "a",
                duration=len(samples) / 16000,
                split="dev" if number in (5, 9) else "train",
            )
        )
    write_manifest(tmp_path / "manifest.jsonl", utterances)
    return str(tmp_path / "manifest.jsonl")


@pytest.fixture
def records(tmp_path, manifest):
    """The recordings' features in the layout of ingestion."""
    import tensorflow as tf

    from ds2_tf.audio.reading import read_audio
    from ds2_tf.audio.spectrogram import log_spectrogram
    from ds2_tf.corpora.manifest import read_manifest, resolve_audio
    from ds2_tf.corpora.records import make_example

    for split in ("train", "dev"):
        directory = tmp_path / "records" / f"Split-{split}"
        directory.mkdir(parents=True)
        with tf.io.TFRecordWriter(str(directory / "data_tfrecord-00000-of-00001")) as writer:
            for utterance in read_manifest(manifest):
                if utterance.split == split:
                    samples = read_audio(resolve_audio(utterance, manifest))
                    spectrogram, _ = log_spectrogram(samples[None], [len(samples)])
                    example = make_example(utterance, spectrogram[0].numpy(), utterance.duration)
                    writer.write(example.SerializeToString())
    return str(tmp_path / "records")


def test_from_records(recipe, records, tmp_path, capsys):
    output = str(tmp_path / "model")
    words = ["train", recipe(1), "--records", records, "--output", output, "--json"]
    assert cli.main(words) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["epochs"] == result["best_epoch"] == 1
    assert result["wer"] >= 0 and result["seconds"] > 0
    assert sorted(os.listdir(output)) == [
        "README.md",
        "config.yaml",
        "history.jsonl",
        "model.keras",
    ]
    assert (tmp_path / "model-state" / "state.npz").exists()
    # Again: nothing is left to do. With another recipe: refused.
    assert cli.main([word for word in words if word != "--json"]) == 0
    assert capsys.readouterr().out.startswith("dev WER ")
    for other in ([*words[:1], recipe(2), *words[2:]], [*words, "--set", "training.epochs=2"]):
        assert cli.main(other) == 1
        assert "another configuration or corpus" in capsys.readouterr().err
    assert cli.main([*words[:1], recipe(7), *words[2:], "--set", "training.epochs=1"]) == 0
    assert json.loads(capsys.readouterr().out)["epochs"] == 1
    assert cli.main([*words, "--set", "training.epochs=0"]) == 1
    assert "epochs must be" in capsys.readouterr().err


def test_no_records(recipe, tmp_path, capsys):
    words = ["train", recipe(1), "--records", str(tmp_path), "--output", str(tmp_path / "model")]
    assert cli.main(words) == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert error.startswith(f"ds2: error: There are no records in {tmp_path}/Split-train")


def test_too_many_bad_recordings(recipe, manifest, tmp_path, capsys, monkeypatch):
    def train(recipe, data, **options):
        raise UserError(f"{data.statistics.num_utterances} to train on")

    monkeypatch.setattr(trainer, "train", train)
    (tmp_path / "3.wav").unlink()
    words = ["train", recipe(1), "--manifest", manifest, "--output", str(tmp_path / "model")]
    assert cli.main(words) == 1
    assert "7.14% of the corpus cannot be used" in capsys.readouterr().err
    assert cli.main([*words, "--max-bad-share", "0.1"]) == 1
    assert "11 to train on" in capsys.readouterr().err


@pytest.mark.parametrize(
    "option, message",
    [(["--max-bad-share", "0.1"], "ds2 pipeline ingest"), (["--train-split", "dev"], "ingested")],
)
def test_options_about_recordings_do_not_go_with_records(recipe, tmp_path, capsys, option, message):
    words = ["train", recipe(1), "--records", str(tmp_path), "--output", str(tmp_path / "model")]
    assert cli.main([*words, *option]) == 1
    said = capsys.readouterr().err
    assert f"{option[0]} " in said and message in said


def test_a_model_directory_that_cannot_be_written(recipe, manifest, capsys):
    words = ["train", recipe(1), "--manifest", manifest, "--output", f"{manifest}/model"]
    assert cli.main(words) == 1
    (error,) = capsys.readouterr().err.splitlines()
    assert error.endswith(f"{manifest} is a file, and not a folder.")


def test_records_cannot_be_changed_as_recordings(recipe, records, tmp_path, capsys):
    noisy = recipe(1, audio=", audio: {noise_share: 0.4}")
    words = ["train", noisy, "--records", records, "--output", str(tmp_path / "model")]
    assert cli.main(words) == 1
    assert "ds2 train --manifest" in capsys.readouterr().err


@pytest.fixture
def start(tmp_path):
    """Starts `ds2 train` in a process of its own, which the end of the test ends."""
    processes = []

    def start(*words, **environment):
        with (tmp_path / f"stderr-{len(processes)}").open("w") as errors:
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "ds2_tf.cli", "train", *words],
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1", **environment},
                )
            )
        return processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


def checkpoint(state):
    """Where the state in a directory stands, or None."""
    try:
        with np.load(state / "state.npz") as saved:
            return json.loads(saved["header"].item())["place"]
    except FileNotFoundError:
        return None


@pytest.mark.slow
def test_killed_and_run_again_ends_with_the_same_weights(recipe, manifest, start, tmp_path):
    """SIGKILL in the middle of an epoch, with dropout, SpecAugment and noise."""
    audio = ", audio: {speed: [0.9, 1.1], noise_share: 0.5}"
    words = [recipe(3, audio), "--manifest", manifest]
    assert start(*words, "--output", str(tmp_path / "straight")).wait() == 0

    state = tmp_path / "killed-state"
    process = start(*words, "--output", str(tmp_path / "killed"))
    while (place := checkpoint(state)) is None or not place[1]:
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert checkpoint(state)[0] < 3 and not list((tmp_path / "killed").iterdir())

    assert start(*words, "--output", str(tmp_path / "killed")).wait() == 0
    with np.load(tmp_path / "straight-state" / "state.npz") as expected:
        with np.load(state / "state.npz") as saved:
            assert saved.files == expected.files
            for name in saved.files:
                np.testing.assert_array_equal(saved[name], expected[name], err_msg=name)
    assert points(state / "tensorboard") == points(tmp_path / "straight-state" / "tensorboard")


def points(directory):
    """Name, place and value of all points for TensorBoard, but for those of time."""
    import tensorflow as tf

    return sorted(
        (value.tag, event.step, value.tensor.SerializeToString())
        for path in directory.iterdir()
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
        for event in [tf.compat.v1.Event.FromString(record)]
        for value in event.summary.value
        if value.tag != "epoch/audio_seconds_per_second"
    )


@pytest.mark.slow
def test_two_workers_train_as_one(recipe, manifest, start, tmp_path):
    """On the same batches, of one and two utterances; only the chief writes."""
    words = [recipe(2, dropout=0.0), "--manifest", manifest]
    alone = start(*words, "--output", str(tmp_path / "alone"))
    addresses = [f"127.0.0.1:{port}" for port in free_ports(2)]
    state = tmp_path / "state"
    workers = [
        start(
            *words,
            *("--state", str(state), "--output", str(tmp_path / f"worker-{index}")),
            TF_CONFIG=json.dumps(
                {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
            ),
        )
        for index in range(2)
    ]
    assert [process.wait() for process in (alone, *workers)] == [0, 0, 0]
    assert (tmp_path / "worker-0" / "model.keras").exists()
    assert not (tmp_path / "worker-1").exists()
    assert "epoch 2/2" in (tmp_path / "stderr-1").read_text()
    assert "epoch" not in (tmp_path / "stderr-2").read_text()
    with np.load(tmp_path / "alone-state" / "state.npz") as expected:
        with np.load(state / "state.npz") as saved:
            for name in expected.files[1:]:
                np.testing.assert_allclose(saved[name], expected[name], rtol=1e-3, atol=1e-5)


def free_ports(number):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports
