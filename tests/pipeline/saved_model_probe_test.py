# SPDX-License-Identifier: Apache-2.0
"""The probe against models that keep the contract, and models that do not."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from pipeline.saved_model_probe import probe, probe_in_clean_process


class _Model(tf.Module):
    """Two labels; log-probabilities that follow from the loudness of each hop of 160 samples.

    Args:
        batch_leak: how much of the batch's size gets into the score of `transcribe`.
        declared_rate: the sample rate that `transcribe` claims to have read.
    """

    def __init__(self, batch_leak: float = 0.0, declared_rate: int = 16000):
        super().__init__()

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, None], tf.float32, "samples"),
                tf.TensorSpec([None], tf.int32, "num_samples"),
            ]
        )
        def serving_default(samples, num_samples):
            frames = tf.reduce_mean(tf.abs(tf.signal.frame(samples, 160, 160)), axis=-1)
            log_probs = tf.nn.log_softmax(tf.stack([tf.zeros_like(frames), frames], axis=-1))
            return {"log_probs": log_probs, "num_frames": num_samples // 160}

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "wav")])
        def transcribe(wav):
            def one(item):
                samples, _ = tf.audio.decode_wav(item, desired_channels=1)
                count = tf.shape(samples)[0]
                scored = serving_default(tf.transpose(samples), count[tf.newaxis])
                best = tf.reduce_sum(tf.reduce_max(scored["log_probs"], axis=-1))
                return best, scored["num_frames"][0]

            score, num_frames = tf.map_fn(one, wav, fn_output_signature=(tf.float32, tf.int32))
            size = tf.shape(wav)[0]
            return {
                "text": tf.fill([size], "tone"),
                "score": score + batch_leak * tf.cast(size - 1, tf.float32),
                "num_frames": num_frames,
                "sample_rate": tf.fill([size], declared_rate),
            }

        self.functions = {"serving_default": serving_default, "transcribe": transcribe}


@pytest.fixture
def recordings(tmp_path) -> dict[str, str]:
    """Two recordings of noise, of different lengths."""
    generator = np.random.default_rng(0)
    paths = {}
    for name, count in (("short", 4000), ("long", 16000)):
        paths[name] = str(tmp_path / f"{name}.wav")
        soundfile.write(paths[name], 0.1 * generator.standard_normal(count), 16000, "PCM_16")
    return paths


def _save(model: _Model, path) -> str:
    tf.saved_model.save(model, str(path), signatures=model.functions)
    return str(path)


def test_a_model_that_keeps_the_contract_has_no_problems(recordings, tmp_path):
    result = probe(_save(_Model(), tmp_path / "model"), recordings)
    assert result.problems == []
    assert result.transcripts == {"short": "tone", "long": "tone"}


@pytest.mark.parametrize(
    "options, problem",
    [
        ({"batch_leak": 5.0}, "in a batch"),
        ({"declared_rate": 8000}, "was read at 8000 Hz"),
    ],
)
def test_a_model_that_does_not_is_found_out(recordings, tmp_path, options, problem):
    result = probe(_save(_Model(**options), tmp_path / "model"), recordings)
    assert len(result.problems) == 2
    assert all(problem in line for line in result.problems)


@pytest.mark.slow
def test_a_clean_process_says_the_same_and_survives_what_does_not_load(recordings, tmp_path):
    path = _save(_Model(), tmp_path / "model")
    assert probe_in_clean_process(path, recordings) == probe(path, recordings)
    (tmp_path / "model" / "saved_model.pb").unlink()
    result = probe_in_clean_process(path, recordings)
    (problem,) = result.problems
    assert "SavedModel file does not exist" in problem
