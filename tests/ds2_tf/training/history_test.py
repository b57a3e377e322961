# SPDX-License-Identifier: Apache-2.0
"""The history of a run: what is best, and what an interruption forgets."""

import dataclasses
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


def test_the_last_epoch_is_kept_where_it_is_asked_for(tmp_path):
    history = History(tmp_path, 0, keep_last=True)
    add_all(history, (0.5,), (0.3,), (0.4,))
    assert history.best.epoch == 3 and not history.stopped(1)
    assert history.best_weights.read_text() == "of epoch 3"


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


def with_average(epoch, wer, average_wer):
    return dataclasses.replace(result(epoch, wer), average_wer=average_wer, average_cer=0.5)


def test_the_better_of_weights_and_average_counts(tmp_path):
    history = History(tmp_path, 0)
    for epoch, rates in enumerate([(0.5, 0.6), (0.4, 0.3), (0.35, 0.4)], start=1):
        history.add(with_average(epoch, *rates), Weights(f"of epoch {epoch}"))
    assert [r.averaged for r in history.epochs] == [False, True, False]
    assert (history.best.epoch, history.best.kept_wer) == (2, 0.3)
    assert history.best_weights.read_text() == "of epoch 2"
    assert History(tmp_path, 3).epochs == history.epochs
    # No better: the weights themselves.
    assert not with_average(1, 0.5, 0.5).averaged


def test_patience():
    history = History("unused", 0, writes=False)
    assert not history.stopped(1)
    for epoch, (rate, stopped) in enumerate(
        [(0.5, (False, False)), (0.5, (True, False)), (0.4, (False, False)), (0.6, (True, False))],
        start=1,
    ):
        history.add(result(epoch, rate), None)
        assert (history.stopped(1), history.stopped(2)) == stopped
    history.add(result(5, 0.7), None)
    assert history.stopped(2) and not history.stopped(3) and not history.stopped(0)


def test_a_worker_that_is_not_the_chief_writes_nothing(tmp_path):
    history = History(tmp_path / "none", 0, writes=False)
    add_all(history, (0.5,))
    assert history.best.wer == 0.5 and not (tmp_path / "none").exists()
