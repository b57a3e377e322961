# SPDX-License-Identifier: Apache-2.0
"""Cutting long recordings where nobody speaks.

A network's memory grows with the length of a recording, and networks are trained on utterances of
some seconds. A recording that is longer than a limit is cut into pieces that together are the
whole, and the cuts fall where the loudness above the background is least.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from ds2_tf.errors import UserError

DEFAULT_LIMIT_SECONDS = 20.0

HOP_SECONDS = 0.010
_WINDOW_SECONDS = 0.020
_LEAST_LIMIT_SECONDS = 1.0
# A piece is not made shorter than this without need: too little to recognize anything from.
_SHORT_SECONDS = 1.0
# Each band is compared with its own background, so that hum and hiss of any color count for
# nothing. The background is that of a few moments: many recordings have few pauses. It is no less,
# so that a dropout in the midst of a word does not count as a wonderful pause.
_NUM_BANDS = 20
_BACKGROUND_PERCENTILE = 2
# What lies around a cut should be quiet, too. The gaps within words, before a "t" or a "k", are
# shorter than the narrow window; the wide one draws a cut to the middle of a long pause.
_NARROW_SECONDS = 0.30
_WIDE_SECONDS = 1.00
_WIDE_WEIGHT = 0.1
# In decibels, small against what tells speech from a pause: one cut more is better than a loud one,
# but of quiet ones the fewest.
_COST_OF_A_CUT = 0.1
_SILENCE_DECIBELS = -100.0
# Frames whose spectrum is computed at once.
_BLOCK_FRAMES = 20_000


@dataclasses.dataclass(frozen=True)
class Piece:
    """A stretch of a recording.

    Attributes:
        start: its first sample.
        stop: the sample after its last.
    """

    start: int
    stop: int


def cut_at_pauses(
    samples: np.ndarray, sample_rate: int, *, limit_seconds: float = DEFAULT_LIMIT_SECONDS
) -> list[Piece]:
    """Cuts a recording into pieces of at most a limit.

    Of all ways to cut, the one with the quietest cuts is taken: a cut falls into speech only where
    there is no pause within reach of the limit. Constant noise changes nothing, as long as speech
    stands out from it.

    Args:
        samples: float [samples] in [-1, 1].
        sample_rate: samples per second.
        limit_seconds: longest piece. Defaults to 20.

    Returns:
        The pieces in order. Each begins where the one before ends, at a multiple of 10 ms; the
        first begins at 0 and the last ends with the recording. One piece if it is short enough.

    Raises:
        UserError: the limit is under a second.
    """
    check_limit(limit_seconds)
    if len(samples) <= limit_seconds * sample_rate:
        return [Piece(0, len(samples))]
    hop = round(HOP_SECONDS * sample_rate)
    # A position is the border before a frame; the last may be that before a partial frame.
    longest = int(limit_seconds * sample_rate) // hop
    shortest = min(round(_SHORT_SECONDS / HOP_SECONDS), longest // 2)
    last = -(-len(samples) // hop)
    costs = _cost_of_cutting(loudness(samples, sample_rate))[:last]
    cuts = _cheapest_cuts(costs, last, shortest, longest)
    borders = [0, *(hop * cut for cut in cuts), len(samples)]
    return [Piece(start, stop) for start, stop in zip(borders, borders[1:])]


def check_limit(limit_seconds: float) -> None:
    """Refuses a limit that leaves too little to recognize anything from.

    Raises:
        UserError: it is under a second, or not a number.
    """
    if not limit_seconds >= _LEAST_LIMIT_SECONDS:
        raise UserError(
            f"Pieces of a recording must be allowed to last {_LEAST_LIMIT_SECONDS:g} s or more, "
            f"got a limit of {limit_seconds:g} s."
        )


def loudness(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """How much louder each moment is than the background, on average over the bands.

    Args:
        samples: float [samples] in [-1, 1].
        sample_rate: samples per second.

    Returns:
        float32 [frames], in decibels and not negative, a value every 10 ms. A partial frame at the
        end counts as one.
    """
    decibels = _band_decibels(samples, sample_rate)
    background = np.percentile(decibels, _BACKGROUND_PERCENTILE, axis=0)
    return np.maximum(decibels - background, 0.0).mean(axis=1)


class Pieces(Sequence):
    """Recordings as a flat sequence of pieces, and the way back to the recordings.

    Args:
        recordings: float [samples] each.
        sample_rate: samples per second.
        limit_seconds: longest piece; None cuts nothing. Defaults to 20.
    """

    def __init__(
        self,
        recordings: Sequence[np.ndarray],
        sample_rate: int,
        *,
        limit_seconds: float | None = DEFAULT_LIMIT_SECONDS,
    ):
        self._sample_rate = sample_rate
        self._samples: list[np.ndarray] = []
        self._starts: list[list[int]] = []
        for recording in recordings:
            pieces = (
                [Piece(0, len(recording))]
                if limit_seconds is None
                else cut_at_pauses(recording, sample_rate, limit_seconds=limit_seconds)
            )
            self._samples += [recording[piece.start : piece.stop] for piece in pieces]
            self._starts.append([piece.start for piece in pieces])

    def __len__(self) -> int:
        return len(self._samples)

    def __getitem__(self, index):
        return self._samples[index]

    def grouped(self, results: Sequence) -> Iterator[list[tuple[float, object]]]:
        """Parts results by recording.

        Args:
            results: one a piece, in order.

        Yields:
            For each recording, its pieces' results in order, each with the second of the recording
            at which the piece begins.
        """
        results = iter(results)
        for starts in self._starts:
            yield [(start / self._sample_rate, next(results)) for start in starts]


def _band_decibels(samples: np.ndarray, sample_rate: int) -> np.ndarray:
    """Power of each band in decibels, float32 [frames, bands]."""
    hop = round(HOP_SECONDS * sample_rate)
    window_length = round(_WINDOW_SECONDS * sample_rate)
    frames = -(-len(samples) // hop)
    window = np.hanning(window_length + 1)[:-1].astype(np.float32)
    # The lowest bin holds an offset of the microphone, and no speech.
    bins = np.linspace(1, window_length // 2 + 1, _NUM_BANDS + 1).astype(int)[:-1]
    result = np.empty((frames, _NUM_BANDS), np.float32)
    for start in range(0, frames, _BLOCK_FRAMES):
        stop = min(start + _BLOCK_FRAMES, frames)
        # Centered: frame t covers the time around its middle, (t + 1/2) hops.
        begin = start * hop - (window_length - hop) // 2
        end = begin + (stop - start - 1) * hop + window_length
        block = samples[max(begin, 0) : end]
        block = np.pad(block, (max(-begin, 0), end - max(begin, 0) - len(block)))
        windows = np.lib.stride_tricks.sliding_window_view(block, window_length)[::hop]
        power = np.abs(np.fft.rfft(windows * window)) ** 2
        result[start:stop] = 10 * np.log10(
            np.add.reduceat(power, bins, axis=1) + 10 ** (_SILENCE_DECIBELS / 10)
        )
    return result


def _cost_of_cutting(levels: np.ndarray) -> np.ndarray:
    """Cost of a cut before each frame: how much louder it is there than at the quietest place."""
    narrow = _mean_around(levels, _NARROW_SECONDS)
    wide = _mean_around(levels, _WIDE_SECONDS)
    costs = narrow + _WIDE_WEIGHT * wide
    # Noise never falls below the background: its mean above it is the same for all cuts.
    return costs - costs.min() + _COST_OF_A_CUT


def _mean_around(levels: np.ndarray, seconds: float) -> np.ndarray:
    """Mean of the frames around the border before each frame; fewer at the ends."""
    reach = round(seconds / HOP_SECONDS / 2)
    sums = np.concatenate([[0.0], np.cumsum(levels, dtype=np.float64)])
    borders = np.arange(len(levels))
    start, stop = np.maximum(borders - reach, 0), np.minimum(borders + reach, len(levels))
    return (sums[stop] - sums[start]) / (stop - start)


def _cheapest_cuts(costs: np.ndarray, last: int, shortest: int, longest: int) -> list[int]:
    """The positions to cut at, so that the sum of their costs is least.

    Dynamic programming over the position of the latest cut, with a queue that holds the least sum
    within reach: the time is linear in `last`.

    Args:
        costs: of a cut at each position below `last`.
        last: the end, in frames.
        shortest: least frames between two cuts; at most half of `longest`.
        longest: most frames between two cuts.
    """
    total = np.full(last + 1, np.inf)
    before = np.zeros(last + 1, int)
    total[0] = 0.0
    costs = [*costs.tolist(), 0.0]
    least: collections.deque[int] = collections.deque()  # candidates, their totals ascending
    for position in range(shortest, last + 1):
        entering = position - shortest
        while least and total[least[-1]] > total[entering]:
            least.pop()
        least.append(entering)
        if least[0] < position - longest:
            least.popleft()
        before[position] = least[0]
        total[position] = total[least[0]] + costs[position]
    cuts = []
    position = before[last]
    while position > 0:
        cuts.append(int(position))
        position = before[position]
    return cuts[::-1]
