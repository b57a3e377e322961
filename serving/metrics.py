# SPDX-License-Identifier: Apache-2.0
"""Counts and distributions, under TensorFlow Serving's names, as a Prometheus page."""

from __future__ import annotations

import bisect
import itertools
import threading
from collections.abc import Sequence


class _Metric:
    """A metric with one cell per combination of label values."""

    kind = ""

    def __init__(self, name: str, labels: Sequence[str] = ()):
        self.name = name
        self._labels = tuple(labels)
        self._lock = threading.Lock()

    def _label_text(self, values: tuple[str, ...]) -> str:
        escaped = (value.replace("\\", r"\\").replace('"', r"\"") for value in values)
        return ",".join(f'{label}="{value}"' for label, value in zip(self._labels, escaped))


class Counter(_Metric):
    """A number that only grows.

    Args:
        name: Prometheus name.
        labels: label names; `increment` takes their values in the same order.
    """

    kind = "counter"

    def __init__(self, name: str, labels: Sequence[str] = ()):
        super().__init__(name, labels)
        self._cells: dict[tuple[str, ...], int] = {}

    def increment(self, *label_values: str) -> None:
        """Adds one."""
        with self._lock:
            self._cells[label_values] = self._cells.get(label_values, 0) + 1

    def lines(self) -> list[str]:
        """The metric's lines of the page, without its type."""
        with self._lock:
            return [
                f"{self.name}{{{self._label_text(values)}}} {count}"
                for values, count in sorted(self._cells.items())
            ]


class Histogram(_Metric):
    """A distribution over buckets whose limits grow exponentially.

    Args:
        name: Prometheus name.
        labels: label names; `record` takes their values in the same order.
        scale: limit of the first bucket.
        growth: each limit by the one before.
        num_buckets: number of buckets, the unbounded last one included.
    """

    kind = "histogram"

    def __init__(
        self,
        name: str,
        labels: Sequence[str] = (),
        *,
        scale: float,
        growth: float,
        num_buckets: int,
    ):
        super().__init__(name, labels)
        self._limits = [scale * growth**index for index in range(num_buckets - 1)]
        self._cells: dict[tuple[str, ...], tuple[list[int], list[float]]] = {}

    def record(self, value: float, *label_values: str) -> None:
        """Counts a value."""
        # A value on a limit belongs to the bucket above it.
        bucket = bisect.bisect_right(self._limits, value)
        with self._lock:
            if label_values not in self._cells:
                self._cells[label_values] = ([0] * (len(self._limits) + 1), [0.0])
            counts, total = self._cells[label_values]
            counts[bucket] += 1
            total[0] += value

    def lines(self) -> list[str]:
        """The metric's lines of the page, without its type."""
        with self._lock:
            cells = [(v, list(counts), total[0]) for v, (counts, total) in self._cells.items()]
        lines = []
        limits = [f"{limit:g}" for limit in self._limits] + ["+Inf"]
        for values, counts, total in sorted(cells):
            labels = self._label_text(values)
            prefix = f"{self.name}_bucket{{{labels}{',' if labels else ''}"
            for limit, count in zip(limits, itertools.accumulate(counts)):
                lines.append(f'{prefix}le="{limit}"}} {count}')
            lines.append(f"{self.name}_sum{{{labels}}} {total:g}")
            lines.append(f"{self.name}_count{{{labels}}} {sum(counts)}")
        return lines


def _latency(name: str, *labels: str) -> Histogram:
    """Microseconds, from 10 to about 20 minutes."""
    return Histogram(name, labels, scale=10, growth=1.8, num_buckets=33)


def _size(name: str) -> Histogram:
    """Rows of a batch."""
    return Histogram(name, scale=1, growth=2, num_buckets=15)


class ServerMetrics:
    """All metrics of one server.

    Attributes:
        request_count: requests by model and status code.
        request_latency: microseconds from request to reply, of requests that succeeded.
        runtime_latency: microseconds of runs, waiting for a batch included.
        model_warmup_latency: microseconds of warming up a version.
        queuing_latency: microseconds that requests waited for their batch.
        wrapped_run_count: batches run.
        input_batch_size: rows of each request's inputs.
        processed_batch_size: rows of each batch, padding included.
        padding_size: rows of padding in each batch.
    """

    def __init__(self):
        prefix = ":tensorflow:serving:"
        batching = f"{prefix}batching_session:"
        self.request_count = Counter(f"{prefix}request_count", ("model_name", "status"))
        self.request_latency = _latency(
            f"{prefix}request_latency", "model_name", "API", "entrypoint"
        )
        self.runtime_latency = _latency(f"{prefix}runtime_latency", "model_name", "API", "runtime")
        self.model_warmup_latency = _latency(
            f"{prefix}model_warmup_latency", "model_path", "status"
        )
        self.queuing_latency = Histogram(
            f"{batching}queuing_latency",
            ("thread_pool_name",),
            scale=100,
            growth=1.2,
            num_buckets=52,
        )
        self.wrapped_run_count = Counter(f"{batching}wrapped_run_count")
        self.input_batch_size = _size(f"{batching}input_batch_size")
        self.processed_batch_size = _size(f"{batching}processed_batch_size")
        self.padding_size = _size(f"{batching}padding_size")

    def page(self) -> str:
        """All metrics in Prometheus' text format."""
        lines = []
        for metric in sorted(vars(self).values(), key=lambda metric: metric.name):
            lines += [f"# TYPE {metric.name} {metric.kind}", *metric.lines()]
        return "\n".join(lines) + "\n"
