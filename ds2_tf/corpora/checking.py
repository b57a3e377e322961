# SPDX-License-Identifier: Apache-2.0
"""What makes an utterance usable: one definition for checks, ingestion and training.

`check_corpus` applies it to a whole manifest.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence

import numpy as np

from ds2_tf.audio.reading import AudioError, RawFormat, read_audio
from ds2_tf.corpora.manifest import (
    EmptyManifest,
    Utterance,
    manifest_lines,
    parse_utterance,
    resolve_audio,
)
from ds2_tf.corpora.parallel import map_in_processes
from ds2_tf.corpora.rejection import BadUtterance, Rejection, RejectionReport
from ds2_tf.text.alphabet import Alphabet

# Peak amplitude under which a recording holds nothing: 3 steps of 16-bit samples.
SILENCE_PEAK = 1e-4


def ctc_frames_needed(labels: Sequence[int]) -> int:
    """The fewest output frames with which CTC can emit these labels.

    Every label takes a frame, and two equal neighbors need a blank between them.
    """
    return len(labels) + sum(a == b for a, b in zip(labels, labels[1:]))


def check_transcript(transcript: str, alphabet: Alphabet) -> list[int]:
    """The label indices of a usable transcript.

    Raises:
        BadUtterance: it is empty or has characters outside the alphabet.
    """
    if not transcript.strip():
        raise BadUtterance("empty-transcript", f"the transcript is {transcript!r}")
    unknown = alphabet.unknown_characters(transcript)
    if unknown:
        raise BadUtterance(
            "unknown-characters", f"{unknown!r} in {transcript!r} are not in the alphabet"
        )
    return alphabet.encode(transcript)


def load_utterance(
    utterance: Utterance,
    manifest_path: str | os.PathLike,
    alphabet: Alphabet,
    *,
    sample_rate: int = 16000,
    hop_samples: int = 160,
    time_stride: int = 1,
    raw: RawFormat | None = None,
) -> np.ndarray:
    """Reads the recording of a usable utterance.

    Args:
        utterance: a manifest line.
        manifest_path: where its manifest lies.
        alphabet: what the transcript may be made of.
        sample_rate: samples per second of the result. Defaults to 16000.
        hop_samples: samples a feature frame. Defaults to 160.
        time_stride: feature frames per output frame of the network. Defaults to 1.
        raw: the format of headerless recordings, where the corpus has them.

    Returns:
        float32 samples [N], mono.

    Raises:
        BadUtterance: the recording or the transcript cannot be used.
    """
    labels = check_transcript(utterance.transcript, alphabet)
    try:
        samples = read_audio(
            resolve_audio(utterance, manifest_path), sample_rate=sample_rate, raw=raw
        )
    except AudioError as error:
        raise BadUtterance(error.reason, error.detail) from error
    seconds = len(samples) / sample_rate
    # A tenth of a second is forgiven: lossy formats pad, and manifests round.
    if utterance.duration is not None and seconds < 0.99 * utterance.duration - 0.1:
        raise BadUtterance(
            "truncated-audio",
            f"{seconds:.2f} s could be read, the manifest says {utterance.duration:.2f} s",
        )
    peak = float(np.abs(samples).max())
    if peak < SILENCE_PEAK:
        raise BadUtterance("silent-audio", f"the loudest sample is {peak:.1e} of full scale")
    frames = -(-(len(samples) // hop_samples) // time_stride)
    needed = ctc_frames_needed(labels)
    if frames < needed:
        raise BadUtterance(
            "too-short-for-transcript",
            f"{seconds:.2f} s give {frames} output frames, {utterance.transcript!r} needs {needed}",
        )
    return samples


def parse_lines(manifest_path: str | os.PathLike, report: RejectionReport) -> Iterator[Utterance]:
    """Yields the utterances of a manifest; unreadable lines and repeated ids go to the report.

    Args:
        manifest_path: the manifest.
        report: gets the number of lines seen, and the rejections.
    """
    first_line: dict[str, int] = {}
    for line_number, line in manifest_lines(manifest_path):
        report.total += 1
        try:
            utterance = parse_utterance(line)
        except ValueError as error:
            report.rejections.append(Rejection(f"line {line_number}", "malformed-line", str(error)))
            continue
        if utterance.id in first_line:
            report.rejections.append(
                Rejection(
                    utterance.id,
                    "duplicate-id",
                    f"line {line_number} repeats the id of line {first_line[utterance.id]}",
                )
            )
            continue
        first_line[utterance.id] = line_number
        yield utterance


def check_corpus(
    manifest_path: str | os.PathLike,
    alphabet: Alphabet,
    *,
    sample_rate: int = 16000,
    hop_samples: int = 160,
    time_stride: int = 1,
    raw: RawFormat | None = None,
    jobs: int | None = None,
    progress: bool = True,
) -> RejectionReport:
    """Reads every recording of a corpus and says which utterances cannot be used.

    Args:
        manifest_path: the manifest.
        alphabet: what the transcripts may be made of.
        sample_rate: samples per second of the features. Defaults to 16000.
        hop_samples: samples a feature frame. Defaults to 160.
        time_stride: feature frames per output frame of the network. Defaults to 1.
        raw: the format of headerless recordings, where the corpus has them.
        jobs: most processes. Defaults to the number of processors.
        progress: show a bar. Defaults to true.

    Returns:
        The report: first what is wrong with lines and ids, then with utterances, each in the order
        of the manifest.

    Raises:
        EmptyManifest: there is no line.
    """
    report = RejectionReport()
    utterances = list(parse_lines(manifest_path, report))
    if not report.total:
        raise EmptyManifest(manifest_path)
    find_rejection = functools.partial(
        _find_rejection,
        manifest_path=os.fspath(manifest_path),
        alphabet=alphabet,
        sample_rate=sample_rate,
        hop_samples=hop_samples,
        time_stride=time_stride,
        raw=raw,
    )
    found = map_in_processes(
        find_rejection, utterances, description="Checking", jobs=jobs, progress=progress
    )
    report.rejections.extend(rejection for rejection in found if rejection is not None)
    return report


def _find_rejection(utterance: Utterance, **conditions) -> Rejection | None:
    try:
        load_utterance(utterance, **conditions)
    except BadUtterance as problem:
        return Rejection(utterance.id, problem.reason, problem.detail)
    return None
