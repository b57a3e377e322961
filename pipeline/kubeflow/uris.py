# SPDX-License-Identifier: Apache-2.0
"""Where KFP's launcher puts the artifacts of an object store in a container's file system."""

from __future__ import annotations

import os

from ds2_tf.errors import UserError

# Puts all of it under another directory than the root, which only containers may write into.
ROOT_VARIABLE = "DS2_ARTIFACTS"
_DIRECTORIES = {"gs": "gcs", "minio": "minio", "s3": "s3"}


def local_path(uri: str) -> str:
    """The path at which the launcher downloads an input and expects an output.

    Args:
        uri: such as "minio://bucket/key".

    Raises:
        UserError: the launcher does not know such a store.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator or scheme not in _DIRECTORIES:
        raise UserError(
            f"Kubeflow keeps artifacts in {', '.join(f'{s}://' for s in _DIRECTORIES)}, "
            f"not in {uri!r}."
        )
    return os.path.join(os.environ.get(ROOT_VARIABLE, "/"), _DIRECTORIES[scheme], rest)
