# SPDX-License-Identifier: Apache-2.0
"""From text to a pruned n-gram model in KenLM's binary format."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import math
import os
import pathlib
import subprocess
import tempfile
import time
from collections.abc import Iterable, Sequence

from ds2_tf.corpora.manifest import require_splits
from ds2_tf.decoding.ngram_model import NgramModel, character_tokens
from ds2_tf.errors import UserError
from ds2_tf.lm.text import is_manifest, read_sentences, text_normalization
from ds2_tf.lm.tools import kenlm_program
from ds2_tf.text.alphabet import Alphabet

DEFAULT_VOCABULARY_LIMIT = 400_000
DEFAULT_HELD_OUT_SHARE = 0.02


@dataclasses.dataclass(frozen=True)
class BuildReport:
    """A language model and what it was made of. Words are characters in a character model.

    Attributes:
        by_character: whether it is one of characters.
        sentences: sentences of the text that were used.
        words: their words.
        left_out: sentences with characters outside the alphabet, which were not.
        distinct_words: different words of the text.
        counts: n-grams of each length, from 1, in the model.
        discount_fallback: whether the text was too small to estimate the discounts of Kneser-Ney
            smoothing, so that fixed ones were taken.
        held_out_sentences: sentences on which the following were measured.
        perplexity: per word, sentence ends included, unknown words excluded; None without held-out
            text. Where no text of its own was given, it is that of a model without the share held
            out, while the model that is written has seen all of the text.
        unknown_share: share of the words held out that the model does not know.
        seconds: what it all took.
    """

    by_character: bool
    sentences: int
    words: int
    left_out: int
    distinct_words: int
    counts: list[int]
    discount_fallback: bool
    held_out_sentences: int
    perplexity: float | None
    unknown_share: float | None
    seconds: float

    def to_dict(self) -> dict:
        """The report as JSON types."""
        return dataclasses.asdict(self)

    def summary(self) -> str:
        """The report for a terminal."""
        words = "characters" if self.by_character else "words"
        left_out = f"; {self.left_out:,} sentences left out" if self.left_out else ""
        lines = [
            f"{self.sentences:,} sentences, {self.words:,} {words}, "
            f"{self.distinct_words:,} distinct{left_out}",
            "n-grams: " + ", ".join(f"{n}: {count:,}" for n, count in enumerate(self.counts, 1)),
        ]
        if self.discount_fallback:
            lines.append("too little text to estimate discounts: fixed ones were used")
        if self.perplexity is not None:
            lines.append(
                f"perplexity {self.perplexity:.1f} (of {words}) on {self.held_out_sentences:,} "
                f"sentences held out, {self.unknown_share:.2%} of whose {words} are unknown"
            )
        lines.append(f"{self.seconds:.1f} s")
        return "\n".join(lines)


def build_lm(
    sources: Sequence[str | os.PathLike],
    output: str | os.PathLike,
    alphabet: Alphabet,
    *,
    order: int = 5,
    prune: Sequence[int] = (),
    vocabulary_limit: int = DEFAULT_VOCABULARY_LIMIT,
    by_character: bool = False,
    split: str | None = None,
    language: str | None = None,
    held_out: Sequence[str | os.PathLike] = (),
    held_out_share: float = DEFAULT_HELD_OUT_SHARE,
) -> BuildReport:
    """Estimates a model with modified Kneser-Ney smoothing.

    Args:
        sources: texts and manifests; see `ds2_tf.lm.text.read_sentences`.
        output: the KenLM binary to write.
        alphabet: of the network whose output the model will rate. A sentence with other characters,
            after normalization, is left out.
        order: the longest n-gram's length, 2 to 6. Defaults to 5.
        prune: n-grams that occur as often or less are dropped: a number for each length from 1, the
            last for all longer ones, such as (0, 0, 1). Defaults to none.
        vocabulary_limit: the most frequent words are kept. Defaults to 400,000.
        by_character: make a model of characters. Defaults to one of words.
        split: only this split of manifests. Defaults to all.
        language: see `ds2_tf.lm.text.text_normalization`.
        held_out: texts and manifests to measure the model on. Defaults to a share of the sources.
        held_out_share: that share, every n-th sentence; 0 measures nothing. Defaults to 0.02.

    Raises:
        UserError: there is no text or no such split, KenLM's programs are missing, or they cannot
            make such a model.
    """
    start = time.monotonic()
    if not 2 <= order <= 6:
        raise UserError(f"The order must be from 2 to 6, got {order}.")
    if not by_character and " " not in alphabet.characters:
        raise UserError(
            f"An alphabet of {alphabet.describe()} has no space to part words: build "
            "a model of characters."
        )
    if held_out and split:
        raise UserError("Held-out text cannot be given together with a split of manifests.")
    # Of a text, which has no splits, the reading says so.
    if split is not None and all(map(is_manifest, sources)):
        require_splits([split], *sources)
    normalize = text_normalization(alphabet, language)
    with tempfile.TemporaryDirectory(prefix="ds2-lm-") as name:
        directory = pathlib.Path(name)
        every = round(1 / held_out_share) if held_out_share and not held_out else 0
        corpus = _Corpus(alphabet, normalize, by_character)
        corpus.write(_sentences(sources, split), directory / "text", directory / "rest", every)
        if not corpus.sentences:
            raise UserError(
                f"There is no sentence in {', '.join(map(str, sources))} that can be spelled in "
                f"an alphabet of {alphabet.describe()}; {corpus.left_out} were left out."
            )
        vocabulary = None
        if len(corpus.words) > vocabulary_limit and not by_character:
            vocabulary = directory / "vocabulary"
            frequent = sorted(corpus.words.items(), key=lambda item: (-item[1], item[0]))
            words = (word + "\n" for word, _ in frequent[:vocabulary_limit])
            vocabulary.write_text("".join(words), "utf-8")
        binary = directory / "model"
        fallback = _estimate(directory / "text", binary, order, prune, vocabulary)
        counts = NgramModel(binary).counts
        measured = _Measured()
        if held_out:
            unseen = _Corpus(alphabet, normalize, by_character)
            unseen.write(_sentences(held_out, None), directory / "unseen", None, 0)
            measured = _measure(binary, directory / "unseen")
        elif corpus.held_out and corpus.sentences > corpus.held_out:
            _estimate(directory / "rest", directory / "trial", order, prune, vocabulary)
            measured = _measure(directory / "trial", directory / "rest.held_out")
        output = pathlib.Path(output)
        output.parent.mkdir(parents=True, exist_ok=True)
        temporary = output.with_name(f".{output.name}.{os.getpid()}.tmp")
        temporary.write_bytes(binary.read_bytes())
        temporary.replace(output)
    return BuildReport(
        by_character=by_character,
        sentences=corpus.sentences,
        words=sum(corpus.words.values()),
        left_out=corpus.left_out,
        distinct_words=len(corpus.words),
        counts=counts,
        discount_fallback=fallback,
        held_out_sentences=measured.sentences,
        perplexity=measured.perplexity,
        unknown_share=measured.unknown_share,
        seconds=time.monotonic() - start,
    )


def _sentences(sources, split) -> Iterable[str]:
    for source in sources:
        yield from read_sentences(source, split)


class _Corpus:
    """Normalized text on its way to a file, and what it consists of."""

    def __init__(self, alphabet, normalize, by_character):
        self.alphabet, self.normalize, self.by_character = alphabet, normalize, by_character
        self.words = collections.Counter()
        self.sentences = self.left_out = self.held_out = 0

    def write(self, sentences, path, rest_path, every) -> None:
        """Writes all sentences to `path`; every n-th to `rest_path`.held_out, others there."""
        with contextlib.ExitStack() as files:

            def create(name):
                return files.enter_context(open(name, "w", encoding="utf-8"))

            whole = create(path)
            rest, aside = (
                (create(rest_path), create(f"{rest_path}.held_out")) if every else (None, None)
            )
            for sentence in sentences:
                text = self.normalize(sentence)
                if not text:
                    continue
                if self.alphabet.unknown_characters(text):
                    self.left_out += 1
                    continue
                tokens = character_tokens(text) if self.by_character else text.split()
                self.words.update(tokens)
                self.sentences += 1
                line = " ".join(tokens) + "\n"
                whole.write(line)
                if every:
                    chosen = self.sentences % every == 0
                    self.held_out += chosen
                    (aside if chosen else rest).write(line)


def _estimate(text, binary, order, prune, vocabulary) -> bool:
    """Runs KenLM; whether it had to fall back to fixed discounts."""
    command = [kenlm_program("lmplz"), "--order", str(order), "--text", str(text)]
    command += ["--arpa", f"{binary}.arpa", "--temp_prefix", f"{binary}-"]
    command += ["--memory", f"{_memory(text) // 2**20}M"]
    if prune:
        command += ["--prune", *map(str, prune)]
    if vocabulary:
        command += ["--limit_vocab_file", str(vocabulary)]
    fallback = False
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode and "discount_fallback" in result.stderr:
        fallback = True
        result = subprocess.run([*command, "--discount_fallback"], capture_output=True, text=True)
    _check(result, "lmplz")
    program = kenlm_program("build_binary")
    arguments = [program, "probing", f"{binary}.arpa", str(binary)]
    _check(subprocess.run(arguments, capture_output=True, text=True), "build_binary")
    os.unlink(f"{binary}.arpa")
    return fallback


def _memory(text) -> int:
    """Bytes for sorting: enough for the text, but not all that the machine has."""
    half = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    return min(half, max(64 * 2**20, 40 * os.path.getsize(text)))


def _check(result, name) -> None:
    if result.returncode:
        said = " ".join(result.stderr.strip().splitlines()[-3:])
        raise UserError(f"{name} failed with status {result.returncode}: {said}")


@dataclasses.dataclass(frozen=True)
class _Measured:
    sentences: int = 0
    perplexity: float | None = None
    unknown_share: float | None = None


def _measure(binary, text) -> _Measured:
    model = NgramModel(binary)
    sentences = words = unknown = 0
    total = 0.0
    with open(text, encoding="utf-8") as file:
        for line in file:
            tokens = line.split()
            score, missing, missing_score = model.score_with_unknown(tokens)
            sentences += 1
            words += len(tokens)
            unknown += missing
            total += score - missing_score
    if not words:
        return _Measured()
    perplexity = math.exp(-total / (words - unknown + sentences))
    return _Measured(sentences, perplexity, unknown / words)
