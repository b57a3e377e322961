# SPDX-License-Identifier: Apache-2.0
"""What ingestion makes of a corpus."""

from __future__ import annotations

import dataclasses
import json

from ds2_tf.audio.reading import RawFormat
from ds2_tf.audio.spectrogram import FEATURE_VERSION, SpectrogramConfig
from ds2_tf.config import Recipe, from_dict, to_dict
from ds2_tf.errors import UserError
from ds2_tf.text.alphabet import Alphabet
from ds2_tf.value_checks import InvalidValue

SPLIT_RULES = ("column", "manifest", "speaker")


def is_split_name(text: str) -> bool:
    """Whether a split may have this name, which is part of a directory's."""
    return text.replace("-", "").replace("_", "").isalnum()


def check_split_shares(shares: dict[str, float], key: str) -> None:
    """Sees that shares divide a whole among splits.

    Args:
        shares: by split.
        key: what they are called, for messages.

    Raises:
        InvalidValue: there are none, one is not positive, they do not add up to 1, or a name cannot
            be one of a split.
    """
    total = sum(shares.values())
    # Said so that NaN, which compares false, does not pass.
    if not (abs(total - 1) <= 1e-6 and min(shares.values()) > 0):
        raise InvalidValue(key, f"must be positive and add up to 1; got {shares} (sum {total:g}).")
    for name in shares:
        if not is_split_name(name):
            raise InvalidValue(key, f"has the split {name!r}, which cannot name a directory.")


@dataclasses.dataclass(frozen=True)
class IngestionConfig:
    """Features, the check of utterances, splits and shards.

    Attributes:
        alphabet: labels of the characters that transcripts may have, as in a recipe.
        time_stride: feature frames per output frame of the network; decides which transcripts are
            too long for their audio.
        features: the spectrogram.
        split_by: "column" (the manifest's `split`), "manifest" (one manifest a split) or "speaker"
            (a hash of the speaker, so that no speaker is in two splits). Defaults to "column".
        split_shares: for "speaker", the share of speakers of each split. Defaults to 0.9 train and
            0.1 dev.
        shards: files of each split. Defaults to 8.
        raw: the format of headerless recordings, where the corpus has them.

    Raises:
        UserError: an impossible alphabet, an unknown rule, shares that do not add up to 1, or no
            shards.
    """

    alphabet: str | tuple[str, ...]
    time_stride: int
    features: SpectrogramConfig = SpectrogramConfig()
    split_by: str = "column"
    split_shares: dict[str, float] = dataclasses.field(
        default_factory=lambda: {"train": 0.9, "dev": 0.1}
    )
    shards: int = 8
    raw: RawFormat | None = None

    def __post_init__(self):
        Alphabet(self.alphabet)
        if self.split_by not in SPLIT_RULES:
            raise UserError(f"split_by must be one of {SPLIT_RULES}, got {self.split_by!r}.")
        check_split_shares(self.split_shares, "split_shares")
        if self.shards < 1:
            raise UserError(f"shards must be at least 1, got {self.shards}.")

    @classmethod
    def from_recipe(cls, recipe: Recipe, **options) -> IngestionConfig:
        """The features, alphabet and time stride of a recipe, with further attributes."""
        return cls(
            alphabet=recipe.alphabet,
            time_stride=recipe.model.time_stride,
            features=recipe.features,
            **options,
        )

    def record_parameters(self) -> str:
        """All that decides the bytes of a record, as canonical JSON: part of content keys."""
        fields = to_dict(self)
        for placement in ("split_by", "split_shares", "shards"):
            del fields[placement]
        return json.dumps({**fields, "feature_version": FEATURE_VERSION}, sort_keys=True)

    def to_json(self) -> str:
        """The configuration as canonical JSON; `from_json` reads it back."""
        return json.dumps(to_dict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> IngestionConfig:
        """Reads what `to_json` wrote."""
        return from_dict(cls, json.loads(text), source="ingestion configuration")
