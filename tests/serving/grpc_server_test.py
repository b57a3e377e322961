# SPDX-License-Identifier: Apache-2.0
"""The gRPC port of the embedded server: files it refuses, and how it says that it is stopping."""

import pytest

from serving.errors import ServingError
from serving.health import CHECK, NOT_SERVING, HealthCheckRequest, HealthCheckResponse


@pytest.mark.parametrize(
    "text, message",
    [
        ("server_key: 'k'", "has no server_cert"),
        ("server_key: 'k' server_cert: 'c' client_verify: true", "without a custom_ca"),
        ("server_key: 'k' server_cert: 'c'", "Does the server_key belong to the server_cert"),
        ("server_keys: 'k'", "Invalid protobuf file"),
    ],
)
def test_tls_configurations_that_are_refused(base_path, start_server, tmp_path, text, message):
    path = tmp_path / "ssl.config"
    path.write_text(text)
    with pytest.raises(ServingError, match=message):
        start_server(base_path(2), ssl_config_file=path)


def test_health_of_a_server_that_stops(base_path, start_server):
    server, connection = start_server(base_path(2), enable_grpc_healthcheck_service=True)
    server._grpc_server._health.set_not_serving()
    check = connection.channel.unary_unary(
        CHECK, HealthCheckRequest.SerializeToString, HealthCheckResponse.FromString
    )
    assert check(HealthCheckRequest(), timeout=20).status == NOT_SERVING
