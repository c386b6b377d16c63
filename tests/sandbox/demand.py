"""The passkey step of one connection that wants to be linked: the server's part, between the companion and the phone.

Made by `linking` when an account has a passkey; the cryptography is in `passkeys`. A companion that answers wrongly may
answer again; one that the phone refuses is refused for good.
"""

from collections.abc import Callable

from tests.sandbox.contract import Handset, PairingRefused
from tests.sandbox.node import Node, QueryError, node
from tests.sandbox.passkeys import CHALLENGE_SIZE, Passkey, check

REFUSED, BAD = 403, 400  # errors of queries


class Demand:
    """`notify` sends the companion a notification of a type, `link` goes on with the container that the phone made."""

    def __init__(
        self,
        passkey: Passkey,
        phone: Handset,
        entropy: Callable[[int], bytes],
        notify: Callable[[str, Node], None],
        link: Callable[[bytes], None],
    ) -> None:
        self._passkey, self._phone, self._notify, self._link = passkey, phone, notify, link
        self._challenge = entropy(CHALLENGE_SIZE)
        self._serves: dict[str, Callable[[Node], Callable[[], None]]] = {
            "passkey_prologue": self._prologue,
            "companion_nonce": self._nonce,
            "encrypted_pairing_request": self._request,
        }

    def begin(self) -> None:
        """Ask for the passkey."""
        self._notify("passkey_prologue_request", node("passkey_request_options", self._options()))

    def query(self, child: Node) -> tuple[list[Node], Callable[[], None]] | None:
        """The content of the answer to a query of the companion, and what is done behind it; None: not of this step.

        Raises QueryError for what is refused.
        """
        if child.tag == "passkey_request_options":
            return [node("passkey_request_options", self._options())], _nothing
        serve = self._serves.get(child.tag)
        if serve is None:
            return None
        try:
            return [], serve(child)
        except PairingRefused as refusal:
            raise QueryError(BAD, str(refusal)) from refusal

    def _options(self) -> bytes:
        return self._passkey.options(self._challenge)

    def _prologue(self, child: Node) -> Callable[[], None]:
        if self._passkey.refuse:
            raise QueryError(REFUSED, "not-authorized")
        check(self._passkey, self._challenge, child.need("credential_id").data, child.need("webauthn_assertion").data)
        if self._passkey.silent:
            return _nothing
        proof = child.child("pairing_handoff_proof")
        identity = self._phone.passkey_prologue(child.need("prologue_payload").data, proof.data if proof else b"")
        return lambda: self._notify("crsc_continuation", node("primary_ephemeral_identity", identity))

    def _nonce(self, child: Node) -> Callable[[], None]:
        self._phone.passkey_nonce(child.data)
        return _nothing

    def _request(self, child: Node) -> Callable[[], None]:
        container = self._phone.passkey_request(child.data)
        return lambda: self._link(container)


def _nothing() -> None:
    pass
