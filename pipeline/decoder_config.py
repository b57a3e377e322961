# SPDX-License-Identifier: Apache-2.0
"""How a decoder is tuned.

In a module of its own, as what a step imports decides when it runs again.
"""

from __future__ import annotations

import dataclasses

from ds2_tf.decoding.beam_search import BeamOptions
from ds2_tf.decoding.tuning import DEFAULT_ALPHAS, DEFAULT_BETAS


@dataclasses.dataclass(frozen=True)
class DecoderConfig:
    """Decoding with the language model, and how its weights are found.

    Attributes:
        search: options of the search; alpha and beta are found. The vocabulary is closed unless
            `open_vocabulary` is set.
        alphas: of the coarse grid.
        betas: of the coarse grid.
        refinements: rounds of smaller steps around the best. Defaults to 2.
        beam_sizes: the smallest of these that makes no more errors than the largest is chosen.
            Defaults to that of the search.
        max_utterances: most utterances of the dev split to tune on. Defaults to 500.
    """

    search: BeamOptions = BeamOptions()
    alphas: tuple[float, ...] = DEFAULT_ALPHAS
    betas: tuple[float, ...] = DEFAULT_BETAS
    refinements: int = 2
    beam_sizes: tuple[int, ...] = ()
    max_utterances: int = 500
