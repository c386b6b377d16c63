"""The sandbox's handshake, against an initiator that was written independently of it."""

import os
from random import Random

import pytest
from cryptography.exceptions import InvalidTag

from tests.sandbox import noise
from tests.sandbox.keys import KeyPair
from tests.sandbox.proto import wa_cert, wa_wa6
from tests.sandbox.signal import xeddsa
from tests.unit.sandbox_wire import Initiator, Keys

NOW = 1_700_000_000


@pytest.fixture
def random() -> Random:
    """Seeded randomness."""
    return Random(7)


@pytest.fixture
def root(random: Random) -> KeyPair:
    """The root key pair that clients pin."""
    return KeyPair.of(random.randbytes(32))


@pytest.fixture
def identity(root: KeyPair, random: Random) -> noise.Identity:
    """A server's identity under the root."""
    return noise.Identity.make(root, NOW, random.randbytes)


def shake(identity: noise.Identity, payload: bytes = b"") -> tuple[noise.Finished, Initiator]:
    """A whole handshake; what each side has of it."""
    server = noise.Handshake(identity, KeyPair.of(bytes(range(32))))
    client = Initiator(KeyPair.of(b"\x01" * 32), KeyPair.of(b"\x02" * 32))
    return server.finish(client.finish(server.answer(client.hello()), payload)), client


def test_both_sides_agree(identity: noise.Identity) -> None:
    """What one side seals after the handshake the other opens, in both directions, message after message."""
    done, client = shake(identity)
    sending, receiving = client.split()
    for number in range(3):
        nonce = number.to_bytes(12)
        assert b"up %d" % number == done.incoming.open(sending.encrypt(nonce, b"up %d" % number, b""))
        assert b"down %d" % number == receiving.decrypt(nonce, done.outgoing.seal(b"down %d" % number), b"")


def test_proves_the_static_keys(identity: noise.Identity) -> None:
    """Each side learns the other's static key: the client's is what a login is checked by."""
    done, client = shake(identity)
    assert client.static.public == done.client_static
    assert identity.static.public == client.server_static


def test_payload_is_parsed(identity: noise.Identity) -> None:
    """The client's payload arrives as the message that it is."""
    payload = wa_wa6.ClientPayload(username=33612, device=7)
    done, _ = shake(identity, payload.SerializeToString())
    assert (33612, 7) == (done.payload.username, done.payload.device)


def test_registration_arrives(identity: noise.Identity, random: Random) -> None:
    """A new device's registration arrives whole."""
    keys = Keys.make(random)
    done, _ = shake(identity, keys.payload().SerializeToString())
    assert keys.identity.public == done.payload.devicePairingData.eIdent


def test_chain_leads_to_the_root(identity: noise.Identity, root: KeyPair) -> None:
    """The intermediate is signed by the root, the leaf by the intermediate, and the leaf holds the static key."""
    _, client = shake(identity)
    chain = client.chain_of_trust
    details = wa_cert.CertChain.NoiseCertificate.Details
    middle, leaf = details.FromString(chain.intermediate.details), details.FromString(chain.leaf.details)
    assert xeddsa.verify(root.public, chain.intermediate.details, chain.intermediate.signature)
    assert xeddsa.verify(middle.key, chain.leaf.details, chain.leaf.signature)
    assert (0, middle.serial) == (middle.issuerSerial, leaf.issuerSerial)
    assert identity.static.public == leaf.key


def test_chain_is_valid_now(identity: noise.Identity) -> None:
    """Both certificates are valid around the moment they were made for."""
    chain = wa_cert.CertChain.FromString(identity.chain)
    for certificate in (chain.intermediate, chain.leaf):
        details = wa_cert.CertChain.NoiseCertificate.Details.FromString(certificate.details)
        assert details.notBefore < NOW < details.notAfter


def test_other_prologue_does_not_open(identity: noise.Identity) -> None:
    """A client that mixed another prologue cannot read the server's answer."""
    server = noise.Handshake(identity, KeyPair.of(bytes(range(32))))
    client = Initiator(KeyPair.of(b"\x01" * 32), KeyPair.of(b"\x02" * 32), prologue=b"WA\x06\x02")
    answer = server.answer(client.hello())
    with pytest.raises(InvalidTag):
        client.finish(answer, b"")


@pytest.mark.parametrize("frame", [b"\xff\xff", b""], ids=["garbage", "empty"])
def test_hello_that_is_none(identity: noise.Identity, frame: bytes) -> None:
    """A first frame without a 32-byte ephemeral key is refused."""
    with pytest.raises(noise.HandshakeError):
        noise.Handshake(identity, KeyPair.of(os.urandom(32))).answer(frame)


def test_key_of_low_order(identity: noise.Identity) -> None:
    """An ephemeral key of low order, which has no shared secret, is refused."""
    message = wa_wa6.HandshakeMessage()
    message.clientHello.ephemeral = bytes(32)
    with pytest.raises(noise.HandshakeError, match="low order"):
        noise.Handshake(identity, KeyPair.of(os.urandom(32))).answer(message.SerializeToString())


def test_spoiled_finish(identity: noise.Identity) -> None:
    """A flipped byte anywhere in the sealed part of the second frame is refused."""
    client = Initiator(KeyPair.of(b"\x01" * 32), KeyPair.of(b"\x02" * 32))
    server = noise.Handshake(identity, KeyPair.of(bytes(range(32))))
    frame = bytearray(client.finish(server.answer(client.hello()), b""))
    frame[-1] ^= 1
    with pytest.raises(noise.HandshakeError, match="decrypt"):
        server.finish(bytes(frame))


def test_finish_that_is_none(identity: noise.Identity) -> None:
    """Bytes that are no protobuf in the second frame are refused."""
    server = noise.Handshake(identity, KeyPair.of(bytes(range(32))))
    server.answer(Initiator(KeyPair.of(b"\x01" * 32), KeyPair.of(b"\x02" * 32)).hello())
    with pytest.raises(noise.HandshakeError, match="not a handshake message"):
        server.finish(b"\xff\xff")


def test_payload_that_is_none(identity: noise.Identity) -> None:
    """A sealed payload that is no protobuf is refused."""
    with pytest.raises(noise.HandshakeError, match="payload"):
        shake(identity, b"\xff\xff")


def test_repeated_message_does_not_open(identity: noise.Identity) -> None:
    """After the handshake each message has its number: a replay is refused."""
    done, client = shake(identity)
    sending, _ = client.split()
    sealed = sending.encrypt(bytes(12), b"once", b"")
    assert b"once" == done.incoming.open(sealed)
    with pytest.raises(noise.HandshakeError):
        done.incoming.open(sealed)


def test_identities_differ(root: KeyPair, random: Random) -> None:
    """Two identities of one root share no static key."""
    one = noise.Identity.make(root, NOW, random.randbytes)
    assert one.static != noise.Identity.make(root, NOW, random.randbytes).static


def test_ciphers_of_equal_keys_are_equal() -> None:
    """A cipher is a pure function of its key and the message number."""
    assert noise.Cipher(bytes(32)).seal(b"x", b"aad") == noise.Cipher(bytes(32)).seal(b"x", b"aad")
    cipher = noise.Cipher(bytes(32))
    assert cipher.seal(b"x") != cipher.seal(b"x")
