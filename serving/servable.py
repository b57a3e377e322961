# SPDX-License-Identifier: Apache-2.0
"""One loaded version of one model."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from tensorflow.core.protobuf import meta_graph_pb2


class Session(Protocol):
    """What a servable runs on: a graph, or a queue of batches before one."""

    def run(
        self,
        inputs: Sequence[tuple[str, np.ndarray]],
        outputs: Sequence[str],
        timeout: float | None = None,
    ) -> list[np.ndarray]:
        """See `serving.session.GraphSession.run`."""

    def accepts(self, name: str, value: np.ndarray) -> bool:
        """See `serving.session.GraphSession.accepts`."""

    def close(self) -> None:
        """Frees everything held; no run may be in progress."""


class TensorNames(NamedTuple):
    """Names of a signature's tensors in the graph, by alias and sorted by it."""

    inputs: dict[str, str]
    outputs: dict[str, str]


@dataclass(frozen=True)
class Servable:
    """A model version that is ready to answer.

    Attributes:
        name: model name, as in `ModelSpec.name`.
        version: the number of the version directory.
        signatures: signature key to SignatureDef, `__saved_model_init_op` included.
        session: runs the graph.
    """

    name: str
    version: int
    signatures: Mapping[str, meta_graph_pb2.SignatureDef]
    session: Session

    @functools.cached_property
    def tensor_names(self) -> Mapping[str, TensorNames]:
        """The graph's tensors behind each signature, for requests: messages are slow to read."""
        return {
            key: TensorNames(_tensor_names(signature.inputs), _tensor_names(signature.outputs))
            for key, signature in self.signatures.items()
        }


def _tensor_names(infos: Mapping[str, meta_graph_pb2.TensorInfo]) -> dict[str, str]:
    return {alias: infos[alias].name for alias in sorted(infos)}
