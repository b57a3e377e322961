# SPDX-License-Identifier: Apache-2.0
"""Keeping known and harmless noise of third-party libraries off the user's terminal."""

from __future__ import annotations

import logging
import os
import warnings

_NO_NEWS = (
    "Execution %d failed.",  # the runner says so itself, with the reason
    "ArtifactQuery.property_predicate is not supported.",  # TFX says so of its own queries
    "Failed to extract number of input bytes.",  # TFMA counts them in extracts of its own reading
)


def quiet_libraries() -> None:
    """Silences TensorFlow's, Beam's and TFX's chatter; their errors still show.

    Call it before TensorFlow is imported: its C++ parts read their log level only then. Worker
    processes inherit the environment variables.
    """
    # 3 leaves fatal errors only: TensorFlow logs as errors that CUDA plug-ins are registered twice,
    # which is harmless, and real errors reach Python as exceptions.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "error")
    # pkg_resources, Python 3.10's end of life and protobuf speak to the libraries' authors.
    os.environ.setdefault("PYTHONWARNINGS", "ignore::FutureWarning,ignore::DeprecationWarning")
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    warnings.filterwarnings("ignore", category=FutureWarning)
    warnings.filterwarnings("ignore", category=UserWarning, module="tensorflow|tfx|apache_beam")
    for name in ("apache_beam", "tensorflow", "tfx", "absl", "root"):
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.getLogger("absl").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return record.msg not in _NO_NEWS
