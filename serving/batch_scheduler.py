# SPDX-License-Identifier: Apache-2.0
"""Queues of batches that share a few threads.

Every queue collects its own tasks; the threads take ready batches from the queues in turn, so
that a busy model does not starve another.
"""

from __future__ import annotations

import collections
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import grpc

from serving import errors
from serving.batching_options import BatchingOptions
from serving.errors import ServingError


class Task(Protocol):
    """A piece of work of one request."""

    size: int

    def split(self, sizes: Sequence[int]) -> list[Task]:
        """Cuts the task into consecutive pieces of these sizes."""


class Batch:
    """Tasks that will run together."""

    def __init__(self):
        self.tasks: list[Task] = []
        self.size = 0
        self.started = 0.0

    def add(self, task: Task) -> None:
        if not self.tasks:
            self.started = time.monotonic()
        self.tasks.append(task)
        self.size += task.size


class BatchQueue:
    """Collects tasks into batches; made by `BatchScheduler.add_queue`.

    All methods but `check_size` and `schedule` are for the scheduler, which holds its lock around
    them.
    """

    def __init__(
        self,
        scheduler: BatchScheduler,
        options: BatchingOptions,
        process: Callable[[Batch], None],
    ):
        self._scheduler = scheduler
        self._options = options
        self.process = process
        self._batches = collections.deque([Batch()])  # the last one is open

    def check_size(self, task: Task) -> None:
        """Refuses a task that is larger than a batch may be.

        Raises:
            ServingError: INVALID_ARGUMENT.
        """
        if task.size > self._options.max_batch_size:
            raise errors.invalid_argument(
                f"Task size {task.size} is larger than maximum input batch size "
                f"{self._options.max_batch_size}"
            )

    def schedule(self, task: Task) -> None:
        """Queues a task of permitted size; `process` will be called with a batch that has it.

        Raises:
            ServingError: UNAVAILABLE if the queue is full.
        """
        with self._scheduler.changed:
            if self._options.enable_large_batch_splitting:
                self._add_split(task)
            else:
                self._add_whole(task)
            self._scheduler.changed.notify()

    def ready_at(self) -> float:
        """When the next batch may run, in monotonic seconds; infinity if there is none."""
        if len(self._batches) > 1:
            return 0.0
        (batch,) = self._batches
        if not batch.tasks:
            return float("inf")
        if batch.size >= self._options.execution_limit:
            return 0.0
        return batch.started + self._options.batch_timeout_micros / 1e6

    def pop(self) -> Batch:
        """Takes the next batch, closing it if it was open."""
        batch = self._batches.popleft()
        if not self._batches:
            self._batches.append(Batch())
        return batch

    def _add_whole(self, task: Task) -> None:
        if self._batches[-1].size + task.size > self._options.max_batch_size:
            if len(self._batches) >= self._options.max_enqueued_batches:
                raise self._full(
                    f"currently {len(self._batches)} batches enqueued and max_enqueued_batches is "
                    f"{self._options.max_enqueued_batches}"
                )
            self._batches.append(Batch())
        self._batches[-1].add(task)

    def _add_split(self, task: Task) -> None:
        limit, most = self._options.execution_limit, self._options.max_enqueued_batches
        room = limit - self._batches[-1].size
        capacity = (most - len(self._batches)) * limit + room
        if task.size > capacity:
            raise self._full(
                f"task size is {task.size} but scheduling capacity is only {capacity} "
                f"(num_enqueued_batches={len(self._batches)}, max_enqueued_batches={most}, "
                f"open_batch_size={self._batches[-1].size}, max_execution_batch_size={limit})"
            )
        if task.size <= room:
            pieces = [task]
        else:
            rest = task.size - room
            sizes = [room, *[limit] * (rest // limit), rest % limit]
            pieces = task.split([size for size in sizes if size])
        for piece in pieces:
            if self._batches[-1].size + piece.size > limit:
                self._batches.append(Batch())
            self._batches[-1].add(piece)

    @staticmethod
    def _full(reason: str) -> ServingError:
        return ServingError(
            grpc.StatusCode.UNAVAILABLE,
            f"The batch scheduling queue to which this task was submitted is full; {reason}",
        )


class BatchScheduler:
    """Runs the batches of all queues on a fixed number of threads.

    Args:
        num_threads: batches that run at the same time.
    """

    def __init__(self, num_threads: int):
        self.changed = threading.Condition()
        self._queues: collections.deque[BatchQueue] = collections.deque()
        self._stopped = False
        self._threads = [
            threading.Thread(target=self._run, name=f"batch-{index}", daemon=True)
            for index in range(num_threads)
        ]
        for thread in self._threads:
            thread.start()

    def add_queue(self, options: BatchingOptions, process: Callable[[Batch], None]) -> BatchQueue:
        """A new queue.

        Args:
            options: when a batch is full, due, or one too many.
            process: runs a batch, in a thread of the scheduler; must not raise.
        """
        queue = BatchQueue(self, options, process)
        with self.changed:
            self._queues.append(queue)
        return queue

    def remove_queue(self, queue: BatchQueue) -> None:
        """Forgets a queue, which must be empty."""
        with self.changed:
            self._queues.remove(queue)

    def stop(self) -> None:
        """Ends the threads once their batches are done; queued tasks are abandoned."""
        with self.changed:
            self._stopped = True
            self.changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        while True:
            with self.changed:
                taken = self._next_batch()
            if taken is None:
                return
            process, batch = taken
            process(batch)
            del taken, batch  # which hold tensors, and the next one may be long in coming

    def _next_batch(self) -> tuple[Callable[[Batch], None], Batch] | None:
        """Waits for a batch that is ready; None once stopped."""
        while not self._stopped:
            earliest = float("inf")
            now = time.monotonic()
            for queue in self._queues:
                ready_at = queue.ready_at()
                if ready_at <= now:
                    # To the back of the line, for the next thread to try the others first.
                    self._queues.remove(queue)
                    self._queues.append(queue)
                    return queue.process, queue.pop()
                earliest = min(earliest, ready_at)
            self.changed.wait(None if earliest == float("inf") else earliest - now)
        return None
