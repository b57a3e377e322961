# SPDX-License-Identifier: Apache-2.0
"""What the language model is made of.

In a module of its own, as what a step imports decides when it runs again.
"""

from __future__ import annotations

import dataclasses

from ds2_tf.lm.building import DEFAULT_VOCABULARY_LIMIT
from ds2_tf.value_checks import require, require_numbers


@dataclasses.dataclass(frozen=True)
class LanguageModelConfig:
    """The language model: of the training transcripts, and of other text.

    Attributes:
        texts: further texts, a sentence a line (.gz too). Defaults to none.
        order: the longest n-gram's length, 2 to 6. Defaults to 5.
        prune: n-grams that occur as often or less are dropped: a number for each length from 1, the
            last for all longer ones, none smaller than the one before. Defaults to none.
        vocabulary_limit: the most frequent words are kept, at least 1. Defaults to 400,000.
        by_character: make a model of characters. Defaults to one of words.
        language: of the texts, such as "en" or "none" (`ds2_tf.text.normalization`). Defaults to
            "en" for the English alphabet and to "none" for others.
    """

    texts: tuple[str, ...] = ()
    order: int = 5
    prune: tuple[int, ...] = ()
    vocabulary_limit: int = DEFAULT_VOCABULARY_LIMIT
    by_character: bool = False
    language: str | None = None

    def __post_init__(self):
        require_numbers(self, "order", least=2, most=6)
        require(
            list(self.prune) == sorted(self.prune)
            and all(count >= 0 for count in self.prune)
            and len(self.prune) <= self.order,
            "prune",
            "numbers of at least 0, none smaller than the one before and no more of them than the "
            f"order ({self.order})",
            self.prune,
        )
        require_numbers(self, "vocabulary_limit", least=1)
