# SPDX-License-Identifier: Apache-2.0
"""A spoken corpus for demonstrations and tests, made on the spot by eSpeak NG.

Speakers are combinations of an accent and a voice variant, with a pitch and a rate of their own.
Each variant belongs to one split, so the voices of dev and test are never heard in training.
Sentences come from a small grammar, none of them twice: a test sentence is new, its words are not.
The same parameters give the same bytes, whatever the number of workers.
"""

from __future__ import annotations

import concurrent.futures
import dataclasses
import itertools
import json
import os
import pathlib
import random

import numpy as np

from ds2_tf.corpora.espeak import Voice, speak
from ds2_tf.corpora.manifest import Utterance, write_manifest
from ds2_tf.corpora.synthetic_sentences import sentences, spoken_form
from ds2_tf.errors import UserError

SAMPLE_RATE = 16000

# Raise it with any change of what is made from the same parameters.
_CORPUS_VERSION = 2

_ACCENTS = {
    "american": "en-us",
    "british": "en",
    "received": "en-gb-x-rp",
    "scottish": "en-gb-scotland",
    "lancashire": "en-gb-x-gbclan",
}

# Clear voices only. Those with breath (f2, f3, f5) are left out as well: eSpeak NG reads memory
# that it has not set for them, so they do not sound the same twice. The default variant is "".
_VARIANTS = {
    "train": (
        *("", "m1", "m3", "m4", "m5", "m7", "max", "Michael", "edward", "pablo", "quincy"),
        *("f1", "linda", "shelby", "Andrea", "steph"),
    ),
    "dev": ("m2", "robert", "Annie"),
    "test": ("m6", "paul", "f4", "belinda"),
}


@dataclasses.dataclass(frozen=True)
class _Speaker:
    id: str
    accent: str
    split: str
    voice: Voice


def make_synthetic_corpus(
    directory: str | os.PathLike,
    *,
    train_utterances: int = 2400,
    dev_utterances: int = 120,
    test_utterances: int = 120,
    seed: int = 1,
    jobs: int | None = None,
    progress: bool = True,
) -> pathlib.Path:
    """Makes the corpus, or leaves it as it is where it is already complete.

    Args:
        directory: gets `audio/` (16 kHz 16-bit FLAC), `manifest.jsonl` and, when all is done,
            `synthetic.json` with the parameters.
        train_utterances: size of the split "train". Defaults to 2400, some 90 minutes.
        dev_utterances: size of the split "dev". Defaults to 120.
        test_utterances: size of the split "test". Defaults to 120.
        seed: of sentences, speakers, loudness and noise. Defaults to 1.
        jobs: number of voices that speak at a time. Defaults to the number of processors.
        progress: show a bar. Defaults to true.

    Returns:
        The path of the manifest; each utterance also has the field `accent`.

    Raises:
        UserError: a size is negative, eSpeak NG is not installed, or the directory holds another
            synthetic corpus.
    """
    from tqdm import tqdm

    directory = pathlib.Path(directory)
    sizes = {"train": train_utterances, "dev": dev_utterances, "test": test_utterances}
    for split, size in sizes.items():
        if size < 0:
            raise UserError(f"{split}_utterances must be at least 0, got {size}.")
    parameters = {"version": _CORPUS_VERSION, "utterances": sizes, "seed": seed}
    manifest, stamp = directory / "manifest.jsonl", directory / "synthetic.json"
    if stamp.exists():
        made_with = json.loads(stamp.read_text("utf-8"))
        if made_with != parameters:
            raise UserError(
                f"{directory} holds a synthetic corpus made with {json.dumps(made_with)}, asked "
                f"for is {json.dumps(parameters)}: choose another directory, or delete it."
            )
        return manifest

    planned = _plan(sizes, seed)
    by_speaker: dict[_Speaker, list[Utterance]] = {}
    for speaker, utterance in planned:
        by_speaker.setdefault(speaker, []).append(utterance)
    durations: dict[str, float] = {}
    with (
        concurrent.futures.ThreadPoolExecutor(jobs or os.cpu_count()) as pool,
        tqdm(total=len(planned), desc="Speaking", unit=" utterances", disable=not progress) as bar,
    ):
        speaking = [
            pool.submit(_record, speaker, utterances, directory, seed)
            for speaker, utterances in by_speaker.items()
        ]
        try:
            for recorded in concurrent.futures.as_completed(speaking):
                durations.update(recorded.result())
                bar.update(len(recorded.result()))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    write_manifest(manifest, (dataclasses.replace(u, duration=durations[u.id]) for _, u in planned))
    stamp.write_text(json.dumps(parameters) + "\n", "utf-8")
    return manifest


def _plan(sizes: dict[str, int], seed: int) -> list[tuple[_Speaker, Utterance]]:
    """Who says what: the speakers of a split take turns."""
    sentence = sentences(seed)
    speakers = _speakers(seed)
    plan = []
    for split, size in sizes.items():
        turns = itertools.cycle(s for s in speakers if s.split == split)
        for number, speaker in zip(range(size), turns):
            utterance_id = f"{split}-{number:05d}"
            plan.append(
                (
                    speaker,
                    Utterance(
                        id=utterance_id,
                        audio=f"audio/{split}/{speaker.id}/{utterance_id}.flac",
                        transcript=next(sentence),
                        speaker=speaker.id,
                        split=split,
                        extra={"accent": speaker.accent},
                    ),
                )
            )
    return plan


def _speakers(seed: int) -> list[_Speaker]:
    """All speakers in an order that mixes accents and variants."""
    generator = random.Random(f"speakers {seed}")
    speakers = []
    for split, variants in _VARIANTS.items():
        for variant, (accent, language) in itertools.product(variants, _ACCENTS.items()):
            voice = Voice(
                name=f"{language}+{variant}" if variant else language,
                rate=generator.randint(140, 180),
                pitch=generator.randint(35, 65),
                pitch_range=generator.randint(35, 65),
            )
            speakers.append(_Speaker(f"{accent}-{variant or 'plain'}", accent, split, voice))
    generator.shuffle(speakers)
    return speakers


def _record(
    speaker: _Speaker, utterances: list[Utterance], directory: pathlib.Path, seed: int
) -> dict[str, float]:
    """Writes the recordings of one speaker; returns their durations in seconds by id."""
    import soundfile
    import soxr

    texts = [spoken_form(utterance.transcript) for utterance in utterances]
    recordings, sample_rate = speak(speaker.voice, texts)
    durations = {}
    for utterance, samples in zip(utterances, recordings):
        speech = soxr.resample(samples / np.float32(32768), sample_rate, SAMPLE_RATE)
        # The words of the key are hashed to numbers that are the same in every process.
        key = np.frombuffer(f"{seed} {utterance.id}".encode(), np.uint8)
        recording = _in_a_room(speech, np.random.default_rng(key))
        path = directory / utterance.audio
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, recording, SAMPLE_RATE, subtype="PCM_16")
        durations[utterance.id] = round(len(recording) / SAMPLE_RATE, 4)
    return durations


def _in_a_room(speech: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Adds a pause before and after, a peak of -12 to -2 dB, and noise 25 to 45 dB below speech."""
    before, after = generator.integers(SAMPLE_RATE // 20, SAMPLE_RATE // 5, size=2)
    recording = np.pad(speech, (before, after)).astype(np.float64)
    recording *= 10 ** (generator.uniform(-12, -2) / 20) / np.abs(speech).max()
    loudness = np.sqrt(np.mean(np.square(recording)))
    noise_level = loudness * 10 ** (-generator.uniform(25, 45) / 20)
    return recording + generator.normal(scale=noise_level, size=len(recording))
