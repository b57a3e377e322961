# SPDX-License-Identifier: Apache-2.0
"""What a server says of a piece of a recording, and what follows for the whole."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ds2_tf.audio.segmentation import HOP_SECONDS
from ds2_tf.text.alphabet import Alphabet


@dataclass(frozen=True)
class PieceReply:
    """The server's answer about one piece of a recording: its text, or its log probabilities."""

    num_samples: int
    num_frames: int
    version: int
    latency: float
    text: str = ""
    score: float = 0.0
    log_probs: np.ndarray | None = None


def joined_text(
    group: Sequence[tuple[float, PieceReply]], alphabet: Alphabet | None
) -> dict[str, Any]:
    """The fields of a Transcription that are read from the text of its pieces.

    Args:
        group: the pieces of a recording in order: the second at which each begins, and its reply.
        alphabet: tells what is between two pieces; None if there is only one.
    """
    separator = " " if alphabet is None or " " in alphabet.characters else ""
    words = [word for _, reply in group for word in reply.text.split()]
    return {"text": separator.join(words), "score": sum(reply.score for _, reply in group)}


def frame_seconds_of(replies: Sequence[PieceReply], sample_rate: int) -> float:
    """Duration of an output frame, from how many of them the longest recording has.

    Args:
        replies: of recordings or their pieces, of one network.
        sample_rate: of the samples that were sent, in Hz.
    """
    longest = max(replies, key=lambda reply: reply.num_samples, default=None)
    if longest is None or not longest.num_frames:
        return HOP_SECONDS
    # The last frame may stand for less than a whole one.
    hops = -(-(longest.num_samples // round(HOP_SECONDS * sample_rate)) // longest.num_frames)
    return HOP_SECONDS * hops
