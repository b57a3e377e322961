# SPDX-License-Identifier: Apache-2.0
"""Transport of gRPC: TLS, client certificates, the UNIX socket, and the health check."""

import datetime

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from serving.client import Client
from serving.health import CHECK, SERVING, HealthCheckRequest, HealthCheckResponse


class Authority:
    """A certificate authority of its own."""

    def __init__(self):
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")])
        self.certificate = self._sign(self._name, self._key.public_key(), is_authority=True)

    def issue(self, common_name: str) -> tuple[bytes, bytes]:
        """Private key and certificate for a name, in PEM form."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])
        certificate = self._sign(name, key.public_key(), is_authority=False)
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return pem, certificate

    def _sign(self, subject, public_key, is_authority: bool) -> bytes:
        now = datetime.datetime.now(datetime.timezone.utc)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), False)
            .sign(self._key, hashes.SHA256())
        )
        return certificate.public_bytes(serialization.Encoding.PEM)


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture
def ssl_config_file(tmp_path, authority):
    """Writes an SSLConfig with a certificate for localhost and more fields as text."""

    def write(more: str = "") -> str:
        key, certificate = (text.decode() for text in authority.issue("localhost"))
        path = tmp_path / "ssl.config"
        path.write_text(f"server_key: {key!r} server_cert: {certificate!r} {more}")
        return str(path)

    return write


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
    ca = authority.certificate.decode()
    config = ssl_config_file(f"custom_ca: {ca!r} client_verify: true")
    server = start(base_path(2), ssl_config_file=config)
    key, certificate = authority.issue("client")
    known = grpc.ssl_channel_credentials(authority.certificate, key, certificate)
    assert helpers.Connection(on_localhost(server), known).version() == 2
    unknown = grpc.ssl_channel_credentials(authority.certificate)
    code, _ = helpers.expect_error(helpers.Connection(on_localhost(server), unknown).version)
    assert code == grpc.StatusCode.UNAVAILABLE


def test_unix_socket(base_path, start, helpers, tmp_path):
    path = tmp_path / "socket"
    server = start(base_path(2), grpc_socket_path=path)
    assert helpers.Connection(f"unix:{path}").version() == 2
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
