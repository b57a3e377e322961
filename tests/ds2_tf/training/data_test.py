# SPDX-License-Identifier: Apache-2.0
"""A corpus of recordings in a script as a researcher writes it."""

import subprocess
import sys

import numpy as np
import soundfile

from ds2_tf.corpora.manifest import Utterance, write_manifest

_SCRIPT = """
import sys
import ds2_tf
from ds2_tf.config import ConvolutionConfig, ModelConfig, Recipe, TrainingConfig
from ds2_tf.corpora import parallel

parallel._ITEMS_WORTH_A_PROCESS = 1
model = ModelConfig((ConvolutionConfig(2, (21, 5), (4, 2)),), 1, 4)
recipe = Recipe(model, TrainingConfig(epochs=1, batch_frames=400, max_frames=400))
data = ds2_tf.AudioData(recipe, sys.argv[1])
network = ds2_tf.DeepSpeech2(recipe.model, num_labels=len(recipe.alphabet) + 1)
network.compile(optimizer="adamw", loss=ds2_tf.CTCLoss())
network.fit(ds2_tf.endless(data), steps_per_epoch=3, epochs=2, verbose=0)
words, _ = ds2_tf.validate(network, data.dev(), ds2_tf.Alphabet(recipe.alphabet))
print("words", words.reference_length)
"""


def test_a_script_without_a_guard_trains(tmp_path):
    """A module that starts processes when it is run would start itself in each of them."""
    utterances = []
    for index in range(6):
        noise = 0.1 * np.random.default_rng(index).standard_normal(12000)
        soundfile.write(tmp_path / f"{index}.wav", noise, 16000)
        split = "dev" if index > 3 else "train"
        utterances.append(Utterance(str(index), f"{index}.wav", "two words", split=split))
    write_manifest(tmp_path / "manifest.jsonl", utterances)
    script = tmp_path / "script.py"
    script.write_text(_SCRIPT)
    process = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "manifest.jsonl")],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines()[-1] == "words 4"
