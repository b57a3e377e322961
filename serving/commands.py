# SPDX-License-Identifier: Apache-2.0
"""Serve an exported model over gRPC and REST with TensorFlow Serving's API.

In production, tensorflow_model_server serves the same directory to the same clients; the flags
here are named like its own. SIGTERM and SIGINT end the server once the calls in progress are done.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import tempfile
from collections.abc import Iterator

from serving import flags


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `ds2 serve`."""
    parser.add_argument(
        "model",
        metavar="MODEL_BASE_PATH_OR_EXPORT",
        help="directory with one numbered directory a version (new versions are picked up), or "
        "one exported model (served alone)",
    )
    parser.add_argument(
        "--model_name", default="ds2", help="name that clients ask for (default: ds2)"
    )
    flags.add_listening_flags(parser)
    flags.add_model_flags(parser)
    flags.add_batching_flags(parser)


def run(args: argparse.Namespace) -> int:
    """Runs `ds2 serve` until a signal ends it."""
    from ds2_tf.errors import UserError

    if not os.path.isdir(args.model):
        raise UserError(
            f"{args.model} is not a directory. Give an exported model, or the directory that "
            "holds its numbered versions."
        )

    from serving.core import single_model_config
    from serving.errors import ServingError
    from serving.server import Server, serve_until_signal, set_up_logging

    set_up_logging()
    with base_path_of(os.path.abspath(args.model)) as base_path:
        try:
            server = Server(args, single_model_config(args.model_name, base_path))
        except ServingError as error:
            raise UserError(error.message) from error
        return serve_until_signal(server, args.shutdown_grace_seconds)


@contextlib.contextmanager
def base_path_of(directory: str) -> Iterator[str]:
    """A base path that leads to `directory`, if that is a single export."""
    if not os.path.exists(os.path.join(directory, "saved_model.pb")):
        yield directory
        return
    name = os.path.basename(directory)
    with tempfile.TemporaryDirectory(prefix="ds2-serve-") as base_path:
        os.symlink(directory, os.path.join(base_path, name if name.isdigit() else "1"))
        yield base_path
