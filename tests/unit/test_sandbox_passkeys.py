"""The sandbox's half of the passkey step: what it asks, what it takes, and the code that both sides show."""

import hashlib
import hmac
import json
import os
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.harness.authenticator import Authenticator
from tests.sandbox.contract import PairingRefused
from tests.sandbox.keys import KeyPair
from tests.sandbox.passkeys import HANDOFF, Passkey, Primary, check, from_url_safe
from tests.sandbox.proto import wa_companion_reg
from tests.sandbox.signal.kdf import hkdf

KEY = Authenticator()
PASSKEY = Passkey(KEY.id, from_url_safe(KEY.registered["public"]))
CHALLENGE = b"c" * 32
REQUEST = PASSKEY.options(CHALLENGE).decode()
SECRET, REF = b"s" * 32, "2@ref"


def taken(**how: Any) -> None:  # noqa: ANN401 - as the authenticator takes them
    """Check an answer."""
    check(PASSKEY, CHALLENGE, KEY.id, json.dumps(KEY.answer(REQUEST, **how)).encode())


def test_a_right_answer_is_taken() -> None:
    """Signed by the registered key, at WhatsApp's page, for this request, by a verified user."""
    taken()


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ({"origin": "https://example.org"}, "wrong origin"),
        ({"challenge": "AAAA"}, "wrong challenge"),
        ({"flags": 1}, "not verified"),
        ({"flags": 4}, "not verified"),
    ],
)
def test_a_wrong_answer_is_refused(how: dict[str, Any], reason: str) -> None:
    """Each with its reason."""
    with pytest.raises(PairingRefused, match=reason):
        taken(**how)


def test_a_stranger_is_refused() -> None:
    """Another key under the same id, the same key under another id, and what is no answer."""
    forged = json.dumps(Authenticator(id=KEY.id).answer(REQUEST)).encode()
    with pytest.raises(PairingRefused, match="signature"):
        check(PASSKEY, CHALLENGE, KEY.id, forged)
    with pytest.raises(PairingRefused, match="credential"):
        check(PASSKEY, CHALLENGE, b"x", json.dumps(KEY.answer(REQUEST)).encode())
    for nonsense in (b"", b"{}", b'{"response": 1}', b'{"response": {"clientDataJSON": "AA"}}'):
        with pytest.raises(PairingRefused, match="none"):
            check(PASSKEY, CHALLENGE, KEY.id, nonsense)


class Companion:
    """A companion's half, as whatsmeow has it."""

    def __init__(self) -> None:
        self.keys, self.nonce = KeyPair.of(os.urandom(32)), os.urandom(32)
        self.identity: bytes = wa_companion_reg.CompanionEphemeralIdentity(
            publicKey=self.keys.public, deviceType=wa_companion_reg.DeviceProps.DESKTOP, ref=REF
        ).SerializeToString()
        commitment = wa_companion_reg.CompanionCommitment(hash=hashlib.sha256(self.identity + self.nonce).digest())
        self.payload: bytes = wa_companion_reg.ProloguePayload(
            companionEphemeralIdentity=self.identity, commitment=commitment
        ).SerializeToString()
        self.proof = hmac.digest(hkdf(SECRET, HANDOFF, 32), self.payload, "sha256")

    def request(self, primary: bytes) -> bytes:
        """The sealed request."""
        shared = self.keys.shared(wa_companion_reg.PrimaryEphemeralIdentity.FromString(primary).publicKey)
        salt = f"Companion Pairing {wa_companion_reg.DeviceProps.DESKTOP} with ref {REF}".encode()
        key = hkdf(shared, b"Pairing Information Encryption Key", 32, salt)
        inner = wa_companion_reg.PairingRequest(
            companionPublicKey=b"n" * 32, companionIdentityKey=b"i" * 32, advSecret=b"a" * 32
        )
        sealed = AESGCM(key).encrypt(b"v" * 12, inner.SerializeToString(), None)
        made: bytes = wa_companion_reg.EncryptedPairingRequest(
            encryptedPayload=sealed, IV=b"v" * 12
        ).SerializeToString()
        return made


def test_the_exchange_ends_with_the_companion_s_keys() -> None:
    """Committed, revealed, sealed: the phone learns which keys to sign, and both have one code."""
    companion, phone = Companion(), Primary(SECRET, os.urandom)
    primary = phone.prologue(companion.payload, companion.proof)
    assert not phone.compares
    code = phone.code(companion.nonce)
    assert 9 == len(code)
    assert "-" == code[4]
    opened = phone.open(companion.request(primary))
    assert (b"n" * 32, b"i" * 32, b"a" * 32) == opened


def test_without_a_proof_codes_are_compared() -> None:
    """A proof of another device is worse than none."""
    companion, phone = Companion(), Primary(SECRET, os.urandom)
    phone.prologue(companion.payload, b"")
    assert phone.compares
    with pytest.raises(PairingRefused, match="proof"):
        phone.prologue(companion.payload, b"p" * 32)


def test_what_was_not_committed_to_is_refused() -> None:
    """A nonce that was chosen later, a request under another key, and nonsense."""
    companion, phone = Companion(), Primary(SECRET, os.urandom)
    phone.prologue(companion.payload, b"")
    with pytest.raises(PairingRefused, match="committed"):
        phone.code(os.urandom(32))
    phone.code(companion.nonce)
    for request in (Companion().request(Primary(SECRET, os.urandom).prologue(companion.payload, b"")), b"\xff"):
        with pytest.raises(PairingRefused, match="cannot be read"):
            phone.open(request)
    with pytest.raises(PairingRefused, match="prologue"):
        phone.prologue(b"\xff", b"")
