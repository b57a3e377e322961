# SPDX-License-Identifier: Apache-2.0
"""A corpus of recordings in a script as a researcher writes it: that of the README."""

import json
import pathlib
import re
import subprocess
import sys

import numpy as np
import soundfile

import ds2_tf
from ds2_tf.corpora.manifest import Utterance, write_manifest

_README = pathlib.Path(__file__).parents[3] / "README.md"
_SMALL = {
    "model": {
        "convolutions": [{"filters": 2, "kernel": [21, 5], "stride": [4, 2]}],
        "recurrent_layers": 1,
        "recurrent_units": 4,
    },
    # Of another rate, number of labels and precision than the defaults.
    "features": {"sample_rate": 8000},
    "alphabet": " dorstw",
    "training": {
        "epochs": 1,
        "batch_frames": 400,
        "max_frames": 400,
        "precision": "mixed_bfloat16",
    },
}
_MORE_PROCESSES = "from ds2_tf.corpora import parallel; parallel._ITEMS_WORTH_A_PROCESS = 1\n"


def test_a_script_without_a_guard_trains(tmp_path):
    """A module that starts processes when it is run would start itself in each of them."""
    utterances = []
    (tmp_path / "corpus").mkdir()
    for index in range(6):
        noise = 0.1 * np.random.default_rng(index).standard_normal(12000)
        soundfile.write(tmp_path / "corpus" / f"{index}.wav", noise, 16000)
        split = "dev" if index > 3 else "train"
        utterances.append(Utterance(str(index), f"{index}.wav", "two words", split=split))
    write_manifest(tmp_path / "corpus" / "manifest.jsonl", utterances)
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "demo.yaml").write_text(json.dumps(_SMALL))
    (script,) = re.findall(r"```python\n([^`]*?model\.fit[^`]*)```", _README.read_text("utf-8"))
    shorter = script.replace("steps_per_epoch=90, epochs=12", "steps_per_epoch=3, epochs=2")
    assert shorter != script
    (tmp_path / "script.py").write_text(_MORE_PROCESSES + shorter)
    process = subprocess.run(
        [sys.executable, "script.py"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(_README.parent), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert process.returncode == 0, process.stderr
    assert re.fullmatch(r"WER \d+\.\d%, CER \d+\.\d%", process.stdout.splitlines()[-1])
    recognizer = ds2_tf.Recognizer.load(tmp_path / "my_model")
    assert recognizer.sample_rate == 8000 and recognizer.alphabet.size == 8
