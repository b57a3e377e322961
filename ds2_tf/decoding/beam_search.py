# SPDX-License-Identifier: Apache-2.0
"""Prefix beam search: the texts y with the greatest Q(y), whole or while a stream goes on.

    Q(y) = log p_ctc(y|x) + alpha log p_lm(y) + beta length(y)

All logarithms are natural. p_ctc sums over all alignments that read as y, white space folded.
p_lm includes the end of the sentence. The length is in words, or in characters, spaces included,
with a character model. Hot words add their weight and unknown words a penalty, each time.
"""

from __future__ import annotations

import ctypes
import dataclasses
import math
import weakref
from collections.abc import Iterable, Mapping

import numpy as np

from ds2_tf.decoding.forced_alignment import Word, words_of
from ds2_tf.decoding.native_library import HypothesisData, SearchOptions, native_library
from ds2_tf.decoding.ngram_model import SPACE_TOKEN, NgramModel
from ds2_tf.errors import UserError
from ds2_tf.text.alphabet import Alphabet


@dataclasses.dataclass(frozen=True)
class BeamOptions:
    """How to search.

    Attributes:
        alpha: weight of the language model's natural log probability. Defaults to 0.
        beta: added for each word, or character with a character model. Defaults to 0.
        open_vocabulary: let any word come out, and not only those of the vocabulary. Defaults to
            False.
        unknown_score: added for each word outside the vocabulary. Defaults to -10.
        beam_size: prefixes that are kept. Defaults to 500.
        beam_threshold: prefixes this much worse than the best, in natural log, are dropped.
            Defaults to 25.
        cumulative: in each frame only the likeliest labels are followed, the fewest whose
            probabilities add up to this; 1 follows all. The paper's 0.99 is many times as fast and
            costs accuracy where the network is sure of what is wrong. Defaults to 1.
        max_labels: most labels that are followed in a frame. Defaults to 40.
    """

    alpha: float = 0.0
    beta: float = 0.0
    open_vocabulary: bool = False
    unknown_score: float = -10.0
    beam_size: int = 500
    beam_threshold: float = 25.0
    cumulative: float = 1.0
    max_labels: int = 40

    def __post_init__(self):
        numbers = dataclasses.asdict(self)
        for name, value in numbers.items():
            if math.isnan(value):
                raise UserError(f"{name} is not a number.")
        for name in ("alpha", "beta", "unknown_score"):
            if math.isinf(numbers[name]):
                raise UserError(f"{name} must be finite, got {numbers[name]}.")
        if self.alpha < 0:
            raise UserError(f"alpha must not be negative, got {self.alpha}.")
        if self.beam_size < 1 or self.max_labels < 1:
            raise UserError(
                "beam_size and max_labels must be at least 1, got "
                f"{self.beam_size} and {self.max_labels}."
            )
        if not 0 < self.cumulative <= 1:
            raise UserError(f"cumulative must be in (0, 1], got {self.cumulative}.")
        if self.beam_threshold <= 0:
            raise UserError(f"beam_threshold must be positive, got {self.beam_threshold}.")


@dataclasses.dataclass(frozen=True)
class Hypothesis:
    """A text and its score, natural logarithms throughout.

    Attributes:
        text: words with single spaces between them.
        log_p_ctc: log probability of all alignments that read as the text.
        log_p_lm: log probability of the text, its end included; 0 without a language model.
        length: its words, or characters with a character model.
        unknown_words: how many of its words are outside the vocabulary.
        extra: weights of hot words and penalties of unknown words.
        total: log_p_ctc + alpha * log_p_lm + beta * length + extra.
        words: the words with their times; empty where these were not asked for.
    """

    text: str
    log_p_ctc: float
    log_p_lm: float
    length: int
    unknown_words: int
    extra: float
    total: float
    words: tuple[Word, ...]


class BeamSearch:
    """Decodes log probabilities; safe to share between threads.

    Args:
        alphabet: the network's labels.
        options: see `BeamOptions`. Defaults to prefix beam search without a language model.
        model: the language model. Defaults to none.
        vocabulary: the words that are known. Defaults to those of a word model. Those with
            characters outside the alphabet cannot come out.
        hot_words: words to prefer, each with what is added to Q(y) whenever it is said, such as 3;
            a negative weight avoids the word. They need not be in the vocabulary: then they cost
            the penalty of an unknown word, too.

    Raises:
        UserError: the language model and the alphabet do not belong together, or a hot word is not
            a word.
    """

    def __init__(
        self,
        alphabet: Alphabet,
        options: BeamOptions | None = None,
        *,
        model: NgramModel | None = None,
        vocabulary: Iterable[str] | None = None,
        hot_words: Mapping[str, float] | None = None,
    ):
        options = options or BeamOptions()
        if model is None and options.alpha:
            raise UserError(f"alpha is {options.alpha}, but there is no language model to weigh.")
        by_character = model is not None and model.is_of_characters
        if by_character and (vocabulary or hot_words):
            raise UserError("A model of characters takes no vocabulary and no hot words.")
        if model is not None:
            _check_alphabet(model, alphabet, by_character)
        if vocabulary is None:
            vocabulary = () if model is None or by_character else model.words
        hot_words = dict(hot_words or {})
        for word, weight in hot_words.items():
            if not word or " " in word or alphabet.unknown_characters(word):
                raise UserError(
                    f"The hot word {word!r} is not one word of an alphabet of "
                    f"{alphabet.describe()}."
                )
            if not math.isfinite(weight):
                raise UserError(f"The weight of the hot word {word!r} is {weight}.")
        self.alphabet = alphabet
        self.options = options
        self.model = model
        words = _lines(vocabulary)
        native_options = SearchOptions(
            alpha=options.alpha,
            beta=options.beta,
            unknown_score=options.unknown_score,
            beam_threshold=options.beam_threshold,
            # More than any sum, so that rounding leaves no label out.
            cumulative=2.0 if options.cumulative == 1 else options.cumulative,
            beam_size=options.beam_size,
            max_labels=options.max_labels,
            closed=bool(words) and not options.open_vocabulary,
            units=by_character,
        )
        labels = _lines(alphabet.labels[1:])
        weights = np.fromiter(hot_words.values(), np.float64)
        hot = _lines(hot_words)
        library = native_library()
        self._handle = library.ds2_search_new(
            ctypes.byref(native_options),
            model.handle if model else None,
            *(labels, len(labels)),
            *(words, len(words)),
            *(hot, len(hot)),
            weights.ctypes.data,
        )
        weakref.finalize(self, library.ds2_search_delete, self._handle)

    def decode(
        self, log_probs: np.ndarray, num_best: int = 1, *, word_times: bool = True
    ) -> list[Hypothesis]:
        """The best texts of one utterance, best first.

        Args:
            log_probs: float [frames, labels], natural log, without padding.
            num_best: most texts. Defaults to 1. There are never more than the beam holds.
            word_times: find when each word is said, which may take as long as the search for the
                text. Defaults to True.
        """
        stream = self.stream()
        stream.push(log_probs)
        return stream.finish(num_best, word_times=word_times)

    def stream(self) -> DecodingStream:
        """Starts an utterance that comes in pieces."""
        return DecodingStream(self)


@dataclasses.dataclass(frozen=True)
class Partial:
    """What is known of an utterance that goes on.

    Attributes:
        stable: words that can no longer change, whatever comes: all texts that the search still
            follows begin with them. It only grows, by whole words.
        unstable: the rest of the best text so far, of which the last word may be unfinished. There
            is a space between the two where the alphabet has spaces.
    """

    stable: str
    unstable: str


class DecodingStream:
    """One utterance that comes in pieces; the result is that of decoding it whole.

    The cost of `push` and `partial` does not grow with the length of the stream. That of `finish`
    does, as it goes over all alignments of each text, and so does the memory: 4 bytes for each
    frame and label. So end an utterance where the speaker pauses, and begin another. A stream
    belongs to one thread at a time; streams of one search may run in many.

    Example:
        >>> stream = load_package("my.decoder").search().stream()
        >>> for log_probs in chunks:  # float [frames, labels] each
        ...     stream.push(log_probs)
        ...     partial = stream.partial()
        ...     print(partial.stable, "|", partial.unstable)
        >>> best, *others = stream.finish(num_best=5)
        >>> [(word.text, word.start, word.end) for word in best.words]  # in frames

    Args:
        search: how to decode. `BeamSearch.stream` is the usual way to make one.
    """

    def __init__(self, search: BeamSearch):
        self._search = search
        library = native_library()
        self._handle = library.ds2_stream_new(search._handle)
        weakref.finalize(self, library.ds2_stream_delete, self._handle)
        self._num_frames = 0
        self._stable = ""
        self._num_stable_labels = 0

    @property
    def num_frames(self) -> int:
        """The frames that have come so far."""
        return self._num_frames

    def push(self, log_probs: np.ndarray) -> None:
        """Takes the next frames.

        Args:
            log_probs: float [frames, labels], natural log, without padding. Any number of frames,
                none included.

        Raises:
            UserError: they are not of the alphabet, or not log probabilities.
        """
        log_probs = np.ascontiguousarray(log_probs, np.float32)
        size = self._search.alphabet.size
        if log_probs.ndim != 2 or log_probs.shape[1] != size:
            raise UserError(
                f"Expected log probabilities of shape [frames, {size}] for an alphabet of "
                f"{self._search.alphabet.describe()}, got {list(log_probs.shape)}: the decoder "
                "belongs to a model of another alphabet."
            )
        # NaN fails this, too.
        if log_probs.size and not log_probs.max() <= 1e-3:
            raise UserError(
                "Expected natural log probabilities: NaN, or logits, cannot be decoded."
            )
        native_library().ds2_stream_push(self._handle, log_probs.ctypes.data, len(log_probs))
        self._num_frames += len(log_probs)

    def partial(self) -> Partial:
        """The best text so far, and how much of it is certain."""
        library, settled = native_library(), ctypes.c_int64()
        labels = np.empty(256, np.int32)
        known = self._num_stable_labels
        while True:
            length = library.ds2_stream_partial(
                self._handle, known, labels.ctypes.data, len(labels), ctypes.byref(settled)
            )
            if length <= len(labels):
                break
            labels = np.empty(length, np.int32)
        self._num_stable_labels = settled.value
        decode = self._search.alphabet.decode
        self._stable += decode(labels[: settled.value - known].tolist())
        unstable = decode(labels[settled.value - known : length].tolist())
        return Partial(self._stable.strip(), unstable.strip())

    def finish(self, num_best: int = 1, *, word_times: bool = True) -> list[Hypothesis]:
        """The best texts of what has come, best first; the stream may still go on.

        Args:
            num_best: most texts. Defaults to 1.
            word_times: find when each word is said. Defaults to True.
        """
        if num_best < 1:
            raise UserError(f"num_best must be at least 1, got {num_best}.")
        library = native_library()
        result = library.ds2_stream_finish(self._handle, num_best)
        try:
            hypotheses = []
            data = HypothesisData()
            for index in range(library.ds2_result_size(result)):
                library.ds2_result_get(result, index, ctypes.byref(data))
                labels = data.labels[: data.num_labels]
                text = self._search.alphabet.decode(labels)
                hypotheses.append(
                    Hypothesis(
                        text=text,
                        log_p_ctc=data.log_p_ctc,
                        log_p_lm=data.log_p_lm,
                        length=data.units,
                        unknown_words=data.unknown,
                        extra=data.extra,
                        total=data.total,
                        words=self._words(labels) if word_times else (),
                    )
                )
            return hypotheses
        finally:
            library.ds2_result_delete(result)

    def _words(self, labels: list[int]) -> tuple[Word, ...]:
        array = np.array(labels, np.int32)
        spans = np.empty((len(labels), 2), np.int64)
        native_library().ds2_stream_align(
            self._handle, array.ctypes.data, len(labels), spans.ctypes.data
        )
        return words_of(labels, spans, self._search.alphabet)


def _lines(items: Iterable[str]) -> bytes:
    return "".join(item + "\n" for item in items).encode("utf-8")


def _check_alphabet(model: NgramModel, alphabet: Alphabet, by_character: bool) -> None:
    if by_character:
        if alphabet.has_bigrams:
            raise UserError(
                f"The language model {model.path} is of characters, which cannot rate the bigrams "
                "of this network: build one of words."
            )
        known = {" " if word == SPACE_TOKEN else word for word in model.words}
        usable = known & set(alphabet.characters)
    else:
        if " " not in alphabet.characters:
            raise UserError(
                f"The language model {model.path} is of words, but an alphabet of "
                f"{alphabet.describe()} has no space to part them: build one of characters."
            )
        known = model.words
        characters = set(alphabet.characters)
        usable = [word for word in known if characters.issuperset(word)]
    if 2 * len(usable) < len(known):
        strange = sorted(set("".join(known)) - set(alphabet.characters))[:10]
        raise UserError(
            f"The language model {model.path} is of another alphabet: only {len(usable)} of its "
            f"{len(known)} {'characters' if by_character else 'words'} can be spelled in "
            f"an alphabet of {alphabet.describe()}. It has, for example, {strange}."
        )
