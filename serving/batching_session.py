# SPDX-License-Identifier: Apache-2.0
"""A session that joins concurrent requests into one run.

Requests are batched with those that feed and fetch the same tensors of the same version, and with
no others. A bad request must not spoil its neighbours' results: one that the graph's declared
types and shapes rule out runs by itself, and when a batch fails, its requests run one by one, so
that each gets its own result or error. Different lengths of an axis that the graph leaves free are
nobody's fault and fail the batch if padding is off, as in TensorFlow Serving.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import grpc
import numpy as np
import tensorflow as tf

from serving import errors
from serving.batch_scheduler import Batch, BatchQueue, BatchScheduler
from serving.batching_options import BatchingOptions
from serving.errors import ServingError
from serving.metrics import ServerMetrics
from serving.servable import Session

_TensorNames = frozenset[str]
_MAX_PADDED_RANK = 6
# Shapes that do not go together, and time that is over: running again by itself helps nobody.
_SHARED_FAILURES = (grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.DEADLINE_EXCEEDED)


class _Task:
    """One run, or a piece of one, that waits for its batch."""

    def __init__(self, inputs: dict[str, np.ndarray], size: int, deadline: float):
        self.inputs = inputs
        self.size = size
        self.deadline = deadline
        self.queued = time.monotonic()
        self._done = threading.Event()
        self._pieces: list[_Task] = []
        self._outputs: dict[str, np.ndarray] = {}
        self._error: ServingError | None = None

    def split(self, sizes: Sequence[int]) -> list[_Task]:
        ends = np.cumsum(sizes)
        self._pieces = [
            _Task(
                {name: value[end - size : end] for name, value in self.inputs.items()},
                size,
                self.deadline,
            )
            for size, end in zip(sizes, ends)
        ]
        self._done.set()
        return self._pieces

    def finish(self, outputs: dict[str, np.ndarray], error: ServingError | None) -> None:
        self._outputs, self._error = outputs, error
        self._done.set()

    def result(self) -> dict[str, np.ndarray]:
        self._done.wait()
        if self._error:
            # A copy: the tasks of a batch raise in threads of their own.
            raise ServingError(self._error.code, self._error.message)
        if self._pieces:
            results = [piece.result() for piece in self._pieces]
            return {name: np.concatenate([r[name] for r in results]) for name in results[0]}
        return self._outputs


class BatchingSession:
    """Batches the runs of another session.

    Args:
        wrapped: runs the batches.
        scheduler: whose threads run them; shared by all models.
        options: sizes, waiting and padding.
        metrics: counts batches, their sizes and the waiting.
    """

    def __init__(
        self,
        wrapped: Session,
        scheduler: BatchScheduler,
        options: BatchingOptions,
        metrics: ServerMetrics,
    ):
        self._wrapped = wrapped
        self._scheduler = scheduler
        self._options = options
        self._metrics = metrics
        self._lock = threading.Lock()
        self._queues: dict[tuple[_TensorNames, _TensorNames], BatchQueue] = {}

    def run(
        self,
        inputs: Sequence[tuple[str, np.ndarray]],
        outputs: Sequence[str],
        timeout: float | None = None,
    ) -> list[np.ndarray]:
        """As `GraphSession.run`, in a batch with others.

        Raises:
            ServingError: inputs without a common first axis; the queue is full
                (UNAVAILABLE); the timeout passed in the queue (RESOURCE_EXHAUSTED); or the run
                failed, in the batch and then by itself.
        """
        deadline = float("inf") if timeout is None else time.monotonic() + timeout
        task = _Task(dict(inputs), _batch_size(inputs), deadline)
        queue = self._queue(frozenset(task.inputs), frozenset(outputs))
        queue.check_size(task)
        if not all(self._wrapped.accepts(name, value) for name, value in inputs):
            return self._wrapped.run(inputs, outputs, timeout)
        for _ in inputs:
            self._metrics.input_batch_size.record(task.size)
        queue.schedule(task)
        result = task.result()
        return [result[name] for name in outputs]

    def accepts(self, name: str, value: np.ndarray) -> bool:
        return self._wrapped.accepts(name, value)

    def close(self) -> None:
        for queue in self._queues.values():
            self._scheduler.remove_queue(queue)
        self._wrapped.close()

    def _queue(self, inputs: _TensorNames, outputs: _TensorNames) -> BatchQueue:
        with self._lock:
            if (inputs, outputs) not in self._queues:
                names = sorted(outputs)
                self._queues[inputs, outputs] = self._scheduler.add_queue(
                    self._options, lambda batch: self._process(batch, names)
                )
            return self._queues[inputs, outputs]

    def _process(self, batch: Batch, outputs: list[str]) -> None:
        """Runs a batch and hands each task its rows or its error."""
        now = time.monotonic()
        for task in batch.tasks:
            # The session names no pool, so that the label is empty, as in TensorFlow Serving.
            self._metrics.queuing_latency.record((now - task.queued) * 1e6, "")
        self._run_and_finish(batch, outputs)

    def _run_and_finish(self, batch: Batch, outputs: list[str]) -> None:
        try:
            split = self._run_batch(batch, outputs)
        except ServingError as error:
            if len(batch.tasks) > 1 and error.code not in _SHARED_FAILURES:
                for task in batch.tasks:
                    alone = Batch()
                    alone.add(task)
                    self._run_and_finish(alone, outputs)
            else:
                for task in batch.tasks:
                    task.finish({}, error)
        except Exception as error:  # nobody else would wake the waiting requests
            for task in batch.tasks:
                task.finish({}, ServingError(grpc.StatusCode.INTERNAL, str(error)))
        else:
            for task, rows in zip(batch.tasks, split):
                task.finish(rows, None)

    def _run_batch(self, batch: Batch, outputs: list[str]) -> list[dict[str, np.ndarray]]:
        now = time.monotonic()
        remaining = max(task.deadline for task in batch.tasks) - now
        if remaining <= 0:
            raise ServingError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                "Run() timeout exceeded while waiting in batching queue",
            )
        size = self._options.padded_size(batch.size)
        self._metrics.padding_size.record(size - batch.size)
        self._metrics.processed_batch_size.record(size)
        merged = [
            (name, self._merge(name, [task.inputs[name] for task in batch.tasks], size))
            for name in sorted(batch.tasks[0].inputs)
        ]
        self._metrics.wrapped_run_count.increment()
        values = self._wrapped.run(
            merged, outputs, None if remaining == float("inf") else remaining
        )
        ends = np.cumsum([task.size for task in batch.tasks])
        for value in values:
            _check_output(value, size)
        return [
            {name: value[end - task.size : end] for name, value in zip(outputs, values)}
            for task, end in zip(batch.tasks, ends)
        ]

    def _merge(self, name: str, tensors: list[np.ndarray], size: int) -> np.ndarray:
        """The tensors of a batch as one, padded to `size` rows."""
        if self._options.pad_variable_length_inputs:
            tensors = _pad_to_common_shape(tensors)
        elif any(tensor.shape[1:] != tensors[0].shape[1:] for tensor in tensors):
            raise errors.failed_precondition(
                f"Tensors with name '{name}' from different tasks have different shapes and "
                "padding is turned off.Set pad_variable_length_inputs to true, or ensure that all "
                "tensors with the same namehave equal dimensions starting with the first dim."
            )
        for tensor in tensors:
            if tensor.dtype != tensors[0].dtype:
                raise _concat_error(
                    "Cannot concatenate tensors that have different data types. Got "
                    f"{_type_name(tensors[0])} and {_type_name(tensor)}."
                )
        missing = size - sum(len(tensor) for tensor in tensors)
        if missing:
            tensors = [*tensors, np.repeat(tensors[-1][:1], missing, axis=0)]
        return np.concatenate(tensors) if len(tensors) > 1 else tensors[0]


def _batch_size(inputs: Sequence[tuple[str, np.ndarray]]) -> int:
    if not inputs:
        raise errors.invalid_argument("Batching Run() must have at least one input tensor")
    if any(value.ndim == 0 for _, value in inputs):
        raise errors.invalid_argument(
            "Batching Run() input tensors must have at least one dimension"
        )
    sizes = {len(value) for _, value in inputs}
    if len(sizes) > 1:
        raise errors.invalid_argument(
            "Batching Run() input tensors must have equal 0th-dimension size"
        )
    return sizes.pop()


def _pad_to_common_shape(tensors: list[np.ndarray]) -> list[np.ndarray]:
    if any(tensor.ndim != tensors[0].ndim for tensor in tensors):
        raise _concat_error("Cannot concatenate tensors that have different ranks.")
    if tensors[0].ndim > _MAX_PADDED_RANK:
        raise errors.invalid_argument("Only tensors with rank from 1 to 6 can be padded.")
    longest = np.max([tensor.shape for tensor in tensors], axis=0)
    return [_pad(tensor, (len(tensor), *longest[1:])) for tensor in tensors]


def _pad(tensor: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if tensor.shape == shape:
        return tensor
    if not tensor.size:
        raise errors.invalid_argument("Got empty tensor in batch of non-empty tensors.")
    padded = np.full(shape, tensor.flat[0], tensor.dtype)
    padded[tuple(slice(length) for length in tensor.shape)] = tensor
    return padded


def _check_output(value: np.ndarray, size: int) -> None:
    if value.ndim == 0:
        raise errors.failed_precondition("Batched output tensor has 0 dimensions")
    if len(value) != size:
        raise errors.failed_precondition(
            "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension "
            "sizes of the input tensors"
        )


def _concat_error(reason: str) -> ServingError:
    return ServingError(
        grpc.StatusCode.INTERNAL, f"Tensor concat operation failed: INVALID_ARGUMENT: {reason}"
    )


def _type_name(tensor: np.ndarray) -> str:
    name = tf.as_dtype(tensor.dtype).name
    return {"float32": "float", "float64": "double"}.get(name, name)
