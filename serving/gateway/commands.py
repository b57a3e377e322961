# SPDX-License-Identifier: Apache-2.0
"""Serve a page that hears the microphone with a model server.

The page shows the words while somebody speaks, if the model hears streams, and otherwise at the
end. The model server is TensorFlow Serving or `ds2 serve`; `ds2 serve --web` has the page built in.
"""

from __future__ import annotations

import argparse
import sys

from ds2_tf.commands.server_arguments import add_tls_arguments, tls_credentials
from serving.gateway.flags import add_gateway_arguments, check_installed, prepare_gateway


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Arguments of `ds2 gateway`."""
    parser.add_argument(
        "--server",
        required=True,
        metavar="HOST:PORT",
        help="gRPC address of TensorFlow Serving or `ds2 serve`",
    )
    parser.add_argument(
        "--model-name", default="ds2", metavar="NAME", help="name on the server (default: ds2)"
    )
    add_tls_arguments(parser)
    parser.add_argument(
        "--shutdown-grace-seconds",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="how long utterances may take to end after SIGTERM or SIGINT (default: 10)",
    )
    add_gateway_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Runs `ds2 gateway` until a signal ends it."""
    check_installed()
    from serving.server import serve_until_signal, set_up_logging

    set_up_logging()
    make = prepare_gateway(args, args.model_name, credentials=tls_credentials(args))
    gateway = make(args.server)
    # The model server may come later, and so this is no error.
    problem = gateway.problem()
    if problem:
        print(f"ds2: warning: {problem} The page waits for it.", file=sys.stderr, flush=True)
    return serve_until_signal(gateway, args.shutdown_grace_seconds)
