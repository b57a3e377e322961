# SPDX-License-Identifier: Apache-2.0
"""The same work on every utterance of a corpus, in several processes, with a progress bar."""

from __future__ import annotations

import concurrent.futures
import contextlib
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

# Starting a process costs as much as reading some hundred utterances.
_ITEMS_WORTH_A_PROCESS = 200
_ITEMS_AT_A_TIME = 16


def map_in_processes(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    description: str,
    jobs: int | None = None,
    progress: bool = True,
) -> Iterator[Result]:
    """Yields `function(item)` for every item, in order.

    Args:
        function: picklable, such as a module's function or a partial of one.
        items: picklable.
        description: shown before the progress bar.
        jobs: most processes; 1 works in this one. Defaults to the number of processors.
        progress: show a bar on standard error. Defaults to true.
    """
    from tqdm import tqdm

    jobs = min(jobs or os.cpu_count() or 1, max(1, len(items) // _ITEMS_WORTH_A_PROCESS))
    with contextlib.ExitStack() as stack:
        if jobs == 1:
            results = map(function, items)
        else:
            # Not fork: TensorFlow may have threads running in this process. And not a Pool, which
            # waits forever for a process that was killed.
            context = multiprocessing.get_context("spawn")
            pool = stack.enter_context(
                concurrent.futures.ProcessPoolExecutor(jobs, mp_context=context)
            )
            results = pool.map(function, items, chunksize=_ITEMS_AT_A_TIME)
        yield from tqdm(
            results, total=len(items), desc=description, unit=" utterances", disable=not progress
        )
