# SPDX-License-Identifier: Apache-2.0
"""A tiny language of tones: every letter is a band of the spectrogram that sounds for a while."""

import dataclasses
import pathlib

import numpy as np
import pytest

LETTERS = "abcd "
_FRAMES_A_LETTER = 6


def spectrogram_of(text, seed):
    """float32 [frames, 161]: a band for each letter, with silence between, and some noise."""
    generator = np.random.default_rng(seed)
    spectrogram = generator.normal(-10.0, 0.5, (_FRAMES_A_LETTER * len(text) + 4, 161))
    for place, letter in enumerate(text):
        start = 2 + _FRAMES_A_LETTER * place
        band = 30 * LETTERS.index(letter)
        spectrogram[start : start + _FRAMES_A_LETTER - 2, band + 5 : band + 25] += 8.0
    return spectrogram.astype(np.float32)


@dataclasses.dataclass(frozen=True)
class ToneCorpus:
    """Record files of utterances in the language of tones, each file ordered by length."""

    files: list[str]
    texts: list[str]


@pytest.fixture(scope="session")
def write_tones():
    """Writes texts to record files, in turns."""
    import tensorflow as tf

    from ds2_tf.corpora.manifest import Utterance
    from ds2_tf.corpora.records import make_example

    def write(directory, texts, num_files=1, compressed=False):
        directory = pathlib.Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        texts = sorted(texts, key=len)
        files = []
        for number in range(num_files):
            name = f"data_tfrecord-{number:05d}-of-{num_files:05d}" + (".gz" if compressed else "")
            options = tf.io.TFRecordOptions(compression_type="GZIP" if compressed else "")
            with tf.io.TFRecordWriter(str(directory / name), options) as writer:
                for index, text in list(enumerate(texts))[number::num_files]:
                    spectrogram = spectrogram_of(text, index)
                    utterance = Utterance(f"utterance-{index}", "none.wav", text)
                    example = make_example(utterance, spectrogram, len(spectrogram) / 100)
                    writer.write(example.SerializeToString())
            files.append(str(directory / name))
        return ToneCorpus(files, texts)

    return write


@pytest.fixture(scope="session")
def random_texts():
    """Different texts of one to nineteen letters."""

    def make(number, seed=0):
        generator = np.random.default_rng(seed)
        texts = {}
        while len(texts) < number:
            letters = generator.choice(list(LETTERS[:4]), generator.integers(1, 20))
            texts["".join(letters)] = None
        return list(texts)

    return make
