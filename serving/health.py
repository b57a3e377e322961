# SPDX-License-Identifier: Apache-2.0
"""The standard gRPC health service, `grpc.health.v1.Health/Check`.

`Watch` is not served: every watcher would hold a thread of the server for good. Clients take the
UNIMPLEMENTED answer for a healthy server.
"""

from __future__ import annotations

import grpc

from serving.runtime_protos import message_classes

SERVING, NOT_SERVING = 1, 2

_MESSAGES = message_classes(
    "grpc.health.v1",
    # On the wire, an enum is an int32.
    {"HealthCheckRequest": {"service": "string"}, "HealthCheckResponse": {"status": "int32"}},
)
HealthCheckRequest = _MESSAGES["HealthCheckRequest"]
HealthCheckResponse = _MESSAGES["HealthCheckResponse"]

CHECK = "/grpc.health.v1.Health/Check"


class HealthService:
    """Answers for the server as a whole and for its two services."""

    services = ("", "ModelService", "PredictionService")

    def __init__(self):
        self._status = SERVING

    def set_not_serving(self) -> None:
        """From now on, answers NOT_SERVING; for a server that is stopping."""
        self._status = NOT_SERVING

    def add_to(self, server: grpc.Server) -> None:
        """Registers the service before the server starts."""
        check = grpc.unary_unary_rpc_method_handler(
            self._check,
            request_deserializer=HealthCheckRequest.FromString,
            response_serializer=HealthCheckResponse.SerializeToString,
        )
        service, method = CHECK.lstrip("/").split("/")
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler(service, {method: check}),)
        )

    def _check(self, request, context: grpc.ServicerContext):
        if request.service not in self.services:
            context.abort(grpc.StatusCode.NOT_FOUND, "service name unknown")
        return HealthCheckResponse(status=self._status)
