"""A phone's side of linking a companion: scanning its code, or typing the one that it shows.

Called by `phone`. The cryptography is in `pairing`; how it ended comes back as a record of the inbox.
"""

import asyncio
import hmac
from typing import NamedTuple

from tests.sandbox import pairing
from tests.sandbox.contract import PairingRefused, PendingCode
from tests.sandbox.keys import KeyPair
from tests.sandbox.passkeys import Primary
from tests.sandbox.phones.line import Line, PhoneError
from tests.sandbox.signal.kdf import generate

CODE_SIZE = 8  # characters, without the dash that is shown for reading


class Attempt(NamedTuple):
    """A code that was typed: which of the server's attempts it is for, and the keys that it unwrapped."""

    ref: bytes
    ephemeral: KeyPair
    companion_ephemeral: bytes


class Linking:
    """Links companions to one phone."""

    def __init__(self, line: Line) -> None:
        self.line = line
        self._attempt: Attempt | None = None
        self._secret = b""  # of the code that was scanned or typed last
        self._primary: Primary | None = None
        self.misshows = False  # another code than it should, as if somebody had come between

    def scan(self, text: str) -> int:
        """Scan a QR code; gives the number that the companion gets. Raises PhoneError with the reason why not."""
        try:
            code = pairing.read_qr(text)
        except PairingRefused as error:
            raise PhoneError(str(error)) from error
        network, account = self.line.network, self.line.account
        pending = network.pending_qr(code.ref)
        if pending is None:
            raise PhoneError("nobody shows this code now: it has expired, or was used")
        shown, held = code.noise + code.identity, pending.noise_public + pending.identity_public
        if not hmac.compare_digest(shown, held):
            raise PhoneError("the code's keys are not those of the connection that shows it")
        device = network.next_device(account)
        try:
            network.link(pending, account, device, self._container(code.identity, code.adv_secret))
        except PairingRefused as error:
            raise PhoneError(str(error)) from error
        return device

    async def type_code(self, text: str) -> None:
        """Type the eight characters that a companion shows; raises PhoneError if no companion asked for them."""
        code = text.replace("-", "").strip().upper()
        if len(code) != CODE_SIZE or not set(code) <= set(pairing.CODE_ALPHABET):
            raise PhoneError("a linking code has eight letters or digits, without 0, I, O and U")
        pending = self._pending()
        ephemeral = generate(self.line.random)
        # The key derivation takes a tenth of a second on purpose: not on the loop.
        wrapped, companion = await asyncio.to_thread(
            pairing.code_primary, code, pending.wrapped_companion_ephemeral, ephemeral, self.line.random
        )
        if self._pending() is not pending:
            raise PhoneError("the companion asked for another code meanwhile")
        self._attempt = Attempt(pending.ref, ephemeral, companion)
        self.line.network.primary_hello(pending, wrapped, self.line.device.identity.public)

    def finish_code(self, pending: PendingCode, wrapped_bundle: bytes, companion_identity: bytes) -> bytes:
        """The container for a companion that answered a typed code; raises PairingRefused if it knew another."""
        attempt, self._attempt = self._attempt, None
        if attempt is None or attempt.ref != pending.ref:
            raise PairingRefused("no code was typed for this attempt")
        secret = pairing.code_finish(
            self.line.device.identity,
            attempt.ephemeral,
            attempt.companion_ephemeral,
            companion_identity,
            wrapped_bundle,
        )
        return self._container(companion_identity, secret)

    def passkey_prologue(self, payload: bytes, proof: bytes) -> bytes:
        """The phone's ephemeral identity for a companion that a passkey has answered for; raises PairingRefused."""
        self._primary = Primary(self._secret, self.line.random)
        return self._primary.prologue(payload, proof)

    def passkey_code(self, nonce: bytes) -> str:
        """The code that the phone shows, '' where it need not be compared; raises PairingRefused."""
        primary = self._open_primary()
        code = primary.code(nonce)
        if not primary.compares:
            return ""
        return ("2" if code.startswith("1") else "1") + code[1:] if self.misshows else code

    def passkey_request(self, request: bytes) -> bytes:
        """The container for a companion whose code was compared; raises PairingRefused."""
        primary, self._primary = self._open_primary(), None
        companion = primary.open(request)
        if self.misshows:
            raise PairingRefused("the owner of the phone says that the codes differ")
        return self._container(companion.identity, companion.secret)

    def _open_primary(self) -> Primary:
        if self._primary is None:
            raise PairingRefused("no passkey was asked for")
        return self._primary

    def _container(self, companion_identity: bytes, secret: bytes) -> bytes:
        self._secret = secret
        network = self.line.network
        return pairing.container(
            self.line.device.identity,
            companion_identity,
            secret,
            network.next_device(self.line.account),
            int(network.now()),
            self.line.random,
        )

    def _pending(self) -> PendingCode:
        if (pending := self.line.network.pending_code(self.line.account)) is None:
            raise PhoneError("no companion waits for a code of this number")
        return pending
