# SPDX-License-Identifier: Apache-2.0
"""A run in which every step is killed once ends in the model of a run without a break."""

from __future__ import annotations

import json
import math
import os
import pathlib
import subprocess
import sys

import pytest
import yaml

from ds2_tf.errors import UserError
from ds2_tf.lm.tools import kenlm_program


def _has_kenlm() -> bool:
    try:
        return bool(kenlm_program("lmplz"))
    except UserError:
        return False


@pytest.mark.slow
def test_killed_in_every_step_it_ends_in_the_same_pushed_model(make_corpus, recipe_path, tmp_path):
    with_lm = _has_kenlm()
    config = {
        "name": "tiny",
        "recipe": str(recipe_path),
        "manifest": str(make_corpus(18)),
        "shards": 1,
        "evaluation": {"max_wer": math.inf},
        # A network that has learned nothing: words cost so much that none is the best.
        "language_model": {"order": 2},
        "decoder": {"search": {"beam_size": 4}, "alphas": [0], "betas": [-20], "refinements": 0},
    }
    # What has no part in the pushed model needs no second run.
    unneeded = {"validate_data": False, "report": False, "check_saved_model": False}
    paths = []
    for name, steps in (("killed", {}), ("straight", unneeded)):
        paths.append(tmp_path / f"{name}.yaml")
        steps = {"language_model": with_lm, **steps}
        paths[-1].write_text(yaml.safe_dump({**config, "root": name, "steps": steps}))
    script = pathlib.Path(__file__).with_name("kill_every_step.py")
    process = subprocess.run(
        [sys.executable, str(script), *map(str, paths)],
        capture_output=True,
        text=True,
        check=False,
        # A script sees its own folder, and not the one that the tests run in.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.returncode == 0, process.stdout + process.stderr
    result = json.loads(process.stdout.splitlines()[-1])
    assert {"AudioExampleGen", "Trainer", "Evaluator", "ModelPusher"} <= set(result["killed"])
    assert ("DecoderTuner" in result["killed"]) == with_lm
    # The killed ModelPusher had pushed; nothing was pushed a second time, or left half copied.
    assert [len(versions) for versions in result["versions"]] == [1, 1], process.stdout
    (killed,), (straight,) = result["versions"]
    assert _recognizer(killed, with_lm) == _recognizer(straight, with_lm)


def _recognizer(version: str, with_lm: bool) -> list[bytes]:
    """The weights, and the decoder."""
    files = ["variables/variables.data-00000-of-00001"]
    if with_lm:
        files.append("assets.extra/ds2.decoder")
    return [pathlib.Path(version, file).read_bytes() for file in files]
