# SPDX-License-Identifier: Apache-2.0
"""Running a loaded graph.

`Session.run` of the v1 API spends 100 us of Python per call on feeds and fetches; the wrapper
under it takes 10 us, honors a timeout per call, and reports errors in the runtime's own words,
which are those that TensorFlow Serving passes on.

TensorFlow runs a graph in a pool of threads while the caller waits, so that the run can be cut
short at a deadline. Going there and back takes 70 us, more than some graphs do; runs that are
expected to be brief are done by the caller's thread.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from tensorflow.python.client import pywrap_tf_session

from serving import errors

# So long, a run may go on past its deadline because nobody watches over it.
_BRIEF_SECONDS = 5e-3
# Output filters in requests can name the outputs of a graph in any order.
_MOST_REMEMBERED = 1000


class GraphSession:
    """Runs a graph by tensor names; safe to call from many threads.

    A run is expected to be brief where the last one that fetched the same was, with as much input
    or more. The caller's thread then does it, whatever its timeout.

    Args:
        session: a v1 session whose variables are initialized and whose graph is final.
    """

    def __init__(self, session: tf.compat.v1.Session):
        self._session = session
        session._extend_graph()
        self._tensor = functools.lru_cache(maxsize=None)(self._find_tensor)
        self._declared = functools.lru_cache(maxsize=None)(self._find_declaration)
        self._brief_bytes: dict[tuple[str, ...], int] = {}  # of input, by outputs

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
        feeds, size = {}, 0
        for name, value in inputs:
            feeds[self._tensor(name)] = value
            size += _num_bytes(value)
        fetches = [self._tensor(name) for name in outputs]
        key = tuple(outputs)
        brief = size <= self._brief_bytes.get(key, -1)
        options = _in_caller_thread() if brief else _with_timeout(timeout)
        start = time.perf_counter()
        try:
            values = pywrap_tf_session.TF_SessionRun_wrapper(
                self._session._session, options, feeds, fetches, [], None
            )
        except tf.errors.OpError as error:
            raise errors.from_tensorflow(error) from error
        finally:
            if options is not None and not brief:
                pywrap_tf_session.TF_DeleteBuffer(options)
        if (time.perf_counter() - start < _BRIEF_SECONDS) != brief:
            self._expect(key, None if brief else size)
        return values

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

    def _expect(self, key: tuple[str, ...], brief_bytes: int | None) -> None:
        """Remembers how much input makes for a brief run; None for none."""
        if len(self._brief_bytes) >= _MOST_REMEMBERED:
            self._brief_bytes.clear()
        if brief_bytes is None:
            self._brief_bytes.pop(key, None)
        else:
            self._brief_bytes[key] = brief_bytes

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


def _num_bytes(value: np.ndarray) -> int:
    return sum(map(len, value.flat)) if value.dtype.hasobject else value.nbytes


@functools.cache
def _in_caller_thread() -> pywrap_tf_session.TF_Buffer:
    return _buffer(tf.compat.v1.RunOptions(inter_op_thread_pool=-1))


def _with_timeout(seconds: float | None) -> pywrap_tf_session.TF_Buffer | None:
    if seconds is None:
        return None
    return _buffer(tf.compat.v1.RunOptions(timeout_in_ms=max(1, int(seconds * 1000))))


def _buffer(options: tf.compat.v1.RunOptions) -> pywrap_tf_session.TF_Buffer:
    return pywrap_tf_session.TF_NewBufferFromString(options.SerializeToString())
