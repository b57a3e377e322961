# SPDX-License-Identifier: Apache-2.0
"""A run in which every step is killed once ends in the model of a run without a break."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import pytest

_CONFIGURATION = """
name: tiny
root: {root}
recipe: {recipe}
manifest: {manifest}
shards: 1
evaluation: {{max_wer: 100}}
"""


@pytest.mark.slow
def test_killed_in_every_step_it_ends_in_the_same_pushed_model(make_corpus, recipe_path, tmp_path):
    manifest = make_corpus(12)
    paths = []
    for name in ("killed", "straight"):
        paths.append(tmp_path / f"{name}.yaml")
        paths[-1].write_text(
            _CONFIGURATION.format(root=tmp_path / name, recipe=recipe_path, manifest=manifest)
        )
    script = pathlib.Path(__file__).with_name("kill_every_step.py")
    process = subprocess.run(
        [sys.executable, str(script), *map(str, paths)], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stdout + process.stderr
    result = json.loads(process.stdout.splitlines()[-1])
    assert {"AudioExampleGen", "Trainer", "Evaluator", "ModelPusher"} <= set(result["killed"])
    # The killed ModelPusher had pushed; nothing was pushed a second time.
    (killed,), (straight,) = result["versions"]
    assert _weights(killed) == _weights(straight)


def _weights(version: str) -> bytes:
    return pathlib.Path(version, "variables", "variables.data-00000-of-00001").read_bytes()
