# SPDX-License-Identifier: Apache-2.0
"""Hashes of the code that steps run, so that the cache sees when it changes."""

from __future__ import annotations

import functools
import hashlib
import pathlib

import ds2_tf

_ROOT = pathlib.Path(ds2_tf.__file__).parent.parent

# What each kind of step runs: packages and modules, from the directory that has ds2_tf.
LANGUAGE_MODEL_SOURCES = ("ds2_tf/lm", "ds2_tf/text", "pipeline/components/language_model.py")
DECODING_SOURCES = ("ds2_tf/decoding", "ds2_tf/metrics", "pipeline/evaluation/recognition.py")
EVALUATION_SOURCES = (*DECODING_SOURCES, "pipeline/evaluation")
REPORT_SOURCES = ("ds2_tf/reports", "ds2_tf/metrics", "pipeline/components/evaluation_report.py")
# Parts of ds2_tf that no model depends on.
_NOT_FOR_TRAINING = ("commands", "lm", "reports")


def source_hash() -> str:
    """A hash over the Python sources of ds2_tf that a model depends on."""
    root = pathlib.Path(ds2_tf.__file__).parent
    return hash_of_sources(
        *(
            str(path.relative_to(_ROOT))
            for path in root.iterdir()
            if path.name not in _NOT_FOR_TRAINING
        )
    )


@functools.lru_cache
def hash_of_sources(*names: str) -> str:
    """A hash over the sources of packages and modules, the decoder's C++ included.

    Args:
        names: directories and files, from the directory that has ds2_tf.
    """
    digest = hashlib.sha256()
    paths = set()
    for name in names:
        path = _ROOT / name
        paths |= set(path.rglob("*")) if path.is_dir() else {path}
    for path in sorted(path for path in paths if path.suffix in (".py", ".cpp", ".h")):
        digest.update(f"{path.relative_to(_ROOT)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
