# SPDX-License-Identifier: Apache-2.0
"""What a model directory says of how it came about."""

from __future__ import annotations

import os
import pathlib

import yaml

import ds2_tf
from ds2_tf.config import Recipe, to_dict
from ds2_tf.training.data import TrainingData
from ds2_tf.training.history import History


def model_card(
    recipe: Recipe,
    data: TrainingData,
    history: History,
    initial_model: str | os.PathLike | None = None,
) -> str:
    """The model card, Markdown.

    Args:
        recipe: of the network and its training.
        data: what it was trained on.
        history: of the run.
        initial_model: what it started from. Defaults to random weights.
    """
    statistics = data.statistics
    hours = statistics.num_frames * recipe.features.hop_seconds / 3600
    recipe_text = yaml.safe_dump(to_dict(recipe), allow_unicode=True, sort_keys=False)
    best = history.best
    start = "random weights" if initial_model is None else pathlib.Path(initial_model).name
    average = " (moving average)" if best.averaged else ""
    dev = "dev, which was trained on:" if data.trains_on_dev else "dev"
    return f"""# Deep Speech 2 model

| | |
|---|---|
| trained on | {statistics.num_utterances} utterances, {hours:.2f} h |
| started from | {start} |
| epochs | {len(history.epochs)}; the weights are those of epoch {best.epoch}{average} |
| left out, too long or too short | {best.left_out} utterances |
| {dev} WER, greedy | {best.kept_wer:.2%} |
| {dev} CER, greedy | {best.kept_cer:.2%} |
| seed | {recipe.training.seed} |
| ds2-tf | {ds2_tf.__version__} |

Use: `ds2 transcribe --model DIR FILE`, where DIR is this directory.

## Recipe

```yaml
{recipe_text}```
"""
