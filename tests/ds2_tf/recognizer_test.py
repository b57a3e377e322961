# SPDX-License-Identifier: Apache-2.0
"""Recognition in this process: independent of the batch, in order, of any length."""

import subprocess
import sys

import numpy as np
import pytest

from ds2_tf import recognizer as module
from ds2_tf.errors import UserError
from ds2_tf.recognizer import Recognizer


@pytest.fixture(scope="module")
def recognizer(tiny_model_directory):
    return Recognizer.load(tiny_model_directory)


@pytest.fixture(scope="module")
def recordings(noise):
    lengths = [5000, 16000, 0, 159, 160, 7777, 3200, 12001]
    return [noise(n, seed).astype(np.float32) / 2**15 for seed, n in enumerate(lengths)]


def test_results_come_in_order_and_do_not_depend_on_the_batch(recognizer, recordings):
    together = recognizer.recognize(recordings)
    assert len(together) == len(recordings)
    for recording, result in zip(recordings, together):
        (alone,) = recognizer.recognize([recording])
        assert alone.text == result.text
        frames = -(-(len(recording) // 160) // 2)
        assert alone.log_probs.shape == result.log_probs.shape == (frames, 29)
        np.testing.assert_allclose(alone.log_probs, result.log_probs, atol=1e-4)
        assert result.score == pytest.approx(result.log_probs.max(-1).sum(), rel=1e-5)
    assert together[1].text and together[2].text == together[3].text == ""


def test_scores_are_log_probabilities(recognizer, recordings):
    (result,) = recognizer.recognize(recordings[:1])
    np.testing.assert_allclose(np.exp(result.log_probs).sum(-1), 1.0, rtol=1e-4)
    assert result.score < 0


def test_nothing_to_recognize(recognizer):
    assert recognizer.recognize([]) == []


def test_sample_rate(recognizer):
    assert recognizer.sample_rate == 16000


@pytest.mark.parametrize("budget, most", [(1000, 32), (10, 32), (100000, 3), (250, 2)])
def test_batches_hold_everything_once_within_the_budget(recognizer, monkeypatch, budget, most):
    monkeypatch.setattr(module, "_BATCH_FRAMES", budget)
    monkeypatch.setattr(module, "_MAX_BATCH_SIZE", most)
    lengths = np.random.default_rng(0).integers(0, 30000, 40).tolist()
    batches = list(recognizer._batches(lengths))
    assert sorted(index for batch in batches for index in batch) == list(range(40))
    for batch in batches:
        longest = max(lengths[index] for index in batch) // 160
        assert len(batch) <= most
        assert len(batch) == 1 or len(batch) * longest <= budget


def test_no_model(tmp_path):
    with pytest.raises(UserError, match="not a model directory"):
        Recognizer.load(tmp_path)


def test_integers_are_what_they_stand_for(recognizer, noise):
    integers = noise(16000, 3).astype(np.int16)
    floats = integers.astype(np.float32) / 2**15
    expected, result = recognizer.transcribe([floats, integers])
    assert expected.text and result == expected
    assert recognizer.recognize([integers])[0].text == expected.text


@pytest.mark.parametrize(
    "recordings, message",
    [
        (np.zeros(16000, np.float32), "put it in a list"),
        (["question.flac"], "read_audio"),
        ([np.zeros((1, 16000), np.float32)], r"float32 of shape \[1, 16000\]"),
        ([np.zeros(16000, np.int32)], "int32"),
        ([np.full(16000, np.nan)], "not a number"),
    ],
)
def test_what_is_no_list_of_samples(recognizer, recordings, message):
    with pytest.raises(UserError, match=message):
        recognizer.transcribe(recordings)


def test_alternatives_and_paths_instead_of_a_decoder(recognizer, recordings):
    with pytest.raises(UserError, match="needs a decoder"):
        recognizer.transcribe(recordings[:1], num_best=3)
    with pytest.raises(UserError, match=r"Decoder\.load\(path\), got 'my\.decoder'"):
        recognizer.transcribe(recordings[:1], decoder="my.decoder")


_SCRIPT = """
import sys
import numpy as np
import ds2_tf
recognizer = ds2_tf.Recognizer.load(sys.argv[1])
recognizer.recognize([np.zeros(8000, np.float32)])
"""


def test_a_script_ends_without_a_traceback(tiny_model_directory):
    """The recognizer is alive at its end, when modules go."""
    process = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(tiny_model_directory)], capture_output=True, text=True
    )
    assert process.returncode == 0 and "Traceback" not in process.stderr, process.stderr
