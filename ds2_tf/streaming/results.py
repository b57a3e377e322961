# SPDX-License-Identifier: Apache-2.0
"""What a stream tells of itself and of what it hears."""

from __future__ import annotations

import dataclasses

from ds2_tf.text.alphabet import Alphabet


@dataclasses.dataclass(frozen=True)
class StreamInfo:
    """What must be known of a streaming model to use it.

    Attributes:
        alphabet: the labels of its log probabilities.
        sample_rate: samples per second of the audio that it takes.
        frame_samples: samples that one output frame stands for.
        lookahead_frames: output frames that must have been heard after a frame before it comes out.
        state_size: numbers in the state of a stream.
    """

    alphabet: Alphabet
    sample_rate: int
    frame_samples: int
    lookahead_frames: int
    state_size: int

    @property
    def frame_seconds(self) -> float:
        """Duration of an output frame."""
        return self.frame_samples / self.sample_rate

    @property
    def lookahead_seconds(self) -> float:
        """How long after a frame it comes out."""
        return self.lookahead_frames * self.frame_seconds


@dataclasses.dataclass(frozen=True)
class TimedWord:
    """A word and when it was said, in seconds from the beginning of the stream.

    Attributes:
        text: the word; a single label where the alphabet has no space.
        start: when it begins.
        end: when it ends.
    """

    text: str
    start: float
    end: float


@dataclasses.dataclass(frozen=True)
class Transcript:
    """What was heard in a whole stream.

    Attributes:
        text: the words with single spaces between them.
        words: the words with their times.
        score: log probability (natural) of the best alignment, or with a decoder the total score of
            the text.
        duration: length of the audio, in seconds.
    """

    text: str
    words: tuple[TimedWord, ...]
    score: float
    duration: float
