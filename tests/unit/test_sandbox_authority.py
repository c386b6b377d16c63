"""The sandbox's certificate authority."""

import datetime as dt
import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.sandbox.authority import Authority

NOW = dt.datetime.now(dt.UTC)  # the handshake below is checked against the real clock


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """One authority for all tests of this module."""
    return Authority.make(tmp_path_factory.mktemp("authority"), NOW)


def certificates(path: Path) -> list[x509.Certificate]:
    """The certificates in a file."""
    return x509.load_pem_x509_certificates(path.read_bytes())


def test_names_of_the_leaf(authority: Authority) -> None:
    """The server's certificate is good for every host that the client asks for."""
    (leaf,) = certificates(authority.chain)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert {"web.whatsapp.com", "*.whatsapp.net"} <= set(names.get_values_for_type(x509.DNSName))
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert [ExtendedKeyUsageOID.SERVER_AUTH] == list(usage)


def test_chain_of_trust(authority: Authority) -> None:
    """The authority signed the leaf, only the authority may sign, and both are valid now."""
    (ca,), (leaf,) = certificates(authority.ca), certificates(authority.chain)
    leaf.verify_directly_issued_by(ca)
    ca.verify_directly_issued_by(ca)
    constraints = [c.extensions.get_extension_for_class(x509.BasicConstraints).value.ca for c in (ca, leaf)]
    assert [True, False] == constraints
    for certificate in (ca, leaf):
        assert certificate.not_valid_before_utc < NOW < certificate.not_valid_after_utc


def test_authority_names_itself(authority: Authority) -> None:
    """Nobody can mistake the authority for WhatsApp's."""
    (ca,) = certificates(authority.ca)
    assert "not WhatsApp" in ca.subject.rfc4514_string()


def test_private_key_is_private(authority: Authority) -> None:
    """The file with the key is readable by its owner only; the authority's own key is nowhere."""
    assert 0o600 == authority.chain.stat().st_mode & 0o777
    assert b"PRIVATE" not in authority.ca.read_bytes()
    assert 1 == authority.chain.read_bytes().count(b"BEGIN PRIVATE KEY")


def test_only_http_1_is_offered(authority: Authority) -> None:
    """A client that prefers h2 ends up with http/1.1, in memory and without a socket."""
    server_in, server_out, client_in, client_out = (ssl.MemoryBIO() for _ in range(4))
    trust = ssl.create_default_context(cafile=str(authority.ca))
    trust.set_alpn_protocols(["h2", "http/1.1"])
    trust.verify_flags &= ~ssl.VERIFY_X509_STRICT
    server = authority.context().wrap_bio(server_in, server_out, server_side=True)
    client = trust.wrap_bio(client_in, client_out, server_hostname="mmg.whatsapp.net")
    for side, out, other in ((client, client_out, server_in), (server, server_out, client_in)) * 3:
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
        other.write(out.read())
    assert "http/1.1" == server.selected_alpn_protocol()


def test_two_authorities_share_nothing(authority: Authority, tmp_path: Path) -> None:
    """Each sandbox has keys of its own: nothing trusts another one's."""
    other = Authority.make(tmp_path, NOW)
    assert authority.ca.read_bytes() != other.ca.read_bytes()
    (leaf,), (ca,) = certificates(authority.chain), certificates(other.ca)
    with pytest.raises(InvalidSignature):
        leaf.verify_directly_issued_by(ca)
