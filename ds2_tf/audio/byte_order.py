# SPDX-License-Identifier: Apache-2.0
"""Recognizing 16-bit recordings whose bytes were swapped on their way.

A headerless recording that was converted with the wrong byte order sounds like loud noise, is sound
by every other test, and ruins a model without a word. AN4, published in either order, circulates in
such conversions.
"""

from __future__ import annotations

import numpy as np

# Of 3,973 recordings, right ones reach 0.1 and swapped ones begin at 24; full-scale noise has 1.6.
SWAPPED_RATIO = 4.0
LEAST_SAMPLES = 400


def bytes_are_swapped(samples: np.ndarray) -> bool:
    """Whether 16-bit samples make sense only in the other byte order.

    The high byte of a sample hardly changes from one sample to the next, and the low byte jumps
    about; in swapped samples it is the other way round.

    Args:
        samples: int16 [N], one channel. Fewer than 400 are never called swapped.
    """
    if len(samples) < LEAST_SAMPLES:
        return False
    low = _mean_jump(samples.astype(np.int8).astype(np.int16))
    high = _mean_jump(samples >> 8)
    return high > SWAPPED_RATIO * max(low, 1e-3)


def _mean_jump(values: np.ndarray) -> float:
    """The mean distance of neighbors; int16 [N], in the range of int8."""
    jumps = values[1:] - values[:-1]
    return float(np.abs(jumps, out=jumps).mean())
