# SPDX-License-Identifier: Apache-2.0
"""Word and character error rate of a model directory on a manifest."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import os
import sys
from collections.abc import Iterator, Mapping, Sequence

from ds2_tf.audio.reading import RawFormat
from ds2_tf.corpora.checking import load_utterance, parse_lines
from ds2_tf.corpora.manifest import EmptyManifest, Utterance, require_splits
from ds2_tf.corpora.rejection import DEFAULT_LIMIT, BadUtterance, Rejection, RejectionReport
from ds2_tf.errors import UserError
from ds2_tf.metrics.bootstrap import Interval, error_rate_interval
from ds2_tf.metrics.error_rate import ErrorCounts, character_errors, total, word_errors
from ds2_tf.metrics.slices import DURATION, SPEAKER, slice_values
from ds2_tf.metrics.utterance_result import UtteranceResult
from ds2_tf.recognizer import Recognition, Recognizer

# Recordings held in memory at a time.
_CHUNK = 256
# A field with more different values is no natural way to divide a corpus.
_FEW_VALUES = 20


@dataclasses.dataclass(frozen=True)
class Result:
    """One utterance, as it was said and as it was heard.

    Attributes:
        id: of the utterance.
        reference: what was said.
        hypothesis: what was heard.
        greedy: what greedy decoding makes of it, where the hypothesis comes from a decoder.
        seconds: length of the recording.
        fields: what the manifest says of it besides, the speaker included where known.
    """

    id: str
    reference: str
    hypothesis: str
    greedy: str | None = None
    seconds: float | None = None
    fields: Mapping[str, object] = dataclasses.field(default_factory=dict)

    def to_dict(self) -> dict:
        """Reference and hypothesis with their error counts, as JSON types."""
        words = word_errors(self.reference, self.hypothesis)
        return {
            "id": self.id,
            "reference": self.reference,
            "hypothesis": self.hypothesis,
            "wer": words.rate,
            "word_errors": words.errors,
        }


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """A model measured on a corpus.

    Attributes:
        results: every usable utterance, in the order of the manifest.
        report: the utterances that could not be used.
        audio_seconds: length of the usable audio.
    """

    results: list[Result]
    report: RejectionReport
    audio_seconds: float

    @property
    def words(self) -> ErrorCounts:
        """Word errors of the whole corpus."""
        return total(word_errors(r.reference, r.hypothesis) for r in self.results)

    @property
    def word_interval(self) -> Interval:
        """The 95 % confidence interval of the word error rate, by bootstrap over utterances."""
        counts = [word_errors(r.reference, r.hypothesis) for r in self.results]
        return error_rate_interval([c.errors for c in counts], [c.reference_length for c in counts])

    @property
    def characters(self) -> ErrorCounts:
        """Character errors of the whole corpus."""
        return total(character_errors(r.reference, r.hypothesis) for r in self.results)

    def to_dict(self) -> dict:
        """Rates, counts of words and their edits, utterances, as JSON types."""
        words, characters, interval = self.words, self.characters, self.word_interval
        return {
            "wer": words.rate,
            "wer_interval": [interval.low, interval.high],
            "cer": characters.rate,
            "words": words.reference_length,
            "characters": characters.reference_length,
            "utterances": len(self.results),
            "substitutions": words.substitutions,
            "insertions": words.insertions,
            "deletions": words.deletions,
            "rejected": len(self.report.rejections),
            "audio_seconds": self.audio_seconds,
        }

    def utterance_results(self, slices: Sequence[str]) -> list[UtteranceResult]:
        """The utterances for a report.

        Args:
            slices: fields to slice by, such as of `slice_fields`.
        """
        return [
            UtteranceResult(
                id=result.id,
                reference=result.reference,
                hypotheses={"greedy": result.hypothesis}
                if result.greedy is None
                else {"with language model": result.hypothesis, "greedy": result.greedy},
                seconds=result.seconds,
                slices=slice_values(result.fields, result.seconds, slices),
            )
            for result in self.results
        ]

    def summary(self) -> str:
        """The measurement for a terminal."""
        words, characters, interval = self.words, self.characters, self.word_interval
        lines = [
            f"WER {words.rate:.2%} ({words.errors} errors in {words.reference_length} words: "
            f"{words.substitutions} substitutions, {words.insertions} insertions, "
            f"{words.deletions} deletions; 95 % confidence interval {interval.low:.2%} to "
            f"{interval.high:.2%})",
            f"CER {characters.rate:.2%}",
            f"{len(self.results)} utterances, {self.audio_seconds / 60:.1f} minutes",
        ]
        if self.report.rejections:
            lines.append(self.report.summary())
        return "\n".join(lines)


def slice_fields(manifest_path: str | os.PathLike, names: Sequence[str] | None = None) -> list[str]:
    """The fields of a manifest by which errors are to be counted apart.

    Args:
        manifest_path: the corpus.
        names: which ones. Defaults to the speaker, the length, and the fields of the manifest that
            have few values.

    Raises:
        UserError: no utterance has one of these fields.
    """
    values = collections.defaultdict(set)
    for utterance in parse_lines(manifest_path, RejectionReport()):
        fields = _fields(utterance)
        for name, value in slice_values(fields, None, list(fields)).items():
            values[name].add(value)
    if names is None:
        further = [n for n in values if n != SPEAKER and 1 < len(values[n]) <= _FEW_VALUES]
        return [name for name in (SPEAKER, DURATION, *further) if name in (DURATION, *values)]
    for name in names:
        if name not in (DURATION, *values):
            known = ", ".join([DURATION, *values])
            raise UserError(f"No utterance has a field {name!r} to slice by; found {known}.")
    return list(names)


def evaluate(
    model_directory: str | os.PathLike,
    manifest_path: str | os.PathLike,
    *,
    split: str | None = None,
    max_bad_share: float = DEFAULT_LIMIT,
    raw: RawFormat | None = None,
    decoder: str | os.PathLike | None = None,
) -> Evaluation:
    """Transcribes a manifest and counts the errors.

    Args:
        model_directory: see `ds2_tf.models.model_directory`.
        manifest_path: the corpus.
        split: only the utterances of this split. Defaults to all.
        max_bad_share: most utterances, as a share, that may be unusable. Defaults to 0.01.
        raw: the format of headerless recordings, where the corpus has them.
        decoder: a decoder package; see `ds2_tf.decoding.package`. Defaults to greedy decoding.

    Raises:
        TooManyRejections: more utterances than that are unusable.
        UserError: the manifest has no such split or is empty, or the model directory or the decoder
            package cannot be used.
    """
    if split is not None:
        require_splits([split], manifest_path)
    recognizer = Recognizer.load(model_directory)
    texts = _text_of
    if decoder is not None:
        from ds2_tf.decoding.package import load_package
        from ds2_tf.decoding.parallel import decode_many

        search = load_package(decoder).search(alphabet=recognizer.alphabet)

        def texts(recognitions):
            log_probs = (r.log_probs for r in recognitions)
            results = decode_many(
                search, log_probs, word_times=False, total=len(recognitions), progress=True
            )
            for best, *_ in results:
                yield best.text

    report = RejectionReport()
    results: list[Result] = []
    audio_seconds = 0.0
    recognized = recognize_manifest(recognizer, manifest_path, report, split=split, raw=raw)
    for chunk in recognized:
        recognitions = [recognition for _, recognition, _ in chunk]
        for (utterance, recognition, seconds), text in zip(chunk, texts(recognitions)):
            reference = " ".join(utterance.transcript.split())
            results.append(
                Result(
                    utterance.id,
                    reference,
                    text,
                    greedy=None if decoder is None else recognition.text,
                    seconds=seconds,
                    fields=_fields(utterance),
                )
            )
            audio_seconds += seconds
    report.enforce(max_bad_share)
    return Evaluation(results, report, audio_seconds)


def _fields(utterance: Utterance) -> dict[str, object]:
    speaker = {} if utterance.speaker is None else {SPEAKER: utterance.speaker}
    return {**speaker, **utterance.extra}


def _text_of(recognitions: list[Recognition]) -> Iterator[str]:
    return (recognition.text for recognition in recognitions)


def recognize_manifest(
    recognizer: Recognizer,
    manifest_path: str | os.PathLike,
    report: RejectionReport,
    *,
    split: str | None = None,
    raw: RawFormat | None = None,
) -> Iterator[list[tuple[Utterance, Recognition, float]]]:
    """Runs the network over the usable utterances of a manifest, some hundred at a time.

    Args:
        recognizer: the network.
        manifest_path: the corpus.
        report: gets the unusable ones; it is complete when the iterator has ended.
        split: only the utterances of this split. Defaults to all.
        raw: the format of headerless recordings, where the corpus has them.

    Yields:
        Utterances, what was heard, and the seconds of audio, in the order of the manifest.

    Raises:
        EmptyManifest: there is no line.
    """
    usable = _usable(recognizer, manifest_path, split, report, raw)
    done = 0
    while chunk := list(itertools.islice(usable, _CHUNK)):
        recognitions = recognizer.recognize([samples for _, samples in chunk])
        done += len(chunk)
        print(f"{done} utterances recognised", file=sys.stderr, flush=True)
        yield [
            (utterance, recognition, len(samples) / recognizer.sample_rate)
            for (utterance, samples), recognition in zip(chunk, recognitions)
        ]


def _usable(recognizer, manifest_path, split, report, raw) -> Iterator[tuple]:
    features = recognizer.description.features
    seen_before, skipped = report.total, 0
    for utterance in parse_lines(manifest_path, report):
        if split is not None and utterance.split != split:
            skipped += 1
            continue
        try:
            samples = load_utterance(
                utterance,
                manifest_path,
                recognizer.alphabet,
                sample_rate=features.sample_rate,
                hop_samples=features.hop_samples,
                time_stride=recognizer.description.model.time_stride,
                raw=raw,
            )
        except BadUtterance as error:
            report.rejections.append(Rejection(utterance.id, error.reason, error.detail))
            continue
        yield utterance, samples
    if report.total == seen_before:
        raise EmptyManifest(manifest_path)
    report.total -= skipped
