# SPDX-License-Identifier: Apache-2.0
"""Serve a model over gRPC and REST with TensorFlow Serving's API.

In production, tensorflow_model_server serves the same directory to the same clients; the flags
here are named like its own. SIGTERM and SIGINT end the server once the calls in progress are done.
With --web there is a page, too, that hears the microphone and shows the words.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from serving import flags
from serving.gateway.flags import (
    add_gateway_arguments,
    check_installed,
    given_flags,
    prepare_gateway,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `ds2 serve`."""
    parser.add_argument(
        "model",
        metavar="MODEL_BASE_PATH_OR_EXPORT_OR_MODEL",
        help="directory with one numbered directory a version (new versions are picked up), or "
        "one exported model (served alone), or a model directory (exported first, each time)",
    )
    parser.add_argument(
        "--model_name", default="ds2", help="name that clients ask for (default: ds2)"
    )
    flags.add_listening_flags(parser)
    flags.add_model_flags(parser)
    flags.add_batching_flags(parser)
    parser.add_argument("--web", action="store_true", help="serve the page, too")
    add_gateway_arguments(parser, prefix="web")


def run(args: argparse.Namespace) -> int:
    """Runs `ds2 serve` until a signal ends it."""
    from ds2_tf.errors import UserError

    if not os.path.isdir(args.model):
        raise UserError(
            f"{args.model} is not a directory. Give a model, an exported one, or the directory "
            "that holds its numbered versions."
        )
    unused = [] if args.web else given_flags(args)
    if unused:
        raise UserError(f"{', '.join(unused)} without --web: there is no page without it.")
    if args.web:
        check_installed()
        if args.ssl_config_file:
            raise UserError(
                "The page of --web talks to this server without TLS. With --ssl_config_file, start "
                "it as a process of its own: ds2 gateway --server HOST:PORT --server-ca FILE."
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
        if args.web:
            server = _with_page(server, args)
        return serve_until_signal(server, args.shutdown_grace_seconds)


def _with_page(server, args: argparse.Namespace):
    from serving.gateway.gateway import ServerWithPage

    make = prepare_gateway(args, args.model_name)

    def gateway(address: str):
        host, _, port = address.rpartition(":")
        reachable = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)
        return make(f"{reachable}:{port}")

    return ServerWithPage(server, gateway)


def _is_model_directory(path: str) -> bool:
    from ds2_tf.models.model_directory import CONFIG_NAME, MODEL_NAME

    return all(os.path.exists(os.path.join(path, name)) for name in (CONFIG_NAME, MODEL_NAME))


@contextlib.contextmanager
def base_path_of(directory: str) -> Iterator[str]:
    """The base path of a model: of a single export or a model directory one made for it.

    Raises:
        UserError: a model directory cannot be exported.
    """
    is_export = os.path.exists(os.path.join(directory, "saved_model.pb"))
    if not is_export and not _is_model_directory(directory):
        yield directory
        return
    with tempfile.TemporaryDirectory(prefix="ds2-serve-") as base_path:
        if is_export:
            name = os.path.basename(directory)
            os.symlink(directory, os.path.join(base_path, name if name.isdigit() else "1"))
        else:
            _export(directory, base_path)
        yield base_path


def _export(model: str, base_path: str) -> None:
    """Exports in a process of its own, whose memory the server need not keep."""
    from ds2_tf.errors import UserError

    print(f"Exporting {model} (a moment; `ds2 export` keeps what it makes)", file=sys.stderr)
    command = [sys.executable, "-m", "ds2_tf.cli", "export", "--model", model]
    command += ["--output", base_path]
    if subprocess.run(command, stdout=subprocess.DEVNULL).returncode:
        raise UserError(f"{model} cannot be exported, see above.")
