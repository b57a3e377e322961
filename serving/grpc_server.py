# SPDX-License-Identifier: Apache-2.0
"""The gRPC transport: threads, options, ports, TLS and the UNIX socket."""

from __future__ import annotations

import argparse
import os

import grpc
from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

from serving import errors
from serving.credentials import read_server_credentials
from serving.errors import ServingError
from serving.grpc_services import ModelService, PredictionService
from serving.health import HealthService
from serving.listening import check_address
from serving.unary_server import UnaryServer

PORT_REMEDY = "--port 0 takes any free port."


class GrpcServer:
    """The services on a TCP port and, if asked for, a UNIX socket.

    Args:
        args: the flags of `serving.flags.add_listening_flags`.
        prediction: service to register.
        model: service to register.
        num_threads: calls that are handled at the same time.

    Raises:
        ServingError: a flag is malformed, or a port or socket cannot be listened on.

    Attributes:
        address: `host:port` that it listens on.
    """

    def __init__(
        self,
        args: argparse.Namespace,
        prediction: PredictionService,
        model: ModelService,
        *,
        num_threads: int,
    ):
        options = {
            "grpc.max_receive_message_length": -1,
            "grpc.max_send_message_length": -1,
            # Two servers on one port would take turns in answering.
            "grpc.so_reuseport": 0,
            **_channel_arguments(args.grpc_channel_arguments),
        }
        self._server = UnaryServer(num_threads, options.items())
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            prediction, self._server
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(model, self._server)
        self._health = HealthService() if args.enable_grpc_healthcheck_service else None
        if self._health:
            self._health.add_to(self._server)
        credentials = (
            read_server_credentials(args.ssl_config_file) if args.ssl_config_file else None
        )
        port = self._listen(f"{args.host}:{args.port}", credentials)
        self.address = f"{args.host}:{port}"
        if args.grpc_socket_path:
            self._listen(f"unix:{os.path.abspath(args.grpc_socket_path)}", credentials)

    def start(self) -> None:
        """Begins to answer."""
        self._server.start()

    def stop(self, grace: float) -> None:
        """Refuses new calls and waits for those in progress.

        Args:
            grace: seconds after which they are cancelled.
        """
        if self._health:
            self._health.set_not_serving()
        self._server.stop(grace)

    def _listen(self, address: str, credentials: grpc.ServerCredentials | None) -> int:
        try:
            if credentials:
                return self._server.add_secure_port(address, credentials)
            return self._server.add_insecure_port(address)
        except RuntimeError as error:
            if not address.startswith("unix:"):
                host, _, port = address.rpartition(":")
                check_address(host, int(port), remedy=PORT_REMEDY)
            # gRPC itself tells no reason.
            reason = f"{error}."
            if credentials:
                reason = "Does the server_key belong to the server_cert?"
            raise ServingError(
                grpc.StatusCode.UNAVAILABLE, f"Cannot listen on {address}. {reason}"
            ) from error


def _channel_arguments(text: str) -> dict[str, int | str]:
    arguments: dict[str, int | str] = {}
    for item in filter(None, text.split(",")):
        key, separator, value = item.partition("=")
        if not separator:
            raise errors.invalid_argument(
                f"--grpc_channel_arguments: expected key=value, got {item!r}"
            )
        arguments[key] = int(value) if value.lstrip("-").isdigit() else value
    return arguments
