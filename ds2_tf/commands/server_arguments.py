# SPDX-License-Identifier: Apache-2.0
"""Arguments of commands that ask a model server, and the connection that they describe."""

from __future__ import annotations

import argparse
import pathlib
from typing import TYPE_CHECKING

from ds2_tf.errors import UserError

if TYPE_CHECKING:
    import grpc

    from serving.client import Client


def add_tls_arguments(parser: argparse._ActionsContainer) -> None:
    """Adds what an encrypted connection takes."""
    parser.add_argument(
        "--tls",
        action="store_true",
        help="talk to the server over TLS, and trust the public authorities that gRPC knows, or "
        "those of GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    )
    parser.add_argument(
        "--server-ca",
        metavar="FILE",
        help="talk to the server over TLS, and trust this certificate (PEM) alone",
    )
    parser.add_argument(
        "--client-certificate",
        metavar="FILE",
        help="show the server this certificate chain (PEM), if it asks for one",
    )
    parser.add_argument(
        "--client-key", metavar="FILE", help="the private key of --client-certificate (PEM)"
    )


def tls_credentials(args: argparse.Namespace) -> grpc.ChannelCredentials | None:
    """What the arguments of `add_tls_arguments` ask for; None is plain text.

    Raises:
        UserError: a file cannot be read, or one is missing.
    """
    import grpc

    if bool(args.client_certificate) != bool(args.client_key):
        raise UserError("--client-certificate and --client-key go together.")
    if not (args.tls or args.server_ca):
        if args.client_certificate:
            raise UserError("--client-certificate needs TLS: --tls or --server-ca.")
        return None
    return grpc.ssl_channel_credentials(
        root_certificates=_read(args.server_ca),
        private_key=_read(args.client_key),
        certificate_chain=_read(args.client_certificate),
    )


def connect(args: argparse.Namespace, **options: object) -> Client:
    """A client of the server that `--server`, `--model-name`, `--timeout` and TLS describe.

    Args:
        args: of the command.
        **options: further ones of `Client`.

    Raises:
        UserError: a certificate or key cannot be read.
    """
    # Commands are the one place where this package knows of one above it: they serve them all.
    from serving.client import Client

    return Client(
        args.server,
        args.model_name,
        timeout=args.timeout,
        credentials=tls_credentials(args),
        **options,
    )


def _read(path: str | None) -> bytes | None:
    if not path:
        return None
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"The file {path} cannot be read: {error.strerror}.") from error
