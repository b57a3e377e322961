# SPDX-License-Identifier: Apache-2.0
"""Training: it learns, and an interrupted run ends where an uninterrupted one does."""

import dataclasses
import json
import re
import shutil

import numpy as np
import pytest

from ds2_tf.config import (
    AugmentationConfig,
    ConvolutionConfig,
    ModelConfig,
    Recipe,
    TrainingConfig,
)
from ds2_tf.directory_lock import DirectoryInUse, directory_lock
from ds2_tf.errors import UserError
from ds2_tf.models.model_directory import load_model
from ds2_tf.training import epoch, trainer
from ds2_tf.training.data import RecordData, run_fingerprint

MODEL = ModelConfig(
    convolutions=(ConvolutionConfig(4, (11, 5), (10, 2)),),
    recurrent_layers=1,
    recurrent_units=8,
    dropout=0.2,
)
TRAINING = TrainingConfig(
    epochs=3,
    batch_frames=400,
    max_batch_size=4,
    max_frames=400,
    learning_rate=5e-3,
    warmup_steps=4,
    accumulate_batches=2,
    average_decay=0.8,
    checkpoint_seconds=0.0,
    augmentation=AugmentationConfig(frequency_masks=1, time_masks=1),
)
RECIPE = Recipe(MODEL, TRAINING, alphabet="abcd ")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory, write_tones, random_texts):
    return write_tones(tmp_path_factory.mktemp("tones"), random_texts(16), num_files=2)


@pytest.fixture
def train(corpus, tmp_path):
    """Trains on the tones into a directory, everything built anew; returns result and weights."""

    def run(name="model", recipe=RECIPE):
        data = RecordData(recipe, corpus.files, corpus.files)
        result = trainer.train(
            recipe,
            data,
            output_directory=tmp_path / name,
            state_directory=tmp_path / f"{name}-state",
        )
        with np.load(tmp_path / f"{name}-state" / "state.npz") as state:
            values = [state[key] for key in state.files if key != "header"]
        return result, values

    return run


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def kill_at_step(monkeypatch):
    """Has training die before its nth optimizer step from now."""

    def at(step):
        left = iter(range(step))

        def rate_or_death(*arguments):
            if next(left, None) is None:
                raise Killed
            return original(*arguments)

        monkeypatch.setattr(epoch, "learning_rate_at", rate_or_death)

    original = epoch.learning_rate_at
    at.undo = monkeypatch.undo
    return at


def history_of(path):
    lines = (path / "history.jsonl").read_text().splitlines()
    return [{**json.loads(line), "seconds": None} for line in lines]


def test_an_interrupted_run_ends_with_the_same_weights(train, corpus, kill_at_step, tmp_path):
    """With dropout, SpecAugment and averaged weights; died between two accumulated batches."""
    result, expected = train("straight")
    steps = [len(list(RecordData(RECIPE, corpus.files, corpus.files).epoch(e))) for e in (0, 1)]
    assert steps[1] >= 4
    # Epoch 1 asks for one rate more than it has steps, for what is left over at its end.
    kill_at_step(steps[0] + 1 + 3)
    with pytest.raises(Killed):
        train("interrupted")
    kill_at_step.undo()
    again, values = train("interrupted")
    assert len(values) == len(expected)
    for value, wanted in zip(values, expected):
        np.testing.assert_array_equal(value, wanted)
    assert dataclasses.replace(again, seconds=0.0) == dataclasses.replace(result, seconds=0.0)
    assert history_of(tmp_path / "interrupted") == history_of(tmp_path / "straight")
    # A finished run is not trained again.
    kill_at_step(0)
    assert train("straight")[0].best_epoch == result.best_epoch
    networks = [load_model(tmp_path / name)[0] for name in ("straight", "interrupted")]
    for one, other in zip(*(network.get_weights() for network in networks)):
        np.testing.assert_array_equal(one, other)


def test_the_state_of_another_run_is_refused(train, kill_at_step):
    kill_at_step(3)
    with pytest.raises(Killed):
        train()
    other = dataclasses.replace(RECIPE, training=dataclasses.replace(TRAINING, learning_rate=1e-4))
    with pytest.raises(UserError, match="another configuration or corpus.*Remove the directory"):
        train(recipe=other)


def test_fingerprint_tells_runs_apart(corpus, tmp_path):
    def fingerprint(recipe=RECIPE, files=corpus.files, dev_files=corpus.files):
        return run_fingerprint(recipe, RecordData(recipe, files, dev_files))

    moved = [shutil.copy(path, tmp_path) for path in corpus.files]
    later = dataclasses.replace(TRAINING, checkpoint_seconds=99.0)
    same = [
        fingerprint(),
        fingerprint(files=moved),
        fingerprint(dataclasses.replace(RECIPE, training=later)),
    ]
    assert len(set(same)) == 1
    deeper = dataclasses.replace(RECIPE, model=dataclasses.replace(MODEL, recurrent_layers=2))
    different = [
        same[0],
        fingerprint(deeper),
        fingerprint(files=corpus.files[:1]),
        fingerprint(dev_files=corpus.files[:1]),
        fingerprint(dataclasses.replace(RECIPE, alphabet="abcd e")),
    ]
    assert len(set(different)) == len(different)


def test_a_loss_that_is_no_number_ends_training(train, tmp_path):
    """The batch is named, and no checkpoint has taken it up."""
    huge = dataclasses.replace(TRAINING, learning_rate=1e30, warmup_steps=0)
    with pytest.raises(UserError, match=r"step \d+ of epoch \d+, with the utterances utterance-\d"):
        train(recipe=dataclasses.replace(RECIPE, training=huge))
    with np.load(tmp_path / "model-state" / "state.npz") as state:
        assert all(np.isfinite(state[key]).all() for key in state.files if key != "header")


def test_training_ends_after_its_patience(train, capsys, tmp_path):
    """At a rate that changes next to nothing; some utterances are too long, and are named."""
    still = dataclasses.replace(
        TRAINING,
        epochs=9,
        max_frames=90,
        learning_rate=1e-20,
        weight_decay=0.0,
        patience=1,
        average_decay=0.999,
    )
    result, _ = train(recipe=dataclasses.replace(RECIPE, training=still))
    rates = [
        min((entry["wer"], entry["cer"]), (entry["average_wer"], entry["average_cer"]))
        for entry in history_of(tmp_path / "model")
    ]
    assert result.best_epoch == rates.index(min(rates)) + 1 == result.epochs - 1 < 8
    assert len(rates) == result.epochs
    progress = capsys.readouterr().err
    assert "left out, longer than training.max_frames (90): " in progress
    assert re.search(r"epoch 2/9: loss .* \(averaged .*, \d left out, padding \d+\.\d%", progress)


def test_overfits_eight_utterances(tmp_path, write_tones, capsys):
    """From tones to text without an error, and the model directory keeps it."""
    texts = ["a", "bc", "dab", "cab d", "abcd ab", "d d d", "bb aa", "abba cc dd"]
    corpus = write_tones(tmp_path / "records", texts)
    recipe = Recipe(
        ModelConfig(
            convolutions=(ConvolutionConfig(8, (31, 3), (30, 2)),),
            recurrent_layers=1,
            recurrent_units=24,
        ),
        TrainingConfig(
            epochs=20,
            batch_frames=400,
            max_batch_size=2,
            max_frames=400,
            learning_rate=2e-2,
            warmup_steps=10,
            checkpoint_seconds=1000.0,
        ),
        alphabet="abcd ",
    )
    result = trainer.train(
        recipe,
        RecordData(recipe, corpus.files, corpus.files),
        output_directory=tmp_path / "model",
        state_directory=tmp_path / "state",
    )
    assert (result.wer, result.cer, result.epochs) == (0.0, 0.0, 20)
    progress = capsys.readouterr().err
    assert "epoch 1/20: loss" in progress and "dev WER 0.00%" in progress
    history = history_of(tmp_path / "model")
    assert [entry["epoch"] for entry in history] == list(range(1, 21))
    assert history[-1]["loss"] < 0.1 * history[0]["loss"]
    best = history[result.best_epoch - 1]
    assert (best["wer"], best["cer"]) == (0.0, 0.0)
    # Batches of two, the shorter padded to the longer.
    assert 0.0 < history[-1]["padding"] < 0.3 and history[-1]["left_out"] == 0

    network, description = load_model(tmp_path / "model")
    assert description.model == recipe.model and description.alphabet == "abcd "
    card = (tmp_path / "model" / "README.md").read_text()
    assert (
        "| dev, which was trained on: WER, greedy | 0.00% |" in card
        and "recurrent_units: 24" in card
    )


def test_a_split_of_too_long_utterances_is_an_error(train):
    recipe = dataclasses.replace(RECIPE, training=dataclasses.replace(TRAINING, max_frames=5))
    with pytest.raises(UserError, match=r"longer than training.max_frames \(5\): 16 \("):
        train(recipe=recipe)


def test_records_outside_the_alphabet_are_named(train):
    with pytest.raises(UserError, match="alphabet lacks"):
        train(recipe=dataclasses.replace(RECIPE, alphabet="ab "))


def test_lost_history_is_an_error(train, tmp_path):
    train()
    (tmp_path / "model-state" / "history.jsonl").unlink()
    with pytest.raises(UserError, match="damaged"):
        train()


def test_bigrams(train, tmp_path):
    recipe = dataclasses.replace(RECIPE, alphabet=(*"abcd ", "ab", "ba"))
    train("bigrams", recipe)
    network, description = load_model(tmp_path / "bigrams")
    assert description.alphabet == recipe.alphabet and network.num_labels == 8


def test_two_trainings_do_not_share_a_state(train, tmp_path):
    with directory_lock(tmp_path / "model-state", "training"):
        with pytest.raises(DirectoryInUse, match="Another training works in .*-state: process"):
            train()
    assert not (tmp_path / "model").exists()
    train()
