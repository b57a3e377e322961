# SPDX-License-Identifier: Apache-2.0
"""Which labels a served model has: what it tells of them, and whether they can be right."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ds2_tf.errors import UserError
from ds2_tf.text.alphabet import Alphabet

# The signatures that tell the labels; exports have the first, and older ones at most the second.
TELLING_SIGNATURES = ("model_info", "stream_info")


def label_query() -> dict[str, np.ndarray]:
    """The inputs of a telling signature, for one row."""
    return {"query": np.zeros(1, np.int32)}


def told_alphabet(outputs: Mapping[str, np.ndarray]) -> Alphabet:
    """The alphabet in the answer of a telling signature.

    Args:
        outputs: with `labels`, bytes [1, labels], the blank first.
    """
    return Alphabet(label.decode("utf-8") for label in outputs["labels"][0, 1:])


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
