"""A passkey in a box: signs what WhatsApp asks as a browser at web.whatsapp.com would, and wrongly when asked to.

Used by the tests of the passkey step; `tests.browser` puts the same key into a real browser.
"""

import hashlib
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from tests.sandbox.passkeys import ORIGIN, PRESENT, RELYING_PARTY, VERIFIED, url_safe

LATE = b"late"  # a user of this name makes the sandbox's core forget that the answer was quick: codes are compared


@dataclass
class Authenticator:
    """One passkey with a fresh P-256 key."""

    user: bytes = b"someone"
    id: bytes = field(default_factory=lambda: secrets.token_bytes(20))
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    @property
    def registered(self) -> dict[str, str]:
        """What WhatsApp knows of it: id and public point, as `AccountHandle.demand_passkey` takes them."""
        point = self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        return {"credential": url_safe(self.id), "public": url_safe(point)}

    @property
    def private(self) -> bytes:
        """The key as a browser's virtual authenticator takes it (PKCS 8)."""
        return self.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())

    def answer(
        self, request: str, *, origin: str = ORIGIN, challenge: str = "", flags: int = PRESENT | VERIFIED
    ) -> dict[str, Any]:
        """Answer a request's JSON: AuthenticationResponseJSON, as `credential.toJSON()` gives it."""
        asked = json.loads(request)
        client = {"type": "webauthn.get", "challenge": challenge or asked["challenge"], "origin": origin}
        data = json.dumps(client | {"crossOrigin": False}, separators=(",", ":")).encode()
        authenticator = hashlib.sha256(RELYING_PARTY.encode()).digest() + bytes([flags]) + bytes(4)
        signature = self.key.sign(authenticator + hashlib.sha256(data).digest(), ec.ECDSA(hashes.SHA256()))
        return {
            "id": url_safe(self.id),
            "rawId": url_safe(self.id),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {},
            "response": {
                "clientDataJSON": url_safe(data),
                "authenticatorData": url_safe(authenticator),
                "signature": url_safe(signature),
                "userHandle": url_safe(self.user),
            },
        }

    def packed(self, request: str, **how: Any) -> str:  # noqa: ANN401 - as `answer` takes them
        """Answer as the snippet brings it back: base64url of the JSON."""
        return url_safe(json.dumps(self.answer(request, **how)).encode())
