# SPDX-License-Identifier: Apache-2.0
"""What the Trainer keeps beside its artifacts."""

from __future__ import annotations

import os
import time

from pipeline.components.trainer import read_features, remove_abandoned


def test_only_states_that_nobody_goes_on_with_are_removed(tmp_path):
    for name, age in (("old", 15), ("resumed", 15), ("new", 13)):
        checkpoint = tmp_path / name / "deep" / "checkpoint"
        checkpoint.parent.mkdir(parents=True)
        checkpoint.touch()
        for path in (checkpoint, checkpoint.parent, tmp_path / name):
            os.utime(path, (time.time() - age * 86400,) * 2)
    os.utime(tmp_path / "resumed" / "deep" / "checkpoint")
    remove_abandoned(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"resumed", "new"}


def test_a_model_that_no_pipeline_made_has_unknown_features(tmp_path):
    assert read_features(tmp_path) is None
