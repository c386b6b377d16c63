"""A passkey as WhatsApp's servers and the phone know it: what is asked, what counts as an answer, and what follows.

Pure. The server's half (`Passkey`, `check`) is called by `demand`, the phone's half (`Primary`) by the handsets.
Keys are P-256 (ES256), as nearly all passkeys are; the rest is as Web Authentication, level 3, section 7.2.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from google.protobuf.message import DecodeError

from tests.sandbox.contract import PairingRefused
from tests.sandbox.keys import KEY_SIZE, KeyPair
from tests.sandbox.pairing import CODE_ALPHABET
from tests.sandbox.proto import wa_companion_reg
from tests.sandbox.signal.kdf import hkdf

ORIGIN, RELYING_PARTY = "https://web.whatsapp.com", "whatsapp.com"
PRESENT, VERIFIED = 0x01, 0x04  # flags of the authenticator's data
CHALLENGE_SIZE = 32  # bytes
CODE_BYTES = 5  # of the code to compare: eight characters
HANDOFF = b"shortcake-passkey-handoff-v1"


@dataclass(slots=True)
class Passkey:
    """A passkey that was registered for an account, and how the server handles it.

    `refuse` = it takes no answer, `silent` = the phone hears of none; `timeout` in milliseconds.
    """

    credential: bytes
    public: bytes  # uncompressed point, 65 bytes
    timeout: int = 600_000
    refuse: bool = False
    silent: bool = False

    def options(self, challenge: bytes) -> bytes:
        """What a client is sent."""
        credential = {"id": url_safe(self.credential), "type": "public-key", "transports": ["internal", "hybrid"]}
        return json.dumps({
            "challenge": url_safe(challenge),
            "timeout": self.timeout,
            "rpId": RELYING_PARTY,
            "allowCredentials": [credential],
            "userVerification": "required",
        }).encode()  # fmt: skip


def check(passkey: Passkey, challenge: bytes, credential: bytes, assertion: bytes) -> None:
    """Check an answer as a relying party does; raises PairingRefused with the reason."""
    try:
        response = json.loads(assertion)["response"]
        data, authenticator, signature = (
            from_url_safe(response[name]) for name in ("clientDataJSON", "authenticatorData", "signature")
        )
        client: dict[str, Any] = json.loads(data)
    except (LookupError, TypeError, ValueError):
        raise PairingRefused("an answer that is none") from None
    flags = authenticator[32] if len(authenticator) > 32 else 0
    wrong = {
        "another credential": credential != passkey.credential,
        "wrong type": client.get("type") != "webauthn.get",
        "wrong challenge": client.get("challenge") != url_safe(challenge),
        "wrong origin": client.get("origin") != ORIGIN,
        "wrong relying party": authenticator[:32] != hashlib.sha256(RELYING_PARTY.encode()).digest(),
        "user not verified": flags & (PRESENT | VERIFIED) != PRESENT | VERIFIED,
    }
    if found := [reason for reason, is_so in wrong.items() if is_so]:
        raise PairingRefused(found[0])
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), passkey.public)
    try:
        key.verify(signature, authenticator + hashlib.sha256(data).digest(), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        raise PairingRefused("wrong signature") from None


class Companion(NamedTuple):
    """Who wants to be linked, as it says under the phone's key: its public keys and its new secret."""

    noise: bytes
    identity: bytes
    secret: bytes


@dataclass(slots=True)
class Primary:
    """The phone's side: `scanned` is the secret of the code that was scanned or typed."""

    scanned: bytes
    random: Callable[[int], bytes]
    _ephemeral: KeyPair = field(init=False)
    _nonce: bytes = field(init=False)
    _identity: bytes = b""
    _commitment: bytes = b""
    _key: bytes = b""
    compares: bool = True

    def __post_init__(self) -> None:
        """Make its half of the exchange."""
        self._ephemeral, self._nonce = KeyPair.of(self.random(KEY_SIZE)), self.random(KEY_SIZE)

    def prologue(self, payload: bytes, proof: bytes) -> bytes:
        """Take the companion's commitment; gives the phone's ephemeral identity. Raises PairingRefused.

        A proof under the scanned secret spares the owner the comparison.
        """
        if proof:
            expected = hmac.digest(hkdf(self.scanned, HANDOFF, KEY_SIZE), payload, "sha256")
            if not hmac.compare_digest(expected, proof):
                raise PairingRefused("the proof is not of the device that was scanned")
            self.compares = False
        try:
            read = wa_companion_reg.ProloguePayload.FromString(payload)
        except DecodeError:
            raise PairingRefused("a prologue that is none") from None
        self._identity, self._commitment = read.companionEphemeralIdentity, read.commitment.hash
        made: bytes = wa_companion_reg.PrimaryEphemeralIdentity(
            publicKey=self._ephemeral.public, nonce=self._nonce
        ).SerializeToString()
        return made

    def code(self, nonce: bytes) -> str:
        """Take the companion's nonce; gives the code that both show. Raises PairingRefused."""
        if hashlib.sha256(self._identity + nonce).digest() != self._commitment:
            raise PairingRefused("the nonce is not the one that was committed to")
        identity = wa_companion_reg.CompanionEphemeralIdentity.FromString(self._identity)
        try:
            shared = self._ephemeral.shared(identity.publicKey)
        except ValueError:
            raise PairingRefused("a key of low order") from None
        salt = f"Companion Pairing {identity.deviceType} with ref {identity.ref}".encode()
        self._key = hkdf(shared, b"Pairing Information Encryption Key", KEY_SIZE, salt)
        digest = hashlib.sha256(nonce + self._ephemeral.public).digest()
        value = int.from_bytes(bytes(a ^ b for a, b in zip(self._nonce[:CODE_BYTES], digest, strict=False)))
        letters = "".join(CODE_ALPHABET[value >> shift & 31] for shift in range(35, -1, -5))
        return f"{letters[:4]}-{letters[4:]}"

    def open(self, request: bytes) -> Companion:
        """Open the companion's request. Raises PairingRefused."""
        try:
            sealed = wa_companion_reg.EncryptedPairingRequest.FromString(request)
            opened = AESGCM(self._key).decrypt(sealed.IV, sealed.encryptedPayload, None)
            read = wa_companion_reg.PairingRequest.FromString(opened)
        except (DecodeError, InvalidTag, ValueError):
            raise PairingRefused("a pairing request that cannot be read") from None
        return Companion(read.companionPublicKey, read.companionIdentityKey, read.advSecret)


def url_safe(data: bytes) -> str:
    """Base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_url_safe(text: str) -> bytes:
    """The inverse; raises ValueError."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
