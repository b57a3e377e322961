# SPDX-License-Identifier: Apache-2.0
"""TLS for the gRPC ports, from TensorFlow Serving's SSLConfig file."""

from __future__ import annotations

import grpc

from serving import errors
from serving.text_protos import read_text_proto


def read_server_credentials(path: str) -> grpc.ServerCredentials:
    """Builds credentials from the certificates that the file holds, in PEM form.

    With `client_verify`, clients must show a certificate signed by `custom_ca`.

    Raises:
        ServingError: INVALID_ARGUMENT if the file does not parse or lacks what it needs.
    """
    config = read_text_proto(path, "SSLConfig")
    for name in ("server_key", "server_cert"):
        if not getattr(config, name):
            raise errors.invalid_argument(
                f"{path} has no {name}. Give the key and the certificate themselves, in PEM form, "
                "not their paths."
            )
    if config.client_verify and not config.custom_ca:
        raise errors.invalid_argument(
            f"{path} asks for client certificates (client_verify) without a custom_ca to verify "
            "them against."
        )
    return grpc.ssl_server_credentials(
        [(config.server_key.encode(), config.server_cert.encode())],
        root_certificates=config.custom_ca.encode() or None,
        require_client_auth=config.client_verify,
    )
