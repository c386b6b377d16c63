"""The sandbox's own certificate authority: makes the web server's certificate that a sandboxed client trusts.

Called once by the `server` at its start; the keys live as long as its work folder.
"""

import datetime as dt
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NAMES = ("web.whatsapp.com", "*.whatsapp.com", "*.whatsapp.net")  # every host the client asks the proxy for
VALIDITY = dt.timedelta(days=30)  # longer than any test bed lives
CLOCK_SKEW = dt.timedelta(hours=1)  # between the machine that makes it and the one that checks it


@dataclass(frozen=True, slots=True)
class Authority:
    """The files of one authority: `ca` is what clients trust, `chain` holds the server's certificate and key."""

    ca: Path
    chain: Path

    @classmethod
    def make(cls, folder: Path, now: dt.datetime) -> Self:
        """Write a fresh authority and server certificate into `folder`; the private file is 0600."""
        ca_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        issuer = _name("Ponton sandbox, not WhatsApp")
        ca = _sign(_builder(issuer, issuer, ca_key, now, authority=True), ca_key)
        names = x509.SubjectAlternativeName([x509.DNSName(name) for name in NAMES])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        leaf = _sign(
            _builder(_name(NAMES[0]), issuer, leaf_key, now, authority=False)
            .add_extension(names, critical=False)
            .add_extension(usage, critical=False),
            ca_key,
        )
        made = cls(folder / "ca.pem", folder / "server.pem")
        made.ca.write_bytes(ca)
        made.chain.unlink(missing_ok=True)  # an older file may have other permissions
        made.chain.touch(mode=0o600)
        made.chain.write_bytes(
            leaf
            + leaf_key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return made

    def context(self) -> ssl.SSLContext:
        """The server's TLS settings: HTTP/1.1 only, because a web socket over the offered h2 fails."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain)
        context.set_alpn_protocols(["http/1.1"])
        return context


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: dt.datetime,
    *,
    authority: bool,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + VALIDITY)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )


def _sign(builder: x509.CertificateBuilder, key: ec.EllipticCurvePrivateKey) -> bytes:
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
