# SPDX-License-Identifier: Apache-2.0
"""The history of a run: what is best, and what an interruption forgets."""

import json

import pytest

from ds2_tf.training.history import EpochResult, History


class Weights:
    """Stands for a network; saves its name."""

    def __init__(self, name):
        self.name = name

    def save_weights(self, path, overwrite):
        path.write_text(self.name)


def result(epoch, wer, cer=0.5):
    return EpochResult(epoch, loss=2.0, wer=wer, cer=cer, learning_rate=0.1, seconds=1.0)


def add_all(history, *rates):
    for epoch, rate in enumerate(rates, start=len(history.epochs) + 1):
        history.add(result(epoch, *rate), Weights(f"of epoch {epoch}"))


@pytest.mark.parametrize(
    "rates, best",
    [
        ([(0.5,), (0.3,), (0.4,)], 2),
        ([(0.3,), (0.3,)], 1),
        ([(0.3, 0.2), (0.3, 0.1), (0.3, 0.1)], 2),
        ([(0.0, 0.0)], 1),
        ([(1.5,), (1.0,), (2.0,)], 2),
    ],
)
def test_the_weights_of_the_best_epoch_are_kept(tmp_path, rates, best):
    history = History(tmp_path / "new", 0)
    add_all(history, *rates)
    assert history.best.epoch == best
    assert history.best_weights.read_text() == f"of epoch {best}"
    lines = (tmp_path / "new" / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == list(range(1, len(rates) + 1))


def test_taken_up_again(tmp_path):
    add_all(History(tmp_path, 0), (0.5,), (0.4,))
    history = History(tmp_path, 2)
    assert [r.epoch for r in history.epochs] == [1, 2] and history.best.epoch == 2
    add_all(history, (0.6,))
    assert history.best_weights.read_text() == "of epoch 2"
    assert History(tmp_path, 3).epochs == history.epochs


def test_epochs_after_the_checkpoint_are_forgotten(tmp_path):
    """A run that died between an epoch's results and its checkpoint trains that epoch again."""
    add_all(History(tmp_path, 0), (0.5,), (0.4,), (0.3,))
    history = History(tmp_path, 2)
    assert history.best.epoch == 2
    add_all(history, (0.3,))
    assert history.best_weights.read_text() == "of epoch 3"
    assert len((tmp_path / "history.jsonl").read_text().splitlines()) == 3


def test_a_new_run_ignores_what_lies_there(tmp_path):
    add_all(History(tmp_path, 0), (0.1,))
    history = History(tmp_path, 0)
    assert history.epochs == []
    add_all(history, (0.9,))
    assert history.best_weights.read_text() == "of epoch 1" and history.best.wer == 0.9
