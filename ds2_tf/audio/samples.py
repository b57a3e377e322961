# SPDX-License-Identifier: Apache-2.0
"""What callers hand over as audio, checked."""

from __future__ import annotations

import numpy as np

from ds2_tf.errors import UserError


def as_float_samples(samples: np.ndarray) -> np.ndarray:
    """Samples as the networks take them.

    Args:
        samples: float [samples] in [-1, 1], or int16 [samples].

    Returns:
        float32 [samples].

    Raises:
        UserError: they are of another type or shape, infinite or not a number.
    """
    samples = np.asarray(samples)
    if samples.ndim == 1 and samples.dtype == np.int16:
        return samples.astype(np.float32) / np.float32(32768.0)
    if samples.ndim == 1 and samples.dtype.kind == "f":
        if not np.isfinite(samples).all():
            raise UserError("Some of the samples are infinite or not a number.")
        return samples.astype(np.float32, copy=False)
    if samples.dtype.kind in "US":
        raise UserError(f"Expected samples, got {samples!r}: read files with ds2_tf.read_audio.")
    raise UserError(
        "Expected float samples in [-1, 1] or 16-bit integers, of shape [samples], got "
        f"{samples.dtype} of shape {list(samples.shape)}."
    )
