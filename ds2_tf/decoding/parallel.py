# SPDX-License-Identifier: Apache-2.0
"""Decoding many utterances on all cores."""

from __future__ import annotations

import collections
import concurrent.futures
import os
from collections.abc import Iterable, Iterator

import numpy as np

from ds2_tf.decoding.beam_search import BeamSearch, Hypothesis

# Utterances that wait for each thread, or for being fetched.
_QUEUED_PER_THREAD = 4


def decode_many(
    search: BeamSearch,
    utterances: Iterable[np.ndarray],
    *,
    num_best: int = 1,
    word_times: bool = True,
    threads: int | None = None,
    total: int | None = None,
    progress: bool = False,
) -> Iterator[list[Hypothesis]]:
    """Yields the best texts of each utterance, in order.

    The search runs without Python's lock: threads are enough, and share one language model. Only a
    few utterances for each thread are taken from `utterances` ahead of what has been yielded.

    Args:
        search: decodes.
        utterances: log probabilities, float [frames, labels] each.
        num_best: most texts of an utterance. Defaults to 1.
        word_times: find when each word is said. Defaults to True.
        threads: how many. Defaults to the processors that this process may use.
        total: how many utterances there are, for the bar.
        progress: show a bar on standard error. Defaults to False.
    """
    from tqdm import tqdm

    threads = threads or len(os.sched_getaffinity(0))
    waiting: collections.deque[concurrent.futures.Future] = collections.deque()
    bar = tqdm(total=total, desc="Decoding", unit=" utterances", disable=not progress)
    with concurrent.futures.ThreadPoolExecutor(threads) as pool, bar:
        try:
            for log_probs in utterances:
                if len(waiting) == threads * _QUEUED_PER_THREAD:
                    yield waiting.popleft().result()
                    bar.update()
                waiting.append(
                    pool.submit(search.decode, log_probs, num_best, word_times=word_times)
                )
            while waiting:
                yield waiting.popleft().result()
                bar.update()
        finally:
            for future in waiting:
                future.cancel()
