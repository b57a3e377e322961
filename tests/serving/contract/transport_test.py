# SPDX-License-Identifier: Apache-2.0
"""Transport of gRPC: TLS, client certificates, the UNIX socket, and the health check."""

import grpc

from serving.client import Client
from serving.health import CHECK, SERVING, HealthCheckRequest, HealthCheckResponse


def on_localhost(server) -> str:
    return server.address.replace("127.0.0.1", "localhost")


def test_tls(base_path, start, ssl_config_file, authority, helpers):
    server = start(base_path(2), ssl_config_file=ssl_config_file())
    credentials = grpc.ssl_channel_credentials(authority.certificate)
    assert helpers.Connection(on_localhost(server), credentials).version() == 2
    with Client(on_localhost(server), "tiny", credentials=credentials) as client:
        assert client.status()[0].state == "AVAILABLE"
    code, _ = helpers.expect_error(helpers.Connection(server.address).version)
    assert code == grpc.StatusCode.UNAVAILABLE


def test_client_certificates(base_path, start, ssl_config_file, authority, helpers):
    server = start(base_path(2), ssl_config_file=ssl_config_file(client_verify=True))
    key, certificate = authority.issue("client")
    known = grpc.ssl_channel_credentials(authority.certificate, key, certificate)
    assert helpers.Connection(on_localhost(server), known).version() == 2
    with Client(on_localhost(server), "tiny", credentials=known) as client:
        assert client.status()[0].version == 2
    unknown = grpc.ssl_channel_credentials(authority.certificate)
    code, _ = helpers.expect_error(helpers.Connection(on_localhost(server), unknown).version)
    assert code == grpc.StatusCode.UNAVAILABLE


def test_unix_socket(base_path, start, helpers, tmp_path):
    path = tmp_path / "socket"
    server = start(base_path(2), grpc_socket_path=path)
    assert helpers.Connection(f"unix:{path}").version() == 2
    with Client(f"unix://{path}", "tiny") as client:
        assert client.status()[0].version == 2
    assert server.connection.version() == 2


def health(connection, service: str = "") -> int:
    check = connection.channel.unary_unary(
        CHECK, HealthCheckRequest.SerializeToString, HealthCheckResponse.FromString
    )
    return check(HealthCheckRequest(service=service), timeout=20).status


def test_health(base_path, start, helpers):
    server = start(base_path(2), enable_grpc_healthcheck_service=True)
    for service in ("", "ModelService", "PredictionService"):
        assert health(server.connection, service) == SERVING
    code, _ = helpers.expect_error(health, server.connection, "Nobody")
    assert code == grpc.StatusCode.NOT_FOUND


def test_health_is_off_by_default(base_path, start, helpers):
    server = start(base_path(2))
    code, _ = helpers.expect_error(health, server.connection)
    assert code == grpc.StatusCode.UNIMPLEMENTED
