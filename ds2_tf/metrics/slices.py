# SPDX-License-Identifier: Apache-2.0
"""Parts of a corpus on which errors are counted apart: by speaker, length, or any other field."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence

DURATION = "duration"
SPEAKER = "speaker"
# Seconds; each is twice the one before.
DURATION_EDGES = (1.0, 2.0, 4.0, 8.0, 16.0)


def duration_bucket(seconds: float, edges: Sequence[float] = DURATION_EDGES) -> str:
    """The bucket of an utterance's length, such as "2 to 4 s".

    Args:
        seconds: its length.
        edges: where buckets meet, ascending; each belongs to the upper one.
    """
    names = duration_buckets(edges)
    return names[sum(seconds >= edge for edge in edges)]


def duration_buckets(edges: Sequence[float] = DURATION_EDGES) -> list[str]:
    """The names of all buckets, from short to long."""
    between = [f"{low:g} to {high:g} s" for low, high in zip(edges, edges[1:])]
    return [f"under {edges[0]:g} s", *between, f"{edges[-1]:g} s and more"]


def slice_values(
    fields: Mapping[str, object],
    seconds: float | None,
    names: Sequence[str],
    edges: Sequence[float] = DURATION_EDGES,
) -> dict[str, str]:
    """The slices that an utterance belongs to, by field.

    Args:
        fields: what is known of it, such as the speaker; only text and numbers count, and empty
            text is unknown.
        seconds: its length, where known.
        names: the fields that matter; "duration" stands for the bucket of the length.
        edges: of the buckets.
    """
    values = {}
    for name in names:
        value = fields.get(name)
        if name == DURATION:
            if seconds is not None:
                values[name] = duration_bucket(seconds, edges)
        elif isinstance(value, str) and value:
            values[name] = value
        elif isinstance(value, numbers.Real):
            values[name] = f"{value:g}"
    return values
