# SPDX-License-Identifier: Apache-2.0
"""How a decoder is tuned.

In a module of its own, as what a step imports decides when it runs again.
"""

from __future__ import annotations

import dataclasses
import math

from ds2_tf.decoding.beam_search import BeamOptions
from ds2_tf.decoding.tuning import DEFAULT_ALPHAS, DEFAULT_BETAS
from ds2_tf.value_checks import require, require_numbers


@dataclasses.dataclass(frozen=True)
class DecoderConfig:
    """Decoding with the language model, and how its weights are found.

    Attributes:
        search: options of the search; alpha and beta are found. The vocabulary is closed unless
            `open_vocabulary` is set.
        alphas: of the coarse grid, at least one, none negative.
        betas: of the coarse grid, at least one.
        refinements: rounds of smaller steps around the best. Defaults to 2.
        beam_sizes: the smallest of these that makes no more errors than the largest is chosen.
            Defaults to that of the search.
        max_utterances: most utterances of the dev split to tune on; every third of them is kept
            for checking, so at least 3. Defaults to 500.
    """

    search: BeamOptions = BeamOptions()
    alphas: tuple[float, ...] = DEFAULT_ALPHAS
    betas: tuple[float, ...] = DEFAULT_BETAS
    refinements: int = 2
    beam_sizes: tuple[int, ...] = ()
    max_utterances: int = 500

    def __post_init__(self):
        require(
            bool(self.alphas) and all(0 <= alpha < math.inf for alpha in self.alphas),
            "alphas",
            "at least one number, none negative",
            self.alphas,
        )
        require(
            bool(self.betas) and all(map(math.isfinite, self.betas)),
            "betas",
            "at least one number",
            self.betas,
        )
        require_numbers(self, "refinements", least=0)
        require(
            all(size >= 1 for size in self.beam_sizes),
            "beam_sizes",
            "at least 1 each",
            self.beam_sizes,
        )
        require_numbers(self, "max_utterances", least=3)
