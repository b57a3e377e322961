# SPDX-License-Identifier: Apache-2.0
"""What a run tells of itself."""

import numpy as np

from ds2_tf.training.history import EpochResult
from ds2_tf.training.left_out import LeftOut
from ds2_tf.training.progress import Progress
from ds2_tf.training.step import StepResult
from ds2_tf.training.totals import EpochTotals


def result(**changes):
    values = {"epoch": 1, "loss": 2.345, "wer": 0.5, "cer": 0.25, "learning_rate": 0.1}
    return EpochResult(**{**values, "seconds": 10.0, "padding": 0.0625, **changes})


def test_the_line_of_an_epoch(capsys):
    Progress(3).end_epoch(result(), 120.4, whole=True)
    assert capsys.readouterr().err == (
        "epoch 1/3: loss 2.35, dev WER 50.00%, CER 25.00%, padding 6.2%, 120 audio s/s, 10 s, "
        "20 s left\n"
    )


def test_what_is_not_the_rule(capsys):
    Progress(3).end_epoch(
        result(left_out=4, overflows=2, average_wer=0.4, average_cer=0.2), 120.0, whole=False
    )
    assert (
        "CER 25.00% (averaged 40.00%, 20.00%), 4 left out, 2 batches overflowed, padding"
        in capsys.readouterr().err
    )


def test_long_utterances_are_named_once(capsys):
    progress, left_out = Progress(3), LeftOut()
    progress.left_out(1, left_out, 900)
    left_out.too_long += ["one", "two"]
    progress.left_out(2, left_out, 900)
    progress.left_out(3, left_out, 900)
    (line,) = capsys.readouterr().err.splitlines()
    assert line == "epoch 2/3: left out, longer than training.max_frames (900): 2 (one, two)"


def test_quiet(capsys):
    progress = Progress(3, interval=0.0, quiet=True)
    progress.start_epoch()
    progress.end_step(1, 2.0)
    progress.end_epoch(result(), 1.0, whole=True)
    assert capsys.readouterr().err == ""


def test_totals():
    totals = EpochTotals()
    assert totals.padding == 0.0 and np.isnan(totals.mean_loss)
    totals.add(np.array([10, 6]), 10, StepResult(8.0, 1.0, True, True))
    totals.add(np.array([4]), 4, StepResult(1.0, 1.0, True, True))
    assert (totals.mean_loss, totals.padding) == (3.0, 1 - 20 / 24)
    # Without effect, but computed.
    totals.add(np.array([4]), 4, StepResult(float("inf"), float("nan"), False, False))
    assert (totals.mean_loss, totals.padding, totals.overflows) == (3.0, 1 - 24 / 28, 1)
