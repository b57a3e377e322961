# SPDX-License-Identifier: Apache-2.0
"""A hash of the code that makes a model, so that the cache sees when it changes."""

from __future__ import annotations

import functools
import hashlib
import pathlib

import ds2_tf


@functools.lru_cache(maxsize=1)
def source_hash() -> str:
    """A hash over all Python sources of ds2_tf."""
    root = pathlib.Path(ds2_tf.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(f"{path.relative_to(root)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
