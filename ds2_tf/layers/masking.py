# SPDX-License-Identifier: Apache-2.0
"""Masks of right-padded sequences."""

from keras import ops


def mask_of_lengths(x, lengths):
    """bool [batch, frames], true on the first `lengths` [batch] frames of x [batch, frames, units].

    Counts by a cumulative sum, not a range, so that it also works on a symbolic x whose number of
    frames is not known.
    """
    count = ops.cumsum(ops.ones_like(x[:, :, 0], dtype="int32"), axis=1)
    return count <= ops.cast(lengths, "int32")[:, None]


def zero_padding(x, mask):
    """Sets the padding of x, [batch, frames, ...], to zero; x itself where mask is None.

    Selects and does not multiply: padding that holds NaN or infinity is zero afterwards too.
    """
    if mask is None:
        return x
    mask = ops.reshape(mask, ops.shape(mask) + (1,) * (len(x.shape) - 2))
    return ops.where(mask, x, ops.zeros((), dtype=x.dtype))


def reverse_valid(x, mask):
    """Reverses the valid frames of each row of x, [frames, batch, units], in time.

    The padding stays where it is, so that a right-padded row is right-padded afterwards too, and
    reversing twice gives x.

    Args:
        x: time-major tensor.
        mask: bool [batch, frames], or None where every frame is valid.
    """
    if mask is None:
        return ops.flip(x, axis=0)
    frames, batch, units = ops.shape(x)
    lengths = ops.sum(ops.cast(mask, "int32"), axis=1)[None, :]
    time = ops.arange(frames)[:, None]
    source = ops.where(time < lengths, lengths - 1 - time, time)
    rows = source * batch + ops.arange(batch)[None, :]
    return ops.reshape(
        ops.take(ops.reshape(x, (-1, units)), ops.reshape(rows, (-1,)), axis=0),
        (frames, batch, units),
    )
