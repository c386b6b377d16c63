"""What WhatsApp asks of a passkey, and what a browser answers: read and checked before anybody acts on it. Pure.

Both are the JSON forms of Web Authentication, level 3 (5.5 and 5.1.8). The doors read what an owner brings, the pairing
machine holds it against the request that is open; whether the signature is right only WhatsApp can tell. Sizes are
bounded, and what the forms do not know is left out.
"""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Any, Final

from ponton_bridge.model.errors import OwnerError

ORIGIN: Final = "https://web.whatsapp.com"  # where the browser has to be: it signs this
LONGEST: Final = 3000  # characters of an answer as it travels; a usual one has 1,000, forms of pages take 3,071
_URL_SAFE: Final = re.compile(r"[A-Za-z0-9_-]+")
_SPACE: Final = re.compile(r"\s+")
AUTHENTICATOR_DATA: Final = 37  # bytes at least (6.1)


@dataclass(frozen=True, slots=True)
class Answer:
    """A browser's answer, its binary parts as base64url; `challenge` and `origin` are what the browser has signed."""

    id: str
    client_data: str
    authenticator_data: str
    signature: str
    user_handle: str | None
    challenge: str
    origin: str

    def to_json(self) -> str:
        """Give it as AuthenticationResponseJSON, with what WhatsApp is told and nothing else."""
        response = {
            "clientDataJSON": self.client_data,
            "authenticatorData": self.authenticator_data,
            "signature": self.signature,
            "userHandle": self.user_handle,
        }
        made = {"id": self.id, "rawId": self.id, "type": "public-key", "response": response}
        return json.dumps(made, separators=(",", ":"))


def unpacked(text: str) -> str:
    """Give the JSON of an answer as owners bring it: base64url, whatever spaces a client has put into it.

    Raises OwnerError with a sentence when it is none.
    """
    packed = _SPACE.sub("", text)
    if len(packed) > LONGEST:
        raise OwnerError("This is longer than an answer of a passkey. Copy the answer alone, then try again.")
    try:
        return _decoded(packed).decode()
    except ValueError:
        raise OwnerError(
            "This is not the answer of a passkey, or not all of it. Copy it again, then try again."
        ) from None


def read(text: str) -> Answer:
    """Read an answer's JSON. Raises OwnerError with a sentence when it is none."""
    try:
        return _answer(json.loads(text)) if len(text) <= LONGEST else _no()
    except (LookupError, TypeError, ValueError, RecursionError):
        raise OwnerError(
            "This is not the answer of a passkey, or not all of it. Copy it again, then try again."
        ) from None


def check(text: str, request: str) -> Answer:
    """Read an answer and hold it against the request (both JSON). Raises OwnerError with a sentence."""
    answer = read(text)
    if answer.origin != ORIGIN:
        raise OwnerError("This answer was not made at web.whatsapp.com, so WhatsApp would refuse it. Try again there.")
    asked = json.loads(request)
    if answer.challenge != asked["challenge"]:
        raise OwnerError("This answer belongs to another request of WhatsApp. Answer the one that is open now.")
    allowed = {one["id"] for one in asked["allowCredentials"]}
    if allowed and answer.id not in allowed:
        raise OwnerError("This answer is of another passkey than the ones that WhatsApp asks for.")
    return answer


def _answer(given: Any) -> Answer:  # noqa: ANN401  # JSON
    response = given["response"]
    parts = {name: _part(response[name]) for name in ("clientDataJSON", "authenticatorData", "signature")}
    handle = response.get("userHandle")
    data = json.loads(_decoded(parts["clientDataJSON"]))
    if (
        given["type"] != "public-key"
        or given["rawId"] != given["id"]
        or data["type"] != "webauthn.get"
        or len(_decoded(parts["authenticatorData"])) < AUTHENTICATOR_DATA
    ):
        _no()
    return Answer(
        id=_part(given["id"]),
        client_data=parts["clientDataJSON"],
        authenticator_data=parts["authenticatorData"],
        signature=parts["signature"],
        user_handle=None if handle is None else _part(handle),
        challenge=_part(data["challenge"]),
        origin=_text(data["origin"]),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else _no()


def _part(value: object) -> str:
    """Give a binary part as it is, if it is one."""
    text = _text(value)
    _decoded(text)
    return text


def _decoded(text: str) -> bytes:
    if not _URL_SAFE.fullmatch(text):
        _no()
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError("Not base64url.") from error


def _no() -> Any:  # noqa: ANN401  # it never returns
    raise ValueError("Not of the form.")
