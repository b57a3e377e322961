# SPDX-License-Identifier: Apache-2.0
"""New utterances out of phrases that their speakers said in others.

A recurrent network that has few utterances to learn from remembers which words follow each other.
Here recordings are cut at pauses between words, and phrases of one speaker are put together anew:
the words stay those that the speaker said, the sentences do not.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from ds2_tf.audio.reading import RawFormat, read_audio
from ds2_tf.corpora.manifest import (
    WORDS_FIELD,
    Utterance,
    moved,
    read_manifest,
    require_splits,
    resolve_audio,
    write_manifest,
)
from ds2_tf.corpora.parallel import map_in_processes
from ds2_tf.errors import UserError

SAMPLE_RATE = 16000
# Of the loudness, in steps of 10 ms.
_STEP = SAMPLE_RATE // 100
# The network hears a word some time before and after the frames that it says it in.
_REACH_SECONDS = 0.02
# A pause is as quiet as this, where 0 is the background of the recording and 1 its speech.
_PAUSE_LOUDNESS = 0.3
_FADE_SAMPLES = SAMPLE_RATE // 100
# How often a phrase is replaced, how often one is put after an utterance that has a single one, and
# how often the phrases are put in another order.
_REPLACED, _LENGTHENED, _SHUFFLED = 0.75, 0.7, 0.3
# What comes out longer is cut in half.
_MAX_SAMPLES = 12 * SAMPLE_RATE


@dataclasses.dataclass(frozen=True)
class Phrase:
    """Words between two pauses of a recording.

    Attributes:
        audio: path of the recording.
        start: first sample.
        stop: the sample after the last.
        words: what is said.
    """

    audio: str
    start: int
    stop: int
    words: tuple[str, ...]

    @property
    def is_spelled(self) -> bool:
        """Whether there are single letters only; these are replaced by others of their kind."""
        return all(len(word) == 1 for word in self.words)


def cut_between_words(
    audio: str, samples: np.ndarray, words: Sequence[tuple[str, float, float]]
) -> list[Phrase]:
    """Cuts a recording wherever the speaker pauses between two words.

    Args:
        audio: path of the recording.
        samples: float32 [N], at 16 kHz.
        words: each with its start and end in seconds, of `ds2 corpus align` or another aligner.

    Returns:
        Phrases that together are the whole recording; one at least where there is a word.
    """
    loudness = _loudness(samples)
    background, speech = np.percentile(loudness, [10, 90]) if len(loudness) else (0.0, 0.0)
    loudest_pause = _PAUSE_LOUDNESS * max(speech - background, 1.0)
    phrases, start, texts = [], 0, []
    for index, (text, _, end) in enumerate(words):
        texts.append(text)
        if index == len(words) - 1:
            phrases.append(Phrase(audio, start, len(samples), tuple(texts)))
            break
        first = round((end - _REACH_SECONDS) * SAMPLE_RATE / _STEP)
        next_start = words[index + 1][1]
        last = max(first + 1, round((next_start + _REACH_SECONDS) * SAMPLE_RATE / _STEP))
        between = loudness[first:last]
        if not len(between):
            continue
        quietest = first + int(np.argmin(between))
        if loudness[quietest] - background < loudest_pause:
            phrases.append(Phrase(audio, start, quietest * _STEP, tuple(texts)))
            start, texts = quietest * _STEP, []
    return phrases


def _loudness(samples: np.ndarray) -> np.ndarray:
    """The power in dB around every step of 10 ms, from 10 ms before it to 20 ms after it."""
    middle = np.arange(len(samples) // _STEP) * _STEP
    start, stop = np.maximum(middle - _STEP, 0), np.minimum(middle + 2 * _STEP, len(samples))
    energy = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    return 10 * np.log10((energy[stop] - energy[start]) / (stop - start) + 1e-10)


def put_together_anew(
    utterances: Sequence[Sequence[Phrase]],
    speakers: Sequence[str],
    copies: int,
    generator: np.random.Generator,
) -> Iterator[list[Phrase]]:
    """Makes other utterances of each.

    Args:
        utterances: their phrases.
        speakers: who says each utterance; phrases of one speaker take each other's places.
        copies: how many to make of each utterance.
        generator: chooses.

    Yields:
        Phrases: the first copy of every utterance, then the second, and so on.
    """
    alike: dict[tuple[str, bool], list[Phrase]] = collections.defaultdict(list)
    for phrases, speaker in zip(utterances, speakers):
        for phrase in phrases:
            alike[speaker, phrase.is_spelled].append(phrase)

    def another(speaker: str, phrase: Phrase) -> Phrase:
        choices = alike[speaker, phrase.is_spelled]
        return choices[generator.integers(len(choices))]

    for _ in range(copies):
        for phrases, speaker in zip(utterances, speakers):
            new = [
                another(speaker, phrase) if generator.random() < _REPLACED else phrase
                for phrase in phrases
            ]
            if len(new) == 1 and generator.random() < _LENGTHENED:
                new.append(another(speaker, new[0]))
            if generator.random() < _SHUFFLED:
                new = [new[index] for index in generator.permutation(len(new))]
            if len(new) > 1 and sum(phrase.stop - phrase.start for phrase in new) > _MAX_SAMPLES:
                new = new[: len(new) // 2]
            yield new


def splice_corpus(
    manifest_path: str | os.PathLike,
    output_directory: str | os.PathLike,
    *,
    split: str = "train",
    copies: int = 3,
    seed: int = 1,
    raw: RawFormat | None = None,
    jobs: int | None = None,
    progress: bool = True,
) -> dict[str, float]:
    """Writes spliced utterances, FLAC of 16 kHz, and a manifest of these and all others.

    The same manifest, recordings, copies and seed give the same utterances.

    Args:
        manifest_path: utterances, those of the split with the times of their words, as
            `ds2 corpus align` adds them; what has no times is not spliced.
        output_directory: gets `manifest.jsonl` and `spliced/`.
        split: the only one to splice. Defaults to "train".
        copies: new utterances for each old one. Defaults to 3.
        seed: of the choices. Defaults to 1.
        raw: the format of headerless recordings, where the corpus has them.
        jobs: most processes. Defaults to the number of processors.
        progress: show bars on standard error. Defaults to true.

    Returns:
        `utterances` that were spliced, `phrases` that they have, `spliced` new utterances and their
        `hours`.

    Raises:
        UserError: there is no such split, no utterance of it has word times, or one has
            them in another form.
    """
    if copies < 1:
        raise UserError(f"copies must be at least 1, got {copies}.")
    everything = list(read_manifest(manifest_path))
    chosen = [u for u in everything if u.split == split and u.extra.get(WORDS_FIELD)]
    if not chosen:
        require_splits([split], manifest_path)
        raise UserError(
            f"No utterance of the split {split!r} in {manifest_path} has the times of its words: "
            "`ds2 corpus align MANIFEST --model DIR --output FILE` adds them."
        )
    phrases = list(
        map_in_processes(
            functools.partial(_phrases_of, manifest_path=os.fspath(manifest_path), raw=raw),
            chosen,
            description="Cutting",
            jobs=jobs,
            progress=progress,
        )
    )
    # Whose speaker is not known stays alone.
    speakers = [u.speaker or f"utterance {u.id}" for u in chosen]
    made = list(put_together_anew(phrases, speakers, copies, np.random.default_rng(seed)))
    output = pathlib.Path(output_directory)
    (output / "spliced").mkdir(parents=True, exist_ok=True)
    names = [f"{u.id}-s{copy}" for copy in range(copies) for u in chosen]
    paths = [output / "spliced" / f"{name.replace(os.sep, '_')}.flac" for name in names]
    durations = map_in_processes(
        functools.partial(_write, raw=raw),
        list(zip(made, paths)),
        description="Splicing",
        jobs=jobs,
        progress=progress,
    )
    spliced = [
        Utterance(
            id=name,
            audio=str(path.relative_to(output)),
            transcript=" ".join(" ".join(phrase.words) for phrase in new),
            duration=duration,
            speaker=utterance.speaker,
            split=split,
        )
        for name, path, new, duration, utterance in zip(
            names, paths, made, durations, chosen * copies
        )
    ]
    new_path = output / "manifest.jsonl"
    write_manifest(new_path, [*(moved(u, manifest_path, new_path) for u in everything), *spliced])
    return {
        "utterances": len(chosen),
        "phrases": sum(map(len, phrases)),
        "spliced": len(spliced),
        "hours": sum(u.duration for u in spliced) / 3600,
    }


def _phrases_of(utterance: Utterance, *, manifest_path: str, raw: RawFormat | None) -> list[Phrase]:
    words = utterance.extra[WORDS_FIELD]
    try:
        words = [(str(text), float(start), float(end)) for text, start, end in words]
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{manifest_path}: {utterance.id}: {WORDS_FIELD} must be a list of [word, start, end] "
            f"with times in seconds, got {words!r}."
        ) from error
    if [text for text, _, _ in words] != utterance.transcript.split():
        raise UserError(
            f"{manifest_path}: {utterance.id}: the words with times are "
            f"{' '.join(text for text, _, _ in words)!r}, the transcript is "
            f"{utterance.transcript!r}: align the corpus again."
        )
    path = resolve_audio(utterance, manifest_path)
    return cut_between_words(path, read_audio(path, sample_rate=SAMPLE_RATE, raw=raw), words)


def _write(item: tuple[Sequence[Phrase], pathlib.Path], *, raw: RawFormat | None) -> float:
    """Writes phrases one after another, and returns the seconds that they last."""
    import soundfile

    phrases, path = item
    recordings: Mapping[str, np.ndarray] = {
        audio: read_audio(audio, sample_rate=SAMPLE_RATE, raw=raw)
        for audio in {phrase.audio for phrase in phrases}
    }
    sounds = [_faded(recordings[phrase.audio][phrase.start : phrase.stop]) for phrase in phrases]
    samples = np.concatenate(sounds)
    soundfile.write(path, samples, SAMPLE_RATE)
    return len(samples) / SAMPLE_RATE


def _faded(samples: np.ndarray) -> np.ndarray:
    """Samples that begin and end in silence, so that nothing clicks where phrases meet."""
    length = min(_FADE_SAMPLES, len(samples) // 2)
    ramp = np.linspace(0, 1, length, dtype=np.float32)
    faded = samples.copy()
    faded[:length] *= ramp
    faded[len(faded) - length :] *= ramp[::-1]
    return faded
