# SPDX-License-Identifier: Apache-2.0
"""What a corpus is like: sizes, lengths, speech rate, and what commonly goes wrong with one."""

from __future__ import annotations

import collections
import dataclasses
import functools
import hashlib
import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ds2_tf.audio.reading import AudioError, RawFormat, read_audio
from ds2_tf.corpora.manifest import Utterance, read_manifest, resolve_audio, split_order
from ds2_tf.corpora.parallel import map_in_processes
from ds2_tf.text.alphabet import Alphabet

PERCENTILES = (0, 1, 5, 25, 50, 75, 95, 99, 100)

_SAMPLE_RATE = 16000
# A recording is clipped where so many samples in a row lie at full scale.
_CLIPPED_RUN = 3
_FULL_SCALE = 0.999
# A stretch of 20 ms is silent this far under the loudest of its recording.
_SILENCE_SAMPLES = 320
_SILENCE_DECIBELS = 40.0
# Examples named in the terminal.
_MOST_NAMED = 5


@dataclasses.dataclass(frozen=True)
class SplitSummary:
    """One split of a corpus.

    Attributes:
        utterances: number of them.
        hours: their length.
        speakers: distinct speakers.
        characters: of all transcripts.
        words: of all transcripts.
    """

    utterances: int
    hours: float
    speakers: int
    characters: int
    words: int


@dataclasses.dataclass(frozen=True)
class CorpusSummary:
    """A corpus in numbers.

    Attributes:
        splits: sizes by split; utterances without one count as "unassigned".
        total: the size of the whole.
        distinct_words: number of different words.
        seconds: percentiles (`PERCENTILES`) of the utterances' lengths.
        characters_per_second: percentiles of the speech rate.
        unknown_characters: utterances by character that the alphabet lacks, most frequent first.
        speakers_across_splits: splits by speaker who is in more than one.
        repeated_transcripts: utterances whose transcript occurred before.
        transcripts_across_splits: distinct transcripts in more than one split.
        repeated_audio: groups of ids whose recordings have the same samples; None if not read.
        unreadable: utterances whose recording cannot be read; None if not read.
        clipped_share: share of the recordings with three samples in a row at full scale; None if
            not read.
        silent_share: share of the time that is 40 dB or more below the loudest 20 ms of its
            recording; None if not read.
    """

    splits: dict[str, SplitSummary]
    total: SplitSummary
    distinct_words: int
    seconds: dict[str, float]
    characters_per_second: dict[str, float]
    unknown_characters: dict[str, int]
    speakers_across_splits: dict[str, list[str]]
    repeated_transcripts: int
    transcripts_across_splits: int
    repeated_audio: list[list[str]] | None
    unreadable: int | None
    clipped_share: float | None
    silent_share: float | None

    def to_dict(self) -> dict:
        """The summary as JSON types."""
        return dataclasses.asdict(self)

    def text(self) -> str:
        """The summary for a terminal."""
        lines = [f"{'':12}{'utterances':>12}{'hours':>9}{'speakers':>10}{'words':>9}{'chars':>10}"]
        for name, split in {**self.splits, "total": self.total}.items():
            lines.append(
                f"{name:12}{split.utterances:12,}{split.hours:9.2f}{split.speakers:10,}"
                f"{split.words:9,}{split.characters:10,}"
            )
        lines += ["", f"{'percentile':22}" + "".join(f"{p:>7}" for p in PERCENTILES)]
        for name, values in (
            ("seconds", self.seconds),
            ("characters per second", self.characters_per_second),
        ):
            lines.append(f"{name:22}" + "".join(f"{value:7.2f}" for value in values.values()))
        lines += ["", f"distinct words: {self.distinct_words:,}"]
        unknown = ", ".join(f"{c!r} in {n}" for c, n in self.unknown_characters.items())
        lines.append(f"characters outside the alphabet: {unknown or 'none'}")
        across = [f"{s} ({', '.join(i)})" for s, i in self.speakers_across_splits.items()]
        lines.append(f"speakers in more than one split: {_examples(across)}")
        lines.append(
            f"repeated transcripts: {self.repeated_transcripts:,} utterances; "
            f"{self.transcripts_across_splits:,} transcripts are in more than one split"
        )
        if self.repeated_audio is not None:
            groups = [" = ".join(ids) for ids in self.repeated_audio]
            lines.append(f"recordings with the same samples: {_examples(groups)}")
            lines.append(f"unreadable recordings: {self.unreadable}")
            lines.append(f"clipped recordings: {self.clipped_share:.2%}")
            lines.append(f"silence: {self.silent_share:.2%} of the time")
        return "\n".join(lines)


class _Recording(NamedTuple):
    """What is kept of a recording after reading it."""

    digest: bytes
    seconds: float
    clipped: bool
    silent_seconds: float


def summarize_corpus(
    manifest_path: str | os.PathLike,
    alphabet: Alphabet,
    *,
    read_recordings: bool = True,
    raw: RawFormat | None = None,
    jobs: int | None = None,
    progress: bool = True,
) -> CorpusSummary:
    """Counts and measures a corpus.

    Args:
        manifest_path: the manifest.
        alphabet: whose characters the transcripts should be made of.
        read_recordings: also measure the recordings; otherwise lengths are the manifest's.
            Defaults to true.
        raw: the format of headerless recordings, where the corpus has them.
        jobs: most processes. Defaults to the number of processors.
        progress: show a bar. Defaults to true.

    Raises:
        ManifestError: a line of the manifest is not an utterance.
    """
    utterances = list(read_manifest(manifest_path))
    recordings: list[_Recording | None] = [None] * len(utterances)
    if read_recordings:
        measure = functools.partial(_measure, manifest_path=os.fspath(manifest_path), raw=raw)
        recordings = list(
            map_in_processes(
                measure, utterances, description="Measuring", jobs=jobs, progress=progress
            )
        )
    seconds = [
        recording.seconds if recording else utterance.duration
        for utterance, recording in zip(utterances, recordings)
    ]
    timed = [(u, s) for u, s in zip(utterances, seconds) if s]
    by_split = collections.defaultdict(list)
    for utterance, length in zip(utterances, seconds):
        by_split[utterance.split or "unassigned"].append((utterance, length))
    return CorpusSummary(
        splits={
            name: _summarize_split(by_split[name]) for name in sorted(by_split, key=split_order)
        },
        total=_summarize_split(list(zip(utterances, seconds))),
        distinct_words=len({word for u in utterances for word in u.transcript.split()}),
        seconds=_percentiles([s for _, s in timed]),
        characters_per_second=_percentiles([len(u.transcript) / s for u, s in timed]),
        unknown_characters=dict(
            collections.Counter(
                character
                for utterance in utterances
                for character in alphabet.unknown_characters(utterance.transcript)
            ).most_common()
        ),
        speakers_across_splits=_in_several_splits(
            (u.speaker, u.split) for u in utterances if u.speaker is not None
        ),
        repeated_transcripts=len(utterances) - len({u.transcript for u in utterances}),
        transcripts_across_splits=len(
            _in_several_splits((u.transcript, u.split) for u in utterances)
        ),
        **_summarize_recordings(utterances, recordings if read_recordings else None),
    )


def _measure(utterance: Utterance, manifest_path: str, raw: RawFormat | None) -> _Recording | None:
    try:
        samples = read_audio(
            resolve_audio(utterance, manifest_path), sample_rate=_SAMPLE_RATE, raw=raw
        )
    except AudioError:
        return None
    return _Recording(
        digest=hashlib.sha256(samples.tobytes()).digest(),
        seconds=len(samples) / _SAMPLE_RATE,
        clipped=_is_clipped(samples),
        silent_seconds=_silent_stretches(samples) * _SILENCE_SAMPLES / _SAMPLE_RATE,
    )


def _is_clipped(samples: np.ndarray) -> bool:
    full = np.abs(samples) >= _FULL_SCALE
    run = full[: len(full) - _CLIPPED_RUN + 1]
    for shift in range(1, _CLIPPED_RUN):
        run = run & full[shift : len(run) + shift]
    return bool(run.any())


def _silent_stretches(samples: np.ndarray) -> int:
    whole = samples[: len(samples) // _SILENCE_SAMPLES * _SILENCE_SAMPLES]
    power = np.square(whole.reshape(-1, _SILENCE_SAMPLES)).mean(axis=1)
    return int((power <= power.max(initial=0.0) * 10 ** (-_SILENCE_DECIBELS / 10)).sum())


def _summarize_split(members: Sequence[tuple[Utterance, float | None]]) -> SplitSummary:
    return SplitSummary(
        utterances=len(members),
        hours=sum(length or 0.0 for _, length in members) / 3600,
        speakers=len({u.speaker for u, _ in members} - {None}),
        characters=sum(len(u.transcript) for u, _ in members),
        words=sum(len(u.transcript.split()) for u, _ in members),
    )


def _summarize_recordings(
    utterances: Sequence[Utterance], recordings: Sequence[_Recording | None] | None
) -> dict:
    names = ("repeated_audio", "unreadable", "clipped_share", "silent_share")
    if recordings is None:
        return dict.fromkeys(names)
    read = [recording for recording in recordings if recording is not None]
    ids_by_digest = collections.defaultdict(list)
    for utterance, recording in zip(utterances, recordings):
        if recording is not None:
            ids_by_digest[recording.digest].append(utterance.id)
    return {
        "repeated_audio": [ids for ids in ids_by_digest.values() if len(ids) > 1],
        "unreadable": len(recordings) - len(read),
        "clipped_share": sum(r.clipped for r in read) / max(len(read), 1),
        "silent_share": sum(r.silent_seconds for r in read) / (sum(r.seconds for r in read) or 1.0),
    }


def _in_several_splits(pairs: Iterable[tuple[str, str | None]]) -> dict[str, list[str]]:
    splits = collections.defaultdict(set)
    for name, split in pairs:
        splits[name].add(split or "unassigned")
    return {
        name: sorted(found, key=split_order) for name, found in splits.items() if len(found) > 1
    }


def _percentiles(values: Sequence[float]) -> dict[str, float]:
    found = np.percentile(values, PERCENTILES) if values else [0.0] * len(PERCENTILES)
    return {str(percentile): float(value) for percentile, value in zip(PERCENTILES, found)}


def _examples(names: Sequence[str]) -> str:
    if not names:
        return "none"
    shown = "; ".join(names[:_MOST_NAMED])
    return f"{len(names)}: {shown}" + ("; ..." if len(names) > _MOST_NAMED else "")
