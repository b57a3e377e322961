# SPDX-License-Identifier: Apache-2.0
"""A corpus of tones, and a recipe of a network small enough for tests."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable

import numpy as np
import pytest
import soundfile

from ds2_tf.corpora.manifest import Utterance, write_manifest

_WORDS = ("one", "two", "three", "four", "it's", "a", "dog")

_RECIPE = """
model:
  convolutions:
    - {filters: 2, kernel: [21, 5], stride: [4, 2]}
  recurrent_layers: 1
  recurrent_units: 8
training:
  epochs: 1
  batch_frames: 2000
  max_frames: 1000
  warmup_steps: 1
"""


def make_utterances(
    directory: pathlib.Path, count: int, *, speakers: int = 6, seed: int = 0
) -> list[Utterance]:
    """Writes tones in noise as FLAC and describes them; every sixth is of the split "dev"."""
    generator = np.random.default_rng(seed)
    utterances = []
    for i in range(count):
        seconds = generator.uniform(0.8, 1.6)
        time = np.arange(int(seconds * 16000)) / 16000
        tone = 0.3 * np.sin(2 * np.pi * generator.uniform(100, 4000) * time)
        path = directory / f"u{i:03d}.flac"
        soundfile.write(path, tone + 0.01 * generator.standard_normal(len(time)), 16000)
        transcript = " ".join(generator.choice(_WORDS, size=2))
        utterances.append(
            Utterance(
                id=f"u{i:03d}",
                audio=path.name,
                transcript=transcript,
                speaker=f"speaker{i % speakers}",
                split="dev" if i % 6 == 5 else "train",
            )
        )
    return utterances


@pytest.fixture
def make_corpus(tmp_path) -> Callable[..., pathlib.Path]:
    """A function that writes a corpus of tones and returns its manifest."""

    def make(count: int = 18, name: str = "corpus", **options) -> pathlib.Path:
        directory = tmp_path / name
        directory.mkdir()
        manifest = directory / "manifest.jsonl"
        write_manifest(manifest, make_utterances(directory, count, **options))
        return manifest

    return make


@pytest.fixture
def change_unnoticed() -> Callable[[pathlib.Path], None]:
    """A function that changes a FLAC file in a way that its size and time of change do not show."""

    def change(path: pathlib.Path) -> None:
        status, content = path.stat(), path.read_bytes()
        assert content.count(b"libFLAC") == 1
        path.write_bytes(content.replace(b"libFLAC", b"libflac"))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        after = path.stat()
        assert (after.st_size, after.st_mtime_ns) == (status.st_size, status.st_mtime_ns)

    return change


@pytest.fixture
def recipe_path(tmp_path) -> pathlib.Path:
    """A recipe of a tiny network."""
    path = tmp_path / "recipe.yaml"
    path.write_text(_RECIPE)
    return path
