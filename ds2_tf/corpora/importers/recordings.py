# SPDX-License-Identifier: Apache-2.0
"""Recordings on disk: finding them, and writing the manifest that points at them."""

from __future__ import annotations

import collections
import dataclasses
import functools
import os
import pathlib
from collections.abc import Iterable

from ds2_tf.audio.reading import RAW_SUFFIXES, AudioError, RawFormat, audio_duration
from ds2_tf.corpora.manifest import Utterance, read_manifest, split_order, write_manifest
from ds2_tf.corpora.parallel import map_in_processes
from ds2_tf.errors import UserError

AUDIO_SUFFIXES = (".wav", ".flac", ".sph", *RAW_SUFFIXES, ".ogg", ".opus", ".mp3", ".aiff", ".aif")


@dataclasses.dataclass(frozen=True)
class ImportSummary:
    """What an importer wrote.

    Attributes:
        manifest: path of the manifest.
        utterances: number by split.
        hours: of readable recordings, by split.
        speakers: number by split.
        unreadable: recordings whose length could not be found out.
    """

    manifest: str
    utterances: dict[str, int]
    hours: dict[str, float]
    speakers: dict[str, int]
    unreadable: int

    @classmethod
    def of(cls, manifest: str | os.PathLike) -> ImportSummary:
        """Sums a manifest up; utterances without a split count as "unassigned"."""
        utterances: collections.Counter[str] = collections.Counter()
        seconds: collections.Counter[str] = collections.Counter()
        speakers = collections.defaultdict(set)
        unreadable = 0
        for utterance in read_manifest(manifest):
            split = utterance.split or "unassigned"
            utterances[split] += 1
            seconds[split] += utterance.duration or 0.0
            speakers[split].update({utterance.speaker} - {None})
            unreadable += utterance.duration is None
        splits = sorted(utterances, key=split_order)
        return cls(
            manifest=str(manifest),
            utterances={split: utterances[split] for split in splits},
            hours={split: seconds[split] / 3600 for split in splits},
            speakers={split: len(speakers[split]) for split in splits},
            unreadable=unreadable,
        )

    def text(self) -> str:
        """The summary for a terminal."""
        lines = [f"Manifest: {self.manifest}"]
        lines += [
            f"  {split}: {count} utterances, {self.hours[split]:.2f} h, "
            f"{self.speakers[split]} speakers"
            for split, count in self.utterances.items()
        ]
        if self.unreadable:
            lines.append(
                f"  {self.unreadable} recordings could not be read: "
                f"ds2 corpus check {self.manifest} says which and why."
            )
        return "\n".join(lines)


def find_recording(without_suffix: pathlib.Path) -> pathlib.Path | None:
    """The recording of this name, of whichever audio format; None where there is none."""
    for suffix in AUDIO_SUFFIXES:
        path = without_suffix.with_name(without_suffix.name + suffix)
        if path.exists():
            return path
    return None


def write_imported(
    output: str | os.PathLike,
    utterances: Iterable[Utterance],
    *,
    raw: RawFormat | None,
    jobs: int | None,
    progress: bool,
) -> ImportSummary:
    """Writes the manifest of utterances whose recordings may lie anywhere.

    Args:
        output: path of the manifest. A recording below its folder is given relative to it, so that
            the folder can be moved as a whole; others are given by their absolute paths.
        utterances: with paths that are valid from here; durations are added.
        raw: the format of headerless recordings.
        jobs: most processes. Defaults to the number of processors.
        progress: show a bar.

    Raises:
        UserError: there are no utterances, or not one recording can be read.
    """
    utterances = list(utterances)
    durations = map_in_processes(
        functools.partial(_measure, raw=raw),
        utterances,
        description="Importing",
        jobs=jobs,
        progress=progress,
    )
    folder = pathlib.Path(output).absolute().parent
    measured = [
        dataclasses.replace(
            utterance, audio=_as_seen_from(folder, utterance.audio), duration=duration
        )
        for utterance, duration in zip(utterances, durations)
    ]
    if all(utterance.duration is None for utterance in measured):
        example = f", for example {utterances[0].audio}" if utterances else ""
        raise UserError(
            f"None of {len(utterances)} recordings could be read{example}. "
            "Is this the right directory, and does it hold the audio?"
        )
    write_manifest(output, measured)
    return ImportSummary.of(output)


def _measure(utterance: Utterance, raw: RawFormat | None) -> float | None:
    try:
        return round(audio_duration(utterance.audio, raw=raw), 4)
    except AudioError:
        return None


def _as_seen_from(folder: pathlib.Path, audio: str) -> str:
    path = pathlib.Path(audio).absolute()
    if path.is_relative_to(folder):
        return path.relative_to(folder).as_posix()
    return str(path)
