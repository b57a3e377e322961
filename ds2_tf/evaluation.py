# SPDX-License-Identifier: Apache-2.0
"""Word and character error rate of a model directory on a manifest."""

from __future__ import annotations

import dataclasses
import itertools
import os
import sys
from collections.abc import Iterator

from ds2_tf.audio.reading import RawFormat
from ds2_tf.corpora.checking import load_utterance, parse_lines
from ds2_tf.corpora.manifest import Utterance
from ds2_tf.corpora.rejection import DEFAULT_LIMIT, BadUtterance, Rejection, RejectionReport
from ds2_tf.metrics.error_rate import ErrorCounts, character_errors, total, word_errors
from ds2_tf.recognizer import Recognition, Recognizer

# Recordings held in memory at a time.
_CHUNK = 256


@dataclasses.dataclass(frozen=True)
class Result:
    """One utterance, as it was said and as it was heard."""

    id: str
    reference: str
    hypothesis: str

    def to_dict(self) -> dict:
        """The result with its error counts, as JSON types."""
        words = word_errors(self.reference, self.hypothesis)
        return {**dataclasses.asdict(self), "wer": words.rate, "word_errors": words.errors}


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
    def characters(self) -> ErrorCounts:
        """Character errors of the whole corpus."""
        return total(character_errors(r.reference, r.hypothesis) for r in self.results)

    def to_dict(self) -> dict:
        """Rates, counts of words and their edits, utterances, as JSON types."""
        words, characters = self.words, self.characters
        return {
            "wer": words.rate,
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

    def summary(self) -> str:
        """The measurement for a terminal."""
        words, characters = self.words, self.characters
        lines = [
            f"WER {words.rate:.2%} ({words.errors} errors in {words.reference_length} words: "
            f"{words.substitutions} substitutions, {words.insertions} insertions, "
            f"{words.deletions} deletions)",
            f"CER {characters.rate:.2%}",
            f"{len(self.results)} utterances, {self.audio_seconds / 60:.1f} minutes",
        ]
        if self.report.rejections:
            lines.append(self.report.summary())
        return "\n".join(lines)


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
        UserError: the model directory or the decoder package cannot be used.
    """
    recognizer = Recognizer.load(model_directory)
    texts = _text_of
    if decoder is not None:
        from ds2_tf.decoding.package import load_package
        from ds2_tf.decoding.parallel import decode_many

        search = load_package(decoder).search(alphabet=recognizer.alphabet)

        def texts(recognitions):
            log_probs = (r.log_probs for r in recognitions)
            results = decode_many(search, log_probs, total=len(recognitions), progress=True)
            for best, *_ in results:
                yield best.text

    report = RejectionReport()
    results: list[Result] = []
    audio_seconds = 0.0
    recognized = recognize_manifest(recognizer, manifest_path, report, split=split, raw=raw)
    for chunk in recognized:
        recognitions = [recognition for _, recognition, _ in chunk]
        for (utterance, _, seconds), text in zip(chunk, texts(recognitions)):
            reference = " ".join(utterance.transcript.split())
            results.append(Result(utterance.id, reference, text))
            audio_seconds += seconds
    report.enforce(max_bad_share)
    return Evaluation(results, report, audio_seconds)


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
    skipped = 0
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
    report.total -= skipped
