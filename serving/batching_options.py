# SPDX-License-Identifier: Apache-2.0
"""How requests are batched: TensorFlow Serving's parameters file, with its defaults and checks."""

from __future__ import annotations

import os
from dataclasses import dataclass

from serving import errors
from serving.text_protos import read_text_proto


@dataclass(frozen=True)
class BatchingOptions:
    """Parameters of batching; the names and defaults are those of the parameters file.

    Attributes:
        max_batch_size: rows of the largest request, and of the largest batch unless
            `enable_large_batch_splitting` is set.
        batch_timeout_micros: how long the first request of a batch waits for others, in
            microseconds, when a thread is free. 0 takes what is queued.
        max_enqueued_batches: batches that may wait; more requests are refused.
        num_batch_threads: batches that run at the same time, over all models.
        allowed_batch_sizes: a batch is padded to the next of these sizes, in rows, by copies of
            the first row of its last request. Empty allows every size.
        pad_variable_length_inputs: pad requests of one batch to a common shape, each with its
            tensor's first element; outputs keep the padded length.
        enable_large_batch_splitting: cut requests so that batches fill up.
        max_execution_batch_size: rows of the largest batch, with splitting.
    """

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    num_batch_threads: int = os.cpu_count() or 1
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False
    enable_large_batch_splitting: bool = False
    max_execution_batch_size: int = 0

    def __post_init__(self):
        for name in ("max_batch_size", "max_enqueued_batches", "num_batch_threads"):
            if getattr(self, name) < 1:
                raise errors.invalid_argument(f"{name} must be positive; was {getattr(self, name)}")
        if self.batch_timeout_micros < 0:
            raise errors.invalid_argument(
                f"batch_timeout_micros must be non-negative; was {self.batch_timeout_micros}"
            )
        if self.allowed_batch_sizes and self.allowed_batch_sizes[-1] != self.max_batch_size:
            raise errors.invalid_argument(
                "Last entry in allowed_batch_sizes must match max_batch_size; last entry was "
                f"{self.allowed_batch_sizes[-1]}; expected {self.max_batch_size}"
            )
        if self.execution_limit > self.max_batch_size:
            raise errors.invalid_argument(
                "max_batch_size should be greater than or equal to max_execution_batch_size; "
                f"max_batch_size was {self.max_batch_size}; max_execution_batch_size was "
                f"{self.execution_limit}"
            )

    @property
    def execution_limit(self) -> int:
        """Rows of the largest batch before padding."""
        splits = self.enable_large_batch_splitting and self.max_execution_batch_size
        return self.max_execution_batch_size if splits else self.max_batch_size

    def padded_size(self, rows: int) -> int:
        """Rows of a batch after padding to an allowed size."""
        return next((size for size in self.allowed_batch_sizes if size >= rows), rows)


def read_batching_options(path: str) -> BatchingOptions:
    """Reads BatchingParameters in text form; what the file omits keeps its default.

    Raises:
        ServingError: INVALID_ARGUMENT for a file that does not parse or contradicts itself.
    """
    parameters = read_text_proto(path, "BatchingParameters")
    wrapped = (
        "max_batch_size",
        "batch_timeout_micros",
        "max_enqueued_batches",
        "num_batch_threads",
        "enable_large_batch_splitting",
        "max_execution_batch_size",
    )
    options = {
        name: getattr(parameters, name).value for name in wrapped if parameters.HasField(name)
    }
    return BatchingOptions(
        **options,
        allowed_batch_sizes=tuple(parameters.allowed_batch_sizes),
        pad_variable_length_inputs=parameters.pad_variable_length_inputs,
    )
