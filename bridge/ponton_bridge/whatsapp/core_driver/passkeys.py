"""The core's passkey request as the JSON that a browser takes. Part of the core driver; pure.

The core gives whatsmeow's fields under their Go names, bytes as base64; a browser wants
PublicKeyCredentialRequestOptionsJSON (Web Authentication, level 3, 5.5), bytes as base64url without padding.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

MS: Final = 1000  # the request's timeout is in milliseconds
LONGEST: Final = 8000  # characters of a request; one with ten passkeys has 1,500
LIFE: Final = 600.0  # seconds, when WhatsApp names none; what it names today


def request(fields: Mapping[str, Any]) -> tuple[str, float]:
    """Give the request and the seconds that it holds; LookupError, TypeError or ValueError when it is none."""
    key = fields["PublicKey"]
    milliseconds = int(key.get("Timeout") or LIFE * MS)
    asked = {
        "challenge": _url_safe(key["Challenge"]),
        "timeout": milliseconds,
        "rpId": str(key["RelyingPartID"]),
        "allowCredentials": [_credential(one) for one in key.get("AllowCredentials", ())],
        "userVerification": str(key.get("UserVerification") or "required"),
    }
    text = json.dumps(asked, separators=(",", ":"))
    if len(text) > LONGEST:
        raise ValueError("The request is too long.")
    return text, milliseconds / MS


def _credential(one: Mapping[str, Any]) -> dict[str, Any]:
    transports = [str(way) for way in one.get("Transports", ())]
    return {"id": _url_safe(one["ID"]), "type": str(one["Type"])} | ({"transports": transports} if transports else {})


def _url_safe(text: str) -> str:
    if not text:
        raise ValueError("A part of the request is empty.")
    return text.rstrip("=").translate(str.maketrans("+/", "-_"))
