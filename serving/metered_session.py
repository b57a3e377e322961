# SPDX-License-Identifier: Apache-2.0
"""A session that counts how long its runs take."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from serving.metrics import ServerMetrics
from serving.servable import Session


class MeteredSession:
    """Records the latency of each run that succeeds.

    Args:
        wrapped: runs.
        model_name: label of the metric.
        metrics: where to record.
    """

    def __init__(self, wrapped: Session, model_name: str, metrics: ServerMetrics):
        self._wrapped = wrapped
        self._model_name = model_name
        self._metrics = metrics

    def run(
        self,
        inputs: Sequence[tuple[str, np.ndarray]],
        outputs: Sequence[str],
        timeout: float | None = None,
    ) -> list[np.ndarray]:
        """See `serving.session.GraphSession.run`."""
        start = time.monotonic()
        values = self._wrapped.run(inputs, outputs, timeout)
        microseconds = (time.monotonic() - start) * 1e6
        self._metrics.runtime_latency.record(microseconds, self._model_name, "Predict", "TF1")
        return values

    def accepts(self, name: str, value: np.ndarray) -> bool:
        return self._wrapped.accepts(name, value)

    def close(self) -> None:
        self._wrapped.close()
