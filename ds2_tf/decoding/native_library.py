# SPDX-License-Identifier: Apache-2.0
"""The compiled part of the decoder, `native/`, as functions of plain data.

`pip install` compiles it (setup.py). It is called without Python's lock, so threads decode in
parallel and share one language model.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util

from ds2_tf.errors import UserError

_POINTER = ctypes.c_void_p
_BYTES = ctypes.c_char_p
_SIZE = ctypes.c_uint64


class SearchOptions(ctypes.Structure):
    """What `ds2::Options` is, field by field."""

    _fields_ = [
        ("alpha", ctypes.c_double),
        ("beta", ctypes.c_double),
        ("unknown_score", ctypes.c_double),
        ("beam_threshold", ctypes.c_double),
        ("cumulative", ctypes.c_double),
        ("beam_size", ctypes.c_int32),
        ("max_labels", ctypes.c_int32),
        ("closed", ctypes.c_int32),
        ("units", ctypes.c_int32),
    ]


class HypothesisData(ctypes.Structure):
    """What `HypothesisData` in bindings.cpp is, field by field."""

    _fields_ = [
        ("labels", ctypes.POINTER(ctypes.c_int32)),
        ("num_labels", ctypes.c_int64),
        ("log_p_ctc", ctypes.c_double),
        ("log_p_lm", ctypes.c_double),
        ("extra", ctypes.c_double),
        ("total", ctypes.c_double),
        ("units", ctypes.c_int32),
        ("unknown", ctypes.c_int32),
    ]


# Name -> type of the result and of the arguments; those of bindings.cpp.
_FUNCTIONS = {
    "ds2_model_open": (_POINTER, [_POINTER, _SIZE, _BYTES, ctypes.c_size_t]),
    "ds2_model_close": (None, [_POINTER]),
    "ds2_model_order": (ctypes.c_int32, [_POINTER]),
    "ds2_model_count": (ctypes.c_uint64, [_POINTER, ctypes.c_int32]),
    "ds2_model_words": (_POINTER, [_POINTER, ctypes.POINTER(_SIZE)]),
    "ds2_model_score": (
        ctypes.c_double,
        [_POINTER, _BYTES, _SIZE, ctypes.POINTER(ctypes.c_int32), ctypes.POINTER(ctypes.c_double)],
    ),
    "ds2_search_new": (
        _POINTER,
        [ctypes.POINTER(SearchOptions), _POINTER, *[_BYTES, _SIZE] * 3, _POINTER],
    ),
    "ds2_search_delete": (None, [_POINTER]),
    "ds2_stream_new": (_POINTER, [_POINTER]),
    "ds2_stream_delete": (None, [_POINTER]),
    "ds2_stream_push": (None, [_POINTER, _POINTER, ctypes.c_int64]),
    "ds2_stream_partial": (
        ctypes.c_int64,
        [_POINTER, ctypes.c_int64, _POINTER, ctypes.c_int64, ctypes.POINTER(ctypes.c_int64)],
    ),
    "ds2_stream_finish": (_POINTER, [_POINTER, ctypes.c_int32]),
    "ds2_align": (
        None,
        [
            _POINTER,
            ctypes.c_int64,
            ctypes.c_int64,
            ctypes.c_int32,
            _POINTER,
            ctypes.c_int64,
            _POINTER,
        ],
    ),
    "ds2_stream_align": (None, [_POINTER, _POINTER, ctypes.c_int64, _POINTER]),
    "ds2_result_delete": (None, [_POINTER]),
    "ds2_result_size": (ctypes.c_int64, [_POINTER]),
    "ds2_result_get": (None, [_POINTER, ctypes.c_int64, ctypes.POINTER(HypothesisData)]),
}


@functools.cache
def native_library() -> ctypes.CDLL:
    """Loads the library, once.

    Raises:
        UserError: it was not compiled.
    """
    specification = importlib.util.find_spec("ds2_tf.decoding._native")
    if specification is None:
        raise UserError(
            "The decoder's compiled part is missing. Install ds2-tf again where there is a C++ "
            "compiler (in a checkout: pip install -e .)."
        )
    library = ctypes.CDLL(specification.origin)
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
