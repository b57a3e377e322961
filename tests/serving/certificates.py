# SPDX-License-Identifier: Apache-2.0
"""Certificates for servers and clients of a test."""

from __future__ import annotations

import datetime
import pathlib

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


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

    def write_to(self, directory: pathlib.Path) -> dict[str, str]:
        """Files of a server "localhost" and a client, as "ca", "server", "server_key", "client"
        and "client_key".
        """
        texts = {"ca": self.certificate}
        for name, common_name in {"server": "localhost", "client": "client"}.items():
            texts[f"{name}_key"], texts[name] = self.issue(common_name)
        for name, text in texts.items():
            (directory / f"{name}.pem").write_bytes(text)
        return {name: str(directory / f"{name}.pem") for name in texts}

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
