# SPDX-License-Identifier: Apache-2.0
"""Sending many recordings in batches, so that a bad one does not take the others with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np

_Result = TypeVar("_Result")


def batches_by_length(recordings: Sequence[np.ndarray], batch_size: int) -> Iterator[list[int]]:
    """Parts the indices of recordings into batches of similar length, the shortest first."""
    order = sorted(range(len(recordings)), key=lambda index: len(recordings[index]))
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def in_batches(
    recordings: Sequence[np.ndarray],
    send: Callable[[list[np.ndarray]], list[_Result]],
    *,
    batch_size: int,
    is_of_the_request: Callable[[Exception], bool],
    progress: Callable[[int], object] | None = None,
) -> list[_Result | Exception]:
    """Sends recordings in batches; those of a batch that fails once more, one by one.

    Args:
        recordings: float [samples] each.
        send: sends recordings in one request and returns one result each.
        batch_size: recordings per request.
        is_of_the_request: whether an error of `send` concerns what was sent. Any other, such as
            that of a server that is away, is raised at once.
        progress: called with the samples done since the last call.

    Returns:
        One result a recording, in the order given, or the error of sending it alone.
    """
    results: dict[int, _Result | Exception] = {}

    def attempt(batch: list[int]) -> None:
        try:
            results.update(zip(batch, send([recordings[index] for index in batch])))
        except Exception as error:
            if not is_of_the_request(error):
                raise
            if len(batch) == 1:
                results[batch[0]] = error
            else:
                for index in batch:
                    attempt([index])

    for batch in batches_by_length(recordings, batch_size):
        attempt(batch)
        if progress:
            progress(sum(len(recordings[index]) for index in batch))
    return [results[index] for index in range(len(recordings))]
