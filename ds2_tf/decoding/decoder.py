# SPDX-License-Identifier: Apache-2.0
"""All that comes after the network, as one object: search, hot words and rescoring."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from ds2_tf.decoding.beam_search import BeamSearch, DecodingStream, Hypothesis
from ds2_tf.decoding.forced_alignment import Word
from ds2_tf.decoding.ngram_model import NgramModel
from ds2_tf.decoding.package import load_package
from ds2_tf.decoding.parallel import decode_many
from ds2_tf.decoding.rescoring import rescore
from ds2_tf.errors import UserError
from ds2_tf.text.alphabet import Alphabet


@dataclasses.dataclass(frozen=True)
class Rescoring:
    """A second language model that ranks the best texts again.

    Attributes:
        model: of words or of characters, of any order.
        weight: of its natural log probability. Defaults to 0.5.
        num_best: texts of the search that it gets to see. Defaults to 100.
    """

    model: NgramModel
    weight: float = 0.5
    num_best: int = 100

    def __post_init__(self):
        if self.num_best < 1:
            raise UserError(f"Rescoring needs at least 1 text, got {self.num_best}.")
        if not np.isfinite(self.weight):
            raise UserError(f"The weight of rescoring must be finite, got {self.weight}.")


@dataclasses.dataclass(frozen=True)
class RankedText:
    """One of the best texts of an utterance; natural logarithms.

    Attributes:
        hypothesis: as it came from the search, with log p_ctc, log p_lm, length and word times.
        total: what the texts are ranked by: that of the hypothesis, and with rescoring the weighted
            `log_p_rescoring` on top.
        log_p_rescoring: log probability by the second language model; None without rescoring.
    """

    hypothesis: Hypothesis
    total: float
    log_p_rescoring: float | None = None

    @property
    def text(self) -> str:
        """Words with single spaces between them."""
        return self.hypothesis.text

    @property
    def words(self) -> tuple[Word, ...]:
        """The words and when they are said, in output frames of the network."""
        return self.hypothesis.words

    def to_dict(self) -> dict:
        """Text and scores as JSON types, without the words' times."""
        names = ("text", "log_p_ctc", "log_p_lm", "length", "unknown_words", "extra")
        scores = {name: getattr(self.hypothesis, name) for name in names}
        if self.log_p_rescoring is not None:
            scores["log_p_rescoring"] = self.log_p_rescoring
        return {**scores, "total": self.total}


class Decoder:
    """Turns log probabilities into ranked texts; safe to share between threads.

    Example:
        >>> decoder = Decoder.load("my.decoder", hot_words={"zurich": 3.0})
        >>> decoder.decode(log_probs, num_best=5)[0].text

    Args:
        search: finds the best texts.
        rescoring: ranks them again. Defaults to none.
    """

    def __init__(self, search: BeamSearch, rescoring: Rescoring | None = None):
        self.search = search
        self.rescoring = rescoring

    @classmethod
    def load(
        cls,
        path: str | os.PathLike,
        *,
        alphabet: Alphabet | None = None,
        beam_size: int | None = None,
        hot_words: Mapping[str, float] | None = None,
        rescoring: Rescoring | None = None,
    ) -> Decoder:
        """Opens a decoder package.

        Args:
            path: the package.
            alphabet: that of the network, to be checked against the package's. Defaults to the
                package's.
            beam_size: another than the package's.
            hot_words: see `BeamSearch`.
            rescoring: ranks the texts again. Defaults to none.

        Raises:
            UserError: it is no package, is damaged, or is for a network with another alphabet.
        """
        package = load_package(path)
        options = package.options
        if beam_size is not None:
            options = dataclasses.replace(options, beam_size=beam_size)
        search = package.search(alphabet=alphabet, options=options, hot_words=hot_words)
        return cls(search, rescoring)

    def decode(self, log_probs: np.ndarray, num_best: int = 1) -> list[RankedText]:
        """The best texts of one utterance, best first.

        Args:
            log_probs: float [frames, labels], natural log, without padding.
            num_best: most texts. Defaults to 1.
        """
        return self._rank(self.search.decode(log_probs, self._num_searched(num_best)), num_best)

    def decode_many(
        self,
        utterances: Iterable[np.ndarray],
        num_best: int = 1,
        *,
        threads: int | None = None,
        total: int | None = None,
        progress: bool = False,
    ) -> Iterator[list[RankedText]]:
        """Yields the best texts of each utterance, in order, decoded on several threads.

        Args:
            utterances: float [frames, labels] each, as for `decode`; read as they are needed.
            num_best: most texts. Defaults to 1.
            threads: at the same time. Defaults to the number of processors.
            total: how many utterances there are, for the progress.
            progress: show a bar on standard error. Defaults to False.
        """
        for hypotheses in decode_many(
            self.search,
            utterances,
            num_best=self._num_searched(num_best),
            threads=threads,
            total=total,
            progress=progress,
        ):
            yield self._rank(hypotheses, num_best)

    def stream(self) -> DecodingStream:
        """Starts an utterance that comes in pieces: `push` them, ask for the `partial` text.

        At the end, give it to `Decoder.finish`; its own `finish` does not rescore.
        """
        return self.search.stream()

    def finish(self, stream: DecodingStream, num_best: int = 1) -> list[RankedText]:
        """The best texts of what a stream has heard, best first, rescored."""
        return self._rank(stream.finish(self._num_searched(num_best)), num_best)

    def _num_searched(self, num_best: int) -> int:
        return max(num_best, self.rescoring.num_best) if self.rescoring else num_best

    def _rank(self, hypotheses: list[Hypothesis], num_best: int) -> list[RankedText]:
        if self.rescoring is None:
            return [RankedText(hypothesis, hypothesis.total) for hypothesis in hypotheses]
        rescored = rescore(hypotheses, self.rescoring.model, self.rescoring.weight)
        return [
            RankedText(item.hypothesis, item.total, item.log_p_lm) for item in rescored[:num_best]
        ]


def as_decoder(
    decoder: Decoder | BeamSearch | None, alphabet: Alphabet | None = None
) -> Decoder | None:
    """A decoder or a search as a decoder, checked against the alphabet of the network.

    Args:
        decoder: None stays None, which is greedy decoding.
        alphabet: the network's. Defaults to None, which checks nothing.

    Raises:
        UserError: it is for another alphabet, or is something else, such as a path.
    """
    if decoder is None:
        return None
    if isinstance(decoder, BeamSearch):
        decoder = Decoder(decoder)
    if not isinstance(decoder, Decoder):
        raise UserError(f"Expected a decoder, such as Decoder.load(path), got {decoder!r}.")
    if alphabet is not None and decoder.search.alphabet != alphabet:
        raise UserError(
            f"The decoder is for {decoder.search.alphabet.describe_mismatch(alphabet)}: make a "
            "decoder package for this model with ds2 lm package."
        )
    return decoder
