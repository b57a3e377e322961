# SPDX-License-Identifier: Apache-2.0
"""What a corpus is like: sizes, lengths, speech rate, and what commonly goes wrong with one."""

from __future__ import annotations

import collections
import dataclasses
import os
from collections.abc import Iterable, Sequence

import numpy as np

from ds2_tf.audio.reading import RawFormat
from ds2_tf.corpora.manifest import Utterance, split_order
from ds2_tf.corpora.measuring import CorpusMeasurements, measure_corpus
from ds2_tf.text.alphabet import Alphabet

PERCENTILES = (0, 1, 5, 25, 50, 75, 95, 99, 100)

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
        characters: how often each occurs, most frequent first.
        formats: recordings by sample rate and channels, such as "16000 Hz, 1 channel"; None if not
            read.
        leading_quiet: percentiles of the seconds, silent in that sense, before the first sound;
            None if not read.
        trailing_quiet: percentiles of those after the last sound; None if not read.
        peak_decibels: percentiles of the loudest sample, in decibels below full scale; None if not
            read.
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
    characters: dict[str, int]
    formats: dict[str, int] | None
    leading_quiet: dict[str, float] | None
    trailing_quiet: dict[str, float] | None
    peak_decibels: dict[str, float] | None

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
        lines += ["", f"{'percentile':22}" + "".join(f"{p:>9}" for p in PERCENTILES)]
        for name, values in (
            ("seconds", self.seconds),
            ("characters per second", self.characters_per_second),
            ("leading quiet, s", self.leading_quiet),
            ("trailing quiet, s", self.trailing_quiet),
            ("peak, dB", self.peak_decibels),
        ):
            if values is None:
                continue
            lines.append(f"{name:22}" + "".join(f"{value:9.2f}" for value in values.values()))
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
            formats = (f"{count:,} of {name}" for name, count in self.formats.items())
            lines.append(f"recordings: {'; '.join(formats) or 'none'}")
            groups = [" = ".join(ids) for ids in self.repeated_audio]
            lines.append(f"recordings with the same samples: {_examples(groups)}")
            lines.append(f"unreadable recordings: {self.unreadable}")
            lines.append(f"clipped recordings: {self.clipped_share:.2%}")
            lines.append(f"silence: {self.silent_share:.2%} of the time")
        return "\n".join(lines)


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
    return summarize_measurements(
        measure_corpus(
            manifest_path, read_recordings=read_recordings, raw=raw, jobs=jobs, progress=progress
        ),
        alphabet,
    )


def summarize_measurements(measurements: CorpusMeasurements, alphabet: Alphabet) -> CorpusSummary:
    """Sums up what was measured; see `summarize_corpus`."""
    utterances, seconds = measurements.utterances, measurements.seconds
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
        characters=dict(
            collections.Counter("".join(u.transcript for u in utterances)).most_common()
        ),
        **_summarize_recordings(measurements),
    )


def _summarize_split(members: Sequence[tuple[Utterance, float | None]]) -> SplitSummary:
    return SplitSummary(
        utterances=len(members),
        hours=sum(length or 0.0 for _, length in members) / 3600,
        speakers=len({u.speaker for u, _ in members} - {None}),
        characters=sum(len(u.transcript) for u, _ in members),
        words=sum(len(u.transcript.split()) for u, _ in members),
    )


def _summarize_recordings(measurements: CorpusMeasurements) -> dict:
    names = (
        *("repeated_audio", "unreadable", "clipped_share", "silent_share"),
        *("formats", "leading_quiet", "trailing_quiet", "peak_decibels"),
    )
    if measurements.recordings is None:
        return dict.fromkeys(names)
    read = [recording for recording in measurements.recordings if recording is not None]
    ids_by_digest = collections.defaultdict(list)
    for utterance, recording in zip(measurements.utterances, measurements.recordings):
        if recording is not None:
            ids_by_digest[recording.digest].append(utterance.id)
    return {
        "repeated_audio": [ids for ids in ids_by_digest.values() if len(ids) > 1],
        "unreadable": len(measurements.recordings) - len(read),
        "clipped_share": sum(r.clipped for r in read) / max(len(read), 1),
        "silent_share": sum(r.silent_seconds for r in read) / (sum(r.seconds for r in read) or 1.0),
        "formats": dict(collections.Counter(r.format for r in read).most_common()),
        "leading_quiet": _percentiles([r.leading_seconds for r in read]),
        "trailing_quiet": _percentiles([r.trailing_seconds for r in read]),
        "peak_decibels": _percentiles([r.peak_decibels for r in read]),
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
