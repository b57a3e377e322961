# SPDX-License-Identifier: Apache-2.0
"""What a served model tells of itself, and whether an alphabet can be its."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ds2_tf.errors import UserError
from ds2_tf.text.alphabet import Alphabet
from serving.arguments import SAMPLE_RATE

# The signatures that tell; exports have the first, and older ones at most the second.
TELLING_SIGNATURES = ("model_info", "stream_info")


@dataclass(frozen=True)
class ToldInfo:
    """What a version tells of itself.

    Attributes:
        alphabet: its labels; None if it does not tell.
        sample_rate: of the samples that it takes. Defaults to 16 kHz.
    """

    alphabet: Alphabet | None = None
    sample_rate: int = SAMPLE_RATE


def info_query() -> dict[str, np.ndarray]:
    """The inputs of a telling signature, for one row."""
    return {"query": np.zeros(1, np.int32)}


def told_info(outputs: Mapping[str, np.ndarray]) -> ToldInfo:
    """Reads the answer of a telling signature.

    Args:
        outputs: `labels`, bytes [1, labels], the blank first, and `sample_rate`, int32 [1].
    """
    alphabet = Alphabet(label.decode("utf-8") for label in outputs["labels"][0, 1:])
    return ToldInfo(alphabet, int(outputs["sample_rate"][0]))


def check_size(alphabet: Alphabet, num_labels: int, model: str) -> None:
    """Compares an alphabet with a network's outputs.

    Args:
        alphabet: to be checked.
        num_labels: outputs of the network, the blank included.
        model: what to call it.

    Raises:
        UserError: it has another number of labels.
    """
    if alphabet.size != num_labels:
        raise UserError(
            f"The {model} has {num_labels} labels, the blank included, and the alphabet "
            f"{alphabet.describe()}. Give the model's own, with Client(..., alphabet=...) or "
            "--alphabet FILE."
        )
