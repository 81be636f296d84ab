"""Certificates made for a test: an authority, and what it signs."""

from __future__ import annotations

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_AN_HOUR = datetime.timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Issued:
    """Files in PEM: a certificate for 127.0.0.1 with its key, and the certificate of the authority that signed it."""

    certificate: Path
    key: Path
    authority: Path

    def ray_variables(self) -> dict[str, str]:
        """Ray's variables: a process shows this certificate and asks others for theirs."""
        return {
            "RAY_USE_TLS": "1",
            "RAY_TLS_SERVER_CERT": str(self.certificate),
            "RAY_TLS_SERVER_KEY": str(self.key),
            "RAY_TLS_CA_CERT": str(self.authority),
        }


def issue(folder: Path, authority: str) -> Issued:
    """A new authority of that name, and a certificate of it; ``folder`` must exist."""
    signing, own = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, authority)])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    root = _builder(issuer, issuer, signing.public_key()).add_extension(x509.BasicConstraints(True, None), True)
    leaf = _builder(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ray")]), issuer, own.public_key()
    ).add_extension(x509.SubjectAlternativeName([address, x509.DNSName("localhost")]), False)
    files = Issued(*(folder / f"{authority}-{name}.pem" for name in ("certificate", "key", "authority")))
    files.certificate.write_bytes(leaf.sign(signing, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    files.authority.write_bytes(root.sign(signing, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        own.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


def _builder(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _AN_HOUR)
        .not_valid_after(now + _AN_HOUR)
    )
