# SPDX-License-Identifier: Apache-2.0
"""Loading a SavedModel the way TensorFlow Serving does: v1 loader, own graph, own session."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import google.protobuf.message
import tensorflow as tf
from tensorflow.python.saved_model import loader_impl

from serving import errors
from serving.metrics import ServerMetrics
from serving.servable import Servable, Session
from serving.session import GraphSession
from serving.warmup import has_warmup, warm_up


@dataclass(frozen=True)
class SavedModelLoader:
    """Loads versions, all with the same settings.

    Attributes:
        tags: tags of the MetaGraph to load.
        intra_op_threads: threads within one operation; 0 lets TensorFlow choose.
        inter_op_threads: operations that run at the same time; 0 lets TensorFlow choose.
        gpu_memory_fraction: share of each GPU's memory to take; 0 lets TensorFlow choose.
        enable_warmup: run the warm-up requests that an export carries.
        wrap_session: given a model's name and its session, puts something before it, such as a
            queue of batches.
        metrics: records how long warming up takes.
    """

    tags: tuple[str, ...] = ("serve",)
    intra_op_threads: int = 0
    inter_op_threads: int = 0
    gpu_memory_fraction: float = 0.0
    enable_warmup: bool = True
    wrap_session: Callable[[str, Session], Session] = lambda name, session: session
    metrics: ServerMetrics = field(default_factory=ServerMetrics)

    def __call__(self, name: str, version: int, path: str) -> Servable:
        """Loads one version and runs its warm-up requests.

        Raises:
            ServingError: the directory holds no SavedModel with the tags, its graph cannot be
                loaded here, or a warm-up request failed.
        """
        graph = tf.Graph()
        session = tf.compat.v1.Session(graph=graph, config=self._session_config())
        try:
            with graph.as_default():
                meta_graph = loader_impl.SavedModelLoader(path).load(session, list(self.tags))
            servable = Servable(
                name,
                version,
                dict(meta_graph.signature_def),
                self.wrap_session(name, GraphSession(session)),
            )
            if self.enable_warmup:
                self._warm_up(servable, path)
        except Exception as error:
            session.close()
            raise _load_error(error, path) from error
        return servable

    def _warm_up(self, servable: Servable, path: str) -> None:
        if not has_warmup(path):
            return
        start = time.monotonic()
        status = "OK"
        try:
            warm_up(servable, path)
        except errors.ServingError as error:
            status = error.code.name
            raise
        finally:
            microseconds = (time.monotonic() - start) * 1e6
            self.metrics.model_warmup_latency.record(microseconds, path, status)

    def _session_config(self) -> tf.compat.v1.ConfigProto:
        config = tf.compat.v1.ConfigProto(
            intra_op_parallelism_threads=self.intra_op_threads,
            inter_op_parallelism_threads=self.inter_op_threads,
        )
        config.gpu_options.per_process_gpu_memory_fraction = self.gpu_memory_fraction
        return config


def _load_error(error: Exception, path: str) -> errors.ServingError:
    if isinstance(error, errors.ServingError):
        return error
    if isinstance(error, tf.errors.OpError):
        return errors.from_tensorflow(error)
    if isinstance(error, OSError):
        return errors.not_found(
            "Could not find SavedModel .pb or .pbtxt at supplied export directory path: "
            f"{path}. Check that the directory exists and that you have the right permissions for "
            "accessing it."
        )
    if isinstance(error, google.protobuf.message.DecodeError):
        return errors.invalid_argument(f"The file in {path} is not a SavedModel: {error}")
    if isinstance(error, RuntimeError):  # no MetaGraph with the tags
        return errors.not_found(str(error))
    return errors.invalid_argument(f"Could not load the SavedModel in {path}: {error}")
