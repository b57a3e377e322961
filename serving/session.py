# SPDX-License-Identifier: Apache-2.0
"""Running a loaded graph.

`Session.run` of the v1 API spends 100 us of Python per call on feeds and fetches; the wrapper
under it takes 10 us, honors a timeout per call, and reports errors in the runtime's own words,
which are those that TensorFlow Serving passes on.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from tensorflow.python.client import pywrap_tf_session

from serving import errors


class GraphSession:
    """Runs a graph by tensor names; safe to call from many threads.

    Args:
        session: a v1 session whose variables are initialized and whose graph is final.
    """

    def __init__(self, session: tf.compat.v1.Session):
        self._session = session
        session._extend_graph()
        self._tensor = functools.lru_cache(maxsize=None)(self._find_tensor)
        self._declared = functools.lru_cache(maxsize=None)(self._find_declaration)

    def run(
        self,
        inputs: Sequence[tuple[str, np.ndarray]],
        outputs: Sequence[str],
        timeout: float | None = None,
    ) -> list[np.ndarray]:
        """Feeds `inputs` and fetches `outputs`.

        Args:
            inputs: pairs of tensor name and value.
            outputs: tensor names to fetch.
            timeout: seconds until the run is cancelled; None waits without limit.

        Returns:
            One array per output; strings are object arrays of bytes.

        Raises:
            ServingError: with the code and text of the runtime.
        """
        feeds = {self._tensor(name): value for name, value in inputs}
        fetches = [self._tensor(name) for name in outputs]
        options = None if timeout is None else _run_options(max(1, int(timeout * 1000)))
        try:
            return pywrap_tf_session.TF_SessionRun_wrapper(
                self._session._session, options, feeds, fetches, [], None
            )
        except tf.errors.OpError as error:
            raise errors.from_tensorflow(error) from error
        finally:
            if options is not None:
                pywrap_tf_session.TF_DeleteBuffer(options)

    def accepts(self, name: str, value: np.ndarray) -> bool:
        """Whether a value has the type of the tensor `name` and fits its shape as declared.

        Running with one that does not ends in an error, or in a graph's own surprise.
        """
        dtype, shape = self._declared(name)
        if value.dtype != dtype:
            return False
        return shape is None or (
            value.ndim == len(shape)
            and all(length in (None, given) for length, given in zip(shape, value.shape))
        )

    def close(self) -> None:
        """Frees the session and its variables; no run may be in progress."""
        self._session.close()

    def _find_declaration(self, name: str) -> tuple[np.dtype, tuple[int | None, ...] | None]:
        tensor = self._session.graph.get_tensor_by_name(name)
        rank = tensor.shape.rank
        shape = None if rank is None else tuple(tensor.shape.as_list())
        return np.dtype(tensor.dtype.as_numpy_dtype), shape

    def _find_tensor(self, name: str) -> pywrap_tf_session.TF_Output:
        operation_name, _, index = name.partition(":")
        try:
            operation = self._session.graph.get_operation_by_name(operation_name)
        except KeyError as error:
            raise errors.not_found(f"FetchOutputs node {name}: not found") from error
        output = pywrap_tf_session.TF_Output()
        output.oper = operation._c_op
        output.index = int(index or 0)
        if output.index >= len(operation.outputs):
            raise errors.invalid_argument(
                f"FetchOutputs {name}: output index too large, must be < {len(operation.outputs)}"
            )
        return output


def _run_options(milliseconds: int) -> pywrap_tf_session.TF_Buffer:
    options = tf.compat.v1.RunOptions(timeout_in_ms=milliseconds)
    return pywrap_tf_session.TF_NewBufferFromString(options.SerializeToString())
