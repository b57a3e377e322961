# SPDX-License-Identifier: Apache-2.0
"""What a client makes of a server's answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from ds2_tf.streaming.results import TimedWord

if TYPE_CHECKING:
    from ds2_tf.decoding.decoder import RankedText


@dataclass(frozen=True)
class Transcription:
    """What was heard in one recording.

    Attributes:
        text: the transcript, words with single spaces between them.
        score: log probability (natural) of the best alignment, or with a decoder the total score
            of the text.
        num_frames: output frames of the network for this recording.
        duration_seconds: length of the recording.
        model_version: the version that answered, last if the recording was cut.
        latency_seconds: from sending a request until its reply, of all requests with a part of
            this recording; recordings of one batch share it.
        words: the words with their times in the recording; None if they were not asked for.
        alternatives: the best texts, best first, where several were asked for.
    """

    text: str
    score: float
    num_frames: int
    duration_seconds: float
    model_version: int
    latency_seconds: float
    words: tuple[TimedWord, ...] | None = None
    alternatives: tuple[RankedText, ...] = ()


@dataclass(frozen=True)
class VersionStatus:
    """State of one version of the model.

    Attributes:
        version: version number.
        state: START, LOADING, AVAILABLE, UNLOADING or END.
        error: why the version ended; empty if nothing went wrong.
    """

    version: int
    state: str
    error: str


@dataclass(frozen=True)
class TensorInfo:
    """An input or output of a signature.

    Attributes:
        dtype: TensorFlow's name of the type, such as "float32" or "string".
        shape: length of each axis, None where it is free; None as a whole if the rank is.
    """

    dtype: str
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs of a signature, by name."""

    inputs: dict[str, TensorInfo]
    outputs: dict[str, TensorInfo]


@dataclass(frozen=True)
class Metadata:
    """What a version offers.

    Attributes:
        version: version number.
        signatures: by name.
    """

    version: int
    signatures: dict[str, Signature]


@dataclass(frozen=True)
class Prediction:
    """What a signature answered.

    Attributes:
        outputs: by name; strings are object arrays of bytes.
        version: the version that answered.
        latency_seconds: from sending the request until its reply.
    """

    outputs: dict[str, np.ndarray]
    version: int
    latency_seconds: float


def tensor_infos(infos: Mapping[str, meta_graph_pb2.TensorInfo]) -> dict[str, TensorInfo]:
    """The inputs or the outputs of a signature, sorted by name."""
    return {name: _tensor_info(info) for name, info in sorted(infos.items())}


def _tensor_info(info: meta_graph_pb2.TensorInfo) -> TensorInfo:
    dtype = types_pb2.DataType.Name(info.dtype).removeprefix("DT_").lower()
    dtype = {"float": "float32", "double": "float64", "half": "float16"}.get(dtype, dtype)
    if info.tensor_shape.unknown_rank:
        return TensorInfo(dtype, None)
    return TensorInfo(
        dtype, tuple(None if dim.size < 0 else dim.size for dim in info.tensor_shape.dim)
    )
